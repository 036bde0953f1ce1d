"""Registry of runners by the value of `--runner`."""

from collections.abc import Mapping

from triad_ml.pipelines.runners.base import Runner
from triad_ml.pipelines.runners.dataflow import DataflowRunner
from triad_ml.pipelines.runners.flink.runner import FlinkRunner
from triad_ml.pipelines.runners.local import LocalRunner
from triad_ml.pipelines.runners.prism import PrismRunner
from triad_ml.transforms.errors import OptionsError

LOCAL = LocalRunner()
PRISM = PrismRunner()
FLINK = FlinkRunner()
DATAFLOW = DataflowRunner()

RUNNERS: Mapping[str, Runner] = {runner.name: runner for runner in (LOCAL, PRISM, FLINK, DATAFLOW)}
"""All runners, in the order in which messages name them."""

ALIASES = {"directrunner": LOCAL.name}
"""Further names of runners, in lower case."""


def find(name: str) -> Runner | None:
    """Returns the runner of a name, in any case; None if there is none."""
    lower = name.lower()
    return RUNNERS.get(ALIASES.get(lower, lower))


def named(name: str) -> Runner:
    """Returns the runner of a name, in any case, for a batch pipeline.

    Raises:
        OptionsError: If there is none; the message names the flag.
    """
    runner = find(name)
    if runner is None or not runner.runs_batches:
        *others, last = (runner.name for runner in RUNNERS.values() if runner.runs_batches)
        known = f"{', '.join(others)} or {last}"
        raise OptionsError(f"--runner: {name!r} is no runner; use {known}")
    return runner
