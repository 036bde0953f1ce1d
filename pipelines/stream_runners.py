"""What each runner of `triad stream` can read, write and be told."""

from __future__ import annotations

import math
from dataclasses import fields
from typing import TYPE_CHECKING

from triad_ml.pipelines.cli import flags
from triad_ml.pipelines.runners import dataflow
from triad_ml.transforms.errors import OptionsError

if TYPE_CHECKING:
    from triad_ml.pipelines.streaming.config import StreamConfig

FLINK = "flink"
PRISM = "prism"
DATAFLOW = dataflow.RUNNER
LOCAL = "local"
RUNNERS = (LOCAL, PRISM, FLINK, DATAFLOW)

_OF = {
    "--no-wait": ("no_wait", (FLINK, DATAFLOW)),
    "--from-checkpoint": ("from_checkpoint", (FLINK,)),
    "--checkpoint-seconds": ("checkpoint_seconds", (FLINK,)),
    "--": ("beam_args", (FLINK, DATAFLOW)),
    "--prism": ("prism", (PRISM,)),
    "--shards": ("shards", (PRISM, DATAFLOW)),
    "--id-attribute": ("id_attribute", (DATAFLOW,)),
    "--time-attribute": ("time_attribute", (DATAFLOW,)),
    "--until-empty": ("until_empty", (LOCAL, PRISM)),
    "--poll-seconds": ("poll_seconds", (LOCAL, PRISM)),
    "--format": ("format", (LOCAL, PRISM, DATAFLOW)),
    "--window": ("window", (LOCAL, PRISM, DATAFLOW)),
    "--batch-records": ("batch_records", (LOCAL, PRISM, FLINK)),
    "--batch-seconds": ("batch_seconds", (LOCAL, FLINK)),
    "--batch-bytes": ("batch_bytes", (LOCAL,)),
    "--kafka-config": ("kafka_config", (LOCAL,)),
    "--golden": ("golden", (LOCAL,)),
    "--metrics": ("metrics", (LOCAL,)),
}
"""The fields of flags that not every runner knows, and the runners that do."""


def name(config: StreamConfig) -> str:
    """The runner's name in lower case."""
    return LOCAL if config.runner.lower() == "directrunner" else config.runner.lower()


def check(config: StreamConfig) -> None:
    """Refuses what the chosen runner cannot do.

    Raises:
        OptionsError: Naming the flag.
    """
    runner = name(config)
    if runner not in RUNNERS:
        raise OptionsError(
            f"--runner: {config.runner!r} is no runner of streams; use {', '.join(RUNNERS)}"
        )
    given = {one.name: getattr(config, one.name) != one.default for one in fields(config)}
    for flag, (field, runners) in _OF.items():
        if given[field] and runner not in runners:
            raise OptionsError(f"{flag}: is of --runner {' or '.join(runners)}; leave it out")
    flags.check_beam_args(config.beam_args)
    {LOCAL: _check_local, PRISM: _check_prism, FLINK: _check_flink, DATAFLOW: _check_dataflow}[
        runner
    ](config)


def _check_local(config: StreamConfig) -> None:
    for flag, place in (("--source", config.source), ("--sink", config.sink)):
        if place.startswith(("pubsub://", "gs://")):
            scheme = place.partition("://")[0]
            raise OptionsError(
                f"{flag}: {scheme}:// needs --runner dataflow; else give a local folder or kafka://"
            )


def _check_flink(config: StreamConfig) -> None:
    if not (config.source.startswith("kafka://") and config.sink.startswith("kafka://")):
        raise OptionsError("--runner: flink streams from kafka:// to kafka://; name topics")
    if config.state is None:
        raise OptionsError(
            "--state: name a folder for the checkpoints that all parts of the cluster see"
        )
    if "://" in config.state:
        raise OptionsError(
            f"--state: {config.state}: name a folder by its path; Flink's checkpoints are read here"
        )
    if not (math.isfinite(config.checkpoint_seconds) and config.checkpoint_seconds >= 0.1):
        raise OptionsError(
            f"--checkpoint-seconds: must be at least 0.1, got {config.checkpoint_seconds:g}"
        )


def _check_prism(config: StreamConfig) -> None:
    for flag, place in (("--source", config.source), ("--sink", config.sink)):
        if "://" in place:
            raise OptionsError(
                f"{flag}: prism keeps its state in memory, so it streams from a folder to a "
                "folder; name one, or use --runner local"
            )
    if config.state is not None:
        raise OptionsError("--state: is not kept on prism; leave it out")


def _check_dataflow(config: StreamConfig) -> None:
    if not config.source.startswith("pubsub://"):
        raise OptionsError("--source: dataflow streams from pubsub://PROJECT/SUBSCRIPTION")
    if not config.sink.startswith(("pubsub://", "gs://")):
        raise OptionsError("--sink: dataflow streams to pubsub://PROJECT/TOPIC or a gs:// folder")
    if any(one.partition("=")[0] == "--job_name" for one in config.beam_args):
        raise OptionsError(
            "--job_name: is that of the subscription, of which two streams would each get a part; "
            "leave it out"
        )
    if config.state is not None:
        raise OptionsError("--state: Dataflow keeps it; leave it out")
    for flag, value in (
        ("--id-attribute", config.id_attribute),
        ("--time-attribute", config.time_attribute),
    ):
        if value is not None and not value.strip():
            raise OptionsError(f"{flag}: must not be empty")
    paths = {
        "--model": (config.model,),
        "--sink": () if config.sink.startswith("pubsub://") else (config.sink,),
        "--media-root": config.media_roots,
    }
    dataflow.check(paths, config.beam_args)
