"""Reading of specs: exact values, and helpful errors."""

import json
import re
from pathlib import Path
from typing import Any

import jsonschema
import pydantic
import pytest

from triad_ml.transforms.errors import OptionsError
from triad_ml.transforms.records import columns
from triad_ml.transforms.records.values import MODALITIES
from triad_ml.transforms.spec import loading, modalities, spec, split, tasks, training
from triad_ml.transforms.spec import model as spec_model

ROOT = Path(__file__).resolve().parents[3]

SMALL = """
modalities: {image: {size: 32}, text: }
tasks: {category: {kind: classification, label: what}}
"""


def refusal(content: str) -> str:
    with pytest.raises(OptionsError) as caught:
        loading.parse(content, "my.yaml")
    assert caught.value.exit_code == 12
    return str(caught.value)


@pytest.mark.parametrize(
    ("content", "why"),
    [
        ("modalities: " + "[" * 3000, "over 64 levels"),
        ("\n".join(" " * level + "a:" for level in range(2000)), "over 64 levels"),
        ("? [a]\n: b", "a key is a list or mapping"),
        ("modalities: !!int abc", "'abc' is no int"),
        ("modalities: 2001-99-99", "'2001-99-99' is no timestamp"),
        ("modalities: !!bool x", "'x' is no bool"),
        ("modalities: 1" + ":59" * 300 + ".0", "is no float"),
        ("modalities: " + "9" * 5000, "is no int"),
        ("modalities: &a [*a]", "found unconstructable recursive node"),
    ],
)
def test_yaml_that_python_cannot_hold_is_refused_with_its_place(content, why):
    said = refusal(content)
    assert said.startswith("my.yaml: not YAML: ")
    assert why in said
    assert " in line " in said
    assert len(said) < 400


def test_aliases_may_repeat_what_is_small_and_nothing_that_grows():
    levels = "".join(f"a{n}: &a{n} [{', '.join([f'*a{n - 1}'] * 10)}]\n" for n in range(1, 9))
    said = refusal(f"a0: &a0 [x]\n{levels}modalities: *a8\n")
    assert "over 100000 values" in said
    said = refusal(f"a0: &a0 [x]\n{levels[: levels.index('a4')]}modalities: *a3\n{SMALL[-60:]}")
    assert len(said) < 2000
    shared = "modalities: {image: &size {size: 32}, text: }\ntasks: {a: &t {label: x}, b: *t}"
    task = loading.parse(shared.replace("{label", "{kind: classification, label")).tasks
    assert task["a"] == task["b"]


def with_part(part: str) -> str:
    return SMALL + part


def test_what_is_not_said_has_its_default():
    small = loading.parse(SMALL)
    assert small.modalities.names == ("image", "text")
    assert small.modalities.image == modalities.ImageSpec(size=32, fit="pad")
    assert small.modalities.text == modalities.TextSpec(tokens="word", vocabulary=20_000, length=64)
    assert small.modalities.audio is None
    assert small.tasks == {
        "category": tasks.ClassificationTask(kind="classification", label="what")
    }
    assert small.split == split.Split(by="group", train=0.8, eval=0.1, test=0.1)
    assert small.training == training.Training()
    assert small.model == spec_model.ModelSpec()
    assert small.limits == modalities.Limits()


