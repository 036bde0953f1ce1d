"""Use case of `triad stream`: scoring of records as they arrive, on the chosen runner."""

import dataclasses
import logging

from triad_ml.pipelines.runtime import environment
from triad_ml.pipelines.streaming import rules
from triad_ml.pipelines.streaming.config import StreamConfig

_log = logging.getLogger(__name__)


def run(config: StreamConfig) -> object:
    """Scores until a signal or the end of the input.

    On a cluster it returns once the job is submitted, or waits for its end.

    Raises:
        OptionsError: If a model, an address, a folder or a runner cannot be used.
        GateError: If the model's files are not the exported or signed ones.
        StorageError: If a folder, bucket or broker cannot be reached.
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
    if not chosen.follows_model:  # a long-running job keeps the model with which it began
        config = dataclasses.replace(config, model=model_store.resolved(config.model))
    environment.load_tensorflow()
    return registry.JOBS[chosen.runner.name](config)
