"""Canonical audio."""

import json
import math
import struct
from pathlib import Path

import numpy as np
import pytest
import soxr
from hypothesis import given, settings
from hypothesis import strategies as st

from tests import media
from triad_ml.transforms.media import audio
from triad_ml.transforms.records.values import Flaw, MediumError
from triad_ml.transforms.spec.modalities import AudioSpec, Limits

LIMITS = Limits()
SPEC = AudioSpec(sample_rate=16_000, seconds=0.5)
ODD = Path(__file__).resolve().parents[3] / ".." / "shared" / "data" / "odd"


def _flaw(content: bytes, spec: AudioSpec = SPEC, limits: Limits = LIMITS) -> Flaw:
    with pytest.raises(MediumError) as caught:
        audio.canonical(content, spec, limits)
    assert "0x" not in str(caught.value)
    return caught.value.flaw


def _samples(content: bytes, spec: AudioSpec = SPEC, limits: Limits = LIMITS) -> np.ndarray:
    """The samples of what a sound becomes, checked to be canonical."""
    result = audio.canonical(content, spec, limits)
    samples = audio.samples(result)
    assert result == audio.header(spec.sample_rate, len(samples)) + samples.tobytes()
    assert 0 < len(samples) <= spec.samples
    return samples


def _int16(frames: np.ndarray) -> np.ndarray:
    return np.clip(np.rint(np.asarray(frames) * 32768), -32768, 32767).astype(np.int16)


def _chunk(name: bytes, body: bytes, order: str = "<") -> bytes:
    return struct.pack(f"{order}4sI", name, len(body)) + body + b"\0" * (len(body) % 2)


