"""Safety of models: SavedModels that do more than compute are refused before loading."""

import shutil
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import keras
import numpy as np
import pytest
import tensorflow as tf
from tensorflow.core.protobuf import saved_model_pb2

from tests.model.serving.test_scorer import rewrite_about
from triad_ml.model.serving import bundle, safety
from triad_ml.model.serving.allowed_ops import ALLOWED_OPS
from triad_ml.model.serving.scorer import Scorer, ScorerHandler
from triad_ml.transforms.errors import GateError

REACHES_OUT = (
    *("Abort", "CacheDataset", "CollectiveReduceV2", "CreateSummaryFileWriter", "DebugIdentityV2"),
    *("DecodeProtoV2", "EagerPyFunc", "EncodeProto", "GenerateVocabRemapping", "ImmutableConst"),
    *("InitializeTableFromDataset", "LMDBReader", "LoadAndRemapMatrix", "MatchingFiles", "Print"),
    *("PrintV2", "PyFunc", "PyFuncStateless", "ReadFile", "ReaderReadV2", "Recv", "RemoteCall"),
    *("Restore", "Save", "SaveV2", "Send", "SqlDataset", "TFRecordDataset", "TextLineDataset"),
    *("WholeFileReaderV2", "WriteFile", "WriteSummary", "IteratorGetNext", "FileSystemSet"),
)


def save(folder: Path, run: Callable[[tf.Tensor], tf.Tensor], **held: Any) -> Path:
    """A SavedModel of one function from strings to strings."""
    module = tf.Module()
    for name, value in held.items():
        setattr(module, name, value)
    module.run = tf.function(run, input_signature=[tf.TensorSpec([None], tf.string)])
    tf.saved_model.save(module, str(folder), signatures=module.run)
    return folder


def parsed(folder: Path) -> Any:
    return saved_model_pb2.SavedModel.FromString((folder / "saved_model.pb").read_bytes())


def problems(folder: Path) -> list[str]:
    return list(safety.problems(parsed(folder)))


def test_a_model_that_writes_a_file_is_refused_and_the_file_is_not_there(
    own_model: Path, tmp_path: Path
) -> None:
    written = tmp_path / "written"

    def run(values: tf.Tensor) -> dict[str, tf.Tensor]:
        with tf.control_dependencies([tf.io.write_file(str(written), "x")]):
            return tf.identity(values)

    extra = own_model / "saved_model" / "assets.extra"
    kept = shutil.move(extra, tmp_path / "extra")
    shutil.rmtree(own_model / "saved_model")
    save(own_model / "saved_model", run)
    shutil.move(kept, extra)
    rewrite_about(own_model)  # whoever makes such a model can make its digests too
    model = bundle.load(own_model)
    for load in (lambda: ScorerHandler(str(own_model)), lambda: Scorer(model)):
        with pytest.raises(GateError) as refused:
            load()
        assert str(refused.value).startswith(
            f"{own_model}/saved_model/saved_model.pb: op WriteFile in function __inference_run_"
        )
        assert str(refused.value).endswith(
            "is none that a model may hold; it is not loaded: take the model from its source "
            "again, or train it anew"
        )
        assert "\n" not in str(refused.value)
    assert not written.exists()
    tf.saved_model.load(str(model.saved_model)).run(tf.constant(["x"]))
    assert written.read_text() == "x"  # it is what it was refused for


def inner_read(values: tf.Tensor) -> tf.Tensor:
    @tf.function
    def inner(value: tf.Tensor) -> tf.Tensor:
        return tf.io.read_file(value)

    return tf.cond(tf.size(values) > 1, lambda: inner("/etc/hostname"), lambda: values[0])


def branch_of_a_loop(values: tf.Tensor) -> tf.Tensor:
    return tf.map_fn(lambda one: tf.io.read_file(one), values)


@pytest.mark.parametrize(
    ("run", "op"),
    [
        (lambda values: (tf.print(values), values)[1], "PrintV2"),
        (lambda values: tf.py_function(lambda one: one, [values], tf.string), "EagerPyFunc"),
        (lambda values: tf.numpy_function(lambda one: one, [values], tf.string), "PyFunc"),
        (inner_read, "ReadFile"),
        (branch_of_a_loop, "ReadFile"),
        (lambda values: tf.io.matching_files("/etc/*"), "MatchingFiles"),
        (
            lambda values: tf.raw_ops.RestoreV2(
                prefix="/x", tensor_names=["a"], shape_and_slices=[""], dtypes=[tf.string]
            )[0],
            "RestoreV2",
        ),
        (
            lambda values: tf.raw_ops.ImmutableConst(
                dtype=tf.string, shape=[1], memory_region_name="/etc/hostname"
            ),
            "ImmutableConst",
        ),
        (
            lambda values: tf.data.experimental.get_single_element(
                tf.data.TextLineDataset(values).take(1)
            ),
            "TextLineDataset",
        ),
    ],
)
def test_ops_that_reach_out_of_a_graph_are_found(
    tmp_path: Path, run: Callable[[tf.Tensor], tf.Tensor], op: str
) -> None:
    found = problems(save(tmp_path / "model", run))
    assert any(one.startswith(f"op {op} in function ") for one in found), found


