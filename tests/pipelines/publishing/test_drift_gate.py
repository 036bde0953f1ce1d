"""Gate on drift: a run that drifts is refused or reported, and its statistics stay."""

import dataclasses
import logging
from pathlib import Path

import pytest

from tests import nights, scores
from tests.scores import SETTINGS, Work
from triad_ml.pipelines.publishing import publish
from triad_ml.pipelines.publishing.manifest import Manifest
from triad_ml.pipelines.publishing.publish_step import Publication
from triad_ml.pipelines.publishing.run_folder import RunFolder
from triad_ml.pipelines.publishing.sealing.drift_gate import DriftGate
from triad_ml.pipelines.publishing.sealing.gates import Gates
from triad_ml.pipelines.publishing.sealing.seal import seal
from triad_ml.pipelines.scoring.config import ScoreConfig
from triad_ml.transforms.errors import DamagedError, GateError, OptionsError
from triad_ml.transforms.spec.drift import Drift


def night(*, grey: bool = False, silent: bool = False) -> Work:
    """Returns the scores of 200 records with the measures of their media."""
    measured = nights.measured(200, seed=4, grey=grey, silent=silent)
    return Work(
        [
            dataclasses.replace(scores.scored(f"r{index:03d}", index), measures=one)
            for index, one in enumerate(measured)
        ]
    )


def gate(*, refuses: bool, limits: Drift | None = None) -> Gates:
    usual = nights.usual()
    media = {name: one for name, one in usual.categorical.items() if not name.startswith("score")}
    trained = dataclasses.replace(usual, categorical=media)
    return Gates(1.0, drift=DriftGate("prepared", trained, limits or Drift(), refuses))


def attempt(run: RunFolder, work: Work, gates: Gates) -> Manifest | None:
    """Scores and publishes; returns the published manifest."""
    start = publish.begin(run)
    scores.commit(run, [work])
    Publication(run, 1, (), gates, SETTINGS, {}, start.current).publish()
    return publish.current(run.output, run.date)


def test_a_night_that_drifts_is_refused_and_its_statistics_stay(tmp_path):
    run = scores.run_folder(tmp_path)
    with pytest.raises(GateError) as refused:
        attempt(run, night(grey=True, silent=True), gate(refuses=True))
    line = str(refused.value)
    assert line.startswith("5 features drifted from prepared: ")
    assert line.count("limit 0.1)") == 3
    assert line.endswith(
        f"; and 2 more; nothing is published: see triad stats {run.folder}, mend the records, or "
        "use --drift warn"
    )
    assert publish.current(run.output, run.date) is None
    assert not Path(run.manifest).exists()
    assert Path(run.statistics).exists()


def test_a_refused_night_is_published_with_a_warning_on_request(tmp_path, caplog):
    run = scores.run_folder(tmp_path)
    work = night(grey=True)
    with pytest.raises(GateError, match="3 features drifted from prepared"):
        attempt(run, work, gate(refuses=True))
    caplog.set_level(logging.INFO)
    manifest = attempt(run, work, gate(refuses=False))
    assert manifest is not None
    assert manifest.counts["scored"] == 200
    said = [(one.levelname, one.getMessage()) for one in caplog.records]
    drifts = [(level, text) for level, text in said if text.startswith("drift: ")]
    assert [level for level, _ in drifts] == ["WARNING"] * 3
    assert any("drift: image.channels: share of " in text for _, text in drifts)


def test_a_usual_night_passes_and_says_so(tmp_path, caplog):
    caplog.set_level(logging.INFO)
    assert attempt(scores.run_folder(tmp_path), night(), gate(refuses=True)) is not None
    assert "drift: no feature drifted from prepared" in caplog.messages


def test_limits_of_the_spec_let_a_night_pass(tmp_path):
    limits = Drift(limits={"image": 1.0})
    assert attempt(scores.run_folder(tmp_path), night(grey=True), gate(refuses=True, limits=limits))


def test_a_sealed_run_is_compared_too(tmp_path):
    run = scores.run_folder(tmp_path)
    scores.commit(run, [night(grey=True)])
    seal(run, 1, Gates(1.0), SETTINGS, {})
    with pytest.raises(GateError, match="3 features drifted"):
        seal(run, 1, gate(refuses=True), SETTINGS, {})
    Path(run.statistics).unlink()
    with pytest.raises(DamagedError, match=r"statistics\.json: is missing or is not what the run"):
        seal(run, 1, gate(refuses=True), SETTINGS, {})


@pytest.mark.parametrize("content", [None, nights.content(nights.measured(9, seed=1))])
def test_a_published_run_without_its_statistics_is_not_compared_and_says_so(tmp_path, content):
    run = scores.run_folder(tmp_path)
    manifest = attempt(run, night(grey=True), gate(refuses=False))
    statistics = Path(run.statistics)
    statistics.unlink()
    if content is not None:
        statistics.write_bytes(content)
    drift = gate(refuses=False).drift
    (said,) = drift.sentences(run, manifest.statistics)
    assert said.warns
    assert said.text.startswith("drift: not compared with prepared: ")


@pytest.mark.parametrize("given", [{"drift": "warn"}, {"trained": "prepared"}])
def test_drift_and_what_to_compare_with_are_given_together(given):
    with pytest.raises(OptionsError, match="--drift: needs --trained"):
        ScoreConfig("m", ("a",), "o", scores.DATE, **given)
