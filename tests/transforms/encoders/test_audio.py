"""Audio encoders: one vector for each record, the same in every batch and process."""

import subprocess
import sys
from pathlib import Path

import numpy as np
import numpy.typing as npt
import pytest
import tensorflow as tf

from tests import audio_encoders, encoders
from triad_ml.transforms.encoders import audio, image, spectrogram, whisper
from triad_ml.transforms.errors import OptionsError
from triad_ml.transforms.features.analyzers import Analysis, KnownAnalyzers
from triad_ml.transforms.features.registry import FEATURES
from triad_ml.transforms.files import safetensors
from triad_ml.transforms.graph import digest as graph_digest
from triad_ml.transforms.media import audio as media_audio
from triad_ml.transforms.spec.spec import Spec

Floats = npt.NDArray[np.float32]
SAMPLES = 8000
LENGTHS = [8000, 3210, 0, 8000, 500]


def spec_of(weights: Path | None, **model: object) -> Spec:
    named = {"audio_encoder": "whisper", "audio_weights": weights and str(weights), **model}
    return Spec.model_validate(
        {
            "modalities": {"audio": {"seconds": 0.5, "mel_bins": 32}},
            "tasks": {"category": {"kind": "classification", "label": "category"}},
            "model": {name: value for name, value in named.items() if value is not None},
        }
    )


