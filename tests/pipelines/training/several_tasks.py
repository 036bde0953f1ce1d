"""Records of several data sets, each with tasks of its own, and a model that learns them all."""

from pathlib import Path
from typing import Any

from tests import records
from triad_ml.pipelines.preprocessing import run as preprocessing_run
from triad_ml.pipelines.preprocessing.config import PreprocessConfig
from triad_ml.pipelines.training import run as training_run
from triad_ml.pipelines.training.config import TrainConfig

SPEC = """
modalities: {text: {tokens: character, vocabulary: 40, length: 14}}
tasks:
  weather: {kind: classification, label: weather}
  mood: {kind: classification, label: mood}
  loud: {kind: classification, label: loud, imbalance: focal}
  marks: {kind: classification, label: marks, multi_label: true, thresholds: f1}
  plain: {kind: classification, label: marks, multi_label: true}
mixture: {by: shelf, temperature: TEMPERATURE}
model: {recipe: network, dim: 8, text_dim: 8, fusion: attention}
training: {epochs: 2, batch_size: 8, task_weights: uncertainty}
split: {by: id, train: 0.4, eval: 0.3, test: 0.3}
"""
SIZES = {"big": 60, "small": 20}
SETS = (["frequent"], ["frequent", "rare"], ["frequent"], [], ["frequent", "seldom"], ["frequent"])
TEXTS = [f"one {word}" for word in ("dog", "cat", "cow", "bee", "owl", "pig")]
WITH_SETS = 96
FILES = (*SIZES, "sets")


def make(folder: Path) -> None:
    """Writes the records and the spec, preprocesses and trains."""
    for shelf in SIZES:
        records.write_lines(folder / f"{shelf}.jsonl", lines(shelf))
    records.write_lines(folder / "sets.jsonl", [with_set(one) for one in range(WITH_SETS)])
    prepare(folder, folder / "data", temperature=0)
    training_run.run(TrainConfig(str(folder / "data"), str(folder / "model")))


def prepare(folder: Path, output: Path, temperature: float) -> None:
    """Preprocesses the records of a folder by a spec that is written beside the output."""
    spec = output.parent / "spec.yaml"
    spec.write_text(SPEC.replace("TEMPERATURE", str(temperature)))
    preprocessing_run.run(PreprocessConfig(str(spec), inputs_in(folder), str(output)))


def inputs_in(folder: Path) -> tuple[str, ...]:
    return tuple(str(folder / f"{name}.jsonl") for name in FILES)


def lines(shelf: str) -> list[dict[str, Any]]:
    """Records of one shelf: all have the label `loud`, and each shelf one that the other lacks."""
    task, signs = {"big": ("weather", ("sun", "rain")), "small": ("mood", ("glad", "sad"))}[shelf]
    return [
        {
            "id": f"{shelf}-{place}",
            "text": f"today {signs[place % 2]} {'!' if place % 3 else '.'}",
            "labels": {task: signs[place % 2], "loud": str(bool(place % 3))},
            "shelf": shelf,
        }
        for place in range(SIZES[shelf])
    ]


def with_set(index: int) -> dict[str, Any]:
    """A record of a third shelf, with a set of classes."""
    split = ("train", "train", "eval", "test")[index // 6 % 4]
    own = {"marks": SETS[index % 6]}
    return {
        "id": f"r{index}",
        "text": TEXTS[index % 6],
        "labels": own,
        "split": split,
        "shelf": "sets",
    }
