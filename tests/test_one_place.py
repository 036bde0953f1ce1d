"""Shared defaults, patterns of names and remedies are each defined in one module."""

import re
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[1]


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
