"""The versions that a preprocessing or a model was made with."""

import importlib.metadata
import platform

_LIBRARIES = (
    "apache-beam",
    "keras",
    "numpy",
    "pillow",
    "soundfile",
    "soxr",
    "tensorflow",
    "tensorflow-transform",
)


def libraries() -> dict[str, str]:
    """By name, the versions of Python and of the libraries that decide features and scores."""
    found = {name: importlib.metadata.version(name) for name in _LIBRARIES}
    return {"python": platform.python_version(), **found}
