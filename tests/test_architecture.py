"""Architecture: imports point one way, and the packages have no forbidden constructs."""

import ast
import collections
import os
import subprocess
import sys
from collections.abc import Iterator, Mapping, Set
from pathlib import Path

import grimp
import pytest

ROOT = Path(__file__).resolve().parents[1]
PACKAGES = ("transforms", "model", "pipelines")
SOURCES = sorted(path for package in PACKAGES for path in (ROOT / package).rglob("*.py"))

LOADERS = {
    "load_model": "Keras archives can hold programs; models are SavedModels",
    "hub": "models come from folders that are checked",
    "unsafe_load": "YAML that makes objects",
    "full_load": "YAML that makes objects",
}
SAFE_YAML = ("_Loader", "yaml.SafeLoader")  # the former is a SafeLoader of spec_files
PICKLERS = ("pickle", "cloudpickle", "dill", "jsonpickle", "shelve", "marshal", "joblib", "torch")
BEAMS_PICKLER = "apache_beam.internal.pickler"
CONTRACTS = 11
MOST_FILES = 15
MOST_ENTRIES = 15
MOST_FLOORS = 8
"""Rooms of `pipelines/` in the longest chain of imports."""
MOST_ARROWS = 95
"""Pairs of rooms, the first of which imports the second: those of `pipelines/`, and two more."""
PICKLING = ROOT / "pipelines" / "doctor" / "pickling.py"
"""Only file that may pickle: `triad doctor` pickles what Beam pickles, and loads those bytes."""
NAMES = {"WriteToFiles": "it reports success with files missing; write shards of our own"}


def test_imports_point_one_way():
    command = "import sys; from importlinter.cli import lint_imports; sys.exit(lint_imports())"
    finished = subprocess.run(
        [sys.executable, "-c", command],
        cwd=ROOT,
        env={**os.environ, "PYTHONPATH": str(ROOT)},
        capture_output=True,
        text=True,
        check=False,
    )
    assert finished.returncode == 0, finished.stdout + finished.stderr
    assert "pipelines -> model -> transforms KEPT" in finished.stdout
    assert finished.stdout.count(" KEPT") >= CONTRACTS


@pytest.fixture(scope="module")
def imported() -> Mapping[str, Set[str]]:
    """Each module, and the modules that it imports."""
    graph = grimp.build_graph("triad_ml", cache_dir=None)
    return {name: graph.find_modules_directly_imported_by(name) for name in graph.modules}


def test_no_files_import_each_other_in_a_circle(imported):
    assert _circle({"a": {"b"}, "b": {"c"}, "c": {"b"}}) == ["b", "c"]
    assert _circle(imported) == []


def test_few_rooms_know_each_other_and_none_in_a_circle(imported):
    rooms: dict[str, set[str]] = {room: set() for name in imported if (room := _room(name))}
    for name, others in imported.items():
        if room := _room(name):
            rooms[room] |= {other for one in others if (other := _room(one))} - {room}
    assert len(rooms) <= MOST_ENTRIES + 2
    assert _circle(rooms) == []
    assert sum(map(len, rooms.values())) <= MOST_ARROWS
    inner = {room: others for room, others in rooms.items() if "." in room}
    assert _floors({"a": {"b", "c"}, "b": {"c"}, "c": {"d"}}) == 3
    assert _floors(inner) <= MOST_FLOORS


def test_no_package_has_too_many_files():
    sizes = collections.Counter(path.parent.relative_to(ROOT).as_posix() for path in SOURCES)
    large = {name for name, size in sizes.items() if size > MOST_FILES}
    assert large == set()


def test_the_top_level_of_pipelines_holds_packages_alone():
    entries = [path for path in (ROOT / "pipelines").iterdir() if path.suffix != ".pyc"]
    packages = [path for path in entries if (path / "__init__.py").is_file()]
    assert len(packages) <= MOST_ENTRIES
    left = {path.name for path in entries} - {path.name for path in packages}
    assert left - {"__pycache__"} == {"__init__.py", "py.typed"}


@pytest.mark.parametrize("path", SOURCES, ids=lambda path: str(path.relative_to(ROOT)))
def test_nothing_forbidden_is_in(path):
    runner_is_named = path == ROOT / "pipelines" / "runners" / "beam_options.py"
    tree = ast.parse(path.read_text(encoding="utf-8"))
    found = [one.partition(": ")[2] for one in forbidden(tree, runner_may_be_named=runner_is_named)]
    allowed = [
        "import of pickle.PicklingError",
        "import of pickle.UnpicklingError",
        f"import of {BEAMS_PICKLER}",
    ]
    assert found == (allowed if path == PICKLING else [])


def test_every_package_is_looked_at():
    assert {path.relative_to(ROOT).parts[0] for path in SOURCES} == set(PACKAGES)


