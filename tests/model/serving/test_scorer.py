"""Scoring: one shape for every call, and an outcome for every record of any batch."""

import dataclasses
import json
import math
import random
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import apache_beam as beam
import numpy as np
import pytest
import tensorflow as tf
from apache_beam.testing import test_pipeline, util

from tests import canonical, media
from tests.media import corrupt_png
from triad_ml.model.serving import bundle
from triad_ml.model.serving.export import SERVING
from triad_ml.model.serving.scorer import Outcome, Scorer, ScorerHandler, load_scorer
from triad_ml.pipelines.sources import read as sources_read
from triad_ml.pipelines.sources import units
from triad_ml.transforms.errors import GateError, OptionsError
from triad_ml.transforms.media import image
from triad_ml.transforms.media.canonicalize import Canonicalizer
from triad_ml.transforms.records.digests import payload_digest
from triad_ml.transforms.records.values import CanonicalRecord, RawRecord, Reason, Rejected, Scored
from triad_ml.transforms.spec.modalities import Limits

POISON = media.wav(seed=6)[:-2]


def plain(outcome: Outcome) -> tuple[Any, ...]:
    """An outcome as values that compare bit for bit."""
    if isinstance(outcome, Rejected):
        return dataclasses.astuple(outcome)
    predictions = {
        task: (one.label, one.score, one.distribution.tobytes())
        for task, one in outcome.predictions.items()
    }
    fields = (outcome.id, outcome.position, outcome.modalities_used, outcome.issues, outcome.extra)
    return (*fields, predictions)


def plains(outcomes: Sequence[Outcome]) -> list[tuple[Any, ...]]:
    return [plain(outcome) for outcome in outcomes]


def predicted(outcome: Outcome) -> Any:
    assert isinstance(outcome, Scored)
    return plain(outcome)[-1]


class Signature:
    """The model's own signature: counts its calls, and changes what it gives where it is told."""

    def __init__(self, own: Any) -> None:
        self.own = own
        self.sizes: list[int] = []

    def __call__(self, **given: tf.Tensor) -> dict[str, tf.Tensor]:
        self.sizes.append(int(given["text"].shape[0]))
        return self.changed(given, dict(self.own(**given)))

    def changed(
        self, given: dict[str, tf.Tensor], outputs: dict[str, tf.Tensor]
    ) -> dict[str, tf.Tensor]:
        return outputs


class WithoutLastRow(Signature):
    def changed(self, given: Any, outputs: Any) -> Any:
        return {name: value[:-1] for name, value in outputs.items()}


class NotANumber(Signature):
    """One entry of the distribution is NaN for each record whose text is `nan`."""

    def changed(self, given: Any, outputs: Any) -> Any:
        shares = outputs["category/distribution"].numpy()
        shares[given["text"].numpy() == b"nan", 1] = np.nan
        return outputs | {"category/distribution": tf.constant(shares)}


class OutOfMemory(Signature):
    def changed(self, given: Any, outputs: Any) -> Any:
        raise tf.errors.ResourceExhaustedError(None, None, "no memory left")


@pytest.fixture(scope="module")
def model(trained: Path) -> bundle.Artefact:
    return bundle.load(trained)


@pytest.fixture(scope="module")
def own(model: bundle.Artefact) -> Iterator[Any]:
    loaded = tf.saved_model.load(str(model.saved_model))
    yield loaded.signatures[SERVING]
    del loaded  # it owns the variables


@pytest.fixture(scope="module")
def scorer(model: bundle.Artefact) -> Scorer:
    return Scorer(model)


@pytest.fixture(scope="module")
def records(model: bundle.Artefact, generated: Path) -> list[CanonicalRecord]:
    """More than one batch; some records lack a modality."""
    canonicalizer = Canonicalizer(model.spec, check=False)
    (unit,) = units.plan(units.list_inputs([str(generated)]))
    read = [one for one in sources_read.read(unit, ["category"]) if isinstance(one, RawRecord)]
    found = [canonicalizer.canonical(record) for record in read]
    return [one for one in found if isinstance(one, CanonicalRecord)][:64]


@pytest.fixture(scope="module")
def alone(scorer: Scorer, records: list[CanonicalRecord]) -> list[tuple[Any, ...]]:
    """What becomes of the 64 records where nothing is wrong with any."""
    return plains(scorer.score(records))


def complete(records: Sequence[CanonicalRecord]) -> int:
    """Place of a record in the first batch that has all three modalities."""
    return next(place for place, one in enumerate(records[3:], 3) if len(one.present) == 3)


