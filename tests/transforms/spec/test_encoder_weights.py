"""Weights of pretrained encoders: their paths in a spec, and the check of their digests."""

import hashlib
import re
from pathlib import Path

import pytest

from tests import text_encoders
from triad_ml.transforms.errors import OptionsError
from triad_ml.transforms.spec import encoder_weights, loading

SPEC = """
modalities: {image: {size: 32}}
tasks: {category: {kind: classification, label: category}}
model: {MODEL}
"""
WEIGHTS = b"weights"
SHA256 = hashlib.sha256(WEIGHTS).hexdigest()


def spec_file(folder: Path, model: str) -> Path:
    folder.mkdir(exist_ok=True)
    (folder / "some.weights.h5").write_bytes(WEIGHTS)
    (folder / "spec.yaml").write_text(SPEC.replace("MODEL", model))
    return folder / "spec.yaml"


LITE = "image_encoder: efficientnet_lite0, image_weights: some.weights.h5"


def test_a_path_begins_at_the_specs_folder_and_the_digest_is_filled_in(tmp_path: Path) -> None:
    model = loading.load(spec_file(tmp_path, LITE)).model
    assert model.image_weights == str(tmp_path / "some.weights.h5")
    assert model.image_weights_sha256 == SHA256
    assert model.image_freeze is True


def test_where_weights_lie_changes_no_digest_and_what_they_are_does(tmp_path: Path) -> None:
    here, there = (loading.load(spec_file(tmp_path / name, LITE)) for name in ("a", "b"))
    assert here.model.image_weights != there.model.image_weights
    assert here.digest() == there.digest()
    assert here.features_json() == there.features_json()
    (tmp_path / "b" / "some.weights.h5").write_bytes(b"others")
    other = loading.load(tmp_path / "b" / "spec.yaml")
    assert here.digest() != other.digest()
    assert here.features_json() != other.features_json()


def test_an_encoder_that_training_runs_changes_no_feature(tmp_path: Path) -> None:
    small = loading.load(spec_file(tmp_path / "small", "image_encoder: small"))
    tuned = loading.load(spec_file(tmp_path / "tuned", f"{LITE}, image_freeze: 2"))
    assert small.features_json() == tuned.features_json()


def test_weights_that_a_spec_pins_must_be_there(tmp_path: Path) -> None:
    pinned = spec_file(tmp_path, f"{LITE}, image_weights_sha256: {SHA256}")
    assert loading.load(pinned).model.image_weights_sha256 == SHA256
    (tmp_path / "some.weights.h5").write_bytes(b"others")
    with pytest.raises(OptionsError) as refused:
        loading.load(pinned)
    found = hashlib.sha256(b"others").hexdigest()
    assert str(refused.value) == (
        f"{tmp_path}/some.weights.h5: its SHA-256 is {found}, the spec wants {SHA256}; "
        "put the weights there that the spec was made with"
    )


def test_missing_weights_are_named(tmp_path: Path) -> None:
    path = spec_file(tmp_path, LITE)
    (tmp_path / "some.weights.h5").unlink()
    with pytest.raises(OptionsError, match="there are no weights for model.image_encoder eff"):
        loading.load(path)


def test_a_folder_of_a_preset_has_a_digest_of_its_files(tmp_path: Path) -> None:
    preset = tmp_path / "preset"
    preset.mkdir()
    (preset / "config.json").write_text("{}")
    path = spec_file(tmp_path, "image_encoder: keras_hub, image_weights: preset")
    first = loading.load(path).model.image_weights_sha256
    (preset / "config.json").rename(preset / "renamed.json")
    second = loading.load(path).model
    assert first != second.image_weights_sha256
    assert encoder_weights.checked(second) == second.image_weights_sha256
    (preset / "renamed.json").unlink()
    with pytest.raises(OptionsError, match="there are no weights"):
        loading.load(path)


