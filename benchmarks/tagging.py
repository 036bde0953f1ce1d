"""How good tagging is: commands, names, and who did what to whom.

    python -m benchmarks.tagging --commands COMMANDS.jsonl.gz --sentences ROLES.jsonl.gz

Four tasks, each trained from scratch for each seed, which also draws what is held out:

    commands  intent and slots of commands in one model; 700 records and more are held out
    names     persons, places and organizations; a fifth of the sentences is held out
    joint     the same names, and beside them predicates and roles of all other sentences; half of
              what an epoch shows are sentences with names
    roles     the roles around a predicate that is given; the sentences of `dev` are held out

Groups of records are never cut apart. A twentieth of the commands decides which epoch counts; of
the others it is the last one, and all that is not held out is learned from. Of the predicates some
are learned from, see PREDICATES_LEARNED. The tag of the predicate itself, which is given, is no
role. With --folder what is there is not made again, and a training that was interrupted goes on.
With --inner a tenth of what would be learned from takes the place of what is held out, which is
left alone: settings were chosen so.
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

from benchmarks import seeds
from benchmarks.held_out import held_out, splits
from benchmarks.seeds import Figures
from triad_ml.pipelines.runtime import environment

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
        "model": {"dim": 128, "text_dim": 96, "dropout": 0.3},
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
PREDICATES_LEARNED = 24000
FIGURE = {"intent": "accuracy", "sentiment": "macro_f1"}
"""What counts of a task that is not tagging."""


def main() -> None:
    """Measures, and prints each seed's figures and their medians."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    parser.add_argument("--commands", type=Path, help="a text, labels.intent and labels.slots")
    parser.add_argument("--sentences", type=Path, help="labels.tokens, .srl, .ner and .split")
    parser.add_argument("--tasks", nargs="+", choices=list(SPECS), default=list(SPECS))
    parser.add_argument("--seeds", type=int, nargs="+", default=[0, 1, 2])
    parser.add_argument("--folder", type=Path, help="keeps what is made; a temporary one if absent")
    parser.add_argument("--inner", action="store_true", help="to choose settings by; see above")
    arguments = parser.parse_args()
    environment.prepare()
    folder = arguments.folder or Path(tempfile.mkdtemp(prefix="triad-tagging-"))
    inner = arguments.inner
    for task in arguments.tasks:
        records = arguments.commands if task == "commands" else arguments.sentences
        if records is None:
            continue
        measured = []
        for seed in arguments.seeds:
            measured.append(measure(task, records, seed, folder / f"{task}-{seed}", inner))
            print(json.dumps({"task": task, "seed": seed, "figures": measured[-1]}), flush=True)
        seeds.show(task, measured)


def measure(task: str, records: Path, seed: int, folder: Path, inner: bool = False) -> Figures:
    """The figures of one task and seed."""
    rows = list(READERS[task](_lines(records), seed))
    if inner:
        rows = inner_part(rows, seed)
    return trained(SPECS[task], rows, seed, folder)


def inner_part(rows: Sequence[Row], seed: int) -> list[Row]:
    """What is not held out, a tenth of it for the test split."""
    learned = [row for row in rows if row["split"] != "test"]
    chosen = held_out(learned, seed + 1, len(learned) // 10)
    return [{**row, "split": "test"} if row["id"] in chosen else row for row in learned]


def trained(spec: Mapping[str, Any], rows: Iterable[Row], seed: int, folder: Path) -> Figures:
    """Trains, and gives the figures of the test split; what is there is not made again."""
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
    for name, found in document["splits"]["test"]["tasks"].items():
        recorded = found["as recorded"]
        figure = FIGURE.get(name, "entity_f1")
        figures |= {f"{name} {figure}": recorded[figure]["value"], f"{name} n": recorded["n"]}
    return figures


def commands(rows: Iterator[Row], seed: int) -> Iterator[Row]:
    """Commands with intent and slots."""
    found = list(rows)
    named = splits(found, seed, 700, len(found) // 20)
    for row in found:
        labels = {name: row["labels"][name] for name in ("intent", "slots")}
        yield _row(row, row["id"], named[row["id"]], labels)


def names(rows: Iterator[Row], seed: int) -> Iterator[Row]:
    """Sentences with names."""
    found = [row for row in rows if row["labels"].get("ner") is not None]
    tested = held_out(found, seed, len(found) // 5)
    for row in found:
        labels = {"tokens": row["labels"]["tokens"], "names": row["labels"]["ner"]}
        yield _row(row, row["id"], _split(row["id"] in tested), labels)


def joint(rows: Iterator[Row], seed: int) -> Iterator[Row]:
    """The same sentences, and those of other groups: with predicates, and with one's roles."""
    found = list(rows)
    mine = [row for row in found if row["labels"].get("ner") is not None]
    tested = held_out(mine, seed, len(mine) // 5)
    apart = {row["group"] for row in mine if row["id"] in tested}
    for row in found:
        given, tokens = row["labels"], row["labels"]["tokens"]
        if row["group"] in apart and row["id"] not in tested:
            continue
        labels: Row = {"tokens": tokens}
        frames = given.get("srl") or ()
        at = {one["predicate"] for one in frames}
        labels["predicates"] = ["B-V" if place in at else "O" for place in range(len(tokens))]
        if given.get("ner") is not None:
            labels["names"] = given["ner"]
        if frames:
            one = frames[seed % len(frames)]
            labels |= {"roles": _roles(one["tags"]), "at": one["predicate"]}
        dataset = "names" if "names" in labels else "others"
        yield _row(row, row["id"], _split(row["id"] in tested), labels) | {"dataset": dataset}


def roles(rows: Iterator[Row], seed: int) -> Iterator[Row]:
    """One record for each predicate of `dev`, and for so many others as are learned from."""
    found = [one for row in rows for one in _predicates(row)]
    chosen = held_out([one for one in found if one["split"] == "train"], seed, PREDICATES_LEARNED)
    for one in found:
        if one["split"] == "test" or one["id"] in chosen:
            yield one


def _predicates(row: Row) -> Iterator[Row]:
    """A record for each predicate of a sentence, with the roles around it."""
    tokens = row["labels"]["tokens"]
    split = _split(row["labels"]["split"] == "dev")
    for place, one in enumerate(row["labels"].get("srl") or ()):
        labels = {"tokens": tokens, "roles": _roles(one["tags"]), "at": one["predicate"]}
        yield _row(row, f"{row['id']}#{place}", split, labels)


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
