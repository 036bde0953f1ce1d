"""Weights of image encoders: their path in a spec, and the check of their digest."""

import hashlib
from pathlib import Path

import pytest

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


def test_an_encoder_of_pictures_needs_pictures() -> None:
    with pytest.raises(OptionsError, match="efficientnet_lite0 needs modalities.image; name it"):
        loading.parse(
            "{modalities: {text: }, tasks: {c: {kind: classification, label: c}}, "
            "model: {image_encoder: efficientnet_lite0, image_weights: a}}"
        )
