"""Records for tasks of each kind, a model that is trained on all of them, and its published run."""

import json
import random
from collections.abc import Sequence
from pathlib import Path
from typing import Any, NamedTuple

from tests import records
from triad_ml.pipelines.preprocessing import run as preprocessing_run
from triad_ml.pipelines.preprocessing.config import PreprocessConfig
from triad_ml.pipelines.publishing import publish
from triad_ml.pipelines.scoring import run as scoring_run
from triad_ml.pipelines.scoring.config import ScoreConfig
from triad_ml.pipelines.tables import formats
from triad_ml.pipelines.training import run as training_run
from triad_ml.pipelines.training.config import TrainConfig

SPEC = """
modalities: {text: {vocabulary: 60, length: 8, spelling: 64}}
tasks:
  meaning: {kind: generation, label: meaning, vocabulary: 60, length: 14, beam: 2}
  names: {kind: tagging, label: names}
  predicates: {kind: tagging, label: predicates, tokens: tokens}
  roles: {kind: tagging, label: roles, tokens: tokens, marker: at}
  price: {kind: regression, label: price}
  verb: {kind: classification, label: verb}
model: {recipe: network, dim: 32, text_dim: 24, dropout: 0.1}
training: {epochs: 8, batch_size: 16, learning_rate: 0.01}
split: {by: id, train: 0.7, eval: 0.1, test: 0.2}
"""
FIRST, SECOND = "2026-11-23", "2026-11-24"
COMMANDS, SENTENCES, OFFERS = 240, 100, 120
ORDERS = ("play", "find", "stop")
PEOPLE, PLACES = ("Ada", "Bob", "Zoe\u0308"), ("New York", "Rome", "S\u00e3o Paulo")
VERBS = ("sees", "likes", "leaves")
BELL = "\x07"
PRICES = {"plum": 1000.25, "pear": 1003.5, "fig": 1010.0}

Row = dict[str, Any]


class Scored(NamedTuple):
    """A records file, its preprocessing, the model of it, and what that published on `FIRST`."""

    input: Path
    data: Path
    model: Path
    output: Path

    @property
    def records(self) -> dict[str, Row]:
        """The records of the file, by id."""
        rows = map(json.loads, self.input.read_text().splitlines())
        return {row["id"]: row for row in rows}

    @property
    def published(self) -> dict[str, Row]:
        """The published rows, by id."""
        return rows_of(publish.open_current(str(self.output), FIRST))


def make(folder: Path) -> None:
    """Writes the records, preprocesses them, trains, and publishes."""
    rng = random.Random(0)
    made = [
        *(command(rng, index) for index in range(COMMANDS)),
        *(sentence(rng, index) for index in range(SENTENCES)),
        *map(offer, range(OFFERS)),
        *odd_records(),
    ]
    own = of(folder)
    records.write_lines(own.input, made)
    spec = folder / "spec.yaml"
    spec.write_text(SPEC)
    preprocessing_run.run(
        PreprocessConfig(str(spec), (str(own.input),), str(own.data), rejected_limit=0.1)
    )
    training_run.run(TrainConfig(str(own.data), str(own.model)))
    score(own.model, own.input, own.output)


def of(folder: Path) -> Scored:
    return Scored(folder / "records.jsonl", folder / "data", folder / "model", folder / "scores")


def score(
    model: Path, records_file: Path, output: Path, date: str = FIRST, **more: Any
) -> dict[str, Row]:
    """Publishes a run, and returns its rows by id."""
    config = ScoreConfig(
        str(model), (str(records_file),), str(output), date, rejected_limit=0.1, **more
    )
    scoring_run.run(config)
    return rows_of(publish.open_current(str(output), date))


def rows_of(paths: Sequence[str]) -> dict[str, Row]:
    return {row["id"]: row for path in paths for row in formats.read(path).to_pylist()}


def command(rng: random.Random, index: int) -> Row:
    order, song = rng.choice(ORDERS), name(rng)
    meaning = f'{order.capitalize()}(song="{song}")' if index % 9 else f"{order.capitalize()}()"
    words = f"please {order} {song} now" if index % 9 else f"please {order}"
    return {
        "id": f"c{index:03d}",
        "text": words,
        "labels": {"meaning": meaning, "verb": order},
        "split": "train" if index % 4 else "test",
    }


def name(rng: random.Random) -> str:
    """A name that no other record has; one in four is not canonical."""
    letters = "".join(rng.choice("abcdefgh") for _ in range(5))
    return letters.capitalize() + rng.choice(("", "", "", "e\u0301"))


def sentence(rng: random.Random, index: int) -> Row:
    """One record: its text is not always canonical, and its labels are spans or BIO tags."""
    person, place, verb = rng.choice(PEOPLE), rng.choice(PLACES), rng.choice(VERBS)
    whole = BELL * (index % 2) + f"Today {person} {verb} {place}"
    whole += " for good, as all of us know." * (index % 9 == 0)
    begin, end = whole.index(place), whole.index(place) + len(place)
    who = whole.index(person)
    tokens = whole.replace(BELL, "").split()
    at = tokens.index(verb)
    roles = ["O"] * len(tokens)
    roles[1] = "B-who"
    roles[at + 1 : at + 1 + len(place.split())] = ["B-what", "I-what"][: len(place.split())]
    return {
        "id": f"s{index:03d}",
        "text": whole,
        "labels": {
            "names": [[who, who + len(person), "person"], [begin, end, "place"]],
            "predicates": ["B-V" if i == at else "O" for i in range(len(tokens))],
            "roles": roles,
            "tokens": tokens,
            "at": at if index % 3 else [whole.index(verb), whole.index(verb) + len(verb)],
            "verb": verb,
        },
    }


def offer(index: int) -> Row:
    """A fruit and its price; the first has none, and that of the second is no number."""
    fruit = [*PRICES][index % 3]
    labels: Row = {"price": PRICES[fruit]}
    if index < 2:
        labels = ({}, {"price": "dear"})[index]
    return {"id": f"p{index}", "text": f"one {fruit}", "labels": labels}


def odd_records() -> list[Row]:
    """Records with flaws of their labels, their marker or their text."""
    long = {"meaning": "a b c d " * 9}
    return [
        {"id": "no label", "text": "please play Abcde now"},
        {"id": "bad meaning", "text": "please play Abcde now", "labels": {"meaning": 3}},
        {"id": "long meaning", "text": "please", "labels": long, "split": "train"},
        {"id": "no words", "text": " \u200b ", "labels": {"meaning": "x"}, "split": "test"},
        {"id": "no marker", "text": "Today Ada sees Rome"},
        {"id": "bad marker", "text": "Today Ada sees Rome", "labels": {"at": 99}},
        {"id": "far marker", "text": "a b c d e f g h i j", "labels": {"at": 9}},
        {"id": "bad names", "text": "Today", "labels": {"names": [[3, 99, "x"]], "verb": "sees"}},
        {"id": "no word to tag", "text": " \u200b ", "labels": {"names": [], "at": [0, 1]}},
        {"id": "one word", "text": "Ada"},
        {"id": "composed", "text": "Today Zo\u00eb sees Rome"},
        {"id": "unmarked", "text": "Today Bob likes New York"},
        {"id": "gone", "labels": {"meaning": "x"}},
    ]
