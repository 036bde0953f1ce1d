"""Benchmark of tagging: slots of commands, names, and semantic roles.

    python -m benchmarks.tagging --commands COMMANDS.jsonl.gz --sentences ROLES.jsonl.gz

There are four benchmarks. Each trains from scratch for each seed, which also draws the held-out
records:

    commands  intent and slots of commands in one model; at least 700 records are held out
    names     persons, places and organizations; a fifth of the sentences is held out
    joint     the same names, and predicates and roles of all other sentences; half of the records
              of an epoch are sentences with names
    roles     roles around a given predicate; the sentences of `dev` are held out

Groups of records are never split. A twentieth of the commands decides the best epoch; the other
benchmarks evaluate the last epoch, and train on all records that are not held out. Of the
predicates, PREDICATES_LEARNED are trained on. The tag of the given predicate itself is not a role.
With --text-encoder and --text-weights, a folder of Hugging Face Transformers, a pretrained encoder
of texts is fine-tuned with the settings of ENCODED. With --folder, finished steps are reused and an
interrupted training continues. With --inner, a tenth of the training records replaces the held-out
records, which are not used; the settings were chosen in this way.
"""

import argparse
import gzip
import json
import tempfile
import time
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import yaml

from benchmarks import encoder, seeds
from benchmarks.held_out import held_out, splits
from benchmarks.seeds import Figures

Row = dict[str, Any]

TEXT: Mapping[str, Any] = {"vocabulary": 12000, "length": 48, "spelling": 20000}
NAMES: Mapping[str, Any] = {"kind": "tagging", "label": "names", "tokens": "tokens"}
PREDICATES: Mapping[str, Any] = {"kind": "tagging", "label": "predicates", "tokens": "tokens"}
ROLES: Mapping[str, Any] = {"kind": "tagging", "label": "roles", "tokens": "tokens", "marker": "at"}
SPECS: Mapping[str, Mapping[str, Any]] = {
    "commands": {
        "modalities": {"text": {"vocabulary": 12000, "length": 36, "spelling": 20000}},
        "tasks": {
            "slots": {"kind": "tagging", "label": "slots"},
            "intent": {"kind": "classification", "label": "intent"},
        },
        "model": {"recipe": "network", "dim": 128, "text_dim": 96, "dropout": 0.3},
        "training": {"epochs": 12, "patience": 12, "batch_size": 64, "learning_rate": 0.002},
    },
    "names": {
        "modalities": {"text": {**TEXT, "vocabulary": 500}},
        "tasks": {"names": NAMES},
        "model": {"dim": 64, "text_dim": 64, "dropout": 0.5},
        "training": {
            **{"epochs": 25, "patience": 25, "batch_size": 32},
            **{"learning_rate": 0.003, "weight_decay": 0.1},
        },
    },
    "joint": {
        "modalities": {"text": TEXT},
        "tasks": {"names": NAMES, "predicates": PREDICATES, "roles": ROLES},
        "mixture": {"by": "dataset", "temperature": 0.0},
        "model": {"dim": 128, "text_dim": 96, "dropout": 0.5},
        "training": {
            **{"epochs": 12, "patience": 12, "batch_size": 64},
            **{"learning_rate": 0.002, "weight_decay": 0.1},
        },
    },
    "roles": {
        "modalities": {"text": TEXT},
        "tasks": {"roles": ROLES},
        "model": {"dim": 128, "text_dim": 96, "dropout": 0.3},
        "training": {"epochs": 6, "patience": 6, "batch_size": 64, "learning_rate": 0.002},
    },
}
ENCODED: Mapping[str, Mapping[str, Mapping[str, Any]]] = {
    "commands": {
        "model": {"dim": 128, "dropout": 0.1},
        "training": {
            **{"epochs": 3, "patience": 3, "batch_size": 32},
            **{"learning_rate": 0.001, "fine_tune_rate": 0.1},
        },
    },
    "names": {
        "model": {"dim": 128, "dropout": 0.3},
        "training": {
            **{"epochs": 9, "patience": 9, "batch_size": 16},
            **{"learning_rate": 0.001, "fine_tune_rate": 0.2},
        },
    },
    "roles": {
        "model": {"dim": 128, "dropout": 0.2},
        "training": {
            **{"epochs": 2, "patience": 2, "batch_size": 32},
            **{"learning_rate": 0.001, "fine_tune_rate": 0.1},
        },
    },
}
"""Sections `model` and `training` of SPECS with a pretrained text encoder."""

