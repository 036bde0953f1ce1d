"""Benchmark of fusion on stamps: all modalities against each alone, over several splits and seeds.

    python examples/stamps.py --out STAMPS --cache CACHE
    python -m benchmarks.stamps --records STAMPS/records.jsonl [--seeds 0 1 2] [--alone]

The data are the records with an image, of classes with at least ten of them. Each seed has a
separate grouped split (70, 10 and 20 %) and a training from scratch. The figures are of the test
split: for the fused network on the records as they are, for the same network with hidden modalities
(complete records only), and with `--alone` for networks built and trained for one modality.
"""

import argparse
import collections
import json
import statistics
import tempfile
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import yaml

from triad_ml.pipelines.runtime import environment

SPEC = Path(__file__).resolve().parents[1] / "examples" / "stamps.yaml"
LEAST = 10
"""Smallest number of records with an image in a class."""

Figures = dict[str, tuple[float, float]]


def main() -> None:
    """Runs the benchmark, and prints a table of mean and range over the seeds."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    parser.add_argument("--records", type=Path, required=True)
    parser.add_argument("--seeds", type=int, nargs="+", default=[0, 1, 2])
    parser.add_argument("--alone", action="store_true")
    parser.add_argument(
        "--folder", type=Path, help="folder for the results; default: a temporary one"
    )
    arguments = parser.parse_args()
    environment.prepare()
    folder = arguments.folder or Path(tempfile.mkdtemp(prefix="triad-stamps-"))
    started = time.monotonic()
    measured = []
    for seed in arguments.seeds:
        measured.append(measure(arguments.records, seed, folder / f"seed-{seed}", arguments.alone))
        print(json.dumps({"seed": seed, "figures": measured[-1]}), flush=True)
    _show(measured, arguments.seeds, time.monotonic() - started)


def measure(records: Path, seed: int, folder: Path, alone: bool) -> Figures:
    """Returns accuracy and macro-F1 on the test split, by network and visible modalities."""
    folder.mkdir(parents=True, exist_ok=True)
    chosen = write_records(records, seed, folder / "records.jsonl")
    modalities = tuple(yaml.safe_load(SPEC.read_text(encoding="utf-8"))["modalities"])
    evaluated = _evaluated(chosen, records.parent, modalities, seed, folder / "fused")
    figures = {"fused, as recorded": _pair(evaluated["as recorded"])}
    for name, metrics in evaluated["subsets"].items():
        figures[f"fused, {name}"] = _pair(metrics)
    for name in modalities if alone else ():
        single = _evaluated(chosen, records.parent, (name,), seed, folder / name)
        figures[f"{name} alone"] = _pair(single["as recorded"])
    return figures


def write_records(records: Path, seed: int, output: Path, least: int = LEAST) -> Path:
    """Writes the records of a seed, whose groups decide its split.

    Args:
        records: Records file of `examples/stamps.py`.
        seed: Seed of the split.
        output: Path of the records file to write.
        least: Smallest number of records with an image in a class; records without an image and
            smaller classes are left out. With 0 all records of all classes are kept.
    """
    rows = [json.loads(line) for line in records.read_text(encoding="utf-8").splitlines()]
    if least:
        rows = [row for row in rows if row["image"]]
    counts = collections.Counter(row["labels"]["category"] for row in rows)
    with output.open("w", encoding="utf-8") as lines:
        for row in rows:
            if counts[row["labels"]["category"]] < least:
                continue
            for name in ("image", "audio"):
                row[name] = row[name] and str((records.parent / row[name]).resolve())
            row["group"] = f"{seed} {row['group']}"  # the split follows from the group's digest
            lines.write(json.dumps(row) + "\n")
    return output


def _evaluated(
    records: Path, media: Path, modalities: Sequence[str], seed: int, folder: Path
) -> dict[str, Any]:
    """Trains and returns the evaluation of the test split; finished steps are reused."""
    from triad_ml.pipelines.preprocessing import run as preprocessing_run
    from triad_ml.pipelines.preprocessing.config import PreprocessConfig
    from triad_ml.pipelines.training import run as training_run
    from triad_ml.pipelines.training.config import TrainConfig

    content = yaml.safe_load(SPEC.read_text(encoding="utf-8"))
    content["modalities"] = {name: content["modalities"][name] for name in modalities}
    content["model"] = {"recipe": "network"}
    folder.mkdir(parents=True, exist_ok=True)
    spec = folder / "spec.yaml"
    spec.write_text(yaml.safe_dump(content), encoding="utf-8")
    data, model = str(folder / "data"), folder / "model"
    roots = (str(media.resolve()),)
    # For a network of one modality, records without that modality are rejected.
    preprocessing_run.run(
        PreprocessConfig(str(spec), (str(records),), data, media_roots=roots, rejected_limit=1.0)
    )
    training_run.run(TrainConfig(data, str(model), seed=seed))
    document = json.loads((model / "evaluation.json").read_text(encoding="utf-8"))
    return dict(document["splits"]["test"]["tasks"]["category"])


def _pair(metrics: dict[str, Any]) -> tuple[float, float]:
    return metrics["accuracy"]["value"], metrics["macro_f1"]["value"]


def _show(measured: Sequence[Figures], seeds: Sequence[int], seconds: float) -> None:
    print(f"{len(seeds)} seeds, {seconds:.0f} s")
    print(f"{'given':32}{'accuracy':>10}{'range':>16}{'macro-F1':>10}{'range':>16}")
    for name in measured[0]:
        line = f"{name:32}"
        for part in (0, 1):
            values = [figures[name][part] for figures in measured]
            line += f"{statistics.mean(values):10.3f}{f'{min(values):.3f}-{max(values):.3f}':>16}"
        print(line)


if __name__ == "__main__":
    main()
