"""Use case of `triad track`: a finished model as a run of MLflow."""

import importlib.util

from triad_ml.pipelines.training.tracking.config import TrackConfig
from triad_ml.transforms import extras
from triad_ml.transforms.errors import OptionsError


def run(config: TrackConfig) -> str:
    """Registers a model once; returns a line that names the run.

    Raises:
        OptionsError: If MLflow is not installed, or the model or the report cannot be read.
        GateError: If a file of the model is not the one that training wrote.
        StorageError: If the tracker cannot be reached or refuses the run.
    """
    if importlib.util.find_spec("mlflow") is None:
        raise OptionsError(f"track: MLflow is not installed; {extras.remedy('mlflow')}")
    from triad_ml.pipelines.training.tracking import mlflow_runs

    return mlflow_runs.track(config)
