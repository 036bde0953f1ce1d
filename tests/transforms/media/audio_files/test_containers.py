"""Audio files without a declared length, or with a wrong one: they are read to their end."""

import struct

import numpy as np
import pytest

from tests import media
from tests.reliability.odd_media import patched
from tests.reliability.seed_media import without_length
from triad_ml.transforms.media import audio
from triad_ml.transforms.media.audio_files import containers
from triad_ml.transforms.records.values import Flaw, MediumError
from triad_ml.transforms.spec.modalities import AudioSpec, Limits

SPEC = AudioSpec(sample_rate=16_000, seconds=20.0)
LIMITS = Limits()
WAV = media.wav(seconds=1.0)
FLAC = media.flac(seconds=5.0)
AIFF = media.sound(media.wave(seconds=1.0), 16_000, "AIFF")
LIST = b"LIST\x0d\0\0\0INFOISFT\1\0\0\0a"


def samples(content: bytes, spec: AudioSpec = SPEC, limits: Limits = LIMITS) -> np.ndarray:
    return audio.samples(audio.canonical(content, spec, limits))


def flaw(content: bytes) -> Flaw:
    with pytest.raises(MediumError) as caught:
        samples(content)
    return caught.value.flaw


def streamed_wav(riff: int, data: int, between: bytes = b"") -> bytes:
    head = b"RIFF" + struct.pack("<I", riff) + WAV[8:36] + between
    return head + b"data" + struct.pack("<I", data) + WAV[44:]


def test_a_flac_of_unknown_length_is_decoded_to_its_end() -> None:
    content = without_length(FLAC)
    assert content != FLAC
    np.testing.assert_array_equal(samples(content), samples(FLAC))


def test_a_flac_of_unknown_length_is_decoded_to_the_cap() -> None:
    spec = AudioSpec(sample_rate=16_000, seconds=0.5)
    content = without_length(FLAC)
    found = samples(content, spec, Limits(audio_seconds=1.0))
    np.testing.assert_array_equal(found, samples(FLAC)[:8000])


def test_a_flac_of_unknown_length_may_hold_nothing() -> None:
    assert flaw(without_length(FLAC)[: FLAC.index(b"\xff\xf8")]) is Flaw.EMPTY


@pytest.mark.parametrize(
    "size",
    [0, 0x7FFFF000, 0x7FFFFFFF, 0x7FFFFFDB, 0x80000000, 0xFFFFFFFF, 0xFFFFFFF0, 0xFFFFFFFF - 36],
    ids=hex,
)
def test_a_wav_from_a_pipe_is_read_to_its_end(size: int) -> None:
    for riff in (0, size, len(WAV) - 8):
        assert audio.canonical(streamed_wav(riff, size), SPEC, LIMITS) == WAV
    assert audio.canonical(streamed_wav(size, len(WAV) - 44), SPEC, LIMITS) == WAV


@pytest.mark.parametrize("size", [len(WAV) - 42, 1_000_000, 2_000_000_000, 4_000_000_000])
def test_a_wav_that_is_cut_off_is_truncated(size: int) -> None:
    assert flaw(streamed_wav(36 + size, size)) is Flaw.TRUNCATED


def test_a_wav_of_no_samples_is_empty_whatever_chunks_follow() -> None:
    assert flaw(WAV[:40] + bytes(4) + LIST + b"\0") is Flaw.EMPTY


@pytest.mark.parametrize("long_size", [0, 2**63 - 1, 2**64 - 1])
def test_an_rf64_from_a_pipe_is_read_to_its_end(long_size: int) -> None:
    sizes = b"ds64" + struct.pack("<IQQQI", 28, 0, long_size, 0, 0)
    head = b"RF64" + b"\xff" * 4 + b"WAVE" + sizes + WAV[12:36] + b"data" + b"\xff" * 4
    assert audio.canonical(head + WAV[44:], SPEC, LIMITS) == WAV


