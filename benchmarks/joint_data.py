"""Readers of four public data sets, as records with a field `dataset`.

Each set is read in its original format, and reduced to a number of whole groups. No record of these
sets is in this repository.
"""

import gzip
import hashlib
import io
import json
import tarfile
import zipfile
from collections.abc import Callable, Iterable, Iterator, Mapping
from pathlib import Path
from typing import Any

Row = dict[str, Any]

_SENTENCES = ("amazonReviewSnippets", "movieReviewSnippets", "nytEditorialSnippets")
_ARCHIVE = "hutto_ICWSM_2014.tar.gz"


def stamps(path: Path) -> Iterator[Row]:
    """Yields records of `examples/stamps.py`, with absolute paths of media."""
    for row in _lines(path):
        for name in ("image", "audio"):
            row[name] = row[name] and str((path.parent / row[name]).resolve())
        row["labels"] = {"category": row["labels"]["category"]}
        yield row


def snips(path: Path) -> Iterator[Row]:
    """Yields commands to an assistant, with `labels.intent`."""
    for row in _lines(path):
        yield {**row, "labels": {"intent": row["labels"]["intent"]}}


def roles(path: Path) -> Iterator[Row]:
    """Yields a record for each predicate of a sentence, with its roles as BIO tags.

    The sentences have `labels.tokens`, and `labels.srl`: a list of `predicate` and `tags`.
    """
    for row in _lines(path):
        tokens, frames = row["labels"]["tokens"], row["labels"].get("srl") or ()
        for index, frame in enumerate(frames):
            labels = {"tokens": tokens, "roles": frame["tags"], "at": frame["predicate"]}
            yield {**row, "id": f"{row['id']}#{index}", "labels": labels}


def sentiment(path: Path) -> Iterator[Row]:
    """Yields sentences with human ratings, from the source archive of vaderSentiment 0.5 (PyPI).

    A mean rating over 0.5 is positive, one under -0.5 negative. A group is one review.
    """
    with zipfile.ZipFile(path) as archive:
        (name,) = (member for member in archive.namelist() if member.endswith(_ARCHIVE))
        content = archive.read(name)
    with tarfile.open(fileobj=io.BytesIO(content)) as files:
        for member in files:
            kind = Path(member.name).name.removesuffix("_GroundTruth.txt")
            if kind not in _SENTENCES or not member.name.endswith("_GroundTruth.txt"):
                continue
            file = files.extractfile(member)
            assert file is not None  # members with this suffix are files
            for line in file.read().decode("utf-8", "replace").splitlines():
                key, mean, text = line.split("\t", 2)
                rating = float(mean)
                label = "positive" if rating > 0.5 else "negative" if rating < -0.5 else "neutral"
                group = f"{kind}-{key.split('_')[0]}"
                yield {"id": f"{kind}/{key}", "text": text.strip(), "group": group} | {
                    "labels": {"sentiment": label}
                }


READERS: Mapping[str, Callable[[Path], Iterator[Row]]] = {
    "stamps": stamps,
    "snips": snips,
    "sentiment": sentiment,
    "roles": roles,
}


def write(dataset: str, rows: Iterable[Row], output: Path, limit: int) -> int:
    """Writes about `limit` records as JSON lines: whole groups, chosen by their digest.

    Returns:
        Number of records written.
    """
    groups: dict[str, list[Row]] = {}
    for row in rows:
        groups.setdefault(str(row.get("group") or row["id"]), []).append(row)
    count = 0
    with output.open("w", encoding="utf-8") as file:
        for group in sorted(groups, key=lambda name: hashlib.sha256(name.encode()).digest()):
            if count >= limit:
                break
            for row in groups[group]:
                file.write(json.dumps({**row, "dataset": dataset}) + "\n")
                count += 1
    return count


def _lines(path: Path) -> Iterator[Row]:
    opened = gzip.open if path.suffix == ".gz" else open
    with opened(path, "rt", encoding="utf-8") as file:
        for line in file:
            yield json.loads(line)
