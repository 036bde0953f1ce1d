"""`triad score --runner dataflow` up to the published scores, without a cloud."""

import hashlib
import json
import re
from pathlib import Path

import pytest

from tests.reliability.nights import DATE, seen
from triad_ml.pipelines.cli import main
from triad_ml.pipelines.publishing import publish
from triad_ml.pipelines.runtime.logs import SECRET_NAME
from triad_ml.pipelines.storage import atomic

PROJECT = "triad-project"
IMAGE = "example/triad-worker:1"


def argv(cloud, dataflow, *more, beam=(f"--sdk_container_image={IMAGE}",)):
    return [
        *("score", "--model", f"{cloud}/model", "--input", f"{cloud}/in/*.jsonl"),
        *("--output", f"{cloud}/scores", "--date", DATE, "--rejected-limit", "0.5"),
        *("--unit-records", "8", "--runner", "dataflow", *more),
        *("--", f"--project={PROJECT}", "--region=europe-west4", f"--temp_location={cloud}/temp"),
        *("--service_account_email=worker@triad-project.example", "--no_use_public_ips"),
        *("--max_num_workers=7", f"--dataflow_endpoint={dataflow.endpoint}", "--no_auth", *beam),
    ]


class Nowhere:
    """For commands that submit nothing."""

    endpoint = ""


def options_of(job):
    return job["environment"]["sdkPipelineOptions"]["options"]


def rows(files):
    return {name: content for name, content in files.items() if name.startswith("scores")}


@pytest.fixture
def local(cloud):
    """What the local runner publishes for the same command."""
    arguments = argv(cloud, Nowhere())
    arguments = arguments[: arguments.index("--")]
    arguments[arguments.index("dataflow")] = "local"
    assert main.main(arguments) == 0
    found = seen(f"{cloud}/scores")
    atomic.delete_tree(f"{cloud}/scores")
    return found


def test_a_job_that_is_waited_for_publishes_the_bytes_of_the_local_runner(
    cloud, dataflow, site, local, capsys
):
    dataflow.site = site
    assert main.main(argv(cloud, dataflow)) == 0
    assert f"packages {site}\n" in dataflow.jobs[0]["output"]
    assert seen(f"{cloud}/scores") == local
    assert capsys.readouterr().out.splitlines()[-1].endswith("manifest.json")
    assert main.main(argv(cloud, dataflow)) == 0
    assert len(dataflow.jobs) == 1


def test_a_job_that_is_not_waited_for_publishes_as_its_last_step(cloud, dataflow, site, local):
    dataflow.site = site
    assert main.main(argv(cloud, dataflow, "--no-wait")) == 0
    assert dataflow.jobs[0]["currentState"] == "JOB_STATE_DONE", dataflow.jobs[0]["output"]
    assert seen(f"{cloud}/scores") == local


def test_the_job_says_what_it_must_and_nothing_else(cloud, dataflow, bucket):
    assert main.main(argv(cloud, dataflow, "--no-wait")) == 0
    (job,) = dataflow.jobs
    options = options_of(job)
    run_id = options["labels"][-1].removeprefix("triad_run=")
    assert (job["projectId"], job["location"]) == (PROJECT, "europe-west4")
    assert job["name"] == f"score-{DATE}-{run_id[:12]}"
    assert re.fullmatch("[a-z][-a-z0-9]*[a-z0-9]", job["name"])
    assert job["labels"] == {"triad_date": DATE, "triad_run": run_id}
    environment = job["environment"]
    assert environment["serviceAccountEmail"] == "worker@triad-project.example"
    (pool,) = environment["workerPools"]
    assert pool["ipConfiguration"] == 2  # WORKER_IP_PRIVATE
    assert pool["autoscalingSettings"]["maxNumWorkers"] == 7
    images = {image["containerImage"] for image in pool["sdkHarnessContainerImages"]}
    assert images == {IMAGE}
    assert options["save_main_session"] is False
    assert options["sdk_location"] == "container"
    secret = [name for name, value in options.items() if value and SECRET_NAME.search(name)]
    assert secret == []
    assert options["streaming"] is False
    staged = atomic.read_bytes(options["pipelineUrl"])
    assert hashlib.sha256(staged).hexdigest() == options["pipelineProtoHash"]
    names = {Path(name).name for name in bucket.objects() if name.startswith("temp/")}
    assert names == {"pipeline.pb", "submission_environment_dependencies.txt"}


