"""Generator of a small multimodal data set: drawn machines, their noises, sentences about them.

Run as `python examples/generated.py --out DIR --records 400 --seed 0`. No record is real: each id,
each group and the column `source` have the word "generated".

Each record shows one of two machines in one of two states; the class names both, such as
`fan_faulty`. The image shows only the machine, the audio has only the state, and the sentence names
one of the two at random. So a model of one modality is right about half of the time, and a model of
all three can always be right. Nearly one record in five lacks a modality.
"""

import argparse
import dataclasses
import io
import json
import math
import os
import shutil
import sys
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import numpy.typing as npt
import soundfile
from PIL import Image, ImageDraw

from triad_ml.transforms.errors import OptionsError, StorageError, TriadError

SOURCE = "generated"
LAYOUT = 1
"""Version of the generator; it is increased if the same arguments generate other files."""

MACHINES = ("fan", "pump")
STATES = ("faulty", "healthy")
PICTURES = (("png", "PNG"), ("jpg", "JPEG"), ("webp", "WEBP"))
SOUNDS = (("wav", "WAV", "PCM_16"), ("ogg", "OGG", "VORBIS"), ("flac", "FLAC", "PCM_16"))
COLOURS = ("#c0392b", "#2471a3", "#1e8449", "#7d3c98", "#b9770e", "#566573")
HALLS = ("the north hall", "hall two", "the old mill", "the yard", "the cellar")
DAYS = ("Monday", "Tuesday", "Wednesday", "Thursday", "Friday")
ABOUT_MACHINE = {
    "fan": ("The fan in {hall} was looked at on {day}.", "On {day} we checked the blower, {hall}."),
    "pump": (
        "The pump in {hall} was looked at on {day}.",
        "On {day} we checked the piston, {hall}.",
    ),
}
ABOUT_STATE = {
    "faulty": ("Something rattles in {hall} since {day}.", "It wobbles and shakes, {hall}, {day}."),
    "healthy": ("All runs smoothly in {hall} since {day}.", "It hums as it should, {hall}, {day}."),
}

Random = np.random.Generator
Samples = npt.NDArray[np.float64]


@dataclasses.dataclass(frozen=True, slots=True)
class Machine:
    """Machine that the records of one group share.

    Attributes:
        kind: One of `MACHINES`; the image shows it.
        state: One of `STATES`; the audio has it.
        colour: Colour of the drawing.
        pitch: Frequency of the tone in Hz.
    """

    kind: str
    state: str
    colour: str
    pitch: float

    @property
    def category(self) -> str:
        """Label of the task `category`."""
        return f"{self.kind}_{self.state}"


def write(out: Path, records: int, seed: int) -> Path:
    """Writes records.jsonl and media/ into `out`, whole or not at all; a finished set is reused.

    The same number and seed generate the same bytes.

    Returns:
        Path of records.jsonl.

    Raises:
        OptionsError: A number is out of range, or `out` has other files.
    """
    if not 1 <= records <= 1_000_000:
        raise OptionsError(f"--records {records}: a number from 1 to 1000000 is wanted")
    if seed < 0:
        raise OptionsError(f"--seed {seed}: a number from 0 is wanted")
    summary = {"source": SOURCE, "layout": LAYOUT, "records": records, "seed": seed}
    if out.exists() and any(out.iterdir()):
        if not _holds(out, summary):
            raise OptionsError(
                f"--out {out}: not empty, and not these generated records; choose another folder"
            )
        return out / "records.jsonl"
    unfinished = out.with_name(out.name + ".tmp")
    shutil.rmtree(unfinished, ignore_errors=True)
    (unfinished / "media").mkdir(parents=True)
    lines = _write_media(unfinished, records, np.random.default_rng(seed))
    with (unfinished / "records.jsonl").open("w", encoding="utf-8") as file:
        file.writelines(json.dumps(line) + "\n" for line in lines)
    (unfinished / "summary.json").write_text(json.dumps(summary) + "\n", encoding="utf-8")
    if out.exists():
        out.rmdir()
    os.replace(unfinished, out)
    return out / "records.jsonl"


def draw(machine: Machine, random: Random, encoding: str) -> bytes:
    """Draws the machine, 96 to 160 pixels wide and high, as PNG, JPEG or WEBP.

    The image does not show the state.
    """
    width, height = (int(side) for side in random.integers(96, 161, 2))
    image = Image.new("RGB", (width, height), _background(random))
    pen = ImageDraw.Draw(image)
    radius = min(width, height) * random.uniform(0.25, 0.42)
    x = random.uniform(radius, width - radius)
    y = random.uniform(radius, height - radius)
    turn = random.uniform(0, 360)
    if machine.kind == "fan":
        pen.ellipse((x - radius, y - radius, x + radius, y + radius), outline="black", width=2)
        for start in range(0, 360, 90):
            box = (x - radius, y - radius, x + radius, y + radius)
            pen.pieslice(box, turn + start, turn + start + 40, fill=machine.colour)
    else:
        corners = [
            (x + radius * math.cos(angle), y + radius * math.sin(angle))
            for angle in (math.radians(turn % 30 + 30 + quarter) for quarter in range(0, 360, 90))
        ]
        pen.polygon(corners, fill=machine.colour, outline="black")
        pen.rectangle((x - radius / 4, 0, x + radius / 4, y), fill=machine.colour, outline="black")
    buffer = io.BytesIO()
    image.save(buffer, encoding, quality=85)
    return buffer.getvalue()


