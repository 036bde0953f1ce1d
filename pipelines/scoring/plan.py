"""Plan of a scoring run: its model, inputs and run id, made before TensorFlow is imported."""

import dataclasses
import json
import logging
from typing import NamedTuple

from triad_ml.model.serving.bundle import Artefact
from triad_ml.pipelines.publishing import publish, publish_step, run_folder, run_index
from triad_ml.pipelines.publishing.run_folder import RunFolder
from triad_ml.pipelines.publishing.sealing.drift_gate import DriftGate
from triad_ml.pipelines.runtime import summary
from triad_ml.pipelines.scoring import statistics_file
from triad_ml.pipelines.scoring.config import ScoreConfig
from triad_ml.pipelines.sources import units
from triad_ml.pipelines.sources.files import InputFile
from triad_ml.pipelines.storage import model_store, outputs
from triad_ml.pipelines.tables.schema import ScoreSchema, score_schema
from triad_ml.transforms.media import uris

_log = logging.getLogger(__name__)


class Published(NamedTuple):
    """Result of a scoring: path or `gs://` URI of the published run's manifest."""

    manifest_uri: str


@dataclasses.dataclass(frozen=True)
class ScorePlan:
    """Plan of one scoring run.

    Attributes:
        model: Model that scores.
        inputs: Records files as they are when the run is planned.
        settings: Columns, provenance and format that all rows share.
        run: Folder of the run; equal inputs, model, options and code have the same folder.
    """

    model: Artefact
    inputs: tuple[InputFile, ...]
    settings: ScoreSchema
    run: RunFolder

    @property
    def published(self) -> bool:
        """True if the run is published and whole, so that nothing is to be done."""
        return publish.published(self.run)

    def drift_gate(self, config: ScoreConfig) -> DriftGate | None:
        """Returns the gate on drift that the settings ask for.

        Raises:
            OptionsError: The statistics to compare with cannot be used.
            DamagedError: They are not what their run wrote.
        """
        if config.trained is None:
            return None
        trained = statistics_file.open_statistics(config.trained)
        refuses = config.drift == "refuse"
        return DriftGate(trained.name, trained.main[1], self.model.spec.drift, refuses)

    def told_published(self, config: ScoreConfig) -> Published:
        """Logs the summary of a run that is published already; returns the path of its manifest.

        Drifts are warnings, as with `--drift warn`, since nothing can be refused any more.
        """
        compared = self.drift_gate(config)
        manifest = run_index.whole_manifest(self.run)
        if manifest is not None:
            summary.say(_log, publish_step.sentences(manifest, self.run))
            if compared is not None:
                summary.say(_log, compared.sentences(self.run, manifest.statistics))
        _log.info("%s: already published, nothing to do", self.run.folder)
        return Published(self.run.manifest)


def plan(config: ScoreConfig, model: Artefact | None = None) -> ScorePlan:
    """Plans a run, without TensorFlow.

    Args:
        config: Settings of the run.
        model: Opened model of `config.model`; None opens it here.

    Raises:
        OptionsError: The model or an input cannot be used.
        GateError: A file of the model is not the exported one.
    """
    if model is None:
        model = model_store.load(config.model, config.verify_key)
    inputs = units.list_inputs(config.inputs)
    settings = score_schema(model, config.format, config.explain)
    run_id = run_folder.run_id(
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
    """Refuses an output folder that holds other files but no scores.

    Raises:
        OptionsError: The folder holds something else; the message names an entry.
    """
    outputs.check_folder(run.output, "score", lambda: _holds_dates(run.output))
    outputs.check_folder(
        run.date_folder, "score", lambda: bool(run_index.folders(run.output, run.date))
    )


def _holds_dates(output: str) -> bool:
    return any(run_index.folders(output, date) for date in run_index.dates(output))
