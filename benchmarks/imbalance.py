"""Benchmark of the treatments of rare classes, paired over splits and seeds.

    python examples/stamps.py --out STAMPS --cache CACHE
    triad encoder --output LITE0.weights.h5
    python -m benchmarks.imbalance --records STAMPS/records.jsonl --weights LITE0.weights.h5
    python -m benchmarks.imbalance --task kinds --records COMMANDS.jsonl.gz --limit 1200
    python -m benchmarks.imbalance --task slots --records COMMANDS.jsonl.gz --limit 1200

`category` is the class of stamps: all records of all classes, some of which have only a few
records. `kinds` is the set of the kinds of slots in a command, and `slots` are its slots. Each
split is grouped and is preprocessed once; each seed is a training of its own. A method is compared
with `none` on the same split and seed; `thresholds` is `none` with `thresholds: f1`. The table has
the mean of these differences in accuracy and macro-F1 on the test split, their interval, and the
number of pairs in which the method is better. Seeds of one split share its records, so the interval
is that of the means of the splits: Student's t at 95 % with one degree of freedom less than there
are splits.

With `--linear`, linear models of all modalities are compared instead of networks: `none`, `noise`
and `gan` on pooled log-mel frames and vectors of images, which takes seconds for each. Their
strengths of regularization are chosen without generated rows, and all classes weigh the same.

Finished trainings in `--folder` are reused, so an interrupted benchmark resumes.
"""

import argparse
import dataclasses
import gzip
import json
import math
import statistics
import tempfile
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any, NamedTuple

import yaml

from benchmarks import joint_data, stamps
from triad_ml.pipelines.runtime import environment

SPEC = Path(__file__).resolve().parents[1] / "examples" / "transfer.yaml"
COMMANDS: Mapping[str, Any] = {
    "modalities": {"text": {"vocabulary": 4000, "length": 36}},
    "model": {"dim": 64, "text_dim": 64, "dropout": 0.3},
    "training": {"epochs": 25, "patience": 25, "batch_size": 32, "learning_rate": 0.003},
    "split": {"by": "group", "train": 0.5, "eval": 0.1, "test": 0.4},
}
"""Spec of commands, without its task."""

TASKS: Mapping[str, Mapping[str, Any]] = {
    "category": {"kind": "classification", "label": "category"},
    "kinds": {"kind": "classification", "label": "kinds", "multi_label": True},
    "slots": {"kind": "tagging", "label": "slots"},
}
NOTHING = "none"
METHODS: Mapping[str, tuple[str, ...]] = {
    "category": (
        *(NOTHING, "noise", "gan"),
        *("class_weights", "class_balanced", "logit_adjustment", "focal", "balanced_sampling"),
    ),
    "kinds": (
        *(NOTHING, "class_weights", "class_balanced", "logit_adjustment", "focal"),
        *("balanced_sampling", "thresholds"),
    ),
    "slots": (NOTHING, "balanced_sampling"),
}
"""Methods by task: values of `imbalance`, and `thresholds`."""

LINEAR = METHODS["category"][:3]
"""Methods that linear models are compared by."""

FIGURES = ("accuracy", "macro_f1")

Pair = tuple[int, int]
"""Number of a split, and seed of a training."""

Measured = Mapping[Pair, Mapping[str, float]]
"""Figures of one method."""


class Compared(NamedTuple):
    """Comparison of a method with `none`.

    Attributes:
        difference: Mean of the differences.
        half: Half of the width of the 95 % interval; not a number for fewer than two splits.
        better: Number of pairs in which the method is better.
        pairs: Number of pairs.
    """

    difference: float
    half: float
    better: int
    pairs: int


def compared(method: Measured, nothing: Measured, figure: str) -> Compared:
    """Compares a method with `none`, pair by pair, in one figure."""
    from scipy import stats

    pairs = sorted(method.keys() & nothing.keys())
    differences = {pair: method[pair][figure] - nothing[pair][figure] for pair in pairs}
    splits = sorted({split for split, _ in pairs})
    means = [
        statistics.mean(value for pair, value in differences.items() if pair[0] == split)
        for split in splits
    ]
    half = math.nan
    if len(means) > 1:
        error = statistics.stdev(means) / math.sqrt(len(means))
        half = float(stats.t.ppf(0.975, len(means) - 1)) * error
    better = sum(value > 0 for value in differences.values())
    return Compared(statistics.mean(means), half, better, len(pairs))


