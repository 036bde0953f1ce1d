"""TFRecord reader: features of tf.Examples, and damaged or hostile framing."""

import io
import re
import struct
import tracemalloc
from pathlib import Path

import google_crc32c
import pytest

from tests import records
from triad_ml.pipelines.sources import fields, tfrecord
from triad_ml.transforms.errors import OptionsError
from triad_ml.transforms.files import tfrecord_reader
from triad_ml.transforms.records.values import BrokenMedium, RawRecord, Reason, Rejected, Uri


def one(tmp_path: Path, *labels: str, **features: object) -> RawRecord:
    path = records.write_frames(tmp_path / "a.tfrecord", [records.tf_example(**features)])
    (only,) = records.read(path, *labels)
    assert isinstance(only, RawRecord), only
    return only


def length_frame(length: int) -> bytes:
    """The head of a frame that claims `length` bytes, with a checksum that is right."""
    head = struct.pack("<Q", length)
    crc = google_crc32c.value(head)
    return head + struct.pack("<I", (((crc >> 15) | (crc << 17)) + 0xA282EAD8) & 0xFFFFFFFF)


def test_features_become_fields(tmp_path):
    found = one(
        tmp_path,
        "category",
        "tags",
        id=7,
        image=b"\xff",
        audio_uri="1.wav",
        text="é",
        group=3,
        split="eval",
        category="x",
        tags=["a", "b"],
        **{"labels.mood": 1.5},
        n=[1, 2],
        raw=b"\xff",
        name="é",
    )
    assert (found.id, found.group, found.split) == ("7", "3", "eval")
    assert (found.image, found.audio, found.text) == (b"\xff", Uri("1.wav"), "é".encode())
    assert found.labels == {"category": "x", "tags": ["a", "b"], "mood": 1.5}
    assert found.extra == {"n": [1, 2], "raw": b"\xff", "name": "é"}


def test_a_list_with_bytes_that_are_no_text_passes_through_as_bytes(tmp_path):
    assert one(tmp_path, id="a", raw=[b"x", b"\xff"]).extra == {"raw": [b"x", b"\xff"]}


def test_bytes_win_over_a_uri_and_an_empty_medium_is_none(tmp_path):
    found = one(tmp_path, id="a", image=b"x", image_uri="1.png", audio=b"", text_uri="1.txt")
    assert (found.image, found.audio, found.text) == (b"x", None, Uri("1.txt"))


def test_media_of_another_type_break_alone(tmp_path):
    found = one(tmp_path, id="a", image=[b"x", b"y"], audio=7, text=b"\xff")
    assert found.image == BrokenMedium("a list where a medium should be")
    assert found.audio == BrokenMedium("a number where a medium should be")
    assert found.text == b"\xff"


def test_a_uri_that_is_not_utf8_breaks_the_medium(tmp_path):
    assert one(tmp_path, id="a", image_uri=b"\xff").image == BrokenMedium("a URI that is not UTF-8")


@pytest.mark.parametrize(
    ("features", "reason"),
    [
        ({"text": "x"}, Reason.INVALID_ID),
        ({"id": ["a", "b"]}, Reason.INVALID_ID),
        ({"id": 1.5}, Reason.INVALID_ID),
        ({"id": b"\xff"}, Reason.INVALID_ID),
        ({"id": "a", "category": b"\xff"}, Reason.UNPARSABLE),
        ({"id": "a", "category": [b"x", b"\xff"]}, Reason.UNPARSABLE),
    ],
)
def test_examples_that_are_no_records_are_rejected(tmp_path, features, reason):
    frames = [records.tf_example(**features), records.tf_example(id="b")]
    found = records.read(records.write_frames(tmp_path / "a.tfrecord", frames), "category")
    assert isinstance(found[0], Rejected)
    assert (found[0].reason, found[1].id) == (reason, "b")


def test_a_frame_that_is_no_example_is_rejected(tmp_path):
    frames = [records.tf_example(id="a"), b"\xff\xff", records.tf_example(id="b")]
    found = records.read(records.write_frames(tmp_path / "a.tfrecord", frames))
    assert [one.id for one in found] == ["a", f"{tmp_path}/a.tfrecord#1", "b"]
    assert isinstance(found[1], Rejected)
    assert (found[1].reason, found[1].detail) == (Reason.UNPARSABLE, "not a tf.Example")


