"""Statistics as `DatasetFeatureStatisticsList` of TensorFlow Metadata, for TFDV and Facets."""

import itertools
from collections.abc import Sequence

from google.protobuf.message import DecodeError
from tensorflow_metadata.proto.v0 import statistics_pb2

from triad_ml.pipelines.scoring.statistics_file import Opened
from triad_ml.pipelines.storage import atomic
from triad_ml.transforms.errors import OptionsError
from triad_ml.transforms.statistics.document import Histogram, Part, Shares


def check(path: str) -> None:
    """Refuses an existing file that holds no statistics of TensorFlow Metadata.

    Raises:
        OptionsError: The file would be replaced.
        StorageError: The file cannot be read.
    """
    content = atomic.read_if_there(path)
    if not content:
        return
    try:
        ours = statistics_pb2.DatasetFeatureStatisticsList.FromString(content).datasets
    except DecodeError:
        ours = ()
    if not ours:
        raise OptionsError(
            f"--tfmd: {path}: is there, and holds no statistics of TensorFlow Metadata; choose "
            "another file"
        )


def encoded(opened: Sequence[Opened]) -> bytes:
    """Encodes each part of each statistics as one dataset, named by its origin and part.

    Features are not weighted. The outer bins end at the smallest and the largest value. Records
    without a value of a feature count as missing; measures of media are those of the sample.
    """
    datasets = [
        _dataset(f"{one.name} {name}", part)
        for one in opened
        for name, part in one.statistics.splits.items()
    ]
    whole = statistics_pb2.DatasetFeatureStatisticsList(datasets=datasets)
    content: bytes = whole.SerializeToString(deterministic=True)
    return content


def _dataset(name: str, part: Part) -> statistics_pb2.DatasetFeatureStatistics:
    features = [_numeric(path, one, part.records) for path, one in part.numeric.items()]
    features += [_categorical(path, one, part.records) for path, one in part.categorical.items()]
    return statistics_pb2.DatasetFeatureStatistics(
        name=name, num_examples=part.records, features=features
    )


def _common(count: int, records: int) -> statistics_pb2.CommonStatistics:
    present = min(count, records)
    return statistics_pb2.CommonStatistics(
        num_non_missing=present,
        num_missing=records - present,
        min_num_values=1,
        max_num_values=1,
        avg_num_values=1.0,
        tot_num_values=count,
    )


def _numeric(
    feature: str, histogram: Histogram, records: int
) -> statistics_pb2.FeatureNameStatistics:
    inner = histogram.edges
    edges = [min(histogram.min, inner[0]), *inner, max(histogram.max, inner[-1])]
    buckets = [
        statistics_pb2.Histogram.Bucket(low_value=low, high_value=high, sample_count=count)
        for (low, high), count in zip(itertools.pairwise(edges), histogram.counts, strict=True)
    ]
    numbers = statistics_pb2.NumericStatistics(
        common_stats=_common(histogram.count, records),
        mean=histogram.mean,
        std_dev=histogram.std,
        min=histogram.min,
        max=histogram.max,
        histograms=[
            statistics_pb2.Histogram(type=statistics_pb2.Histogram.STANDARD, buckets=buckets)
        ],
    )
    return statistics_pb2.FeatureNameStatistics(
        path={"step": [feature]},
        type=statistics_pb2.FeatureNameStatistics.FLOAT,
        num_stats=numbers,
    )


def _categorical(
    feature: str, shares: Shares, records: int
) -> statistics_pb2.FeatureNameStatistics:
    ranked = list(shares.counts.items())
    texts = statistics_pb2.StringStatistics(
        common_stats=_common(shares.total, records),
        unique=shares.distinct or 0,
        top_values=[
            statistics_pb2.StringStatistics.FreqAndValue(value=value, frequency=count)
            for value, count in ranked
        ],
        rank_histogram=statistics_pb2.RankHistogram(
            buckets=[
                statistics_pb2.RankHistogram.Bucket(
                    low_rank=rank, high_rank=rank, label=value, sample_count=count
                )
                for rank, (value, count) in enumerate(ranked)
            ]
        ),
    )
    return statistics_pb2.FeatureNameStatistics(
        path={"step": [feature]},
        type=statistics_pb2.FeatureNameStatistics.STRING,
        string_stats=texts,
    )
