"""Checks of a stream's places on disks and brokers, before anything else is begun."""

from triad_ml.pipelines.storage import outputs
from triad_ml.pipelines.streaming import endpoints, journal, metrics, rules
from triad_ml.pipelines.streaming.config import StreamConfig


def check_inputs(config: StreamConfig) -> None:
    """Refuses a folder to watch, or topics of Kafka, that are not there.

    Raises:
        OptionsError: Where there is no such folder or topic, or the client's properties cannot be
            used.
        StorageError: Where no broker answers.
    """
    endpoints.of(config.source).check_source(config.source, config)
    for address in (config.sink, config.rejected, config.replay_from):
        if address is not None:
            endpoints.of(address).check_sink(address, config)


def check_outputs(config: StreamConfig) -> None:
    """Refuses folders, and a file of metrics, in whose place something of the user's is.

    A sink shows that it is one by the stream's memory, by its columns, or by windows of rows. What
    Flink keeps lies in a folder of its own in `--state`, whatever else is there.

    Raises:
        OptionsError: Naming something that is there.
        StorageError: Where a folder cannot be listed.
    """
    endpoints.of(config.sink).check_output(config.sink)
    state = config.state
    if state is not None and rules.of(config).keeps_journal:
        outputs.check_folder(state, "stream", lambda: journal.is_in(state), flag="--state")
    if config.metrics is not None:
        outputs.check_file(config.metrics, metrics.MARK, "file of metrics", "--metrics")
