"""Copies of records with changed audio: reproducible, as librosa makes them, otherwise alike."""

import numpy as np
import pytest

from tests import canonical
from triad_ml.transforms.graph import raw_examples
from triad_ml.transforms.media import audio, effects
from triad_ml.transforms.records.copies import change_of, copy_id, original_id
from triad_ml.transforms.records.values import CanonicalRecord
from triad_ml.transforms.spec import loading
from triad_ml.transforms.spec.spec import Spec

librosa = pytest.importorskip("librosa")

RATE = 16_000


def spec_of(augment: str, seed: int = 0, by: str = "group") -> Spec:
    return loading.parse(
        f"""
modalities: {{audio: {{sample_rate: {RATE}, seconds: 2}}, text: }}
tasks: {{kind: {{kind: classification, label: what}}}}
training: {{augment: {augment}, seed: {seed}}}
split: {{by: {by}}}
"""
    )


BOTH = spec_of("{stretch: true, pitch: true}")


def record(name: str = "r", seconds: float = 1.0, **fields) -> CanonicalRecord:
    content = canonical.sound(canonical.tone(440, seconds))
    whole = {"audio": content, "text": b"a tone", "labels": {"what": "a"}, **fields}
    return canonical.record(name, **whole)


def pitch_of(content: bytes) -> float:
    """Frequency of the loudest part of a sound, in Hz."""
    samples = audio.samples(content).astype(float)
    power = np.abs(np.fft.rfft(samples * np.hanning(len(samples)), 2**18))
    return float(power.argmax() * RATE / 2**18)


def test_copies_have_the_records_other_fields_and_an_id_of_their_own():
    one = record(group="g")
    made = dict(effects.copies(one, BOTH))
    assert list(made) == ["stretch", "pitch"]
    for change, copy in made.items():
        assert copy.id == copy_id("r", change) == f"r\x1f{change}"
        assert (original_id(copy.id), change_of(copy.id)) == ("r", change)
        assert (copy.text, copy.labels, copy.group) == (one.text, one.labels, "g")
        assert copy.audio[:44] == audio.header(RATE, (len(copy.audio) - 44) // 2)
    assert (original_id("r"), change_of("r")) == ("r", "")


def test_a_copy_depends_on_seed_and_id_alone():
    once, again = (dict(effects.copies(record(), BOTH)) for _ in range(2))
    assert once == again
    for other in (
        effects.copies(record("s"), BOTH),
        effects.copies(record(), spec_of("{stretch: true, pitch: true}", seed=1)),
    ):
        for change, copy in other:
            assert copy.audio != once[change].audio
    alone = dict(effects.copies(record(), spec_of("{pitch: true}")))
    assert alone == {"pitch": once["pitch"]}


def test_stretching_changes_the_length_and_keeps_the_pitch_within_the_limits():
    lengths = []
    for number in range(12):
        (_, copy), _ = effects.copies(record(f"r{number}"), BOTH)
        lengths.append(len(audio.samples(copy.audio)) / RATE)
        assert abs(pitch_of(copy.audio) - 440) < 4
    assert 0.8 - 1e-3 <= min(lengths) < 0.95
    assert 1.05 < max(lengths) <= 1.25 + 1e-3


def test_shifting_changes_the_pitch_and_keeps_the_length_within_the_limits():
    steps = []
    for number in range(12):
        _, (_, copy) = effects.copies(record(f"r{number}"), BOTH)
        assert len(audio.samples(copy.audio)) == RATE
        steps.append(12 * np.log2(pitch_of(copy.audio) / 440))
    assert -2.2 < min(steps) < -0.5
    assert 0.5 < max(steps) < 2.2


def test_the_effects_are_those_of_librosa():
    signal = np.random.default_rng(0).normal(0, 0.1, RATE).astype("f")
    section = BOTH.modalities.audio
    np.testing.assert_array_equal(
        effects.stretch(signal, section, 1.0), librosa.effects.time_stretch(signal, rate=1.25)
    )
    np.testing.assert_array_equal(
        effects.pitch(signal, section, 0.0),
        librosa.effects.pitch_shift(signal, sr=RATE, n_steps=-2.0),
    )


def test_a_slowed_sound_is_cut_where_the_spec_ends():
    lengths = {
        len(audio.samples(copy.audio))
        for number in range(8)
        for change, copy in effects.copies(record(f"r{number}", seconds=2.0), BOTH)
    }
    assert max(lengths) == 2 * RATE


def test_a_record_without_a_frame_of_audio_has_no_copies():
    assert not list(effects.copies(record(audio=b""), BOTH))
    assert not list(effects.copies(record(seconds=0.024), BOTH))
    assert len(list(effects.copies(record(seconds=0.026), BOTH))) == 2
    assert not list(effects.copies(record(), spec_of("true")))


@pytest.mark.parametrize("by", ["group", "id"])
@pytest.mark.parametrize("group", ["g", None])
def test_a_copy_has_the_group_number_of_its_record(by, group):
    spec = spec_of("{pitch: true}", by=by)
    one = record(group=group)
    ((_, copy),) = effects.copies(one, spec)
    numbers = [
        raw_examples.example_pb2.Example.FromString(raw_examples.from_record(r, spec).serialized)
        .features.feature["group"]
        .int64_list.value[:]
        for r in (one, copy)
    ]
    assert numbers[0] == numbers[1]
