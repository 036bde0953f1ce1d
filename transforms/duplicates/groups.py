"""Groups of records with near-duplicate media, which share a split."""

from collections.abc import Iterable, Sequence

import numpy as np
from scipy import sparse
from scipy.sparse import csgraph

from triad_ml.transforms.duplicates.search import Indices
from triad_ml.transforms.records.values import SPLITS
from triad_ml.transforms.spec import split as spec_split
from triad_ml.transforms.spec.split import KeptTogether, Split


def kept_together(
    ids: Sequence[str],
    keys: Sequence[str],
    splits: Sequence[str | None],
    pairs: Iterable[tuple[Indices, Indices]],
    settings: Split,
) -> KeptTogether:
    """Chooses one split for all records that near-duplicates and equal keys join.

    That is the split that the key of the group draws: its smallest key. If records of the group
    name splits, it is that of the smallest id among these. Records that name a split stay in it.
    The choice does not depend on the order of the records.

    Args:
        ids: Ids of the records.
        keys: Their keys, see `split.key`.
        splits: Splits that they name; None for a record that names none.
        pairs: Indices of records whose media of one modality are near-duplicates.
        settings: The spec's section.
    """
    names, place = np.unique(np.array(keys, object), return_inverse=True)
    joined = [np.empty((2, 0), np.int64), *(np.stack(pair) for pair in pairs)]
    first, second = np.concatenate(joined, axis=1)
    edges = sparse.coo_array(
        (np.ones(first.size), (place[first], place[second])), shape=(names.size, names.size)
    )
    _, groups = csgraph.connected_components(edges, directed=False)
    touched = np.zeros(int(groups.max(initial=-1)) + 1, bool)
    touched[groups[place[first]]] = True
    free = np.zeros(names.size, bool)  # keys of records that name no split
    free[place[[not split for split in splits]]] = True
    named: dict[int, tuple[str, str]] = {}
    for index, split in enumerate(splits):
        group = int(groups[place[index]])
        if split in SPLITS and touched[group]:
            named[group] = min(named.get(group, (ids[index], split)), (ids[index], split))
    sizes = np.bincount(groups)
    leader_of: dict[int, str] = {}
    leaders, chosen = {}, {}
    for node in np.flatnonzero(touched[groups]):
        own, group = str(names[node]), int(groups[node])
        leader = leader_of.setdefault(group, own)  # Keys are ascending, so it is the smallest one.
        split = named[group][1] if group in named else spec_split.drawn(leader, settings)
        if sizes[group] > 1:
            leaders[own] = leader
        if free[node] and split != spec_split.drawn(own, settings):
            chosen[own] = split
    return KeptTogether(leaders, chosen)
