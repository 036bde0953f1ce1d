"""Docstrings follow the rules of English in CONTRIBUTING.md, as far as a program can hold them.

`UNTIDY` lists the files that still break a rule. It only shrinks: a listed file that breaks none
fails too, and has to be taken off the list.
"""

import ast
import re
from collections.abc import Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[1]
LIST = Path(__file__).with_name("untidy_prose.txt")
UNTIDY = frozenset(LIST.read_text(encoding="utf-8").split())
OPENING = re.compile(r"(?:What|How|Which|Whether|Where|Of)\b")
ATTRIBUTE = re.compile(r"^ {4,}\w+: Of\b", re.MULTILINE)


def sources() -> Iterator[Path]:
    for part in ("transforms", "model", "pipelines", "triad_ml"):
        yield from sorted((ROOT / part).glob("**/*.py"))


def violations(source: str) -> list[str]:
    """The first lines of docstrings, and the attribute lines, that break a rule.

    Docstrings are those of modules, public classes, functions and attributes.
    """
    tree = ast.parse(source)
    found = [ast.get_docstring(tree) or ""]
    for node in ast.walk(tree):
        if isinstance(node, ast.ClassDef | ast.FunctionDef) and not node.name.startswith("_"):
            found.append(ast.get_docstring(node) or "")
        body = getattr(node, "body", None)
        for before, after in zip(body, body[1:], strict=False) if isinstance(body, list) else ():
            if isinstance(before, ast.Assign | ast.AnnAssign) and isinstance(after, ast.Expr):
                if isinstance(after.value, ast.Constant) and isinstance(after.value.value, str):
                    found.append(after.value.value)
    opened = [text.splitlines()[0] for text in found if OPENING.match(text)]
    return opened + [line.strip() for text in found for line in ATTRIBUTE.findall(text)]


def test_only_listed_files_break_a_rule():
    broken = {
        str(path.relative_to(ROOT)): lines
        for path in sources()
        if (lines := violations(path.read_text(encoding="utf-8")))
    }
    assert {name: lines for name, lines in broken.items() if name not in UNTIDY} == {}
    assert sorted(UNTIDY - broken.keys()) == []


@pytest.mark.parametrize(
    ("source", "expected"),
    [
        ('"""What learns and predicts."""', ["What learns and predicts."]),
        ('"""Path of a file."""', []),
        ('"""Offers of a day."""', []),
        ('def f():\n    """Whether it is so."""', ["Whether it is so."]),
        ('def _f():\n    """Whether it is so."""', []),
        ('A = 1\n"""Of a unit."""', ["Of a unit."]),
        (
            'class A:\n    """Settings.\n\n    Attributes:\n        a: Of a unit.\n    """',
            ["a: Of"],
        ),
    ],
)
def test_a_rule_is_held(source, expected):
    assert violations(source) == expected
