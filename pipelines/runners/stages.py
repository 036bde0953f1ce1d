"""The progress of pipelines: counted where they run in this process, else told by time alone."""

import contextlib
import logging
from collections.abc import Iterator, Sequence

import pyarrow.parquet as pq

from triad_ml.model import stages
from triad_ml.pipelines.runners import beam_options
from triad_ml.pipelines.sources import units
from triad_ml.pipelines.storage import opening

_log = logging.getLogger(__name__)

_OTHER_PROCESSES = "multi_processing"
"""Beam's running mode in which the local runner's workers count elsewhere."""


@contextlib.contextmanager
def showing(
    what: str,
    total: int | None,
    runner: str = "local",
    beam_args: Sequence[str] = (),
    estimated: bool = False,
) -> Iterator[stages.Stage]:
    """Shows the records that pipelines are done with while the block runs.

    Args:
        what: Names the step.
        total: How many records there are; None where nobody knows.
        runner: A key of `options.RUNNERS`.
        beam_args: What went to Beam.
        estimated: Whether `total` is an estimate.
    """
    if beam_options.is_cluster(runner):
        stage = stages.Stage(f"{what}, on {runner.lower()}")
    elif any(_OTHER_PROCESSES in argument for argument in beam_args):
        stage = stages.Stage(f"{what}, in other processes")
    else:
        stage = stages.counting(what, total, estimated)
    with stages.showing(stage):
        yield stage


def estimated_records(inputs: Sequence[units.InputFile]) -> int | None:
    """About how many records files hold, by their average line.

    None, with a line in the log, where one is compressed or TFRecord: only reading it tells.

    Raises:
        StorageError: Where a file cannot be read.
    """
    total = 0.0
    for file in inputs:
        kind = units.suffix(file.uri)
        if not file.size:
            continue
        if kind == ".parquet":
            with opening.open_stored(file.uri) as stored:
                total += pq.ParquetFile(stored).metadata.num_rows
        elif kind in (".jsonl", ".csv"):
            total += file.size / max(units.average_line(file.uri), 1.0)
        else:
            _log.info(
                "%s: only reading tells how many records it holds, so no time left is shown",
                file.uri,
            )
            return None
    return round(total)
