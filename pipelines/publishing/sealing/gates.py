"""Gates: limits that a scoring run must hold to be published."""

import dataclasses
from collections.abc import Mapping

from triad_ml.pipelines.publishing.manifest import PartFile
from triad_ml.pipelines.publishing.run_folder import RunFolder
from triad_ml.pipelines.publishing.sealing.drift_gate import DriftGate
from triad_ml.pipelines.tables import media_counts
from triad_ml.pipelines.tables.media_counts import IssuesLimits
from triad_ml.transforms.errors import GateError


@dataclasses.dataclass(frozen=True)
class Gates:
    """Limits that a run must hold to be published.

    Attributes:
        rejected_limit: Largest share of rejected records, duplicates included, in [0, 1].
        issues: Largest shares of media that are not used.
        drift: Limits of drift; None compares with nothing.
    """

    rejected_limit: float
    issues: IssuesLimits = IssuesLimits()
    drift: DriftGate | None = None

    def __post_init__(self) -> None:
        if not 0 <= self.rejected_limit <= 1:
            raise ValueError(f"rejected_limit must be between 0 and 1, got {self.rejected_limit}")

    def check(
        self,
        run: RunFolder,
        counts: Mapping[str, int],
        reasons: Mapping[str, int],
        media: media_counts.Media,
        statistics: PartFile | None,
    ) -> None:
        """Refuses a run that lost records or too many media, scored none, rejected many or drifts.

        Args:
            run: Folder of the run.
            counts: Numbers of records that are `read`, `scored` and `rejected`.
            reasons: Number of rejected records by reason.
            media: Numbers of media that are used and not used.
            statistics: Entry of the run's statistics in its manifest; None if it has none.

        Raises:
            GateError: A limit is not held; the message has the numbers, the most frequent reason
                and the remedy.
            DamagedError: The statistics are to be compared, and are not what the run wrote.
        """
        read, scored, rejected = counts["read"], counts["scored"], counts["rejected"]
        if read != scored + rejected:
            raise GateError(
                f"{run.folder}: {read} records were read, but {scored} scored and {rejected} "
                "rejected; nothing is published: move the folder aside and run again"
            )
        if not read:
            return
        most = max(reasons, key=lambda reason: (reasons[reason], reason), default="")
        where = f"see {run.rejected}"
        lost = self.issues.refusal(media)
        if not scored:
            raise GateError(
                f"none of {read} records is scored (most often: {most}, {reasons[most]}); "
                f"nothing is published: {where}" + (f"; {lost}" if lost else "")
            )
        if rejected / read > self.rejected_limit:
            raise GateError(
                f"{rejected} of {read} records are rejected ({rejected / read:.2%}; most often: "
                f"{most}, {reasons[most]}), over the limit of {self.rejected_limit:.2%}; nothing "
                f"is published: {where}, or raise --rejected-limit" + (f"; {lost}" if lost else "")
            )
        if lost:
            raise GateError(f"{lost} (see the issues in {run.folder}/scores)")
        if self.drift is not None:
            self.drift.check(run, statistics)