@pytest.mark.parametrize(
    ("content", "line"),
    [
        (
            SMALL.replace("size", "sise"),
            "my.yaml: modalities.image.sise: unknown key; did you mean 'size'?",
        ),
        (
            with_part("trainning: {}"),
            "my.yaml: trainning: unknown key; did you mean 'training'?",
        ),
        (
            SMALL.replace("label: what", "label: what, imbalence: none"),
            "my.yaml: tasks.category.imbalence: unknown key; did you mean 'imbalance'?",
        ),
        (
            with_part("split: {qqq: 1}"),
            "my.yaml: split.qqq: unknown key; known keys: by, eval, keep_together, test, train",
        ),
        (
            with_part("training: {epochs: 0}"),
            "my.yaml: training.epochs: input should be greater than or equal to 1, got 0",
        ),
        (
            SMALL.replace("label: what", ""),
            "my.yaml: tasks.category.label: this key is required",
        ),
        (
            SMALL.replace("kind: classification", "kind: classification, beam: 2"),
            "my.yaml: tasks.category: a task of kind classification has no beam; leave it out",
        ),
        (
            SMALL.replace("kind: classification", "kind: generation, marker: x"),
            "my.yaml: tasks.category: a task of kind generation has no marker; leave it out",
        ),
        (
            SMALL.replace("classification", "guessing"),
            "my.yaml: tasks.category.kind: input should be 'classification', "
            "'tagging', 'generation' or 'regression', got 'guessing'",
        ),
        (
            SMALL.replace("kind: classification, ", ""),
            "my.yaml: tasks.category.kind: this key is required",
        ),
        (
            SMALL.replace("classification", "[tagging]"),
            "my.yaml: tasks.category.kind: input should be 'classification', "
            "'tagging', 'generation' or 'regression', got ['tagging']",
        ),
        (
            SMALL.replace("{kind: classification, label: what}", "3"),
            "my.yaml: tasks.category: must be a mapping of keys to values, got 3",
        ),
        (
            SMALL.replace("classification", "tagging, makrer: x"),
            "my.yaml: tasks.category.makrer: unknown key; did you mean 'marker'?",
        ),
        (
            SMALL.replace("classification", "generation, beam: 9"),
            "my.yaml: tasks.category.beam: input should be less than or equal to 8, got 9",
        ),
        (
            SMALL.replace("classification", "tagging, multi_label: true"),
            "my.yaml: tasks.category: a task of kind tagging has no multi_label; leave it out",
        ),
        (
            SMALL.replace("classification", "regression, imbalance: class_weights"),
            "my.yaml: tasks.category: a task of kind regression has no imbalance; leave it out",
        ),
        (
            SMALL.replace("classification", "tagging, imbalance: class_weights"),
            "my.yaml: tasks.category.imbalance: input should be 'none' or 'balanced_sampling', got "
            "'class_weights'",
        ),
        (
            SMALL.replace("classification", "generation, imbalance: balanced_sampling"),
            "my.yaml: tasks.category: a task of kind generation has no imbalance; leave it out",
        ),
        (
            SMALL.replace("classification", "tagging, thresholds: f1"),
            "my.yaml: tasks.category: a task of kind tagging has no thresholds; leave it out",
        ),
        (
            SMALL.replace("classification", "classification, marker: at"),
            "my.yaml: tasks.category: a task of kind classification has no marker; leave it out",
        ),
        (
            SMALL.replace("classification", "classification, tokens: words"),
            "my.yaml: tasks.category: a task of kind classification has no tokens; leave it out",
        ),
        (
            SMALL.replace("classification", "tagging").replace(", text: ", ""),
            "my.yaml: spec: tasks.category: tagging needs modalities.text; name it",
        ),
        (
            SMALL.replace("classification", "tagging") + "model: {fusion: sum}\n",
            "my.yaml: spec: tasks.category: tagging needs a joint embedding, which model.fusion: "
            "sum has not; choose another fusion",
        ),
        (
            SMALL.replace(", text: ", "") + "model: {text_tower: gru}\n",
            "my.yaml: spec: model.text_tower: gru needs modalities.text; name it",
        ),
        (
            SMALL + "model: {preset: best, recipe: auto}\n",
            "my.yaml: model: preset best chooses the recipe, and recipe is auto; name one",
        ),
        (
            SMALL + "model: {audio_tower: cnn}\n",
            "my.yaml: spec: model.audio_tower: cnn needs modalities.audio; name it",
        ),
        (
            with_part("model: {task_fusion: mlp}"),
            "my.yaml: spec: model.task_fusion: mlp joins tasks, but there is only one; "
            "name another task, or leave task_fusion out",
        ),
        (
            with_part("model: {fusion_units: [8]}"),
            "my.yaml: model: fusion_units is for fusion: mlp and task_fusion: mlp; "
            "name one, or leave fusion_units out",
        ),
        (
            with_part("model: {fusion: attention, fusion_dropout: 0.1}"),
            "my.yaml: model: fusion_dropout is for fusion: mlp and task_fusion: mlp; "
            "name one, or leave fusion_dropout out",
        ),
        (
            with_part("training: {optimizer: lion, optimizer_arguments: {rho: 0.9}}"),
            "my.yaml: training: optimizer_arguments: lion has no rho; it has beta_1, beta_2",
        ),
        (
            with_part("training: {optimizer: sgd, optimizer_arguments: {momentum: 1.5}}"),
            "my.yaml: training: optimizer_arguments.momentum: input should be less than 1, got 1.5",
        ),
        (
            with_part("training: {optimizer: sgd, optimizer_arguments: {nesterov: 1}}"),
            "my.yaml: training: optimizer_arguments.nesterov: input should be a valid boolean, "
            "got 1",
        ),
        (
            with_part("split: {train: 0.8, eval: 0.3, test: 0.1}"),
            "my.yaml: split: train, eval and test must add up to 1, got 1.2",
        ),
        (
            SMALL.replace("{image: {size: 32}, text: }", "{}"),
            "my.yaml: modalities: name at least one of image, audio, text",
        ),
        (
            SMALL.replace("category", "Category"),
            "my.yaml: tasks: task 'Category': use a-z, 0-9 and _, beginning with a letter",
        ),
        (
            SMALL.replace("category", "issues"),
            "my.yaml: tasks: task 'issues': the name is a column of the scores; take another",
        ),
        (
            with_part("training: {epochs: true}"),
            "my.yaml: training.epochs: input should be a valid integer, got True",
        ),
        (
            with_part("training: {epochs: '3'}"),
            "my.yaml: training.epochs: input should be a valid integer, got '3'",
        ),
        (
            with_part("training: {augment: 1}"),
            "my.yaml: training.augment: input should be a valid boolean, got 1",
        ),
        (
            with_part("training: {augment: {mirrow: true}}"),
            "my.yaml: training.augment.mirrow: unknown key; did you mean 'mirror'?",
        ),
        (
            with_part("training: {augment: {mirror: 1}}"),
            "my.yaml: training.augment.mirror: input should be a valid boolean, got 1",
        ),
        (
            with_part("training: {augment: {pitch: true}}"),
            "my.yaml: spec: training.augment.pitch needs modalities.audio; name it, or leave the "
            "switch out",
        ),
        (
            SMALL.replace("image: {size: 32}, ", "") + "training: {augment: {mixup: true}}",
            "my.yaml: spec: training.augment.mixup mixes images and audio, and the spec has "
            "neither; leave it out",
        ),
        (
            SMALL.replace("image: {size: 32}", "audio: {features: mel}"),
            "my.yaml: modalities.audio.features: input should be 'log_mel', 'mfcc' or 'chroma', "
            "got 'mel'",
        ),
        (
            SMALL.replace("image: {size: 32}", "audio: {features: chroma, mel_scale: htk}"),
            "my.yaml: modalities.audio: mel_scale is for log_mel and mfcc, not chroma; leave it "
            "out",
        ),
        (
            SMALL.replace("classification", "classification, gamma: 2"),
            "my.yaml: tasks.category: gamma is of imbalance: focal; name that, or leave gamma out",
        ),
        (
            SMALL.replace("classification", "classification, imbalance: focal, beta: 0.9"),
            "my.yaml: tasks.category: beta is of imbalance: class_balanced; name that, or leave "
            "beta out",
        ),
        (
            SMALL.replace("classification", "classification, multi_label: true, imbalance: noise"),
            "my.yaml: tasks.category: imbalance: noise needs one class a record; "
            "use balanced_sampling or logit_adjustment for sets",
        ),
        (
            SMALL.replace("classification", "classification, imbalance: gan"),
            "my.yaml: spec: tasks.category: imbalance: gan generates vectors of a frozen image "
            "encoder; name a pretrained model.image_encoder with image_freeze: true, or use "
            "another imbalance",
        ),
        (
            SMALL.replace("classification", "classification, thresholds: f1"),
            "my.yaml: tasks.category: thresholds are for multi_label: true; leave them out",
        ),
        (
            with_part("mixture: {by: group}"),
            "my.yaml: mixture.by: 'group' is a key of every record; name a field of your own, "
            "got 'group'",
        ),
        (
            with_part("mixture: {by: source, temperature: 2}"),
            "my.yaml: mixture.temperature: input should be less than or equal to 1, got 2",
        ),
        (
            "modalities: [image]\ntasks: {a: {kind: classification, label: b}}",
            "my.yaml: modalities: must be a mapping of keys to values, got ['image']",
        ),
        ("modalities: {text: }\ntasks: {}", "my.yaml: tasks: must not be empty"),
        (
            SMALL.replace("what", "no"),
            "my.yaml: tasks.category.label: input should be a valid string, got False; in YAML "
            "yes, no, on and off are true and false: quote the word",
        ),
        (
            "modalities: {text: }\ntasks:\n\ta: b",
            "my.yaml: not YAML: while scanning for the next token found character '\\t' that "
            "cannot start any token in line 3, column 1: a: b ^; indent with spaces",
        ),
        ("- a", "my.yaml: a spec is a mapping with the keys modalities and tasks"),
        ("", "my.yaml: a spec is a mapping with the keys modalities and tasks"),
    ],
)
def test_a_mistake_is_one_line_with_the_file_the_key_and_the_rule(content, line):
    assert refusal(content) == line


