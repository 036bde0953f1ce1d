"""Safety check of a SavedModel's file, before TensorFlow loads or runs any part of it.

A SavedModel is a program. Ours only compute scores from bytes, and read the vocabularies among
their own assets. So each op must be on the allowlist `ALLOWED_OPS`, which also refuses any op that
a later TensorFlow or a library adds. A denylist would only be safe if it were complete.
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
"""Ops of the functions that write and read a SavedModel's variables; loading calls none of them."""
_FILE_TABLE = "InitializeTableFromTextFileV2"
"""Op that reads a vocabulary from a file."""
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
"""Exceptions that a walk over an inconsistent graph raises, in this file and in TensorFlow."""
_GRAPH = "the graph"
_REMEDY = "take the model from its source again, or train it anew"


class Loaded(NamedTuple):
    """Loaded SavedModel.

    Attributes:
        signatures: Signatures by name.
        owner: Object that owns the variables and tables; it must outlive the signatures.
    """

    signatures: Mapping[str, Any]
    owner: Any


def load(folder: Path, digests: Mapping[str, str]) -> Loaded:
    """Loads a SavedModel, if it only computes.

    A private copy is made and checked, and TensorFlow reads this copy.

    Args:
        folder: Path of the SavedModel.
        digests: SHA-256 of each of its files, by relative path.

    Raises:
        GateError: If a file is not the expected one, an op does more than compute, or the graph is
            malformed.
        OSError: If the folder cannot be copied.
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
    """Makes a private copy of a folder, and checks that it has exactly the expected files.

    Args:
        folder: Path of the folder.
        digests: SHA-256 of each file, by relative path.

    Yields:
        Path of the copy.

    Raises:
        GateError: If a file is missing, changed or unexpected; names the first one.
        OSError: If the folder cannot be copied.
    """
    with contextlib.ExitStack() as stack:
        try:
            copy = stack.enter_context(private_copy(folder))
        except FileNotFoundError as error:
            raise GateError(f"{folder}: is missing; {_REMEDY}") from error
        actual = tree_digests(copy)
        for path in sorted(digests.keys() | actual.keys()):
            if digests.get(path) != actual.get(path):
                state = "is missing" if path not in actual else "is not the file that was checked"
                raise GateError(f"{folder / path}: {state}; {_REMEDY}")
        yield copy


def check_folder(folder: Path, source: Path | None = None) -> frozenset[str]:
    """Refuses a SavedModel that could do more than compute.

    Args:
        folder: Path of the SavedModel.
        source: Path that errors name, if `folder` is a copy of it.

    Returns:
        Names of its signatures.

    Raises:
        GateError: If the SavedModel is refused; names the file, or the op and its function.
    """
    from tensorflow.core.protobuf import saved_model_pb2  # here, as it imports all of TensorFlow

    source = source or folder
    try:
        paths = (folder, *tree(folder))
    except (FileNotFoundError, NotADirectoryError) as error:  # removed during the check
        raise GateError(f"{error.filename}: is missing; {_REMEDY}") from error
    for path in paths:
        relative = path.relative_to(folder)
        if path.is_symlink():
            raise GateError(f"{source / relative}: is a link; {_REMEDY}")
        top, *below = relative.parts or (_SAVED_MODEL,)  # the folder itself always passes
        if not (top in _FILES and not below) and top not in _FOLDERS:
            raise GateError(f"{source / relative}: belongs to no SavedModel; {_REMEDY}")
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
    """Yields descriptions of all forbidden content of a SavedModel, each with its location.

    Args:
        saved_model: Parsed `saved_model.pb`.
    """
    if len(saved_model.meta_graphs) != 1:
        yield f"holds {len(saved_model.meta_graphs)} graphs, not one"
        return
    graph = saved_model.meta_graphs[0]
    if not graph.HasField("object_graph_def"):
        yield "holds no objects, as those of TensorFlow 1"
        return
    for description, names in _names(graph.graph_def):
        if len(set(names)) < len(names):  # we would check one of them, and the other might run
            yield f"holds two {description} of one name"
            return
    for asset in graph.asset_file_def:
        if asset.filename in ("", ".", "..") or set(asset.filename) & set("/\\\0"):
            yield f"asset {asset.filename!r} leads out of the folder of assets"
    yield from _Program(graph).problems()


def _names(graph: Any) -> Iterator[tuple[str, list[str]]]:
    """Yields lists of names that must be unique, each with a description of the named things."""
    library = graph.library.function
    yield "functions", [function.signature.name for function in library]
    yield f"nodes in {_GRAPH}", [node.name for node in graph.node]
    for function in library:
        description = f"nodes in function {function.signature.name}"
        yield description, [node.name for node in function.node_def]


@dataclasses.dataclass(frozen=True)
class _Value:
    """Value in a function or in the graph: the output of a node, or an argument.

    Attributes:
        function: Name of the function; `_GRAPH` for the graph itself.
        name: Name of the node or argument, as an input of a node refers to it.
    """

    function: str
    name: str


class _Program:
    """Graph with its functions and their calls."""

    def __init__(self, graph: Any) -> None:
        library = graph.graph_def.library.function
        self._functions = {function.signature.name: function for function in library}
        self._nodes: dict[str, Mapping[str, Any]] = {}
        self._arguments: dict[str, Mapping[str, int]] = {}
        for name, function in self._functions.items():
            self._nodes[name] = {node.name: node for node in function.node_def}
            inputs = function.signature.input_arg
            self._arguments[name] = {arg.name: index for index, arg in enumerate(inputs)}
        self._nodes[_GRAPH] = {node.name: node for node in graph.graph_def.node}
        self._calls = {name: list(self._calling(nodes)) for name, nodes in self._nodes.items()}
        self._callers: dict[str, list[tuple[str, Any]]] = {}
        for caller in self._functions:
            for node, called in self._calls[caller]:
                for name in called:
                    self._callers.setdefault(name, []).append((caller, node))
        self._assets: dict[_Value, bool] = {}
        self._saved = graph.object_graph_def
        saver = graph.saver_def
        self._savers = {
            name.partition(":")[0] for name in (saver.save_tensor_name, saver.restore_op_name)
        }

    def problems(self) -> Iterator[str]:
        """Yields descriptions of forbidden names, ops and files; see `problems`."""
        saving = self._saver_functions()
        for name, nodes in self._nodes.items():
            location = name if name == _GRAPH else f"function {name}"
            if name in ALLOWED_OPS | _SAVER_OPS | {_GRAPH} and name in self._functions:
                yield f"{location} has a name that is taken"
                return
            allowed = ALLOWED_OPS | _SAVER_OPS if name in saving else ALLOWED_OPS
            for node in nodes.values():
                if node.op not in allowed and node.op not in self._functions:
                    yield f"op {node.op} in {location} is none that a model may hold"
                if node.op == _FILE_TABLE and not self._is_asset(_Value(name, node.input[1])):
                    yield f"op {node.op} in {location} reads a file that is none of its assets"

    def _calling(self, nodes: Mapping[str, Any]) -> Iterator[tuple[Any, frozenset[str]]]:
        """Yields the nodes that call functions, each with the names of these functions."""
        for node in nodes.values():
            names = {node.op}
            for value in node.attr.values():
                names.update(_named(value))
            called = names & self._functions.keys()
            if called:
                yield node, frozenset(called)

    def _saver_functions(self) -> set[str]:
        """Returns the functions that only the two nodes of the saver call."""
        saving, served = set[str](), set[str](self._saved.concrete_functions)
        for node, called in self._calls[_GRAPH]:
            (saving if node.name in self._savers else served).update(called)
        return self._reached(saving) - self._reached(served)

    def _reached(self, names: Iterable[str]) -> set[str]:
        """Returns these functions, and all that they call directly or indirectly."""
        reached: set[str] = set()
        left = [name for name in names if name in self._functions]
        while left:
            name = left.pop()
            if name not in reached:
                reached.add(name)
                left.extend(callee for _, called in self._calls[name] for callee in called)
        return reached

    def _is_asset(self, value: _Value) -> bool:
        """Returns True if a value can only be the path of an asset, whichever calls lead to it.

        Loading only runs functions, so calls from the graph itself do not count. Each value is
        followed once, as the number of ways to reach it may be exponential.
        """
        if value not in self._assets:
            self._assets[value] = False  # the result inside a cycle
            self._assets[value] = self._comes_from_asset(value)
        return self._assets[value]

    def _comes_from_asset(self, value: _Value) -> bool:
        name = value.name.partition(":")[0]
        node = self._nodes[value.function].get(name)
        if node is not None:
            return node.op == "Identity" and self._is_asset(_Value(value.function, node.input[0]))
        return self._is_asset_argument(value.function, name)

    def _is_asset_argument(self, function: str, name: str) -> bool:
        """Returns True if all calls, and a captured input if there is one, pass an asset's path."""
        arguments = self._arguments[function]
        index = arguments[name]
        passed = False
        for caller, node in self._callers.get(function, ()):
            # Only a plain call passes its inputs to the arguments unchanged and in order.
            if node.op not in _CALLS or not self._is_asset(_Value(caller, node.input[index])):
                return False
            passed = True
        if function in self._saved.concrete_functions:
            bound = self._saved.concrete_functions[function].bound_inputs
            captured = index - (len(arguments) - len(bound))
            if captured < 0 or self._saved.nodes[bound[captured]].WhichOneof("kind") != "asset":
                return False
            passed = True
        return passed


def _named(value: Any) -> Iterator[str]:
    """Yields the functions that an attribute names, including those in the attributes of these."""
    for function in (value.func, *value.list.func):
        if function.name:
            yield function.name
        for part in function.attr.values():
            yield from _named(part)
