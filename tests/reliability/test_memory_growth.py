"""Many tiny records: memory does not grow with their number, and no process is left."""

import json
import random
from pathlib import Path

import numpy as np
import pytest

from tests.reliability.forkserver import ForkServer
from tests.reliability.nights import DATE, Night
from triad_ml.pipelines.publishing import publish

pytestmark = pytest.mark.slow

UNIT, UNITS = 512, 60
GROWTH = 30 * 2**20
"""Bytes allowed for 100,000 records that are scored, 315 for each: five times what was measured. A
record that stays in memory takes over a thousand."""
GROWTH_OF_IDS = 60 * 2**20
"""The same for preprocessing, which groups ids in memory on the local runner."""
WARM_UP = 10
"""Units after which the pools of the libraries have their size."""
SPEC = """
modalities: {text: {vocabulary: 100, length: 12}}
tasks: {category: {kind: classification, label: category}}
"""


def write(path: Path, count: int) -> Path:
    words = "the fan pump rattles hums runs in hall two north since monday".split()
    rng = random.Random(0)
    with path.open("w", encoding="utf-8") as file:
        for index in range(count):
            text = " ".join(rng.choices(words, k=6))
            labels = {"category": ("a", "b")[index % 2]}
            record = {"id": f"r{index:06d}", "text": text, "labels": labels}
            file.write(json.dumps(record) + "\n")
    return path


def test_scoring_does_not_grow_with_the_records(
    text_model: Path, fork_server: ForkServer, tmp_path: Path
) -> None:
    corpus = write(tmp_path / "tiny.jsonl", UNITS * UNIT)
    night = Night(str(text_model), str(corpus), str(tmp_path / "out"), unit_records=UNIT)
    ended = fork_server.run(night.argv, faults=[("tell_growth",)])
    assert ended.exit_code == 0, ended.said
    ((units, loads, children),) = ended.notes
    manifest = publish.current(night.output, DATE)
    assert manifest is not None
    assert manifest.counts == {"read": UNITS * UNIT, "scored": UNITS * UNIT, "rejected": 0}
    assert loads == 1
    assert children == 0

    read, resident, threads = np.array(units).T
    assert read.sum() == UNITS * UNIT
    assert len(units) > 4 * WARM_UP
    slope, _ = np.polyfit(read.cumsum()[WARM_UP:], resident[WARM_UP:], 1)
    assert slope * 100_000 < GROWTH
    assert threads[WARM_UP:].max() <= threads[:WARM_UP].max()


def test_preprocessing_does_not_grow_with_the_records(
    fork_server: ForkServer, tmp_path: Path
) -> None:
    spec = tmp_path / "spec.yaml"
    spec.write_text(SPEC)
    peaks = {}
    for count in (15_000, 60_000):
        corpus = write(tmp_path / f"{count}.jsonl", count)
        output = tmp_path / f"data-{count}"
        argv = ["preprocess", "--spec", str(spec), "--input", str(corpus), "--output", str(output)]
        ended = fork_server.run(argv, faults=[("tell_peak",)])
        assert ended.exit_code == 0, ended.said
        assert f"{count} records read" in ended.said
        ((peaks[count], children),) = ended.notes
        assert children == 0
    (few, less), (many, more) = sorted(peaks.items())
    assert (more - less) * 100_000 / (many - few) < GROWTH_OF_IDS
