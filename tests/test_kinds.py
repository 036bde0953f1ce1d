"""Kinds of tasks: only registries know them, and no other code compares the kind of a task."""

import ast
from collections.abc import Iterator
from pathlib import Path

import pytest

from triad_ml.model.tasks.heads import HEADS
from triad_ml.model.tasks.metrics import METRICS
from triad_ml.transforms.labels.registry import LABELS
from triad_ml.transforms.spec.tasks import KINDS
from triad_ml.transforms.targets.registry import TARGETS

ROOT = Path(__file__).resolve().parents[1]
ROOMS = ("transforms", "model")
REGISTRIES = (
    "transforms/spec/tasks.py",
    "transforms/labels/registry.py",
    "transforms/targets/registry.py",
    "model/tasks/",
)
CLASSES = {kind.__name__ for kind in KINDS.values()}


def files() -> list[Path]:
    found = [path for room in ROOMS for path in sorted((ROOT / room).rglob("*.py"))]
    return [one for one in found if not one.relative_to(ROOT).as_posix().startswith(REGISTRIES)]


def questions(tree: ast.Module) -> Iterator[str]:
    """Yields the comparisons of a task's kind, each with its line."""
    for node in ast.walk(tree):
        if isinstance(node, ast.Compare):
            asked = any(map(_is_kind, [node.left, *node.comparators]))
        elif isinstance(node, ast.MatchValue):
            asked = _is_kind(node.value)
        elif isinstance(node, ast.Dict):
            asked = any(_is_kind(key) for key in node.keys if key is not None)
        elif isinstance(node, ast.Call) and ast.unparse(node.func) in ("isinstance", "issubclass"):
            asked = bool(CLASSES & {_last_name(one) for one in ast.walk(node.args[1])})
        elif isinstance(node, ast.Attribute) and node.attr in KINDS:
            asked = ast.unparse(node.value).rpartition(".")[2] in ("spec", "what")
        else:
            asked = False
        if asked:
            yield f"line {getattr(node, 'lineno', 0)}: {ast.unparse(node)}"


def _is_kind(node: ast.expr) -> bool:
    """Returns True if an expression is the name of a kind, or holds such a name."""
    if isinstance(node, ast.Tuple | ast.List | ast.Set):
        return any(map(_is_kind, node.elts))
    return isinstance(node, ast.Constant) and isinstance(node.value, str) and node.value in KINDS


def _last_name(node: ast.AST) -> str:
    return node.attr if isinstance(node, ast.Attribute) else getattr(node, "id", "")


@pytest.mark.parametrize("registry", [LABELS, TARGETS, HEADS, METRICS])
def test_each_registry_has_an_entry_for_each_kind(registry):
    assert registry.keys() == KINDS.keys()


@pytest.mark.parametrize("path", files(), ids=lambda path: str(path.relative_to(ROOT)))
def test_only_registries_ask_for_the_kind_of_a_task(path):
    found = [*questions(ast.parse(path.read_text(encoding="utf-8")))]
    assert found == [], "use or extend one of LABELS, TARGETS, HEADS, METRICS"


@pytest.mark.parametrize(
    "source",
    [
        'if task.kind == "tagging": ...',
        'others = [t for t in tasks if t.kind != "classification"]',
        'if task["kind"] in ("tagging", "generation"): ...',
        'if "generation" == kind: ...',
        'match task.kind:\n    case "tagging": ...',
        'PARTS = {"classification": 1}',
        "isinstance(task, TaggingTask)",
        "isinstance(task, tasks.ClassificationTask | tasks.GenerationTask)",
        "if spec.tagging: ...",
        "len(layout.spec.generation)",
    ],
)
def test_a_question_for_the_kind_is_found(source):
    assert [*questions(ast.parse(source))]


@pytest.mark.parametrize(
    "source",
    [
        'if sound.kind != "MP3": ...',
        "head = HEADS[task.kind](name)",
        'found = {"kind": task.kind}',
        "blob.generation",
        "isinstance(said, Tags)",
        "from triad_ml.model.tasks.generation import head",
    ],
)
def test_what_is_no_question_for_the_kind_is_not_found(source):
    assert [*questions(ast.parse(source))] == []
