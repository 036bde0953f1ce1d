"""Copies of a record with audio of another tempo or pitch, by `librosa.effects`.

librosa is imported at the first copy, in preprocessing only.
"""

import dataclasses
import hashlib
from collections.abc import Callable, Iterator, Mapping
from typing import TypeAlias

import numpy as np
import numpy.typing as npt

from triad_ml.transforms.media import audio
from triad_ml.transforms.media.sound_library import import_librosa
from triad_ml.transforms.records.copies import copy_id
from triad_ml.transforms.records.values import CanonicalRecord
from triad_ml.transforms.spec.modalities import AudioSpec
from triad_ml.transforms.spec.spec import Spec

FASTEST = 1.25
"""Largest factor of the tempo; its reciprocal is the smallest."""
SEMITONES = 2.0
"""Largest shift of the pitch, up or down."""

_LONGEST_WINDOW = 2048
_Samples: TypeAlias = npt.NDArray[np.float32]


def copies(record: CanonicalRecord, spec: Spec) -> Iterator[tuple[str, CanonicalRecord]]:
    """Yields the copies of a record that the spec asks for, each with the name of its change.

    A copy has the record's other media, labels and group, and an id of its own. The change follows
    from `training.seed`, its name and the record's id alone. A record without audio, or with less
    than a frame of it, has no copies.
    """
    section = spec.modalities.audio
    if section is None or not record.audio:
        return
    signal = audio.samples(record.audio).astype(np.float32) / np.float32(32768)
    if len(signal) < section.frame_length:
        return
    for change in spec.training.copies:
        share = _share(spec.training.seed, change, record.id)
        changed = EFFECTS[change](signal, section, share)
        content = audio.encoded(changed[: section.samples], section.sample_rate)
        yield change, dataclasses.replace(record, id=copy_id(record.id, change), audio=content)


def stretch(signal: _Samples, spec: AudioSpec, share: float) -> _Samples:
    """Changes the tempo; `share` from 0 to 1 is the place between the slowest and the fastest."""
    rate = FASTEST ** (2.0 * share - 1.0)
    effects = import_librosa().effects
    changed: _Samples = effects.time_stretch(signal, rate=rate, n_fft=_window(signal))
    return changed


def pitch(signal: _Samples, spec: AudioSpec, share: float) -> _Samples:
    """Shifts the pitch; `share` from 0 to 1 is the place between the lowest and the highest."""
    steps = SEMITONES * (2.0 * share - 1.0)
    changed: _Samples = import_librosa().effects.pitch_shift(
        signal, sr=spec.sample_rate, n_steps=steps, n_fft=_window(signal)
    )
    return changed


EFFECTS: Mapping[str, Callable[[_Samples, AudioSpec, float], _Samples]] = {
    "stretch": stretch,
    "pitch": pitch,
}
"""Effects by their name in `training.augment`."""


def _share(seed: int, change: str, record_id: str) -> float:
    """Returns a number in [0, 1), uniformly distributed over the ids of records."""
    content = f"{seed}\0{change}\0{record_id}".encode("utf-8", "surrogatepass")
    return int.from_bytes(hashlib.sha256(content).digest()[:8], "big") / 2**64


def _window(signal: _Samples) -> int:
    """Returns the length of the phase vocoder's window: a power of two, no longer than `signal`."""
    return min(_LONGEST_WINDOW, 1 << (len(signal).bit_length() - 1))
