"""Seeded builders of the same records in every format; their media are small opaque bytes."""

import base64
import csv
import dataclasses
import gzip
import json
import random
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, Literal

import pyarrow as pa
import pyarrow.parquet as pq

from triad_ml.pipelines.sources import read as sources_read
from triad_ml.pipelines.sources import units
from triad_ml.transforms.records.values import RawRecord, Rejected

Placed = Literal["inline", "uri"]

CATEGORIES = ("animals", "food", "tools")
TAGS = ("wild", "small", "loud")


@dataclasses.dataclass(frozen=True)
class Example:
    """Content of a record, independent of the file format; a missing medium is None."""

    id: str
    image: bytes | None
    audio: bytes | None
    text: str | None
    group: str | None
    split: str | None
    labels: Mapping[str, Any]
    extra: Mapping[str, Any]


def examples(count: int, *, seed: int = 0) -> list[Example]:
    """Returns examples with a text; some lack a medium, a group, a split or a label."""
    rng = random.Random(seed)
    return [_example(rng, index) for index in range(count)]


def write(
    path: Path,
    written: Sequence[Example],
    *,
    media: Placed = "inline",
    flat: bool = False,
    **options: Any,
) -> Path:
    """Writes examples in the format of the file's suffix; `flat` writes a column for each label.

    Images and audio that are not inline are written to the folder `media` beside the file. CSV and
    TFRecord are always flat.
    """
    suffix = sources_read.suffix(str(path)).removesuffix(".gz")
    path.parent.mkdir(parents=True, exist_ok=True)
    writer = {
        ".jsonl": _write_jsonl,
        ".csv": _write_csv,
        ".parquet": _write_parquet,
        ".tfrecord": _write_tfrecord,
    }[suffix]
    writer(path, written, media, flat, **options)
    return path


def write_lines(path: Path, lines: Sequence[bytes | Mapping[str, Any]]) -> Path:
    """Writes lines as they are, and mappings as JSON; each ends with a newline."""
    stored = b"".join(
        (line if isinstance(line, bytes) else json.dumps(line).encode()) + b"\n" for line in lines
    )
    return store(path, stored)


def write_table(path: Path, columns: Mapping[str, Any], **options: Any) -> Path:
    """Writes a Parquet file of one column for each name."""
    pq.write_table(pa.table(dict(columns)), path, **options)
    return path


def tf_example(**features: Any) -> bytes:
    """Returns a serialized tf.Example; a feature has the type of its first value."""
    from tensorflow.core.example import example_pb2

    message = example_pb2.Example()
    for name, value in features.items():
        values = value if isinstance(value, list) else [value]
        feature = message.features.feature[name]
        if isinstance(values[0], int):
            feature.int64_list.value.extend(values)
        elif isinstance(values[0], float):
            feature.float_list.value.extend(values)
        else:
            feature.bytes_list.value.extend(
                part.encode() if isinstance(part, str) else part for part in values
            )
    return message.SerializeToString()


def write_frames(path: Path, frames: Sequence[bytes]) -> Path:
    """Writes a TFRecord file with TensorFlow's writer."""
    import tensorflow as tf

    options = tf.io.TFRecordOptions(compression_type="GZIP" if path.suffix == ".gz" else "")
    with tf.io.TFRecordWriter(str(path), options) as writer:
        for frame in frames:
            writer.write(frame)
    return path


def store(path: Path, content: bytes) -> Path:
    """Writes a file, compressed if its name ends in `.gz`, and creates its folder."""
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(gzip.compress(content, mtime=0) if path.suffix == ".gz" else content)
    return path


def read(path: Path, *labels: str, **limits: int) -> list[RawRecord | Rejected]:
    """Reads a file with the sources, and returns the outcomes in the file's order."""
    planned = units.plan(units.list_inputs([str(path)]), **limits)
    return [outcome for unit in planned for outcome in sources_read.read(unit, labels)]


