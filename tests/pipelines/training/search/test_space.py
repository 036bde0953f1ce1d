"""Checks of a search space before any training."""

import pytest

from triad_ml.pipelines.training.search import space as search_space
from triad_ml.pipelines.training.search.space import Choices, Range
from triad_ml.transforms.errors import OptionsError
from triad_ml.transforms.spec import loading

SPEC = loading.parse("""
modalities: {image: {size: 32}, text: {length: 5}}
tasks: {kind: {kind: classification, label: kind}}
model: {dim: 32, image_filters: [8, 16]}
""")
TEXTS = loading.parse("""
modalities: {text: {length: 5}}
tasks: {kind: {kind: classification, label: kind}}
""")


def test_choices_and_ranges_are_read_by_their_keys() -> None:
    space = search_space.parse(
        "model.dim: {choices: [16, 64]}\n"
        "model.image_filters: {choices: [[8, 16], [16, 32]]}\n"
        "model.text_dim: {low: 8, high: 64}\n"
        "training.learning_rate: {low: 1e-4, high: 1, log: true}\n",
        SPEC,
    )
    assert space == {
        "model.dim": Choices(choices=(16, 64)),
        "model.image_filters": Choices(choices=([8, 16], [16, 32])),
        "model.text_dim": Range(low=8.0, high=64.0, whole=True),
        "training.learning_rate": Range(low=1e-4, high=1.0, log=True),
    }


@pytest.mark.parametrize(
    ("content", "complaint"),
    [
        ("model.dims: {choices: [8, 16]}", "model.dims: unknown key; did you mean 'model.dim'?"),
        ("training.seed: {choices: [1, 2]}", "training.seed: unknown key; "),
        ("modalities.image.size: {choices: [16, 32]}", "modalities.image.size: unknown key; "),
        ("model.dim: {choices: [8]}", "model.dim.choices: "),
        ("model.dim: {choices: [8, 8]}", "model.dim: a value stands twice"),
        ("model.dim: {choices: [8, two]}", "model.dim: model.dim: input should be a valid integer"),
        ("model.dim: {low: 2, high: 8}", "model.dim: model.dim: input should be greater than"),
        ("model.dim: {low: 8.5, high: 9}", "model.dim: low and high must be whole numbers here"),
        ("model.dropout: {low: 0, high: 1}", "model.dropout: model.dropout: input should be less"),
        ("model.dropout: {low: 0.5, high: 0.1}", "model.dropout: low must be below high"),
        ("model.dropout: {low: 0, high: 0.5, log: true}", "model.dropout: low must be over 0"),
        ("model.dropout: {low: 0.1}", "model.dropout.high: field required"),
        ("model.dropout: {low: 0.1, high: 0.2, lag: 1}", "model.dropout.lag: extra inputs"),
        ("model.fusion: {low: 0, high: 1}", "model.fusion: is no number; give {choices: [...]}"),
        ("model.dropout: 0.5", "model.dropout: must be {choices: [...]} or {low: ..., "),
        ("- model.dim", "a space is a mapping such as model.dim"),
        ("model.dim: {choices: [8, 16]}\nmodel.dim: {low: 8, high: 9}", "not YAML: "),
    ],
)
def test_a_mistake_is_named_with_its_key(content: str, complaint: str) -> None:
    with pytest.raises(OptionsError) as caught:
        search_space.parse(content, SPEC)
    assert str(caught.value).startswith(f"space: {complaint}")


def test_a_file_that_is_not_there_is_named(tmp_path: object) -> None:
    with pytest.raises(OptionsError, match="the space cannot be read: No such file"):
        search_space.load(f"{tmp_path}/space.yaml", SPEC)


def test_the_default_is_of_the_specs_own_modalities_and_is_a_space_that_passes() -> None:
    space = search_space.default(SPEC)
    assert {"model.dim", "model.text_dim", "model.modality_dropout"} <= set(space)
    assert "model.audio_filters" not in space
    search_space.check(space, SPEC, "default")
    alone = search_space.default(TEXTS)
    assert not {"model.modality_dropout", "model.fusion"} & set(alone)


def test_filters_of_audio_are_tried_where_the_tower_has_convolutions() -> None:
    content = "modalities: {audio: }\ntasks: {one: {kind: classification, label: one}}\n"
    assert "model.audio_filters" in search_space.default(loading.parse(content))
    alone = loading.parse(content + "model: {audio_tower: statistics}\n")
    assert "model.audio_filters" not in search_space.default(alone)


def test_the_fusion_sum_is_tried_where_all_tasks_are_classifications() -> None:
    tried = search_space.default(SPEC)["model.fusion"]
    assert tried == Choices(choices=("concat", "mlp", "gated", "attention", "sum"))
    kind = SPEC.tasks["kind"].model_copy(update={"kind": "tagging"})
    tagging = SPEC.model_copy(update={"tasks": {"kind": kind}})
    tried = search_space.default(tagging)["model.fusion"]
    assert tried == Choices(choices=("concat", "mlp", "gated", "attention"))


def test_values_are_put_in_the_place_of_the_specs_own() -> None:
    values = {"model.text_dim": 12.0, "model.image_filters": [4], "training.learning_rate": 0.5}
    changed = search_space.applied(SPEC, values)
    assert changed.model.text_dim == 12
    assert changed.model.image_filters == (4,)
    assert changed.training.learning_rate == 0.5
    assert changed.features_json() == SPEC.features_json()
    assert search_space.applied(SPEC, {}) == SPEC
    assert search_space.own_value(SPEC, "model.image_filters") == [8, 16]
    assert search_space.own_value(SPEC, "model.text_tower") == "cnn"  # not in the stored form
