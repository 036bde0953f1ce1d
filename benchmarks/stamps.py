"""What fusion is worth on stamps: all modalities against each alone, over several splits and seeds.

    python examples/stamps.py --out STAMPS --cache CACHE
    python -m benchmarks.stamps --records STAMPS/records.jsonl [--seeds 0 1 2] [--alone]

Takes the records with a picture whose class has at least ten of them. Each seed makes its own
grouped split (70, 10 and 20 %) and its own training, from scratch. Reported is the test split: the
fused network with what each record has, the same network with modalities hidden (complete records
only), and with `--alone` networks that were built and trained for one modality.
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
Figures = dict[str, tuple[float, float]]


def main() -> None:
    """Measures, and prints a table of mean and range over the seeds."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    parser.add_argument("--records", type=Path, required=True)
    parser.add_argument("--seeds", type=int, nargs="+", default=[0, 1, 2])
    parser.add_argument("--alone", action="store_true")
    parser.add_argument("--folder", type=Path, help="keeps what is made; a temporary one if absent")
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
    """Accuracy and macro-F1 on the test split by what the network was given."""
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
    """Writes the records of which the split of a seed is made.

    Args:
        records: Of `examples/stamps.py`.
        seed: Decides the split.
        output: A file of records.
        least: Of each class, records with a picture; others and classes of fewer are left out.
            With 0 all records of all classes stay.
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
    """The evaluation of the test split; what is there already is not made again."""
    from triad_ml.pipelines.preprocessing import run as preprocessing_run
    from triad_ml.pipelines.preprocessing.config import PreprocessConfig
    from triad_ml.pipelines.training import run as training_run
    from triad_ml.pipelines.training.config import TrainConfig

    what = yaml.safe_load(SPEC.read_text(encoding="utf-8"))
    what["modalities"] = {name: what["modalities"][name] for name in modalities}
    folder.mkdir(parents=True, exist_ok=True)
    spec = folder / "spec.yaml"
    spec.write_text(yaml.safe_dump(what), encoding="utf-8")
    data, model = str(folder / "data"), folder / "model"
    roots = (str(media.resolve()),)
    # A network for one modality has nothing to see in records that lack it: they are rejected.
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
            values = [one[name][part] for one in measured]
            line += f"{statistics.mean(values):10.3f}{f'{min(values):.3f}-{max(values):.3f}':>16}"
        print(line)


if __name__ == "__main__":
    main()
