"""What each runner of `triad stream` can read, write and be told."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

from pipelines import dataflow, options
from transforms.errors import OptionsError

if TYPE_CHECKING:
    from pipelines.stream_config import StreamConfig

FLINK = "flink"
PRISM = "prism"
DATAFLOW = dataflow.RUNNER
RUNNERS = ("local", PRISM, FLINK, DATAFLOW)

_OF = {
    "--no-wait": (FLINK, DATAFLOW),
    "--from-checkpoint": (FLINK,),
    "--checkpoint-seconds": (FLINK,),
    "--": (FLINK, DATAFLOW),
    "--prism": (PRISM,),
    "--shards": (PRISM, DATAFLOW),
    "--id-attribute": (DATAFLOW,),
    "--time-attribute": (DATAFLOW,),
    "--until-empty": ("local", PRISM),
    "--kafka-config": ("local",),
    "--golden": ("local",),
    "--metrics": ("local",),
}
"""The runners that a flag is for."""


def name(config: StreamConfig) -> str:
    """The runner's name in lower case."""
    return "local" if config.runner.lower() == "directrunner" else config.runner.lower()


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
    for flag in _said(config):
        if runner not in _OF[flag]:
            raise OptionsError(f"{flag}: is of --runner {' or '.join(_OF[flag])}; leave it out")
    options.check_beam_args(config.beam_args)
    {"local": _check_local, PRISM: _check_prism, FLINK: _check_flink, DATAFLOW: _check_dataflow}[
        runner
    ](config)


def _said(config: StreamConfig) -> list[str]:
    said = {
        "--no-wait": config.no_wait,
        "--from-checkpoint": config.from_checkpoint is not None,
        "--checkpoint-seconds": config.checkpoint_seconds != 10.0,
        "--": bool(config.beam_args),
        "--prism": config.prism is not None,
        "--shards": config.shards != 1,
        "--id-attribute": config.id_attribute is not None,
        "--time-attribute": config.time_attribute is not None,
        "--until-empty": config.until_empty,
        "--kafka-config": config.kafka_config is not None,
        "--golden": config.golden is not None,
        "--metrics": config.metrics is not None,
    }
    return [flag for flag, value in said.items() if value]


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
