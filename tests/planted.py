"""Seeded images, sounds and texts, and changed copies of them that are near-duplicates."""

import io
import itertools

import numpy as np
import numpy.typing as npt
import soundfile
import soxr
from PIL import Image

RATE = 22_050
SYLLABLES = ("ba", "co", "di", "fu", "ga", "hel", "in", "jo", "ka", "lum", "mo", "ner", "os", "pri")
WORDS = tuple("".join(parts) for parts in itertools.product(SYLLABLES, repeat=2))

CODECS = (
    (44_100, "OGG", "VORBIS"),
    (8_000, "WAV", "PCM_16"),
    (22_050, "MP3", "MPEG_LAYER_III"),
    (16_000, "FLAC", "PCM_16"),
)
"""Sample rate, container and encoding of changed sounds."""

Random = np.random.Generator
Samples = npt.NDArray[np.float64]


def photograph(random: Random, size: tuple[int, int] = (160, 120)) -> Image.Image:
    """Returns soft shapes of several sizes in drawn colours."""
    whole = np.zeros((size[1], size[0], 3))
    for cells in (3, 6, 12, 40):
        small = random.normal(0, 60, (cells, cells, 3)) * (3 / cells) ** 0.5
        small[..., 1:] = 0.5 * small[..., 1:] + 0.5 * small[..., :1]
        planes = [
            Image.fromarray(small[..., plane].astype(np.float32)).resize(
                size, Image.Resampling.BICUBIC
            )
            for plane in range(3)
        ]
        whole += np.stack([np.asarray(plane) for plane in planes], axis=-1)
    return Image.fromarray(np.clip(whole + 128, 0, 255).astype(np.uint8))


def changed_image(image: Image.Image, random: Random, change: int) -> Image.Image:
    """Returns a copy that is cropped by 3 %, resized, or unchanged, as `change` says."""
    width, height = image.size
    if change % 3 == 0:
        left, top = (random.uniform(0, 0.03) * side for side in image.size)
        box = (left, top, left + 0.97 * width, top + 0.97 * height)
        return image.resize(
            (round(0.97 * width), round(0.97 * height)), Image.Resampling.BICUBIC, box
        )
    if change % 3 == 1:
        scale = random.uniform(0.5, 1.5)
        return image.resize((round(scale * width), round(scale * height)), Image.Resampling.BICUBIC)
    return image


def jpeg(image: Image.Image, quality: int) -> bytes:
    """Encodes an image as JPEG."""
    stream = io.BytesIO()
    image.save(stream, "JPEG", quality=quality)
    return stream.getvalue()


def melody(random: Random, seconds: float = 1.3) -> Samples:
    """Returns notes of drawn pitches, loudness and lengths over noise that swells."""
    time = np.arange(round(RATE * seconds)) / RATE
    sound = random.normal(0, 0.02, time.size) * np.interp(
        time, np.linspace(0, seconds, 6), random.uniform(0, 1, 6)
    )
    for _ in range(int(random.integers(5, 9))):
        start, pitch = random.uniform(0, 0.9 * seconds), random.uniform(180, 1_800)
        decay = np.exp(-np.maximum(time - start, 0) * random.uniform(2, 12)) * (time >= start)
        note = np.sin(2 * np.pi * pitch * time) + 0.5 * np.sin(4 * np.pi * pitch * time)
        sound += random.uniform(0.1, 0.3) * decay * note
    return sound / max(1.0, float(np.abs(sound).max()))


def recording(samples: Samples, rate: int, container: str, subtype: str) -> bytes:
    """Encodes samples at `rate`, in a container and encoding by libsndfile's names."""
    stream = io.BytesIO()
    soundfile.write(
        stream, soxr.resample(samples, RATE, rate), rate, format=container, subtype=subtype
    )
    return stream.getvalue()


def changed_sound(samples: Samples, random: Random, change: int) -> bytes:
    """Returns a copy of another volume, sample rate and encoding; each second one is cut by 3 %."""
    start = int(random.uniform(0, 0.03) * samples.size)
    part = samples[start : start + round(0.97 * samples.size)] if change % 2 else samples
    return recording(random.uniform(0.5, 1) * part, *CODECS[change % 4])


def passage(random: Random) -> str:
    """Returns 12 to 59 drawn words of no language."""
    words = [str(random.choice(WORDS)) for _ in range(int(random.integers(12, 60)))]
    return " ".join(words).capitalize() + "."


def changed_text(text: str, change: int) -> str:
    """Returns a copy with other punctuation and case, without its last words, or in lines."""
    words = text.rstrip(".").split()
    if change % 3 == 0:
        return ", ".join(" ".join(part) for part in np.array_split(words, 4)).upper() + "!"
    if change % 3 == 1:
        return " ".join(words[: round(0.97 * len(words))])
    return "\n".join(words)
