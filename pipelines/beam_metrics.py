"""Counters of a finished Beam job."""

from collections import Counter

from apache_beam.metrics.metric import MetricsFilter
from apache_beam.runners.runner import PipelineResult


def counters(result: PipelineResult) -> dict[str, int]:
    """Every counter of ours as `Namespace.name`, added up over the steps that count it."""
    totals: Counter[str] = Counter()
    for metric in result.metrics().query(MetricsFilter())["counters"]:
        namespace = metric.key.metric.namespace.rsplit(".", 1)[-1]
        totals[f"{namespace}.{metric.key.metric.name}"] += metric.result
    return dict(totals)
