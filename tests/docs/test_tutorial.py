"""The tutorial works where the wheel alone is installed: all that it prints, in its order.

The folder has modules of the user's own with names that Triad's folders have, and Fugue's `triad`
is installed too.
"""

import json
import re
import shutil
import subprocess
from pathlib import Path
from typing import Any

import pyarrow.parquet as pq
import pytest

from tests import docs_pages, wheels

pytestmark = pytest.mark.slow

PAGE = docs_pages.DOCS / "tutorial.md"
FOLLOW = Path(__file__).with_name("follow.py")
FROM_PYTHON = """
import triad
import triad_ml

outcome = triad_ml.load_model("trained").score({"id": "a", "text": "Soup runs over its edge."})
answer = [triad.OWNER, outcome.predictions["item"].label]
"""


@pytest.fixture(scope="module")
def made(
    installed: Path, tmp_path_factory: pytest.TempPathFactory
) -> tuple[Path, str, dict[str, Any]]:
    """The folder of somebody who did all of it, what was printed, and what is true at the end."""
    folder = tmp_path_factory.mktemp("tutorial")
    wheels.write_own_modules(folder)
    shutil.copy(FOLLOW, folder)
    blocks = docs_pages.blocks(PAGE, "python", "yaml", "sh")
    page = json.dumps([*blocks, ("python", FROM_PYTHON)])
    (folder / "page.json").write_text(page, encoding="utf-8")
    run = subprocess.run(
        ["python", FOLLOW.name, "page.json"],
        cwd=folder,
        env=wheels.variables(installed),
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
    )
    assert run.returncode == 0, run.stdout[-3000:]
    return folder, run.stdout, json.loads((folder / "end.json").read_text(encoding="utf-8"))


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
    _, _, end = made
    assert end["joined"] == 295
    assert set(end["predicted"]) <= {"mug", "plate", "vase"}


def test_only_the_wheel_is_imported_and_nothing_of_the_users(made, installed):
    _, _, end = made
    assert Path(end["root"]).is_relative_to(installed.parent)
    assert {"model", "transforms", "pipelines"}.isdisjoint(end["modules"])
    assert end["answer"] == ["Fugue", "plate"]


def test_the_installed_command_finds_what_was_made(made, installed):
    folder, _, _ = made
    (path,) = folder.glob("scores/dt=2026-11-24/_runs/run=*/scores/*.parquet")
    for command, shown in (
        ("triad spec check returns.yaml", "returns.yaml: good; "),
        ("triad current scores", str(path.relative_to(folder))),
    ):
        assert f"{command}\n" in PAGE.read_text(encoding="utf-8")
        run = subprocess.run(
            command.split(),
            cwd=folder,
            env=wheels.variables(installed),
            capture_output=True,
            text=True,
        )
        assert (run.returncode, run.stderr) == (0, "")
        assert run.stdout.startswith(shown)


def test_the_picture_of_the_report_is_of_these_records():
    script = (docs_pages.DOCS / "_site" / "report_picture.py").read_text(encoding="utf-8")
    assert "the tutorial's records" in script
    assert re.search(r"!\[[^]]+\]\(pictures/report\.png\)", PAGE.read_text(encoding="utf-8"))
