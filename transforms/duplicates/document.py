"""Document `duplicates.json`: near-duplicates in prepared data, and leaks between its splits."""

import dataclasses
import json
from collections.abc import Mapping

from triad_ml.transforms.version import VERSION

NAME = "duplicates.json"
"""Name of the file, in the folder of the prepared data."""

FORM = 1
"""Version of the form."""


@dataclasses.dataclass(frozen=True)
class Place:
    """A record with a medium, and its split."""

    id: str
    split: str


@dataclasses.dataclass(frozen=True)
class Pair:
    """Two records whose media are near-duplicates; the distance is that of their fingerprints."""

    first: Place
    second: Place
    distance: float


@dataclasses.dataclass(frozen=True)
class Found:
    """Near-duplicates among the media of one modality.

    Attributes:
        compared: Number of media with a fingerprint that were compared.
        plain: Number of media with too little content, which have no fingerprint.
        over: Number of media that were not compared because there are too many.
        crowded: Number of media whose near-duplicates can be missed; see `search.Alike`.
        groups: Number of groups of near-duplicates.
        alike: Number of records with a near-duplicate.
        leaks: By split, the number of records with a near-duplicate in an earlier one of `SPLITS`.
        pairs: Pairs that join the groups, first those that leak, then by distance; some at most.
        pairs_left_out: Number of further pairs.
    """

    compared: int
    plain: int
    over: int
    crowded: int
    groups: int
    alike: int
    leaks: Mapping[str, int]
    pairs: tuple[Pair, ...]
    pairs_left_out: int


@dataclasses.dataclass(frozen=True)
class Duplicates:
    """Content of the document.

    Attributes:
        form: Version of the form.
        version: Version of Triad that wrote it.
        spec_digest: Digest of the spec.
        modalities: Near-duplicates by modality.
    """

    form: int
    version: str
    spec_digest: str
    modalities: Mapping[str, Found]


def content(found: Mapping[str, Found], spec_digest: str) -> bytes:
    """Returns the document of near-duplicates by modality."""
    whole = dataclasses.asdict(Duplicates(FORM, VERSION, spec_digest, found))
    return (json.dumps(whole, indent=1, ensure_ascii=False) + "\n").encode()
