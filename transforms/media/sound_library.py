"""Import of librosa, which only preprocessing and parity need, at its first use."""

from typing import Any

from triad_ml.transforms import extras
from triad_ml.transforms.errors import OptionsError


def import_librosa() -> Any:
    """Imports librosa.

    Raises:
        OptionsError: librosa is not installed.
    """
    try:
        import librosa
    except ImportError as error:
        raise OptionsError(missing()) from error
    return librosa


def missing() -> str:
    """Returns the error for a spec that needs librosa, where librosa is not installed."""
    return (
        "modalities.audio: features, mel_scale, and training.augment's stretch and pitch need "
        f"librosa; {extras.remedy('sound')}"
    )
