"""Runbook of nightly runs: its commands run; no exit code, field, reason or counter is missing."""

import ast
import dataclasses
import json
import os
import re
import shutil
import subprocess
import sys
from collections.abc import Iterator, Mapping
from pathlib import Path

import pytest

from examples import generated
from tests.reliability.forkserver import ForkServer
from tests.reliability.nights import RECORDS, Night, write_corpus
from triad_ml.pipelines.publishing import publish
from triad_ml.pipelines.publishing.manifest import Manifest
from triad_ml.pipelines.scoring import run as scoring_run
from triad_ml.transforms.errors import TriadError
from triad_ml.transforms.records.values import Flaw, Reason

ROOT = Path(__file__).resolve().parents[1]
PAGE = (ROOT / "docs" / "runbooks/night.md").read_text(encoding="utf-8")
BLOCKS = re.findall(r"^```sh\n(.*?)^```$", PAGE, flags=re.MULTILINE | re.DOTALL)
DATE = "2026-11-24"
DAYS = ("2026-11-22", "2026-11-23", DATE)
COUNTS = {"read": 24, "scored": 21, "rejected": 3}


@dataclasses.dataclass(frozen=True)
class Shell:
    """Shell that runs blocks after the first one, in a folder with the model and the records."""

    folder: Path
    environment: Mapping[str, str]

    def __call__(self, content: str, code: int = 0) -> str:
        """Runs a block; returns its standard output, or standard error if it must fail."""
        finished = subprocess.run(
            ["bash", "-euo", "pipefail", "-c", BLOCKS[0] + content],
            cwd=self.folder,
            env=self.environment,
            capture_output=True,
            text=True,
            check=False,
        )
        assert finished.returncode == code, f"{finished.stdout[-2000:]}\n{finished.stderr[-2000:]}"
        return finished.stderr if code else finished.stdout


def block(words: str) -> str:
    """Returns the only block that has these words."""
    (found,) = (content for content in BLOCKS[1:] if words in content)
    return found


@pytest.fixture(scope="module")
def run(trained: Path, fork_server: ForkServer, tmp_path_factory: pytest.TempPathFactory) -> Shell:
    """Returns a shell in a folder with a model and three dates of records, some of them broken."""
    folder = tmp_path_factory.mktemp("night")
    shutil.copytree(trained, folder / "trained")
    for day in DAYS:
        write_corpus(folder / "records" / day)
    commands = fork_server.program.parent, Path(sys.executable).parent
    environment = {
        **os.environ,
        "PATH": os.pathsep.join([*map(str, commands), os.environ["PATH"]]),
        "PYTHONPATH": str(ROOT),
        "FROM": DAYS[0],
        "TO": DAYS[-1],
    }

    return Shell(folder, environment)


@pytest.mark.slow
@pytest.mark.timeout(900)
def test_its_commands_do_what_it_says(run):
    """Runs every block once, in the order of one long night."""
    output = str(run.folder / "scores")
    done = []

    def step(words: str) -> str:
        done.append(block(words))
        return run(done[-1])

    scoring = block('triad score --model "$MODEL" --input "$INPUT"')
    refused = run(scoring, code=10)
    assert "triad: 3 of 24 records are rejected (12.50%; " in refused
    assert refused.endswith("or raise --rejected-limit\n")  # the commands below raise it
    accepting = 'triad() { command triad "$@" $([ "$1" = score ] && echo --rejected-limit 0.5); }\n'

    def accepted(words: str) -> str:
        done.append(block(words))
        return run(accepting + done[-1])

    assert accepted('triad score --model "$MODEL" --input "$INPUT"').endswith("/manifest.json\n")
    first = publish.current_id(output, DATE)

    assert accepted("until [[").splitlines()[-1] == "failed: none"
    assert publish.published_dates(output) == list(DAYS)
    assert publish.current_id(output, DATE) == first

    shown = json.loads(run(block("sed -n 1,40p").replace("| sed -n 1,40p", "")))
    assert shown["run_id"] == first
    assert shown["counts"] == COUNTS
    assert f'"run_id": "{first}"' in step("sed -n 1,40p")
    assert step('--to "$(cat').splitlines()[0].endswith(", as before")
    assert "Provenance of A and B" in step("triad explain-digest")
    rejected = step("collections.Counter").splitlines()
    assert sorted(rejected[:3]) == ["1 duplicate_id", "1 empty", "1 unparsable"]
    assert len(rejected) == 6
    assert (
        step("units complete") == f"scores/dt={DATE}/_runs/run={first}: 1 units complete, sealed\n"
    )
    assert "functions" in step("triad doctor")

    # A truncated delivery: its scores are published, and bad.
    records = next((run.folder / "records" / DATE).glob("*.jsonl"))
    lines = records.read_text().splitlines()
    records.write_text("\n".join(lines[:12]) + "\n")
    run(accepting + scoring)
    bad = publish.current_id(output, DATE)
    assert bad != first
    listed = step('triad runs "$OUT"').splitlines()
    assert [line.split()[1:3] for line in listed[1:]] == [["published", bad], ["replaced", first]]

    said = step('triad rollback --output "$OUT" --date "$DATE"\n').splitlines()
    assert said[0].endswith(f"instead of {bad}")
    assert said[0].startswith(f"{DATE}: run {first} of ")
    assert publish.current_id(output, DATE) == first

    # The page warns that the same command publishes the bad run again; roll back only afterwards.
    run(accepting + scoring)
    assert publish.current_id(output, DATE) == bad
    run(done[-1])
    assert publish.current_id(output, DATE) == first

    summary = json.loads(step("triad gc").splitlines()[-1])
    assert summary["runs"] == []
    assert list(summary["kept"]) == [f"scores/dt={DATE}/_runs/run={bad}"]
    assert sorted(done) == sorted(BLOCKS[1:])


