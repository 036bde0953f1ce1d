"""Use case of `triad score`: from settings to the published scores of one date."""

import dataclasses
import logging
from typing import TYPE_CHECKING

from triad_ml.pipelines.runtime import environment
from triad_ml.pipelines.scoring.config import ScoreConfig

if TYPE_CHECKING:
    from triad_ml.pipelines.scoring.plan import Published

_log = logging.getLogger(__name__)


def run(config: ScoreConfig) -> "Published":
    """Scores records and publishes them for `config.date`, whole or not at all.

    If `config.model` is a folder with a pointer, the model is that which the pointer names at the
    start. The model is opened once, and verified before anything else of it is read.

    Raises:
        OptionsError: The model or an input cannot be used.
        GateError: A gate refuses the model or the scores.
        LostRaceError: Another run was published for the date meanwhile.
    """
    from triad_ml.pipelines.runners import registry
    from triad_ml.pipelines.sources import first_look
    from triad_ml.pipelines.storage import cloud, model_store

    cloud.check_places(config.media_roots)
    config = dataclasses.replace(config, model=model_store.resolved(config.model))
    model = model_store.load(config.model, config.verify_key)
    first_look.tell(_log, config.inputs, model.spec, with_labels=False)
    from triad_ml.pipelines.runners import workers
    from triad_ml.pipelines.scoring import plan as scoring_plan

    config = workers.with_full_paths(config)
    plan = scoring_plan.plan(config, model)
    # A template must be written in any case.
    template = registry.named(config.runner).makes_template(config.beam_args)
    # A second start for the same date returns here, without importing TensorFlow.
    if plan.published and not template:
        return plan.told_published(config)
    environment.load_tensorflow()
    from triad_ml.pipelines.scoring import pipeline

    return pipeline.run(config, plan)