class TestOneShape:
    """A row's score depends on that row alone, bit for bit."""

    @pytest.mark.parametrize("count", [1, 7, 32, 33, 63])
    def test_the_fill_of_a_batch_changes_no_bit(
        self, scorer: Scorer, records: Any, alone: Any, count: int
    ) -> None:
        assert plains(scorer.score(records[:count])) == alone[:count]

    def test_neighbours_and_place_change_no_bit(
        self, scorer: Scorer, records: Any, alone: Any
    ) -> None:
        order = list(range(len(records)))
        for seed in range(3):
            random.Random(seed).shuffle(order)
            outcomes = scorer.score([records[place] for place in order])
            assert plains(outcomes) == [alone[place] for place in order]

    def test_each_call_has_the_batch_size_of_the_model(
        self, model: bundle.Artefact, own: Any, records: Any
    ) -> None:
        called = Signature(own)
        Scorer(model, {SERVING: called}).score(records[: model.batch_size + 1])
        assert called.sizes == [model.batch_size] * 2

    def test_no_records_are_no_call(self, model: bundle.Artefact, own: Any) -> None:
        called = Signature(own)
        assert Scorer(model, {SERVING: called}).score([]) == []
        assert called.sizes == []

    def test_more_than_one_batch_has_no_arrays(self, scorer: Scorer, records: Any) -> None:
        size = scorer.batch_size
        with pytest.raises(AssertionError, match=f"{size} rows in, {size + 1} rows out"):
            scorer.outputs(records[: size + 1])

    def test_outcomes_say_what_the_records_were(
        self, scorer: Scorer, records: Any, model: bundle.Artefact
    ) -> None:
        for record, outcome in zip(records, scorer.score(records), strict=True):
            assert isinstance(outcome, Scored)
            assert (outcome.id, outcome.position) == (record.id, record.position)
            assert outcome.modalities_used == record.present
            assert outcome.issues == record.issues
            assert outcome.extra == record.extra == {"source": "generated"}
            one = outcome.predictions["category"]
            assert one.label == model.classes["category"][int(one.distribution.argmax())]
            assert one.score == one.distribution.max()
            assert one.distribution.dtype == np.float32
            assert math.isclose(one.distribution.sum(), 1, rel_tol=1e-5)


class TestUnreadablePictures:
    """Canonicalization trusts a picture's structure; what the graph refuses is found here."""

    def test_the_picture_passes_the_cheap_check(self) -> None:
        assert image.canonical(corrupt_png(), Limits()) == corrupt_png()

    def test_it_costs_the_picture_and_nothing_else(
        self, scorer: Scorer, records: Any, alone: Any
    ) -> None:
        place = complete(records)
        given = list(records)
        given[place] = dataclasses.replace(records[place], image=corrupt_png(), issues=("x: y",))
        outcomes = scorer.score(given)
        (without,) = scorer.score([dataclasses.replace(records[place], image=b"")])
        broken = outcomes[place]
        assert predicted(broken) == predicted(without)
        assert isinstance(broken, Scored)
        assert broken.modalities_used == ("audio", "text")
        assert broken.issues == ("image: corrupt", "x: y")
        others = [one for one in range(len(records)) if one != place]
        assert plains([outcomes[one] for one in others]) == [alone[one] for one in others]

    def test_a_record_that_has_nothing_else_is_rejected(
        self, model: bundle.Artefact, scorer: Scorer, records: Any, alone: Any
    ) -> None:
        empty = canonical.record("only a picture", image=corrupt_png())
        outcomes = scorer.score([*records[:5], empty, *records[5:9]])
        assert outcomes[5] == Rejected(
            id="only a picture",
            position=empty.position,
            stage="score",
            reason=Reason.UNREADABLE,
            detail="image: corrupt",
            payload_digest=payload_digest(empty),
            model_digest=model.model_digest,
        )
        assert plains([*outcomes[:5], *outcomes[6:]]) == alone[:9]

    def test_a_batch_of_nothing_else_is_rejected_whole(self, scorer: Scorer) -> None:
        given = [canonical.record(f"r{place}", image=corrupt_png()) for place in range(70)]
        outcomes = scorer.score(given)
        assert [one.id for one in outcomes] == [one.id for one in given]
        assert {one.reason for one in outcomes if isinstance(one, Rejected)} == {Reason.UNREADABLE}

    def test_all_of_them_in_a_batch_cost_one_call_more(
        self, model: bundle.Artefact, own: Any, records: Any
    ) -> None:
        called = Signature(own)
        batch = records[: model.batch_size]
        given = [dataclasses.replace(one, image=corrupt_png(), text=b"a") for one in batch]
        outcomes = Scorer(model, {SERVING: called}).score(given)
        assert all(isinstance(one, Scored) for one in outcomes)
        assert called.sizes == [model.batch_size] * 2


