"""Memory with dozens of the largest records allowed: below the ceilings on the page of limits."""

import re
from pathlib import Path

import pytest

from tests.reliability import largest_records
from tests.reliability.forkserver import ROOT, Ended, ForkServer
from tests.reliability.nights import DATE, Night
from triad_ml.pipelines.publishing import publish

pytestmark = pytest.mark.slow

PROCESSORS = 2
RESERVED = 2**30
"""What allocators reserve beside what is resident; RLIMIT_DATA counts it, a container does not."""
SPEC = """
modalities: {image: {}, audio: {}, text: {}}
tasks: {category: {kind: classification, label: category}}
"""


def ceiling(command: str) -> int:
    """The documented ceiling of a command, in bytes."""
    page = (ROOT / "docs" / "reference/limits.md").read_text(encoding="utf-8")
    (gibibytes,) = re.findall(rf"^\| `triad {command}` \| (\d+) GiB \|", page, re.MULTILINE)
    return int(gibibytes) * 2**30


def check_peak(ended: Ended, command: str) -> None:
    assert ended.exit_code == 0, ended.said
    (peak,) = ended.notes
    assert 2**30 < peak < ceiling(command)


def limited(command: str) -> list[tuple[str, int, int]]:
    return [("limit_memory", ceiling(command) + RESERVED, PROCESSORS)]


def test_scoring_the_largest_records_stays_under_its_ceiling(
    trained: Path, fork_server: ForkServer, tmp_path: Path
) -> None:
    corpus = largest_records.write(tmp_path / "records", filled=10, letters=1)
    night = Night(str(trained), str(corpus), str(tmp_path / "out"), unit_records=1_000_000)
    check_peak(fork_server.run(night.argv, faults=limited("score")), "score")
    manifest = publish.current(night.output, DATE)
    assert manifest is not None
    assert manifest.counts == {"read": 30, "scored": 30, "rejected": 0}
    assert manifest.issues == {}


def test_preprocessing_the_largest_records_stays_under_its_ceiling(
    fork_server: ForkServer, tmp_path: Path
) -> None:
    corpus = largest_records.write(tmp_path / "records", filled=8, letters=15)
    spec = tmp_path / "spec.yaml"
    spec.write_text(SPEC)
    output = tmp_path / "data"
    argv = ["preprocess", "--spec", str(spec), "--input", str(corpus), "--output", str(output)]
    ended = fork_server.run(argv, faults=limited("preprocess"))
    check_peak(ended, "preprocess")
    assert "26 records read, 26 kept (train 24, eval 2, test 0), 0 rejected" in ended.said
