"""Kinds of tasks in registries alone: no other code asks for the kind of a task."""

import ast
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from triad_ml.model.tasks.heads import HEADS
from triad_ml.model.tasks.metrics import METRICS
from triad_ml.pipelines.report.kinds import KINDS as REPORTS
from triad_ml.pipelines.tables.columns import COLUMNS
from triad_ml.transforms.labels.registry import LABELS
from triad_ml.transforms.spec.spec import Spec
from triad_ml.transforms.spec.tasks import KINDS
from triad_ml.transforms.targets.registry import TARGETS

ROOT = Path(__file__).resolve().parents[1]
ROOMS = ("transforms", "model", "pipelines", "triad_ml")

REGISTRIES = {
    "transforms/labels/registry.py",
    "transforms/targets/registry.py",
    "model/tasks/heads.py",
    "model/tasks/metrics.py",
    "model/linear/fit.py",
    "model/recipe/mixing.py",
    "pipelines/tables/columns.py",
    "pipelines/report/kinds.py",
    "pipelines/sources/first_look.py",
    "pipelines/verification/late/answers.py",
    "pipelines/verification/model_checks.py",
}
"""Files that may have a dict by kind; they too compare no kind with another."""

OTHER = {
    "pipelines/publishing/reading.py": "values of a column",
    "pipelines/sources/columnar/pages.py": "pages of Parquet",
    "pipelines/streaming/folder/source.py": "media of a record",
    "pipelines/verification/differences.py": "NumPy's kinds of numbers",
    "pipelines/verification/digest_diff.py": "folders with provenance",
    "transforms/media/audio.py": "audio formats",
}
"""Files that compare a `kind` of something else."""

ANSWERS = {"Prediction", "Number", "Tagged", "Text"}
TASKS = {task.__name__ for task in KINDS.values()}


def questions(tree: ast.AST, *, registry: bool = False, other: bool = False) -> Iterator[str]:
    """Yields the code that tells kinds of tasks apart, as it is written.

    Args:
        tree: Parsed module.
        registry: True if the module may have a dict by kind.
        other: True if a `kind` in the module may be that of something else than a task.
    """
    for node in ast.walk(tree):
        compares = not other and any(map(_is_kind, _compared(node)))
        lists = not registry and isinstance(node, ast.Dict) and _has_kinds(node)
        if compares or lists or _asks(node):
            yield ast.unparse(node)


def _compared(node: ast.AST) -> list[ast.expr]:
    """Returns the sides of a comparison, or the subject of a `match`."""
    if isinstance(node, ast.Compare):
        return [node.left, *node.comparators]
    return [node.subject] if isinstance(node, ast.Match) else []


def _asks(node: ast.AST) -> bool:
    if isinstance(node, ast.Compare):
        sides = _compared(node)
        types = any(map(_is_type, sides)) and any(map(_has_class, sides))
        return types or any(map(_names_kind, sides))
    if isinstance(node, ast.MatchValue):
        return _names_kind(node.value)
    if isinstance(node, ast.MatchClass):
        return _has_class(node.cls)
    if isinstance(node, ast.Call) and ast.unparse(node.func) in ("isinstance", "issubclass"):
        return _has_class(node.args[1])
    # A spec that has a list for each kind, as it once had.
    return isinstance(node, ast.Attribute) and node.attr in KINDS and _is_spec(node.value)


def _is_kind(node: ast.expr) -> bool:
    """Returns True for `x.kind` and `x["kind"]`."""
    if isinstance(node, ast.Subscript):
        return isinstance(node.slice, ast.Constant) and node.slice.value == "kind"
    return isinstance(node, ast.Attribute) and node.attr == "kind"


def _names_kind(node: ast.expr) -> bool:
    """Returns True for the name of a kind, and for a collection of literals that has one."""
    if isinstance(node, ast.Tuple | ast.List | ast.Set):
        return any(map(_names_kind, node.elts))
    return isinstance(node, ast.Constant) and isinstance(node.value, str) and node.value in KINDS


def _has_kinds(node: ast.Dict) -> bool:
    return any(_names_kind(key) for key in node.keys if key is not None)


def _is_type(node: ast.expr) -> bool:
    return isinstance(node, ast.Call) and ast.unparse(node.func) == "type"


def _has_class(node: ast.expr) -> bool:
    """Returns True if a class, or a union or tuple of them, is of a kind: a task or an answer.

    Classes of other modules may have the name of an answer: `rich.text.Text`, say.
    """
    for part in ast.walk(node):
        module, _, name = ast.unparse(part).rpartition(".")
        if name in TASKS or (name in ANSWERS and module.rpartition(".")[2] in ("", "values")):
            return True
    return False


