r"""Benchmark of sentiment: a model trained from scratch against the package vaderSentiment.

    pip download --no-deps --no-binary :all: -d CACHE vaderSentiment==0.5
    pip install --no-deps vaderSentiment==3.3.2
    python -m benchmarks.sentiment --sentences CACHE/vaderSentiment-0.5.zip

The sentences with human ratings are in the source archive of an old version of the package. Its
newest version, which only this benchmark needs, rates each sentence. Each seed holds out a fifth of
the sentences in whole groups, one review each; the last epoch is evaluated. The package's compound
score becomes a class by the thresholds of its documentation, and by those that are best on the
model's training sentences.
"""

import argparse
import json
import tempfile
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from benchmarks import encoder, joint_data, seeds, tagging
from benchmarks.held_out import held_out

TASK = {"kind": "classification", "label": "sentiment", "imbalance": "class_weights"}
SPEC: Mapping[str, Any] = {
    "modalities": {"text": {"vocabulary": 12000, "length": 48, "spelling": 20000}},
    "tasks": {"sentiment": TASK},
    "model": {"recipe": "network", "dim": 96, "text_dim": 64, "dropout": 0.5},
    "training": {"epochs": 6, "patience": 6, "batch_size": 64, "learning_rate": 0.001},
}
ENCODED: Mapping[str, Any] = {
    "model": {"dim": 128, "dropout": 0.1},
    "training": {
        **{"epochs": 3, "patience": 3, "batch_size": 32, "augment": False},
        **{"learning_rate": 0.001, "fine_tune_rate": 0.05},
    },
}
"""Sections of SPEC with a pretrained text encoder; see benchmarks.encoder."""

BOUNDS = (-0.05, 0.05)
"""Thresholds of the compound score: negative up to the first, positive from the second on."""


def main() -> None:
    """Runs the benchmark, and prints each seed's figures and their medians."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    parser.add_argument("--sentences", type=Path, required=True)
    parser.add_argument("--seeds", type=int, nargs="+", default=[0, 1, 2])
    parser.add_argument(
        "--folder", type=Path, help="folder for the results; default: a temporary one"
    )
    parser.add_argument("--inner", action="store_true", help="choose settings; see tagging")
    encoder.add_arguments(parser)
    arguments = parser.parse_args()
    spec = encoder.specs({"sentiment": SPEC}, {"sentiment": ENCODED}, arguments)["sentiment"]
    encoder.prepare(arguments)
    folder = arguments.folder or Path(tempfile.mkdtemp(prefix="triad-sentiment-"))
    rows = list(joint_data.sentiment(arguments.sentences))
    measured = []
    for seed in arguments.seeds:
        tested = held_out(rows, seed, len(rows) // 5)
        split = [{**row, "split": "test" if row["id"] in tested else "train"} for row in rows]
        if arguments.inner:
            split = tagging.inner_part(split, seed)
        figures = tagging.trained(spec, split, seed, folder / f"sentiment-{seed}")
        measured.append({**figures, **rated(split)})
        print(json.dumps({"seed": seed, "figures": measured[-1]}), flush=True)
    seeds.show("sentiment", measured)


def rated(rows: Sequence[Mapping[str, Any]]) -> seeds.Figures:
    """Returns the macro-F1 of the package on the test split, with both pairs of thresholds."""
    from sklearn.metrics import f1_score
    from vaderSentiment.vaderSentiment import SentimentIntensityAnalyzer

    rate = SentimentIntensityAnalyzer().polarity_scores
    compound = np.array([rate(row["text"])["compound"] for row in rows])
    truth = np.array([row["labels"]["sentiment"] for row in rows])
    tested = np.array([row["split"] == "test" for row in rows])

    def score(mask: Any, low: float, high: float) -> float:
        scores = compound[mask]
        not_positive = np.where(scores <= low, "negative", "neutral")
        predicted = np.where(scores >= high, "positive", not_positive)
        return float(f1_score(truth[mask], predicted, average="macro"))

    thresholds = np.round(np.arange(-0.6, 0.65, 0.05), 2)
    pairs = [(low, high) for low in thresholds for high in thresholds if low < high]
    best = max(pairs, key=lambda pair: score(~tested, *pair))
    return {
        "vaderSentiment": score(tested, *BOUNDS),
        "vaderSentiment, fitted": score(tested, *best),
    }


if __name__ == "__main__":
    main()
