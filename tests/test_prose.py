"""Docstrings, comments and help texts follow the rules of English in CONTRIBUTING.md.

The tests hold as much of the rules as a program can.
"""

import ast
import io
import re
import tokenize
from collections.abc import Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[1]
OPENING = re.compile(r"(?:What|How|Which|Whether|Where|Of)\b")
ATTRIBUTE = re.compile(rf"^ {{4,}}\w+: {OPENING.pattern}", re.MULTILINE)
PHRASE = re.compile(
    r"\b(?:(?:is|are|was|were|be|been) told|(?:go|goes|going|gone) on|(?:stand|stands) beside"
    r"|(?:let|lets) go|come first)\b"
)


def sources() -> Iterator[Path]:
    for part in ("transforms", "model", "pipelines", "triad_ml"):
        yield from sorted((ROOT / part).glob("**/*.py"))


def violations(source: str) -> list[str]:
    """The first lines of docstrings and comments, and the lines in them, that break a rule."""
    docstrings = list(documented(ast.parse(source)))
    comments = list(commented(source))
    opened = [text.splitlines()[0] for text in docstrings + comments if OPENING.match(text)]
    lines = [line.strip() for text in docstrings for line in ATTRIBUTE.findall(text)]
    phrases = [found for text in docstrings + comments for found in PHRASE.findall(unfolded(text))]
    return opened + lines + phrases


def documented(tree: ast.Module) -> Iterator[str]:
    """Yields the docstrings of modules, classes, functions and attributes."""
    yield ast.get_docstring(tree) or ""
    for node in ast.walk(tree):
        if isinstance(node, ast.ClassDef | ast.FunctionDef):
            yield ast.get_docstring(node) or ""
        body = getattr(node, "body", None)
        for before, after in zip(body, body[1:], strict=False) if isinstance(body, list) else ():
            if isinstance(before, ast.Assign | ast.AnnAssign) and isinstance(after, ast.Expr):
                if isinstance(after.value, ast.Constant) and isinstance(after.value.value, str):
                    yield after.value.value


def help_violations(source: str) -> list[str]:
    """The help texts of options and arguments that break a rule."""
    return [
        text
        for text in helps(ast.parse(source))
        if OPENING.match(text) or PHRASE.search(unfolded(text))
    ]


def helps(tree: ast.Module) -> Iterator[str]:
    """Yields the strings given as `help=`; those of an f-string without its expressions."""
    for node in ast.walk(tree):
        if isinstance(node, ast.keyword) and node.arg == "help":
            parts = ast.walk(node.value)
            constants = (part.value for part in parts if isinstance(part, ast.Constant))
            yield "".join(text for text in constants if isinstance(text, str))


def commented(source: str) -> Iterator[str]:
    """Yields the comments; lines that follow each other are one comment."""
    lines: list[str] = []
    last = 0
    for token in tokenize.generate_tokens(io.StringIO(source).readline):
        if token.type == tokenize.COMMENT:
            if lines and (token.start[0] != last + 1 or not token.line.lstrip().startswith("#")):
                yield "\n".join(lines)
                lines = []
            lines.append(token.string.lstrip("#").strip())
            last = token.start[0]
    if lines:
        yield "\n".join(lines)


def unfolded(text: str) -> str:
    return " ".join(text.split())


def test_no_docstring_or_comment_breaks_a_rule():
    broken = {
        str(path.relative_to(ROOT)): lines
        for path in sources()
        if (lines := violations(path.read_text(encoding="utf-8")))
    }
    assert broken == {}


def test_no_help_text_breaks_a_rule():
    files = sorted((ROOT / "pipelines" / "cli").glob("*.py"))
    broken = {path.name: help_violations(path.read_text(encoding="utf-8")) for path in files}
    assert {name: texts for name, texts in broken.items() if texts} == {}


@pytest.mark.parametrize(
    ("source", "expected"),
    [
        ('Option("--a", help="Of a unit.")', ["Of a unit."]),
        ('Option("--a", help="Number of records " "in a unit.")', []),
        ('Option("--a", help=f"Which of {NAMES}.")', ["Which of ."]),
        ('Option("--a", help="The job goes " "on.")', ["The job goes on."]),
        ('Option("--a", metavar="What")', []),
    ],
)
def test_a_rule_of_help_texts_is_held(source, expected):
    assert help_violations(source) == expected


@pytest.mark.parametrize(
    ("source", "expected"),
    [
        ('"""What learns and predicts."""', ["What learns and predicts."]),
        ('"""Path of a file."""', []),
        ('"""Offers of a day."""', []),
        ('def f():\n    """Whether it is so."""', ["Whether it is so."]),
        ('def _f():\n    """Whether it is so."""', ["Whether it is so."]),
        ('A = 1\n"""Of a unit."""', ["Of a unit."]),
        (
            'class A:\n    """Settings.\n\n    Attributes:\n        a: Of a unit.\n    """',
            ["a: Of"],
        ),
        ("a = 1  # What it is", ["What it is"]),
        ("# A mistake is\n# told early", ["is told"]),
        ("# Only words\n# Of a text", []),
        ("# Words\na = 1\n# Of a text", ["Of a text"]),
    ],
)
def test_a_rule_is_held(source, expected):
    assert violations(source) == expected
