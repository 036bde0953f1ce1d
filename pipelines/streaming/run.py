"""The use case of `triad stream`: scores records as they arrive, on the runner that is named."""

import dataclasses
import logging

from triad_ml.pipelines.runtime import environment
from triad_ml.pipelines.streaming import rules
from triad_ml.pipelines.streaming.config import StreamConfig

_log = logging.getLogger(__name__)


def run(config: StreamConfig) -> object:
    """Scores until a signal or the end; on a cluster, until the job is submitted or ends.

    Raises:
        OptionsError: A model, a place or a runner that cannot be used.
        GateError: A model whose files are not the exported or signed ones.
        StorageError: A place that cannot be reached.
    """
    from triad_ml.pipelines.sources import first_look
    from triad_ml.pipelines.storage import cloud, model_store
    from triad_ml.pipelines.streaming.jobs import registry

    cloud.check_places(config.media_roots)
    rules.check_outputs(config)
    chosen = rules.of(config)
    chosen.check_machine(config)
    model = model_store.load(model_store.resolved(config.model), config.verify_key)
    rules.check_inputs(config)
    if not config.media_files:
        first_look.tell_of_folder(_log, config.source, model.spec)
    if not chosen.follows_model:  # a job that lives on keeps the model it began with
        config = dataclasses.replace(config, model=model_store.resolved(config.model))
    environment.load_tensorflow()
    return registry.JOBS[chosen.runner.name](config)
