"""Sealing and publishing in one step, by the submitting process or as the last step of a job."""

import dataclasses
import logging
from collections.abc import Mapping
from typing import Any

import apache_beam as beam

from triad_ml.pipelines.publishing import publish as publishing_publish
from triad_ml.pipelines.publishing.manifest import Manifest
from triad_ml.pipelines.publishing.run_folder import RunFolder
from triad_ml.pipelines.publishing.sealing.gates import Gates
from triad_ml.pipelines.publishing.sealing.seal import seal
from triad_ml.pipelines.runtime import summary
from triad_ml.pipelines.runtime.summary import Sentence
from triad_ml.pipelines.sources.files import InputFile, changed_error
from triad_ml.pipelines.sources.units import changed
from triad_ml.pipelines.storage import atomic
from triad_ml.pipelines.tables import media_counts
from triad_ml.pipelines.tables.schema import ScoreSchema

_log = logging.getLogger(__name__)


@dataclasses.dataclass(frozen=True)
class Publication:
    """All that is needed to publish a run once its units are complete.

    Attributes:
        run: Folder of the run.
        units: Number of units of work.
        inputs: Records files as they were when the units were planned.
        gates: Limits that the run must hold.
        settings: Columns, provenance and format that all rows share.
        about: Further entries of the manifest, as JSON values.
        current: Text of `CURRENT` when this run began, see `publish.begin`.
    """

    run: RunFolder
    units: int
    inputs: tuple[InputFile, ...]
    gates: Gates
    settings: ScoreSchema
    about: Mapping[str, Any]
    current: str | None

    def publish(self) -> None:
        """Seals the run and publishes it; does nothing if it is published already.

        Raises:
            StorageError: An input changed since the units were planned; the units are removed.
            GateError: A gate refuses the scores.
            LostRaceError: Another run was published for the date meanwhile.
        """
        if publishing_publish.published(self.run):
            return
        for uri in changed(self.inputs):
            atomic.delete_tree(self.run.units)  # They may mix the old and the new input.
            raise changed_error(uri)
        sealed = seal(self.run, self.units, self.gates, self.settings, self.about)
        publishing_publish.publish(self.run, self.current)
        summary.say(_log, sentences(sealed, self.run))
        if self.gates.drift is not None:
            summary.say(_log, self.gates.drift.sentences(self.run, sealed.statistics))
        _log.info("%s: published", self.run.folder)


class Publish(beam.PTransform):
    """Publishes a run once all its units are committed.

    Takes the output of `CommitUnits` and returns a collection with one None. It is the last step of
    a job for which no submitting process waits.

    Args:
        publication: Run to publish.
    """

    def __init__(self, publication: Publication) -> None:
        super().__init__()
        self._publication = publication

    def expand(self, committed: beam.PCollection[None]) -> beam.PCollection[None]:
        return (
            committed
            | "AllCommitted" >> beam.combiners.Count.Globally()
            | "Publish" >> beam.Map(_publish, self._publication)
        )


def sentences(manifest: Manifest, run: RunFolder) -> list[Sentence]:
    """Describes a scoring run by its manifest; media only if the manifest counts them."""
    counts = manifest.counts
    return [
        *summary.records(counts["read"], counts["scored"], "scored", manifest.reasons),
        *summary.where(counts["rejected"], run.rejected),
        *summary.media(media_counts.from_json(manifest.media)),
    ]


def _publish(_: int, publication: Publication) -> None:
    publication.publish()