class TestPoison:
    """A record on which the model itself fails stands alone in the end."""

    def test_it_is_rejected_alone(
        self, model: bundle.Artefact, scorer: Scorer, records: Any, alone: Any
    ) -> None:
        for place in (0, 31, 32, 50):
            given = list(records)
            given[place] = dataclasses.replace(records[place], audio=POISON)
            outcomes = scorer.score(given)
            assert outcomes[place] == Rejected(
                id=records[place].id,
                position=records[place].position,
                stage="score",
                reason=Reason.MODEL_FAILED,
                detail="assertion failed: [audio: not a canonical WAV]",
                payload_digest=payload_digest(given[place]),
                model_digest=model.model_digest,
            )
            others = [one for one in range(len(records)) if one != place]
            assert plains([outcomes[one] for one in others]) == [alone[one] for one in others]

    def test_it_is_found_in_few_calls(self, model: bundle.Artefact, own: Any, records: Any) -> None:
        called = Signature(own)
        scorer = Scorer(model, {SERVING: called})
        scorer.score(records)
        assert len(called.sizes) == 2
        called.sizes.clear()
        given = [*records[:20], dataclasses.replace(records[20], audio=POISON), *records[21:]]
        scorer.score(given)
        # Two batches, and two calls each time that what failed is halved.
        assert len(called.sizes) <= 2 + 2 * math.ceil(math.log2(model.batch_size))
        assert set(called.sizes) == {model.batch_size}

    def test_several_are_each_rejected(self, scorer: Scorer, records: Any, alone: Any) -> None:
        poisoned = {1, 2, 17, 40, 63}
        given = [
            dataclasses.replace(one, audio=POISON) if place in poisoned else one
            for place, one in enumerate(records)
        ]
        outcomes = scorer.score(given)
        refused = {place for place, one in enumerate(outcomes) if isinstance(one, Rejected)}
        assert refused == poisoned
        assert [plain(one) for place, one in enumerate(outcomes) if place not in poisoned] == [
            one for place, one in enumerate(alone) if place not in poisoned
        ]

    def test_beside_unreadable_pictures_each_gets_its_own_verdict(
        self, scorer: Scorer, records: Any
    ) -> None:
        both = dataclasses.replace(records[complete(records)], image=corrupt_png(), audio=POISON)
        unreadable = canonical.record("only a picture", image=corrupt_png())
        poisoned = canonical.record("only a sound", audio=POISON)
        outcomes = scorer.score([both, records[0], unreadable, poisoned, records[1]])
        assert [getattr(one, "reason", None) for one in outcomes] == [
            Reason.MODEL_FAILED,
            None,
            Reason.UNREADABLE,
            Reason.MODEL_FAILED,
            None,
        ]
        # The digest is that of what came in, the picture that was taken out among it.
        assert isinstance(outcomes[0], Rejected)
        assert outcomes[0].payload_digest == payload_digest(both)

    def test_a_score_that_is_not_finite_rejects_its_record(
        self, model: bundle.Artefact, own: Any, records: Any, alone: Any
    ) -> None:
        scorer = Scorer(model, {SERVING: NotANumber(own)})
        bad = canonical.record("bad", text=b"nan")
        outcomes = scorer.score([*records[:8], bad, *records[8:20]])
        assert outcomes[8] == Rejected(
            id="bad",
            position=bad.position,
            stage="score",
            reason=Reason.MODEL_FAILED,
            detail="a score is not finite",
            payload_digest=payload_digest(bad),
            model_digest=model.model_digest,
        )
        assert plains([*outcomes[:8], *outcomes[9:]]) == alone[:20]


class TestFailuresOfTheModel:
    """What is no record's fault stops the job; it must not pass for rejected records."""

    def test_missing_rows_are_an_error(
        self, model: bundle.Artefact, own: Any, records: Any
    ) -> None:
        scorer = Scorer(model, {SERVING: WithoutLastRow(own)})
        size = model.batch_size
        for count in (1, size):
            with pytest.raises(
                AssertionError, match=f"category/.*: {size} rows in, {size - 1} rows out"
            ):
                scorer.score(records[:count])

    def test_exhausted_memory_is_an_error(
        self, model: bundle.Artefact, own: Any, records: Any
    ) -> None:
        with pytest.raises(tf.errors.ResourceExhaustedError, match="no memory left"):
            Scorer(model, {SERVING: OutOfMemory(own)}).score(records)


