"""Use case of `triad preprocess`: from settings to prepared data."""

import logging

from triad_ml.pipelines.preprocessing.config import PreprocessConfig
from triad_ml.pipelines.runtime import environment

_log = logging.getLogger(__name__)


def run(config: PreprocessConfig) -> str:
    """Preprocesses records into `config.output`, all of it or nothing.

    Returns:
        Path of the manifest.

    Raises:
        OptionsError: The spec, an input or the output cannot be used.
        GateError: Too many records are rejected, or there is nothing to learn from.
    """
    from triad_ml.pipelines.sources import first_look
    from triad_ml.pipelines.storage import cloud
    from triad_ml.transforms.spec import loading

    cloud.check_places(config.media_roots)
    spec = loading.load(config.spec)  # Mistakes are reported before Beam is imported.
    first_look.tell(_log, config.inputs, spec)
    from triad_ml.pipelines.preprocessing import plan as preprocessing_plan
    from triad_ml.pipelines.runners import workers

    config = workers.with_full_paths(config)
    plan = preprocessing_plan.plan(config)
    if plan.done:  # Returns before TensorFlow is imported.
        return plan.manifest
    environment.load_tensorflow()
    from triad_ml.pipelines.preprocessing import pipeline

    return pipeline.run(config, plan)
