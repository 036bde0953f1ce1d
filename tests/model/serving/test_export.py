"""Exported SavedModel: inputs, outputs, and serving with plain TensorFlow alone."""

import base64
import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any, NamedTuple

import keras
import numpy as np
import pytest
import tensorflow as tf
from tensorflow.core.protobuf import saved_model_pb2

from tests import canonical, media
from triad_ml.model import layout as model_layout
from triad_ml.model import network
from triad_ml.model.serving import bundle, export
from triad_ml.model.serving.scorer import Scorer
from triad_ml.model.tasks.base import output_name
from triad_ml.pipelines.preprocessing import dataset
from triad_ml.pipelines.preprocessing import run as preprocessing_run
from triad_ml.pipelines.preprocessing.config import PreprocessConfig
from triad_ml.pipelines.sources import read as sources_read
from triad_ml.pipelines.sources import units
from triad_ml.transforms.media.canonicalize import Canonicalizer
from triad_ml.transforms.records.values import CanonicalRecord, RawRecord, Scored

ROWS = 29
"""Fewer than a batch: the last rows of a call are padding."""

SETS = """
modalities:
  image: {size: 16}
  text: {tokens: word, vocabulary: 50, length: 8}
tasks:
  urgent: {kind: classification, label: urgent}
  marks: {kind: classification, label: marks, multi_label: true}
model: {dim: 8, image_filters: [4], text_dim: 4}
split: {by: group, train: 1.0, eval: 0.0, test: 0.0}
"""

SERVE = """
import base64, json, sys
from importlib import machinery

hidden = set(sys.argv[3].split())

class OnlyTensorFlow(machinery.PathFinder):
    @classmethod
    def find_spec(cls, name, path=None, target=None):
        return None if name.split(".")[0] in hidden else super().find_spec(name, path, target)

sys.meta_path[:] = [machinery.BuiltinImporter, machinery.FrozenImporter, OnlyTensorFlow]

import tensorflow as tf

media = json.loads(sys.stdin.read())
given = {name: tf.constant([base64.b64decode(one) for one in column])
         for name, column in media.items()}
loaded = tf.saved_model.load(sys.argv[1])
written = {}
for signature in ("serving_default", "features"):
    for name, value in loaded.signatures[signature](**given).items():
        written[f"{signature} {name}"] = base64.b64encode(tf.io.serialize_tensor(value).numpy())
with open(sys.argv[2], "w") as file:
    json.dump({name: one.decode() for name, one in written.items()}, file)
print(json.dumps(sorted({name.split(".")[0] for name in sys.modules})))
"""
HIDDEN = (
    *("apache_beam", "keras", "librosa", "pyarrow", "soundfile", "soxr", "tensorflow_metadata"),
    *("tensorflow_transform", "tests", "tf_keras", "tfx_bsl", "triad_ml"),
)

NEVER_IN_A_GRAPH = {
    *("PyFunc", "PyFuncStateless", "EagerPyFunc", "Print", "PrintV2", "ReadFile", "WriteFile"),
    *("MatchingFiles", "ReaderReadV2", "WholeFileReaderV2", "TFRecordDataset", "TextLineDataset"),
}


def read(inputs: Path, model: bundle.Artefact, roots: tuple[str, ...] = ()) -> list[Any]:
    """What scoring makes of a file's records before they reach the model."""
    canonicalizer = Canonicalizer(model.spec, roots, check=False)
    (unit,) = units.plan(units.list_inputs([str(inputs)]))
    return [
        canonicalizer.canonical(record)
        for record in sources_read.read(unit, model.spec.label_names)
        if isinstance(record, RawRecord)
    ]


def columns(model: bundle.Artefact, records: list[CanonicalRecord]) -> dict[str, list[str]]:
    """The batch as the scorer pads it, base64."""
    padding = [b""] * (model.batch_size - len(records))
    return {
        name: [
            base64.b64encode(one).decode()
            for one in [getattr(record, name) for record in records] + padding
        ]
        for name in model.spec.modalities.names
    }


def graphs_of(model: bundle.Artefact) -> list[Any]:
    content = saved_model_pb2.SavedModel()
    content.ParseFromString((model.saved_model / "saved_model.pb").read_bytes())
    return list(content.meta_graphs)


def ops_of(model: bundle.Artefact) -> set[str]:
    """Names of all ops, in the graph itself and in the functions that it calls."""
    ops: set[str] = set()
    for graph in graphs_of(model):
        ops |= {node.op for node in graph.graph_def.node}
        for function in graph.graph_def.library.function:
            ops |= {node.op for node in function.node_def}
    return ops


@pytest.fixture(scope="module")
def model(trained: Path) -> bundle.Artefact:
    return bundle.load(trained)


class SetsModel(NamedTuple):
    """A model of a binary and a multi-label task, and the records it was made from."""

    artefact: bundle.Artefact
    records: list[CanonicalRecord]


