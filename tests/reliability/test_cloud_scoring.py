"""`triad score` from gs:// to gs://, with and without requests that fail."""

import dataclasses
import json
from pathlib import Path

import pytest

from tests.reliability import flaky_storage
from tests.reliability.flaky_storage import KINDS, FlakyStorage
from tests.reliability.nights import Night, seen, write_corpus
from triad_ml.pipelines.scoring import run as scoring_run
from triad_ml.pipelines.storage import atomic


@pytest.fixture
def cloud_night(trained: Path, flaky: FlakyStorage, tmp_path: Path) -> Night:
    """A night whose records, media and scores are all objects; the model is local."""
    records = write_corpus(tmp_path / "records")
    for path in sorted(records.parent.rglob("*")):
        if path.is_file():
            name = path.relative_to(records.parent)
            atomic.put(f"{flaky.uri}/in/{name}", path.read_bytes())
    return Night(str(trained), f"{flaky.uri}/in/*.jsonl", f"{flaky.uri}/scores")


def rows(output: str) -> dict[str, bytes]:
    """The published scores by name: unlike rejected records they do not say where they lay."""
    return {name: content for name, content in seen(output)[1].items() if name.startswith("scores")}


def test_records_and_media_in_a_bucket_give_the_scores_of_local_ones(cloud_night, tmp_path):
    scoring_run.run(cloud_night.config)
    local_night = dataclasses.replace(
        cloud_night, inputs=str(tmp_path / "records" / "*.jsonl"), output=str(tmp_path / "out")
    )
    scoring_run.run(local_night.config)
    assert rows(cloud_night.output) == rows(local_night.output)
    assert json.loads(seen(cloud_night.output)[1]["manifest.json"])["counts"] == {
        "read": 24,
        "scored": 21,
        "rejected": 3,
    }


def test_a_run_that_meets_faults_publishes_the_bytes_of_one_that_does_not(cloud_night, flaky):
    scoring_run.run(cloud_night.config)
    whole = seen(cloud_night.output)
    atomic.delete_tree(cloud_night.output)
    # Beam's reader waits a minute for a silent storage, and no setting changes that.
    kinds = [kind for kind in KINDS if kind != "stalled"]
    met = len(flaky.met)
    with flaky.faults(flaky_storage.seeded(3, 0.1, kinds)):
        scoring_run.run(cloud_night.config)
    assert len(flaky.met) - met > 20
    assert seen(cloud_night.output) == whole
    before = flaky.generations()
    scoring_run.run(cloud_night.config)
    assert flaky.generations() == before