@pytest.mark.parametrize(
    ("model", "problem"),
    [
        ("image_encoder: efficientnet_lite0", "needs image_weights; name a file"),
        ("image_weights: some.weights.h5", "image_weights are for a pretrained image_encoder"),
        (f"{LITE}, image_arguments: {{alpha: 1.0}}", "image_arguments are for keras.applications:"),
        ("image_layers: [block_14_add]", "image_layers are for efficientnet_lite0 and keras.appl"),
        ("image_encoder: lite0, image_weights: a", "model.image_encoder: "),
        (f"{LITE}, image_freeze: 0", "model.image_freeze"),
    ],
)
def test_settings_that_do_not_belong_together_are_refused(
    tmp_path: Path, model: str, problem: str
) -> None:
    with pytest.raises(OptionsError) as refused:
        loading.load(spec_file(tmp_path, model))
    assert problem in str(refused.value)


SOUNDS = """
modalities: {image: {size: 32}, audio: {seconds: 2}}
tasks: {category: {kind: classification, label: category}}
model: {MODEL}
"""
WHISPER = "audio_encoder: whisper, audio_weights: some.weights.h5"


def audio_file(folder: Path, model: str) -> Path:
    path = spec_file(folder, model)
    path.write_text(SOUNDS.replace("MODEL", model))
    return path


def test_weights_of_audio_have_keys_of_their_own(tmp_path: Path) -> None:
    model = loading.load(audio_file(tmp_path, f"{WHISPER}, {LITE}")).model
    assert model.audio_weights == model.image_weights == str(tmp_path / "some.weights.h5")
    assert model.audio_weights_sha256 == model.image_weights_sha256 == SHA256
    assert (model.audio_freeze, model.encodes_audio_first) == (None, True)
    pinned = audio_file(tmp_path, f"{WHISPER}, audio_weights_sha256: {'f' * 64}")
    with pytest.raises(OptionsError, match=f"its SHA-256 is {SHA256}, the spec wants ffff"):
        loading.load(pinned)
    path = audio_file(tmp_path, WHISPER)
    (tmp_path / "some.weights.h5").unlink()
    with pytest.raises(OptionsError, match=r"there are no weights for model\.audio_encoder whisp"):
        loading.load(path)


def test_an_audio_encoder_is_in_the_digests_and_the_place_of_its_weights_is_not(
    tmp_path: Path,
) -> None:
    here, there = (loading.load(audio_file(tmp_path / name, WHISPER)) for name in ("a", "b"))
    assert here.model.audio_weights != there.model.audio_weights
    assert here.digest() == there.digest()
    assert here.features_json() == there.features_json()
    others = (
        *("audio_pooling: statistics", "audio_freeze: false", "audio_freeze: 1"),
        *("audio_layers: [0]", "audio_layers: [0, 1]"),
    )
    specs = [loading.load(audio_file(tmp_path / "c", f"{WHISPER}, {one}")) for one in others]
    texts = [here.features_json(), *(one.features_json() for one in specs)]
    assert len(set(texts)) == 5  # epochs of freezing change no feature
    assert len({here.digest(), *(one.digest() for one in specs)}) == 6
    assert "audio_layers" not in texts[0]
    assert not specs[2].model.encodes_audio_first
    drawn = loading.load(audio_file(tmp_path / "d", f"{LITE}, audio_encoder: image"))
    assert drawn.features_json() not in texts


def test_a_spec_without_an_audio_encoder_does_not_name_one(tmp_path: Path) -> None:
    spec = loading.load(audio_file(tmp_path, LITE))
    named = re.findall(r'"(audio_\w+)"', spec.to_json())
    assert sorted(named) == ["audio_filters", "audio_seconds"]


