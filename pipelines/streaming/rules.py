"""Rules for streams: flags and endpoints of each runner, and checks of inputs and outputs."""

import abc
import dataclasses
import math
from collections.abc import Mapping
from typing import ClassVar

from triad_ml.pipelines.runners import beam_options, prism, registry
from triad_ml.pipelines.runners.base import Runner
from triad_ml.pipelines.streaming import endpoints
from triad_ml.pipelines.streaming.settings import StreamSettings
from triad_ml.transforms.errors import OptionsError


class Rules(abc.ABC):
    """Rules of one runner; each runner has a subclass.

    Attributes:
        runner: Runner to which the rules apply.
        fields: Names of the settings that this runner supports, of those that not all runners do.
        follows_model: True if a running stream changes to a newly released model; the jobs of other
            runners keep the model with which they began.
        keeps_journal: True if Triad keeps the stream's state in a journal; otherwise the runner
            keeps it.
    """

    runner: ClassVar[Runner]
    fields: ClassVar[frozenset[str]]
    follows_model: ClassVar[bool] = False
    keeps_journal: ClassVar[bool] = False

    @abc.abstractmethod
    def refusal(self, flag: str, address: str) -> str:
        """Returns the error message for a source or sink that the runner does not support."""

    def check(self, settings: StreamSettings) -> None:
        """Refuses further settings that the runner does not support.

        Raises:
            OptionsError: If there are any; the message names the flag.
        """
        return None

    def check_machine(self, settings: StreamSettings) -> None:
        """Refuses a machine that lacks a requirement of the runner, before anything is loaded.

        Raises:
            OptionsError: If one is missing; the message has the remedy.
        """
        return None


class LocalRules(Rules):
    """Rules of the local runner: micro-batches in this process."""

    runner = registry.LOCAL
    fields = frozenset(
        {
            *("until_empty", "poll_seconds", "format", "window", "batch_records", "batch_seconds"),
            *("batch_bytes", "kafka_config", "golden", "metrics"),
        }
    )
    follows_model = True
    keeps_journal = True

    def refusal(self, flag: str, address: str) -> str:
        scheme = endpoints.scheme(address)
        return f"{flag}: {scheme}:// needs --runner dataflow; else give a local folder or kafka://"


class PrismRules(Rules):
    """Rules of Prism: from a folder to a folder, as one unbounded graph on this machine."""

    runner = registry.PRISM
    fields = frozenset(
        {"prism", "shards", "until_empty", "poll_seconds", "format", "window", "batch_records"}
    )

    def refusal(self, flag: str, address: str) -> str:
        return (
            f"{flag}: prism keeps its state in memory, so it streams from a folder to a "
            "folder; name one, or use --runner local"
        )

    def check(self, settings: StreamSettings) -> None:
        if settings.state is not None:
            raise OptionsError("--state: is not kept on prism; leave it out")

    def check_machine(self, settings: StreamSettings) -> None:
        prism.check(settings.prism)


class FlinkRules(Rules):
    """Rules of Flink: from Kafka to Kafka, as a job on a cluster."""

    runner = registry.FLINK
    fields = frozenset(
        {
            *("no_wait", "from_checkpoint", "checkpoint_seconds", "beam_args"),
            *("batch_records", "batch_seconds"),
        }
    )

    def refusal(self, flag: str, address: str) -> str:
        return "--runner: flink streams from kafka:// to kafka://; name topics"

    def check(self, settings: StreamSettings) -> None:
        if settings.state is None:
            raise OptionsError(
                "--state: name a folder for the checkpoints that all parts of the cluster see"
            )
        if "://" in settings.state:
            raise OptionsError(
                f"--state: {settings.state}: name a folder by its path; Flink's checkpoints are "
                "read here"
            )
        seconds = settings.checkpoint_seconds
        if not (math.isfinite(seconds) and seconds >= 0.1):
            raise OptionsError(f"--checkpoint-seconds: must be at least 0.1, got {seconds:g}")


