"""musicnn and its spectrogram: equal to a reference in double precision, written apart."""

import numpy as np
import numpy.typing as npt
import pytest
import scipy.signal
import tensorflow as tf

from tests import audio_encoders
from tests.transforms.encoders.test_whisper import filters_by_hand
from triad_ml.transforms.encoders import musicnn

Floats = npt.NDArray[np.float64]


def vector_by_hand(arrays: audio_encoders.Arrays, patch: Floats) -> Floats:
    """The vector of one patch, float64 `[187, 96]`, by SciPy's correlations."""
    weights = {name: value.astype(np.float64) for name, value in arrays.items()}

    def scaled(values: Floats, name: str) -> Floats:
        return values * weights[f"{name}.scale"] + weights[f"{name}.offset"]

    def layer(values: Floats, name: str, before: int, after: int) -> Floats:
        """Takes `[steps, bands]`, pads steps, and returns `[steps, bands left, filters]`."""
        kernel, bias = weights[f"{name}.kernel"], weights[f"{name}.bias"]
        padded = np.pad(values, ((before, after), (0, 0)))
        maps = [
            scipy.signal.correlate(padded, kernel[:, :, 0, index], "valid") + bias[index]
            for index in range(kernel.shape[-1])
        ]
        return scaled(np.maximum(np.stack(maps, axis=-1), 0), f"{name}_scaled")

    values = scaled(patch, "frames_scaled")
    fronts = [layer(values, f"timbral_{index}", 3, 3).max(axis=1) for index in range(2)]
    for index, length in enumerate((128, 64, 32)):
        before = (length - 1) // 2
        found = layer(values, f"temporal_{index}", before, length - 1 - before)
        fronts.append(found.max(axis=1))
    features = [np.concatenate(fronts, axis=1)]
    features.append(layer(features[0], "middle_0", 3, 3)[:, 0])
    for name in ("middle_1", "middle_2"):
        features.append(layer(features[-1], name, 3, 3)[:, 0] + features[-1])
    joined = np.concatenate(features, axis=1)
    pooled = np.stack([joined.max(axis=0), joined.mean(axis=0)], axis=1).ravel()
    wide = scaled(pooled, "pooled_scaled") @ weights["vector.kernel"] + weights["vector.bias"]
    return scaled(np.maximum(wide, 0), "vector_scaled")


@pytest.fixture(scope="module")
def arrays() -> audio_encoders.Arrays:
    return audio_encoders.musicnn_arrays()


def test_the_vectors_of_patches_are_those_of_the_reference_averaged(
    arrays: audio_encoders.Arrays,
) -> None:
    network = musicnn.build(251)
    musicnn.assign(network, arrays)
    random = np.random.default_rng(0)
    frames = np.abs(random.normal(1, 1, (2, 251, 96))).astype(np.float32)
    frames[1, 60:] = 0
    found = network(frames).numpy()
    assert found.shape == (2, musicnn.WIDTH)
    first, last = (vector_by_hand(arrays, frames[0, at : at + 187].astype(float)) for at in (0, 64))
    assert np.abs(first - last).max() > 0.01
    np.testing.assert_allclose(found[0], (first + last) / 2, atol=2e-5)
    # The second patch of the short record holds silence alone, and does not count.
    only = vector_by_hand(arrays, frames[1, :187].astype(float))
    np.testing.assert_allclose(found[1], only, atol=2e-5)


@pytest.mark.parametrize(
    ("frames", "starts"),
    [(63, [0]), (187, [0]), (188, [0, 1]), (374, [0, 187]), (400, [0, 106, 213])],
)
def test_patches_cover_all_frames(frames: int, starts: list[int]) -> None:
    assert musicnn.patch_starts(frames) == starts


def test_a_short_record_is_filled_up_with_silence(arrays: audio_encoders.Arrays) -> None:
    short, whole = musicnn.build(63), musicnn.build(187)
    for network in (short, whole):
        musicnn.assign(network, arrays)
    frames = np.ones((1, 63, 96), np.float32)
    filled = np.pad(frames, ((0, 0), (0, 124), (0, 0)))
    np.testing.assert_allclose(short(frames), whole(filled), atol=1e-6)
    np.testing.assert_array_equal(short(np.zeros_like(frames)), np.zeros((1, 200)))


def test_the_spectrogram_is_the_logarithm_of_slaneys_bins() -> None:
    rows = audio_encoders.sounds([4000, 1500], 4000)
    found = musicnn.log_mel(tf.constant(rows), tf.constant([4000, 1500])).numpy()
    assert found.shape == (2, 16, 96)
    time = np.arange(512)
    window = 0.5 - 0.5 * np.cos(2 * np.pi * time / 512)
    waves = np.exp(-2j * np.pi * np.outer(np.arange(257), time) / 512)
    signal = np.pad(rows[0].astype(np.float64), 256, mode="reflect")
    frames = [signal[256 * t : 256 * t + 512] * window for t in range(16)]
    power = np.abs(np.stack(frames) @ waves.T) ** 2
    expected = np.log10(10_000 * (power @ filters_by_hand(16_000, 512, 96)) + 1)
    np.testing.assert_allclose(found[0], expected, atol=2e-4)
    assert found[1, :7].any(axis=1).all()
    assert not found[1, 7:].any()


def test_weights_of_another_shape_or_name_are_not_taken(arrays: audio_encoders.Arrays) -> None:
    network = musicnn.build(187)
    with pytest.raises(ValueError, match="is not"):
        musicnn.assign(network, {**arrays, "vector.bias": np.zeros(3, np.float32)})
    with pytest.raises(KeyError, match=r"vector\.bias"):
        musicnn.assign(network, {n: a for n, a in arrays.items() if n != "vector.bias"})
