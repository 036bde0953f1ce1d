"""`triad preprocess --runner dataflow` up to a complete folder in a bucket, without a cloud."""

import hashlib
import re
from pathlib import Path

import pytest
import tensorflow as tf

from tests.reliability.nights import write_corpus
from triad_ml.pipelines.cli import main
from triad_ml.pipelines.preprocessing import dataset
from triad_ml.pipelines.storage import atomic
from triad_ml.transforms.records.values import SPLITS

pytestmark = pytest.mark.slow

BEAM = ("--project=triad-project", "--region=europe-west4", "--sdk_container_image=example/triad:1")


@pytest.fixture
def records(bucket, tmp_path):
    """The URI of a small corpus with broken records."""
    path = write_corpus(tmp_path / "records", 60)
    for file in sorted(path.parent.rglob("*")):
        if file.is_file():
            name = file.relative_to(path.parent)
            atomic.put(f"{bucket.uri}/in/{name}", file.read_bytes())
    return f"{bucket.uri}/in/{path.name}"


@pytest.fixture
def command(generated, records):
    def arguments(output, *more):
        return [
            *("preprocess", "--spec", str(generated.parents[1] / "spec.yaml"), "--input", records),
            *("--output", str(output), "--shards", "2", "--rejected-limit", "0.2", *more),
        ]

    return arguments


def on_dataflow(bucket, dataflow):
    return [
        *("--runner", "dataflow", "--", *BEAM, f"--temp_location={bucket.uri}/temp"),
        *(f"--dataflow_endpoint={dataflow.endpoint}", "--no_auth"),
    ]


def examples(folder, split):
    found = tf.data.TFRecordDataset(dataset.read(folder).files(split), "GZIP")
    return sorted(
        tf.train.Example.FromString(one).SerializeToString(deterministic=True)
        for one in found.as_numpy_iterator()
    )


def other_than_inputs(bucket):
    return {name for name in bucket.objects() if not name.startswith(("in/", "temp/"))}


def test_two_jobs_leave_in_the_bucket_what_the_local_runner_leaves(
    bucket, tensorflow_too, dataflow, site, command, tmp_path
):
    output = f"{bucket.uri}/prepared"
    assert main.main(command(tmp_path / "local")) == 0
    dataflow.site = site
    assert main.main(command(output, *on_dataflow(bucket, dataflow))) == 0
    records, features = dataflow.jobs
    assert f"packages {site}\n" in records["output"]
    assert f"packages {site}\n" in features["output"]

    copy = tmp_path / "copy"
    atomic.copy_down(output, copy)
    mine, local = (dataset.read(folder) for folder in (copy, tmp_path / "local"))
    mine.check_files()
    for path, (_, sha256) in mine.shards.items():
        assert hashlib.sha256(Path(path).read_bytes()).hexdigest() == sha256
    different = {"created", "seconds", "splits", "files"}
    assert {n: v for n, v in mine.manifest.items() if n not in different} == {
        n: v for n, v in local.manifest.items() if n not in different
    }
    assert mine.manifest["rejected"] == {
        "duplicate_id": 1, "empty": 1, "unparsable": 1
    }  # fmt: skip
    for split in SPLITS:
        assert examples(copy, split) == examples(tmp_path / "local", split) != []
    assert (copy / dataset.REJECTED).read_bytes() == (
        tmp_path / "local" / dataset.REJECTED
    ).read_bytes()

    files = {str(path.relative_to(copy)) for path in copy.rglob("*") if path.is_file()}
    assert other_than_inputs(bucket) == {f"prepared/{name}" for name in files}
    assert main.main(command(output, *on_dataflow(bucket, dataflow))) == 0
    assert len(dataflow.jobs) == 2


def test_what_a_worker_refuses_exits_as_it_does_locally_and_leaves_nothing(
    bucket, tensorflow_too, dataflow, command, capsys
):
    dataflow.state = "JOB_STATE_FAILED"
    dataflow.messages = [
        "Traceback (most recent call last):\n  File x\n"
        "triad_ml.transforms.errors.OptionsError: worker: has other code; install the same on both"
    ]
    assert main.main(command(f"{bucket.uri}/prepared", *on_dataflow(bucket, dataflow))) == 12
    assert "triad: worker: has other code; install the same on both\n" in capsys.readouterr().err
    (job,) = dataflow.jobs
    assert re.fullmatch("preprocess-records-[0-9a-f]{12}", job["name"])
    key = job["labels"]["triad_key"]
    assert key.startswith(job["name"][-12:])
    assert len(key) == 63  # the most that a label may have
    assert other_than_inputs(bucket) == set()
