"""Calibration of a trained model: temperatures that the eval split determines."""

from collections.abc import Mapping
from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from triad_ml.model import stages
from triad_ml.model.data import datasets, scan
from triad_ml.model.evaluation import predict
from triad_ml.model.evaluation.document import Temperature
from triad_ml.model.layout import Layout
from triad_ml.model.network import Networks
from triad_ml.model.recipe import calibration
from triad_ml.model.tasks.classification.temperature import LEAST
from triad_ml.model.tasks.heads import heads_of
from triad_ml.pipelines.preprocessing.dataset import BATCH_SIZE


class Scaled(NamedTuple):
    """Temperature of a task.

    Attributes:
        value: The temperature; 1 if it is not fitted.
        records: Number of records with a label in the eval split.
        said: By split, predictions at temperature 1; empty if it is not fitted.
    """

    value: float
    records: int
    said: Mapping[str, npt.NDArray[np.float32]]

    def of(self, split: str) -> Temperature:
        """Returns the temperature with the predictions of one split."""
        return Temperature(self.value, self.records, self.said.get(split))


class Calibrated(NamedTuple):
    """Result of the calibration.

    Attributes:
        networks: Networks whose scoring network has the temperatures.
        tasks: By task that has a temperature, or would have one of more records.
    """

    networks: Networks
    tasks: Mapping[str, Scaled]


def calibrated(
    networks: Networks, surveys: Mapping[str, scan.Survey], layout: Layout
) -> Calibrated:
    """Fits the temperature of each task whose head calibrates, on the eval split.

    A task with fewer labels than `LEAST` keeps its logits.

    Args:
        networks: Networks of a training.
        surveys: Eval and test splits, by name.
        layout: Layout of the files.
    """
    heads = heads_of(layout.spec, layout.classes)
    if not layout.spec.training.calibrate:
        return Calibrated(networks, {})
    counts = {
        name: surveys["eval"].labelled[name] for name, head in heads.items() if head.calibrates
    }
    fitted = [name for name, count in counts.items() if count >= LEAST]
    tasks = {name: Scaled(1.0, count, {}) for name, count in counts.items()}
    if not fitted:
        return Calibrated(networks, tasks)
    networks = calibration.scaled(networks, fitted)
    with stages.showing(stages.Stage("calibration")):
        predictions = {
            split: predict.predict(
                networks.scoring,
                datasets.eval_dataset(survey.unchanged_files(), layout, BATCH_SIZE, survey.records),
                layout,
                tasks=fitted,
            )
            for split, survey in surveys.items()
            if survey.files
        }
        labels, said = predictions["eval"].labels, predictions["eval"].said
        found = {name: heads[name].best_temperature(labels[name], said[name]) for name in fitted}
    calibration.set_temperatures(networks.scoring, found)
    for name, value in found.items():
        before = {split: one.said[name] for split, one in predictions.items()}
        tasks[name] = Scaled(value, counts[name], before)
    return Calibrated(networks, tasks)
