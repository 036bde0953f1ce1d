"""The progress of pipelines: counted where they run in this process, else told by time alone."""

import contextlib
from collections.abc import Iterator, Sequence

from triad_ml.model import stages
from triad_ml.pipelines.runners import registry

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
        runner: A key of `registry.RUNNERS`.
        beam_args: What went to Beam.
        estimated: Whether `total` is an estimate.
    """
    chosen = registry.named(runner)
    if chosen.is_remote:
        stage = stages.Stage(f"{what}, on {chosen.name}")
    elif any(_OTHER_PROCESSES in argument for argument in beam_args):
        stage = stages.Stage(f"{what}, in other processes")
    else:
        stage = stages.counting(what, total, estimated)
    with stages.showing(stage):
        yield stage
