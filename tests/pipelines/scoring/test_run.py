"""Use case of `triad score`: it plans once, and hashes the model and lists the inputs only once."""

import json
import os
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parents[3]
SCRIPT = """
import collections, json, os, sys

model, records, output = sys.argv[1:]
opened = collections.Counter()


def note(event, arguments):
    if event == "open" and isinstance(arguments[0], str | bytes):
        opened[os.path.basename(os.fsdecode(arguments[0]))] += 1


def count(work):
    opened.clear()
    made = work()
    return made, opened["analysis.json"], opened[os.path.basename(records)]


from triad_ml.pipelines.runtime import environment, logs
from triad_ml.pipelines.scoring import run
from triad_ml.pipelines.scoring.config import ScoreConfig

environment.prepare()


def config(date):
    return ScoreConfig(model, (records,), output, date)


run.run(config("2026-11-24"))  # the model stays loaded in this process
from triad_ml.pipelines.scoring import pipeline, plan
from triad_ml.pipelines.sources import first_look

sys.addaudithook(note)
planned, *planning = count(lambda: plan.plan(config("2026-11-25")))
_, *running = count(lambda: pipeline.run(config("2026-11-25"), planned))
_, *looking = count(lambda: first_look.look((records,), planned.model.spec, False))
_, *whole = count(lambda: run.run(config("2026-11-26")))
print(json.dumps([looking, planning, running, whole]))
"""


def test_a_start_hashes_the_model_and_lists_the_inputs_once(trained: Path, tmp_path: Path) -> None:
    records = tmp_path / "counted.jsonl"
    records.write_text("".join(f'{{"id": "{n}", "text": "a red bird"}}\n' for n in range(3)))
    finished = subprocess.run(
        [sys.executable, "-c", SCRIPT, str(trained), str(records), str(tmp_path / "out")],
        env={**os.environ, "PYTHONPATH": str(ROOT)},
        capture_output=True,
        text=True,
        check=False,
    )
    assert finished.returncode == 0, finished.stderr
    looking, planning, running, whole = json.loads(finished.stdout.splitlines()[-1])
    assert min(planning) > 0  # the watch sees a plan open both
    assert whole == [sum(parts) for parts in zip(looking, planning, running, strict=True)]
