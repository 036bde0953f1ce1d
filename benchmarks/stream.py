"""Benchmark of `triad stream` on Kafka: capacity against `triad score`, and latency under load.

    python -m benchmarks.stream [--small 300] [--large 1500] [--seconds 40] [--folder DIR]

Both score the same records with embedded media (JPEG 640x480, WAV of 3 s at 16 kHz, a sentence),
each in a separate process. Two sizes cancel the start-up: a rate is the difference of the sizes
divided by that of the times. Latency is the time from a message's timestamp until its score is read
from the topic of scores, at shares of the capacity. The benchmark needs Java 17, and Maven the
first time.
"""

import argparse
import base64
import contextlib
import json
import os
import signal
import subprocess
import sys
import tempfile
import threading
import time
import uuid
from collections.abc import Iterator, Sequence
from pathlib import Path

from confluent_kafka import Consumer, Producer, TopicPartition

from benchmarks.score import machine, prepare
from tests import kafka

SHARES = (0.2, 0.5, 0.8)
"""Loads at which latency is measured, as shares of the capacity."""

_PATIENCE = 600.0  # seconds


def main() -> None:
    """Runs the measurements, and prints rates, their ratio and latencies."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    parser.add_argument("--small", type=int, default=300)
    parser.add_argument("--large", type=int, default=1500)
    parser.add_argument("--seconds", type=float, default=40, help="time of each load, after 5 s")
    parser.add_argument("--capacity", type=float, help="capacity; default: it is measured")
    parser.add_argument("--folder", type=Path, help="folder for the results; default: temporary")
    arguments = parser.parse_args()
    folder = arguments.folder or Path(tempfile.mkdtemp(prefix="triad-stream-"))
    sizes = (arguments.small, arguments.large)
    prepare(folder, sizes)
    messages = {size: _messages(folder, size) for size in sizes}
    print(f"{machine()}; {sizes[0]} and {sizes[1]} records; load before {os.getloadavg()[0]:.1f}")
    (folder / "kafka").mkdir(exist_ok=True)
    broker_folder = Path(tempfile.mkdtemp(dir=folder / "kafka"))
    with kafka.broker(broker_folder) as broker:
        capacity = arguments.capacity
        if capacity is None:
            batch = _rate(sizes, [_batch_seconds(folder, size) for size in sizes])
            capacity = _rate(sizes, [_stream_seconds(folder, broker, messages[s]) for s in sizes])
            print(f"triad score   {batch:8.1f} records/s")
            print(f"triad stream  {capacity:8.1f} records/s, {capacity / batch:.2f} of it")
        for share in SHARES:
            times = _latencies(
                folder, broker, messages[sizes[1]], share * capacity, arguments.seconds
            )
            half, most = _quantile(times, 0.5), _quantile(times, 0.99)
            print(
                f"at {share:.0%} ({share * capacity:.1f}/s): p50 {half:.2f} s, p99 {most:.2f} s, "
                f"{len(times)} messages"
            )
    print(f"load after {os.getloadavg()[0]:.1f}")


def _rate(sizes: Sequence[int], seconds: Sequence[float]) -> float:
    return (sizes[1] - sizes[0]) / (seconds[1] - seconds[0])


def _quantile(times: Sequence[float], share: float) -> float:
    return sorted(times)[min(len(times) - 1, int(share * len(times)))]


def _messages(folder: Path, size: int) -> list[bytes]:
    """Returns the records of a file as messages with embedded media, and writes them to a file."""
    messages = []
    for line in (folder / f"records-{size}.jsonl").read_text(encoding="utf-8").splitlines():
        row = json.loads(line)
        for name in ("image", "audio"):
            content = (folder / row[name]).read_bytes()
            row[name] = {"base64": base64.b64encode(content).decode()}
        messages.append(json.dumps(row).encode())
    (folder / f"inside-{size}.jsonl").write_bytes(b"\n".join(messages) + b"\n")
    return messages


def _batch_seconds(folder: Path, size: int) -> float:
    with tempfile.TemporaryDirectory(dir=folder) as output:
        started = time.monotonic()
        command = ["score", "--model", str(folder / "model"), "--date", "2026-11-24"]
        command += ["--input", str(folder / f"inside-{size}.jsonl"), "--output", output]
        _run(command)
        return time.monotonic() - started


def _stream_seconds(folder: Path, broker: kafka.Broker, messages: Sequence[bytes]) -> float:
    source = broker.topic()
    producer = Producer({"bootstrap.servers": broker.servers})
    for message in messages:
        _send(producer, source, message)
    assert producer.flush(_PATIENCE) == 0
    started = time.monotonic()
    _run([*_streaming(folder, broker, source, broker.topic()), "--until-empty"])
    return time.monotonic() - started


def _streaming(folder: Path, broker: kafka.Broker, source: str, scores: str) -> list[str]:
    command = ["stream", "--model", str(folder / "model"), "--source", broker.uri(source)]
    command += ["--sink", broker.uri(scores), "--rejected", broker.uri(broker.topic())]
    return [*command, "--group", uuid.uuid4().hex]


def _latencies(
    folder: Path, broker: kafka.Broker, messages: Sequence[bytes], rate: float, seconds: float
) -> list[float]:
    """Returns the latency in seconds of each message after the first five seconds of load."""
    source, scores = broker.topic(), broker.topic()
    command = _streaming(folder, broker, source, scores)
    producer = Producer({"bootstrap.servers": broker.servers, "linger.ms": 0})
    with _reader(broker, scores) as reader, _running(command):
        _send(producer, source, messages[0])  # its score shows that the model is loaded
        producer.flush(_PATIENCE)
        assert len(_read(reader, 1)) == 1
        count = int(rate * (seconds + 5))
        sending = threading.Thread(target=_steadily, args=(producer, source, messages, count, rate))
        sending.start()
        times = _read(reader, count)
        sending.join()
    return times[int(5 * rate) :]


def _steadily(
    producer: Producer, topic: str, messages: Sequence[bytes], count: int, rate: float
) -> None:
    started = time.monotonic()
    for number in range(count):
        time.sleep(max(0.0, started + number / rate - time.monotonic()))
        _send(producer, topic, messages[number % len(messages)])
    producer.flush(_PATIENCE)


def _send(producer: Producer, topic: str, message: bytes) -> None:
    while True:
        try:
            producer.produce(topic, message)
            producer.poll(0)
            return
        except BufferError:
            producer.poll(1)


def _read(reader: Consumer, count: int) -> list[float]:
    """Reads messages and returns the age of each in seconds.

    A score has the timestamp of the message that was scored.
    """
    ages: list[float] = []
    until = time.monotonic() + _PATIENCE
    while len(ages) < count and time.monotonic() < until:
        message = reader.poll(1)
        if message is not None and message.error() is None:
            ages.append(time.time() - message.timestamp()[1] / 1000)
    return ages


@contextlib.contextmanager
def _reader(broker: kafka.Broker, topic: str) -> Iterator[Consumer]:
    reader = Consumer({"bootstrap.servers": broker.servers, "group.id": uuid.uuid4().hex})
    reader.assign([TopicPartition(topic, 0, 0)])
    try:
        yield reader
    finally:
        reader.close()


@contextlib.contextmanager
def _running(command: Sequence[str]) -> Iterator[None]:
    process = subprocess.Popen(
        [sys.executable, "-m", "triad_ml.pipelines.cli.main", *command], stderr=subprocess.DEVNULL
    )
    try:
        yield
    finally:
        process.send_signal(signal.SIGTERM)
        process.wait()


def _run(command: Sequence[str]) -> None:
    subprocess.run(
        [sys.executable, "-m", "triad_ml.pipelines.cli.main", *command],
        check=True,
        capture_output=True,
    )


if __name__ == "__main__":
    main()
