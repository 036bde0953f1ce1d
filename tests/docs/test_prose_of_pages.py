"""Pages follow the rules of English in CONTRIBUTING.md, as far as a program can hold them."""

import re
from pathlib import Path

import pytest

from tests import docs_pages
from tests.test_prose import PHRASE, unfolded

PAGES = (
    docs_pages.ROOT / "README.md",
    docs_pages.ROOT / "CHANGELOG.md",
    *sorted(docs_pages.DOCS.rglob("*.md")),
)
FENCE = re.compile(r"^ *```.*?^ *```$", re.MULTILINE | re.DOTALL)
CODE = re.compile(r"`[^`]*`")
OPENING = re.compile(r"^ *(?:#+|[-*]|\d+\.) +[*_]*(?:Whether|Of)\b.*", re.MULTILINE)


def violations(text: str) -> list[str]:
    """Phrases that the rules refuse, and headings and list items without a head."""
    prose = CODE.sub("", FENCE.sub("", text))
    return PHRASE.findall(unfolded(prose)) + OPENING.findall(prose)


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_a_page_breaks_no_rule(page: Path):
    assert violations(page.read_text(encoding="utf-8")) == []


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("The log\nis\ntold.", ["is told"]),
        ("## Whether it is so", ["## Whether it is so"]),
        ("- **Of** a unit", ["- **Of** a unit"]),
        ("1. Of a unit", ["1. Of a unit"]),
        ("- Offers of a day, whether old or new", []),
        ("```text\nit is told\n- Of a unit\n```\n", []),
        ("The phrase `is told` is refused.", []),
    ],
)
def test_a_rule_is_held(text, expected):
    assert violations(text) == expected
