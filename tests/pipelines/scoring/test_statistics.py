"""Statistics of a scoring run: those of the canonical records that it scored."""

import logging

import triad_ml
from tests.pipelines.scoring.conftest import DATE
from triad_ml.model.serving import bundle
from triad_ml.pipelines.scoring import statistics_file
from triad_ml.pipelines.sources import read as sources_read
from triad_ml.pipelines.sources import units
from triad_ml.transforms.media.canonicalize import Canonicalizer
from triad_ml.transforms.records.values import CanonicalRecord, RawRecord
from triad_ml.transforms.statistics import accumulators, combine, document, drift, measures


def test_a_run_has_the_statistics_of_its_records(published, mixed, trained):
    manifest = triad_ml.read_manifest(str(published), DATE)
    (path,) = published.rglob("statistics.json")
    assert manifest.statistics is not None
    assert manifest.statistics.holds(path.read_bytes())
    (part,) = document.parse(path.read_bytes(), str(path)).splits.values()
    scored = manifest.counts["scored"]
    assert part.records == part.sampled == scored
    spec = bundle.load(str(trained)).spec
    canonicalizer = Canonicalizer(spec, check=False)
    (unit,) = units.plan(units.list_inputs([str(mixed)]))
    raw = sources_read.read(unit, spec.label_names)
    outcomes = [canonicalizer.canonical(one) for one in raw if isinstance(one, RawRecord)]
    whole = combine.Accumulator()
    for one in outcomes:
        if isinstance(one, CanonicalRecord):
            whole.add(accumulators.WHOLE, measures.measure(one, spec))
    plain = document.parse(document.content(combine.summary(whole), spec.digest()), "plain")
    (expected,) = plain.splits.values()
    of_media = {f: one for f, one in part.numeric.items() if not f.startswith("score.")}
    assert of_media == expected.numeric
    for feature in ("image.state", "audio.state", "text.state", "image.format", "text.script"):
        assert part.categorical[feature] == expected.categorical[feature]
    assert part.categorical["score.category"].total == scored


def test_drift_from_the_training_is_told_before_the_scores_are_published(
    mixed, trained, prepared, tmp_path, caplog
):
    caplog.set_level(logging.INFO)
    output = tmp_path / "scores"
    triad_ml.score(
        model=str(trained),
        inputs=[str(mixed)],
        output=str(output),
        date=DATE,
        rejected_limit=1.0,
        drift="warn",
        trained=str(prepared),
    )
    drifts = [text for text in caplog.messages if text.startswith("drift: ")]
    before = statistics_file.open_statistics(str(prepared)).main[1]
    now = statistics_file.open_statistics(str(output)).main[1]
    found = drift.findings(drift.distances(before, now), bundle.load(str(trained)).spec.drift)
    expected = [f"drift: {one}" for one in found]
    assert drifts == (expected or [f"drift: no feature drifted from {prepared}"])
