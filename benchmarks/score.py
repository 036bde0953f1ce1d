"""Benchmark of `triad score`: its steady rate against a plain loop over the same SavedModel.

    python -m benchmarks.score [--small 1000] [--large 4000] [--folder DIR]

Both read the same records (JPEG 640x480, WAV of 3 s at 16 kHz, a sentence), once as JSONL with URIs
and once as TFRecord with embedded media. Each measurement runs in a separate process. Two sizes
cancel the start-up: the rate is the difference of the sizes divided by that of the times.
"""

import argparse
import dataclasses
import datetime
import json
import os
import platform
import resource
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

SPEC = """
modalities:
  image: {size: 224}
  audio: {sample_rate: 16000, seconds: 3, mel_bins: 64}
  text: {tokens: word, vocabulary: 1000, length: 16}
tasks:
  category: {kind: classification, label: category}
training: {epochs: 1, augment: false}
"""
WORDS = "the fan pump rattles hums runs in hall two north since monday".split()
BATCH_SIZE = 48
SOURCES = ("jsonl", "tfrecord")
WAYS = ("triad", "plain", "plain, 2 in flight")


@dataclasses.dataclass(frozen=True)
class Cost:
    """Cost of one process.

    Attributes:
        records: Number of records.
        wall: Wall time in seconds.
        cpu: CPU time in seconds.
        peak_mib: Peak memory in MiB.
    """

    records: int
    wall: float
    cpu: float
    peak_mib: float