def test_mended_media_count_once_the_records_file_has_a_new_time(trained, tmp_path):
    records = write_corpus(tmp_path / "records")
    night = Night(str(trained), str(records), str(tmp_path / "scores"))
    scoring_run.run(night.config)
    first = manifest_of(night)
    broken = {name: count for name, count in first.issues.items() if name.startswith("image: ")}
    assert broken == {"image: truncated": 1}
    for path in generated.write(tmp_path / "whole", RECORDS, seed=11).parent.rglob("*.jpg"):
        shutil.copy(path, records.parent / path.relative_to(tmp_path / "whole"))
    scoring_run.run(night.config)
    assert manifest_of(night) == first
    os.utime(records, (0, 0))
    scoring_run.run(night.config)
    assert manifest_of(night).issues == {}
    assert manifest_of(night).run_id != first.run_id


def manifest_of(night: Night) -> Manifest:
    manifest = publish.current(night.output, DATE)
    assert manifest is not None
    return manifest


def test_every_exit_code_is_there():
    listed = {
        int(code)
        for cell in re.findall(r"^\| ([\d, ]+) \|", PAGE, flags=re.MULTILINE)
        for code in cell.split(",")
    }
    errors = [
        one for one in TriadError.__subclasses__() if one.__module__ == "triad_ml.transforms.errors"
    ]
    ours = {one.exit_code for one in errors}
    assert listed == {0, 1, 124, 130, 134, 137, 139, 143, *ours}


def test_every_field_of_a_manifest_is_there():
    fields = {field.name for field in dataclasses.fields(Manifest)} | {"digest"}
    assert fields == set(first_cells("Fields of the manifest"))


def test_every_reason_and_every_flaw_is_there():
    named = first_cells("Reasons")
    assert sorted(named) == sorted([*Reason, *Flaw])


def test_every_counter_is_there():
    table = section("Counters")
    named = set(re.findall(r"`(\w+)`", table))
    known = {*counters()}
    assert {"records_scored", "rejected_REASON", "MODALITY_FLAW"} <= known <= named


def counters() -> Iterator[str]:
    """Yields the names of the packages' counters, with placeholders in capitals as on the page."""
    for package in ("transforms", "model", "pipelines"):
        for path in (ROOT / package).rglob("*.py"):
            for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
                yield from _counted(node)


def _counted(node: ast.AST) -> Iterator[str]:
    if not isinstance(node, ast.Call):
        return
    called = ast.unparse(node.func)
    name = node.args[-1] if called in ("Metrics.counter", "_counter") and node.args else None
    if isinstance(name, ast.Constant):
        yield str(name.value)
    elif isinstance(name, ast.JoinedStr):
        yield "".join(
            _PLACES[ast.unparse(part.value)]
            if isinstance(part, ast.FormattedValue)
            else str(part.value)  # type: ignore[attr-defined]
            for part in name.values
        )


_PLACES = {"outcome.reason": "REASON", "name": "MODALITY", "kind": "FLAW", "task": "TASK"}


def test_its_links_lead_to_sections():
    headings = re.findall(r"^#+ (.+)$", PAGE, flags=re.MULTILINE)
    anchors = {re.sub(r"[^\w -]", "", heading.lower()).replace(" ", "-") for heading in headings}
    assert set(re.findall(r"\]\(#([^)]+)\)", PAGE)) <= anchors


def section(heading: str) -> str:
    return PAGE.partition(f"### {heading}\n")[2].partition("\n#")[0]


def first_cells(heading: str) -> list[str]:
    """Returns the names in the first cells of a section's tables."""
    cells = re.findall(r"^\| (`[^|]+) \|", section(heading), flags=re.MULTILINE)
    return [name for cell in cells for name in re.findall(r"`(\w+)`", cell)]
