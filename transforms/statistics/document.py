"""Document `statistics.json`: statistics of prepared data or of a scoring run."""

import dataclasses
import functools
import json
from collections.abc import Mapping
from typing import Any

import pydantic

from triad_ml.transforms.errors import OptionsError
from triad_ml.transforms.version import VERSION

NAME = "statistics.json"
"""Name of the file, in the folder of the prepared data or of the run."""

FORM = 1
"""Version of the form; a document of another one is not read."""


@dataclasses.dataclass(frozen=True)
class Histogram:
    """Histogram and moments of a numeric feature.

    Attributes:
        unit: Name of the unit.
        edges: Edges of the bins, ascending; see `measures.Scale`.
        counts: Numbers of values by bin, one more than `edges`.
    """

    count: int
    min: float
    max: float
    mean: float
    std: float
    unit: str
    edges: tuple[float, ...]
    counts: tuple[int, ...]


@dataclasses.dataclass(frozen=True)
class Shares:
    """Counts of a categorical feature.

    Attributes:
        total: Number of all values.
        distinct: Number of different values; None if there are too many.
        counts: Numbers by value, the most frequent first.
        other: Number of values that `counts` does not list.
    """

    total: int
    distinct: int | None
    counts: Mapping[str, int]
    other: int


@dataclasses.dataclass(frozen=True)
class Part:
    """Statistics of one split, or of a scoring run.

    Attributes:
        records: Number of records.
        sampled: Number of records whose media were measured.
        numeric: Histograms by feature.
        categorical: Counts by feature.
    """

    records: int
    sampled: int
    numeric: Mapping[str, Histogram]
    categorical: Mapping[str, Shares]


@dataclasses.dataclass(frozen=True)
class Media:
    """Numbers of media of one modality; None where there are too many to count; see `Digests`."""

    total: int
    distinct: int | None
    duplicates: int | None
    shared: int | None


@dataclasses.dataclass(frozen=True)
class Statistics:
    """Content of the document.

    Attributes:
        form: Version of the form.
        version: Version of Triad that wrote it.
        spec_digest: Digest of the spec.
        splits: Statistics by split; a scoring run has `accumulators.WHOLE` alone.
        media: Numbers of media by modality; empty for a scoring run.
    """

    form: int
    version: str
    spec_digest: str
    splits: Mapping[str, Part]
    media: Mapping[str, Media]


def content(summary: Mapping[str, Any], spec_digest: str) -> bytes:
    """Returns the document of a summary from `combine.summary`."""
    whole = {"form": FORM, "version": VERSION, "spec_digest": spec_digest, **summary}
    return (json.dumps(whole, indent=1, ensure_ascii=False) + "\n").encode()


def parse(content: bytes, place: str) -> Statistics:
    """Parses a document.

    Args:
        content: Content of the file.
        place: Path of the file, for messages.

    Raises:
        OptionsError: The content is no such document, or one of another version.
    """
    try:
        whole = json.loads(content)
    except (ValueError, RecursionError) as error:
        raise OptionsError(f"{place}: is damaged; {REMEDY}") from error
    form = whole.get("form") if isinstance(whole, dict) else None
    if form != FORM:
        raise OptionsError(
            f"{place}: has the form {form or 'of an earlier version'}, and this version reads form "
            f"{FORM}; {REMEDY}"
        )
    try:
        statistics: Statistics = _adapter().validate_json(content, strict=True, extra="ignore")
    except pydantic.ValidationError as error:
        entry = ".".join(map(str, error.errors()[0]["loc"]))
        raise OptionsError(f"{place}: {entry} is not what Triad writes; {REMEDY}") from error
    return statistics


REMEDY = "make it anew: triad preprocess or triad score with a new --output"
"""Remedy for a document that is missing or cannot be read, in messages."""


@functools.cache
def _adapter() -> "pydantic.TypeAdapter[Any]":
    return pydantic.TypeAdapter(Statistics)