def test_numbers_are_read_as_yaml_1_2_says():
    what = loading.parse(with_part("training: {learning_rate: 2e-3, weight_decay: 1}"))
    assert (what.training.learning_rate, what.training.weight_decay) == (0.002, 1.0)


def test_every_mistake_has_its_line():
    lines = refusal(with_part("training: {epochs: 0, sed: 1}\nmodell: {}")).splitlines()
    assert [line.split(": ")[1] for line in lines] == [
        "training.epochs",
        "training.sed",
        "modell",
    ]


def test_a_key_that_stands_twice_is_refused_where_it_stands():
    line = refusal(with_part("split: {by: id, by: group}"))
    assert line.startswith("my.yaml: not YAML: key 'by' stands twice")
    assert "line 4" in line
    assert "\n" not in line


def test_text_that_is_no_yaml_is_refused_in_one_line():
    line = refusal("modalities: {image: ")
    assert line.startswith("my.yaml: not YAML: ")
    assert "\n" not in line


@pytest.mark.parametrize(
    "column", sorted({*columns.SCORES, *columns.FOLDERS, *MODALITIES, "extra_price"})
)
def test_no_task_takes_the_name_of_a_column_of_the_scores(column):
    assert f"task {column!r}: the name is a column" in refusal(SMALL.replace("category", column))


