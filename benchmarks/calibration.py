r"""Benchmark of calibration: the expected calibration error of sentiment before and after scaling.

    python -m benchmarks.calibration --sentences CACHE/vaderSentiment-0.5.zip

The sentences are those of `benchmarks.sentiment`. A third of them trains the network, and another
third is held out in whole groups, one review each. Half of the held-out sentences are the eval
split, which determines the temperature and nothing else, because the last epoch is kept; the other
half are the test split, by which both errors are measured. The network learns for long and with
little dropout, so that it is too sure; --epochs 6 --dropout 0.5 are the settings of
`benchmarks.sentiment`. A treatment of rare classes (--imbalance) shifts the probabilities of
classes, which no temperature mends.
"""

import argparse
import json
import tempfile
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from benchmarks import joint_data, sentiment, tagging
from benchmarks.held_out import held_out, splits
from triad_ml.pipelines.runtime import environment

SPEC: Mapping[str, Any] = {
    **sentiment.SPEC,
    "tasks": {"sentiment": {"kind": "classification", "label": "sentiment"}},
    "training": {**sentiment.SPEC["training"], "best_by": "last"},
}


def main() -> None:
    """Runs the benchmark, and prints the figures of each seed."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    parser.add_argument("--sentences", type=Path, required=True)
    parser.add_argument("--seeds", type=int, nargs="+", default=[0])
    parser.add_argument("--imbalance", default="none", help="treatment of rare classes")
    parser.add_argument("--epochs", type=int, default=15, help="number of epochs")
    parser.add_argument("--dropout", type=float, default=0.1, help="dropout of the network")
    parser.add_argument("--folder", type=Path, help="folder for the results; default: temporary")
    arguments = parser.parse_args()
    environment.prepare()
    folder = arguments.folder or Path(tempfile.mkdtemp(prefix="triad-calibration-"))
    rows = list(joint_data.sentiment(arguments.sentences))
    spec = {
        **SPEC,
        "tasks": {"sentiment": {**SPEC["tasks"]["sentiment"], "imbalance": arguments.imbalance}},
        "model": {**SPEC["model"], "dropout": arguments.dropout},
        "training": {**SPEC["training"], "epochs": arguments.epochs},
    }
    print("seed  records  accuracy  temperature  ECE before  ECE after")
    for seed in arguments.seeds:
        output = folder / str(seed)
        tagging.trained(spec, third(rows, seed), seed, output)
        document = json.loads((output / "model" / "evaluation.json").read_text(encoding="utf-8"))
        evaluated = document["splits"]["test"]["tasks"]["sentiment"]
        whole, found = evaluated["as recorded"], evaluated["temperature"]
        print(
            f"{seed:4}  {whole['n']:7}  {whole['accuracy']['value']:8.3f}  {found['value']:11.3f}  "
            f"{found['ece_before']:10.4f}  {whole['calibration']['ece']:9.4f}",
            flush=True,
        )


def third(rows: list[dict[str, Any]], seed: int) -> list[dict[str, Any]]:
    """Returns the held-out sentences, and as many that the network learns from."""
    split_of = splits(rows, seed, len(rows) // 6, len(rows) // 6)
    rest = [row for row in rows if split_of[row["id"]] == "train"]
    learned = held_out(rest, seed + 1, len(rows) // 3)
    return [
        {**row, "split": split_of[row["id"]]}
        for row in rows
        if split_of[row["id"]] != "train" or row["id"] in learned
    ]


if __name__ == "__main__":
    main()
