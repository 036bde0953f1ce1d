"""Check of the workers' container image: versions of Beam and Python in its name."""

import platform
import re
from collections.abc import Iterator

import apache_beam as beam

from triad_ml.pipelines.doctor.findings import Finding

_PYTHON = re.compile(r"py(?:thon)?[-_]?(\d)[._]?(\d+)")
_BEAM = re.compile(r"beam[-_]?(\d+\.\d+\.\d+)")
_OFFICIAL = re.compile(r"/beam_python\d\.\d+_sdk:v?(\d+\.\d+\.\d+)")


def check(image: str | None, setup_file: str | None) -> Iterator[Finding]:
    """Compares the versions in the name of an image with those of this process.

    Args:
        image: Value of `--sdk_container_image`; its name or tag holds `beam2.77.0` and `py3.11`, or
            it is Beam's official image.
        setup_file: Value of `--setup_file`, the package that workers install when they start.
    """
    if image is None:
        if setup_file is None:
            yield Finding(
                "image",
                "error",
                "neither --sdk_container_image nor --setup_file is given",
                "workers would have Beam's own image, without triad and TensorFlow",
                "name the image after the --, or --setup_file=./setup.py",
            )
        return
    python = ".".join(platform.python_version_tuple()[:2])
    found_beam = _OFFICIAL.search(image) or _BEAM.search(image)
    found_python = _PYTHON.search(image)
    pairs = (
        ("Beam", found_beam and found_beam[1], beam.__version__),
        ("Python", found_python and f"{found_python[1]}.{found_python[2]}", python),
    )
    wrong = [
        f"{name} {there} (here {here})" for name, there, here in pairs if there and there != here
    ]
    if not (found_beam and found_python):
        yield Finding(
            "image",
            "warning",
            f"the name of {image} does not say which Beam and Python it has",
            "with another Beam or Python workers cannot load what is sent to them",
            f"name it as in triad:1.0-beam{beam.__version__}-py{python}",
        )
    if wrong:
        yield Finding(
            "image",
            "error",
            f"{image} has {' and '.join(wrong)}",
            "workers cannot load what another Beam or Python has pickled",
            f"build it on Beam's image for Python {python}, version {beam.__version__}",
        )
    elif found_beam and found_python:
        yield Finding("image", "ok", f"{image}: Beam and Python of here")
