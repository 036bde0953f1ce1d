"""Parity of random records: equal features, bit for bit, in preprocessing, scoring and serving.

T12: hypothesis draws the records; some of their media are broken, or of odd forms.
"""

import base64
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from tests import media, records
from tests.printed import shown
from tests.reliability import mutants, seed_media
from triad_ml.model.serving import bundle, scorer
from triad_ml.pipelines.verification import run as verification_run
from triad_ml.pipelines.verification.config import ParityConfig
from triad_ml.transforms.media.canonicalize import Canonicalizer
from triad_ml.transforms.records.values import MODALITIES, CanonicalRecord, RawRecord

COUNT = 500
SERVER = """
import sys
import numpy as np
import tensorflow as tf
loaded = tf.saved_model.load(sys.argv[1])
features = loaded.signatures["features"]
given = np.load(sys.argv[2], allow_pickle=False)
contents = {name: [one.tobytes() for one in np.split(given[name], given[f"{name}_ends"])[:-1]]
            for name in ("image", "audio", "text")}
size = int(sys.argv[4])
found = {}
for start in range(0, len(contents["image"]), size):
    rows = {name: values[start : start + size] for name, values in contents.items()}
    count = len(rows["image"])
    filled = {name: tf.constant(values + [b""] * (size - count)) for name, values in rows.items()}
    for name, values in features(**filled).items():
        values = values.numpy()
        if values.dtype == object:
            values = np.stack([np.frombuffer(one, np.uint8) for one in values])
        found.setdefault(name, []).append(values[:count])
np.savez(sys.argv[3], **{name: np.concatenate(values) for name, values in found.items()})
"""


def pictures() -> st.SearchStrategy[bytes]:
    seeds = list(seed_media.seeds("image").values())
    side = st.integers(1, 90)
    return st.one_of(
        st.sampled_from(seeds),
        mutants.strategy(seeds),
        st.builds(media.jpeg, side, side, st.integers(0, 99), st.sampled_from(("RGB", "L"))),
        st.builds(media.png, st.sampled_from(("RGB", "RGBA", "L", "P", "1")), side, side),
    )


def sounds() -> st.SearchStrategy[bytes]:
    seeds = list(seed_media.seeds("audio").values())
    return st.one_of(
        st.sampled_from(seeds),
        mutants.strategy(seeds),
        st.builds(
            media.wav,
            st.sampled_from((8_000, 16_000, 44_100)),
            st.floats(0.01, 1.5),
            st.integers(1, 2),
            st.sampled_from(("PCM_16", "PCM_24", "FLOAT")),
            st.integers(0, 99),
        ),
    )


def texts() -> st.SearchStrategy[str]:
    return st.one_of(
        st.text(max_size=200),
        st.lists(st.sampled_from("the fan pump rattles hums 42 é 字 ! \n".split(" "))).map(
            " ".join
        ),
    )


def drawn() -> list[dict[str, Any]]:
    """The same `COUNT` records in every run: most have something to read, many something broken."""
    found: list[dict[str, Any]] = []

    @settings(
        max_examples=COUNT,
        derandomize=True,
        database=None,
        deadline=None,
        suppress_health_check=list(HealthCheck),
    )
    @given(st.none() | pictures(), st.none() | sounds(), st.none() | texts())
    def draw(image: bytes | None, audio: bytes | None, text: str | None) -> None:
        inline = {"image": image, "audio": audio}
        found.append(
            {
                "id": f"r{len(found):03d}",
                "text": text,
                **{
                    name: {"base64": base64.b64encode(content).decode()}
                    for name, content in inline.items()
                    if content is not None
                },
            }
        )

    draw()
    return found


@pytest.fixture(scope="module")
def corpus(tmp_path_factory: pytest.TempPathFactory) -> Path:
    found = drawn()
    assert len(found) == COUNT
    return records.write_lines(tmp_path_factory.mktemp("any") / "records.jsonl", found)


@pytest.fixture(scope="module")
def canonical(corpus: Path, trained: Path) -> list[CanonicalRecord]:
    made = Canonicalizer(bundle.load(trained).spec, check=True)
    outcomes = [made.canonical(one) for one in records.read(corpus) if isinstance(one, RawRecord)]
    assert len(outcomes) == COUNT
    kept = [one for one in outcomes if isinstance(one, CanonicalRecord)]
    assert COUNT // 2 < len(kept) < COUNT
    assert any(one.issues for one in kept)
    return kept


def test_preprocessing_serving_and_scoring_agree_bit_for_bit(
    corpus: Path,
    canonical: list[CanonicalRecord],
    trained: Path,
    capsys: pytest.CaptureFixture[str],
) -> None:
    assert verification_run.parity(ParityConfig(str(trained), (str(corpus),), tolerance=0.0))
    rows = shown(capsys.readouterr().out)
    assert rows == dict.fromkeys(rows, [str(len(canonical)), "0", "0", "equal"])
    assert {"id", "image", "audio", "text", "category/score"} < rows.keys()


def test_a_process_with_tensorflow_alone_gives_the_same_features(
    canonical: list[CanonicalRecord], trained: Path, tmp_path: Path
) -> None:
    model = bundle.load(trained)
    given_path, found_path = tmp_path / "given.npz", tmp_path / "found.npz"
    np.savez(given_path, **{k: v for name in MODALITIES for k, v in _joined(canonical, name)})
    arguments = [str(model.saved_model), str(given_path), str(found_path), str(model.batch_size)]
    subprocess.run(
        [sys.executable, "-I", "-c", SERVER, *arguments], check=True, capture_output=True
    )
    found = np.load(found_path, allow_pickle=False)
    loaded = scorer.load_scorer(str(trained), model.model_digest, False)
    for start in range(0, len(canonical), model.batch_size):
        batch = canonical[start : start + model.batch_size]
        mine = loaded.features(batch)
        assert mine.keys() == set(found.files)
        for name, values in mine.items():
            if values.dtype == object:
                values = np.stack([np.frombuffer(one, np.uint8) for one in values])
            np.testing.assert_array_equal(found[name][start : start + len(batch)], values, name)


def _joined(canonical: list[CanonicalRecord], name: str) -> list[tuple[str, Any]]:
    """One array of all bytes, and one of where each record's end."""
    contents = [getattr(one, name) for one in canonical]
    ends = np.cumsum([len(content) for content in contents])
    return [(name, np.frombuffer(b"".join(contents), np.uint8)), (f"{name}_ends", ends)]
