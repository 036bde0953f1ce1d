"""The same bytes become the same canonical bytes: on any machine, thread, locale or hash seed."""

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


def test_every_seed_has_its_golden_digest() -> None:
    assert canonical_digests.digests(threads=1) == GOLDEN
    kinds = {name.split(",")[0] for name in GOLDEN}
    assert kinds >= {name.replace("/", " ") for name in seed_media.MAKERS}


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
    finished = subprocess.run(
        [sys.executable, "-W", "ignore", "-m", "tests.reliability.canonical_digests", str(threads)],
        cwd=ROOT,
        env=os.environ | variables,
        capture_output=True,
        text=True,
        check=True,
        timeout=120,
    )
    assert json.loads(finished.stdout) == GOLDEN