PREDICATES_LEARNED = 24000
"""Number of predicates in the training split of `roles`."""

FIGURE = {"intent": "accuracy", "sentiment": "macro_f1"}
"""Figures to report of tasks that are no tagging, by task."""


def main() -> None:
    """Runs the benchmarks, and prints each seed's figures and their medians."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    parser.add_argument("--commands", type=Path, help="records with labels.intent and .slots")
    parser.add_argument(
        "--sentences", type=Path, help="records with labels.tokens, .srl, .ner, .split"
    )
    parser.add_argument("--tasks", nargs="+", choices=list(SPECS), default=list(SPECS))
    parser.add_argument("--seeds", type=int, nargs="+", default=[0, 1, 2])
    parser.add_argument("--folder", type=Path, help="folder for the results; default: temporary")
    parser.add_argument("--inner", action="store_true", help="choose settings; see above")
    encoder.add_arguments(parser)
    arguments = parser.parse_args()
    specs = encoder.specs(SPECS, ENCODED, arguments)
    encoder.prepare(arguments)
    folder = arguments.folder or Path(tempfile.mkdtemp(prefix="triad-tagging-"))
    inner = arguments.inner
    for task in arguments.tasks:
        records = arguments.commands if task == "commands" else arguments.sentences
        if records is None or task not in specs:
            continue
        measured = []
        for seed in arguments.seeds:
            output = folder / f"{task}-{seed}"
            measured.append(measure(task, records, seed, output, inner, specs[task]))
            print(json.dumps({"task": task, "seed": seed, "figures": measured[-1]}), flush=True)
        seeds.show(task, measured)


def measure(
    task: str,
    records: Path,
    seed: int,
    folder: Path,
    inner: bool = False,
    spec: Mapping[str, Any] | None = None,
) -> Figures:
    """Returns the figures of one benchmark and seed; the spec is that of SPECS if None."""
    rows = list(READERS[task](_lines(records), seed))
    if inner:
        rows = inner_part(rows, seed)
    return trained(spec or SPECS[task], rows, seed, folder)


def inner_part(rows: Sequence[Row], seed: int) -> list[Row]:
    """Returns the records that are not held out, with a tenth of them as the test split."""
    learned = [row for row in rows if row["split"] != "test"]
    chosen = held_out(learned, seed + 1, len(learned) // 10)
    return [{**row, "split": "test"} if row["id"] in chosen else row for row in learned]


def trained(spec: Mapping[str, Any], rows: Iterable[Row], seed: int, folder: Path) -> Figures:
    """Trains and returns the figures of the test split; finished steps in the folder are reused."""
    from triad_ml.pipelines.preprocessing import run as preprocessing_run
    from triad_ml.pipelines.preprocessing.config import PreprocessConfig
    from triad_ml.pipelines.training import run as training_run
    from triad_ml.pipelines.training.config import TrainConfig

    folder.mkdir(parents=True, exist_ok=True)
    written, chosen = folder / "spec.yaml", folder / "records.jsonl"
    data, model = folder / "data", folder / "model"
    written.write_text(yaml.safe_dump(json.loads(json.dumps(spec))), encoding="utf-8")
    seeds.write_records(chosen, rows)
    preprocessing_run.run(PreprocessConfig(str(written), (str(chosen),), str(data)))
    begun = time.process_time()
    training_run.run(TrainConfig(str(data), str(model), seed=seed))
    figures: Figures = {"CPU-s": round(time.process_time() - begun)}
    document = json.loads((model / "evaluation.json").read_text(encoding="utf-8"))
    for name, evaluated in document["splits"]["test"]["tasks"].items():
        recorded = evaluated["as recorded"]
        figure = FIGURE.get(name, "entity_f1")
        figures |= {f"{name} {figure}": recorded[figure]["value"], f"{name} n": recorded["n"]}
    return figures


def commands(rows: Iterator[Row], seed: int) -> Iterator[Row]:
    """Yields commands with intent and slots."""
    listed = list(rows)
    split_of = splits(listed, seed, 700, len(listed) // 20)
    for row in listed:
        labels = {name: row["labels"][name] for name in ("intent", "slots")}
        yield _row(row, row["id"], split_of[row["id"]], labels)


def names(rows: Iterator[Row], seed: int) -> Iterator[Row]:
    """Yields sentences with names."""
    named = [row for row in rows if row["labels"].get("ner") is not None]
    tested = held_out(named, seed, len(named) // 5)
    for row in named:
        labels = {"tokens": row["labels"]["tokens"], "names": row["labels"]["ner"]}
        yield _row(row, row["id"], _split(row["id"] in tested), labels)


def joint(rows: Iterator[Row], seed: int) -> Iterator[Row]:
    """Yields the sentences of `names`, and those of other groups.

    Each has all predicates, and the roles of one of them.
    """
    listed = list(rows)
    named = [row for row in listed if row["labels"].get("ner") is not None]
    tested = held_out(named, seed, len(named) // 5)
    tested_groups = {row["group"] for row in named if row["id"] in tested}
    for row in listed:
        source, tokens = row["labels"], row["labels"]["tokens"]
        if row["group"] in tested_groups and row["id"] not in tested:
            continue
        labels: Row = {"tokens": tokens}
        frames = source.get("srl") or ()
        predicates = {frame["predicate"] for frame in frames}
        labels["predicates"] = ["B-V" if i in predicates else "O" for i in range(len(tokens))]
        if source.get("ner") is not None:
            labels["names"] = source["ner"]
        if frames:
            frame = frames[seed % len(frames)]
            labels |= {"roles": _roles(frame["tags"]), "at": frame["predicate"]}
        dataset = "names" if "names" in labels else "others"
        yield _row(row, row["id"], _split(row["id"] in tested), labels) | {"dataset": dataset}


def roles(rows: Iterator[Row], seed: int) -> Iterator[Row]:
    """Yields a record for each predicate of `dev`, and for `PREDICATES_LEARNED` others."""
    records = [record for row in rows for record in _predicates(row)]
    train = [record for record in records if record["split"] == "train"]
    chosen = held_out(train, seed, PREDICATES_LEARNED)
    for record in records:
        if record["split"] == "test" or record["id"] in chosen:
            yield record


def _predicates(row: Row) -> Iterator[Row]:
    """Yields a record for each predicate of a sentence, with its roles."""
    tokens = row["labels"]["tokens"]
    split = _split(row["labels"]["split"] == "dev")
    for index, frame in enumerate(row["labels"].get("srl") or ()):
        labels = {"tokens": tokens, "roles": _roles(frame["tags"]), "at": frame["predicate"]}
        yield _row(row, f"{row['id']}#{index}", split, labels)


def _roles(tags: Sequence[str]) -> list[str]:
    return ["O" if tag in ("B-V", "I-V") else tag for tag in tags]


READERS: Mapping[str, Callable[[Iterator[Row], int], Iterator[Row]]] = {
    "commands": commands,
    "names": names,
    "joint": joint,
    "roles": roles,
}


def _split(tested: bool) -> str:
    return "test" if tested else "train"


def _row(row: Row, name: str, split: str, labels: Row) -> Row:
    return {"id": name, "text": row["text"], "group": row["group"], "split": split} | {
        "labels": labels
    }


def _lines(path: Path) -> Iterator[Row]:
    opened = gzip.open if path.suffix == ".gz" else open
    with opened(path, "rt", encoding="utf-8") as file:
        yield from map(json.loads, file)


if __name__ == "__main__":
    main()
