"""Flex Template: its metadata match the command's flags, and its parameters become the command."""

import json
import re
import runpy
import sys
from pathlib import Path

import pytest

from triad_ml.pipelines.cli import flex_template, main
from triad_ml.pipelines.scoring import config
from triad_ml.pipelines.scoring.plan import Published
from triad_ml.pipelines.storage import atomic

ROOT = Path(__file__).resolve().parents[2]
METADATA = json.loads((ROOT / "deploy/dataflow/metadata.json").read_text(encoding="utf-8"))
PARAMETERS = {
    "model": "gs://bucket/model",
    "input": "gs://bucket/a/*.jsonl,gs://bucket/b.csv",
    "output": "gs://bucket/scores",
    "date": "2026-11-24",
    "format": "jsonl",
    "rejected_limit": "0.25",
    "issues_limit": "0.75",
    "media_root": "gs://bucket/media",
    "unit_records": "64",
    "verify_key": "/keys/public.pem",
    "carry_over": "true",
    "explain": "true",
    "drift": "refuse",
    "trained": "gs://bucket/prepared",
}
LAUNCHER = (
    *("--runner=DataflowRunner", "--project=triad-project", "--region=europe-west4"),
    *("--job_name=score-2026-11-24", "--temp_location=gs://bucket/temp"),
    *("--template_location=gs://bucket/job_object", "--sdk_container_image=example/triad:1"),
)


def test_the_metadata_in_the_repository_are_those_of_the_flags():
    assert flex_template.metadata() == METADATA


def test_a_parameter_is_optional_where_the_flag_has_a_default_and_its_rule_fits_a_good_value():
    parameters = {one["name"]: one for one in METADATA["parameters"]}
    assert set(parameters) == set(PARAMETERS)
    needed = {name for name, one in parameters.items() if not one["isOptional"]}
    assert needed == {"model", "input", "output", "date"}
    for name, value in PARAMETERS.items():
        for regex in parameters[name].get("regexes", ()):
            assert re.fullmatch(regex, value), name


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("model", "model"),
        ("date", "20261124"),
        ("format", "csv"),
        ("rejected_limit", "all"),
        ("unit_records", "-1"),
        ("carry_over", "yes"),
    ],
)
def test_a_wrong_value_is_refused_before_the_launch(name, value):
    (parameter,) = [one for one in METADATA["parameters"] if one["name"] == name]
    assert not re.fullmatch(parameter["regexes"][0], value)


def test_parameters_become_the_command_and_the_rest_goes_to_beam():
    taken = []
    given = [f"--{name}={value}" for name, value in PARAMETERS.items()]

    def take(function, settings):
        taken.append(settings)
        return Published("manifest.json")

    arguments = flex_template.arguments([*given, *LAUNCHER])
    assert main.main(arguments, take) == 0
    assert taken == [
        config.ScoreConfig(
            model="gs://bucket/model",
            inputs=("gs://bucket/a/*.jsonl", "gs://bucket/b.csv"),
            output="gs://bucket/scores",
            date="2026-11-24",
            format="jsonl",
            rejected_limit=0.25,
            issues_limit=0.75,
            runner="dataflow",
            media_roots=("gs://bucket/media",),
            unit_records=64,
            carry_over=True,
            explain=True,
            drift="refuse",
            trained="gs://bucket/prepared",
            beam_args=LAUNCHER[1:],
            verify_key="/keys/public.pem",
            no_wait=True,
        )
    ]


def test_what_the_launcher_starts_writes_the_job_and_returns(cloud, dataflow, monkeypatch):
    given = [
        *(f"--model={cloud}/model", f"--input={cloud}/in/*.jsonl", f"--output={cloud}/scores"),
        *("--date=2026-11-24", "--carry_over=false", *LAUNCHER[:4], "--no_auth"),
        *(f"--temp_location={cloud}/temp", f"--template_location={cloud}/job_object"),
        *(f"--dataflow_endpoint={dataflow.endpoint}", LAUNCHER[-1]),
    ]
    monkeypatch.setattr(sys, "argv", ["flex_main.py", *given])
    with pytest.raises(SystemExit) as caught:
        runpy.run_path(str(ROOT / "deploy/dataflow/flex_main.py"), run_name="__main__")
    assert caught.value.code == 0
    assert dataflow.jobs == []
    assert json.loads(atomic.read_bytes(f"{cloud}/job_object"))["name"] == "score-2026-11-24"
