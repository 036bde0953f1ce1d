"""Planted near-duplicates are found, and others are not; the search is held to all pairs."""

import io
import struct
import zlib
from collections.abc import Iterator, Sequence

import numpy as np
import pytest

from tests import planted
from tests.canonical import SPEC, plain_picture, sound
from triad_ml.transforms.duplicates import search
from triad_ml.transforms.duplicates.base import Bytes, Keys, Vectors
from triad_ml.transforms.duplicates.registry import FINGERPRINTS
from triad_ml.transforms.duplicates.texts import TextFingerprint
from triad_ml.transforms.media.registry import MEDIA
from triad_ml.transforms.records.values import MODALITIES
from triad_ml.transforms.spec import loading

COPIES = 100
SHORT = loading.parse(
    "modalities: {image: , audio: {seconds: 2}, text: }\n"
    "tasks: {kind: {kind: classification, label: what}}"
)


def images(random: np.random.Generator) -> tuple[list[bytes], list[bytes]]:
    originals = [planted.photograph(random) for _ in range(250)]
    copies = [planted.changed_image(one, random, k) for k, one in enumerate(originals[:COPIES])]
    return [planted.jpeg(one, 90) for one in originals], [planted.jpeg(one, 45) for one in copies]


def sounds(random: np.random.Generator) -> tuple[list[bytes], list[bytes]]:
    originals = [planted.melody(random) for _ in range(200)]
    copies = [planted.changed_sound(one, random, k) for k, one in enumerate(originals[:COPIES])]
    return [planted.recording(one, planted.RATE, "WAV", "PCM_16") for one in originals], copies


def texts(random: np.random.Generator) -> tuple[list[bytes], list[bytes]]:
    originals = [planted.passage(random) for _ in range(300)]
    copies = [planted.changed_text(one, k) for k, one in enumerate(originals[:COPIES])]
    return [one.encode() for one in originals], [one.encode() for one in copies]


def fingerprints(modality: str, media: Sequence[bytes]) -> Bytes:
    fingerprint = FINGERPRINTS[modality]
    canonical = (MEDIA[modality].canonical(one, SHORT) for one in media)
    made = [fingerprint.of(one, SHORT.modalities) for one in canonical]
    assert {len(one or b"") for one in made} == {fingerprint.size}
    return np.frombuffer(b"".join(filter(None, made)), np.uint8).reshape(len(media), -1)


@pytest.mark.parametrize(
    ("modality", "media"), [("image", images), ("audio", sounds), ("text", texts)]
)
def test_planted_near_duplicates_are_found_and_named(modality, media):
    originals, copies = media(np.random.default_rng(7))
    alike = search.find(fingerprints(modality, originals + copies), FINGERPRINTS[modality])
    found = set(zip(alike.first.tolist(), alike.second.tolist(), strict=True))
    wanted = {(index, len(originals) + index) for index in range(COPIES)}
    assert len(found & wanted) >= 0.95 * COPIES  # recall
    assert len(found & wanted) >= 0.95 * len(found)  # precision
    assert alike.crowded == 0


@pytest.mark.parametrize("modality", MODALITIES)
def test_a_medium_with_too_little_content_has_no_fingerprint(modality):
    flat = {
        "image": plain_picture((10, 200, 90)),
        "audio": sound(np.zeros(8_000)),
        "text": b"Thank you!  :-) ...........",
    }
    assert FINGERPRINTS[modality].of(flat[modality], SPEC.modalities) is None


def test_a_broken_image_has_no_fingerprint():
    content = planted.jpeg(planted.photograph(np.random.default_rng(0)), 90)
    assert FINGERPRINTS["image"].of(content[:30], SPEC.modalities) is None


@pytest.mark.parametrize(
    ("kind", "content"), [(b"gAMA", b"\0\0"), (b"cHRM", b"\0" * 5), (b"iCCP", b"a\0")]
)
def test_an_image_with_a_damaged_chunk_behind_its_pixels_has_no_fingerprint(kind, content):
    file, chunk = io.BytesIO(), kind + content
    planted.photograph(np.random.default_rng(0)).save(file, "PNG")
    whole = file.getvalue()
    ending = whole.index(b"IEND") - 4
    packed = struct.pack(">I", len(content)) + chunk + struct.pack(">I", zlib.crc32(chunk))
    damaged = whole[:ending] + packed + whole[ending:]
    assert FINGERPRINTS["image"].of(whole, SPEC.modalities) is not None
    assert FINGERPRINTS["image"].of(damaged, SPEC.modalities) is None