def test_writing_variables_is_for_the_saver_alone(tmp_path: Path) -> None:
    def run(values: tf.Tensor) -> tf.Tensor:
        write = tf.raw_ops.SaveV2(
            prefix="/x", tensor_names=["a"], shape_and_slices=[""], tensors=[values]
        )
        with tf.control_dependencies([write]):
            return tf.identity(values)

    folder = save(tmp_path / "model", run, variable=tf.Variable(1.0))
    found = problems(folder)
    assert found
    assert all(one.startswith("op SaveV2 in function __inference_run") for one in found)


def test_an_op_that_tensorflow_does_not_know_is_refused(tmp_path: Path) -> None:
    folder = save(tmp_path / "model", tf.identity)
    model = parsed(folder)
    model.meta_graphs[0].graph_def.node.add(name="evil", op="OpOfALibrary")
    expected = ["op OpOfALibrary in the graph is none that a model may hold"]
    assert list(safety.problems(model)) == expected


def test_a_table_may_be_read_from_an_asset_and_from_nothing_else(tmp_path: Path) -> None:
    (tmp_path / "words").write_text("a\nb\n")

    def table(path: Any) -> tf.lookup.StaticHashTable:
        read = tf.lookup.TextFileInitializer(
            path, tf.string, tf.lookup.TextFileIndex.WHOLE_LINE, tf.int64, -1
        )
        return tf.lookup.StaticHashTable(read, -1)

    words = table(str(tmp_path / "words"))
    folder = save(tmp_path / "model", lambda one: tf.as_string(words.lookup(one)), words=words)
    safety.check_folder(folder)

    def read_anything(values: tf.Tensor) -> tf.Tensor:
        handle = tf.raw_ops.HashTableV2(key_dtype=tf.string, value_dtype=tf.int64)
        read = tf.raw_ops.InitializeTableFromTextFileV2(
            table_handle=handle, filename=values[0], key_index=-2, value_index=-1
        )
        with tf.control_dependencies([read]):
            return tf.identity(values)

    found = problems(save(tmp_path / "other", read_anything))
    assert any("reads a file that is none of its assets" in one for one in found)

    changed = parsed(folder)  # the same model, whose table now takes another of its values
    graph = changed.meta_graphs[0].object_graph_def
    for function in graph.concrete_functions.values():
        for place, node in enumerate(function.bound_inputs):
            if graph.nodes[node].WhichOneof("kind") == "asset":
                function.bound_inputs[place] = 0
    assert any("none of its assets" in one for one in safety.problems(changed))


def test_a_path_is_followed_once_by_however_many_ways_it_comes() -> None:
    model = saved_model_pb2.SavedModel()
    graph = model.meta_graphs.add()
    graph.object_graph_def.nodes.add().asset.asset_file_def_index = 0
    for level in range(60):  # each calls the one before twice
        function = graph.graph_def.library.function.add()
        function.signature.name = f"level {level}"
        function.signature.input_arg.add(name="path")
        for side in "ab" if level else "":
            call = function.node_def.add(name=side, op="PartitionedCall", input=["path"])
            call.attr["f"].func.name = f"level {level - 1}"
    read = graph.graph_def.library.function[0].node_def.add(
        name="read", op="InitializeTableFromTextFileV2"
    )
    read.input[:] = ["table", "path"]
    last = graph.object_graph_def.concrete_functions["level 59"]
    last.bound_inputs[:] = [0]
    assert list(safety.problems(model)) == []
    last.bound_inputs[:] = []
    (problem,) = safety.problems(model)
    assert "reads a file that is none of its assets" in problem


