"""Import root and distribution name: the same in code, in programs within tests, and in texts."""

import re
from collections.abc import Iterator
from pathlib import Path

import pytest

from triad_ml.transforms import extras

ROOT = Path(__file__).resolve().parents[1]
FOLDERS = ("benchmarks", "deploy", "docs", "examples", "model", "pipelines", "tests", "transforms")
FILES = ("CHANGELOG.md", "CONTRIBUTING.md", "Makefile", "README.md", "pyproject.toml")
SUFFIXES = {".html", ".ipynb", ".j2", ".md", ".py", ".service", ".sh", ".toml", ".yaml", ".yml"}

_STEMS = "model|transforms|pipelines"
BARE = re.compile(
    rf"(?:^|[\"'`;>])[ \t]*(?:from (?:{_STEMS})(?:\.[\w.]+)? import \w"
    rf"|import (?:{_STEMS})\b(?!-)|python -m (?:{_STEMS})\.)",
    re.MULTILINE,
)
STRANGER = re.compile(r"pip3? install\b[^\n]*?(?<![\w./-])triad(?![\w-])|\btriad\[\w")
"""Pattern of the distribution `triad` of the Fugue project, in install lines and with extras."""


def texts() -> Iterator[Path]:
    for folder in FOLDERS:
        for path in sorted((ROOT / folder).rglob("*")):
            if path.suffix in SUFFIXES or path.name == "Dockerfile":
                if path != Path(__file__) and path.is_file():
                    yield path
    yield from (ROOT / name for name in FILES)


def found(pattern: re.Pattern[str]) -> list[str]:
    return [
        f"{path.relative_to(ROOT)}: {match.group().strip()}"
        for path in texts()
        for match in pattern.finditer(path.read_text(encoding="utf-8", errors="replace"))
    ]


def test_our_code_is_imported_from_its_root_alone():
    assert found(BARE) == []


def test_no_text_says_to_install_the_stranger_named_triad():
    assert found(STRANGER) == []


@pytest.mark.parametrize(
    "line",
    [
        "from model import layout",
        "    from pipelines.cli import main",
        "import transforms",
        'program = "from model.data import batches"',
        "`python -m pipelines.cli`",
    ],
)
def test_a_bare_import_is_found(line):
    assert BARE.search(line)


@pytest.mark.parametrize(
    "line", ["from triad_ml.model import layout", "import modelling", "from the model import it"]
)
def test_an_import_from_the_root_is_not_found(line):
    assert not BARE.search(line)


@pytest.mark.parametrize(
    "line", ["pip install 'triad[search]'", "pip install -c constraints.txt triad", "triad[hub]"]
)
def test_an_install_line_of_the_stranger_is_found(line):
    assert STRANGER.search(line)


@pytest.mark.parametrize(
    "line",
    ["pip install 'triad-ml[hub] @ file:///x'", "pip install -c constraints.txt '.[hub]'"],
)
def test_an_install_line_of_ours_is_not_found(line):
    assert not STRANGER.search(line)


def test_a_remedy_names_the_packages_of_an_extra():
    assert extras.remedy("sign") == (
        "pip install 'model-signing>=1.1' 'pyopenssl>=26.4' (the extra 'sign' of triad-ml)"
    )
