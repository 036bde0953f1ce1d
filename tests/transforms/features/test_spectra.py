"""Audio features by name: equal to librosa's, and computed without librosa once they are built."""

import json
import os
import subprocess
import sys
import sysconfig
import wave
from pathlib import Path

import numpy as np
import numpy.typing as npt
import pytest
import scipy.signal
import tensorflow as tf

from triad_ml.model.serving import safety
from triad_ml.transforms.features import audio as features_audio
from triad_ml.transforms.features import spectra
from triad_ml.transforms.features.analyzers import Analysis, KnownAnalyzers
from triad_ml.transforms.media import audio as media_audio
from triad_ml.transforms.spec.modalities import AudioSpec

librosa = pytest.importorskip("librosa")

RATE = 16_000
PLUCK = Path(sysconfig.get_paths()["stdlib"]) / "test" / "audiodata" / "pluck-pcm16.wav"
"""Recorded guitar string that Python's own tests come with."""

Samples = npt.NDArray[np.float32]


def spec_of(**keys) -> AudioSpec:
    return AudioSpec(**{"sample_rate": RATE, "seconds": 1.0, "mel_bins": 40, **keys})


def fitted(samples: npt.NDArray[np.float64], spec: AudioSpec) -> Samples:
    """Samples of the spec's length, as 16-bit audio holds them."""
    padded = np.zeros(spec.samples)
    padded[: len(samples)] = samples[: spec.samples]
    return (np.round(padded * 32767) / 32768).astype(np.float32)