def _is_spec(node: ast.expr) -> bool:
    return ast.unparse(node).rpartition(".")[2] in ("spec", "what")


def files(room: str) -> list[str]:
    """Lists the modules of a room; links are not followed, so that each has one name."""
    return sorted(path.relative_to(ROOT).as_posix() for path in (ROOT / room).rglob("*.py"))


def parsed(name: str) -> ast.Module:
    return ast.parse((ROOT / name).read_text(encoding="utf-8"))


@pytest.mark.parametrize("registry", [LABELS, TARGETS, HEADS, METRICS, COLUMNS, REPORTS])
def test_each_registry_has_an_entry_for_each_kind(registry):
    assert registry.keys() == KINDS.keys()


def spelled(schema: Any) -> Iterator[str]:
    """Yields the kinds that a JSON Schema of specs allows."""
    if isinstance(schema, dict):
        kind = schema.get("properties", {}).get("kind", {})
        yield from kind.get("enum", [kind["const"]] if "const" in kind else [])
        for part in schema.values():
            yield from spelled(part)


def test_a_spec_may_have_each_kind_and_its_scores_have_a_mark():
    assert set(spelled(Spec.model_json_schema())) == KINDS.keys()
    assert len({column.mark for column in COLUMNS.values()}) == len(KINDS)


def test_only_registries_ask_for_the_kind_of_a_task():
    trees = {name: parsed(name) for room in ROOMS for name in files(room)}
    found = {
        f"{name}: {question}"
        for name, tree in trees.items()
        for question in questions(tree, registry=name in REGISTRIES, other=name in OTHER)
    }
    assert found == set(), "extend one of LABELS, TARGETS, HEADS, METRICS, COLUMNS, REPORTS"
    assert len(trees) > 350


def test_each_exception_is_needed():
    assert {name for name in REGISTRIES if not [*questions(parsed(name))]} == set()
    assert {name for name in OTHER if not [*questions(parsed(name))]} == set()


@pytest.mark.parametrize("room", ROOMS)
@pytest.mark.parametrize("registry", [False, True], ids=["anywhere", "in a registry"])
@pytest.mark.parametrize(
    "source",
    [
        'if task.kind == "tagging": ...',
        'others = [t for t in tasks if t.kind != "ordinal"]',
        "if task.kind == WANTED: ...",
        "if task.kind in WRITING: ...",
        'if task["kind"] in ("tagging", "generation"): ...',
        'if evaluated["kind"] not in {"ordinal"}: ...',
        'if "generation" == kind: ...',
        'if kind in ("tagging", "generation"): ...',
        'match task.kind:\n    case "ordinal": ...',
        'match kind:\n    case "tagging" | "generation": ...',
        "match said:\n    case Tagged(): ...",
        "match said:\n    case values.Tagged(spans): ...",
        "isinstance(task, TaggingTask)",
        "isinstance(task, tasks.ClassificationTask | tasks.GenerationTask)",
        "isinstance(said, Tagged)",
        "isinstance(said, values.Tagged)",
        "isinstance(said, (Text, Prediction))",
        "isinstance(said, Number | None)",
        "issubclass(kind, RegressionTask)",
        "if type(said) is Tagged: ...",
        "if spec.tagging: ...",
        "len(layout.spec.generation)",
    ],
)
def test_a_question_for_the_kind_is_found(source, registry, room):
    planted = parsed(files(room)[-1])
    planted.body += ast.parse(source).body
    assert [*questions(planted, registry=registry)]


@pytest.mark.parametrize("source", ['page.kind == "tagging"', "isinstance(page, Tagged)"])
def test_a_file_with_other_kinds_may_not_ask_for_the_kind_of_a_task(source):
    assert [*questions(ast.parse(source), other=True)]


def test_a_dict_by_kind_is_found_outside_registries():
    tree = ast.parse('PARTS = {"classification": 1}')
    assert [*questions(tree)]
    assert not [*questions(tree, registry=True)]


@pytest.mark.parametrize(
    "source",
    [
        "head = HEADS[task.kind](name)",
        "check = CHECKS.get(task.kind)",
        'found = {"kind": task.kind}',
        'format == "jsonl"',
        "blob.generation",
        "isinstance(said, Tags)",
        "isinstance(said, rich.text.Text)",
        "type(value) is int",
        "from triad_ml.model.tasks.generation import head",
    ],
)
def test_what_is_no_question_for_the_kind_is_not_found(source):
    assert [*questions(ast.parse(source))] == []
