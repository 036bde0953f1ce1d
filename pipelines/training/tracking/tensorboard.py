"""Event files of TensorBoard: one point of each figure for each epoch."""

from pathlib import Path
from types import TracebackType
from typing import Self

import tensorflow as tf
from tensorflow.core.framework import summary_pb2

from triad_ml.model.training.progress import Row

_ACCURACY, _WEIGHT = "_accuracy", "_weight"
_NAMES = {"loss": "loss/train", "eval_loss": "loss/eval"}
_NO_FIGURE = "epoch"

# As tf.summary.scalar writes it, which needs the package tensorboard.
_SCALAR = tf.compat.v1.SummaryMetadata(
    plugin_data=tf.compat.v1.SummaryMetadata.PluginData(plugin_name="scalars"),
    data_class=summary_pb2.DATA_CLASS_SCALAR,
)


class Events:
    """Writer of one event file in a folder, which TensorBoard reads while the training runs.

    A resumed training writes a further file into the folder, from its first epoch on; TensorBoard
    shows all files of a folder as one run.

    Args:
        folder: Folder of the event files.
    """

    def __init__(self, folder: str | Path) -> None:
        self._writer = tf.summary.create_file_writer(str(folder))

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self._writer.close()

    def epoch(self, row: Row) -> None:
        """Writes the figures of an epoch, a row of the history; those that are None are left out.

        Tags are `loss/train` and `loss/eval`, `accuracy/TASK` and `weight/TASK`, and the names of
        all other figures.
        """
        epoch = row[_NO_FIGURE]
        assert epoch is not None  # each row has one
        with self._writer.as_default(step=int(epoch)):
            for name, value in row.items():
                if name != _NO_FIGURE and value is not None:
                    tf.summary.write(tag(name), tf.constant(value, tf.float32), metadata=_SCALAR)
        self._writer.flush()


def tag(name: str) -> str:
    """Returns the tag of a figure of the history."""
    for ending in (_ACCURACY, _WEIGHT):
        if name.endswith(ending):
            return f"{ending[1:]}/{name.removesuffix(ending)}"
    return _NAMES.get(name, name)
