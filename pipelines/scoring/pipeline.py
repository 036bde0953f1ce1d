"""Beam pipeline of `triad score`: records -> canonical media -> SavedModel -> published scores."""

import functools
import logging
from collections import Counter
from collections.abc import Mapping, Sequence
from typing import Any

import apache_beam as beam
from apache_beam.typehints.decorators import no_annotations

from triad_ml.pipelines.publishing import publish
from triad_ml.pipelines.publishing.commit import commit_unit
from triad_ml.pipelines.publishing.publish_step import Publication, Publish
from triad_ml.pipelines.publishing.run_folder import RunFolder
from triad_ml.pipelines.publishing.sealing.gates import Gates
from triad_ml.pipelines.runners import beam_options as runners_beam_options
from triad_ml.pipelines.runners import registry, results, stages, worker_errors, workers
from triad_ml.pipelines.runtime import environment
from triad_ml.pipelines.scoring import carry_over
from triad_ml.pipelines.scoring.config import ScoreConfig
from triad_ml.pipelines.scoring.plan import Published, ScorePlan
from triad_ml.pipelines.scoring.score import Score, Scores
from triad_ml.pipelines.sources import read as sources_read
from triad_ml.pipelines.sources import units
from triad_ml.pipelines.sources.files import Unit
from triad_ml.pipelines.storage import atomic
from triad_ml.pipelines.tables.keys import Key, KeyRejected
from triad_ml.pipelines.tables.media_counts import IssuesLimits
from triad_ml.pipelines.tables.schema import ScoreSchema
from triad_ml.transforms.records.values import Rejected, Scored
from triad_ml.transforms.statistics import sampling

_log = logging.getLogger(__name__)


def define_pipeline(
    root: beam.Pipeline,
    planned: Sequence[Unit],
    labels: Sequence[str],
    score: Score,
    run: RunFolder,
    settings: ScoreSchema,
    check_workers: bool = False,
) -> beam.PCollection[None]:
    """Adds read, score and commit to `root`; runs nothing.

    Args:
        root: Pipeline to which the steps are added.
        planned: Units of work to score.
        labels: Names of the label fields, which do not pass through to the scores.
        score: Transform that scores records.
        run: Folder of the run, in which units are committed.
        settings: Columns, provenance and format that all rows of the run share.
        check_workers: True if workers run on a cluster, where their versions may differ from those
            of this process, so that they are checked.

    Returns:
        One None for each committed unit.
    """
    planned_units = root | "Units" >> beam.Create(planned, reshuffle=check_workers)
    if check_workers:
        planned_units = planned_units | "CheckWorkers" >> workers.CheckWorkers(Unit)
    read = planned_units | "Read" >> sources_read.ReadRecords(labels)
    ones = (
        planned_units | "NoneYet" >> beam.Map(lambda unit: (unit.index, 0)),
        read.records | "OneRecord" >> beam.Map(lambda record: (record.position.unit, 1)),
        read.rejected | "OneRefused" >> beam.Map(lambda record: (record.position.unit, 1)),
    )
    counts = ones | "Ones" >> beam.Flatten() | "Count" >> beam.CombinePerKey(sum)
    scores = read.records | "Score" >> score
    refused = read.rejected | "KeyRefused" >> KeyRejected(settings.provenance.model)
    rejected = (refused, scores.rejected) | "AllRejected" >> beam.Flatten()
    return Scores(scores.scored, rejected) | "Commit" >> CommitUnits(counts, run, settings)


class CommitUnits(beam.PTransform):
    """Commits scored and rejected records, each unit of work in one commit.

    The outputs of `Score` are grouped by unit, in a shuffle that transfers no media.

    Args:
        counts: Pairs of a unit's index and its number of records read.
        run: Folder of the run, in which units are committed.
        settings: Columns, provenance and format that all rows of the run share.
    """

    def __init__(
        self, counts: beam.PCollection[tuple[int, int]], run: RunFolder, settings: ScoreSchema
    ) -> None:
        super().__init__()
        self._counts = counts
        self._run = run
        self._settings = settings

    @no_annotations  # Beam warns about annotations that it cannot use.
    def expand(self, scores: Scores) -> beam.PCollection[None]:
        run, settings = self._run, self._settings
        by_unit = {
            "scored": scores.scored | "ScoredByUnit" >> beam.MapTuple(_by_unit),
            "rejected": scores.rejected | "RejectedByUnit" >> beam.MapTuple(_by_unit),
            "read": self._counts,
        }
        return (
            by_unit
            | "Meet" >> beam.CoGroupByKey()
            | "Write" >> beam.MapTuple(functools.partial(_commit, run=run, settings=settings))
        )


