"""Canonical bytes: equal for equal input, on any machine, thread, locale or hash seed."""

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from tests.reliability import canonical_digests, seed_media

ROOT = Path(__file__).resolve().parents[2]
GOLDEN = json.loads(Path(__file__).with_name("canonical_digests.json").read_text())
"""Written by `python -m tests.reliability.canonical_digests 1`; a change says why in its commit."""
MUTANTS = 60


def test_every_seed_has_its_golden_digest() -> None:
    assert canonical_digests.digests(threads=1) == GOLDEN
    kinds = {name.split(",")[0] for name in GOLDEN}
    assert kinds >= {name.replace("/", " ") for name in seed_media.MAKERS}


def printed(*arguments: int, **variables: str) -> dict[str, str]:
    """What the program of `canonical_digests` prints in an environment with these variables."""
    finished = subprocess.run(
        [sys.executable, "-W", "ignore", "-m", "tests.reliability.canonical_digests"]
        + [str(argument) for argument in arguments],
        cwd=ROOT,
        env=os.environ | variables,
        capture_output=True,
        text=True,
        check=True,
        timeout=300,
    )
    digests: dict[str, str] = json.loads(finished.stdout)
    return digests


def test_what_was_in_memory_before_is_no_pixel_and_no_sample() -> None:
    # glibc fills memory with another byte: a decoder that gives what it never wrote shows it.
    found, again = (printed(1, MUTANTS, MALLOC_PERTURB_=byte) for byte in ("1", "170"))
    assert {name for name in found if found[name] != again[name]} == set()
    kept = [name for name, outcome in found.items() if len(outcome) == 64]
    assert len(kept) > len(found) // 10
    assert len(found) > 30 * MUTANTS


@pytest.mark.parametrize(
    ("threads", "variables"),
    [
        (1, {"LC_ALL": "C", "PYTHONHASHSEED": "1"}),
        (4, {"LC_ALL": "tr_TR.UTF-8", "LANG": "de_DE.UTF-8", "TZ": "Asia/Tokyo"}),
        (4, {"OPENBLAS_NUM_THREADS": "4", "OMP_NUM_THREADS": "4", "PYTHONHASHSEED": "2"}),
        # As on machines whose processor has none of these.
        (1, {"NPY_DISABLE_CPU_FEATURES": "AVX2 FMA3 AVX512F AVX512CD AVX512_SKX"}),
    ],
    ids=["C locale", "Turkish, 4 threads", "threaded libraries", "older processor"],
)
def test_neither_threads_nor_locale_nor_processor_matter(
    threads: int, variables: dict[str, str]
) -> None:
    assert printed(threads, **variables) == GOLDEN
