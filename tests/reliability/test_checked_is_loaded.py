"""Checked files are the loaded ones: models, transform graphs, weights and signatures."""

import contextlib
import os
import shutil
import threading
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
import tensorflow as tf
from tensorflow.core.protobuf import saved_model_pb2

from tests import canonical, reports
from tests.model.serving.test_scorer import rewrite_about
from tests.reliability.test_model_safety import save
from tests.reliability.test_signing import write_keys
from triad_ml.model.serving import bundle, contract, safety, signing
from triad_ml.model.serving.scorer import Scorer, load_scorer
from triad_ml.pipelines.preprocessing import dataset
from triad_ml.pipelines.report import page
from triad_ml.transforms.errors import GateError, OptionsError
from triad_ml.transforms.files.private_copies import private_copy
from triad_ml.transforms.hashing import tree_digests
from triad_ml.transforms.spec import encoder_weights, loading


@contextlib.contextmanager
def swapped_again_and_again(folder: Path, other: Path) -> Iterator[None]:
    """Lets another folder stand in a folder's place, and itself again, until the block ends."""
    done, aside = threading.Event(), folder.with_name("aside")

    def run() -> None:
        while not done.is_set():
            os.rename(folder, aside)
            os.rename(other, folder)
            os.rename(folder, other)
            os.rename(aside, folder)

    thread = threading.Thread(target=run)
    thread.start()
    try:
        yield
    finally:
        done.set()
        thread.join()


class TestPrivateCopies:
    def test_a_copy_holds_the_same_bytes_for_this_user_alone_and_is_removed(
        self, tmp_path: Path
    ) -> None:
        (tmp_path / "source" / "below").mkdir(parents=True)
        (tmp_path / "source" / "below" / "a").write_bytes(b"a" * 3_000_000)
        (tmp_path / "source" / "b").write_bytes(b"")
        with private_copy(tmp_path / "source") as copy:
            (tmp_path / "source" / "b").write_bytes(b"changed since")
            assert tree_digests(copy).keys() == {"b", "below/a"}
            assert (copy / "b").read_bytes() == b""
            assert (copy / "below" / "a").read_bytes() == b"a" * 3_000_000
            assert copy.parent.stat().st_mode & 0o777 == 0o700
        assert not copy.parent.exists()

    def test_a_link_to_the_source_is_followed_and_one_in_it_is_refused(
        self, tmp_path: Path
    ) -> None:
        (tmp_path / "source").mkdir()
        (tmp_path / "source" / "a").write_bytes(b"a")
        (tmp_path / "link").symlink_to(tmp_path / "source")
        with private_copy(tmp_path / "link") as copy:
            assert (copy / "a").read_bytes() == b"a"
        for target in ("a", "..", "nowhere"):
            (tmp_path / "source" / "b").symlink_to(target)
            with (
                pytest.raises(GateError, match=f"^{tmp_path}/source/b: is a link, "),
                private_copy(tmp_path / "source"),
            ):
                pass
            (tmp_path / "source" / "b").unlink()

    def test_a_pipe_is_refused_and_never_waited_for(self, tmp_path: Path) -> None:
        (tmp_path / "source").mkdir()
        os.mkfifo(tmp_path / "source" / "pipe")
        with (
            pytest.raises(GateError, match=f"^{tmp_path}/source/pipe: is no file"),
            private_copy(tmp_path / "source"),
        ):
            pass


