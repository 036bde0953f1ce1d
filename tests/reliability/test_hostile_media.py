"""Hostile media: bombs stay within documented memory; media that hang a decoder are refused."""

import subprocess
import sys
from collections.abc import Callable, Iterable
from pathlib import Path

import pytest

from tests import media
from tests.reliability import bombs, odd_media
from triad_ml.transforms.media import image as media_image
from triad_ml.transforms.records.values import Flaw, MediumError

ROOT = Path(__file__).resolve().parents[2]
REFUSED_CEILING = 30 * 2**20
"""Bytes that a process and its children may take for a bomb that no child needs to open."""
CHILD_CEILING = 300 * 2**20
"""Bytes that they may take for one that does: address space is limited, not memory in use."""
ALLOWED_CEILING = 1000 * 2**20
"""Bytes that they may take for the largest pictures allowed, on however many threads."""


def measured(media_files: Iterable[tuple[str, bytes]], folder: Path) -> tuple[int, list[str]]:
    """By how much media raise the peaks of a process that reads them, and of its children."""
    for index, (modality, content) in enumerate(media_files):
        (folder / f"{index:03d}.{modality}").write_bytes(content)
    finished = subprocess.run(
        [sys.executable, "-m", "tests.reliability.bombs", str(folder)],
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=True,
        timeout=300,
    )
    added, *verdicts = finished.stdout.split()
    return int(added), verdicts


@pytest.mark.parametrize(
    ("files", "ceiling"),
    [(bombs.small, REFUSED_CEILING), (bombs.opened, CHILD_CEILING)],
    ids=["told by their headers", "opened"],
)
def test_bombs_take_little_memory(
    files: Callable[[], dict[str, tuple[str, bytes, str]]], ceiling: int, tmp_path: Path
) -> None:
    found = files()
    added, verdicts = measured([(kind, one) for kind, one, _ in found.values()], tmp_path)
    expected = {name: verdict for name, (_, _, verdict) in found.items()}
    assert dict(zip(expected, verdicts, strict=True)) == expected
    assert added < ceiling


def test_the_largest_pictures_allowed_take_one_gigabyte_on_two_threads(tmp_path: Path) -> None:
    added, verdicts = measured(bombs.allowed(), tmp_path)
    assert verdicts == ["accept"] * 2
    assert 0 < added < ALLOWED_CEILING


@pytest.mark.skipif(not odd_media.shared(), reason="the odd media are not here")
def test_bombs_among_the_odd_media_take_little_memory(tmp_path: Path) -> None:
    found = [one for one in odd_media.shared().values() if one.bomb]
    assert len(found) == 3
    added, _ = measured([(one.modality, one.content) for one in found], tmp_path)
    assert added < REFUSED_CEILING


@pytest.mark.parametrize(
    "content",
    [
        bombs.bmp_of_runs(2, 1, b"\2\7\0\1"),
        b"P2 2 1 255 0 255",
        b"P1 2 1 0 1",
        b"P5 2 1 254\n\0\xfe",
        b"P6 1 1 65535\n" + bytes(6),
    ],
    ids=["bmp runs", "text gray", "text bits", "odd depth", "deep colour"],
)
def test_what_pillow_decodes_in_python_is_unsupported(content: bytes) -> None:
    with pytest.raises(MediumError) as caught:
        media_image.canonical(content, bombs.LIMITS)
    assert caught.value.flaw is Flaw.UNSUPPORTED


@pytest.mark.parametrize("kind", media.PICTURE_KINDS)
def test_a_picture_of_the_list_is_decoded_in_c(kind: str) -> None:
    from PIL import Image

    content = media.encoded(media.picture(), kind)
    with Image.open(media.io.BytesIO(content)) as image:
        assert not {tile.codec_name for tile in image.tile} & Image.DECODERS.keys()
    assert bombs.verdict("image", content) == "accept"


def test_a_lock_is_free_again_after_a_broken_large_picture() -> None:
    content = media.encoded(media.picture("L", 4000, 2600), "TIFF", compression="tiff_lzw")
    broken = odd_media.patched(content, 200, bytes(100_000))
    assert bombs.verdict("image", broken) == "corrupt"
    assert bombs.verdict("image", content) == "accept"