def test_a_file_that_is_not_there_is_named(tmp_path):
    path = tmp_path / "absent.yaml"
    with pytest.raises(OptionsError) as caught:
        loading.load(path)
    assert str(caught.value) == f"{path}: the spec cannot be read: No such file or directory"


def test_a_file_that_is_not_utf8_is_named(tmp_path):
    path = tmp_path / "latin.yaml"
    path.write_bytes("modalities: é".encode("latin-1"))
    with pytest.raises(OptionsError, match=re.escape(f"{path}: the spec cannot be read: ")):
        loading.load(path)


def test_a_spec_from_a_file_is_the_one_from_its_text(tmp_path):
    path = tmp_path / "good.yaml"
    path.write_text(SMALL, encoding="utf-8")
    assert loading.load(path) == loading.parse(SMALL)


def test_its_json_is_the_same_spec_with_the_same_digest():
    small = loading.parse(SMALL)
    again = loading.parse(small.to_json())
    assert again == small
    assert again.to_json() == small.to_json()
    assert again.digest() == small.digest()


def test_its_digest_does_not_depend_on_how_it_is_written():
    other = """
    tasks:
      category: {label: what, kind: classification, weight: 1}
    modalities: {text: {length: 64}, image: {fit: pad, size: 32}}
    """
    assert loading.parse(other).digest() == loading.parse(SMALL).digest()
    assert loading.parse(SMALL.replace("32", "33")).digest() != loading.parse(SMALL).digest()