def sounds(spec: AudioSpec) -> Samples:
    """A chord, a sweep, noise, clicks, a faint tone beside a loud one, silence, and a recording."""
    times = np.arange(spec.samples) / spec.sample_rate
    chord = sum(0.2 * np.sin(2 * np.pi * hertz * times) for hertz in (220.0, 277.18, 329.63))
    sweep = 0.5 * scipy.signal.chirp(times, 50, times[-1], spec.sample_rate / 2)
    noise = 0.3 * np.random.default_rng(0).normal(size=spec.samples).clip(-3, 3)
    clicks = np.zeros(spec.samples)
    clicks[:: spec.sample_rate // 7] = 0.9
    faint = 0.8 * np.sin(2 * np.pi * 500 * times) + 1e-4 * np.sin(2 * np.pi * 1500 * times)
    made = [chord, sweep, noise, clicks, faint, np.zeros(spec.samples), chord[:3000]]
    if PLUCK.is_file():
        with wave.open(str(PLUCK)) as file:
            stored = np.frombuffer(file.readframes(file.getnframes()), "<i2")
            made.append(stored.reshape(-1, file.getnchannels()).mean(axis=1) / 32768)
    return np.stack([fitted(one, spec) for one in made])


def of_librosa(signal: Samples, spec: AudioSpec) -> npt.NDArray[np.float64]:
    """Features of one sound by librosa in double precision, time before features."""
    samples = signal.astype(np.float64)
    if spec.features == "chroma":
        padded = np.pad(samples, spectra.chroma_padding(spec))
        size = spectra.chroma_length(spec)
        keys = {"n_fft": size, "hop_length": spec.frame_step, "center": False, "tuning": 0.0}
        return librosa.feature.chroma_stft(y=padded, sr=spec.sample_rate, **keys).T
    # librosa cuts frames of n_fft samples, with the window in their middle.
    wider = spectra.fft_length(spec) - spec.frame_length
    keys = {
        "y": np.pad(samples, (wider // 2, wider - wider // 2)),
        "sr": spec.sample_rate,
        "n_fft": spectra.fft_length(spec),
        "win_length": spec.frame_length,
        "hop_length": spec.frame_step,
        "window": "hann",
        "center": False,
        "power": 2.0,
        "n_mels": spec.mel_bins,
        "fmin": 20.0,
        "fmax": spec.sample_rate / 2,
        "htk": spec.mel_scale == "htk",
    }
    if spec.features == "mfcc":
        return librosa.feature.mfcc(**keys, n_mfcc=spec.width, dct_type=2, norm="ortho").T
    return np.log(np.maximum(librosa.feature.melspectrogram(**keys), 1e-10)).T


@pytest.mark.parametrize("rate", [8_000, 16_000, 22_050])
@pytest.mark.parametrize(
    "keys",
    [
        {"mel_scale": "htk"},
        {"mel_scale": "slaney"},
        {"features": "mfcc"},
        {"features": "mfcc", "mel_scale": "htk", "mel_bins": 16},
        {"features": "chroma"},
    ],
    ids=lambda keys: "-".join(map(str, keys.values())),
)
def test_the_graph_computes_what_librosa_computes(keys, rate):
    spec = spec_of(sample_rate=rate, **{"mel_bins": 32, **keys})
    signals = sounds(spec)
    found = features_audio.frames_graph(tf.constant(signals), spec).numpy()
    assert found.shape == (len(signals), spec.frames, spec.width)
    for mine, signal in zip(found, signals, strict=True):
        np.testing.assert_allclose(mine, of_librosa(signal, spec), rtol=1e-4, atol=1e-4)


def test_mel_power_itself_is_that_of_librosa():
    spec = spec_of(mel_scale="slaney")
    signals = sounds(spec)
    found = spectra.mel_graph(tf.constant(signals), spec).numpy()
    for mine, signal in zip(found, signals, strict=True):
        wanted = np.exp(of_librosa(signal, spec))
        np.testing.assert_allclose(np.maximum(mine, 1e-10), wanted, rtol=1e-4, atol=0)


def test_mfcc_takes_the_slaney_scale_unless_the_spec_names_another():
    signals = tf.constant(sounds(spec_of()))
    slaney, default, htk = (
        spectra.mfcc_graph(signals, spec_of(features="mfcc", mel_scale=scale)).numpy()
        for scale in ("slaney", None, "htk")
    )
    np.testing.assert_array_equal(default, slaney)
    assert np.abs(default - htk).max() > 1


def test_log_mel_without_a_scale_is_what_it_was():
    signals = tf.constant(sounds(spec_of()))
    for keys in ({}, {"features": "log_mel"}):
        found = features_audio.frames_graph(signals, spec_of(**keys)).numpy()
        np.testing.assert_array_equal(
            found, features_audio.log_mel_graph(signals, spec_of()).numpy()
        )


def test_a_sounds_frames_do_not_depend_on_its_neighbours():
    spec = spec_of(features="mfcc")
    signals = np.tile(sounds(spec), (6, 1, 1)).reshape(-1, spec.samples)[:48]
    graph = tf.function(lambda given: features_audio.frames_graph(given, spec))
    order = np.random.default_rng(1).permutation(48)
    found = graph(tf.constant(signals)).numpy()
    np.testing.assert_array_equal(graph(tf.constant(signals[order])).numpy(), found[order])


SERVE = """
import json, sys
import numpy as np
import tensorflow as tf

loaded = tf.saved_model.load(sys.argv[1])
content = tf.constant([bytes.fromhex(one) for one in json.load(sys.stdin)])
np.save(sys.argv[2], loaded.features(content).numpy())
print(json.dumps(sorted({name.split(".")[0] for name in sys.modules})))
"""


@pytest.mark.parametrize("features", ["mfcc", "chroma"])
def test_a_saved_graph_computes_the_same_in_a_process_without_librosa(features, tmp_path):
    spec = spec_of(features=features)
    contents = [media_audio.encoded(one, spec.sample_rate) for one in sounds(spec)]
    known = KnownAnalyzers(Analysis({}, {"audio": ((0.5,) * spec.width, (2.0,) * spec.width)}))
    module = tf.Module()
    module.features = tf.function(
        lambda content: features_audio.audio_graph(content, spec, known),
        input_signature=[tf.TensorSpec([None], tf.string)],
    )
    tf.saved_model.save(module, str(tmp_path / "model"))
    safety.check_folder(tmp_path / "model")  # raises on an op that a model must not hold
    finished = subprocess.run(
        [sys.executable, "-c", SERVE, str(tmp_path / "model"), str(tmp_path / "found.npy")],
        input=json.dumps([one.hex() for one in contents]),
        env={**os.environ, "TF_CPP_MIN_LOG_LEVEL": "3"},
        capture_output=True,
        text=True,
        check=True,
    )
    assert {"librosa", "numba", "triad_ml"}.isdisjoint(json.loads(finished.stdout))
    np.testing.assert_array_equal(
        np.load(tmp_path / "found.npy"), module.features(tf.constant(contents)).numpy()
    )
