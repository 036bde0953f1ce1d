"""Seeded builders of the report's inputs: model folder, records with media, published scores."""

import csv
import io
import json
import wave
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image

from triad_ml.model.evaluation import document as evaluation_document
from triad_ml.model.serving import bundle
from triad_ml.pipelines.publishing import publish
from triad_ml.pipelines.tables.columns import COLUMNS
from triad_ml.transforms.records.values import (
    Position,
    Prediction,
    Provenance,
    Reason,
    Rejected,
    Scored,
)
from triad_ml.transforms.spec import split
from triad_ml.transforms.spec.spec import Spec

DATE = "2026-11-24"
HISTORY = [
    {
        "epoch": epoch,
        "loss": 2.2 * 0.86**epoch,
        "eval_loss": 2.3 * 0.9**epoch + max(0, epoch - 14) * 0.05,
        "category_accuracy": 1 - 0.8 * 0.9**epoch,
        "learning_rate": 0.001,
        "seconds": 4.5,
    }
    for epoch in range(1, 25)
]


def png(seed: int, size: int = 40) -> bytes:
    """Returns a small image of one colour with a square in it."""
    colour = tuple(int(c) for c in np.random.default_rng(seed).integers(0, 256, 3))
    picture = Image.new("RGB", (size, size), colour)
    picture.paste((255, 255, 255), (size // 4, size // 4, size // 2, size // 2))
    content = io.BytesIO()
    picture.save(content, "PNG")
    return content.getvalue()


def wav(seed: int, rate: int = 16_000, seconds: float = 0.2) -> bytes:
    """Returns a tone as a 16-bit mono WAV file."""
    times = np.arange(round(rate * seconds)) / rate
    tone = np.sin(2 * np.pi * (220 + 20 * seed) * times) * 12_000
    content = io.BytesIO()
    with wave.open(content, "wb") as file:
        file.setparams((1, 2, rate, 0, "NONE", ""))
        file.writeframes(tone.astype("<i2").tobytes())
    return content.getvalue()


def write_records(folder: Path, records: Sequence[Mapping[str, Any]]) -> str:
    """Writes a JSONL file of records; media given as bytes are written beside it."""
    folder.mkdir(parents=True, exist_ok=True)
    lines = []
    for index, record in enumerate(records):
        row = dict(record)
        for name, suffix in (("image", "png"), ("audio", "wav")):
            if isinstance(row.get(name), bytes):
                path = folder / f"{index}.{suffix}"
                path.write_bytes(row[name])
                row[name] = path.name
        lines.append(json.dumps(row, ensure_ascii=False))
    path = folder / "records.jsonl"
    path.write_text("\n".join(lines) + "\n", encoding="utf-8")
    return str(path)


def model_folder(
    folder: Path,
    spec: Spec,
    classes: Mapping[str, Sequence[str]],
    document: Mapping[str, Any] | None,
    *,
    history: Sequence[Mapping[str, Any]] = HISTORY,
    data_manifest: Mapping[str, Any] | None = None,
    about: Mapping[str, Any] | None = None,
) -> Path:
    """Writes a folder like that of `triad train`, but without the SavedModel."""
    folder.mkdir(parents=True)
    (folder / bundle.ANALYSIS).write_text("{}")
    (folder / bundle.PARTS).parent.mkdir(parents=True)
    parts = bundle.parts(spec.digest(), classes, "f" * 64)
    (folder / bundle.PARTS).write_text(json.dumps(parts))
    if document is not None:
        (folder / bundle.EVALUATION).write_text(json.dumps(document, allow_nan=False))
    if data_manifest is not None:
        (folder / bundle.DATA_MANIFEST).write_text(json.dumps(data_manifest))
    if history:
        with (folder / bundle.HISTORY).open("w", newline="") as file:
            writer = csv.DictWriter(file, list(history[0]))
            writer.writeheader()
            writer.writerows(history)
    files = bundle.file_digests(folder)
    whole = {
        "spec": json.loads(spec.to_json()),
        "classes": {name: list(names) for name, names in classes.items()},
        "batch_size": 32,
        "digests": {"model": bundle.model_digest(files, 32), "transform": "f" * 64},
        "versions": {"keras": "3.15.1", "tensorflow": "2.21.0"},
        "files": files,
        "told": bundle.told_digests(folder),
        **(about or {}),
    }
    (folder / bundle.ABOUT).write_text(json.dumps(whole))
    return folder


def probabilities(
    truth: Sequence[int], num_classes: int, strength: float, seed: int = 0
) -> np.ndarray:
    """Returns logits, float32 `[n, classes]`: noise, and the true class times `strength`."""
    generator = np.random.default_rng(seed)
    logits = generator.normal(size=(len(truth), num_classes))
    logits[np.arange(len(truth)), truth] += strength
    shares = np.exp(logits)
    return (shares / shares.sum(axis=1, keepdims=True)).astype(np.float32)


def document(
    spec: Spec, classes: Mapping[str, Sequence[str]], n: int = 120, seed: int = 0
) -> dict[str, Any]:
    """Returns an evaluation document in which each further modality improves the metrics."""
    generator = np.random.default_rng(seed)
    tasks = {}
    for name, task in spec.tasks.items():
        c = len(classes[name])
        truth = generator.integers(0, c, n)
        subsets = list(evaluation_document.masks(spec.modalities.names))

        def drawn(
            strength: float, truth: np.ndarray = truth, c: int = c, sets: bool = task.multi_label
        ) -> np.ndarray:
            shares = probabilities(truth, c, strength, seed)
            return np.sqrt(shares) if sets else shares

        tasks[name] = evaluation_document.evaluate_task(
            task,
            classes[name],
            np.eye(c)[truth] if task.multi_label else truth,
            drawn(3.6),
            {subset: drawn(1.0 + 0.9 * len(subset.split("+"))) for subset in subsets},
            np.arange(n) % 5 > 0,
            resamples=200,
        )
    return evaluation_document.document({"test": tasks})


def publish_scores(
    output: Path,
    model: Path,
    scored: Sequence[Scored],
    rejected: Sequence[Rejected] = (),
    *,
    date: str = DATE,
    model_digest: str | None = None,
    format: Any = "parquet",
) -> publish.Manifest:
    """Publishes scores of one unit as `triad score` does."""
    loaded = bundle.load(model)
    settings = publish.ScoreSchema(
        {
            name: COLUMNS[task.kind].of(task, loaded.classes[name], ())
            for name, task in loaded.spec.tasks.items()
        },
        Provenance(
            model_digest or loaded.model_digest,
            loaded.transform_digest,
            loaded.spec.digest(),
            "c" * 64,
            "0",
        ),
        format=format,
    )
    run = publish.RunFolder(str(output), date, "ab" * 12)
    start = publish.begin(run)
    publish.commit_unit(run, 0, scored, rejected, len(scored) + len(rejected), settings)
    manifest = publish.seal(run, 1, publish.Gates(1.0), settings, {})
    publish.publish(run, start.current)
    return manifest


def prediction(
    shares: Sequence[float], classes: Sequence[str], *, multi_label: bool = False
) -> Prediction:
    """Returns a prediction with these probabilities."""
    distribution = np.asarray(shares, np.float32)
    score = float(distribution.max())
    if multi_label:
        chosen = tuple(c for c, p in zip(classes, shares, strict=True) if p >= 0.5)
        return Prediction(chosen, score, distribution)
    return Prediction(classes[int(distribution.argmax())], score, distribution)


def scored(
    record_id: str,
    predictions: Mapping[str, Prediction],
    *,
    offset: int = 0,
    used: tuple[str, ...] = ("image", "audio", "text"),
    issues: tuple[str, ...] = (),
) -> Scored:
    """Returns a scored record."""
    return Scored(record_id, Position("records.jsonl", offset), predictions, used, issues)


def rejected(record_id: str, reason: Reason, offset: int) -> Rejected:
    """Returns a rejected record."""
    return Rejected(
        record_id, Position("records.jsonl", offset), "canonicalize", reason, str(reason)
    )


def split_of(record: Mapping[str, Any], spec: Spec) -> str:
    """Returns the split of a record of a records file."""
    return split.split_of(record["id"], record.get("group"), record.get("split"), spec.split)
