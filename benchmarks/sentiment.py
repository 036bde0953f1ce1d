r"""Whether sentences are kind: a model trained from scratch, beside the package vaderSentiment.

    pip download --no-deps --no-binary :all: -d CACHE vaderSentiment==0.5
    pip install --no-deps vaderSentiment==3.3.2
    python -m benchmarks.sentiment --sentences CACHE/vaderSentiment-0.5.zip

The sentences, which people rated, are in the source archive of an old version; the newest version,
which is needed here alone, says its rating of each sentence. Each seed holds out a fifth by whole
groups, one review each; the last epoch counts. The package's compound score is read with the bounds
that its documentation names, and with those that are best on the sentences which the model has for
training.
"""

import argparse
import json
import tempfile
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from benchmarks import joint_data, seeds, tagging
from benchmarks.held_out import held_out
from triad_ml.pipelines.runtime import environment

TASK = {"kind": "classification", "label": "sentiment", "imbalance": "class_weights"}
SPEC: Mapping[str, Any] = {
    "modalities": {"text": {"vocabulary": 12000, "length": 48, "spelling": 20000}},
    "tasks": {"sentiment": TASK},
    "model": {"dim": 96, "text_dim": 64, "dropout": 0.5},
    "training": {"epochs": 6, "patience": 6, "batch_size": 64, "learning_rate": 0.001},
}
BOUNDS = (-0.05, 0.05)
"""From where on a compound score is positive, and up to where it is negative."""


def main() -> None:
    """Measures, and prints each seed's figures and their medians."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    parser.add_argument("--sentences", type=Path, required=True)
    parser.add_argument("--seeds", type=int, nargs="+", default=[0, 1, 2])
    parser.add_argument("--folder", type=Path, help="keeps what is made; a temporary one if absent")
    parser.add_argument("--inner", action="store_true", help="to choose settings by; see tagging")
    arguments = parser.parse_args()
    environment.prepare()
    folder = arguments.folder or Path(tempfile.mkdtemp(prefix="triad-sentiment-"))
    rows = list(joint_data.sentiment(arguments.sentences))
    measured = []
    for seed in arguments.seeds:
        tested = held_out(rows, seed, len(rows) // 5)
        split = [{**row, "split": "test" if row["id"] in tested else "train"} for row in rows]
        if arguments.inner:
            split = tagging.inner_part(split, seed)
        figures = tagging.trained(SPEC, split, seed, folder / f"sentiment-{seed}")
        measured.append({**figures, **rated(split)})
        print(json.dumps({"seed": seed, "figures": measured[-1]}), flush=True)
    seeds.show("sentiment", measured)


def rated(rows: Sequence[Mapping[str, Any]]) -> seeds.Figures:
    """Macro-F1 of the package on the test split, with both pairs of bounds."""
    from sklearn.metrics import f1_score
    from vaderSentiment.vaderSentiment import SentimentIntensityAnalyzer

    say = SentimentIntensityAnalyzer().polarity_scores
    compound = np.array([say(row["text"])["compound"] for row in rows])
    truth = np.array([row["labels"]["sentiment"] for row in rows])
    tested = np.array([row["split"] == "test" for row in rows])

    def score(of: Any, low: float, high: float) -> float:
        scores = compound[of]
        said = np.where(scores >= high, "positive", np.where(scores <= low, "negative", "neutral"))
        return float(f1_score(truth[of], said, average="macro"))

    places = np.round(np.arange(-0.6, 0.65, 0.05), 2)
    pairs = [(low, high) for low in places for high in places if low < high]
    best = max(pairs, key=lambda pair: score(~tested, *pair))
    return {
        "vaderSentiment": score(tested, *BOUNDS),
        "vaderSentiment, fitted": score(tested, *best),
    }


if __name__ == "__main__":
    main()
