"""Gate on drift: the statistics of a run compared with those of the training."""

import dataclasses

from triad_ml.pipelines.publishing.manifest import PartFile
from triad_ml.pipelines.publishing.run_folder import RunFolder
from triad_ml.pipelines.runtime.summary import Sentence, many
from triad_ml.pipelines.storage import atomic
from triad_ml.transforms.errors import DamagedError, GateError
from triad_ml.transforms.spec.drift import Drift
from triad_ml.transforms.statistics import document, drift
from triad_ml.transforms.statistics.document import Part
from triad_ml.transforms.statistics.drift import Finding

SHOWN = 3
"""Largest number of features that a refusal names; the others are counted."""


@dataclasses.dataclass(frozen=True)
class DriftGate:
    """Limits of drift that a run must hold.

    Attributes:
        name: Name of the statistics that the run is compared with.
        trained: These statistics.
        limits: Limits by feature.
        refuses: True if drift refuses a run; otherwise it is only reported.
    """

    name: str
    trained: Part
    limits: Drift
    refuses: bool

    def check(self, run: RunFolder, file: PartFile | None) -> None:
        """Refuses a run that drifts, if this gate refuses.

        Args:
            run: Folder of the run.
            file: Entry of its statistics in its manifest; None if it has none.

        Raises:
            GateError: A feature drifts beyond its limit; the message names the largest drifts.
            DamagedError: The statistics are not those that the run wrote.
        """
        found = self._findings(run, file) if self.refuses else []
        if not found:
            return
        named = "; ".join(map(str, found[:SHOWN]))
        more = f"; and {len(found) - SHOWN} more" if len(found) > SHOWN else ""
        raise GateError(
            f"{many(len(found), 'feature')} drifted from {self.name}: {named}{more}; nothing is "
            f"published: see triad stats {run.folder}, mend the records, or use --drift warn"
        )

    def sentences(self, run: RunFolder, file: PartFile | None) -> list[Sentence]:
        """Returns a sentence for each feature that drifts, or one that says that none does.

        Statistics that are not those that the run wrote are a warning: they publish or refuse
        nothing any more. The arguments are those of `check`.
        """
        try:
            found = self._findings(run, file)
        except DamagedError as error:
            return [Sentence(f"drift: not compared with {self.name}: {error}", warns=True)]
        if not found:
            return [Sentence(f"drift: no feature drifted from {self.name}")]
        return [Sentence(f"drift: {one}", warns=True) for one in found]

    def _findings(self, run: RunFolder, file: PartFile | None) -> list[Finding]:
        content = atomic.read_if_there(run.statistics)
        if content is None or file is None or not file.holds(content):
            raise DamagedError(
                f"{run.statistics}: is missing or is not what the run wrote; {document.REMEDY}"
            )
        now = document.parse(content, run.statistics).splits.values()
        return [
            finding
            for part in now
            if part.records
            for finding in drift.findings(drift.distances(self.trained, part), self.limits)
        ]
