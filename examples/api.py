"""Training, publishing and scoring from Python, in a folder with `spec.yaml` and `records/`.

Run as `python examples/api.py FOLDER`. A second run neither trains nor publishes again.
`python examples/generated.py --out FOLDER/records` generates records for a first try.
"""

import json
import os
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import triad_ml

DATE = "2026-11-24"


def publish(folder: Path) -> triad_ml.Published:
    """Prepares data, trains a model and publishes scores of the same records.

    Args:
        folder: Folder with `spec.yaml` and `records/*.jsonl`.
    """
    spec, inputs = f"{folder}/spec.yaml", [f"{folder}/records/*.jsonl"]
    prepared, model = f"{folder}/prepared", f"{folder}/model"
    triad_ml.preprocess(spec=spec, inputs=inputs, output=prepared, shards=2)
    triad_ml.train(data=prepared, output=model)
    return triad_ml.score(model=model, inputs=inputs, output=f"{folder}/scores", date=DATE)


def rows(folder: Path) -> Iterator[dict[str, Any]]:
    """Yields the records as dicts; any other source of dicts would do."""
    for path in sorted(folder.glob("records/*.jsonl")):
        with open(path, encoding="utf-8") as lines:
            yield from map(json.loads, lines)


def main(folder: str) -> None:
    root = Path(folder)
    published = publish(root)
    print("published:", os.path.relpath(published.manifest_uri, folder))
    counts = triad_ml.read_manifest(f"{folder}/scores", DATE).counts
    print("scored:", counts["scored"], "rejected:", counts["rejected"])

    table = triad_ml.read_scores(f"{folder}/scores", DATE, columns=["id", "category"])
    frame = table.flatten().to_pandas()
    print(frame["category.label"].value_counts().to_string())

    model = triad_ml.load_model(root / "model", media_roots=[root / "records"])
    for outcome in model.score(rows(root)):
        if isinstance(outcome, triad_ml.Rejected):
            print(outcome.id, "is rejected:", outcome.reason)
    alone = model.score({"id": "mine", "text": "Something rattles in the yard since Monday."})
    if isinstance(alone, triad_ml.Scored):
        prediction = alone.predictions["category"]
        print(alone.id, "by its text alone:", prediction)


if __name__ == "__main__":
    main(sys.argv[1])