@pytest.mark.parametrize(
    ("source", "found"),
    [
        ("import pickle", "import of pickle"),
        ("import os, cloudpickle as p", "import of cloudpickle"),
        ("from dill import loads", "import of dill"),
        ("import tensorflow.keras", "tf.keras: use keras"),
        ("from tensorflow import keras", "tf.keras: use keras"),
        ("from tensorflow.keras import layers", "tf.keras: use keras"),
        ("layer = tf.keras.layers.Dense(1)", "tf.keras: use keras"),
        ("x = eval('1')", "call of eval"),
        ("exec('x = 1')", "call of exec"),
        ("np.load(path, allow_pickle=True)", "allow_pickle"),
        ("import torch", "import of torch"),
        ("from apache_beam.internal import pickler", "import of apache_beam.internal.pickler"),
        ("import apache_beam.internal.pickler as p", "import of apache_beam.internal.pickler"),
        ("keras.models.load_model(path)", "load_model"),
        ("keras.saving.load_model(path)", "load_model"),
        ("tf.hub.resolve(path)", "hub"),
        ("yaml.load(text)", "yaml.load"),
        ("yaml.load(text, Loader=yaml.Loader)", "yaml.load"),
        ("yaml.unsafe_load(text)", "unsafe_load"),
        ("fileio.WriteToFiles(path)", "WriteToFiles"),
        ("from apache_beam.io.fileio import WriteToFiles", "WriteToFiles"),
        ("options = ['--runner=DirectRunner']", "DirectRunner"),
        ("runner = direct.DirectRunner()", "DirectRunner"),
    ],
)
def test_what_is_forbidden_is_found(source, found):
    assert [problem for problem in forbidden(ast.parse(source)) if found in problem]


@pytest.mark.parametrize(
    "source",
    [
        "import keras\nlayer = keras.layers.Dense(1)",
        '"""Never DirectRunner, eval or pickle."""',
        "model.eval()",
        "np.load(path, allow_pickle=False)",
        "def load_model(self): ...",
        "yaml.load(text, Loader=yaml.SafeLoader)",
        "yaml.safe_load(text)",
        "runner = 'FnApiRunner'",
    ],
)
def test_what_is_allowed_is_not_found(source):
    assert list(forbidden(ast.parse(source))) == []


def _room(module: str) -> str | None:
    """Returns the package of `pipelines/`, or `model` or `transforms`; None above these."""
    match module.split("."):
        case [_, "pipelines", room, *_]:
            return f"pipelines.{room}"
        case [_, "model" | "transforms" as room, *_]:
            return room
    return None


def _floors(imported: Mapping[str, Set[str]]) -> int:
    """Counts the rooms of the longest chain of imports; there is no circle among them."""
    floors, left = 0, set(imported)
    while left:
        left = {name for name in left if any(name in imported[other] for other in left)}
        floors += 1
    return floors


def _circle(imported: Mapping[str, Set[str]]) -> list[str]:
    """Returns the modules on import circles or between them; empty if there is no circle.

    Modules that import nothing, or that nothing imports, are removed until none is left.
    """
    left = set(imported)
    while gone := {
        name
        for name in left
        if not imported[name] & left or not any(name in imported[other] for other in left)
    }:
        left -= gone
    return sorted(left)


def forbidden(tree: ast.Module, runner_may_be_named: bool = False) -> Iterator[str]:
    """Yields the forbidden constructs of a module, each with its line."""
    said = {id(one) for one in _docstrings(tree)}
    for node in ast.walk(tree):
        for problem in _problems(node):
            yield f"line {getattr(node, 'lineno', 0)}: {problem}"
        named = id(node) not in said and any("DirectRunner" in name for name in _words(node))
        if named and not runner_may_be_named:
            yield f"line {getattr(node, 'lineno', 0)}: DirectRunner: use beam_options.beam_options"


def _problems(node: ast.AST) -> Iterator[str]:
    for module in _modules(node):
        if module.partition(".")[0] in PICKLERS or module == BEAMS_PICKLER:
            yield f"import of {module}"
        if (module + ".").startswith("tensorflow.keras."):
            yield "tf.keras: use keras"
    if isinstance(node, ast.Attribute) and node.attr == "keras":
        yield "tf.keras: use keras"
    if isinstance(node, ast.Call) and isinstance(node.func, ast.Name):
        if node.func.id in ("eval", "exec"):
            yield f"call of {node.func.id}"
    if isinstance(node, ast.Call) and ast.unparse(node.func) == "yaml.load":
        loaders = [word.value for word in node.keywords if word.arg == "Loader"]
        if not any(ast.unparse(loader) in SAFE_YAML for loader in loaders):
            yield "yaml.load without a loader that is known to be safe"
    if isinstance(node, ast.Attribute) and node.attr in LOADERS:
        yield f"{node.attr}: {LOADERS[node.attr]}"
    if isinstance(node, ast.keyword) and node.arg == "allow_pickle":
        if not (isinstance(node.value, ast.Constant) and node.value.value is False):
            yield "allow_pickle: arrays with objects are programs"
    for word in _words(node):
        if word in NAMES:
            yield f"{word}: {NAMES[word]}"


def _modules(node: ast.AST) -> Iterator[str]:
    """Yields the names that a statement imports, with their modules."""
    if isinstance(node, ast.Import):
        yield from (alias.name for alias in node.names)
    elif isinstance(node, ast.ImportFrom) and node.module:
        yield from (f"{node.module}.{alias.name}" for alias in node.names)


def _words(node: ast.AST) -> Iterator[str]:
    """Yields the names and texts of one node."""
    if isinstance(node, ast.Name):
        yield node.id
    elif isinstance(node, ast.Attribute):
        yield node.attr
    elif isinstance(node, ast.keyword | ast.arg):
        yield node.arg or ""
    elif isinstance(node, ast.alias):
        yield node.name
    elif isinstance(node, ast.Constant) and isinstance(node.value, str):
        yield node.value


def _docstrings(tree: ast.Module) -> Iterator[ast.Constant]:
    """Yields the docstrings of modules, classes, functions and attributes."""
    for node in ast.walk(tree):
        if isinstance(node, ast.Expr) and isinstance(node.value, ast.Constant):
            yield node.value