@pytest.mark.parametrize(
    ("part", "changes"),
    [
        ("limits: {text_bytes: 100}", True),
        ("model: {dim: 64}", False),
        ("training: {epochs: 1}", False),
        ("split: {by: id}", False),
    ],
)
def test_only_what_decides_a_feature_is_in_the_features_part(part, changes):
    small, other = loading.parse(SMALL), loading.parse(with_part(part))
    assert (small.features_json() != other.features_json()) == changes


def test_labels_are_named_once_and_sorted():
    content = """
    modalities: {text: }
    tasks:
      b: {kind: classification, label: y}
      a: {kind: classification, label: x}
      c: {kind: classification, label: y, multi_label: true}
    """
    assert loading.parse(content).label_names == ("x", "y")


def test_the_label_names_are_also_those_of_tokens_and_markers():
    content = """
    modalities: {text: }
    tasks: {roles: {kind: tagging, label: y, tokens: words, marker: at}}
    """
    assert loading.parse(content).label_names == ("at", "words", "y")


def test_a_spec_without_tagging_reads_as_it_did_before_there_was_tagging():
    whole = json.loads(loading.parse(SMALL).to_json())
    assert whole["tasks"]["category"].keys() == {
        *("kind", "label", "multi_label", "imbalance", "weight")
    }
    features = json.loads(loading.parse(SMALL).features_json())
    assert features["tasks"] == {
        "category": {"kind": "classification", "label": "what", "multi_label": False}
    }


@pytest.mark.parametrize("kind", ["tagging", "generation"])
def test_stored_tasks_without_classes_have_the_keys_of_classes(kind):
    found = loading.parse(SMALL.replace("classification", kind))
    stored = json.loads(found.to_json())
    task = stored["tasks"]["category"]
    assert (task["kind"], task["multi_label"], task["imbalance"]) == (kind, False, "none")
    assert spec.Spec.model_validate(stored) == found


def test_spelling_is_a_feature_and_a_spec_without_it_reads_as_it_did_before():
    plain = loading.parse(SMALL)
    spelled = loading.parse(SMALL.replace("text: }", "text: {spelling: 500}}"))
    assert json.loads(plain.to_json())["modalities"]["text"].keys() == {
        *("tokens", "vocabulary", "length")
    }
    assert plain.features_json() != spelled.features_json()
    assert spelled.modalities.text.spelling == 500


@pytest.mark.parametrize(
    ("section", "key", "default", "other"),
    [
        ("model", "task_fusion", "none", "attention"),
        ("model", "text_tower", "cnn", "lstm"),
        ("model", "audio_tower", "both", "cnn"),
        ("model", "fusion_dropout", 0.0, 0.2),
        ("model", "fusion_units", None, [16, 8]),
        ("training", "optimizer", "adamw", "sgd"),
        ("training", "optimizer_arguments", {}, {"epsilon": 0.5}),
    ],
)
def test_a_key_with_its_default_is_not_stored_and_another_value_is(section, key, default, other):
    def read(given):
        whole = {
            "modalities": {"audio": {}, "text": {}},
            "tasks": {name: {"kind": "classification", "label": "x"} for name in "ab"},
            "model": {"fusion": "mlp"},
        }
        whole[section] = {**whole.get(section, {}), **given}
        return spec.Spec.model_validate(whole)

    plain, named, changed = read({}), read({key: default}), read({key: other})
    assert named == plain
    assert named.to_json() == plain.to_json()
    assert key not in json.loads(plain.to_json())[section]
    assert json.loads(changed.to_json())[section][key] == other
    assert changed.digest() != plain.digest()
    assert changed.features_json() == plain.features_json()
    assert loading.parse(changed.to_json()) == changed


def test_spelling_is_of_words():
    content = """
    modalities: {text: {tokens: character, spelling: 500}}
    tasks: {a: {kind: classification, label: x}}
    """
    assert refusal(content) == (
        "my.yaml: modalities.text: spelling is for tokens: word, not character; leave it out"
    )