def test_each_flipped_byte_is_found_with_the_frame_it_is_in(tmp_path):
    frames = [b"one", b"two!", b"three"]
    path = records.write_frames(tmp_path / "a.tfrecord", frames)
    stored = path.read_bytes()
    begins = [0, 19, 39, 60]
    assert len(stored) == begins[-1]
    for place in range(len(stored)):
        flipped = bytearray(stored)
        flipped[place] ^= 0x10
        begin = max(one for one in begins if one <= place)
        read = []
        where = f"at byte {begin} (record {begins.index(begin)})"
        message = re.escape(f"a.tfrecord: the TFRecord frame {where} is broken")
        with pytest.raises(OptionsError, match=message):
            read.extend(tfrecord_reader.frames(io.BytesIO(flipped), "a.tfrecord", len(flipped)))
        assert read == frames[: begins.index(begin)]


@pytest.mark.parametrize("known_end", [True, False])
def test_each_cut_inside_a_frame_is_found(tmp_path, known_end):
    frames = [b"one", b"two!", b"three"]
    stored = records.write_frames(tmp_path / "a.tfrecord", frames).read_bytes()
    for size in range(1, len(stored)):
        cut = tfrecord_reader.frames(io.BytesIO(stored[:size]), "a", size if known_end else None)
        if size in (19, 39):
            assert len(list(cut)) == (19, 39).index(size) + 1
        else:
            with pytest.raises(OptionsError, match=r"^a: the .* at byte \d+ \(record \d\) is"):
                list(cut)


@pytest.mark.parametrize(
    ("name", "length", "why"),
    [
        ("a.tfrecord", 4, "claims more bytes than the file has"),
        ("a.tfrecord", 2**28, "claims more bytes than the file has"),
        ("a.tfrecord", 2**40, "claims 1099511627776 bytes, over 268435456"),
        ("a.tfrecord.gz", 2**28, "is cut off"),
        ("a.tfrecord.gz", 2**64 - 8, "claims 18446744073709551608 bytes, over 268435456"),
    ],
)
def test_a_hostile_length_fails_the_run_before_memory_is_reserved(tmp_path, name, length, why):
    path = records.store(tmp_path / name, length_frame(length) + b"abc")
    tracemalloc.start()
    with pytest.raises(OptionsError, match=rf"at byte 0 \(record 0\) is broken: it {why}"):
        records.read(path)
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert peak < 2**26


@pytest.mark.parametrize(
    "features",
    [
        {"v": [1] * 1_000_001},
        {"v": [0.5] * 1_000_001},
        {"v": [b""] * 1_000_001},
        {f"a feature of a long name, number {n}": [1] * 2 for n in range(40_000)},
    ],
    ids=["integers", "floats", "texts", "features"],
)
def test_an_example_that_holds_too_much_is_rejected_before_it_is_parsed(tmp_path, features):
    frames = [records.tf_example(id="a", **features), records.tf_example(id="b")]
    first, second = records.read(records.write_frames(tmp_path / "a.tfrecord", frames))
    assert isinstance(first, Rejected)
    assert first.reason == Reason.TOO_LARGE
    assert re.fullmatch("the record has over (1000 fields|1000000 values)", first.detail)
    assert second.id == "b"


def test_a_large_example_of_few_values_is_read(tmp_path):
    frame = records.tf_example(id="a", image=bytes(2_000_000), v=[1, 300, -1])
    (found,) = records.read(records.write_frames(tmp_path / "a.tfrecord", [frame]))
    assert isinstance(found, RawRecord)
    assert found.extra == {"v": [1, 300, -1]}


def test_fields_that_no_example_has_are_not_gone_through_without_end(monkeypatch):
    monkeypatch.setattr(tfrecord, "MOST_PARTS", 1000)
    unknown = b"\x10\0" * 600_000
    for content in (unknown, b"\x0a\x80\x9f\x49" + unknown):
        with pytest.raises(fields.RefusedRecordError, match="the record has over 1000 parts") as no:
            tfrecord.check_size(content)
        assert no.value.reason == Reason.TOO_LARGE
