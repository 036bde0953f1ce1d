"""What a SavedModel may do, checked in its file before TensorFlow loads or runs any of it.

A SavedModel is a program. Ours compute scores from bytes and read the vocabularies among their own
assets, nothing else; so each op must be on a list (`ALLOWED_OPS`), which also refuses whatever a
later TensorFlow or a library adds. A list of forbidden ops would have to be complete.
"""

import contextlib
import dataclasses
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from typing import Any, NamedTuple

from google.protobuf.message import DecodeError

from triad_ml.model.serving.allowed_ops import ALLOWED_OPS
from triad_ml.transforms.errors import GateError
from triad_ml.transforms.files.private_copies import private_copy
from triad_ml.transforms.hashing import tree, tree_digests

_SAVED_MODEL = "saved_model.pb"
_FOLDERS = ("assets", "assets.extra", "variables")
_FILES = (_SAVED_MODEL, "fingerprint.pb")

_SAVER_OPS = frozenset({"MergeV2Checkpoints", "RestoreV2", "SaveV2", "ShardedFilename"})
"""In the functions with which a SavedModel writes and reads its variables; loading calls none."""
_FILE_TABLE = "InitializeTableFromTextFileV2"
_CALLS = ("PartitionedCall", "StatefulPartitionedCall")
_MALFORMED = (
    AssertionError,
    AttributeError,
    LookupError,
    OSError,
    RuntimeError,
    TypeError,
    ValueError,
)
"""What a walk over a graph that contradicts itself raises, in this file and in TensorFlow."""
_GRAPH = "the graph"
_REMEDY = "take the model from its source again, or train it anew"


class Loaded(NamedTuple):
    """What was loaded, and the object that owns its variables and tables."""

    signatures: Mapping[str, Any]
    owner: Any


def load(folder: Path, digests: Mapping[str, str]) -> Loaded:
    """Loads a SavedModel that only computes.

    A private copy is checked, and that copy is what TensorFlow reads.

    Args:
        folder: Of the SavedModel.
        digests: SHA-256 by relative path of each of its files.

    Raises:
        GateError: Another file, an op that does more than compute, or a graph that is malformed.
        OSError: The folder cannot be copied.
    """
    import tensorflow as tf

    with checked_copy(folder, digests) as copy:
        check_folder(copy, folder)
        try:
            owner = tf.saved_model.load(str(copy))
        except (*_MALFORMED, tf.errors.OpError) as error:
            raise GateError(
                f"{folder / _SAVED_MODEL}: TensorFlow cannot load it "
                f"({type(error).__name__}); {_REMEDY}"
            ) from error
    return Loaded(owner.signatures, owner)


@contextlib.contextmanager
def checked_copy(folder: Path, digests: Mapping[str, str]) -> Iterator[Path]:
    """A private copy of a folder that holds these files and no other.

    Args:
        folder: What is copied.
        digests: SHA-256 by relative path.

    Raises:
        GateError: Naming the first file that is missing, changed, or one too many.
        OSError: The folder cannot be copied.
    """
    with contextlib.ExitStack() as stack:
        try:
            copy = stack.enter_context(private_copy(folder))
        except FileNotFoundError as error:
            raise GateError(f"{folder}: is missing; {_REMEDY}") from error
        found = tree_digests(copy)
        for path in sorted(digests.keys() | found.keys()):
            if digests.get(path) != found.get(path):
                state = "is missing" if path not in found else "is not the file that was checked"
                raise GateError(f"{folder / path}: {state}; {_REMEDY}")
        yield copy


def check_folder(folder: Path, source: Path | None = None) -> frozenset[str]:
    """Refuses a SavedModel that could do more than compute.

    Args:
        folder: Of the SavedModel.
        source: What errors name in its place, where it is a copy.

    Returns:
        The names of its signatures.

    Raises:
        GateError: Naming the file, or the op and the function that holds it.
    """
    from tensorflow.core.protobuf import saved_model_pb2  # imports all of TensorFlow

    source = source or folder
    try:
        paths = (folder, *tree(folder))
    except (FileNotFoundError, NotADirectoryError) as error:  # it was taken away while we looked
        raise GateError(f"{error.filename}: is missing; {_REMEDY}") from error
    for path in paths:
        place = path.relative_to(folder)
        if path.is_symlink():
            raise GateError(f"{source / place}: is a link; {_REMEDY}")
        top, *below = place.parts or (_SAVED_MODEL,)  # of the folder itself there is nothing to say
        if not (top in _FILES and not below) and top not in _FOLDERS:
            raise GateError(f"{source / place}: belongs to no SavedModel; {_REMEDY}")
    path = folder / _SAVED_MODEL
    try:
        saved_model = saved_model_pb2.SavedModel.FromString(path.read_bytes())
    except (OSError, DecodeError) as error:
        raise GateError(f"{source / _SAVED_MODEL}: is no SavedModel; {_REMEDY}") from error
    try:
        problem = next(problems(saved_model), None)
    except _MALFORMED as error:
        raise GateError(
            f"{source / _SAVED_MODEL}: the graph contradicts itself; it is not loaded: {_REMEDY}"
        ) from error
    if problem is not None:
        raise GateError(f"{source / _SAVED_MODEL}: {problem}; it is not loaded: {_REMEDY}")
    return frozenset(saved_model.meta_graphs[0].signature_def)


