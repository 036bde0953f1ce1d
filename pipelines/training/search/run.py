"""Use case of `triad search`."""

import importlib.util
from typing import TYPE_CHECKING

from triad_ml.pipelines.runtime import environment
from triad_ml.pipelines.training.config import SearchConfig
from triad_ml.transforms import extras
from triad_ml.transforms.errors import OptionsError

if TYPE_CHECKING:
    from triad_ml.pipelines.training.search.study import Found


def run(config: SearchConfig) -> "Found":
    """Searches until there are `config.trials` trials, or until the time is up.

    Returns:
        File with the best spec, and all trials.

    Raises:
        OptionsError: If the data or a folder cannot be used, or no trial was completed.
    """
    from triad_ml.pipelines.training.search import plan as search_plan

    plan = search_plan.plan(config)
    if importlib.util.find_spec("optuna") is None:
        raise OptionsError(f"search: Optuna is not installed; {extras.remedy('search')}")
    environment.load_tensorflow()
    from triad_ml.pipelines.training.search import study

    return study.run(config, plan)