@pytest.fixture(scope="module")
def tiny(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return audio_encoders.write_whisper(tmp_path_factory.mktemp("tiny") / "tiny.safetensors")


def encoded(spec: Spec, rows: Floats, lengths: list[int]) -> Floats:
    graph = tf.function(lambda signal, counts: audio.vectors_graph(signal, counts, spec))
    return np.asarray(graph(tf.constant(rows), tf.constant(lengths)))


def through_keras(spec: Spec, rows: Floats, lengths: list[int]) -> Floats:
    kind = audio.encoder_of(spec)
    features = kind.features(tf.constant(rows), tf.constant(lengths), spec)
    one = kind.input(spec)
    assert (features.shape[1:], features.dtype) == (one.shape, one.dtype)
    return np.asarray(kind.load(spec)(features, training=False))


@pytest.mark.parametrize(("pooling", "width"), [("mean", 8), ("statistics", 32)])
def test_the_graph_gives_what_the_network_gives(tiny: Path, pooling: str, width: int) -> None:
    spec, rows = spec_of(tiny, audio_pooling=pooling), audio_encoders.sounds(LENGTHS, SAMPLES)
    found = encoded(spec, rows, LENGTHS)
    assert found.shape == (5, width) == (5, audio.width(spec))
    np.testing.assert_allclose(found, through_keras(spec, rows, LENGTHS), atol=1e-5)
    assert not found[2].any()
    assert found[[0, 1, 3, 4]].any(axis=1).all()


def test_a_vector_is_the_mean_over_the_positions_with_sound(tiny: Path) -> None:
    rows = audio_encoders.sounds(LENGTHS, SAMPLES)
    network = whisper.build(audio_encoders.CONFIG, 50)
    whisper.assign(network, audio_encoders.whisper_arrays())
    values, known = network(whisper.log_mel(tf.constant(rows), tf.constant(LENGTHS), 80))
    assert known.numpy().sum(axis=1).tolist() == [25, 11, 0, 25, 3]
    expected = [np.mean(values[row, :count], axis=0) for row, count in ((0, 25), (1, 11), (4, 3))]
    found = encoded(spec_of(tiny), rows, LENGTHS)[[0, 1, 4]]
    np.testing.assert_allclose(found, expected, atol=1e-5)


def test_vectors_of_inner_layers_stand_before_that_of_the_last_each_at_unit_length(
    tiny: Path,
) -> None:
    rows = audio_encoders.sounds(LENGTHS, SAMPLES)
    network = whisper.build(audio_encoders.CONFIG, 50)
    whisper.assign(network, audio_encoders.whisper_arrays())
    frames = whisper.log_mel(tf.constant(rows), tf.constant(LENGTHS), 80)
    last, known = network(frames)
    values, _ = network.get_layer("silence")(frames)
    by_name = {}
    for layer in network.layers[2:]:  # after the input and the silence
        values = by_name[layer.name] = layer(values)
    parts = tf.concat([by_name["block_0"], by_name["positions"], last], axis=2)
    spec = spec_of(tiny, audio_layers=(1, 0))
    found = encoded(spec, rows, LENGTHS)
    assert found.shape == (5, 24) == (5, audio.width(spec))
    for row, count in ((0, 25), (1, 11), (4, 3)):
        assert known.numpy()[row].sum() == count
        means = np.mean(parts[row, :count], axis=0).reshape(3, 8)
        expected = means / np.linalg.norm(means, axis=1, keepdims=True)
        np.testing.assert_allclose(found[row], expected.ravel(), atol=1e-5)
    assert not found[2].any()


def test_a_layer_that_the_encoder_does_not_have_is_refused(tiny: Path) -> None:
    spec = spec_of(tiny, audio_layers=(0, 2))
    for part in (audio.encoder_of(spec).load, audio.width):
        with pytest.raises(OptionsError, match=r"audio_layers: 2 is no inner layer of .* 0 to 1$"):
            part(spec)


def test_statistics_are_mean_deviation_and_quantiles_of_the_known_positions() -> None:
    values = np.random.default_rng(0).normal(size=(2, 21, 3)).astype(np.float32)
    known = np.arange(21) < np.array([[11], [0]])
    found = audio.PoolTime("statistics")(tf.constant(values), tf.constant(known)).numpy()
    part = np.sort(values[0, :11], axis=0)
    expected = np.concatenate([part.mean(axis=0), part.std(axis=0), part[1], part[9]])
    np.testing.assert_allclose(found[0], expected, rtol=1e-5, atol=1e-6)
    np.testing.assert_array_equal(found[1], np.zeros(12))


def test_a_vector_does_not_depend_on_the_batch(tiny: Path) -> None:
    spec, rows = spec_of(tiny), audio_encoders.sounds(LENGTHS, SAMPLES)
    whole = encoded(spec, rows, LENGTHS)
    order = [3, 0, 4, 2, 1]
    shuffled = encoded(spec, rows[order], [LENGTHS[place] for place in order])
    np.testing.assert_array_equal(shuffled, whole[order])
    for place in (0, 1, 3, 4):
        alone = encoded(spec, rows[place : place + 1], LENGTHS[place : place + 1])
        np.testing.assert_array_equal(alone[0], whole[place])


def test_musicnn_has_one_vector_for_a_record(tmp_path: Path) -> None:
    weights = audio_encoders.write_musicnn(tmp_path / "m.safetensors")
    spec = spec_of(weights, audio_encoder="musicnn")
    rows = audio_encoders.sounds([SAMPLES, 0], SAMPLES)
    found = encoded(spec, rows, [SAMPLES, 0])
    assert found.shape == (2, 200) == (2, audio.width(spec))
    np.testing.assert_allclose(found, through_keras(spec, rows, [SAMPLES, 0]), atol=1e-4)
    assert found[0].any()
    assert not found[1].any()


def test_a_spectrogram_goes_through_the_image_encoder(tmp_path: Path) -> None:
    weights = encoders.mobile_net(tmp_path / "mobile.weights.h5")
    named = {**encoders.MOBILE_NET, "image_weights": str(weights), "audio_encoder": "image"}
    content = spec_of(None, **named).model_dump(exclude_none=True)
    content["modalities"]["image"] = {"size": 32}
    spec = Spec.model_validate({**content, "tasks": {"c": {"kind": "regression", "label": "c"}}})
    rows = audio_encoders.sounds(LENGTHS, SAMPLES)
    found = encoded(spec, rows, LENGTHS)
    section = spec.modalities.audio
    assert section is not None
    drawn = spectrogram.pictures(tf.constant(rows), tf.constant(LENGTHS), section, 32)
    expected = image.load(spec.model, 32)(drawn, training=False).numpy()
    assert found.shape == (5, 1280) == (5, audio.width(spec))
    np.testing.assert_allclose(found[[0, 1, 3]], expected[[0, 1, 3]], rtol=1e-3, atol=1e-4)
    assert not found[2].any()


def test_a_tone_is_a_bright_line_at_its_height_until_it_ends() -> None:
    time = np.arange(4000) / 16_000
    rows = np.zeros((2, SAMPLES), np.float32)
    for row, frequency in zip(rows, (500, 6000), strict=True):
        row[:4000] = np.sin(2 * np.pi * frequency * time)
    section = spec_of(None, audio_encoder=None).modalities.audio
    assert section is not None
    drawn = spectrogram.pictures(tf.constant(rows), tf.constant([4000, 4000]), section, 64).numpy()
    assert drawn.shape == (2, 64, 64, 3)
    np.testing.assert_array_equal(drawn[..., 0], drawn[..., 2])
    low, high = (picture[:, 10, 0].argmax() for picture in drawn)
    assert low > 45
    assert high < 12
    assert drawn[:, :, 10].max() > 200
    assert not drawn[:, :, 40:].any()


def test_weights_that_float16_holds_take_half_the_room_in_the_graph(tiny: Path) -> None:
    found = audio._frozen(spec_of(tiny).to_json())
    assert {value.dtype.name for value in found.weights.values()} == {"float16"}
    assert [value.shape for value in found.weights.values()] == [(3, 80, 8)]


def digest(weights: str) -> str:
    analysis = Analysis({"label_category_vocabulary": ("a", "b")}, {})
    return graph_digest.transform_digest(spec_of(Path(weights)), analysis)


def test_the_transform_digest_is_the_same_in_another_process_and_not_with_other_weights(
    tiny: Path, tmp_path: Path
) -> None:
    code = (
        "import sys\nfrom tests.transforms.encoders import test_audio as t\n"
        "print(t.digest(sys.argv[1]))"
    )
    root = Path(__file__).resolve().parents[3]
    elsewhere = subprocess.run(
        [sys.executable, "-c", code, str(tiny)],
        cwd=root,
        capture_output=True,
        text=True,
        check=True,
    )
    assert digest(str(tiny)) == elsewhere.stdout.split()[-1]
    other = audio_encoders.write_whisper(tmp_path / "other.safetensors", seed=1)
    assert digest(str(other)) != digest(str(tiny))


def test_weights_of_another_encoder_are_refused(tiny: Path, tmp_path: Path) -> None:
    with pytest.raises(OptionsError, match="holds no weights of musicnn .its encoder is 'whisper'"):
        audio.ENCODERS["musicnn"].load(spec_of(tiny, audio_encoder="musicnn"))
    (tmp_path / "broken").write_bytes(b"no weights")
    with pytest.raises(OptionsError, match=rf"^{tmp_path}/broken: its header does not have"):
        audio.width(spec_of(tmp_path / "broken"))


def test_weights_whose_tensors_are_not_those_of_their_configuration_are_refused(
    tmp_path: Path,
) -> None:
    arrays = audio_encoders.whisper_arrays()
    for change, fault in (
        ({"encoder.conv1.bias": np.zeros(3, np.float32)}, "is not"),
        ({"encoder.conv1.bias": None}, "encoder.conv1.bias"),
    ):
        changed = {n: a for n, a in {**arrays, **change}.items() if a is not None}
        path = tmp_path / "changed.safetensors"
        metadata = {audio.ENCODER: "whisper", audio.CONFIG: audio_encoders.CONFIG.to_json()}
        safetensors.write(path, changed, metadata)
        spec = spec_of(path)
        with pytest.raises(OptionsError, match="holds no weights of whisper") as refused:
            audio.encoder_of(spec).load(spec)
        assert fault in str(refused.value)
        assert "\n" not in str(refused.value)
        audio._metadata.cache_clear()


def test_audio_longer_than_the_positions_reach_is_refused(tiny: Path) -> None:
    content = spec_of(tiny).model_dump(exclude_none=True)
    content["modalities"]["audio"]["seconds"] = 1.5
    content["tasks"] = {"c": {"kind": "regression", "label": "c"}}
    spec = Spec.model_validate(content)
    for part in (audio.encoder_of(spec).load, audio.encoder_of(spec).input):
        with pytest.raises(OptionsError, match=r"seconds: 1.5 is over the 1.2 of .*; choose fewer"):
            part(spec)


def features_of(contents: tf.Tensor, spec: Spec) -> Floats:
    """The audio feature of canonical media, from the feature graph."""
    known = KnownAnalyzers(Analysis({}, {}))

    def features(content: tf.Tensor) -> dict[str, tf.Tensor]:
        read = FEATURES["audio"].graph(content, spec, known)
        return read.features if read.encode is None else read.encode()

    return np.asarray(tf.function(features)(contents)["audio"])


def test_canonical_audio_reaches_the_encoder(tiny: Path) -> None:
    rows = audio_encoders.sounds([SAMPLES], SAMPLES)
    words = np.round(rows[0] * 32767).astype("<i2")
    content = media_audio.header(16_000, SAMPLES) + words.tobytes()
    contents = tf.constant([content, b""])
    signal = np.stack([words.astype(np.float32) / 32768, np.zeros(SAMPLES, np.float32)])
    spec = spec_of(tiny)
    expected = encoded(spec, signal, [SAMPLES, 0])
    np.testing.assert_array_equal(features_of(contents, spec), expected)
    assert FEATURES["audio"].measured(spec) == ()
    tuned = spec_of(tiny, audio_freeze=False)
    assert features_of(contents, tuned).shape == (2, 50, 80)