@pytest.mark.parametrize(
    ("model", "problem"),
    [
        ("audio_encoder: whisper", "audio_encoder whisper needs audio_weights; name a file"),
        ("audio_encoder: musicnn", "audio_encoder musicnn needs audio_weights; name a file"),
        (
            "audio_weights: some.weights.h5",
            "audio_weights are for audio_encoder whisper or musicnn",
        ),
        (f"{LITE}, audio_encoder: image, audio_weights: a", "audio_weights are for audio_encoder"),
        ("audio_encoder: image", "audio_encoder image needs a pretrained image_encoder; name one"),
        ("audio_encoder: vggish", "model.audio_encoder"),
        ("audio_freeze: true", "audio_freeze is for an audio_encoder; name one"),
        (f"{WHISPER}, audio_freeze: 0", "model.audio_freeze"),
        ("audio_pooling: mean", "audio_pooling is for audio_encoder whisper; remove it"),
        (f"{WHISPER}, audio_pooling: max", "model.audio_pooling"),
        (
            f"{WHISPER}, audio_tower: statistics",
            "audio_tower statistics is for audio without an audio_encoder; leave one of them out",
        ),
        ("audio_layers: [0]", "audio_layers is for audio_encoder whisper; remove it"),
        (f"{WHISPER}, audio_layers: []", "model.audio_layers"),
        (f"{WHISPER}, audio_layers: [-1]", "model.audio_layers"),
        (f"{WHISPER}, audio_layers: [1, 0, 1]", "audio_layers names a layer twice; name each once"),
    ],
)
def test_settings_of_audio_that_do_not_belong_together_are_refused(
    tmp_path: Path, model: str, problem: str
) -> None:
    with pytest.raises(OptionsError) as refused:
        loading.load(audio_file(tmp_path, model))
    assert problem in str(refused.value)


@pytest.mark.parametrize(
    ("modalities", "problem"),
    [
        ("{text: }", "model.audio_encoder: whisper needs modalities.audio; name it"),
        ("{audio: {sample_rate: 8000}}", "whisper needs 16000, got 8000; change it"),
        ("{audio: {seconds: 31}}", "whisper takes 30 at most, got 31; choose fewer"),
    ],
)
def test_an_audio_encoder_needs_audio_as_in_its_training(modalities: str, problem: str) -> None:
    with pytest.raises(OptionsError) as refused:
        loading.parse(
            f"{{modalities: {modalities}, tasks: {{c: {{kind: classification, label: c}}}}, "
            "model: {audio_encoder: whisper, audio_weights: a}}"
        )
    assert problem in str(refused.value)


def test_an_image_encoder_may_serve_spectrograms_alone() -> None:
    text = (
        "{modalities: {audio: {sample_rate: 8000}}, "
        "tasks: {c: {kind: classification, label: c}}, "
        "model: {image_encoder: efficientnet_lite0, image_weights: a, audio_encoder: image}}"
    )
    assert loading.parse(text).model.encodes_audio_first


def test_an_encoder_of_pictures_needs_pictures() -> None:
    with pytest.raises(OptionsError, match="efficientnet_lite0 needs modalities.image; name it"):
        loading.parse(
            "{modalities: {text: }, tasks: {c: {kind: classification, label: c}}, "
            "model: {image_encoder: efficientnet_lite0, image_weights: a}}"
        )


TEXT = """
modalities: {text: }
tasks: {category: {kind: classification, label: category}}
model: {MODEL}
"""


def text_spec(folder: Path, options: str = "") -> Path:
    text_encoders.write(folder / "encoder", text_encoders.BERT)
    content = TEXT.replace("MODEL", f"text_encoder: bert, text_weights: encoder{options}")
    (folder / "spec.yaml").write_text(content)
    return folder / "spec.yaml"


def test_a_folder_of_a_text_encoder_has_a_digest_of_the_files_that_are_read(tmp_path: Path) -> None:
    path = text_spec(tmp_path)
    first = loading.load(path)
    assert first.model.text_weights == str(tmp_path / "encoder")
    names = ("config.json", "model.safetensors", "vocab.txt")
    lines = [
        f"{name} {hashlib.sha256((tmp_path / 'encoder' / name).read_bytes()).hexdigest()}\n"
        for name in names
    ]
    expected = hashlib.sha256("".join(lines).encode()).hexdigest()
    assert first.model.text_weights_sha256 == expected
    (tmp_path / "encoder" / "README.md").write_text("not read")
    assert loading.load(path) == first
    for name in names:
        before = (tmp_path / "encoder" / name).read_bytes()
        (tmp_path / "encoder" / name).write_bytes(before + b" ")
        other = loading.load(path)
        assert first.digest() != other.digest()
        assert first.features_json() != other.features_json()
        (tmp_path / "encoder" / name).write_bytes(before)
    assert loading.load(path) == first


