"""Results of pipelines: counters, and typed errors that arrive from workers as text."""

import errno
import re
from collections import Counter

import grpc
from apache_beam.metrics.metric import MetricsFilter
from apache_beam.runners.runner import PipelineResult

from triad_ml.transforms import errors
from triad_ml.transforms.errors import StorageError, TriadError


def counters(result: PipelineResult) -> dict[str, int]:
    """Returns the user counters by `Namespace.name`, each summed over the steps that count it."""
    totals: Counter[str] = Counter()
    for metric in result.metrics().query(MetricsFilter())["counters"]:
        namespace = metric.key.metric.namespace.rsplit(".", 1)[-1]
        totals[f"{namespace}.{metric.key.metric.name}"] += metric.result
    return dict(totals)


_TYPED = re.compile(r"^triad_ml\.transforms\.errors\.(?P<name>\w+): (?P<line>.+)$", re.MULTILINE)


_SYSTEM = re.compile(
    r"^\w*Error: \[Errno (?P<code>\d+)\] (?P<reason>[^:\n]+)(?:: '(?P<path>[^'\n]*)')?",
    re.MULTILINE,
)


_TRACEBACK = "Traceback (most recent call last)"


def translated(error: Exception) -> Exception | None:
    """Returns the error that the local runner would raise for the failure of a job on a cluster.

    Returns:
        Error that a worker raised; StorageError if the cluster does not answer or a part of it was
        lost; None if the failure is the traceback of a bug.
    """
    return _of_connection(error) or of_text(str(error))


def of_text(text: str) -> TriadError | OSError | None:
    """Parses the error in a failed job's text; None if it is the traceback of a bug."""
    typed = _TYPED.search(text)
    if typed is not None:
        kind = getattr(errors, typed["name"], None)
        if isinstance(kind, type) and issubclass(kind, TriadError):
            return kind(typed["line"])
    system = _SYSTEM.search(text)
    if system is not None and int(system["code"]) in errno.errorcode:
        return OSError(int(system["code"]), system["reason"].strip(), system["path"])
    if _TRACEBACK in text:
        return None
    line = " ".join(text.split())[:300]
    return StorageError(
        f"cluster: {line}; look into its logs, then run the same command again: "
        "what is complete is not done again"
    )


def _of_connection(error: Exception) -> StorageError | None:
    if isinstance(error, grpc.FutureTimeoutError):
        return StorageError(
            "job server: does not answer; start it (triad flink up) or give its address "
            "(-- --job_endpoint=HOST:PORT)"
        )
    if isinstance(error, grpc.RpcError):
        details = error.details() if isinstance(error, grpc.Call) else str(error)
        return StorageError(
            f"job server: {' '.join(str(details).split())}; see that it runs, "
            "then run the same command again"
        )
    return None
