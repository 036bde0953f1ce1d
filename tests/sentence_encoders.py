"""Tiny universal sentence encoders: arrays as the package has them, and their exact vectors."""

import io
import json
import zipfile
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import sentencepiece

from triad_ml.pipelines.training import sentence_import
from triad_ml.transforms.encoders.texts import sentences
from triad_ml.transforms.files import safetensors

Arrays = dict[str, npt.NDArray[Any]]

CHUNKS, VECTORS, FILTERS, INNER, POOLED = 3, 16, 16, 32, 16
EPSILON = 1e-12
SPANS = {2: 0, 3: 1, 5: 2}
"""Numbers of pieces that convolutions read, with those of them before the own piece."""

SENTENCES = """
A frog sits on the green leaf of a lily.
Two old steam engines and a small train.
The queen's portrait in a blue oval, 1854.
Une grenouille est assise au bord de l'eau.
Le chat noir dort sur la vieille chaise.
Der kleine Hund läuft über die grüne Wiese.
""".strip().splitlines()


def pieces(size: int = 72) -> bytes:
    """A model file of SentencePiece that was trained on `SENTENCES`."""
    model = io.BytesIO()
    sentencepiece.SentencePieceTrainer.train(
        sentence_iterator=iter(SENTENCES * 20),
        model_writer=model,
        vocab_size=size,
        normalization_rule_name="nmt_nfkc",
        character_coverage=1.0,
        user_defined_symbols=["extra_token_id_1"],
        num_threads=1,
        minloglevel=2,
    )
    return model.getvalue()


def package_arrays(vocabulary: int = 72, seed: int = 0) -> Arrays:
    """Random arrays by the names of the package, large enough that every part matters."""
    generator = np.random.default_rng(seed)

    def random(*shape: int, scale: float = 0.4) -> npt.NDArray[np.float32]:
        return (scale * generator.standard_normal(shape)).astype(np.float32)

    assert vocabulary % CHUNKS == 0
    rows, wide = vocabulary // CHUNKS, VECTORS + len(SPANS) * FILTERS
    found: Arrays = {
        "scale": random(CHUNKS, scale=0.02),
        "lo": random(CHUNKS),
        "ln_g": 1 + random(wide, scale=0.1),
        "ln_b": random(wide, scale=0.1),
        "cnn_W": random(wide, VECTORS),
        "cnn_b": random(VECTORS),
        "d0": random(VECTORS, INNER),
        "d1": random(INNER, INNER),
        "p1": random(VECTORS, INNER),
        "d2": random(INNER, VECTORS),
        "p3": random(INNER, POOLED),
        "d3": random(VECTORS, POOLED),
        "eps": np.float64(EPSILON),
    }
    for chunk in range(CHUNKS):
        found[f"q{chunk + 1}"] = generator.integers(0, 64, (rows, VECTORS)).astype(np.uint8)
    for span in SPANS:
        found |= {
            f"proj{span}": random(VECTORS, FILTERS),
            f"proj_b{span}": random(FILTERS),
            f"ln_g{span}": 1 + random(FILTERS, scale=0.1),
            f"ln_b{span}": random(FILTERS, scale=0.1),
        }
        for number in (1, 2):
            found[f"w{number}_{span}"] = random(span * FILTERS, FILTERS)
            found[f"b{number}_{span}"] = random(FILTERS)
    return found


def wheel(path: Path, arrays: Arrays, model: bytes) -> Path:
    """Writes a wheel with the files of the package, and returns its path."""
    numbers = io.BytesIO()
    np.savez(numbers, **arrays)
    contents = (numbers.getvalue(), model, b"Apache License")
    with zipfile.ZipFile(path, "w") as archive:
        for name, content in zip(sentence_import.DIGESTS, contents, strict=True):
            archive.writestr(name, content)
    return path


def write(folder: Path, seed: int = 0) -> Path:
    """Writes the folder of an encoder, and returns it."""
    config, arrays = sentence_import.converted(package_arrays(seed=seed))
    tokenizer = sentence_import.tokenizer_json(sentence_import.model_file(pieces()))
    folder.mkdir(parents=True)
    (folder / "config.json").write_text(json.dumps(sentences.fields(config)))
    (folder / "tokenizer.json").write_text(json.dumps(tokenizer, ensure_ascii=False))
    safetensors.write(folder / "model.safetensors", arrays, {})
    return folder


def reference(
    arrays: Arrays, ids: list[int]
) -> tuple[npt.NDArray[np.float64], npt.NDArray[np.float64]]:
    """Vectors of the pieces of one text, and that of the text, in double precision."""
    numbers = {name: one.astype(np.float64) for name, one in arrays.items()}
    words = np.stack(
        [
            numbers[f"q{number % CHUNKS + 1}"][number // CHUNKS] * numbers["scale"][number % CHUNKS]
            + numbers["lo"][number % CHUNKS]
            for number in ids
        ]
    )

    def joined(name: str) -> npt.NDArray[np.float64]:
        return np.concatenate([numbers[f"{name}{span}"] for span in SPANS], axis=-1)

    projected = _normalized(
        words @ joined("proj") + joined("proj_b"), joined("ln_g"), joined("ln_b")
    )
    parts = [words]
    for place, (span, before) in enumerate(SPANS.items()):
        values = projected[:, place * FILTERS : (place + 1) * FILTERS]
        for number in (1, 2):
            padded = np.pad(values, [(before, span - 1 - before), (0, 0)])
            windows = np.stack([padded[at : at + span].ravel() for at in range(len(ids))])
            convolved = windows @ numbers[f"w{number}_{span}"] + numbers[f"b{number}_{span}"]
            values = np.maximum(convolved, 0) + values
        parts.append(values)
    states = _normalized(np.concatenate(parts, axis=1), numbers["ln_g"], numbers["ln_b"])
    mean = (states @ numbers["cnn_W"] + numbers["cnn_b"]).sum(axis=0) / len(ids) ** 0.5
    first = np.maximum(mean @ numbers["d0"], 0)
    second = np.maximum(mean @ numbers["p1"] + first @ numbers["d1"], 0)
    third = np.maximum(second @ numbers["d2"], 0)
    vector = np.tanh(second @ numbers["p3"] + third @ numbers["d3"])
    return states, vector / np.sqrt((vector**2).sum())


def _normalized(
    values: npt.NDArray[np.float64],
    gamma: npt.NDArray[np.float64],
    beta: npt.NDArray[np.float64],
) -> npt.NDArray[np.float64]:
    centred = values - values.mean(axis=1, keepdims=True)
    deviation = np.sqrt((centred**2).mean(axis=1, keepdims=True) + EPSILON)
    return centred / deviation * gamma + beta