class TestModels:
    def test_a_model_that_is_swapped_while_it_is_loaded_never_runs(
        self, own_model: Path, tmp_path: Path
    ) -> None:
        honest, written = bundle.load(own_model), tmp_path / "written"

        def run(values: tf.Tensor) -> tf.Tensor:
            with tf.control_dependencies([tf.io.write_file(str(written), "x")]):
                return tf.identity(values)

        evil = save(tmp_path / "evil", run)
        outcomes = set()
        with swapped_again_and_again(honest.saved_model, evil):
            for _ in range(12):
                try:
                    signatures = safety.load(honest.saved_model, honest.saved_files).signatures
                    outcomes.add(tuple(sorted(signatures)))
                except GateError as error:
                    outcomes.add(str(error).partition(": ")[2])
        assert not written.exists()
        loaded = outcomes & {("explain", "features", "serving_default")}
        refused = {one for one in outcomes - loaded if isinstance(one, str)}
        assert loaded | refused == outcomes  # nothing but the honest one was ever loaded
        assert safety.load(honest.saved_model, honest.saved_files).signatures.keys() == {
            *("explain", "features", "serving_default")
        }

    def test_another_model_than_the_one_that_was_opened_is_not_loaded(
        self, own_model: Path, tmp_path: Path
    ) -> None:
        model = bundle.load(own_model)
        shutil.rmtree(own_model / "saved_model")
        save(own_model / "saved_model", tf.identity)
        with pytest.raises(GateError) as refused:
            Scorer(model)
        assert str(refused.value) == (
            f"{own_model}/saved_model/assets.extra/parts.json: is missing; "
            "take the model from its source again, or train it anew"
        )

    def test_what_was_loaded_scores_after_its_folder_is_gone(self, own_model: Path) -> None:
        model = bundle.load(own_model)
        scorer = Scorer(model)
        shutil.rmtree(own_model)
        records = [canonical.record(text=b"the pump is silent")]
        (scored,) = scorer.score(records)
        assert scored.id == records[0].id
        assert set(scored.predictions) == {"category"}


def flipped(content: bytes, place: int) -> bytes:
    damaged = bytearray(content)
    damaged[place] ^= 0x10
    return bytes(damaged)


def without_inputs(graph: Any) -> None:
    for function in graph.graph_def.library.function:
        for node in function.node_def:
            del node.input[:]


def without_functions(graph: Any) -> None:
    del graph.graph_def.library.function[:]


def without_objects(graph: Any) -> None:
    del graph.object_graph_def.nodes[1:]


def with_unknown_arguments(graph: Any) -> None:
    for function in graph.graph_def.library.function:
        for argument in function.signature.input_arg:
            argument.name = f"other_{argument.name}"


def bound_to_nothing(graph: Any) -> None:
    for function in graph.object_graph_def.concrete_functions.values():
        for place in range(len(function.bound_inputs)):
            function.bound_inputs[place] = 10**6


class TestMalformedGraphs:
    """Whoever makes such a file can make its digests too."""

    @pytest.mark.parametrize(
        "change",
        [
            without_inputs,
            without_functions,
            without_objects,
            with_unknown_arguments,
            bound_to_nothing,
        ],
    )
    def test_a_graph_that_contradicts_itself_is_one_line(
        self, trained: Path, tmp_path: Path, change: Callable[[Any], None]
    ) -> None:
        folder = Path(shutil.copytree(trained / "saved_model", tmp_path / "saved_model"))
        file = folder / "saved_model.pb"
        saved = saved_model_pb2.SavedModel.FromString(file.read_bytes())
        change(saved.meta_graphs[0])
        file.write_bytes(saved.SerializeToString())
        with pytest.raises(GateError) as refused:
            safety.load(folder, tree_digests(folder))
        assert str(refused.value).startswith(f"{file}: ")
        assert "take the model from its source again" in str(refused.value)
        assert "\n" not in str(refused.value)

    def test_missing_variables_are_one_line(self, trained: Path, tmp_path: Path) -> None:
        folder = Path(shutil.copytree(trained / "saved_model", tmp_path / "saved_model"))
        shutil.rmtree(folder / "variables")
        with pytest.raises(GateError, match=r"saved_model.pb: TensorFlow cannot load it \("):
            safety.load(folder, tree_digests(folder))

    def test_a_signature_that_gives_something_else_is_named(
        self, own_model: Path, tmp_path: Path
    ) -> None:
        kept = shutil.move(own_model / "saved_model" / "assets.extra", tmp_path / "extra")
        shutil.rmtree(own_model / "saved_model")
        save(own_model / "saved_model", lambda values: {"category/label": values})
        shutil.move(kept, own_model / "saved_model" / "assets.extra")
        rewrite_about(own_model)
        model = bundle.load(own_model)
        with pytest.raises(GateError) as refused:
            load_scorer(str(own_model), model.model_digest, False)
        assert str(refused.value) == (
            f"{own_model}/saved_model: its signature 'serving_default' takes no 'image' of type "
            "string, as its spec has it; take the model from its source again, or train it anew"
        )

    def test_a_distribution_over_other_classes_is_refused(self, trained: Path) -> None:
        model = bundle.load(trained)
        signature = safety.load(model.saved_model, model.saved_files).signatures["serving_default"]
        contract.check(model, "serving_default", signature)
        classes = {"category": [*model.classes["category"], "one more"]}
        other = bundle.Artefact(model.folder, {**model.about, "classes": classes})
        with pytest.raises(GateError, match="gives no 'category/distribution' of type float32"):
            contract.check(other, "serving_default", signature)


