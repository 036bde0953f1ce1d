"""Kinds of tasks are known to registries alone: other code of pipelines looks them up."""

import ast
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from triad_ml.pipelines.report import kinds
from triad_ml.pipelines.tables import columns
from triad_ml.transforms.spec.spec import Spec

PIPELINES = Path(__file__).parents[2] / "pipelines"
ANSWERS = {"Prediction", "Number", "Tagged", "Text"}
NOT_TASKS = {"dtype"}  # NumPy's kinds of numbers


def texts(node: ast.AST | None) -> Iterator[str]:
    """The strings that a side of a comparison spells out."""
    if isinstance(node, ast.Constant) and isinstance(node.value, str):
        yield node.value
    elif isinstance(node, ast.Tuple | ast.List | ast.Set):
        for part in node.elts:
            yield from texts(part)


def is_kind(node: ast.AST) -> bool:
    """Whether an expression is the kind of something that may be a task."""
    if isinstance(node, ast.Attribute) and node.attr == "kind":
        return not (isinstance(node.value, ast.Attribute) and node.value.attr in NOT_TASKS)
    return isinstance(node, ast.Subscript) and list(texts(node.slice)) == ["kind"]


def is_spec(node: ast.AST) -> bool:
    name = node.attr if isinstance(node, ast.Attribute) else getattr(node, "id", "")
    return name in ("spec", "what")


def asks(node: ast.AST) -> bool:
    """Whether a piece of code tells kinds of tasks apart without a registry."""
    if isinstance(node, ast.Compare):
        sides = [node.left, *node.comparators]
        said = {text for side in sides for text in texts(side)}
        return bool(said & columns.COLUMNS.keys()) or bool(said and any(map(is_kind, sides)))
    if isinstance(node, ast.Match):
        return is_kind(node.subject)
    if isinstance(node, ast.MatchValue):
        return bool(set(texts(node.value)) & columns.COLUMNS.keys())
    if isinstance(node, ast.MatchClass):
        return isinstance(node.cls, ast.Name) and node.cls.id in ANSWERS
    if isinstance(node, ast.Call) and isinstance(node.func, ast.Name):
        if node.func.id == "isinstance":
            named = (part.id for part in ast.walk(node.args[1]) if isinstance(part, ast.Name))
            return not ANSWERS.isdisjoint(named)
    if isinstance(node, ast.Attribute) and node.attr in columns.COLUMNS:
        return is_spec(node.value)
    return False


def places(source: str) -> list[int]:
    """The lines of a source that ask."""
    return [node.lineno for node in ast.walk(ast.parse(source)) if asks(node)]  # type: ignore[attr-defined]


def test_no_code_of_pipelines_asks_for_the_kind_of_a_task() -> None:
    files = sorted(PIPELINES.rglob("*.py"))
    assert len(files) > 100
    found = {
        f"{path.relative_to(PIPELINES)}:{line}"
        for path in files
        for line in places(path.read_text(encoding="utf-8"))
    }
    assert found == set()


@pytest.mark.parametrize(
    "source",
    [
        'task.kind == "tagging"',
        'task.kind != "ordinal"',
        '"generation" != evaluated["kind"]',
        'kind in ("tagging", "generation")',
        'evaluated["kind"] in {"ordinal"}',
        'match task.kind:\n    case "ordinal": pass',
        'match kind:\n    case "tagging": pass',
        "match said:\n    case Tagged(): pass",
        "isinstance(said, Tagged)",
        "isinstance(said, (Text, Prediction))",
        "isinstance(said, Text | None)",
        "for name in spec.tagging: pass",
        "if model.spec.generation: pass",
    ],
)
def test_a_question_for_the_kind_is_found(source: str) -> None:
    assert places(source)


@pytest.mark.parametrize(
    "source",
    [
        "COLUMNS[task.kind].encode(said)",
        "task.kind in KINDS",
        'array.dtype.kind in "biuf"',
        "file.kind == other.kind",
        'format == "jsonl"',
        "isinstance(said, rich.text.Text)",
        "blob.generation",
    ],
)
def test_other_code_is_left_alone(source: str) -> None:
    assert places(source) == []


def spelled(schema: Any) -> Iterator[str]:
    """The kinds that a JSON Schema of specs allows."""
    if isinstance(schema, dict):
        kind = schema.get("properties", {}).get("kind", {})
        yield from kind.get("enum", [kind["const"]] if "const" in kind else [])
        for part in schema.values():
            yield from spelled(part)


def test_each_kind_that_a_spec_may_have_is_in_every_registry() -> None:
    known = set(spelled(Spec.model_json_schema()))
    assert known == columns.COLUMNS.keys() == kinds.KINDS.keys()
    assert len({column.mark for column in columns.COLUMNS.values()}) == len(known)