def _example(rng: random.Random, index: int) -> Example:
    return Example(
        id=f"r{index:04d}-é",
        image=_media(rng) if rng.random() < 0.8 else None,
        audio=_media(rng) if rng.random() < 0.7 else None,
        text=f"an example, number {index}: “{rng.choice(CATEGORIES)}”",
        group=f"g{index // 2}" if rng.random() < 0.8 else None,
        split=rng.choice((None, "train", "eval", "test")),
        labels={
            "category": rng.choice(CATEGORIES),
            **({"tags": sorted(rng.sample(TAGS, 2))} if rng.random() < 0.6 else {}),
        },
        extra={"source": f"shelf {rng.randrange(9)}"},
    )


def _media(rng: random.Random) -> bytes:
    return rng.randbytes(rng.randrange(1, 60))


def _place(path: Path, example: Example, name: str, media: Placed) -> bytes | str | None:
    """Returns the bytes of an image or audio; or writes them to a file and returns its URI."""
    content: bytes | None = getattr(example, name)
    if content is None or media == "inline":
        return content
    uri = f"media/{example.id}.{name}"
    store(path.parent / uri, content)
    return uri


def _write_jsonl(path: Path, written: Sequence[Example], media: Placed, flat: bool) -> None:
    rows = []
    for example in written:
        row: dict[str, Any] = {"id": example.id, "text": example.text}
        for name in ("image", "audio"):
            value = _place(path, example, name, media)
            encoded = base64.b64encode(value).decode() if isinstance(value, bytes) else None
            row[name] = value if encoded is None else {"base64": encoded}
        row |= {"group": example.group, "split": example.split}
        row |= example.labels if flat else {"labels": example.labels}
        rows.append(row | example.extra)
    write_lines(path, rows)


def _write_csv(path: Path, written: Sequence[Example], media: Placed, flat: bool) -> None:
    rows = []
    for example in written:
        row: dict[str, Any] = {"id": example.id, "text": example.text}
        for name in ("image", "audio"):
            value = _place(path, example, name, media)
            row[name] = (
                f"data:application/octet-stream;base64,{base64.b64encode(value).decode()}"
                if isinstance(value, bytes)
                else value
            )
        row |= {"group": example.group, "split": example.split}
        row |= {"category": example.labels["category"]}
        row |= {"labels.tags": json.dumps(tags) if (tags := example.labels.get("tags")) else None}
        rows.append(row | example.extra)
    opened = (
        gzip.open(path, "wt", newline="") if path.suffix == ".gz" else path.open("w", newline="")
    )
    with opened as file:
        writer = csv.DictWriter(file, rows[0])
        writer.writeheader()
        writer.writerows(rows)


def _write_parquet(
    path: Path, written: Sequence[Example], media: Placed, flat: bool, **options: Any
) -> None:
    columns: dict[str, Any] = {
        name: [getattr(example, name) for example in written]
        for name in ("id", "text", "group", "split")
    }
    medium = pa.binary() if media == "inline" else pa.string()
    for name in ("image", "audio"):
        values = [_place(path, example, name, media) for example in written]
        columns[name] = pa.array(values, medium)
    if flat:
        for name in ("category", "tags"):
            columns[f"labels.{name}"] = [example.labels.get(name) for example in written]
    else:
        columns["labels"] = [dict(example.labels) for example in written]
    columns["source"] = [example.extra["source"] for example in written]
    write_table(path, columns, **options)


def _write_tfrecord(path: Path, written: Sequence[Example], media: Placed, flat: bool) -> None:
    frames = []
    for example in written:
        features: dict[str, Any] = {"id": example.id, "text": example.text}
        for name in ("image", "audio"):
            value = _place(path, example, name, media)
            features[f"{name}_uri" if isinstance(value, str) else name] = value
        features |= {"group": example.group, "split": example.split}
        features |= {f"labels.{name}": value for name, value in example.labels.items()}
        features |= example.extra
        frames.append(tf_example(**{k: v for k, v in features.items() if v is not None}))
    write_frames(path, frames)
