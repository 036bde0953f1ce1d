"""What a scoring run is, known before anything heavy is imported: its model, inputs and run id."""

import dataclasses
import json
import logging
from typing import NamedTuple

from triad_ml.model.serving.bundle import Artefact
from triad_ml.pipelines.publishing import publish, publish_step, run_index
from triad_ml.pipelines.publishing.run_folder import RunFolder
from triad_ml.pipelines.runtime import summary
from triad_ml.pipelines.scoring.config import ScoreConfig
from triad_ml.pipelines.sources import units
from triad_ml.pipelines.storage import model_store, outputs
from triad_ml.pipelines.tables.schema import ScoreSchema, score_schema
from triad_ml.transforms.media import uris

_log = logging.getLogger(__name__)


class Published(NamedTuple):
    """Where the manifest of a published run is."""

    manifest_uri: str


@dataclasses.dataclass(frozen=True)
class ScorePlan:
    """One scoring run.

    Attributes:
        model: What scores.
        inputs: The records files as they are now.
        settings: What all rows have in common.
        run: Where the run is; equal inputs, model, options and code give the same one.
    """

    model: Artefact
    inputs: tuple[units.InputFile, ...]
    settings: ScoreSchema
    run: RunFolder

    @property
    def published(self) -> bool:
        """Whether there is nothing left to do."""
        return publish.published(self.run)

    def told_published(self) -> Published:
        """Says what a run that is published already holds."""
        manifest = run_index.whole_manifest(self.run)
        if manifest is not None:
            summary.say(_log, publish_step.sentences(manifest, self.run))
        _log.info("%s: already published, nothing to do", self.run.folder)
        return Published(self.run.manifest)


def plan(config: ScoreConfig, model: Artefact | None = None) -> ScorePlan:
    """Plans a run, without TensorFlow.

    Args:
        config: The settings.
        model: The model of `config.model`, where the caller has opened it; else it is opened here.

    Raises:
        OptionsError: A model or input that cannot be used.
        GateError: A model whose files are not the exported ones.
    """
    if model is None:
        model = model_store.load(config.model, config.verify_key)
    inputs = units.list_inputs(config.inputs)
    settings = score_schema(model, config.format, config.explain)
    run_id = publish.run_id(
        config.date,
        [(file.uri, file.size, file.version) for file in inputs],
        settings.provenance,
        {
            "format": config.format,
            "unit_records": str(config.unit_records),
            "media_roots": json.dumps(uris.resolved(config.media_roots)),
            **({"explain": "true"} if config.explain else {}),
        },
    )
    run = run_index.find(config.output, config.date, run_id)
    _check_output(run)
    return ScorePlan(model, inputs, settings, run)


def _check_output(run: RunFolder) -> None:
    """Refuses a folder in which no scores lie, but something else.

    Raises:
        OptionsError: Naming something that is there.
    """
    outputs.check_folder(run.output, "score", lambda: _holds_dates(run.output))
    outputs.check_folder(
        run.date_folder, "score", lambda: bool(run_index.folders(run.output, run.date))
    )


def _holds_dates(output: str) -> bool:
    return any(run_index.folders(output, date) for date in run_index.dates(output))
