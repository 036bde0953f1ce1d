"""The use case of `triad preprocess`: settings in, a prepared data set out."""

import logging

from triad_ml.pipelines.preprocessing.config import PreprocessConfig
from triad_ml.pipelines.runtime import environment

_log = logging.getLogger(__name__)


def run(config: PreprocessConfig) -> str:
    """Preprocesses records into `config.output`, all of it or nothing.

    Returns:
        The manifest's path.

    Raises:
        OptionsError: A spec, input or output that cannot be used.
        GateError: Too many rejected records, or nothing to learn from.
    """
    from triad_ml.pipelines.sources import first_look
    from triad_ml.pipelines.storage import cloud
    from triad_ml.transforms.spec import loading

    cloud.check_places(config.media_roots)
    spec = loading.load(config.spec)  # mistakes are reported before Beam's import is paid for
    first_look.tell(_log, config.inputs, spec)
    from triad_ml.pipelines.preprocessing import plan as preprocessing_plan
    from triad_ml.pipelines.runners import workers

    config = workers.with_full_paths(config)
    plan = preprocessing_plan.plan(config)
    if plan.done:  # and without TensorFlow's import
        return plan.manifest
    environment.load_tensorflow()
    from triad_ml.pipelines.preprocessing import pipeline

    return pipeline.run(config, plan)