def test_two_of_one_name_are_refused(tmp_path: Path) -> None:
    folder = save(tmp_path / "model", tf.identity)
    model = parsed(folder)
    graph = model.meta_graphs[0].graph_def
    graph.node.add().CopyFrom(graph.node[0])
    assert list(safety.problems(model)) == ["holds two nodes in the graph of one name"]
    model = parsed(folder)
    function = next(one for one in model.meta_graphs[0].graph_def.library.function if one.node_def)
    function.node_def.insert(0, type(function.node_def[0])(name=function.node_def[0].name))
    function.node_def[0].op = "WriteFile"
    expected = f"holds two nodes in function {function.signature.name} of one name"
    assert list(safety.problems(model)) == [expected]
    model = parsed(folder)
    library = model.meta_graphs[0].graph_def.library
    library.function.add().CopyFrom(library.function[0])
    assert list(safety.problems(model)) == ["holds two functions of one name"]


def program(**functions: Sequence[tuple[str, str, str]]) -> Any:
    """A SavedModel of functions of one argument: name, op and called function of each node."""
    saved = saved_model_pb2.SavedModel()
    graph = saved.meta_graphs.add()
    graph.object_graph_def.nodes.add().user_object.identifier = "root"
    graph.object_graph_def.nodes.add().asset.asset_file_def_index = 0
    for name, nodes in functions.items():
        function = graph.graph_def.library.function.add()
        function.signature.name = name
        function.signature.input_arg.add().name = "path"
        for own, op, called in nodes:
            node = function.node_def.add(name=own, op=op, input=["path", "path"])
            if called:
                node.attr["f"].func.name = called
    return saved


READ = ("read", "InitializeTableFromTextFileV2", "")


def bound_to_the_asset(saved: Any, name: str) -> Any:
    concrete = saved.meta_graphs[0].object_graph_def.concrete_functions[name]
    concrete.bound_inputs.append(1)
    return saved


def test_a_path_that_comes_by_very_many_ways_is_followed_once_each() -> None:
    levels: dict[str, Sequence[tuple[str, str, str]]] = {"f0": [READ]}
    for level in range(1, 60):  # 2^59 ways
        levels[f"f{level}"] = [(name, "PartitionedCall", f"f{level - 1}") for name in "ab"]
    saved = program(**levels)
    assert list(safety.problems(bound_to_the_asset(saved, "f59"))) == []
    other = program(**levels, other=[("b", "StatefulPartitionedCall", "f7")])
    assert list(safety.problems(bound_to_the_asset(other, "f59"))) == [
        "op InitializeTableFromTextFileV2 in function f0 reads a file that is none of its assets"
    ]


@pytest.mark.parametrize("name", ["Identity", "StatefulPartitionedCall", "SaveV2", "the graph"])
def test_no_function_takes_the_name_of_what_is_trusted(name: str) -> None:
    where = name if name == "the graph" else f"function {name}"
    assert list(safety.problems(program(**{name: []}))) == [f"{where} has a name that is taken"]


def test_the_functions_of_the_saver_are_not_served_by_way_of_another_ones_attribute() -> None:
    saved = program(
        save=[("write", "SaveV2", "")],
        middle=[("call", "Identity", "")],
        run=[("call", "PartitionedCall", "middle")],
    )
    graph = saved.meta_graphs[0]
    graph.saver_def.save_tensor_name = "saver:0"
    graph.graph_def.node.add(name="saver", op="PartitionedCall").attr["f"].func.name = "save"
    graph.object_graph_def.concrete_functions["run"].SetInParent()
    assert list(safety.problems(saved)) == []
    call = graph.graph_def.library.function[2].node_def[0]
    call.attr["f"].func.attr["inner"].func.name = "save"
    assert list(safety.problems(saved)) == [
        "op SaveV2 in function save is none that a model may hold"
    ]


@pytest.mark.parametrize("name", ["../../triad.json", "/etc/passwd", "..", "", "a/../../b"])
def test_assets_stay_in_their_folder(trained: Path, name: str) -> None:
    model = parsed(trained / "saved_model")
    model.meta_graphs[0].asset_file_def[0].filename = name
    assert list(safety.problems(model)) == [f"asset {name!r} leads out of the folder of assets"]


def test_models_of_tensorflow_1_and_several_graphs_are_refused(trained: Path) -> None:
    model = parsed(trained / "saved_model")
    model.meta_graphs.add()
    assert list(safety.problems(model)) == ["holds 2 graphs, not one"]
    model = parsed(trained / "saved_model")
    model.meta_graphs[0].ClearField("object_graph_def")
    assert list(safety.problems(model)) == ["holds no objects, as those of TensorFlow 1"]