class DataflowRules(Rules):
    """Rules of Dataflow: from Pub/Sub to Pub/Sub or a bucket, as a job of the service."""

    runner = registry.DATAFLOW
    fields = frozenset(
        {
            *("no_wait", "beam_args", "shards", "id_attribute", "time_attribute"),
            *("format", "window"),
        }
    )

    def refusal(self, flag: str, address: str) -> str:
        return {
            "--source": "--source: dataflow streams from pubsub://PROJECT/SUBSCRIPTION",
            "--sink": "--sink: dataflow streams to pubsub://PROJECT/TOPIC or a gs:// folder",
        }[flag]

    def check(self, settings: StreamSettings) -> None:
        if any(argument.partition("=")[0] == "--job_name" for argument in settings.beam_args):
            raise OptionsError(
                "--job_name: is that of the subscription, of which two streams would each get a "
                "part; leave it out"
            )
        if settings.state is not None:
            raise OptionsError("--state: Dataflow keeps it; leave it out")
        for flag, value in (
            ("--id-attribute", settings.id_attribute),
            ("--time-attribute", settings.time_attribute),
        ):
            if value is not None and not value.strip():
                raise OptionsError(f"{flag}: must not be empty")
        folder = endpoints.of(settings.sink).folder(settings.sink)
        paths = {
            "--model": (settings.model,),
            "--sink": () if folder is None else (settings.sink,),
            "--media-root": settings.media_roots,
        }
        self.runner.check(paths, settings.beam_args)


RULES: Mapping[str, Rules] = {
    rules.runner.name: rules
    for rules in (LocalRules(), PrismRules(), FlinkRules(), DataflowRules())
}


def of(settings: StreamSettings) -> Rules:
    """Returns the rules of the runner that the settings name.

    Raises:
        OptionsError: If that runner does not run streams.
    """
    runner = registry.find(settings.runner)
    if runner is None or runner.name not in RULES:
        known = ", ".join(RULES)
        raise OptionsError(f"--runner: {settings.runner!r} is no runner of streams; use {known}")
    return RULES[runner.name]


def check(settings: StreamSettings) -> None:
    """Refuses settings that the chosen runner does not support.

    Raises:
        OptionsError: If there are any; the message names the flag.
    """
    chosen = of(settings)
    for field in dataclasses.fields(settings):
        knowing = [name for name, rules in RULES.items() if field.name in rules.fields]
        given = getattr(settings, field.name) != field.default
        if knowing and given and chosen.runner.name not in knowing:
            flag = _FLAGS.get(field.name, f"--{field.name.replace('_', '-')}")
            raise OptionsError(f"{flag}: is of --runner {' or '.join(knowing)}; leave it out")
    beam_options.check_beam_args(settings.beam_args)
    for flag, address, knowing_it in (
        ("--source", settings.source, endpoints.of(settings.source).read_by),
        ("--sink", settings.sink, endpoints.of(settings.sink).written_by),
    ):
        if chosen.runner.name not in knowing_it:
            raise OptionsError(chosen.refusal(flag, address))
    chosen.check(settings)


def check_inputs(config: StreamSettings) -> None:
    """Refuses a watched folder, or topics of Kafka, that do not exist.

    Raises:
        OptionsError: If there is no such folder or topic, or the client's properties cannot be
            used.
        StorageError: If no broker answers.
    """
    endpoints.of(config.source).check_source(config.source, config)
    for address in (config.sink, config.rejected, config.replay_from):
        if address is not None:
            endpoints.of(address).check_sink(address, config)


def check_outputs(config: StreamSettings) -> None:
    """Refuses output folders, and a metrics file, that would overwrite other files of the user.

    A folder counts as a stream's sink if it contains a stream's journal, its columns, or windows
    of rows. Flink is not checked: it writes into a separate folder in `--state`.

    Raises:
        OptionsError: If there are such files; the message names one of them.
        StorageError: If a folder cannot be listed.
    """
    from triad_ml.pipelines.storage import outputs
    from triad_ml.pipelines.streaming import journal, metrics  # checked settings load neither

    endpoints.of(config.sink).check_output(config.sink)
    state = config.state
    if state is not None and of(config).keeps_journal:
        outputs.check_folder(state, "stream", lambda: journal.is_in(state), flag="--state")
    if config.metrics is not None:
        outputs.check_file(config.metrics, metrics.MARK, "file of metrics", "--metrics")


_FLAGS = {"beam_args": "--"}
"""Flags whose names differ from those of their settings, by setting."""
