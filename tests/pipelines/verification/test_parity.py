"""Parity gate: it passes if training and scoring agree, and names the feature that differs."""

import base64
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
import pytest
import tensorflow as tf
import tensorflow_transform as tft

from tests import media, records
from tests.conftest import RECORDS
from tests.printed import shown, verdicts
from triad_ml.model.serving import bundle, scorer
from triad_ml.pipelines.cli import main
from triad_ml.pipelines.preprocessing import dataset
from triad_ml.pipelines.verification import parity
from triad_ml.pipelines.verification import run as verification_run
from triad_ml.pipelines.verification.config import ParityConfig
from triad_ml.transforms.errors import OptionsError
from triad_ml.transforms.features import audio as features_audio
from triad_ml.transforms.features import registry as features_registry
from triad_ml.transforms.features import text as features_text
from triad_ml.transforms.media.canonicalize import Canonicalizer
from triad_ml.transforms.records.values import CanonicalRecord, Position, RawRecord
from triad_ml.transforms.spec import modalities

FEATURES = (
    *("audio", "audio_present", "image", "image_present"),
    *("text", "text_grams", "text_present"),
)
OUTPUTS = ("category/distribution", "category/label", "category/score")


def test_every_record_is_exactly_the_same_in_all_ways(generated, trained, capsys):
    arguments = ["--model", str(trained), "--input", str(generated), "--tolerance", "0"]
    assert main.main(["parity", *arguments]) == 0
    text = capsys.readouterr().out
    equal = [str(RECORDS), "0", "0", "equal"]
    assert shown(text) == dict.fromkeys(("id", *FEATURES, *OUTPUTS), equal)
    assert text.index("Features: preprocessing pipeline and SavedModel") < text.index(
        "Scores: scoring pipeline and SavedModel"
    )


def test_training_files_hold_exactly_what_the_model_sees(generated, prepared, trained):
    model = bundle.load(trained)
    loaded = scorer.load_scorer(str(trained), model.model_digest, False)
    made = {
        one.id: Canonicalizer(model.spec, check=True).canonical(one)
        for one in records.read(generated, *model.spec.label_names)
        if isinstance(one, RawRecord)
    }
    description = tft.TFTransformOutput(str(prepared / "transform")).transformed_feature_spec()
    sizes = []
    for split in ("train", "eval", "test"):
        files = dataset.read(prepared).files(split)
        for batch in tf.data.TFRecordDataset(files, "GZIP").batch(dataset.BATCH_SIZE):
            stored = tf.io.parse_example(batch, description)
            ids = [one.decode() for one in stored["id"].numpy()]
            seen = loaded.features([made[one] for one in ids])
            for name in FEATURES:
                np.testing.assert_array_equal(stored[name].numpy(), seen[name], err_msg=name)
            sizes.append(len(ids))
    assert sum(sizes) == RECORDS
    assert dataset.BATCH_SIZE in sizes
    assert min(sizes) < dataset.BATCH_SIZE


@pytest.mark.parametrize("width", [3, 8, 64, 256])
@pytest.mark.parametrize("classes", [2, 3, 7, 16, 100])
def test_a_row_of_a_product_does_not_depend_on_its_place(width, classes):
    rng = np.random.default_rng(width * classes)
    weights = tf.Variable(rng.normal(size=(width, classes)), dtype=tf.float32)
    rows = np.tile(rng.normal(size=width), (dataset.BATCH_SIZE, 1))
    product = tf.function(lambda given: tf.matmul(given, weights))
    found = product(tf.constant(rows, tf.float32)).numpy()
    np.testing.assert_array_equal(found, np.tile(found[0], (len(rows), 1)))


def nearest(content: tf.Tensor, section: modalities.ImageSpec) -> tf.Tensor:
    size = section.size

    def decode(one: tf.Tensor) -> tf.Tensor:
        pixels = tf.image.resize(tf.io.decode_jpeg(one, channels=3), (size, size), "nearest")
        return tf.strings.substr(tf.io.serialize_tensor(pixels), -size * size * 3, size * size * 3)

    blank = tf.constant(bytes(size * size * 3))
    return tf.map_fn(
        lambda one: tf.cond(tf.equal(one, b""), lambda: blank, lambda: decode(one)),
        content,
        fn_output_signature=tf.TensorSpec([], tf.string),
    )


def changed_audio(original: Callable[..., tf.Tensor]) -> Callable[..., tf.Tensor]:
    return lambda *given: original(*given) * 1.00001


def changed_log_mel(original: Callable[..., tf.Tensor]) -> Callable[..., tf.Tensor]:
    return lambda signal, section: original(signal * 0.9999, section)


def changed_words(original: Callable[..., Any]) -> Callable[..., Any]:
    return lambda text: original(tf.strings.regex_replace(text, "[.]", " "))