@pytest.fixture(scope="module")
def sets(generated: Path, tmp_path_factory: pytest.TempPathFactory) -> SetsModel:
    """Analyzed by the real command; with weights as they are before training."""
    folder = tmp_path_factory.mktemp("sets")
    (folder / "spec.yaml").write_text(SETS)
    rows = []
    for line in generated.read_text().splitlines()[:40]:
        row = json.loads(line)
        machine, state = row["labels"]["category"].split("_")
        row["labels"] = {"urgent": state == "faulty", "marks": [machine, state]}
        row["image"] = row["image"] and str(generated.parent / row["image"])
        rows.append(json.dumps(row))
    (folder / "records.jsonl").write_text("\n".join(rows))
    config = PreprocessConfig(
        spec=str(folder / "spec.yaml"),
        inputs=(str(folder / "records.jsonl"),),
        output=str(folder / "data"),
        shards=1,
        media_roots=(str(generated.parent),),
        rejected_limit=1.0,
    )
    preprocessing_run.run(config)
    prepared = dataset.read(folder / "data")
    layout = model_layout.Layout(prepared.spec, prepared.classes, prepared.vocabulary_size)
    keras.utils.set_random_seed(3)
    export.save(
        network.build_networks(layout),
        prepared.transform,
        prepared.transform_files,
        layout,
        folder / "saved_model",
        prepared.manifest["transform_digest"],
    )
    about = {
        "spec": json.loads(prepared.spec.to_json()),
        "classes": prepared.classes,
        "batch_size": 48,
        "digests": {"model": "m", "transform": "t"},
        "files": bundle.file_digests(folder),
    }
    made = bundle.Artefact(folder, about)
    found = read(folder / "records.jsonl", made, (str(generated.parent),))
    return SetsModel(made, [one for one in found if isinstance(one, CanonicalRecord)][:ROWS])


def shapes(signature: Any) -> dict[str, tuple[tf.DType, list[int | None]]]:
    return {
        name: (one.dtype, one.shape.as_list()) for name, one in signature.structured_outputs.items()
    }


class TestSignatures:
    """Names, types and shapes are a contract with every server and client."""

    @pytest.fixture(scope="class")
    def signatures(self, model: bundle.Artefact) -> Any:
        return tf.saved_model.load(str(model.saved_model)).signatures

    def test_there_are_three(self, signatures: Any) -> None:
        assert set(signatures) == {"serving_default", "features", "explain"}

    @pytest.mark.parametrize("name", ["serving_default", "features", "explain"])
    def test_each_takes_the_canonical_bytes_of_any_number_of_records(
        self, signatures: Any, name: str
    ) -> None:
        positional, named = signatures[name].structured_input_signature
        assert positional == ()
        assert named == {
            one: tf.TensorSpec([None], tf.string, name=one) for one in ("image", "audio", "text")
        }

    def test_serving_gives_label_score_and_distribution_of_each_task(self, signatures: Any) -> None:
        assert shapes(signatures["serving_default"]) == {
            "category/label": (tf.string, [None]),
            "category/score": (tf.float32, [None]),
            "category/distribution": (tf.float32, [None, 4]),
        }

    def test_explain_adds_a_baseline_and_a_share_of_each_modality(self, signatures: Any) -> None:
        assert shapes(signatures["explain"]) == shapes(signatures["serving_default"]) | {
            "category/baseline": (tf.float32, [None]),
            "category/shares": (tf.float32, [None, 3]),
        }

    def test_features_are_those_of_the_training_files_without_labels(self, signatures: Any) -> None:
        assert shapes(signatures["features"]) == {
            "image": (tf.string, [None]),
            "audio": (tf.float32, [None, 98, 16]),
            "text": (tf.int64, [None, 12]),
            "text_grams": (tf.int64, [None, 240]),
            "image_present": (tf.int64, [None]),
            "audio_present": (tf.int64, [None]),
            "text_present": (tf.int64, [None]),
        }

    def test_outputs_are_named_by_task_and_part(self) -> None:
        assert output_name("category", "label") == "category/label"


def test_the_label_is_the_likeliest_class(model: bundle.Artefact, generated: Path) -> None:
    records = read(generated, model)[:ROWS]
    outputs = Scorer(model).outputs(records)
    distribution = outputs["category/distribution"]
    np.testing.assert_allclose(distribution.sum(axis=1), 1, rtol=1e-6)
    assert [label.decode() for label in outputs["category/label"]] == [
        model.classes["category"][place] for place in distribution.argmax(axis=1)
    ]
    assert (outputs["category/score"] == distribution.max(axis=1)).all()