def test_a_second_submission_meets_the_active_job_and_starts_no_other(cloud, dataflow, capsys):
    assert main.main(argv(cloud, dataflow, "--no-wait")) == 0
    assert main.main(argv(cloud, dataflow, "--no-wait")) == 0
    assert len(dataflow.jobs) == 1
    assert main.main(argv(cloud, dataflow)) == 11
    assert "triad: a job for this very run is running already" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("refusal", "code", "line"),
    [
        ((400, "unknown machine type"), 12, "triad: Dataflow: .*unknown machine type; correct"),
        ((403, "no right to it"), 20, "triad: Dataflow: .*no right to it; see to the cause"),
    ],
)
def test_what_dataflow_refuses_is_one_line(cloud, dataflow, capsys, refusal, code, line):
    dataflow.refusal = refusal
    assert main.main(argv(cloud, dataflow)) == code
    said = [one for one in capsys.readouterr().err.splitlines() if one.startswith("triad: ")]
    assert len(said) == 1
    assert re.match(line, said[0])


def test_what_a_worker_refuses_exits_as_it_does_locally(cloud, dataflow, capsys):
    dataflow.state = "JOB_STATE_FAILED"
    dataflow.messages = [
        "Traceback (most recent call last):\n  File x\n"
        "triad_ml.transforms.errors.GateError: model: holds another model; start again"
    ]
    assert main.main(argv(cloud, dataflow)) == 10
    assert publish.current_id(f"{cloud}/scores", DATE) is None
    assert "triad: model: holds another model; start again\n" in capsys.readouterr().err


def test_a_job_that_fails_without_a_word_publishes_nothing(cloud, dataflow, capsys):
    dataflow.state = "JOB_STATE_FAILED"
    assert main.main(argv(cloud, dataflow)) == 20
    assert publish.current_id(f"{cloud}/scores", DATE) is None
    assert "triad: cluster: Dataflow pipeline failed" in capsys.readouterr().err


def test_a_template_is_written_and_no_job_started(cloud, dataflow):
    template = f"{cloud}/templates/job_object"
    more = (f"--sdk_container_image={IMAGE}", f"--template_location={template}")
    assert main.main(argv(cloud, dataflow, beam=more)) == 0
    assert dataflow.jobs == []
    job = json.loads(atomic.read_bytes(template))
    staged = atomic.read_bytes(options_of(job)["pipelineUrl"])
    assert b"PublishLast" in staged


def test_the_sources_are_staged_where_no_image_has_them(cloud, dataflow, bucket):
    setup = Path(__file__).resolve().parents[2] / "setup.py"
    assert main.main(argv(cloud, dataflow, "--no-wait", beam=(f"--setup_file={setup}",))) == 0
    names = {Path(name).name for name in bucket.objects() if name.startswith("temp/")}
    assert "workflow.tar.gz" in names


@pytest.mark.parametrize(
    ("flag", "line"),
    [
        ("--model", "--model: here: workers of Dataflow cannot open it; copy it to a bucket"),
        ("--input", "--input: here: workers of Dataflow cannot open it"),
        ("--output", "--output: here: workers of Dataflow cannot open it"),
        ("--project", "--project: is missing: the project that pays; add -- --project=VALUE"),
        ("--region", "--region: is missing"),
        ("--temp_location", "--temp_location: is missing"),
        ("--sdk_container_image", "--sdk_container_image: is missing, so workers would not have"),
    ],
)
def test_what_cannot_work_is_refused_before_anything_is_read(flag, line, capsys):
    arguments = argv("gs://nowhere", Nowhere())
    if flag in arguments:
        arguments[arguments.index(flag) + 1] = "here"
    else:
        arguments = [one for one in arguments if not one.startswith(f"{flag}=")]
    assert main.main(arguments) == 12
    assert capsys.readouterr().err.startswith(f"triad: {line}")
