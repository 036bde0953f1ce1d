"""Progress display of pipelines: record counts if they run in this process, else elapsed time."""

import contextlib
import logging
from collections.abc import Iterator, Sequence

from triad_ml.model import stages
from triad_ml.pipelines.runners import registry

_log = logging.getLogger(__name__)

_OTHER_PROCESSES = "multi_processing"
"""Running mode of Beam in which the local runner's workers count in other processes."""


@contextlib.contextmanager
def showing(
    what: str,
    total: int | None,
    runner: str = "local",
    beam_args: Sequence[str] = (),
    estimated: bool = False,
) -> Iterator[stages.Stage]:
    """Shows the number of records that pipelines have finished while the block runs.

    Args:
        what: Name of the step.
        total: Number of records; None if unknown.
        runner: Key of `registry.RUNNERS`.
        beam_args: Arguments that are passed to Beam.
        estimated: True if `total` is an estimate.
    """
    chosen = registry.named(runner)
    if chosen.is_remote:
        stage = stages.Stage(f"{what}, on {chosen.name}")
    elif any(_OTHER_PROCESSES in argument for argument in beam_args):
        stage = stages.Stage(f"{what}, in other processes")
    else:
        if total is None:
            _log.info("only reading tells how many records there are, so no time left is shown")
        stage = stages.counting(what, total, estimated)
    with stages.showing(stage):
        yield stage