def test_only_one_task_decides_how_often_a_record_comes():
    content = """
    modalities: {text: }
    tasks:
      a: {kind: classification, label: x, imbalance: balanced_sampling}
      b: {kind: classification, label: y, imbalance: balanced_sampling}
    """
    assert refusal(content) == (
        "my.yaml: spec: tasks a, b: only one can have imbalance: balanced_sampling; "
        "use class_weights or focal for the others"
    )


def test_what_names_data_sets_is_part_of_the_features_and_how_they_are_mixed_is_not():
    def features(part):
        return loading.parse(with_part(part)).features_json()

    plain = loading.parse(SMALL).features_json()
    one = features("mixture: {by: source}")
    assert one != plain
    assert features("mixture: {by: shelf}") != one
    assert features("mixture: {by: source, temperature: 0.5}") == one


def test_sizes_of_sounds_follow_from_rate_and_duration():
    audio = modalities.AudioSpec(sample_rate=16_000, seconds=4)
    assert (audio.samples, audio.frame_length, audio.frame_step) == (64_000, 400, 160)
    assert audio.frames == 398


def test_a_spec_cannot_be_changed():
    with pytest.raises(pydantic.ValidationError, match="frozen"):
        loading.parse(SMALL).training.epochs = 3  # type: ignore[misc]


def sections(schema: dict[str, Any]) -> dict[str, dict[str, Any]]:
    return {"Spec": schema, **schema["$defs"]}


def test_the_schema_names_every_key_and_allows_no_other():
    found = sections(loading.schema())
    models = [getattr(spec, name) for name in ("Spec", "Modalities", "ModelSpec", "Training")]
    for model in (*models, spec.Split, spec.Limits, *tasks.KINDS.values()):
        name = model.__name__
        assert found[name]["properties"].keys() == model.model_fields.keys()
        assert found[name]["additionalProperties"] is False
    assert found["Spec"]["required"] == ["modalities", "tasks"]
    assert [*tasks.KINDS] == ["classification", "tagging", "generation", "regression"]
    for kind, model in tasks.KINDS.items():
        assert set(found[model.__name__]["required"]) == {"kind", "label"}
        assert found[model.__name__]["properties"]["kind"]["const"] == kind
    assert found["Training"]["properties"]["epochs"] == {
        "default": 40,
        "minimum": 1,
        "title": "Epochs",
        "type": "integer",
    }


def test_the_schema_takes_good_files_and_refuses_bad_ones():
    validator = jsonschema.Draft202012Validator(loading.schema())
    good = json.loads(loading.parse(SMALL).to_json())
    assert not list(validator.iter_errors(good))
    for bad in ({**good, "taks": {}}, {**good, "training": {"epochs": 0}}, {"tasks": {}}):
        assert list(validator.iter_errors(bad))


def keys(model: type[pydantic.BaseModel], prefix: str = "") -> dict[str, str]:
    """Every key below a section with its default, as the reference writes it."""
    found = {}
    for name, field in model.model_fields.items():
        key = f"{prefix}{name}"
        section = _section(field.annotation)
        if name == "tasks":
            for kind in tasks.KINDS.values():
                found |= keys(kind, f"{key}.NAME.")
        elif section is None:
            found[key] = "required" if field.is_required() else f"`{_yaml(field.default)}`"
        else:
            if prefix:
                found[key] = "none" if field.default is None else f"`{_yaml(field.default)}`"
            found |= keys(section, f"{key}.")
    return found


def _section(annotation: Any) -> type[pydantic.BaseModel] | None:
    options = [annotation, *getattr(annotation, "__args__", ())]
    options += [getattr(one, "__origin__", None) for one in options]  # of Annotated
    classes = [one for one in options if isinstance(one, type)]
    return next((one for one in classes if issubclass(one, pydantic.BaseModel)), None)


def _yaml(value: Any) -> str:
    return value if isinstance(value, str) else json.dumps(value)