def test_stock_tensorflow_serves_it_bit_for_bit_as_the_scorer_does(
    model: bundle.Artefact, generated: Path, tmp_path: Path
) -> None:
    records = read(generated, model)[:ROWS]
    finished = subprocess.run(
        [sys.executable, "-I", "-c", SERVE, str(model.saved_model), "served.json"]
        + [" ".join(HIDDEN)],
        input=json.dumps(columns(model, records)),
        cwd=tmp_path,
        env=os.environ,
        capture_output=True,
        text=True,
        check=False,
    )
    assert finished.returncode == 0, finished.stderr
    imported = json.loads(finished.stdout.splitlines()[-1])
    assert "tensorflow" in imported
    assert set(imported).isdisjoint(HIDDEN)

    served = json.loads((tmp_path / "served.json").read_text())
    scorer = Scorer(model)
    whole = {
        **{f"serving_default {name}": one for name, one in scorer.outputs(records).items()},
        **{f"features {name}": one for name, one in scorer.features(records).items()},
    }
    assert set(served) == set(whole)
    for name, expected in whole.items():
        kind = tf.as_dtype(expected.dtype if expected.dtype != object else tf.string)
        array = tf.io.parse_tensor(base64.b64decode(served[name]), kind).numpy()
        assert array[: len(records)].tolist() == expected.tolist(), name


class TestGraph:
    """A model is a program: what it may do is a closed list."""

    def test_every_op_is_one_of_tensorflows_own(self, model: bundle.Artefact) -> None:
        unknown = {op for op in ops_of(model) if not hasattr(tf.raw_ops, op)}
        # A call of a function stands in the graph under the function's name, or as one of these.
        assert {op for op in unknown if not op.startswith("__inference_")} <= {"_Arg", "_Retval"}

    def test_no_op_runs_python_prints_or_touches_files(self, model: bundle.Artefact) -> None:
        ops = ops_of(model)
        assert {"DecodeJpeg", "LookupTableFindV2", "Conv2D"} <= ops
        assert ops.isdisjoint(NEVER_IN_A_GRAPH)

    def test_its_vocabularies_lie_in_its_folder(self, model: bundle.Artefact) -> None:
        named = {one.filename for graph in graphs_of(model) for one in graph.asset_file_def}
        lying = {path.name for path in (model.saved_model / "assets").iterdir()}
        assert named == lying == {"label_category_vocabulary", "text_vocabulary"}


class TestSets:
    """Binary and multi-label tasks."""

    def test_classes_come_from_the_labels(self, sets: SetsModel) -> None:
        assert {task: set(names) for task, names in sets.artefact.classes.items()} == {
            "urgent": {"true", "false"},
            "marks": {"fan", "pump", "faulty", "healthy"},
        }

    def test_a_set_is_one_string_per_class_empty_where_it_is_not_in(self, sets: SetsModel) -> None:
        outputs = Scorer(sets.artefact).outputs(sets.records)
        labels, distribution = outputs["marks/label"], outputs["marks/distribution"]
        assert labels.shape == distribution.shape == (len(sets.records), 4)
        names = sets.artefact.classes["marks"]
        for row, shares in zip(labels, distribution, strict=True):
            assert [one.decode() for one in row] == [
                name if share >= 0.5 else "" for name, share in zip(names, shares, strict=True)
            ]
        assert (distribution >= 0.5).any()
        assert (distribution < 0.5).any()
        assert (outputs["marks/score"] == distribution.max(axis=1)).all()

    def test_shares_of_a_set_do_not_add_up_and_those_of_two_classes_do(
        self, sets: SetsModel
    ) -> None:
        outputs = Scorer(sets.artefact).outputs(sets.records)
        assert outputs["urgent/label"].shape == (len(sets.records),)
        np.testing.assert_allclose(outputs["urgent/distribution"].sum(axis=1), 1, rtol=1e-6)
        assert (abs(outputs["marks/distribution"].sum(axis=1) - 1) > 0.1).all()

    def test_the_scorer_gives_a_set_as_a_tuple_and_a_class_as_a_text(self, sets: SetsModel) -> None:
        names = sets.artefact.classes["marks"]
        outcomes = Scorer(sets.artefact).score(sets.records)
        assert len(outcomes) == len(sets.records)
        for outcome in outcomes:
            assert isinstance(outcome, Scored)
            marks, urgent = outcome.predictions["marks"], outcome.predictions["urgent"]
            inside = zip(names, marks.distribution, strict=True)
            assert marks.label == tuple(name for name, share in inside if share >= 0.5)
            assert urgent.label in {"true", "false"}
            assert urgent.score == urgent.distribution.max()

    def test_modalities_that_the_spec_does_not_name_are_no_inputs(self, sets: SetsModel) -> None:
        with_sound = canonical.record(image=media.png(), audio=b"never looked at", text=b"a fan")
        without = canonical.record(image=media.png(), text=b"a fan")
        scorer = Scorer(sets.artefact)
        first, second = scorer.outputs([with_sound]), scorer.outputs([without])
        assert {name: one.tolist() for name, one in first.items()} == {
            name: one.tolist() for name, one in second.items()
        }

    def test_its_graph_holds_nothing_else_either(self, sets: SetsModel) -> None:
        assert ops_of(sets.artefact).isdisjoint(NEVER_IN_A_GRAPH)