def main() -> None:
    """Runs the measurements, and prints a table and one line of JSON."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    parser.add_argument("--small", type=int, default=1000)
    parser.add_argument("--large", type=int, default=4000)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--folder", type=Path)
    parser.add_argument("--child", nargs=3, metavar=("WAY", "RECORDS", "FOLDER"))
    arguments = parser.parse_args()
    if arguments.child:
        _child(*arguments.child)
        return
    folder = arguments.folder or Path(tempfile.mkdtemp(prefix="triad-benchmark-"))
    sizes = (arguments.small, arguments.large)
    prepare(folder, sizes)
    found: dict[tuple[str, str, int], list[Cost]] = {}
    for _ in range(arguments.rounds):
        for source in SOURCES:
            for size in sizes:
                for way in WAYS:
                    cost = _measure(way, folder / f"records-{size}.{source}", folder)
                    found.setdefault((source, way, size), []).append(cost)
    _show(found, sizes)


def _show(found: dict[tuple[str, str, int], list[Cost]], sizes: tuple[int, int]) -> None:
    small, large = sizes
    result: dict[str, Any] = {"machine": machine(), "sizes": sizes, "sources": {}}
    print(f"{machine()}; {small} and {large} records; medians of {len(next(iter(found.values())))}")
    print(
        f"{'source':10}{'way':20}{'records/s':>10}{'CPU-ms each':>13}{'start-up s':>12}"
        f"{'start-up CPU-s':>16}{'peak MiB':>10}"
    )
    for source in SOURCES:
        rates = {}
        for way in WAYS:
            walls, cpus = (
                [statistics.median(getattr(c, part) for c in found[source, way, n]) for n in sizes]
                for part in ("wall", "cpu")
            )
            rate = (large - small) / (walls[1] - walls[0])
            each = (cpus[1] - cpus[0]) / (large - small)
            peak = max(cost.peak_mib for cost in found[source, way, large])
            rates[way] = rate
            print(
                f"{source:10}{way:20}{rate:10.1f}{each * 1e3:13.2f}{walls[0] - small / rate:12.1f}"
                f"{cpus[0] - each * small:16.1f}{peak:10.0f}"
            )
        ratios = {way: rates["triad"] / rates[way] for way in WAYS[1:]}
        result["sources"][source] = {"rates": rates, "ratios": ratios}
        print("          " + "; ".join(f"triad / {way}: {r:.2f}" for way, r in ratios.items()))
    print(json.dumps(result))


def machine() -> str:
    cpus = Path("/proc/cpuinfo").read_text(encoding="utf-8").splitlines()
    model = next((line.split(":")[1].strip() for line in cpus if "model name" in line), "unknown")
    return f"{os.cpu_count()} x {model}, Python {platform.python_version()}"


def _measure(way: str, records: Path, folder: Path) -> Cost:
    command = [sys.executable, "-m", "benchmarks.score", "--child", way, str(records), str(folder)]
    output = subprocess.run(command, check=True, capture_output=True, text=True).stdout
    return Cost(**json.loads(output.splitlines()[-1]))


def _child(way: str, records: str, folder: str) -> None:
    started = time.monotonic()
    from triad_ml.pipelines.runtime import environment

    environment.prepare()
    count = _triad(records, folder) if way == "triad" else _plain(records, folder, way)
    usage = resource.getrusage(resource.RUSAGE_SELF)
    cost = Cost(
        records=count,
        wall=time.monotonic() - started,
        cpu=usage.ru_utime + usage.ru_stime,
        peak_mib=usage.ru_maxrss / 1024,
    )
    print(json.dumps(dataclasses.asdict(cost)))


def _triad(records: str, folder: str) -> int:
    from triad_ml.pipelines.scoring import run as scoring_run
    from triad_ml.pipelines.scoring.config import ScoreConfig

    with tempfile.TemporaryDirectory(dir=folder) as output:
        published = scoring_run.run(
            ScoreConfig(f"{folder}/model", (records,), output, datetime.date.today().isoformat())
        )
        counts = json.loads(Path(published.manifest_uri).read_text(encoding="utf-8"))["counts"]
    return int(counts["scored"])


def _plain(records: str, folder: str, way: str) -> int:
    """Scores with a minimal loop: reads a batch, calls the signature, keeps the outputs."""
    import concurrent.futures

    import tensorflow as tf

    loaded = tf.saved_model.load(f"{folder}/model/saved_model")
    serve = loaded.signatures["serving_default"]

    def call(batch: list[tuple[bytes, bytes, bytes]]) -> dict[str, Any]:
        image, audio, text = zip(*batch, strict=True)
        outputs = serve(image=tf.constant(image), audio=tf.constant(audio), text=tf.constant(text))
        return {name: value.numpy() for name, value in outputs.items()}

    read = _from_jsonl if records.endswith("jsonl") else _from_tfrecord
    if way == "plain":
        results = [call(batch) for batch in _batches(read(records))]
    else:
        with concurrent.futures.ThreadPoolExecutor(2) as threads:
            results = list(threads.map(call, _batches(read(records))))
    return sum(len(outputs["category/label"]) for outputs in results)


def _batches(rows: Iterator[Any]) -> Iterator[list[Any]]:
    batch = []
    for row in rows:
        batch.append(row)
        if len(batch) == BATCH_SIZE:
            yield batch
            batch = []
    if batch:
        yield batch


def _from_jsonl(path: str) -> Iterator[tuple[bytes, bytes, bytes]]:
    folder = Path(path).parent
    with Path(path).open(encoding="utf-8") as lines:
        for line in lines:
            row = json.loads(line)
            image = (folder / row["image"]).read_bytes()
            yield image, (folder / row["audio"]).read_bytes(), row["text"].encode()


def _from_tfrecord(path: str) -> Iterator[tuple[bytes, bytes, bytes]]:
    import tensorflow as tf

    feature = tf.io.FixedLenFeature([], tf.string)
    names = ("image", "audio", "text")
    batches = tf.data.TFRecordDataset(path).batch(BATCH_SIZE)
    batches = batches.map(lambda rows: tf.io.parse_example(rows, dict.fromkeys(names, feature)))
    for batch in batches.prefetch(2):
        yield from zip(*(batch[name].numpy() for name in names), strict=True)


def prepare(folder: Path, sizes: tuple[int, int]) -> None:
    """Writes records of both sizes in both formats, and trains a model, unless they exist."""
    if (folder / "model" / "triad.json").exists() and all(
        (folder / f"records-{size}.tfrecord").exists() for size in sizes
    ):
        return
    folder.mkdir(parents=True, exist_ok=True)
    for size in sizes:
        _write_records(folder, size)
    (folder / "spec.yaml").write_text(SPEC, encoding="utf-8")
    small = str(folder / f"records-{min(sizes)}.jsonl")
    for command in (
        ["preprocess", "--spec", str(folder / "spec.yaml"), "--input", small]
        + ["--output", str(folder / "data")],
        ["train", "--data", str(folder / "data"), "--output", str(folder / "model")],
    ):
        subprocess.run([sys.executable, "-m", "triad_ml.pipelines.cli.main", *command], check=True)


def _write_records(folder: Path, size: int) -> None:
    import tensorflow as tf

    media = folder / "media"
    media.mkdir(exist_ok=True)
    with (
        (folder / f"records-{size}.jsonl").open("w", encoding="utf-8") as lines,
        tf.io.TFRecordWriter(str(folder / f"records-{size}.tfrecord")) as writer,
    ):
        for index in range(size):
            image, audio, text = _record(index)
            for name, content in ((f"{index}.jpg", image), (f"{index}.wav", audio)):
                if not (media / name).exists():
                    (media / name).write_bytes(content)
            row = {
                "id": f"r{index:06d}",
                "image": f"media/{index}.jpg",
                "audio": f"media/{index}.wav",
                "text": text,
                "labels": {"category": f"c{index % 12}"},
            }
            lines.write(json.dumps(row) + "\n")
            features = {"id": row["id"], "image": image, "audio": audio, "text": text}
            writer.write(_example(features))


def _record(index: int) -> tuple[bytes, bytes, str]:
    import io

    import numpy as np
    from PIL import Image

    from triad_ml.transforms.media import audio as media_audio

    random = np.random.default_rng(index)
    small = Image.fromarray(random.integers(0, 256, (30, 40, 3), dtype=np.uint8))
    image = io.BytesIO()
    small.resize((640, 480), Image.Resampling.BICUBIC).save(image, "JPEG", quality=85)
    samples = (random.normal(0, 3000, 48_000)).astype("<i2")
    audio = media_audio.header(16_000, len(samples)) + samples.tobytes()
    return image.getvalue(), audio, " ".join(random.choice(WORDS, 6))


def _example(features: dict[str, Any]) -> bytes:
    import tensorflow as tf

    def feature(value: Any) -> tf.train.Feature:
        content = value.encode() if isinstance(value, str) else value
        return tf.train.Feature(bytes_list=tf.train.BytesList(value=[content]))

    columns = {name: feature(value) for name, value in features.items()}
    serialized = tf.train.Example(features=tf.train.Features(feature=columns))
    return bytes(serialized.SerializeToString())


if __name__ == "__main__":
    main()
