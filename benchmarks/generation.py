"""Benchmark of generation: logical forms of commands, and translation of stamps.

    python examples/stamps.py --out STAMPS --cache CACHE
    python -m benchmarks.generation --stamps STAMPS/records.jsonl --commands COMMANDS.jsonl

Records are in Triad's format; those of the commands have a text and the label `logical_form`, and
may be compressed with gzip. Each seed has a separate split by group and a training from scratch. Of
the commands, 700 are the test split and 700 others the eval split; of the stamps, a tenth each. The
figures are of the test split, by which nothing is chosen. The baseline of the translation copies
the translation of the training sentence with the most similar characters (n-grams of 1 to 4,
tf-idf, cosine). With --text-encoder and --text-weights the translation also has a pretrained
encoder of the source.
"""

import argparse
import gzip
import json
import tempfile
import time
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import yaml

from benchmarks import encoder, held_out, seeds
from benchmarks.seeds import Figures

HELD_OUT = 700
"""Number of commands in the test split, and in the eval split."""

EXAMPLES = Path(__file__).resolve().parents[1] / "examples"


def main() -> None:
    """Runs the benchmark, and prints each seed's figures and a table of their medians."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    parser.add_argument("--commands", type=Path)
    parser.add_argument("--stamps", type=Path)
    parser.add_argument("--seeds", type=int, nargs="+", default=[0, 1, 2])
    parser.add_argument(
        "--folder", type=Path, help="folder for the results; default: a temporary one"
    )
    encoder.add_arguments(parser)
    arguments = parser.parse_args()
    plain = {name: _spec(name) for name in ("commands", "translation")}
    encoded = {"translation": {"model": plain["translation"]["model"]}}
    specs = encoder.specs(plain, encoded, arguments)
    encoder.prepare(arguments)
    folder = arguments.folder or Path(tempfile.mkdtemp(prefix="triad-generation-"))
    chosen = {"commands": arguments.commands, "translation": arguments.stamps}
    for name, records in chosen.items():
        if records is None or name not in specs:
            continue
        measured = []
        for seed in arguments.seeds:
            output = folder / f"{name}-{seed}"
            measured.append(measure(name, records, seed, output, specs[name]))
            print(json.dumps({"task": name, "seed": seed, "figures": measured[-1]}), flush=True)
        seeds.show(name, measured)


def measure(
    name: str, records: Path, seed: int, folder: Path, described: Mapping[str, Any] | None = None
) -> Figures:
    """Trains and returns the figures of the test split; finished steps in the folder are reused.

    The spec is that of the examples if None.
    """
    from triad_ml.pipelines.preprocessing import run as preprocessing_run
    from triad_ml.pipelines.preprocessing.config import PreprocessConfig
    from triad_ml.pipelines.training import run as training_run
    from triad_ml.pipelines.training.config import TrainConfig

    folder.mkdir(parents=True, exist_ok=True)
    spec, data, model = folder / "spec.yaml", folder / "data", folder / "model"
    spec.write_text(yaml.safe_dump(described or _spec(name)), encoding="utf-8")
    rows = list(_rows(records, seed))
    if name == "commands":
        split_of = held_out.splits(rows, seed, HELD_OUT, HELD_OUT)
        rows = [{**row, "split": split_of[row["id"]]} for row in rows]
    chosen = folder / "records.jsonl"
    seeds.write_records(chosen, rows)
    preprocessing_run.run(
        PreprocessConfig(str(spec), (str(chosen),), str(data), rejected_limit=1.0)
    )
    started = time.process_time()
    training_run.run(TrainConfig(str(data), str(model), seed=seed))
    spent = time.process_time() - started
    document = json.loads((model / "evaluation.json").read_text(encoding="utf-8"))
    (task,) = document["splits"]["test"]["tasks"].values()
    recorded = task["as recorded"]
    figures = {key: recorded[key]["value"] for key in ("accuracy", "chrf", "bleu")}
    figures |= {"test records": recorded["n"], "CPU-s": round(spent)}
    if name == "translation":
        figures |= _copied(rows, spec)
    return figures


def _spec(name: str) -> dict[str, Any]:
    """Returns the spec of an example."""
    spec: dict[str, Any] = yaml.safe_load((EXAMPLES / f"{name}.yaml").read_text(encoding="utf-8"))
    return spec


def _rows(records: Path, seed: int) -> Iterator[dict[str, Any]]:
    """Yields the records that have a text, without media; their group decides the seed's split."""
    packed = records.suffix == ".gz"
    lines = gzip.open(records, "rt", encoding="utf-8") if packed else records.open(encoding="utf-8")
    with lines:
        for row in map(json.loads, lines):
            if row["text"]:
                yield {
                    "id": row["id"],
                    "text": row["text"],
                    "labels": row["labels"],
                    "group": f"{seed} {row['group']}",
                }


def _copied(rows: Sequence[dict[str, Any]], spec: Path) -> Figures:
    """Returns the chrF of copying the translation of the most similar training sentence."""
    from sacrebleu.metrics import CHRF
    from sklearn.feature_extraction.text import TfidfVectorizer

    from triad_ml.transforms.spec import loading
    from triad_ml.transforms.spec import split as spec_split

    shares = loading.parse(spec.read_text(encoding="utf-8"), str(spec)).split
    pairs: dict[str, list[tuple[str, str]]] = {"train": [], "eval": [], "test": []}
    for row in rows:
        if row["labels"]["translation"]:
            split = spec_split.split_of(row["id"], row["group"], None, shares)
            pairs[split].append((row["text"].lower(), row["labels"]["translation"]))
    train, test = pairs["train"], pairs["test"]
    vectors = TfidfVectorizer(analyzer="char_wb", ngram_range=(1, 4), sublinear_tf=True)
    fitted = vectors.fit_transform([text for text, _ in train])
    similarity = vectors.transform([text for text, _ in test]) @ fitted.T
    nearest = similarity.toarray().argmax(axis=1)
    copied = [train[index][1] for index in nearest]
    score = CHRF().corpus_score(copied, [[label for _, label in test]]).score
    return {"chrF of the nearest": score / 100}


if __name__ == "__main__":
    main()
