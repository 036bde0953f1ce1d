"""README: its specs and records are valid, the names in it exist, its commands run."""

import json
import re
import subprocess
from pathlib import Path

import pytest

from examples import generated
from tests import printed, wheels
from triad_ml.transforms.spec import loading

ROOT = Path(__file__).resolve().parents[1]
README = (ROOT / "README.md").read_text(encoding="utf-8")


def blocks(language: str) -> list[str]:
    """Returns the fenced blocks of one language, in order."""
    return re.findall(rf"^```{language}\n(.*?)^```$", README, flags=re.MULTILINE | re.DOTALL)


def test_it_has_at_most_120_lines():
    assert len(README.splitlines()) <= 120


def test_its_spec_is_valid_and_learns_what_its_records_are_labelled_with():
    (content,) = blocks("yaml")
    names = loading.parse(content, "README.md").label_names
    (records,) = blocks("json")
    labels = [set(json.loads(line)["labels"]) for line in records.splitlines()]
    assert set().union(*labels) == set(names)


def test_its_records_have_the_keys_of_the_generated_ones(tmp_path):
    path = generated.write(tmp_path / "out", records=1, seed=0)
    expected = set(json.loads(path.read_text(encoding="utf-8")))
    (records,) = blocks("json")
    assert [set(json.loads(line)) for line in records.splitlines()] == [expected, expected]


@pytest.mark.parametrize("page", ["README.md", "CONTRIBUTING.md", "CHANGELOG.md"])
def test_files_that_a_page_links_to_or_names_as_folders_are_there(page):
    text = (ROOT / page).read_text(encoding="utf-8")
    linked = [name for name in re.findall(r"\]\(([^)]+)\)", text) if "://" not in name]
    folders = re.findall(
        r"`(transforms|model|pipelines|examples|tests|benchmarks|docs|deploy)/`", text
    )
    files = re.findall(r"`((?:transforms|model|pipelines|examples|docs)/[\w/]+\.\w+)`", text)
    assert [name for name in linked + folders + files if not (ROOT / name).exists()] == []


@pytest.mark.parametrize("page", ["README.md", "CONTRIBUTING.md"])
def test_every_make_target_that_a_page_names_is_in_the_makefile(page):
    text = (ROOT / page).read_text(encoding="utf-8")
    named = set(re.findall(r"(?:`|\$ )make (\w+)", text))
    targets = set(re.findall(r"^(\w+):", (ROOT / "Makefile").read_text(encoding="utf-8"), re.M))
    assert named
    assert named <= targets


@pytest.mark.slow
@pytest.mark.timeout(900)
def test_its_commands_run_as_printed_on_generated_records(installed, tmp_path):
    """The wheel alone is installed, and the user has modules with names of Triad's folders."""
    wheels.write_own_modules(tmp_path)
    generated.write(tmp_path / "records", records=80, seed=0)
    (content,) = blocks("yaml")
    (tmp_path / "my.yaml").write_text(content, encoding="utf-8")
    for block in blocks("sh"):
        run = subprocess.run(
            ["bash", "-euo", "pipefail", "-c", block],
            cwd=tmp_path,
            env=wheels.variables(installed),
            capture_output=True,
            text=True,
        )
        assert run.returncode == 0, f"{run.stdout[-2000:]}\n{run.stderr[-2000:]}"
        assert printed.foreign(run.stderr) == []
    current = (tmp_path / "scores/dt=2026-11-24/CURRENT").read_text(encoding="utf-8").strip()
    manifest = tmp_path / f"scores/dt=2026-11-24/_runs/run={current}/manifest.json"
    assert json.loads(manifest.read_text(encoding="utf-8"))["run_id"] == current
    for made in ("triad.json", "evaluation.json"):
        assert (tmp_path / "trained" / made).is_file()
    assert (
        (tmp_path / "report.html").read_text(encoding="utf-8").lower().startswith("<!doctype html>")
    )
