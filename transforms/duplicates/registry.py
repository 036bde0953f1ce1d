"""Fingerprints by modality."""

from collections.abc import Mapping

from triad_ml.transforms.duplicates.base import Fingerprint
from triad_ml.transforms.duplicates.images import ImageFingerprint
from triad_ml.transforms.duplicates.sounds import SoundFingerprint
from triad_ml.transforms.duplicates.texts import TextFingerprint

FINGERPRINTS: Mapping[str, Fingerprint] = {
    "image": ImageFingerprint(),
    "audio": SoundFingerprint(),
    "text": TextFingerprint(),
}
"""Fingerprints by modality, in the order of `MODALITIES`."""