def test_the_beginning_of_a_sound_is_no_near_duplicate_of_it():
    steps = np.repeat(np.arange(8), 2_000)
    samples = np.round(8_000 * np.sin(0.3 * np.arange(16_000) * (1 + steps % 2)))
    whole, half = (
        FINGERPRINTS["audio"].of(sound(part), SPEC.modalities)
        for part in (samples, samples[:8_000])
    )
    assert whole is not None
    assert half is not None
    rows = np.frombuffer(whole + half, np.uint8).reshape(2, -1)
    assert len(search.find(rows, FINGERPRINTS["audio"])) == 0


def rows_of_hashes(random: np.random.Generator, number: int) -> np.ndarray:
    return random.integers(0, 2**16, (number, 128), np.uint16)


def as_fingerprints(hashes: np.ndarray) -> Bytes:
    return np.ascontiguousarray(hashes.astype("<u2")).view(np.uint8)


def test_groups_are_those_of_all_pairs():
    random = np.random.default_rng(3)
    hashes = rows_of_hashes(random, 40)[random.integers(0, 40, 200)]
    change = random.random(hashes.shape) < 0.04
    hashes = np.where(change, rows_of_hashes(random, 200), hashes)
    alike = search.find(as_fingerprints(hashes), FINGERPRINTS["text"])
    near = (hashes[:, None] != hashes).mean(axis=2) <= FINGERPRINTS["text"].limit
    reached = np.linalg.matrix_power(near.astype(float), 8) > 0
    np.testing.assert_array_equal(alike.groups, reached.argmax(axis=1))
    different = (hashes[alike.first] != hashes[alike.second]).mean(axis=1)
    np.testing.assert_allclose(alike.distance, different)
    assert (alike.first < alike.second).all()


def test_equal_media_are_all_pairs_with_the_first_one():
    hashes = np.repeat(rows_of_hashes(np.random.default_rng(0), 2), [1, 5_000], axis=0)
    alike = search.find(as_fingerprints(hashes), FINGERPRINTS["text"])
    assert alike.first.tolist() == [1] * 4_999
    assert alike.second.tolist() == list(range(2, 5_001))
    assert not alike.distance.any()
    assert alike.groups.tolist() == [0] + [1] * 5_000
    assert alike.crowded == 0


def test_neighbours_are_joined_in_a_bucket_that_is_cut():
    random = np.random.default_rng(0)
    hashes = np.repeat(rows_of_hashes(random, 1), 300, axis=0)
    hashes[:, 125:] = rows_of_hashes(random, 300)[:, 125:]  # in no band
    alike = search.find(as_fingerprints(hashes), FINGERPRINTS["text"])
    assert not alike.groups.any()
    assert len(alike) == 299
    assert alike.crowded == 0


class SameBucket(TextFingerprint):
    """Texts whose keys are all the same, but for the last bits, which order them."""

    def bands(self, vectors: Vectors) -> Iterator[Keys]:
        yield vectors[:, 0].astype(np.uint64)


def test_media_of_a_cut_bucket_with_several_groups_are_counted():
    random = np.random.default_rng(0)
    hashes = rows_of_hashes(random, 100)
    hashes[:, 0] = np.arange(100)
    hashes[[40, 99], 1:] = hashes[[0, 0], 1:]  # too far from their near-duplicate in the order
    alike = search.find(as_fingerprints(hashes), SameBucket())
    assert len(alike) == 0
    assert alike.crowded == 100
    few = search.find(as_fingerprints(hashes[:41][::4]), SameBucket())
    assert few.first.tolist() == [0]
    assert few.second.tolist() == [10]
    assert few.crowded == 0


@pytest.mark.parametrize("number", [0, 1])
def test_one_medium_has_no_near_duplicate(number):
    alike = search.find(as_fingerprints(np.zeros((number, 128))), FINGERPRINTS["text"])
    assert alike.groups.tolist() == [0] * number
    assert len(alike) == 0
