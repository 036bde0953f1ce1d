"""Sealing and publishing as one thing: whoever submits can do it, or the job's last step."""

import dataclasses
import logging
from collections.abc import Mapping
from typing import Any

import apache_beam as beam

from triad_ml.pipelines.publishing import publish as publishing_publish
from triad_ml.pipelines.publishing.manifest import Manifest
from triad_ml.pipelines.publishing.run_folder import RunFolder
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
    """A run whose units are complete, or will be.

    Attributes:
        run: Where it is.
        units: Their number.
        inputs: The records files as they were when the units were planned.
        gates: What the run must hold.
        settings: What all rows have in common.
        about: What stands in the manifest beside that.
        current: The run that was published when this one began.
    """

    run: RunFolder
    units: int
    inputs: tuple[InputFile, ...]
    gates: publishing_publish.Gates
    settings: ScoreSchema
    about: Mapping[str, Any]
    current: str | None

    def publish(self) -> None:
        """Seals the run and makes it the published one; a second time it does nothing.

        Raises:
            StorageError: An input is another by now; the units are thrown away.
            GateError: A gate refuses the scores.
            LostRaceError: Another run was published for the date meanwhile.
        """
        if publishing_publish.published(self.run):
            return
        for uri in changed(self.inputs):
            atomic.delete_tree(self.run.units)  # who knows which of both they hold
            raise changed_error(uri)
        sealed = publishing_publish.seal(
            self.run, self.units, self.gates, self.settings, self.about
        )
        publishing_publish.publish(self.run, self.current)
        summary.say(_log, sentences(sealed, self.run))
        _log.info("%s: published", self.run.folder)


class Publish(beam.PTransform):
    """What `CommitUnits` gives -> nothing; the run is published when all of it is there.

    It is the last step of a job that nobody waits for.

    Args:
        publication: What to publish.
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
    """Describes a scoring run by its manifest; media as far as the manifest counts them."""
    counts = manifest.counts
    return [
        *summary.records(counts["read"], counts["scored"], "scored", manifest.reasons),
        *summary.where(counts["rejected"], run.rejected),
        *summary.media(media_counts.from_json(manifest.media)),
    ]


def _publish(_: int, publication: Publication) -> None:
    publication.publish()