@pytest.mark.parametrize(
    "name", ["saved_model.pbtxt", "saved_model.cpb", "keras_metadata.pb", "model.keras", "x.so"]
)
def test_files_that_are_none_of_a_saved_model_are_refused(trained: Path, tmp_path: Path, name: str):
    folder = Path(shutil.copytree(trained / "saved_model", tmp_path / "model"))
    safety.check_folder(folder)
    (folder / name).touch()
    with pytest.raises(GateError, match=f"^{folder}/{name}: belongs to no SavedModel"):
        safety.check_folder(folder)


@pytest.mark.parametrize("content", [None, b"\xff" * 10])
def test_what_is_no_saved_model_is_refused(tmp_path: Path, content: bytes | None) -> None:
    if content is not None:
        (tmp_path / "saved_model.pb").write_bytes(content)
    with pytest.raises(GateError, match="saved_model.pb: is no SavedModel"):
        safety.check_folder(tmp_path)


def test_our_own_models_and_transforms_pass(trained: Path, prepared: Path) -> None:
    safety.check_folder(trained / "saved_model")
    safety.check_folder(prepared / "transform" / "transform_fn")


def towers_to_come() -> keras.Model:
    """What later models are made of: recurrent, attending and convolving layers."""
    words = keras.Input([12], dtype="int64", name="words")
    picture = keras.Input([32, 32, 3], name="picture")
    x = keras.layers.Embedding(20, 8)(words)
    x = keras.layers.Bidirectional(keras.layers.LSTM(8, return_sequences=True))(x)
    x = keras.layers.GRU(8, return_sequences=True)(x)
    x = keras.layers.MultiHeadAttention(2, 4)(x, x, use_causal_mask=True)
    x = keras.layers.Conv1D(8, 3, activation="gelu")(keras.layers.LayerNormalization()(x))
    x = keras.layers.GlobalMaxPooling1D()(x)
    y = keras.layers.Rescaling(1 / 255)(picture)
    y = keras.applications.MobileNetV3Small(
        weights=None, include_top=False, input_shape=(32, 32, 3), pooling="avg"
    )(y)
    y = keras.layers.Dropout(0.1)(y)
    return keras.Model([words, picture], keras.layers.Dense(3)(keras.layers.Concatenate()([x, y])))


def test_layers_that_later_models_need_pass(tmp_path: Path) -> None:
    model = towers_to_come()
    model.export(str(tmp_path / "model"), verbose=False)
    assert problems(tmp_path / "model") == []


def test_a_beam_search_passes(tmp_path: Path) -> None:
    def run(values: tf.Tensor) -> tf.Tensor:
        tokens = tf.TensorArray(tf.int32, size=0, dynamic_size=True, clear_after_read=False)
        beams = tf.zeros([2, 3])
        for step in tf.range(4):
            logits = tf.nn.log_softmax(tf.random.stateless_normal([2, 3, 5], [1, step]))
            best, places = tf.math.top_k(tf.reshape(beams[..., None] + logits, [2, 15]), 3)
            beams = tf.gather(best, tf.argsort(best, direction="DESCENDING"), batch_dims=1)
            tokens = tokens.write(step, places % 5)
            if tf.reduce_all(beams < -50):
                break
        return tf.strings.reduce_join(tf.as_string(tokens.stack())) + values

    assert problems(save(tmp_path / "model", run)) == []


def test_no_op_that_reaches_out_is_allowed() -> None:
    assert ALLOWED_OPS & set(REACHES_OUT) == set()
    known = {name for name in dir(tf.raw_ops) if not name.startswith("_")}
    assert ALLOWED_OPS <= known
    words = ("Dataset", "File", "Reader", "Summary", "Collective", "Debug", "PyFunc", "Iterator")
    named = {op for op in ALLOWED_OPS if any(word in op for word in words)}
    assert named == {"InitializeTableFromTextFileV2"}


def test_pickles_and_keras_archives_in_the_folder_are_loaded_by_nothing(
    own_model: Path, tmp_path: Path
) -> None:
    ran = tmp_path / "ran"

    class Evil:
        def __reduce__(self) -> tuple[Any, ...]:
            return Path.touch, (ran,)

    np.save(own_model / "weights.npy", np.array([Evil()], dtype=object), allow_pickle=True)
    path = str(ran)
    layer = keras.layers.Lambda(lambda x: (open(path, "w").close(), x)[1])
    keras.Sequential([keras.Input([1]), layer]).save(own_model / "model.keras")
    ran.unlink(missing_ok=True)  # building the model ran it
    Scorer(bundle.load(own_model))
    assert not ran.exists()
    np.load(own_model / "weights.npy", allow_pickle=True)
    assert ran.exists()  # it is one
