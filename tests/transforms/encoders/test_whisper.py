"""Whisper's encoder and spectrogram: equal to a reference in double precision, written apart."""

import math

import keras
import numpy as np
import numpy.typing as npt
import pytest
import scipy.special
import tensorflow as tf

from tests import audio_encoders
from triad_ml.transforms.encoders import mel, whisper

Floats = npt.NDArray[np.float64]
FRAMES = 41


def mel_scale(hertz: float) -> float:
    return hertz * 3 / 200 if hertz < 1000 else 15 + 27 * math.log(hertz / 1000) / math.log(6.4)


def filters_by_hand(rate: int, length: int, bins: int) -> Floats:
    """Triangles of area 1 between mels at equal distances, one number at a time."""
    grid = np.linspace(0, mel_scale(rate / 2), bins + 2)
    hertz = np.linspace(0, rate / 2, 400_001)
    edges = np.interp(grid, [mel_scale(one) for one in hertz], hertz)
    found = np.zeros((length // 2 + 1, bins))
    for place in range(length // 2 + 1):
        frequency = place * rate / length
        for index in range(bins):
            low, middle, high = edges[index : index + 3]
            if low < frequency <= middle:
                height = (frequency - low) / (middle - low)
            elif middle < frequency < high:
                height = (high - frequency) / (high - middle)
            else:
                continue
            found[place, index] = 2 * height / (high - low)
    return found


def log_mel_by_hand(row: npt.NDArray[np.float32], bins: int) -> Floats:
    """Whisper's spectrogram by a sum over samples for each frequency."""
    signal = np.pad(row.astype(np.float64), 200, mode="reflect")
    time = np.arange(400)
    window = 0.5 - 0.5 * np.cos(2 * np.pi * time / 400)
    waves = np.exp(-2j * np.pi * np.outer(np.arange(201), time) / 400)
    frames = [signal[160 * t : 160 * t + 400] * window for t in range(len(row) // 160)]
    power = np.abs(np.stack(frames) @ waves.T) ** 2
    logarithms = np.log10(np.maximum(power @ filters_by_hand(16_000, 400, bins), 1e-10))
    return (np.maximum(logarithms, logarithms.max() - 8) + 4) / 4


def gelu(values: Floats) -> Floats:
    return values * 0.5 * (1 + scipy.special.erf(values / math.sqrt(2)))


def encode_by_hand(arrays: audio_encoders.Arrays, frames: Floats) -> Floats:
    """Vectors of positions, one position and one head at a time."""
    weights = {name: value.astype(np.float64) for name, value in arrays.items()}
    config = audio_encoders.CONFIG

    def convolved(values: Floats, layer: str, stride: int) -> Floats:
        kernel, bias = weights[f"encoder.{layer}.weight"], weights[f"encoder.{layer}.bias"]
        padded = np.pad(values, ((1, 1), (0, 0)))
        starts = range(0, len(values), stride)
        rows = [np.einsum("ki,oik->o", padded[at : at + 3], kernel) + bias for at in starts]
        return gelu(np.stack(rows))

    def normed(values: Floats, layer: str) -> Floats:
        centred = values - values.mean(axis=1, keepdims=True)
        scale = np.sqrt((centred**2).mean(axis=1, keepdims=True) + 1e-5)
        return centred / scale * weights[f"{layer}.weight"] + weights[f"{layer}.bias"]

    def dense(values: Floats, layer: str) -> Floats:
        return values @ weights[f"{layer}.weight"].T + weights.get(f"{layer}.bias", 0.0)

    values = convolved(convolved(frames, "conv1", 1), "conv2", 2)
    values = values + weights["encoder.embed_positions.weight"][: len(values)]
    size = config.width // config.heads
    for index in range(config.layers):
        block = f"encoder.layers.{index}"
        seen = normed(values, f"{block}.self_attn_layer_norm")
        query, key, value = (dense(seen, f"{block}.self_attn.{part}_proj") for part in "qkv")
        mixed = np.zeros_like(values)
        for head in range(config.heads):
            part = slice(head * size, (head + 1) * size)
            for place in range(len(values)):
                product = key[:, part] @ query[place, part] / math.sqrt(size)
                share = np.exp(product - product.max())
                mixed[place, part] = share / share.sum() @ value[:, part]
        values = values + dense(mixed, f"{block}.self_attn.out_proj")
        wide = gelu(dense(normed(values, f"{block}.final_layer_norm"), f"{block}.fc1"))
        values = values + dense(wide, f"{block}.fc2")
    return normed(values, "encoder.layer_norm")


@pytest.mark.parametrize("bins", [80, 128])
def test_filters_are_slaneys_triangles(bins: int) -> None:
    found = mel.slaney_filters(16_000, 400, bins)
    assert found.shape == (201, bins)
    np.testing.assert_allclose(found, filters_by_hand(16_000, 400, bins), atol=2e-7)


def test_filters_have_the_numbers_that_whisper_was_published_with() -> None:
    narrow, wide = (mel.slaney_filters(16_000, 400, bins) for bins in (80, 128))
    found = [narrow[1, 0], narrow[40, 40], narrow[199, 79], narrow.sum(dtype=np.float64)]
    expected = [0.024862594902515, 0.0, 0.000448759004939, 1.999024]
    np.testing.assert_allclose(found, expected, rtol=1e-6, atol=1e-9)
    found = [wide[1, 0], wide[199, 127], wide.sum(dtype=np.float64)]
    np.testing.assert_allclose(found, [0.012373986653984, 0.001114280195907, 3.190985], rtol=1e-6)


@pytest.mark.parametrize("bins", [80, 128])
def test_the_spectrogram_is_whispers(bins: int) -> None:
    rows = audio_encoders.sounds([8000, 4321], 8000)
    found = whisper.log_mel(tf.constant(rows), tf.constant([8000, 4321]), bins).numpy()
    assert found.shape == (2, 50, bins)
    np.testing.assert_allclose(found[0], log_mel_by_hand(rows[0], bins), atol=2e-4)
    # Frames whose window begins before sample 4,321: (4321 + 200) / 160, rounded up.
    np.testing.assert_allclose(found[1, :29], log_mel_by_hand(rows[1], bins)[:29], atol=2e-4)
    assert not found[1, 29:].any()


def test_frames_of_padding_get_whispers_value_of_silence() -> None:
    rows = audio_encoders.sounds([8000, 4321, 0], 8000)
    counts = tf.constant([8000, 4321, 0])
    frames = whisper.log_mel(tf.constant(rows), counts, 80)
    filled, known = whisper.Silence()(frames)
    for row in range(2):
        expected = log_mel_by_hand(rows[row], 80)
        np.testing.assert_allclose(filled[row], expected, atol=2e-4)
    np.testing.assert_array_equal(filled[2], np.full((50, 80), -1.5, np.float32))
    assert known.numpy().sum(axis=1).tolist() == [25, 15, 0]


def test_a_record_of_digital_silence_is_not_missing() -> None:
    frames = whisper.log_mel(tf.zeros([1, 8000]), tf.constant([8000]), 80)
    np.testing.assert_allclose(frames, np.full((1, 50, 80), -1.5), atol=1e-6)
    assert whisper.Silence()(frames)[1].numpy().all()


def test_positions_are_sines_and_cosines_of_falling_frequency() -> None:
    found = whisper.sinusoids(30, 8)
    for place in (0, 1, 29):
        for index in range(4):
            angle = place / 10_000 ** (index / 3)
            assert found[place, index] == pytest.approx(math.sin(angle), abs=1e-6)
            assert found[place, index + 4] == pytest.approx(math.cos(angle), abs=1e-6)


def test_the_encoder_equals_the_reference() -> None:
    arrays = audio_encoders.whisper_arrays()
    network = whisper.build(audio_encoders.CONFIG, FRAMES)
    whisper.assign(network, arrays)
    frames = np.random.default_rng(1).normal(0, 1, (2, FRAMES, 80)).astype(np.float32)
    found, known = network(frames)
    assert found.shape == (2, 21, 8)
    assert known.numpy().all()
    for row in range(2):
        expected = encode_by_hand(arrays, frames[row].astype(np.float64))
        np.testing.assert_allclose(found[row], expected, atol=2e-5)


def test_every_weight_but_the_positions_is_trained() -> None:
    network = whisper.build(audio_encoders.CONFIG, FRAMES)
    whisper.assign(network, audio_encoders.whisper_arrays())
    assert [one.path for one in network.non_trainable_variables] == ["positions/vectors"]
    assert len(network.trainable_variables) == len(whisper.names(audio_encoders.CONFIG)) - 1


def test_the_network_comes_back_from_its_configuration() -> None:
    network = whisper.build(audio_encoders.CONFIG, FRAMES)
    again = keras.Model.from_config(network.get_config())
    again.set_weights(network.get_weights())
    frames = np.random.default_rng(1).normal(0, 1, (1, FRAMES, 80)).astype(np.float32)
    np.testing.assert_array_equal(network(frames)[0], again(frames)[0])


@pytest.mark.parametrize(
    ("change", "fault"),
    [
        ({"bins": 64}, "bins is 64, not 80 or 128"),
        ({"heads": 3}, "no even multiple of 3 heads"),
        ({"width": 2**20}, "width is 1048576"),
        ({"layers": 0}, "layers is 0"),
        ({"layers": True}, "layers is True"),
        ({"positions": 1501}, "positions is 1501"),
        ({"hidden": "16"}, "hidden is '16'"),
    ],
)
def test_sizes_that_no_encoder_has_are_refused(change: dict[str, object], fault: str) -> None:
    sizes = {"bins": 80, "width": 8, "layers": 2, "heads": 2, "hidden": 16, "positions": 60}
    with pytest.raises(ValueError, match=fault):
        whisper.Config(**{**sizes, **change})  # type: ignore[arg-type]