def problems(saved_model: Any) -> Iterator[str]:
    """What a SavedModel must not hold, each with its place.

    Args:
        saved_model: The parsed `saved_model.pb`.
    """
    if len(saved_model.meta_graphs) != 1:
        yield f"holds {len(saved_model.meta_graphs)} graphs, not one"
        return
    graph = saved_model.meta_graphs[0]
    if not graph.HasField("object_graph_def"):
        yield "holds no objects, as those of TensorFlow 1"
        return
    for what, names in _names(graph.graph_def):
        if len(set(names)) < len(names):  # one would be looked at, and the other one might run
            yield f"holds two {what} of one name"
            return
    for asset in graph.asset_file_def:
        if asset.filename in ("", ".", "..") or set(asset.filename) & set("/\\\0"):
            yield f"asset {asset.filename!r} leads out of the folder of assets"
    yield from _Program(graph).problems()


def _names(graph: Any) -> Iterator[tuple[str, list[str]]]:
    """The names that must differ from one another, with what bears them."""
    library = graph.library.function
    yield "functions", [function.signature.name for function in library]
    yield f"nodes in {_GRAPH}", [node.name for node in graph.node]
    for function in library:
        where = f"nodes in function {function.signature.name}"
        yield where, [node.name for node in function.node_def]


@dataclasses.dataclass(frozen=True)
class _Place:
    """A value: output of a node, or argument, of a function (or of the graph)."""

    function: str
    value: str


class _Program:
    """One graph with its functions, and who calls whom."""

    def __init__(self, graph: Any) -> None:
        library = graph.graph_def.library.function
        self._functions = {function.signature.name: function for function in library}
        self._nodes: dict[str, Mapping[str, Any]] = {}
        self._arguments: dict[str, Mapping[str, int]] = {}
        for name, function in self._functions.items():
            self._nodes[name] = {node.name: node for node in function.node_def}
            inputs = function.signature.input_arg
            self._arguments[name] = {one.name: index for index, one in enumerate(inputs)}
        self._nodes[_GRAPH] = {node.name: node for node in graph.graph_def.node}
        self._calls = {name: list(self._calling(nodes)) for name, nodes in self._nodes.items()}
        self._callers: dict[str, list[tuple[str, Any]]] = {}
        for caller in self._functions:
            for node, called in self._calls[caller]:
                for name in called:
                    self._callers.setdefault(name, []).append((caller, node))
        self._assets: dict[_Place, bool] = {}
        self._saved = graph.object_graph_def
        saver = graph.saver_def
        self._savers = {
            name.partition(":")[0] for name in (saver.save_tensor_name, saver.restore_op_name)
        }

    def problems(self) -> Iterator[str]:
        saving = self._saver_functions()
        for name, nodes in self._nodes.items():
            where = name if name == _GRAPH else f"function {name}"
            if name in ALLOWED_OPS | _SAVER_OPS | {_GRAPH} and name in self._functions:
                yield f"{where} has a name that is taken"
                return
            allowed = ALLOWED_OPS | _SAVER_OPS if name in saving else ALLOWED_OPS
            for node in nodes.values():
                if node.op not in allowed and node.op not in self._functions:
                    yield f"op {node.op} in {where} is none that a model may hold"
                if node.op == _FILE_TABLE and not self._is_asset(_Place(name, node.input[1])):
                    yield f"op {node.op} in {where} reads a file that is none of its assets"

    def _calling(self, nodes: Mapping[str, Any]) -> Iterator[tuple[Any, frozenset[str]]]:
        """The nodes that call functions, each with these."""
        for node in nodes.values():
            names = {node.op}
            for value in node.attr.values():
                names.update(_named(value))
            called = names & self._functions.keys()
            if called:
                yield node, frozenset(called)

    def _saver_functions(self) -> set[str]:
        """The functions that nothing calls but the saver's two nodes."""
        saving, served = set[str](), set[str](self._saved.concrete_functions)
        for node, called in self._calls[_GRAPH]:
            (saving if node.name in self._savers else served).update(called)
        return self._reached(saving) - self._reached(served)

    def _reached(self, names: Iterable[str]) -> set[str]:
        reached: set[str] = set()
        left = [name for name in names if name in self._functions]
        while left:
            name = left.pop()
            if name not in reached:
                reached.add(name)
                left.extend(one for _, called in self._calls[name] for one in called)
        return reached

    def _is_asset(self, place: _Place) -> bool:
        """Whether a value can be nothing but the path of an asset, by whatever way it comes.

        Loading runs functions only: what the graph itself calls does not count. Each value is
        followed once: the ways to it may be more than anyone can count.
        """
        if place not in self._assets:
            self._assets[place] = False  # where a way leads back to it
            self._assets[place] = self._comes_from_asset(place)
        return self._assets[place]

    def _comes_from_asset(self, place: _Place) -> bool:
        name = place.value.partition(":")[0]
        node = self._nodes[place.function].get(name)
        if node is not None:
            return node.op == "Identity" and self._is_asset(_Place(place.function, node.input[0]))
        return self._is_asset_argument(place.function, name)

    def _is_asset_argument(self, function: str, name: str) -> bool:
        arguments = self._arguments[function]
        index = arguments[name]
        found = False
        for caller, node in self._callers.get(function, ()):
            # Only a plain call gives its inputs to the arguments as they stand.
            if node.op not in _CALLS or not self._is_asset(_Place(caller, node.input[index])):
                return False
            found = True
        if function in self._saved.concrete_functions:
            bound = self._saved.concrete_functions[function].bound_inputs
            place = index - (len(arguments) - len(bound))
            if place < 0 or self._saved.nodes[bound[place]].WhichOneof("kind") != "asset":
                return False
            found = True
        return found


def _named(value: Any) -> Iterator[str]:
    """The functions that an attribute names, those among it that they take as attributes too."""
    for function in (value.func, *value.list.func):
        if function.name:
            yield function.name
        for part in function.attr.values():
            yield from _named(part)
