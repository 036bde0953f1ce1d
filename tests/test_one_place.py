"""What several commands need stands once: a default, a form of a name, a remedy."""

import ast
import re
from collections.abc import Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[1]
COMMANDS = sorted((ROOT / "pipelines" / "cli").glob("*.py"))


def _defaults(path: Path) -> Iterator[tuple[str, ast.expr]]:
    for node in ast.parse(path.read_text(encoding="utf-8")).body:
        if isinstance(node, ast.FunctionDef) and node.decorator_list:
            arguments = node.args
            named = arguments.args[len(arguments.args) - len(arguments.defaults) :]
            for argument, default in zip(named, arguments.defaults, strict=True):
                yield f"{path.name}: {node.name}.{argument.arg}", default


def test_each_default_of_a_flag_is_taken_from_its_config():
    """None and False say that a flag was not given; any other value is the config's."""
    written = {
        name: ast.unparse(default)
        for path in COMMANDS
        for name, default in _defaults(path)
        if not (isinstance(default, ast.Constant) and default.value in (None, False, 1))
        and not name.endswith("version")
    }
    assert len(written) > 20
    copied = [name for name, text in written.items() if not re.fullmatch(r"\w+(\.\w+)+", text)]
    assert copied == []


@pytest.mark.parametrize(
    ("pattern", "place"),
    [
        (r"\[0-9a-f\]\{24\}", "pipelines/runtime/names.py"),
        (r"""(?<=["/])CURRENT\"""", "pipelines/runtime/names.py"),
        (r"date\.fromisoformat", "pipelines/runtime/names.py"),
        (r"errno\.ENOSPC: ", "pipelines/runtime/remedies.py"),
        (r"""\["parquet", "jsonl"\]""", "pipelines/tables/__init__.py"),
        (r"""\["json", "example", "avro"\]""", "pipelines/runtime/names.py"),
    ],
)
def test_a_rule_that_several_modules_need_stands_in_one(pattern, place):
    found = {
        str(path.relative_to(ROOT))
        for part in ("pipelines", "model", "transforms")
        for path in (ROOT / part).rglob("*.py")
        if re.search(pattern, path.read_text(encoding="utf-8"), flags=re.MULTILINE)
    }
    assert found == {place}
