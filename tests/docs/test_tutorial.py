"""The tutorial works: its files, commands and programs, in the order in which it prints them.

All commands run in this process, because most of what each of them costs is its start.
"""

import logging
import re
import shlex
from pathlib import Path
from typing import Any

import pyarrow.parquet as pq
import pytest

from tests import docs_pages
from triad_ml.pipelines.cli import main

pytestmark = pytest.mark.slow

PAGE = docs_pages.DOCS / "tutorial.md"
DOCTOR_ACCEPTS = (0, 12)
"""It refuses a checkout that is not the installed one; only that differs between environments."""


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, str, dict[str, Any]]:
    """The folder of somebody who did all of it, what was printed, and what the programs hold."""
    base = tmp_path_factory.mktemp("tutorial")
    folder, printed = base / "work", base / "printed.txt"
    folder.mkdir()
    held: dict[str, Any] = {}
    out = printed.open("w", buffering=1, encoding="utf-8")  # open: libraries may keep it
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(folder)
        patch.setattr("sys.stdout", out)
        patch.setattr("sys.stderr", out)
        patch.setattr(logging.getLogger(), "handlers", [])  # those of the commands write to `out`
        for language, content in docs_pages.blocks(PAGE, "python", "yaml", "sh"):
            if language == "python":
                exec(content, held)
            elif language == "yaml":
                Path("returns.yaml").write_text(content, encoding="utf-8")
            else:
                _run(content)
    return folder, printed.read_text(encoding="utf-8"), held


def _run(block: str) -> None:
    for line in block.splitlines():
        program, *argv = shlex.split(line)
        code = main.main(argv)
        assert program == "triad"
        assert code in (DOCTOR_ACCEPTS if argv[0] == "doctor" else (0,)), line


def test_every_step_ends_well_and_prints_what_the_page_shows(made):
    folder, printed, _ = made
    for _, shown in docs_pages.blocks(PAGE, "text"):
        for line in shown.splitlines():
            assert line in printed
    assert (folder / "report.html").read_text(encoding="utf-8").startswith("<!DOCTYPE html>")


def test_the_broken_photo_costs_the_photo_alone(made):
    folder, _, _ = made
    (path,) = folder.glob("scores/dt=2026-11-24/_runs/run=*/scores/*.parquet")
    rows = {row["id"]: row for row in pq.read_table(path).to_pylist()}
    assert len(rows) == 295
    assert (rows["7"]["issues"], rows["7"]["modalities_used"]) == (["image: unsupported"], ["text"])


def test_the_queries_find_the_scores_beside_the_columns_of_the_spreadsheet(made):
    _, _, held = made
    assert len(held["joined"]) == 295
    assert set(held["joined"]["predicted"]) <= {"mug", "plate", "vase"}


def test_the_picture_of_the_report_is_of_these_records():
    script = (docs_pages.DOCS / "_site" / "report_picture.py").read_text(encoding="utf-8")
    assert "the tutorial's records" in script
    assert re.search(r"!\[[^]]+\]\(pictures/report\.png\)", PAGE.read_text(encoding="utf-8"))
