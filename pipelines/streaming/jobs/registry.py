"""Registry of streaming jobs by runner; a job's module is imported when the job runs."""

from collections.abc import Callable, Mapping

from triad_ml.pipelines.streaming.config import StreamConfig


def _local(config: StreamConfig) -> object:
    from triad_ml.pipelines.streaming.jobs import local, stopping

    return stopping.run_until_signal(config, local.run)


def _prism(config: StreamConfig) -> object:
    from triad_ml.pipelines.streaming.jobs import prism, stopping

    return stopping.run_until_signal(config, prism.run)


def _flink(config: StreamConfig) -> None:
    from triad_ml.pipelines.streaming.jobs import flink

    flink.run(config)


def _dataflow(config: StreamConfig) -> None:
    from triad_ml.pipelines.streaming.jobs import dataflow

    dataflow.run(config)


JOBS: Mapping[str, Callable[[StreamConfig], object]] = {
    "local": _local,
    "prism": _prism,
    "flink": _flink,
    "dataflow": _dataflow,
}
"""Functions by runner that run a stream until a signal or the end of the input; on a cluster, until
the job is submitted or ends."""
