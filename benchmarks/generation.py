"""How good generation is: the logical form of commands, and the translation of stamps.

    python examples/stamps.py --out STAMPS --cache CACHE
    python -m benchmarks.generation --stamps STAMPS/records.jsonl --commands COMMANDS.jsonl

Records are as Triad takes them; those of the commands have a text and the label `logical_form`, and
may be packed with gzip. Each seed makes its own split by group and its own training, from scratch:
of the commands 700 are the test split and 700 others the eval split, of the stamps a tenth each.
Reported is the test split, by which nothing is chosen. Beside the translation stands what copying
gives: the translation of the training sentence that is nearest by its characters (1 to 4 of them,
tf-idf, cosine).
"""

import argparse
import gzip
import json
import tempfile
import time
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

from benchmarks import held_out, seeds
from benchmarks.seeds import Figures
from triad_ml.pipelines.runtime import environment

HELD_OUT = 700
"""Commands that are the test split, and those that are the eval split."""

EXAMPLES = Path(__file__).resolve().parents[1] / "examples"


def main() -> None:
    """Measures, and prints each seed's figures and a table of their medians."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    parser.add_argument("--commands", type=Path)
    parser.add_argument("--stamps", type=Path)
    parser.add_argument("--seeds", type=int, nargs="+", default=[0, 1, 2])
    parser.add_argument("--folder", type=Path, help="keeps what is made; a temporary one if absent")
    arguments = parser.parse_args()
    environment.prepare()
    folder = arguments.folder or Path(tempfile.mkdtemp(prefix="triad-generation-"))
    chosen = {"commands": arguments.commands, "translation": arguments.stamps}
    for name, records in chosen.items():
        if records is None:
            continue
        measured = []
        for seed in arguments.seeds:
            measured.append(measure(name, records, seed, folder / f"{name}-{seed}"))
            print(json.dumps({"task": name, "seed": seed, "figures": measured[-1]}), flush=True)
        seeds.show(name, measured)


def measure(name: str, records: Path, seed: int, folder: Path) -> Figures:
    """The test split's figures; what is there already is not made again."""
    from triad_ml.pipelines.preprocessing import run as preprocessing_run
    from triad_ml.pipelines.preprocessing.config import PreprocessConfig
    from triad_ml.pipelines.training import run as training_run
    from triad_ml.pipelines.training.config import TrainConfig

    folder.mkdir(parents=True, exist_ok=True)
    spec, data, model = EXAMPLES / f"{name}.yaml", folder / "data", folder / "model"
    rows = list(_rows(records, seed))
    if name == "commands":
        found = held_out.splits(rows, seed, HELD_OUT, HELD_OUT)
        rows = [{**row, "split": found[row["id"]]} for row in rows]
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


def _rows(records: Path, seed: int) -> Iterator[dict[str, Any]]:
    """Records with a text, whose split follows from the seed; without media."""
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
    """What copying the translation of the nearest training sentence gives."""
    from sacrebleu.metrics import CHRF
    from sklearn.feature_extraction.text import TfidfVectorizer

    from triad_ml.transforms.spec import loading
    from triad_ml.transforms.spec import split as spec_split

    shares = loading.parse(spec.read_text(encoding="utf-8"), str(spec)).split
    found: dict[str, list[tuple[str, str]]] = {"train": [], "eval": [], "test": []}
    for row in rows:
        if row["labels"]["translation"]:
            split = spec_split.split_of(row["id"], row["group"], None, shares)
            found[split].append((row["text"].lower(), row["labels"]["translation"]))
    known, asked = found["train"], found["test"]
    vectors = TfidfVectorizer(analyzer="char_wb", ngram_range=(1, 4), sublinear_tf=True)
    fitted = vectors.fit_transform([text for text, _ in known])
    alike = vectors.transform([text for text, _ in asked]) @ fitted.T
    nearest = alike.toarray().argmax(axis=1)
    copied = [known[place][1] for place in nearest]
    score = CHRF().corpus_score(copied, [[wanted for _, wanted in asked]]).score
    return {"chrF of the nearest": score / 100}


if __name__ == "__main__":
    main()