@pytest.mark.parametrize("pad", [b"", b"\0", b"x"], ids=["none", "zero", "letter"])
def test_an_odd_chunk_may_lack_the_byte_that_makes_it_even(pad: bytes) -> None:
    for size in (len(WAV) - 44, 0xFFFFFFFF):
        content = streamed_wav(len(WAV) - 8, size, LIST + pad)
        assert audio.canonical(content, SPEC, LIMITS) == WAV
    odd = streamed_wav(0, len(WAV) - 44, LIST + pad + LIST + pad)
    assert audio.canonical(odd, SPEC, LIMITS) == WAV


@pytest.mark.parametrize("size", [0, 0x7F000000, 0xFFFFFFFF], ids=hex)
def test_an_aiff_from_a_pipe_is_read_to_its_end(size: int) -> None:
    common, data = AIFF.index(b"COMM"), AIFF.index(b"SSND")
    content = patched(AIFF, 4, struct.pack(">I", size))
    content = patched(content, common + 10, struct.pack(">I", size // 2))
    content = patched(content, data + 4, struct.pack(">I", size and size + 8 & 0xFFFFFFFF))
    np.testing.assert_array_equal(samples(content), samples(AIFF))


def test_an_au_from_a_pipe_is_read_to_its_end() -> None:
    content = media.sound(media.wave(), 16_000, "AU")
    found = samples(patched(content, 8, b"\xff" * 4))
    np.testing.assert_array_equal(found, samples(content))


@pytest.mark.parametrize("subtype", ["VORBIS", "OPUS"])
def test_ogg_streams_that_follow_one_another_are_all_read(subtype: str) -> None:
    first, second = (
        media.sound(media.wave(seconds=0.5, seed=seed), 16_000, "OGG", subtype=subtype)
        for seed in (1, 2)
    )
    both = np.concatenate([samples(first), samples(second)])
    np.testing.assert_array_equal(samples(first + second), both)
    spec = AudioSpec(sample_rate=16_000, seconds=0.25)
    broken = second[:200] + second[:4]  # is never reached
    found = samples(first + first + second, spec)
    np.testing.assert_array_equal(found, both[:4000])
    assert flaw(first + broken) is Flaw.TRUNCATED


def test_ogg_streams_of_several_rates_are_unsupported() -> None:
    assert flaw(media.ogg(16_000) + media.ogg(22_050)) is Flaw.UNSUPPORTED


def test_ogg_streams_together_have_the_time_of_one_sound() -> None:
    content = media.ogg(seconds=0.01) * 1000
    with pytest.raises(MediumError) as caught:
        audio.canonical(content, AudioSpec(seconds=60.0), Limits(decode_seconds=0.05))
    assert caught.value.flaw is Flaw.TIMEOUT


def test_too_many_ogg_streams_are_too_large() -> None:
    assert flaw(media.ogg(seconds=0.01) * 1001) is Flaw.TOO_LARGE


@pytest.mark.parametrize(("rate", "channels"), [(16_000, 1), (44_100, 2), (8_000, 1)])
def test_an_mp3_that_does_not_say_how_long_it_is_is_read_to_its_end(
    rate: int, channels: int
) -> None:
    content = media.sound(media.wave(rate, 10.0, channels), rate, "MP3")
    assert containers.counted(content, 60.0) == content
    spec = AudioSpec(sample_rate=rate, seconds=20.0)
    bare = content[containers._mp3_frame(content, 0).size :]
    assert 10.0 <= len(samples(bare, spec)) / rate < 10.2
    assert 10.0 <= len(samples(bare + b"TAG" + bytes(125), spec)) / rate < 10.2


def test_an_mp3_is_counted_as_far_as_it_is_wanted() -> None:
    content = media.sound(media.wave(seconds=10.0), 16_000, "MP3")
    bare = content[containers._mp3_frame(content, 0).size :]
    spec = AudioSpec(sample_rate=16_000, seconds=6.0)
    found = samples(bare, spec)
    np.testing.assert_array_equal(found, samples(bare)[: spec.samples])
    assert containers.counted(content[:4000] + content, 0.5) == content[:4000] + content


def test_mp3_files_that_were_joined_are_read_to_their_end() -> None:
    content = media.sound(media.wave(seconds=2.0), 16_000, "MP3")
    assert 4.0 <= len(samples(content + content)) / 16_000 < 4.4