def test_a_transform_that_changed_since_it_was_checked_is_not_exported(
    prepared: Path, tmp_path: Path
) -> None:
    folder = Path(shutil.copytree(prepared, tmp_path / "data"))
    data = dataset.read(folder)
    data.check_files()
    with safety.checked_copy(data.transform, data.transform_files) as copy:
        assert tree_digests(copy) == data.transform_files
    graph = folder / "transform" / "transform_fn" / "saved_model.pb"
    graph.write_bytes(flipped(graph.read_bytes(), 1000))
    with (
        pytest.raises(GateError, match=f"^{graph}: is not the file that was checked; "),
        safety.checked_copy(data.transform, data.transform_files),
    ):
        pass
    (folder / "analysis.json").write_text("{}")
    with pytest.raises(GateError, match="analysis.json: is not what preprocessing wrote"):
        data.analysis()


def test_weights_are_read_from_the_copy_that_was_checked(tmp_path: Path) -> None:
    (tmp_path / "w.weights.h5").write_bytes(b"weights")
    (tmp_path / "spec.yaml").write_text(
        "modalities: {image: {size: 32}}\n"
        "tasks: {category: {kind: classification, label: category}}\n"
        "model: {image_encoder: efficientnet_lite0, image_weights: w.weights.h5}\n"
    )
    model = loading.load(tmp_path / "spec.yaml").model
    with encoder_weights.checked_copy(model) as copy:
        (tmp_path / "w.weights.h5").write_bytes(b"others")
        assert copy.read_bytes() == b"weights"
    with (
        pytest.raises(OptionsError, match=f"^{tmp_path}/w.weights.h5: its SHA-256 is "),
        encoder_weights.checked_copy(model),
    ):
        pass


def test_a_forged_accuracy_is_in_no_report(tmp_path: Path) -> None:
    classes = {"kind": ("fan", "pump"), "marks": ("new", "old", "red")}
    document = reports.document(canonical.SPEC, classes)
    folder = reports.model_folder(tmp_path / "model", canonical.SPEC, classes, document)
    page.write(str(folder), None, None, (), str(tmp_path / "report.html"))
    evaluation = folder / bundle.EVALUATION
    evaluation.write_text(evaluation.read_text().replace('"value": 0.', '"value": 0.9', 1))
    with pytest.raises(GateError, match=f"^{evaluation}: is not the file that training wrote; "):
        page.write(str(folder), None, None, (), str(tmp_path / "forged.html"))
    assert not (tmp_path / "forged.html").exists()


def test_a_model_that_takes_the_place_of_a_signed_one_is_refused(tmp_path: Path) -> None:
    classes = {"kind": ("fan", "pump"), "marks": ("new", "old", "red")}
    private, public = write_keys(tmp_path, "ours")
    signed = reports.model_folder(tmp_path / "model", canonical.SPEC, classes, None)
    signing.sign(signed, private)
    digest = bundle.load(signed).model_digest
    other = Path(shutil.copytree(signed, tmp_path / "other"))
    (other / "analysis.json").write_text('{"planted": 1}')
    rewrite_about(other)
    assert signing.verify(signed, public) == digest
    outcomes = set()
    with swapped_again_and_again(signed, other):
        for _ in range(40):
            try:
                outcomes.add(signing.verified(signed, public).model_digest)
            except (GateError, OptionsError):
                outcomes.add("refused")
    assert outcomes <= {digest, "refused"}
    assert signing.verified(signed, public).model_digest == digest