def test_the_files_may_be_links_as_in_the_cache_of_hugging_face(tmp_path: Path) -> None:
    plain = loading.load(text_spec(tmp_path / "a"))
    linked = text_spec(tmp_path / "b")
    for file in (tmp_path / "b" / "encoder").iterdir():
        file.rename(tmp_path / "b" / f"blob-{file.name}")
        file.symlink_to(tmp_path / "b" / f"blob-{file.name}")
    assert loading.load(linked).digest() == plain.digest()


def test_where_a_text_encoder_lies_and_how_training_changes_it_changes_no_feature(
    tmp_path: Path,
) -> None:
    here, there = (loading.load(text_spec(tmp_path / name)) for name in ("a", "b"))
    assert here.model.text_weights != there.model.text_weights
    assert (here.digest(), here.features_json()) == (there.digest(), there.features_json())
    features = {
        option: loading.load(text_spec(tmp_path / "c", option)).features_json()
        for option in ("", ", text_freeze: false", ", text_freeze: 2", ", text_pieces: 64")
    }
    assert set(features.values()) == {here.features_json()}
    for option in (", text_freeze: true", ", text_pieces: 65"):
        other = loading.load(text_spec(tmp_path / "c", option)).features_json()
        assert other != here.features_json()


def test_a_text_encoder_that_a_spec_pins_must_be_there(tmp_path: Path) -> None:
    digest = loading.load(text_spec(tmp_path)).model.text_weights_sha256
    pinned = text_spec(tmp_path, f", text_weights_sha256: {digest}")
    assert loading.load(pinned).model.text_weights_sha256 == digest
    (tmp_path / "encoder" / "vocab.txt").write_text("others")
    with pytest.raises(OptionsError, match=f"the spec wants {digest}; put the weights there"):
        loading.load(pinned)
    (tmp_path / "encoder" / "config.json").unlink()
    with pytest.raises(OptionsError, match=r"encoder: holds no config\.json; give a folder that"):
        loading.load(pinned)


@pytest.mark.parametrize(
    ("model", "problem"),
    [
        ("text_encoder: bert", "text_encoder bert needs text_weights; name a folder"),
        ("text_weights: encoder", "text_weights is for a text_encoder; name one or remove it"),
        ("text_freeze: true", "text_freeze is for a text_encoder"),
        ("text_freeze: false", "text_freeze is for a text_encoder"),
        ("text_pieces: 64", "text_pieces is for a text_encoder"),
        ("text_encoder: t5, text_weights: a", "model.text_encoder: "),
        ("text_encoder: bert, text_weights: a, text_pieces: 7", "model.text_pieces"),
        ("text_encoder: bert, text_weights: a, text_pieces: 193", "model.text_pieces"),
        ("text_encoder: bert, text_weights: a, text_freeze: 0", "model.text_freeze"),
        (
            "text_encoder: bert, text_weights: a, text_freeze: true, text_ngrams: 512",
            "text_ngrams are for texts without a pretrained text_encoder",
        ),
        (
            "text_encoder: bert, text_weights: a, text_tower: gru",
            "text_tower gru has nothing to read beside a text_encoder that is fine-tuned",
        ),
    ],
)
def test_settings_of_a_text_encoder_that_do_not_belong_together_are_refused(
    model: str, problem: str
) -> None:
    with pytest.raises(OptionsError) as refused:
        loading.parse(TEXT.replace("MODEL", model))
    assert problem in str(refused.value)


def test_an_encoder_of_texts_needs_texts() -> None:
    with pytest.raises(OptionsError, match="text_encoder: bert needs modalities.text; name it"):
        loading.parse(
            "{modalities: {image: }, tasks: {c: {kind: classification, label: c}}, "
            "model: {text_encoder: bert, text_weights: a}}"
        )


def test_a_spec_without_a_text_encoder_is_stored_as_before() -> None:
    stored = loading.parse(SPEC.replace("MODEL", "dim: 8")).to_json()
    assert "text_encoder" not in stored
    assert "text_pieces" not in stored
