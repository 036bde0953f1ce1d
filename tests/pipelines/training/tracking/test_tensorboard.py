"""Event files of TensorBoard, read back."""

import csv
from collections import defaultdict
from pathlib import Path

import numpy as np
import pytest
import tensorflow as tf
from tensorflow.core.util import event_pb2

from triad_ml.pipelines.cli import main
from triad_ml.pipelines.training.config import TrainConfig
from triad_ml.pipelines.training.tracking.tensorboard import Events, tag
from triad_ml.transforms.errors import OptionsError


def points(folder: Path) -> dict[str, dict[int, np.float32]]:
    """All points of the event files in a folder: tag -> step -> value."""
    found: dict[str, dict[int, np.float32]] = defaultdict(dict)
    files = sorted(str(file) for file in folder.glob("events.out.tfevents.*"))
    for record in tf.data.TFRecordDataset(files).as_numpy_iterator():
        event = event_pb2.Event.FromString(record)
        for value in event.summary.value:
            assert value.metadata.plugin_data.plugin_name == "scalars"
            found[value.tag][event.step] = tf.make_ndarray(value.tensor)[()]
    return dict(found)


def test_a_training_writes_each_figure_of_each_epoch(trained: Path) -> None:
    with (trained / "history.csv").open(newline="") as file:
        rows = list(csv.DictReader(file))
    expected: dict[str, dict[int, np.float32]] = defaultdict(dict)
    for row in rows:
        for name, value in row.items():
            if name != "epoch" and value:
                expected[tag(name)][int(row["epoch"])] = np.float32(value)
    found = points(trained.parent / "events")
    assert found == expected
    assert len(rows) == 2
    assert {"loss/train", "loss/eval", "accuracy/category", "learning_rate"} <= set(found)


def test_a_resumed_training_adds_to_the_folder_and_leaves_out_what_is_unknown(
    tmp_path: Path,
) -> None:
    row = {"epoch": 1.0, "loss": 2.0, "eval_loss": None, "kind_weight": 0.5}
    for epoch in (1.0, 2.0):
        with Events(tmp_path) as events:
            events.epoch({**row, "epoch": epoch})
    assert points(tmp_path) == {"loss/train": {1: 2.0, 2: 2.0}, "weight/kind": {1: 0.5, 2: 0.5}}


def test_a_folder_that_is_not_local_is_refused() -> None:
    with pytest.raises(OptionsError, match="--tensorboard: gs://b/x: event files are written to"):
        TrainConfig("data", "model", tensorboard="gs://b/x")
    with pytest.raises(OptionsError, match="--tensorboard"):
        TrainConfig("data", "model", tensorboard="")


def test_the_command_passes_the_folder_on() -> None:
    given = []
    argv = ["train", "--data", "d", "--output", "o", "--tensorboard", "events"]
    assert main.main(argv, lambda run, *arguments: given.extend(arguments)) == 0
    assert given == [TrainConfig("d", "o", tensorboard="events")]
