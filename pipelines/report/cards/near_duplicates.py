"""Cards of near-duplicates: pairs of records with both media side by side."""

import dataclasses
from collections.abc import Mapping
from typing import Any

from triad_ml.pipelines.report.cards.records import Records, media_of
from triad_ml.pipelines.report.previews import PREVIEWS, Sound
from triad_ml.transforms.spec.spec import Spec


@dataclasses.dataclass(frozen=True)
class Side:
    """One record of a pair, with the medium that is like the other's.

    Attributes:
        id: The record's id.
        split: The record's split.
        picture: Image as a `data:` URI of at most 160 x 160 pixels, or "".
        sound: Audio clip, or None.
        text: Beginning of the text, or "".
    """

    id: str
    split: str
    picture: str = ""
    sound: Sound | None = None
    text: str = ""


@dataclasses.dataclass(frozen=True)
class Pair:
    """Two records whose media are near-duplicates, and the distance of their fingerprints."""

    first: Side
    second: Side
    distance: float

    @property
    def leaks(self) -> bool:
        """True if the records are in different splits."""
        return self.first.split != self.second.split


@dataclasses.dataclass(frozen=True)
class NearDuplicates:
    """Near-duplicates of one modality.

    Attributes:
        modality: Name of the modality.
        compared: Number of media that were compared.
        alike: Number of records with a near-duplicate.
        leaking: Number of records with a near-duplicate in an earlier split.
        pairs: Some pairs, first those that leak.
    """

    modality: str
    compared: int
    alike: int
    leaking: int
    pairs: tuple[Pair, ...]


def build(
    spec: Spec,
    preprocessed: Mapping[str, Any],
    records: Records,
    media_roots: tuple[str, ...] = (),
) -> tuple[NearDuplicates, ...]:
    """Shows the near-duplicates that preprocessing found, by modality; () if there are none.

    Args:
        spec: Spec of the model.
        preprocessed: Manifest of the prepared data; earlier versions do not name near-duplicates.
        records: Function that reads the records, which have the media; without records, cards have
            ids and splits alone.
        media_roots: Folders, besides those of the records files, from which media are read.
    """
    found = {name: one for name, one in preprocessed.get("duplicates", {}).items() if one["pairs"]}
    pairs = [pair for one in found.values() for pair in one["pairs"]]
    ids = {pair[side][0] for pair in pairs for side in ("first", "second")}
    media = media_of(ids, records, spec, media_roots)

    def side(name: str, record_id: str, split: str) -> Side:
        field = PREVIEWS[name].field
        shown = media.get(record_id, {})
        return Side(record_id, split, **({field: shown[field]} if field in shown else {}))

    return tuple(
        NearDuplicates(
            name,
            one["compared"],
            one["alike"],
            sum(one["leaks"].values()),
            tuple(
                Pair(side(name, *pair["first"]), side(name, *pair["second"]), pair["distance"])
                for pair in one["pairs"]
            ),
        )
        for name, one in found.items()
    )
