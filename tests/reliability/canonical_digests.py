"""Program that prints a digest of the canonical bytes of each seed, or of its damaged copies.

    python -m tests.reliability.canonical_digests THREADS [MUTANTS]

With MUTANTS, the digests are those of so many damaged copies of each seed. Audio is then decoded in
a child process that also gets this process's MALLOC_PERTURB_.
"""

import hashlib
import json
import os
import sys
from collections.abc import Callable
from concurrent import futures

from tests.reliability import mutants, seed_media
from triad_ml.transforms.media import audio, image, text
from triad_ml.transforms.media.decoder import process
from triad_ml.transforms.records.values import MediumError
from triad_ml.transforms.spec.modalities import AudioSpec, Limits

SOUNDS = AudioSpec(sample_rate=16_000, seconds=1.0)
LIMITS = {"as it is": Limits(), "reduced": Limits(keep_pixels=300)}


def digests(threads: int) -> dict[str, str]:
    """By modality, seed and limits, SHA-256 of the canonical bytes; pictures are reduced, too."""
    work: dict[str, Callable[[], bytes]] = {}
    for name, content in seed_media.seeds("image").items():
        for size, limits in LIMITS.items():
            work[f"image {name}, {size}"] = lambda c=content, to=limits: image.canonical(c, to)
    for name, content in seed_media.seeds("audio").items():
        work[f"audio {name}"] = lambda c=content: audio.canonical(c, SOUNDS, Limits())
    for name, content in seed_media.seeds("text").items():
        work[f"text {name}"] = lambda c=content: text.canonical(c, Limits())
    with futures.ThreadPoolExecutor(threads) as pool:
        results = pool.map(lambda one: hashlib.sha256(one()).hexdigest(), work.values())
        return dict(zip(work, results, strict=True))


def digests_of_mutants(count: int) -> dict[str, str]:
    """By modality, seed and number of a damaged copy: SHA-256 of what it becomes, or its flaw."""
    make: dict[str, Callable[[bytes], bytes]] = {
        "image": lambda content: image.canonical(content, LIMITS["as it is"]),
        "audio": lambda content: audio.canonical(content, SOUNDS, LIMITS["as it is"]),
        "text": lambda content: text.canonical(content, LIMITS["as it is"]),
    }
    found = {}
    for modality, canonical in make.items():
        sources = {**seed_media.seeds(modality), **seed_media.failures(modality)}
        for name, seed in sources.items():
            for number, content in enumerate(mutants.mutants([seed], count, seed=3)):
                try:
                    outcome = hashlib.sha256(canonical(content)).hexdigest()
                except MediumError as error:
                    outcome = str(error.flaw)
                found[f"{modality} {name}, mutant {number}"] = outcome
    return found


def main(threads: int, count: int = 0) -> None:
    perturb = f"MALLOC_PERTURB_={os.environ.get('MALLOC_PERTURB_', '0')}"
    process.COMMAND = ("/usr/bin/env", perturb, *process.COMMAND)
    print(json.dumps(digests_of_mutants(count) if count else digests(threads), indent=1))


if __name__ == "__main__":
    main(*map(int, sys.argv[1:]))
