"""Small media of each format, kept as files, since encoders' bytes change between versions.

Fuzzing starts from them, and they must become the same canonical bytes everywhere. Run as a
program, it writes the missing ones with the builders.
"""

import functools
from collections.abc import Callable
from pathlib import Path

from tests import media

FOLDER = Path(__file__).with_name("seeds")
FAILURES = FOLDER / "failures"
"""Media that once made a decoder fail, as `<modality>-<what>`."""

OPEN = b"\xff" * 4
"""A size that stands for "up to the end of the file"."""


def without_length(flac: bytes) -> bytes:
    """A FLAC as a pipe leaves it: no number of samples, no checksum of them."""
    return flac[:22] + bytes(20) + flac[42:]


MAKERS: dict[str, Callable[[], bytes]] = {
    "image/plain.jpg": media.jpeg,
    "image/gray.jpg": functools.partial(media.jpeg, mode="L"),
    "image/progressive.jpg": functools.partial(media.jpeg, progressive=True),
    "image/turned.jpg": functools.partial(media.jpeg, orientation=6),
    "image/cmyk.jpg": functools.partial(media.jpeg, mode="CMYK"),
    "image/plain.png": media.png,
    "image/palette.png": functools.partial(media.png, "P"),
    "image/clear.png": functools.partial(media.png, "RGBA"),
    "image/deep.png": functools.partial(media.png, "I;16"),
    "image/still.webp": media.webp,
    "image/clear.webp": functools.partial(media.webp, mode="RGBA"),
    "image/lossy.webp": lambda: media.encoded(media.picture(), "WEBP", quality=50),
    "image/frames.gif": functools.partial(media.gif, frames=2),
    "image/plain.bmp": lambda: media.encoded(media.picture(), "BMP"),
    "image/plain.tiff": lambda: media.encoded(media.picture(), "TIFF", compression="tiff_lzw"),
    "image/plain.ppm": lambda: media.encoded(media.picture(), "PPM"),
    "image/still.avif": lambda: media.encoded(media.picture(), "AVIF"),
    "audio/plain.wav": functools.partial(media.wav, seconds=0.1),
    "audio/float.wav": functools.partial(media.wav, 22_050, 0.05, 2, "FLOAT"),
    "audio/adpcm.wav": functools.partial(media.wav, seconds=0.1, subtype="MS_ADPCM"),
    "audio/long.rf64": lambda: media.sound(media.wave(seconds=0.05), 16_000, "RF64"),
    "audio/vorbis.ogg": functools.partial(media.ogg, 22_050, 0.1),
    "audio/opus.ogg": lambda: media.sound(media.wave(seconds=0.1), 16_000, "OGG", subtype="OPUS"),
    "audio/stereo.flac": functools.partial(media.flac, 44_100, 0.03, 2),
    "audio/plain.aiff": lambda: media.sound(media.wave(seconds=0.05), 16_000, "AIFF"),
    "audio/plain.au": lambda: media.sound(media.wave(seconds=0.05), 16_000, "AU"),
    "audio/plain.mp3": lambda: media.sound(media.wave(seconds=0.1), 16_000, "MP3"),
    "image/xmp.jpg": functools.partial(media.jpeg, xmp=b'<x tiff:Orientation="6"/>'),
    "image/restarts.jfif": functools.partial(media.jpeg, restart_marker_blocks=2),
    "image/tags.avif": lambda: media.encoded(media.picture(), "AVIF", exif=media.exif(8)),
    "image/tags.webp": lambda: media.encoded(media.picture(), "WEBP", exif=media.exif(6)),
    "image/raw.tiff": lambda: media.encoded(media.picture("I;16"), "TIFF"),
    "image/gray.ppm": lambda: media.encoded(media.picture("L"), "PPM"),
    "image/comment.gif": lambda: media.encoded(media.picture("P"), "GIF", comment=b"words" * 99),
    "audio/piped.flac": lambda: without_length(media.flac(seconds=0.05)),
    "audio/piped.wav": lambda: media.wav(seconds=0.05).replace(b"data@\6\0\0", b"data" + OPEN),
    "audio/joined.oga": lambda: media.ogg(seconds=0.05) + media.ogg(seconds=0.05, seed=1),
    "audio/joined.opus": lambda: (
        2 * media.sound(media.wave(seconds=0.05), 16_000, "OGG", subtype="OPUS")
    ),
    "audio/joined.mp3": lambda: 2 * media.sound(media.wave(seconds=0.1), 16_000, "MP3"),
    "text/plain.txt": lambda: b"The fan rattles.\r\n",
    "text/decomposed.txt": "e\u0301tend \u00e9 \u1100\u1161 \ufb01".encode,
    "text/scripts.txt": (
        "\ufeffh\u00e9ron \u9e6d\u9ce5 \U0001f986\u200d \u05e9\u05dc\u05d5\u05dd"
    ).encode,
}


def seeds(modality: str) -> dict[str, bytes]:
    """The seeds of a modality, by file name."""
    return {path.name: path.read_bytes() for path in sorted((FOLDER / modality).iterdir())}


def failures(modality: str) -> dict[str, bytes]:
    """The media of a modality that once failed, by file name."""
    return {path.name: path.read_bytes() for path in sorted(FAILURES.glob(f"{modality}-*"))}


def main() -> None:
    for name, make in MAKERS.items():
        path = FOLDER / name
        path.parent.mkdir(parents=True, exist_ok=True)
        if not path.exists():
            path.write_bytes(make())


if __name__ == "__main__":
    main()
