"""Small compressed records files with huge content: memory does not grow with the content."""

import gzip
import random
import struct
import tracemalloc
from collections.abc import Iterator
from pathlib import Path

import pytest

from triad_ml.pipelines.sources import read as sources_read
from triad_ml.pipelines.sources import units
from triad_ml.transforms.errors import OptionsError
from triad_ml.transforms.files import tfrecord_reader
from triad_ml.transforms.records.values import Reason, Rejected

MIB = 2**20
CONTENT_MIB = 300
CEILING = 280 * MIB
"""Two of the longest lines, and what reading ahead takes."""

HEADS = {".jsonl.gz": b'{"id": "', ".csv.gz": b"id,text\n", ".tfrecord.gz": b""}


def frame_head(length: int) -> bytes:
    """The first twelve bytes of a TFRecord frame."""
    head = struct.pack("<Q", length)
    return head + struct.pack("<I", tfrecord_reader._masked_crc(head))


def blocks(suffix: str, dense: bool) -> Iterator[bytes]:
    """One endless line, or a frame of the greatest length; `dense` ones have some noise in them."""
    rng = random.Random(0)
    yield HEADS[suffix] or frame_head(tfrecord_reader.LONGEST)
    noise = b"".join(b"%x" % rng.getrandbits(64) for _ in range(128)) if dense else b""
    for _ in range(CONTENT_MIB):
        yield noise + b"x" * (MIB - len(noise))


def bomb(path: Path, dense: bool) -> Path:
    with gzip.open(path, "wb", 6) as file:
        for block in blocks("".join(path.suffixes), dense):
            file.write(block)
    ratio = CONTENT_MIB * MIB / path.stat().st_size
    assert (ratio < 1000) == dense
    assert path.stat().st_size < 2 * MIB
    return path


def read(path: Path) -> tuple[list[Rejected], str, int]:
    """The records that came out, the error that ended them, and the most memory held."""
    found, error = [], ""
    tracemalloc.start()
    try:
        for unit in units.plan(units.list_inputs([str(path)])):
            for one in sources_read.read(unit, []):
                assert isinstance(one, Rejected)
                found.append(one)
    except OptionsError as caught:
        error = str(caught)
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    return found, error, peak


@pytest.mark.parametrize("suffix", [".jsonl.gz", ".csv.gz"])
def test_what_inflates_a_thousandfold_fails_the_run_in_little_memory(
    suffix: str, tmp_path: Path
) -> None:
    found, error, peak = read(bomb(tmp_path / f"a{suffix}", dense=False))
    assert found == []
    assert "inflates to more than 1000 times its size" in error
    assert peak < CEILING


@pytest.mark.parametrize("suffix", [".jsonl.gz", ".csv.gz"])
def test_a_line_that_is_too_long_is_never_held_whole(suffix: str, tmp_path: Path) -> None:
    found, error, peak = read(bomb(tmp_path / f"a{suffix}", dense=True))
    assert ([one.reason for one in found], error) == ([Reason.TOO_LARGE], "")
    assert peak < CEILING


def test_a_frame_that_is_too_long_is_refused_before_it_is_read(tmp_path: Path) -> None:
    path = tmp_path / "a.tfrecord.gz"
    path.write_bytes(gzip.compress(frame_head(tfrecord_reader.LONGEST + 1) + bytes(MIB)))
    found, error, peak = read(path)
    assert found == []
    assert "it claims 268435457 bytes, over 268435456" in error
    assert peak < 8 * MIB


def test_the_longest_frame_is_held_twice_at_most(tmp_path: Path) -> None:
    found, error, peak = read(bomb(tmp_path / "a.tfrecord.gz", dense=True))
    assert found == []
    assert "its content does not match its checksum" in error
    assert peak < 2 * tfrecord_reader.LONGEST + 32 * MIB
