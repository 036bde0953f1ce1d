"""Job of `triad stream --runner prism`: folder to folder, as one unbounded graph on one machine."""

import contextlib
import logging

import apache_beam as beam
from apache_beam.runners.runner import PipelineState

from triad_ml.model.serving import bundle
from triad_ml.pipelines.runners import prism, results
from triad_ml.pipelines.scoring.score import Score
from triad_ml.pipelines.storage import model_store
from triad_ml.pipelines.streaming import endpoints, rules, unbounded
from triad_ml.pipelines.streaming import journal as journals
from triad_ml.pipelines.streaming.config import StreamConfig
from triad_ml.pipelines.streaming.folder.source import Folder
from triad_ml.pipelines.streaming.folder.unbounded_source import ReadFolder
from triad_ml.pipelines.streaming.jobs.stopping import Stop
from triad_ml.pipelines.tables import schema
from triad_ml.pipelines.tables.schema import ScoreSchema

_STEP = 0.2  # seconds between two polls of the job's state

_log = logging.getLogger(__name__)


def run(config: StreamConfig, stop: Stop) -> None:
    """Scores the files of a folder as they arrive, until `stop` is set.

    Prism keeps its state in memory: rows of windows that are open when it ends are not written, and
    the next start reads the whole folder again. A file may be removed once its rows are in the
    sink.

    Raises:
        OptionsError: If a model, source, sink or binary cannot be used.
        StorageError: If a disk or Prism fails.
    """
    rules.check_outputs(config)
    model = model_store.load(config.model, config.verify_key)
    settings = schema.score_schema(model, config.format)
    binary = prism.check(config.prism)
    with contextlib.ExitStack() as stack:
        state = config.state_folder or ""
        journal = stack.enter_context(journals.opened(state))  # locks out other streams
        journals.pin(state, config.source_name)
        folder = Folder(
            config.source,
            config.media_files,
            config.batch_records,
            config.poll_seconds,
            tuple(journal.done),
            media_roots=config.media_roots,
        )
        endpoint = stack.enter_context(prism.running(binary))
        root = beam.Pipeline(options=prism.beam_options(endpoint))
        define_pipeline(root, config, folder, model, settings)
        job = root.run()
        _log.info("%s -> %s: on Prism, windows of %d s", config.source, config.sink, config.window)
        while not PipelineState.is_terminal(job.state):
            if stop.wait(_STEP):
                job.cancel()
                return
        _finish(job)


def define_pipeline(
    root: beam.Pipeline,
    config: StreamConfig,
    folder: Folder,
    model: bundle.Artefact,
    settings: ScoreSchema,
) -> None:
    """Adds read, score and write to `root`; runs nothing.

    Args:
        root: Pipeline to which the steps are added.
        config: Settings of the stream: sink and limits.
        folder: Watched folder that is read.
        model: Model that scores.
        settings: Common properties of all rows.
    """
    score = Score.from_model(model, config.model, config.media_roots, watched=config.watched)
    read = root | "Watch" >> ReadFolder(
        folder, model.spec.label_names, config.poll_seconds, config.until_empty
    )
    scores = unbounded.score_read(read, score, settings)
    endpoints.of(config.sink).write(scores, config, settings)


def _finish(job: beam.runners.runner.PipelineResult) -> None:
    """Raises the error that made a job fail, as the local runner would."""
    try:
        job.wait_until_finish()
    except RuntimeError as error:
        cause = results.of_text(str(error))
        if cause is None:
            raise
        raise cause from error