@pytest.mark.parametrize(
    ("module", "graph", "change", "feature"),
    [
        (features_registry, "image_graph", lambda _: nearest, "image"),
        (features_registry, "audio_graph", changed_audio, "audio"),
        (features_audio, "log_mel_graph", changed_log_mel, "audio"),
        (features_text, "words_graph", changed_words, "text"),
    ],
    ids=["image", "audio", "log-mel", "words"],
)
def test_a_changed_line_of_the_graph_is_named(
    generated, trained, capsys, monkeypatch, module, graph, change, feature
):
    monkeypatch.setattr(module, graph, change(getattr(module, graph)))
    arguments = ["--model", str(trained), "--input", str(generated), "--limit", "5"]
    assert main.main(["parity", *arguments]) == 10
    text = capsys.readouterr().out
    assert verdicts(text) == {
        name: "FAILS" if name == feature else "equal" for name in ("id", *FEATURES, *OUTPUTS)
    }
    assert {row[0] for row in shown(text).values()} == {"5"}
    assert "FAILS (record generated-00000" in text


def test_records_with_flawed_media_are_compared_too(trained, tmp_path, capsys):
    wav, jpeg = media.wav(16_000, 0.5), media.jpeg(40, 40)
    body = jpeg.index(b"\xff\xda")
    damaged = jpeg[: body + 30] + b"\xff\xc4\x00\x02" + jpeg[body + 34 :]
    whole = {"image": inline(jpeg), "audio": inline(wav), "text": "The fan hums."}
    path = records.write_lines(
        tmp_path / "records.jsonl",
        [
            {"id": "whole", **whole},
            {"id": "cut", **whole, "image": inline(jpeg[:-40])},
            {"id": "damaged", **whole, "image": inline(damaged)},
            {"id": "gone", **whole, "audio": "nowhere.wav"},
            {"id": "noise", **whole, "audio": inline(b"neither sound nor picture")},
            {"id": "unreadable", "image": inline(b"no picture")},
            {"id": "empty"},
            {"id": "whole", "text": "a second one"},
            b"{no record",
        ],
    )
    assert verification_run.parity(ParityConfig(str(trained), (str(path),), tolerance=0.0))
    assert set(verdicts(capsys.readouterr().out).values()) == {"equal"}


def inline(content: bytes) -> dict[str, str]:
    return {"base64": base64.b64encode(content).decode()}


def test_nothing_to_compare_is_refused(trained, tmp_path):
    path = records.write_lines(tmp_path / "records.jsonl", [{"id": "empty"}, b"{no record"])
    with pytest.raises(OptionsError) as refused:
        parity.run(ParityConfig(str(trained), (str(path),)), bundle.load(trained))
    assert str(refused.value) == f"{path}: no record in it can be compared"


def test_media_in_other_folders_are_compared_where_they_are_allowed(trained, tmp_path, capsys):
    picture = tmp_path / "elsewhere" / "picture.jpg"
    picture.parent.mkdir()
    picture.write_bytes(media.jpeg())
    path = records.write_lines(
        tmp_path / "records" / "records.jsonl", [{"id": "only a picture", "image": str(picture)}]
    )
    with pytest.raises(OptionsError):
        verification_run.parity(ParityConfig(str(trained), (str(path),)))
    roots = (str(picture.parent),)
    assert verification_run.parity(ParityConfig(str(trained), (str(path),), media_roots=roots))
    assert shown(capsys.readouterr().out)["image"] == ["1", "0", "0", "equal"]


def row(record_id: str, **values: Any) -> parity.Row:
    return record_id, {name: np.asarray(value) for name, value in values.items()}


def compared(
    rows: Sequence[parity.Row], served: Sequence[parity.Row], tolerance: float = 0.0
) -> dict[str, tuple[int, int, float, str]]:
    known = dict(served)
    given = {name: CanonicalRecord(name, Position("records.jsonl", 0)) for name in known}
    found = parity.compare(
        given, rows, lambda asked: [(one.id, known[one.id]) for one in asked], tolerance
    )
    return {one.name: (one.records, one.unequal, one.largest, one.record) for one in found}


def test_rows_are_matched_by_id_in_any_order():
    rows = [row(f"r{index}", text=[index]) for index in range(70)]
    assert compared(rows, rows[::-1]) == {"id": (70, 0, 0.0, ""), "text": (70, 0, 0.0, "")}


def test_a_row_that_is_missing_or_not_asked_for_is_a_difference_of_ids():
    rows = [row("a", text=[1]), row("b", text=[2])]
    assert compared(rows[:1], rows)["id"] == (2, 1, 1.0, "b")
    assert compared([*rows, row("c", text=[3])], rows)["id"] == (3, 1, 1.0, "c")
    assert compared([*rows, rows[0]], rows)["id"] == (3, 1, 1.0, "a")


def test_a_feature_that_one_way_lacks_is_infinitely_far():
    found = compared([row("a", text=[1])], [row("a", text=[1], image=[2])])
    assert found["image"] == (1, 1, float("inf"), "a")
    found = compared([row("a", text=[1], image=[2])], [row("a", text=[1])])
    assert found["image"] == (1, 1, float("inf"), "a")
    assert found["text"] == (1, 0, 0.0, "")


def test_only_floats_may_differ_within_the_tolerance():
    mine = [row("a", audio=np.float32([1.0]), text=[1])]
    theirs = [row("a", audio=np.float32([1.5]), text=[2])]
    given = {"a": CanonicalRecord("a", Position("records.jsonl", 0))}
    found = parity.compare(given, mine, lambda _: theirs, tolerance=1.0)
    assert {one.name: one.passes for one in found} == {"id": True, "audio": True, "text": False}
