"""The use case of `triad stream`: scores records as they arrive, on the runner that is named."""

import dataclasses
import logging

from triad_ml.pipelines.runtime import environment
from triad_ml.pipelines.streaming import config as streaming_config
from triad_ml.pipelines.streaming.config import StreamConfig

_log = logging.getLogger(__name__)


def run(config: StreamConfig) -> object:
    """Scores until a signal or the end; on a cluster, until the job is submitted or ends.

    Raises:
        OptionsError: A model, a place or a runner that cannot be used.
        GateError: A model whose files are not the exported or signed ones.
        StorageError: A place that cannot be reached.
    """
    from triad_ml.pipelines.runners import prism as runners_prism
    from triad_ml.pipelines.sources import first_look
    from triad_ml.pipelines.storage import cloud, model_store
    from triad_ml.pipelines.streaming.folder import sink

    cloud.check_places(config.media_roots)
    sink.check_outputs(config)
    runner = streaming_config.name(config)
    if runner == streaming_config.PRISM:
        runners_prism.check(config.prism)
    model = model_store.load(model_store.resolved(config.model), config.verify_key)
    streaming_config.check_places(config)
    if not config.media_files:
        first_look.tell_of_folder(_log, config.source, model.spec)
    if runner != streaming_config.LOCAL:  # a job that lives on keeps the model it began with
        config = dataclasses.replace(config, model=model_store.resolved(config.model))
    environment.load_tensorflow()
    from triad_ml.pipelines.streaming.jobs import stopping

    if runner == streaming_config.LOCAL:
        from triad_ml.pipelines.streaming.jobs import local

        return stopping.run_until_signal(config, local.run)
    if runner == streaming_config.PRISM:
        from triad_ml.pipelines.streaming.jobs import prism

        return stopping.run_until_signal(config, prism.run)
    if runner == streaming_config.FLINK:
        from triad_ml.pipelines.streaming.jobs import flink

        flink.run(config)
    else:
        from triad_ml.pipelines.streaming.jobs import dataflow

        dataflow.run(config)
    return None