def play(machine: Machine, random: Random, container: str, subtype: str) -> bytes:
    """Returns one to two seconds of the machine's noise: a steady tone, or one that sweeps.

    The noise does not depend on the kind of machine. The sample rate is 16,000, 22,050 or
    44,100 Hz.
    """
    rate = int(random.choice([16_000, 22_050, 44_100]))
    time = np.arange(int(rate * random.uniform(1.0, 2.0))) / rate
    pitch = np.full_like(time, machine.pitch)
    if machine.state == "faulty":
        swings = random.uniform(3.0, 6.0)
        pitch *= 1 + 0.5 * np.sin(2 * np.pi * swings * time + random.uniform(0, 6))
    phase = 2 * np.pi * np.cumsum(pitch) / rate
    tone = np.sin(phase) + 0.4 * np.sin(2 * phase) + random.normal(0, 0.05, time.size)
    samples: Samples = tone * random.uniform(0.2, 0.6)
    if random.random() < 0.2:
        samples = np.stack([samples, samples], axis=1)
    buffer = io.BytesIO()
    soundfile.write(buffer, samples, rate, format=container, subtype=subtype)
    encoded = buffer.getvalue()
    return _with_fixed_serial(encoded) if container == "OGG" else encoded


def say(machine: Machine, random: Random) -> str:
    """Returns a sentence that names either the machine or its state."""
    sentences = ABOUT_MACHINE[machine.kind]
    if random.random() < 0.5:
        sentences = ABOUT_STATE[machine.state]
    chosen = sentences[random.integers(len(sentences))]
    return chosen.format(hall=random.choice(HALLS), day=random.choice(DAYS))


def main(argv: Sequence[str] | None = None) -> int:
    """Runs the command and returns its exit code."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    parser.add_argument("--out", type=Path, required=True, help="folder of the records")
    parser.add_argument("--records", type=int, default=400, help="number of records (400)")
    parser.add_argument("--seed", type=int, default=0, help="random seed (0)")
    options = parser.parse_args(argv)
    try:
        path = write(options.out, options.records, options.seed)
    except TriadError as error:
        sys.stderr.write(f"generated: {error}\n")
        return error.exit_code
    except OSError as error:
        place = f"{error.filename}: " if error.filename else ""
        sys.stderr.write(f"generated: {place}{error.strerror}; choose another folder\n")
        return StorageError.exit_code
    sys.stdout.write(f"{options.records} GENERATED records in {path}\n")
    return 0


def _write_media(out: Path, records: int, random: Random) -> list[dict[str, object]]:
    lines: list[dict[str, object]] = []
    group = 0
    while len(lines) < records:
        machine = Machine(
            kind=str(random.choice(MACHINES)),
            state=str(random.choice(STATES)),
            colour=str(random.choice(COLOURS)),
            pitch=float(random.uniform(250, 900)),
        )
        for _ in range(min(int(random.integers(1, 4)), records - len(lines))):
            lines.append(_write_record(out, len(lines), group, machine, random))
        group += 1
    return lines


def _write_record(
    out: Path, number: int, group: int, machine: Machine, random: Random
) -> dict[str, object]:
    name = f"{SOURCE}-{number:06d}"
    suffix, encoding = PICTURES[number % len(PICTURES)]
    image = f"media/{name}.{suffix}"
    ending, container, subtype = SOUNDS[number // len(PICTURES) % len(SOUNDS)]
    audio = f"media/{name}.{ending}"
    line: dict[str, object] = {
        "id": name,
        "image": image,
        "audio": audio,
        "text": say(machine, random),
        "group": f"{SOURCE}-group-{group:06d}",
        "labels": {"category": machine.category},
        "source": SOURCE,
    }
    chance = random.random()
    missing = 2 if chance < 0.03 else 1 if chance < 0.18 else 0
    for modality in random.permutation(["image", "audio", "text"])[:missing]:
        line[str(modality)] = None
    picture = draw(machine, random, encoding)
    noise = play(machine, random, container, subtype)
    if line["image"]:
        (out / image).write_bytes(picture)
    if line["audio"]:
        (out / audio).write_bytes(noise)
    return line


def _background(random: Random) -> tuple[int, int, int]:
    red, green, blue = (int(shade) for shade in random.integers(215, 256, 3))
    return red, green, blue


def _holds(out: Path, summary: dict[str, object]) -> bool:
    try:
        return bool(json.loads((out / "summary.json").read_text(encoding="utf-8")) == summary)
    except (OSError, ValueError):
        return False


def _with_fixed_serial(ogg: bytes) -> bytes:
    """Sets the serial number of an Ogg stream to 1, since libsndfile derives it from the clock."""
    pages = bytearray(ogg)
    start = 0
    while start < len(pages):
        segments = pages[start + 26]
        end = start + 27 + segments + sum(pages[start + 27 : start + 27 + segments])
        pages[start + 14 : start + 18] = (1).to_bytes(4, "little")
        pages[start + 22 : start + 26] = bytes(4)
        pages[start + 22 : start + 26] = _page_checksum(pages[start:end]).to_bytes(4, "little")
        start = end
    return bytes(pages)


def _page_checksum(page: bytes | bytearray) -> int:
    checksum = 0
    for byte in page:
        checksum = (checksum << 8 & 0xFFFFFFFF) ^ _CHECKSUMS[checksum >> 24 ^ byte]
    return checksum


def _checksum_of(byte: int) -> int:
    checksum = byte << 24
    for _ in range(8):
        checksum = checksum << 1 ^ (0x104C11DB7 if checksum & 0x80000000 else 0)
    return checksum


_CHECKSUMS = tuple(_checksum_of(byte) for byte in range(256))
"""Table of Ogg's CRC-32, by byte; zlib's CRC-32 is another."""


if __name__ == "__main__":
    sys.exit(main())
