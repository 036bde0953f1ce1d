"""Wheel that is built without network from a copy, so that the checkout stays clean."""

import shutil
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]


def build_wheel(folder: Path, beside: Sequence[str] = ()) -> Path:
    """Builds a wheel in a new folder and returns its path.

    Args:
        folder: Folder to create and build in.
        beside: Further folders of the checkout to copy.
    """
    folder.mkdir()
    for name in ("pyproject.toml", "setup.py", "README.md", "LICENSE"):
        shutil.copyfile(ROOT / name, folder / name)
    for name in ("triad_ml", "model", "pipelines", "transforms", *beside):
        shutil.copytree(
            ROOT / name,
            folder / name,
            symlinks=True,
            ignore=shutil.ignore_patterns("__pycache__"),
        )
    subprocess.run(
        [sys.executable, "-m", "build", "--wheel", "--no-isolation", "--outdir", "dist", "."],
        cwd=folder,
        check=True,
        capture_output=True,
        timeout=300,
    )
    (path,) = (folder / "dist").iterdir()
    return path
