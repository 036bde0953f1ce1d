"""Benchmark of the Flink runner against the local runner, on one machine.

    python -m benchmarks.flink [--records 2000] [--folder DIR]

Each command runs in a separate process. The benchmark starts a cluster at free ports and stops it
at the end. It needs Java 17, and Maven the first time.
"""

import argparse
import platform
import subprocess
import sys
import tempfile
import time
from pathlib import Path

from examples import generated
from triad_ml.pipelines.runners.flink import cluster as flink_cluster
from triad_ml.pipelines.runtime import environment

SPEC = """
modalities:
  image: {size: 64}
  audio: {sample_rate: 16000, seconds: 1, mel_bins: 32}
  text: {tokens: word, vocabulary: 1000, length: 16}
tasks:
  category: {kind: classification, label: category}
training: {epochs: 1}
"""


def main() -> None:
    """Runs the measurement, and prints seconds by command and runner."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    parser.add_argument("--records", type=int, default=2000)
    parser.add_argument(
        "--folder", type=Path, help="folder for the results; default: a temporary one"
    )
    arguments = parser.parse_args()
    environment.prepare()
    folder = arguments.folder or Path(tempfile.mkdtemp(prefix="triad-flink-"))
    folder.mkdir(parents=True, exist_ok=True)
    records = generated.write(folder / "records", arguments.records, seed=0)
    spec = folder / "spec.yaml"
    spec.write_text(SPEC, encoding="utf-8")
    started = time.monotonic()
    cluster = flink_cluster.up(folder / "cluster", free_ports=True)
    print(f"{platform.platform()}; {arguments.records} records")
    print(f"cluster started in {time.monotonic() - started:.1f} s")
    try:
        runners: dict[str, list[str]] = {
            "local": [],
            "flink": ["--runner", "flink", "--", *cluster.beam_args],
        }
        reading = ["--input", str(records)]
        preprocess = ["preprocess", "--spec", str(spec), *reading]
        seconds = {
            runner: timed([*preprocess, "--output", str(folder / f"data-{runner}"), *more])
            for runner, more in runners.items()
        }
        show("preprocess", seconds)
        model = str(folder / "model")
        timed(["train", "--data", str(folder / "data-local"), "--output", model])
        score = ["score", "--model", model, *reading, "--date", "2026-11-24"]
        seconds = {
            runner: timed([*score, "--output", str(folder / f"scores-{runner}"), *more])
            for runner, more in runners.items()
        }
        show("score", seconds)
    finally:
        flink_cluster.down(cluster.folder)


def timed(arguments: list[str]) -> float:
    """Runs a command and returns its seconds; a command that fails ends the benchmark."""
    started = time.monotonic()
    subprocess.run([sys.executable, "-m", "triad_ml.pipelines.cli.main", *arguments], check=True)
    return time.monotonic() - started


def show(command: str, seconds: dict[str, float]) -> None:
    """Prints the seconds of one command on both runners."""
    print(
        f"{command:<12}{seconds['local']:8.1f} s local{seconds['flink']:8.1f} s flink", flush=True
    )


if __name__ == "__main__":
    main()