def main() -> None:
    """Prints the figures of each training when it ends, then the table of differences."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    parser.add_argument("--task", choices=TASKS, default="category")
    parser.add_argument("--records", type=Path, required=True)
    parser.add_argument("--weights", type=Path, help="weights of the image encoder, for category")
    parser.add_argument("--limit", type=int, default=1200, help="records of commands in a split")
    parser.add_argument("--splits", type=int, nargs="+", default=[0, 1, 2])
    parser.add_argument("--seeds", type=int, nargs="+", default=[0, 1, 2])
    parser.add_argument("--methods", nargs="+", help="default: all of the task")
    parser.add_argument("--linear", action="store_true", help="compare linear models")
    parser.add_argument("--epochs", type=int, help="epochs; default: those of the spec")
    parser.add_argument("--modalities", nargs="+", help="modalities of the network; default: all")
    parser.add_argument("--folder", type=Path, help="folder for the results; default: temporary")
    arguments = parser.parse_args()
    environment.prepare()
    folder = arguments.folder or Path(tempfile.mkdtemp(prefix="triad-imbalance-"))
    known = LINEAR if arguments.linear else METHODS[arguments.task]
    methods = [one for one in known if one in (NOTHING, *(arguments.methods or known))]
    measure = _linear_figures if arguments.linear else _figures
    measured: dict[str, dict[Pair, Mapping[str, float]]] = {name: {} for name in methods}
    begun = time.monotonic()
    for split in arguments.splits:
        own = folder / f"{arguments.task}-{split}"
        own.mkdir(parents=True, exist_ok=True)
        records = own / "records.jsonl"
        if not records.exists():  # a file that is written again would be preprocessed again
            if arguments.task == "category":
                stamps.write_records(arguments.records, split, records, least=0)
            else:
                write_commands(arguments.records, split, records, arguments.limit)
        media = arguments.records.parent
        prepared = _prepared(_spec(NOTHING, arguments), own, media)
        for seed in arguments.seeds:
            for method in methods:
                kept = own / f"{'linear-' if arguments.linear else ''}{method}-{seed}.json"
                if not kept.exists():
                    figures = measure(prepared, _spec(method, arguments), own, seed)
                    kept.write_text(json.dumps(figures), encoding="utf-8")
                figures = json.loads(kept.read_text(encoding="utf-8"))
                measured[method][split, seed] = figures
                row = {"split": split, "seed": seed, "method": method, **figures}
                print(json.dumps(row), flush=True)
    print(f"{time.monotonic() - begun:.0f} s")
    _show(measured)


def write_commands(records: Path, seed: int, output: Path, limit: int) -> Path:
    """Writes the first commands by the digests of their groups, with the set of their slots' kinds.

    Args:
        records: Commands with `labels.slots`, as `joint_data.snips` reads them.
        seed: Seed of the choice and of the split.
        output: Path of the records file to write.
        limit: Approximate number of records.
    """
    rows = []
    with gzip.open(records, "rt", encoding="utf-8") as lines:
        for row in map(json.loads, lines):
            slots = row["labels"]["slots"]
            labels = {"slots": slots, "kinds": sorted({kind for *_, kind in slots})}
            rows.append({**row, "group": f"{seed} {row['group']}", "labels": labels})
    joint_data.write("commands", rows, output, limit)
    return output


def _spec(method: str, arguments: argparse.Namespace) -> dict[str, Any]:
    spec: dict[str, Any] = json.loads(json.dumps(COMMANDS))
    if arguments.task == "category":
        spec = yaml.safe_load(SPEC.read_text(encoding="utf-8"))
        spec["model"]["image_weights"] = str(arguments.weights.resolve())
    spec.setdefault("model", {})["recipe"] = "network"
    treated = {"thresholds": "f1"} if method == "thresholds" else {"imbalance": method}
    spec["tasks"] = {arguments.task: {**TASKS[arguments.task], **treated}}
    if arguments.modalities:
        spec["modalities"] = {name: spec["modalities"][name] for name in arguments.modalities}
    if arguments.epochs is not None:
        spec["training"] |= {"epochs": arguments.epochs, "patience": arguments.epochs}
    return spec


def _prepared(spec: Mapping[str, Any], folder: Path, media: Path) -> Any:
    """Prepares the records of a split without a treatment; no treatment changes a feature."""
    from triad_ml.pipelines.preprocessing import dataset
    from triad_ml.pipelines.preprocessing import run as preprocessing_run
    from triad_ml.pipelines.preprocessing.config import PreprocessConfig

    path, data = folder / "spec.yaml", str(folder / "data")
    path.write_text(yaml.safe_dump(spec), encoding="utf-8")
    records, roots = (str(folder / "records.jsonl"),), (str(media.resolve()),)
    preprocessing_run.run(
        PreprocessConfig(str(path), records, data, media_roots=roots, rejected_limit=1.0)
    )
    return dataset.read(data)


def _figures(prepared: Any, spec: Mapping[str, Any], folder: Path, seed: int) -> dict[str, float]:
    """Trains on a split, and returns the figures of its test split."""
    from triad_ml.model import layout as model_layout
    from triad_ml.model.data import datasets, scan
    from triad_ml.model.evaluation import predict
    from triad_ml.model.tasks.heads import heads_of
    from triad_ml.model.tasks.metrics import METRICS, Classes
    from triad_ml.model.training import loop
    from triad_ml.transforms.spec import loading

    ((task, section),) = spec["tasks"].items()
    whole = {**prepared.spec.model_dump(mode="json", exclude_none=True), "tasks": spec["tasks"]}
    whole["training"]["seed"] = seed
    own = loading.parse(json.dumps(whole))
    layout = model_layout.Layout(own, prepared.classes, prepared.vocabulary_size)
    files = {split: prepared.files(split) for split in ("train", "eval", "test")}
    with tempfile.TemporaryDirectory() as output:
        result = loop.train(files, layout, output, prepared.manifest["key"])
    said = {}
    for split in ("eval", "test"):
        survey = scan.survey(files[split], layout)
        batches = datasets.eval_dataset(survey.files, layout, 48, survey.records)
        found = predict.predict(result.model, batches, layout)
        said[split] = found.labels[task], found.said[task]
    metrics = METRICS[section["kind"]]
    best = heads_of(own, layout.classes)[task].best_thresholds(*said["eval"])
    if best is not None:
        metrics = Classes(best)
    measured = metrics.measure(
        own.tasks[task], *said["test"], layout.classes[task], seed=0, resamples=50
    )
    return {name: float(measured[name]["value"]) for name in FIGURES}


def _linear_figures(
    prepared: Any, spec: Mapping[str, Any], folder: Path, seed: int
) -> dict[str, float]:
    """Fits a linear model of all modalities, and returns the figures of the test split."""
    from triad_ml.model import layout as model_layout
    from triad_ml.model.data import scan
    from triad_ml.model.linear import blocks, fit
    from triad_ml.model.tasks.classification import metrics
    from triad_ml.model.training.generated import blocks as generated_blocks

    ((task, section),) = spec["tasks"].items()
    method = section["imbalance"]
    layout = model_layout.Layout(prepared.spec, prepared.classes, prepared.vocabulary_size)
    number = len(layout.classes[task])
    read = {}
    for split in ("train", "test"):
        survey = scan.survey(prepared.files(split), layout)
        read[split] = blocks.read(survey.files, layout, [task], survey.records)
    solver = fit.solver_of(layout.spec.tasks[task], number)
    assert solver is not None
    views, present = read["train"].views, read["train"].present
    scalings = {name: fit.scaling(views[name], present[name]) for name in views}
    *_, model = fit.fit(read["train"], task, solver, scalings).values()  # the last reads all
    if method != NOTHING:
        checkpoints = folder / f"linear-{method}-{seed}"
        more = generated_blocks.enlarged(read["train"], task, number, method, seed, checkpoints)
        chosen = solver.labelled(more.labels[task])
        rows = fit.design(more, model.scalings, model.strengths)[chosen]
        weights = solver.fit(rows, more.labels[task][chosen], 1.0)
        model = dataclasses.replace(model, weights=weights)
    said = model.predict(read["test"])
    found = metrics.classification(read["test"].labels[task], said, layout.classes[task])
    return {name: found[name]["value"] for name in FIGURES}


def _show(measured: Mapping[str, Measured]) -> None:
    nothing = measured[NOTHING]
    for figure in FIGURES:
        values = [found[figure] for found in nothing.values()]
        print(f"{figure}: {NOTHING} has {statistics.mean(values):.3f}")
        for method in (name for name in measured if name != NOTHING):
            found = compared(measured[method], nothing, figure)
            print(
                f"  {method:20}{found.difference:+.3f} +- {found.half:.3f}, better in "
                f"{found.better} of {found.pairs}"
            )
    if {"gan", "noise"} <= measured.keys():
        for figure in FIGURES:
            found = compared(measured["gan"], measured["noise"], figure)
            print(
                f"gan against noise, {figure}: {found.difference:+.3f} +- {found.half:.3f}, "
                f"better in {found.better} of {found.pairs}"
            )


if __name__ == "__main__":
    main()
