"""Examples in docs/how-to/python.md and in the docstrings of the Python API run as shown."""

import doctest
import json
import re
from pathlib import Path
from typing import Any

import pytest

import triad_ml

PAGE = Path(__file__).resolve().parents[1] / "docs" / "how-to" / "python.md"
METHODS = {"Model": ("score",), "Score": ("from_model",), "Canonicalize": ("from_spec",)}
COMMANDS = ("preprocess", "train", "score", "stream", "parity", "report")
IN_ORDER = (*COMMANDS, "load_model", "published_files", "read_scores", "read_manifest")


def run(text: str, name: str) -> int:
    """Runs the examples of a text, as `doctest` does, and returns their number."""
    test = doctest.DocTestParser().get_doctest(text, {}, name, name, 0)
    report: list[str] = []
    runner = doctest.DocTestRunner(optionflags=doctest.ELLIPSIS | doctest.NORMALIZE_WHITESPACE)
    failed = runner.run(test, out=report.append).failed
    assert not failed, "".join(report)
    return len(test.examples)


def blocks(text: str) -> str:
    """Returns the Python blocks of a page as one text, each followed by an empty line."""
    return "\n\n".join(re.findall(r"^```python\n(.*?)^```$", text, re.MULTILINE | re.DOTALL))


def public() -> dict[str, Any]:
    """Yields each function, class and method of the API whose docstring has examples."""
    found = {name: getattr(triad_ml, name) for name in (*IN_ORDER, "ReadRecords", *METHODS)}
    for name, methods in METHODS.items():
        found |= {f"{name}.{method}": getattr(found[name], method) for method in methods}
    return found


def test_the_page_shows_what_happens(workplace):
    assert run(blocks(PAGE.read_text(encoding="utf-8")), PAGE.name) > 15


def test_docstrings_show_what_happens(workplace):
    (workplace / "arriving").mkdir()
    lines = [json.dumps({"id": name, "text": "a fan"}) for name in "abc"]
    (workplace / "arriving" / "one.jsonl").write_text("\n".join(lines) + "\n", encoding="utf-8")
    shown = {name: run(one.__doc__, name) for name, one in public().items()}
    without = {name for name, count in shown.items() if not count}
    assert without == {"Model", "Canonicalize"}  # their methods show how they are used


@pytest.mark.parametrize("name", sorted(set(public()) - {"Canonicalize"}))
def test_docstrings_say_what_is_taken_given_and_raised(name):
    text = public()[name].__doc__
    sections = re.findall(r"^ *(Args|Attributes|Returns|Raises|Examples):$", text, re.MULTILINE)
    assert sections == sorted(sections, key="Args Attributes Returns Raises Examples".split().index)
    if name not in ("Model", "Score"):
        assert {"Args", "Raises", "Examples"} <= set(sections)


def test_the_page_names_everything_that_is_public():
    named = set(re.findall(r"\b\w+\b", PAGE.read_text(encoding="utf-8")))
    functions = {name for name in triad_ml.__all__ if name in IN_ORDER}
    assert functions | {"ReadRecords", "Canonicalize", "Score", "Scored", "Rejected"} <= named
