"""Watched folder with everything that a disk can hold: good files are scored, others reported."""

import base64
import dataclasses
import gzip
import json
import os
import random
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests import capabilities, media
from triad_ml.pipelines.streaming.config import StreamConfig
from triad_ml.pipelines.streaming.jobs import local, stopping
from triad_ml.pipelines.tables import formats
from triad_ml.transforms.media import uris

FILES = 60
YEARS = (-(2**40), -5, 0, 10**9, 2**38, 2**62)
STEMS = (b"a", b"B", b"per%41cent", b"with space", b"caf\xe9", "ü✓".encode(), b"new\nline", b"+")
SECRET = "CANARY-SECRET"
PICTURE = base64.b64encode(media.png()).decode()


@dataclasses.dataclass
class Corpus:
    """What was put into a folder, and what is to become of it.

    Attributes:
        scored: Ids.
        rejected: How many rows.
        told: Names of what is not read.
        shut: What opens once it has its permissions back, and the ids in it.
    """

    scored: set[str] = dataclasses.field(default_factory=set)
    rejected: int = 0
    told: set[bytes] = dataclasses.field(default_factory=set)
    shut: dict[bytes, str] = dataclasses.field(default_factory=dict)


def put(path: bytes, content: bytes) -> None:
    with open(path, "wb") as file:
        file.write(content)


def line(name: str, **fields: object) -> bytes:
    return json.dumps({"id": name, "text": "a red bird", **fields}).encode() + b"\n"


def fill(folder: bytes, outside: bytes, dice: random.Random) -> Corpus:
    """Puts files of all kinds into a folder and below it."""
    corpus = Corpus()
    kinds = [
        *("good", "gzipped", "broken line", "no parquet", "empty", "zero jsonl", "other name"),
        *("passed over", "pipe", "link in", "link out", "folder out", "circle", "nowhere"),
        *("shut", "shut folder", "media"),
    ]
    put(outside + b"/x.jsonl", line(SECRET) + SECRET.encode())
    put(folder + b"/.medium.txt", b"a red bird")
    os.chmod(folder + b"/.medium.txt", 0)
    for number in range(FILES):
        kind = kinds[number] if number < len(kinds) else dice.choice(kinds)
        below = dice.choice((b"", b"sub/", b"sub/d\xffeep/"))
        os.makedirs(folder + b"/" + below, exist_ok=True)
        name = below + dice.choice(STEMS) + b"%d" % number
        add(corpus, kind, folder, outside, name, f"r{number}")
        for made in os.scandir(os.path.dirname(path := folder + b"/" + name)):
            if made.path.startswith(path + b".") and made.is_file(follow_symlinks=False):
                time = dice.choice(YEARS)
                os.utime(made.path, (time, time))
    return corpus


def add(corpus: Corpus, kind: str, folder: bytes, outside: bytes, name: bytes, record: str) -> None:
    """Puts one thing into a folder."""
    path = folder + b"/" + name
    if kind == "good":
        put(path + b".NDJSON", line(record))
        corpus.scored.add(record)
    elif kind == "gzipped":
        put(path + b".jsonl.gz", gzip.compress(line(record)))
        corpus.scored.add(record)
    elif kind == "broken line":
        put(path + b".jsonl", line(record) + b'{"id"\n')
        corpus.scored.add(record)
        corpus.rejected += 1
    elif kind == "no parquet":
        put(path + b".parquet", b"PAR1 no parquet PAR1")
        corpus.rejected += 1
    elif kind == "empty":
        put(path + b".csv", b"")
        corpus.rejected += 1
    elif kind == "zero jsonl":
        put(path + b".jsonl", b"")
    elif kind == "other name":
        put(path + b".md", SECRET.encode())
        corpus.told.add(name + b".md")
    elif kind == "passed over":
        put(path + b".jsonl.part", line(SECRET))
    elif kind == "pipe":
        os.mkfifo(path + b".csv")
        corpus.told.add(name + b".csv")
    elif kind == "link in":
        put(path + b".x.jsonl", line(record))
        os.symlink(os.path.basename(name) + b".x.jsonl", path + b".y.jsonl")
        corpus.scored.add(record)  # twice
    elif kind == "link out":
        os.symlink(outside + b"/x.jsonl", path + b".jsonl")
        corpus.told.add(name + b".jsonl")
    elif kind == "folder out":
        os.symlink(outside, path)
        corpus.told.add(name)
    elif kind == "circle":
        os.symlink(os.path.basename(name) + b".csv", path + b".csv")
        corpus.told.add(name + b".csv")
    elif kind == "nowhere":
        os.symlink(b"none", path + b".parquet")
        corpus.told.add(name + b".parquet")
    elif kind == "shut":
        put(path + b".jsonl", line(record))
        os.chmod(path + b".jsonl", 0)
        corpus.told.add(name + b".jsonl")
        corpus.shut[path + b".jsonl"] = record
    elif kind == "shut folder":
        os.mkdir(path)
        put(path + b"/x.jsonl", line(record))
        os.chmod(path, 0)
        corpus.told.add(name)
        corpus.shut[path] = record
    else:
        up = b"../" * name.count(b"/")
        shut = {"uri": (up + b".medium.txt").decode()}
        put(path + b".jsonl", line(record, text=shut, image={"base64": PICTURE}))
        put(path + b".jpg", b"a medium of nobody")
        corpus.scored.add(record)


@pytest.fixture
def disk() -> Iterator[Path]:
    """A folder of a file system that keeps the times of any year: ext4 ends in 2446."""
    with tempfile.TemporaryDirectory(dir="/dev/shm") as folder:
        yield Path(folder)


def rows(sink: Path, kind: str) -> list[dict[str, object]]:
    paths = sorted(path for path in (sink / kind).rglob("*") if path.is_file())
    return [row for path in paths for row in formats.read(str(path)).to_pylist()]


@pytest.mark.parametrize("seed", [1, 2, 3])
def test_a_folder_of_anything_is_read_as_far_as_it_can_be_and_the_rest_is_told(
    seed, trained, disk, caplog
):
    source, outside, sink = disk / "in", disk / "outside", disk / "sink"
    source.mkdir()
    outside.mkdir()
    corpus = fill(os.fsencode(source), os.fsencode(outside), random.Random(seed))
    settings = {"until_empty": True, "poll_seconds": 0, "format": "jsonl", "batch_records": 8}
    config = StreamConfig(str(trained), str(source), str(sink), **settings)
    places = {uris.spelled(os.path.join(source, os.fsdecode(name))) for name in corpus.told}

    def run() -> local.Counts:
        caplog.clear()
        with capabilities.permissions_hold():
            return local.run(config, stopping.Stop())

    first = run()
    told = [one.partition(": not read: ")[0] for one in caplog.messages if ": not read: " in one]
    assert sorted(told) == sorted(places)
    assert {row["id"] for row in rows(sink, "scores")} == corpus.scored
    assert first.rejected == len(rows(sink, "rejected")) == corpus.rejected
    issues = {str(row["issues"]) for row in rows(sink, "scores")}
    assert issues == {"[]", "['text: forbidden']"}
    everything = b"".join(path.read_bytes() for path in sink.rglob("*") if path.is_file())
    assert SECRET.encode() not in everything
    assert SECRET not in caplog.text

    assert run() == local.Counts()  # started anew
    for path in corpus.shut:
        os.chmod(path, 0o700)
    assert run() == local.Counts(len(corpus.shut), len(corpus.shut), 0)
    assert {row["id"] for row in rows(sink, "scores")} == corpus.scored | {*corpus.shut.values()}