def run(config: ScoreConfig, plan: ScorePlan) -> Published:
    """Scores records and publishes them for `config.date`, whole or not at all.

    The local runner runs one pipeline for each unit of work, so that memory does not grow with the
    corpus; a cluster runs one job for all units. Both commit each unit separately, and a run that
    was killed continues with the missing units.

    Args:
        config: Settings, with paths that each worker can use.
        plan: Plan of these settings.

    Raises:
        GateError: A gate refuses the scores.
        LostRaceError: Another run was published for the date meanwhile.
    """
    with atomic.in_use(plan.run.folder):  # `triad gc` does not remove it meanwhile.
        _score_and_publish(config, plan)
    return Published(plan.run.manifest)


def _score_and_publish(config: ScoreConfig, plan: ScorePlan) -> None:
    compared = plan.drift_gate(config)  # Mistakes are reported before the work.
    start = publish.begin(plan.run)
    planned = units.plan(plan.inputs, unit_records=config.unit_records)
    missing = [unit for unit in planned if unit.index not in start.complete]
    _log.info("%s: %d of %d units to score", plan.run.folder, len(missing), len(planned))
    earlier = carry_over.find(plan) if config.carry_over else None
    about: dict[str, Any] = {
        "model": plan.model.about["digests"],
        "versions": environment.versions(),
    }
    if config.explain:
        about["explained"] = list(plan.settings.explained)
    if earlier is not None:
        about["carried_over_from"] = {"date": earlier.run.date, "run_id": earlier.run.run_id}
    limits = IssuesLimits.of(plan.model.spec, config.issues_limit)
    gates = Gates(config.rejected_limit, limits, compared)
    publication = Publication(
        plan.run, len(planned), plan.inputs, gates, plan.settings, about, start.current
    )
    template = registry.named(config.runner).makes_template(config.beam_args)
    alone = config.no_wait or template
    if missing or template:
        records = sources_read.estimated_records(plan.inputs)
        score = Score.from_model(
            plan.model,
            config.model,
            config.media_roots,
            config.explain,
            earlier=earlier,
            share=sampling.share(records),
        )
        last = publication if alone else None
        left = None if records is None else round(records * len(missing) / max(len(planned), 1))
        _run(config, plan, missing, left, score, earlier, last)
        if alone:
            return
    publication.publish()


def _run(
    config: ScoreConfig,
    plan: ScorePlan,
    missing: list[Unit],
    records: int | None,
    score: Score,
    earlier: carry_over.Earlier | None,
    last: Publication | None,
) -> None:
    """Commits the missing units: locally one after the other, on a cluster as one job.

    With `last`, the job is not waited for; it publishes as its last step. `records` is the
    estimated number of records in the missing units; None if it is not known.
    """
    runner = registry.named(config.runner)
    jobs = [missing] if runner.is_remote else [[unit] for unit in missing]
    carried: Counter[str] = Counter()
    run_labels = {"triad_date": plan.run.date, "triad_run": plan.run.run_id}
    arguments = runner.job_arguments(job_name(plan.run), run_labels, config.beam_args)
    labels = plan.model.spec.label_names
    about = None if runner.is_remote else records
    with stages.showing("scores", about, config.runner, config.beam_args, estimated=True) as stage:
        for number, job in enumerate(jobs, 1):
            unit = f"unit {number} of {len(jobs)}"
            stage.note = f"{len(job)} units" if runner.is_remote else unit
            with worker_errors.raised(config.runner):
                options = runners_beam_options.beam_options(config.runner, arguments)
                root = beam.Pipeline(options=options)
                committed = define_pipeline(
                    root, job, labels, score, plan.run, plan.settings, runner.is_remote
                )
                if last is not None:
                    _ = committed | "PublishLast" >> Publish(last)
                result = runner.submit(root, wait=last is None)
            if earlier is not None and result is not None:
                carried.update(results.counters(result))
    if earlier is not None:
        # Beam's counters include retries, so this one is only logged.
        count = carried["CarryOver.records_carried"]
        _log.info("%d records carried over from run %s", count, earlier.run.run_id)


def _by_unit(_: Key, row: Scored | Rejected) -> tuple[int, Scored | Rejected]:
    return row.position.unit, row


def _commit(
    unit: int, grouped: Mapping[str, Sequence[Any]], run: RunFolder, settings: ScoreSchema
) -> None:
    scored, rejected = list(grouped["scored"]), list(grouped["rejected"])
    commit_unit(run, unit, scored, rejected, sum(grouped["read"]), settings)


def job_name(run: RunFolder) -> str:
    """Returns the name of a run's job: always the same one, so that only one job runs at a time."""
    return f"score-{run.date}-{run.run_id[:12]}"