def batch_sizes(handler: ScorerHandler, given: list[CanonicalRecord], expected: list[int]) -> None:
    with test_pipeline.TestPipeline(runner="FnApiRunner") as root:
        sizes = (
            root
            | beam.Create([None], reshuffle=False)
            | beam.FlatMap(lambda _: given).with_output_types(CanonicalRecord)
            | beam.BatchElements(**handler.batch_elements_kwargs())
            | beam.Map(len)
        )
        util.assert_that(sizes, util.equal_to(expected))


class TestScorerHandler:
    """What RunInference sees."""

    @pytest.fixture
    def handler(self, trained: Path) -> ScorerHandler:
        return ScorerHandler(str(trained))

    def test_it_gives_what_the_scorer_gives(
        self, handler: ScorerHandler, records: Any, alone: Any
    ) -> None:
        outcomes = handler.run_inference(records, handler.load_model())
        assert plains(list(outcomes)) == alone

    def test_the_model_is_loaded_once_a_process(self, trained: Path) -> None:
        first, second = ScorerHandler(str(trained)), ScorerHandler(str(trained))
        assert first.load_model() is second.load_model()

    def test_batches_close_by_count(self, handler: ScorerHandler, scorer: Scorer) -> None:
        two_calls = 2 * scorer.batch_size
        given = [canonical.record(text=b"a fan")] * (2 * two_calls + 5)
        batch_sizes(handler, given, [two_calls, two_calls, 5])

    def test_batches_close_by_bytes(self, handler: ScorerHandler) -> None:
        heavy = canonical.record(image=bytes(60 * 2**20))  # four of them are nearly 256 MiB
        batch_sizes(handler, [heavy] * 10, [4, 4, 2])
        long = canonical.record(text=b"a" * 2**19)  # which the graph cuts into characters
        batch_sizes(handler, [long] * 10, [4, 4, 2])

    def test_bytes_of_a_batch_are_those_of_its_media(self, handler: ScorerHandler) -> None:
        given = [canonical.record(image=b"12", audio=b"345", text=b"6"), canonical.record()]
        assert handler.get_num_bytes(given) == 6

    def test_a_folder_that_is_no_model_is_refused_before_the_job(self, tmp_path: Path) -> None:
        with pytest.raises(OptionsError) as refused:
            ScorerHandler(str(tmp_path))
        assert str(refused.value) == (
            f"{tmp_path}: is no model folder (triad.json is missing or broken); "
            "name one that `triad train --output` wrote"
        )

    def test_another_model_in_the_folder_is_refused(self, own_model: Path) -> None:
        handler = ScorerHandler(str(own_model))
        before = bundle.load(own_model).model_digest
        exchange(own_model)
        after = bundle.load(own_model).model_digest
        assert after != before
        with pytest.raises(GateError) as refused:
            handler.load_model()
        with pytest.raises(GateError, match="leave a model's folder as it is"):
            ScorerHandler(str(own_model), model_digest=before)  # verified, then exchanged
        assert str(refused.value) == (
            f"{own_model}: holds model {after[:12]}, not {before[:12]}; "
            "leave a model's folder as it is while a job runs, and start the job again"
        )

    def test_a_damaged_model_is_refused_before_the_job(self, own_model: Path) -> None:
        path = own_model / "saved_model" / "saved_model.pb"
        content = bytearray(path.read_bytes())
        content[1000] ^= 1
        path.write_bytes(content)
        with pytest.raises(GateError) as refused:
            ScorerHandler(str(own_model))
        assert str(refused.value) == (
            f"{path}: is not the file that was exported; "
            "take the whole folder from its source again"
        )

    def test_a_model_that_was_taken_away_is_refused(self, own_model: Path) -> None:
        digest = bundle.load(own_model).model_digest
        (own_model / bundle.ABOUT).unlink()
        with pytest.raises(OptionsError, match="is no model folder"):
            load_scorer(str(own_model), digest, False)


def exchange(folder: Path) -> None:
    """Makes another whole model of a folder."""
    (folder / bundle.ANALYSIS).write_text("{}")
    rewrite_about(folder)


def rewrite_about(folder: Path) -> None:
    """Makes `triad.json` name the files as they are."""
    files = bundle.file_digests(folder)
    about = json.loads((folder / bundle.ABOUT).read_text())
    about["files"] = files
    about["digests"]["model"] = bundle.model_digest(files, about["batch_size"])
    (folder / bundle.ABOUT).write_text(json.dumps(about))