def _wav(
    body: bytes,
    tag: int = 1,
    channels: int = 1,
    rate: int = 16_000,
    bits: int = 16,
    declared: int | None = None,
    block: int | None = None,
    more: bytes = b"",
) -> bytes:
    block = channels * (bits // 8) if block is None else block
    form = struct.pack("<HHIIHH", tag, channels, rate, rate * block, block, bits)
    size = struct.pack("<I", len(body) if declared is None else declared)
    chunks = b"WAVE" + _chunk(b"fmt ", form) + more + b"data" + size + body
    return struct.pack("<4sI", b"RIFF", len(chunks)) + chunks


def test_the_header_is_the_one_that_libsndfile_writes() -> None:
    content = media.wav(rate=8_000, seconds=0.1)
    assert len(audio.header(8_000, 800)) == audio.HEADER_BYTES == 44
    assert content[:44] == audio.header(8_000, 800)


@pytest.mark.parametrize("num_samples", [1, 7999, 8000])
def test_a_canonical_sound_comes_back_byte_for_byte(num_samples: int) -> None:
    content = audio.header(16_000, num_samples) + b"\x01\x80" * num_samples
    assert audio.canonical(content, SPEC, LIMITS) == content
    assert (audio.samples(content) == -32767).all()


def test_a_longer_sound_is_cut_at_its_end() -> None:
    whole = np.arange(-5000, 5000, dtype="<i2")
    content = audio.header(16_000, 10_000) + whole.tobytes()
    np.testing.assert_array_equal(_samples(content), whole[:8000])


def test_a_canonical_sound_with_bytes_behind_loses_them_alone() -> None:
    content = media.wav()
    assert audio.canonical(content + b"behind", SPEC, LIMITS) == content


def test_another_header_around_the_same_samples_makes_no_difference() -> None:
    extremes = np.array([-32768, -32767, -1, 0, 1, 32766, 32767], "<i2")
    content = _wav(extremes.tobytes(), more=_chunk(b"LIST", b"INFOxyz"))
    np.testing.assert_array_equal(_samples(content), extremes)


@pytest.mark.parametrize("endian", ["LITTLE", "BIG"])
@pytest.mark.parametrize("kind", ["WAV", "WAVEX", "RF64"])
@pytest.mark.parametrize(
    ("subtype", "tolerance"),
    [("PCM_U8", 256), ("PCM_16", 1), ("PCM_24", 1), ("PCM_32", 1), ("FLOAT", 1), ("DOUBLE", 1)]
    + [("ULAW", 700), ("ALAW", 700)],
)
def test_wav_of_each_kind_is_read_as_libsndfile_reads_it(
    kind: str, subtype: str, tolerance: int, endian: str
) -> None:
    if endian == "BIG" and kind != "WAV":
        endian = "LITTLE"  # RIFX is the one big-endian kind
    frames = media.wave(seconds=0.1, channels=2)
    content = media.sound(frames, 16_000, kind, subtype=subtype, endian=endian)
    expected, _ = media.soundfile.read(media.io.BytesIO(content), dtype="float32")
    result = _samples(content)
    np.testing.assert_allclose(result, _int16(expected.mean(axis=1)), atol=1)
    np.testing.assert_allclose(result, _int16(frames.mean(axis=1)), atol=tolerance)


def test_every_code_of_the_telephone_formats_is_read_as_libsndfile_reads_it() -> None:
    for tag in (6, 7):
        content = _wav(bytes(range(256)), tag=tag, bits=8)
        expected, _ = media.soundfile.read(media.io.BytesIO(content), dtype="int16")
        np.testing.assert_array_equal(_samples(content), expected)


@pytest.mark.parametrize("kind", ["FLAC", "AIFF", "AU", "OGG", "MP3"])
def test_other_formats_become_wav(kind: str) -> None:
    frames = media.wave(seconds=0.4, channels=2)
    result = _samples(media.sound(frames, 16_000, kind))
    expected = _int16(frames.mean(axis=1))
    if kind in ("FLAC", "AIFF", "AU"):
        np.testing.assert_allclose(result, expected, atol=1)
    else:
        # MP3 adds silence in front: compare how the energy lies, not sample by sample.
        spread = result.astype(float).std() / expected.astype(float).std()
        assert 0.8 < spread < 1.1
        assert len(result) >= len(expected)


@pytest.mark.parametrize("subtype", ["IMA_ADPCM", "MS_ADPCM", "GSM610", "G721_32"])
def test_wav_of_rarer_codecs_is_left_to_libsndfile(subtype: str) -> None:
    frames = media.wave(seconds=0.2)
    content = media.sound(frames, 16_000, "WAV", subtype=subtype)
    expected = _int16(frames[:, 0]).astype(float)
    result = _samples(content)[: len(expected)].astype(float)
    assert np.corrcoef(result, expected[: len(result)])[0, 1] > 0.8


def test_channels_are_mixed_to_their_mean() -> None:
    body = np.array([[100, 300, -100], [-30, 0, 0]], "<i2").tobytes()
    assert _samples(_wav(body, channels=3)).tolist() == [100, -10]


@pytest.mark.parametrize("rate", [8_000, 11_025, 44_100, 48_000, 192_000])
def test_other_rates_are_resampled_by_soxr_to_the_exact_duration(rate: int) -> None:
    content = media.wav(rate=rate, seconds=0.3, subtype="FLOAT")
    frames, _ = media.soundfile.read(media.io.BytesIO(content), dtype="float32")
    expected = _int16(soxr.resample(frames, rate, 16_000, quality="HQ"))
    result = _samples(content)
    assert len(result) == math.ceil(len(frames) * 16_000 / rate)
    both = min(len(result), len(expected))
    np.testing.assert_array_equal(result[:both], expected[:both])
    assert not result[both:].any()


@pytest.mark.parametrize("spec", [SPEC, AudioSpec(sample_rate=4_000, seconds=0.2)])
@pytest.mark.parametrize("rate", [8_000, 44_100, 192_000])
def test_what_lies_behind_the_cut_changes_nothing(rate: int, spec: AudioSpec) -> None:
    frames = media.wave(rate=rate, seconds=2)[:, 0].astype(np.float32)
    resampled = soxr.resample(frames, rate, spec.sample_rate, quality="HQ")
    content = media.sound(frames, rate, subtype="FLOAT")
    result = _samples(content, spec)
    assert len(result) == spec.samples
    np.testing.assert_allclose(result, _int16(resampled[: spec.samples]), atol=1)


def test_what_is_over_full_scale_is_clipped() -> None:
    body = np.array([1.5, -1.5, 1.0, -1.0, 0.5], "<f4").tobytes()
    assert _samples(_wav(body, tag=3, bits=32)).tolist() == [32767, -32768, 32767, -32768, 16384]


@pytest.mark.parametrize("rate", [16_000, 44_100])
@pytest.mark.parametrize("value", [np.nan, np.inf, -np.inf])
def test_a_sample_that_is_no_number_is_refused(value: float, rate: int) -> None:
    frames = media.wave(rate)
    frames[100] = value
    assert _flaw(media.sound(frames, rate, subtype="FLOAT")) is Flaw.NOT_FINITE
    assert _flaw(media.sound(frames, rate, "AU", subtype="DOUBLE")) is Flaw.NOT_FINITE


def test_a_sample_too_large_for_single_precision_is_refused() -> None:
    body = np.array([0.0, 1e300], "<f8").tobytes()
    assert _flaw(_wav(body, tag=3, bits=64)) is Flaw.NOT_FINITE


def test_a_wav_that_declares_more_than_is_there_is_truncated() -> None:
    body = b"\1\0" * 100
    assert _flaw(_wav(body, declared=201)) is Flaw.TRUNCATED
    assert _flaw(_wav(body, declared=4_000_000_000)) is Flaw.TRUNCATED
    content = media.wav()
    for size in range(12, len(content), 97):
        assert _flaw(content[:size]) is Flaw.TRUNCATED


@pytest.mark.parametrize("kind", ["RF64", "OGG", "FLAC", "AIFF", "AU"])
def test_other_files_cut_off_are_refused_also_behind_what_is_kept(kind: str) -> None:
    content = media.sound(media.wave(seconds=2.0), 16_000, kind)
    for share in (0.1, 0.5, 0.95):
        assert _flaw(content[: int(len(content) * share)]) in (Flaw.TRUNCATED, Flaw.CORRUPT)


def test_an_mp3_without_its_end_is_read_as_far_as_it_goes() -> None:
    content = media.sound(media.wave(seconds=0.4), 16_000, "MP3")
    assert len(_samples(content[: len(content) // 2])) > 1000


def test_a_tag_in_front_is_skipped() -> None:
    tag = b"ID3\4\0\0" + bytes((0, 0, 1, 0)) + b"x" * 128
    for kind in ("MP3", "FLAC"):
        content = media.sound(media.wave(), 16_000, kind)
        expected = audio.canonical(content, SPEC, LIMITS)
        assert audio.canonical(tag + content, SPEC, LIMITS) == expected
        assert audio.canonical(tag + b"\0" * 50 + content, SPEC, LIMITS) == expected
    assert _flaw(tag + b"RIFFxxxxAVI ") is Flaw.UNSUPPORTED


@pytest.mark.parametrize(
    "content",
    [b"x", b"RIFF\0\0\0\0AVI ", b"\xff\xf1\x50\x80", b"caff\0\1\0\0", b"NIST_1A", media.png()],
    ids=["letter", "avi", "aac", "caf", "nist", "picture"],
)
def test_what_is_on_no_list_is_unsupported(content: bytes) -> None:
    assert _flaw(content) is Flaw.UNSUPPORTED


def test_no_bytes_and_no_samples_are_empty() -> None:
    assert _flaw(b"") is Flaw.EMPTY
    assert _flaw(audio.header(16_000, 0)) is Flaw.EMPTY
    assert _flaw(media.sound(np.zeros((0, 1)), 16_000, "AIFF")) is Flaw.EMPTY


@pytest.mark.parametrize(
    ("content", "flaw"),
    [
        (_wav(b"\0" * 36, channels=9), Flaw.UNSUPPORTED),
        (_wav(b"\0" * 36, channels=0, block=2), Flaw.CORRUPT),
        (_wav(b"\0" * 36, block=0), Flaw.CORRUPT),
        (_wav(b"\0" * 36, bits=24, block=2), Flaw.CORRUPT),
        (_wav(b"\0" * 36, rate=0), Flaw.UNSUPPORTED),
        (_wav(b"\0" * 36, rate=7_999), Flaw.UNSUPPORTED),
        (_wav(b"\0" * 36, rate=192_001), Flaw.UNSUPPORTED),
        (_wav(b"\0" * 40, bits=64), Flaw.UNSUPPORTED),
        (_wav(b"\0" * 40, tag=0xFFFE), Flaw.CORRUPT),
        (_wav(b"\0" * 40, tag=0x55), Flaw.CORRUPT),
        (b"RIFF\0\0\0\0WAVE" + _chunk(b"data", b"\0\0"), Flaw.CORRUPT),
        (b"RIFF\0\0\0\0WAVE" + _chunk(b"fmt ", b"\1\0") + _chunk(b"data", b"\0\0"), Flaw.CORRUPT),
        (b"RIFF\0\0\0\0WAVE" + _chunk(b"junk", b"") * 5000, Flaw.CORRUPT),
        (b"fLaC" + b"\0" * 60, Flaw.CORRUPT),
    ],
)
def test_headers_that_cannot_be_are_refused(content: bytes, flaw: Flaw) -> None:
    assert _flaw(content) is flaw


def test_a_spec_of_a_lower_rate_lowers_what_can_be_read() -> None:
    content = _wav(b"\1\0" * 1000, rate=4_000)
    assert _flaw(content) is Flaw.UNSUPPORTED
    spec = AudioSpec(sample_rate=4_000)
    assert audio.canonical(content, spec, LIMITS) == content


def test_the_cap_on_bytes_includes_itself() -> None:
    content = media.wav()
    limits = Limits(media_bytes=len(content))
    assert audio.canonical(content, SPEC, limits) == content
    assert _flaw(content, limits=Limits(media_bytes=len(content) - 1)) is Flaw.TOO_LARGE


@pytest.mark.parametrize("kind", ["WAV", "OGG", "FLAC"])
def test_the_cap_on_the_declared_duration_includes_itself(kind: str) -> None:
    content = media.sound(media.wave(seconds=1.0), 16_000, kind)
    assert _samples(content, limits=Limits(audio_seconds=1.0)).size == 8000
    assert _flaw(content, limits=Limits(audio_seconds=0.99)) is Flaw.TOO_LARGE


@settings(deadline=None, max_examples=60)
@given(
    kind=st.sampled_from(media.SOUND_KINDS),
    rate=st.sampled_from([8_000, 16_000, 44_100, 48_000]),
    frames=st.integers(1, 40_000),
    channels=st.integers(1, 2),
    seed=st.integers(0, 99),
)
def test_canonical_of_canonical_is_the_same(
    kind: str, rate: int, frames: int, channels: int, seed: int
) -> None:
    wave = media.wave(rate, frames / rate, channels, seed)
    content = media.sound(wave, rate, kind)
    once = audio.canonical(content, SPEC, LIMITS)
    assert audio.canonical(content, SPEC, LIMITS) == once
    assert audio.canonical(once, SPEC, LIMITS) == once


@pytest.mark.timeout(120)
@pytest.mark.parametrize("kind", media.SOUND_KINDS)
def test_damaged_sounds_raise_nothing_but_medium_errors(kind: str) -> None:
    source = media.sound(media.wave(seconds=0.1), 16_000, kind)
    for content in media.mutations(source, 300):
        try:
            once = audio.canonical(content, SPEC, LIMITS)
        except MediumError:
            continue
        assert audio.canonical(once, SPEC, LIMITS) == once


def _odd() -> list[dict[str, str]]:
    index = ODD / "index.jsonl"
    lines = index.read_text().splitlines() if index.exists() else []
    return [row for row in map(json.loads, lines) if row["kind"] == "audio"]


@pytest.mark.skipif(not ODD.exists(), reason="the odd sounds are not here")
@pytest.mark.parametrize("row", _odd(), ids=lambda row: row["file"])
def test_odd_sounds_do_what_is_expected_of_them(row: dict[str, str]) -> None:
    content = (ODD / row["file"]).read_bytes()
    try:
        samples = _samples(content)
    except MediumError:
        assert row["expect"] != "accept"
    else:
        assert row["expect"] != "reject"
        assert samples.size