def test_the_reference_has_every_key_with_its_default():
    text = (ROOT / "docs" / "reference/spec.md").read_text(encoding="utf-8")
    rows = re.findall(r"^\| `([^`]+)` \| (.+?) \| \S.* \|$", text, flags=re.MULTILINE)
    assert dict(rows) == keys(spec.Spec)
    assert len(rows) == len(dict(rows))


def test_the_examples_of_the_reference_are_good_specs():
    text = (ROOT / "docs" / "reference/spec.md").read_text(encoding="utf-8")
    found = re.findall(r"```yaml\n(.*?)```", text, flags=re.DOTALL)
    first, regression, tagging, writing, *_ = map(loading.parse, found)
    assert first.modalities.names == ("image", "text")
    assert "regression" in {task.kind for task in regression.tasks.values()}
    assert [name for name, task in tagging.tasks.items() if task.kind == "tagging"] == [
        *("names", "predicates", "roles")
    ]
    assert tagging.markers == {"roles": "predicate"}
    translation = writing.tasks["translation"]
    assert isinstance(translation, tasks.GenerationTask)
    assert (translation.vocabulary, translation.length, translation.beam) == (8000, 32, 4)


def digest_with(part: str) -> str:
    return loading.parse(AUDIO + part).digest()


AUDIO = """
modalities: {image: {size: 32}, audio: }
tasks: {category: {kind: classification, label: what}}
"""


def test_a_switch_of_augmentation_is_in_the_digest_only_if_it_is_given():
    plain = loading.parse(AUDIO)
    assert json.loads(plain.to_json())["training"]["augment"] is True
    assert digest_with("training: {augment: true}") == plain.digest()
    given = loading.parse(AUDIO + "training: {augment: {mirror: false}}")
    assert json.loads(given.to_json())["training"]["augment"] == {"mirror": False}
    digests = {
        digest_with(f"training: {{augment: {augment}}}")
        for augment in ("true", "false", "{mirror: false}", "{mirror: true}", "{flip: true}")
    }
    assert len(digests) == 5
    assert loading.parse(given.to_json()) == given


@pytest.mark.parametrize(
    ("augment", "changes"),
    [
        ("true", training.USUAL),
        ("false", set()),
        ("{}", training.USUAL),
        ("{mirror: false}", training.USUAL - {"mirror"}),
        ("{flip: true, words: true, zoom: }", training.USUAL | {"flip"}),
        ("{pitch: true, stretch: true}", training.USUAL | {"pitch", "stretch"}),
    ],
)
def test_a_switch_that_is_not_given_is_as_augment_true_has_it(augment, changes):
    found = loading.parse(f"{AUDIO}training: {{augment: {augment}}}").training
    assert found.changes == changes
    assert found.copies == tuple(name for name in ("stretch", "pitch") if name in changes)


def test_mixup_is_refused_beside_a_task_that_reads_words():
    both = AUDIO.replace("audio: ", "text: ").replace(
        "tasks: {", "tasks: {names: {kind: tagging, label: names}, "
    )
    with pytest.raises(OptionsError, match="mixup: tasks.names reads words, which cannot be"):
        loading.parse(both + "training: {augment: {mixup: true}}")


def test_features_of_audio_are_in_the_digests_only_if_they_differ_from_log_mel():
    plain = loading.parse(AUDIO)
    assert plain.modalities.audio.width == plain.modalities.audio.mel_bins == 64
    assert not plain.needs_librosa
    same = loading.parse(AUDIO.replace("audio: ", "audio: {features: log_mel}"))
    assert (same.digest(), same.features_json()) == (plain.digest(), plain.features_json())
    widths = {}
    for keys in ("mel_scale: htk", "mel_scale: slaney", "features: mfcc", "features: chroma"):
        other = loading.parse(AUDIO.replace("audio: ", f"audio: {{{keys}}}"))
        assert other.digest() != plain.digest()
        assert other.features_json() != plain.features_json()
        assert other.needs_librosa
        widths[keys] = other.modalities.audio.width
    assert list(widths.values()) == [64, 64, 20, 12]
    assert loading.parse(AUDIO + "training: {augment: {pitch: true}}").needs_librosa
