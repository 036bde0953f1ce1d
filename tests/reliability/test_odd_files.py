"""Odd media: the same verdict in canonicalization, preprocessing and scoring."""

import json
from collections.abc import Mapping
from pathlib import Path
from typing import NamedTuple

import pytest

from tests.reliability import odd_media
from tests.reliability.odd_media import ACCEPT, Odd
from triad_ml.pipelines.preprocessing import dataset
from triad_ml.pipelines.preprocessing import run as preprocessing_run
from triad_ml.pipelines.preprocessing.config import PreprocessConfig
from triad_ml.pipelines.publishing import publish
from triad_ml.pipelines.scoring import run as scoring_run
from triad_ml.pipelines.scoring.config import ScoreConfig
from triad_ml.pipelines.sources import read, units
from triad_ml.pipelines.tables import formats
from triad_ml.transforms.media.canonicalize import Canonicalizer
from triad_ml.transforms.records.values import RawRecord, Rejected
from triad_ml.transforms.spec import loading

DATE = "2026-11-24"
GENERATED = odd_media.generated()
SHARED = odd_media.shared()
ODD = {**GENERATED, **SHARED}
GOOD = 40


class Corpus(NamedTuple):
    records: Path
    spec: Path


class Verdicts(NamedTuple):
    """By step, the verdict on each odd medium: `accept` or a flaw."""

    canonicalized: Mapping[str, str]
    preprocessed: Mapping[str, str]
    scored: Mapping[str, str]


@pytest.fixture(scope="module")
def corpus(generated: Path, tmp_path_factory: pytest.TempPathFactory) -> Corpus:
    """Records that each hold one odd medium and nothing else, among good ones of text."""
    folder = tmp_path_factory.mktemp("odd")
    lines = [
        {"id": f"good {index}", "text": f"fan {index % 7}", "split": "train"}
        for index in range(GOOD)
    ]
    for name, odd in ODD.items():
        path = folder / "media" / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(odd.content)
        lines.append({"id": name, odd.modality: {"uri": f"media/{name}"}, "split": "train"})
    for index, line in enumerate(lines):
        line["labels"] = {"category": ("fan_faulty", "pump_healthy")[index % 2]}
    records = folder / "records.jsonl"
    records.write_text("".join(json.dumps(line) + "\n" for line in lines))
    return Corpus(records, generated.parents[1] / "spec.yaml")


@pytest.fixture(scope="module")
def verdicts(corpus: Corpus, trained: Path, tmp_path_factory: pytest.TempPathFactory) -> Verdicts:
    output = tmp_path_factory.mktemp("verdicts")
    return Verdicts(
        _canonicalized(corpus),
        _preprocessed(corpus, output / "data"),
        _scored(corpus, trained, output / "scores"),
    )


def test_there_are_over_thirty_generated_ones_of_each_verdict() -> None:
    assert len(GENERATED) > 80
    flaws = set().union(*(odd.verdicts for odd in GENERATED.values()))
    assert flaws == {
        *(ACCEPT, "too_large", "unsupported", "truncated"),
        *("corrupt", "not_finite", "not_utf8", "empty"),
    }


@pytest.mark.parametrize("name", GENERATED)
def test_a_generated_odd_medium_gets_its_verdict_everywhere(name: str, verdicts: Verdicts) -> None:
    _check(name, GENERATED[name], verdicts)


@pytest.mark.skipif(not SHARED, reason="the odd media of other projects are not here")
@pytest.mark.parametrize("name", SHARED)
def test_an_odd_medium_of_other_projects_gets_one_verdict_everywhere(
    name: str, verdicts: Verdicts
) -> None:
    _check(name, SHARED[name], verdicts)


def _check(name: str, odd: Odd, verdicts: Verdicts) -> None:
    given = {step: getattr(verdicts, step)[name] for step in Verdicts._fields}
    assert len(set(given.values())) == 1, given
    assert given["scored"] in odd.verdicts


def _canonicalized(corpus: Corpus) -> dict[str, str]:
    canonicalizer = Canonicalizer(loading.load(str(corpus.spec)))
    found = {}
    for unit in units.plan(units.list_inputs([str(corpus.records)])):
        for record in read.read(unit, ["category"]):
            assert isinstance(record, RawRecord)
            outcome = canonicalizer.canonical(record)
            refused = isinstance(outcome, Rejected)
            found[record.id] = _verdict(outcome.detail) if refused else ACCEPT
    return found


def _preprocessed(corpus: Corpus, output: Path) -> dict[str, str]:
    config = PreprocessConfig(
        str(corpus.spec),
        (str(corpus.records),),
        str(output),
        shards=1,
        rejected_limit=1.0,
        issues_limit=1.0,
    )
    preprocessing_run.run(config)
    refused = formats.read(str(output / dataset.REJECTED)).to_pylist()
    found = {row["id"]: _verdict(row["detail"]) for row in refused}
    counts = dataset.read(output).manifest["counts"]
    everything = GOOD + len(ODD)
    assert counts["read"] == everything
    assert counts["train"] == everything - len(found)
    return {name: found.get(name, ACCEPT) for name in ODD}


def _scored(corpus: Corpus, model: Path, output: Path) -> dict[str, str]:
    scoring_run.run(
        ScoreConfig(
            str(model),
            (str(corpus.records),),
            str(output),
            DATE,
            rejected_limit=1.0,
            issues_limit=1.0,
        )
    )
    manifest = publish.current(str(output), DATE)
    assert manifest is not None
    run = publish.RunFolder(str(output), DATE, manifest.run_id)
    found = {}
    for path in publish.open_current(str(output)):
        for row in formats.read(path).to_pylist():
            assert row["issues"] == []
            found[row["id"]] = ACCEPT
    for part in manifest.rejected:
        for row in formats.read(run.path(part.path)).to_pylist():
            assert row["id"] not in found
            found[row["id"]] = _verdict(row["detail"])
    assert len(found) == GOOD + len(ODD)
    return found


def _verdict(detail: str) -> str:
    modality, flaw = detail.split(": ")
    assert modality in ("image", "audio", "text")
    return flaw
