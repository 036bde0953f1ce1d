"""Pages of the documentation: their blocks of code, and the commands in these."""

import re
from collections.abc import Iterator
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
DOCS = ROOT / "docs"
PAGES = (ROOT / "README.md", ROOT / "CONTRIBUTING.md", *sorted(DOCS.rglob("*.md")))


def blocks(page: Path, *languages: str) -> list[tuple[str, str]]:
    """Yields language and text of each fenced block in one of the languages, in page order."""
    text = page.read_text(encoding="utf-8")
    found = re.findall(r"^ *```(\w+)\n(.*?)^ *```$", text, flags=re.MULTILINE | re.DOTALL)
    return [(language, content) for language, content in found if language in languages]


def commands(page: Path) -> Iterator[str]:
    """Yields each `triad` command of the page's blocks, on one line.

    In a `console` block a dollar sign marks a command; in a script each line is a command.
    """
    for language, content in blocks(page, "console", "sh"):
        for line in content.replace("\\\n", " ").splitlines():
            line = line.strip()
            if language == "console":
                if not line.startswith("$ "):
                    continue
                line = line[2:]
            for part in re.split(r" && |; ", line):
                if part.startswith("triad "):
                    yield part
