"""A wheel built without network from a copy of the checkout, and an environment that has it."""

import os
import shutil
import subprocess
import sys
import sysconfig
import venv
from collections.abc import Mapping, Sequence
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]

OWN_MODULES = ("model.py", "transforms.py", "pipelines/__init__.py")
"""Modules that a user may well have; Triad's folders once had these names."""

STRANGER = "triad"
"""Distribution and module of Fugue, which is installed beside Triad in many places."""


def build_wheel(folder: Path, beside: Sequence[str] = ()) -> Path:
    """Builds an sdist in a new folder and the wheel from it, and returns the wheel's path.

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
        [sys.executable, "-m", "build", "--no-isolation", "--outdir", "dist", "."],
        cwd=folder,
        check=True,
        capture_output=True,
        timeout=300,
    )
    (path,) = (folder / "dist").glob("*.whl")
    return path


def install(wheel: Path, folder: Path) -> Path:
    """Makes a virtual environment that has the wheel alone, and returns its `bin`.

    The third-party packages are those of the running interpreter, whose own `triad_ml`, from the
    checkout, is not found: the `.pth` file that leads there is not read. A package that stands in
    for Fugue's `triad` is installed too.

    Args:
        wheel: Wheel of `build_wheel`.
        folder: Folder of the environment; it is created.
    """
    venv.create(folder, symlinks=True, with_pip=False)
    python = folder / "bin" / "python"
    subprocess.run(
        [sys.executable, "-m", "pip", "--python", str(python), "install"]
        + ["--no-deps", "--no-index", "--no-compile", "--quiet", str(wheel)],
        check=True,
    )
    (site,) = folder.glob("lib/*/site-packages")
    (site / "dependencies.pth").write_text(sysconfig.get_path("purelib") + "\n", encoding="utf-8")
    (site / STRANGER).mkdir()
    (site / STRANGER / "__init__.py").write_text("OWNER = 'Fugue'\n", encoding="utf-8")
    about = site / f"{STRANGER}-1.0.4.dist-info"
    about.mkdir()
    (about / "METADATA").write_text(
        f"Metadata-Version: 2.1\nName: {STRANGER}\nVersion: 1.0.4\n", encoding="utf-8"
    )
    return folder / "bin"


def write_own_modules(folder: Path) -> None:
    """Writes modules of a user that nobody but the user may import: each raises an error."""
    for name in OWN_MODULES:
        path = folder / name
        path.parent.mkdir(exist_ok=True)
        path.write_text(f"raise AssertionError('{name} of the user is imported')\n")


def variables(scripts: Path) -> Mapping[str, str]:
    """Returns the environment of a user: the commands of `scripts`, nothing of the checkout."""
    known = {name: value for name, value in os.environ.items() if not name.startswith("PYTHON")}
    return {**known, "PATH": f"{scripts}{os.pathsep}{os.defpath}"}
