"""Prints a digest of what each seed becomes, with as many threads as it is told."""

import hashlib
import json
import sys
from collections.abc import Callable
from concurrent import futures

from tests.reliability import seed_media
from transforms import audio, images, text
from transforms.spec import AudioSpec, Limits

SOUNDS = AudioSpec(sample_rate=16_000, seconds=1.0)
LIMITS = {"as it is": Limits(), "reduced": Limits(keep_pixels=300)}


def digests(threads: int) -> dict[str, str]:
    """By modality, seed and limits, SHA-256 of the canonical bytes; pictures are reduced, too."""
    work: dict[str, Callable[[], bytes]] = {}
    for name, content in seed_media.seeds("image").items():
        for size, limits in LIMITS.items():
            work[f"image {name}, {size}"] = lambda c=content, to=limits: images.canonical(c, to)
    for name, content in seed_media.seeds("audio").items():
        work[f"audio {name}"] = lambda c=content: audio.canonical(c, SOUNDS, Limits())
    for name, content in seed_media.seeds("text").items():
        work[f"text {name}"] = lambda c=content: text.canonical(c, Limits())
    with futures.ThreadPoolExecutor(threads) as pool:
        results = pool.map(lambda one: hashlib.sha256(one()).hexdigest(), work.values())
        return dict(zip(work, results, strict=True))


if __name__ == "__main__":
    print(json.dumps(digests(int(sys.argv[1])), indent=1))
