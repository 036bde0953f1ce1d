"""Decoding of audio with libsndfile, in the child process that `program` runs."""

import io

import soundfile

from triad_ml.transforms.media.audio_files.wav import mono
from triad_ml.transforms.media.decoder import protocol as protocol
from triad_ml.transforms.records.values import Flaw, MediumError


def decode(content: bytes, channel: protocol.Channel) -> None:
    """Replies what an audio file declares, reads how many frames to decode, and sends them as mono.

    Raises:
        MediumError: CORRUPT.
    """
    try:
        with _AudioFile(_InMemory(content)) as file:
            _send(file, channel)
    except soundfile.SoundFileError as error:
        raise MediumError(Flaw.CORRUPT, "libsndfile cannot decode it") from error


class _AudioFile(soundfile.SoundFile):
    """Audio file that is read without seeking.

    `SoundFile` seeks after each block, which fails or shifts samples in some files.
    """

    def seekable(self) -> bool:
        return False


def _send(file: _AudioFile, channel: protocol.Channel) -> None:
    kind = file.format.encode()
    declared = protocol.HEADER.pack(file.samplerate, file.channels, file.frames, kind)
    channel.reply(protocol.DECLARED, declared)
    (needed,) = protocol.WANTED.unpack(channel.read(protocol.WANTED.size))
    left = needed
    while left:
        frames = file.read(min(left, protocol.BLOCK_FRAMES), dtype="float32", always_2d=True)
        if not len(frames):
            break
        channel.reply(protocol.SAMPLES, mono(frames).tobytes())
        left -= len(frames)
    if file.frames == protocol.UNKNOWN:
        left = 0  # without a declared number none is missing
    elif kind == b"FLAC" and not left and 0 < needed < file.frames:
        file.seek(file.frames - 1)  # check that the last frame exists
        left = 1 - len(file.read(1, dtype="float32", always_2d=True))
    channel.reply(protocol.END, protocol.WANTED.pack(left))


class _InMemory(io.BytesIO):
    """File in memory that ignores impossible seeks of libsndfile.

    An error would only be printed to stderr, which nobody reads.
    """

    def seek(self, offset: int, whence: int = io.SEEK_SET, /) -> int:
        try:
            return super().seek(offset, whence)
        except (ValueError, OverflowError):
            return self.tell()
