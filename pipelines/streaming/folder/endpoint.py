"""Stream endpoints of folders: local folders as sources and sinks, buckets as sinks."""

import os
from collections.abc import Sequence
from typing import TYPE_CHECKING

from triad_ml.pipelines.streaming.base import Endpoint
from triad_ml.pipelines.streaming.settings import StreamSettings
from triad_ml.transforms.errors import OptionsError

if TYPE_CHECKING:
    from triad_ml.pipelines.scoring.score import Scores
    from triad_ml.pipelines.streaming.interfaces import Part, Sink, Source
    from triad_ml.pipelines.tables.schema import ScoreSchema


class FolderEndpoint(Endpoint):
    """Folder of this machine; as a sink it holds the rejected records too."""

    form = "DIR"
    read_by = frozenset({"local", "prism"})
    written_by = frozenset({"local", "prism"})
    is_topic = False

    def check(self, flag: str, address: str) -> None:
        if ":" not in address:
            return
        from triad_ml.transforms.media import uris  # imports NumPy, which `--help` does not need

        path = uris.local_path(address)
        if path != address:
            raise OptionsError(f"{flag}: {address}: is a URI; give the path, {path}")
        scheme, separator, _ = address.partition("://")
        if separator:
            raise OptionsError(f"{flag}: {scheme}:// is not streamed; give a local folder")

    def name(self, address: str) -> str:
        return os.path.realpath(address)

    def watched(self, address: str) -> str:
        return address

    def folder(self, address: str) -> str | None:
        return address.rstrip("/")

    def check_source(self, address: str, settings: StreamSettings) -> None:
        from triad_ml.pipelines.streaming.folder import listing

        listing.check(address)

    def check_output(self, address: str) -> None:
        from triad_ml.pipelines.storage import outputs
        from triad_ml.pipelines.streaming.folder import sink

        folder = address.rstrip("/")
        outputs.check_folder(folder, "stream", lambda: sink.is_sink(folder), flag="--sink")

    def source(
        self, settings: StreamSettings, labels: Sequence[str], given: "Sequence[Part]"
    ) -> "Source":
        from triad_ml.pipelines.streaming.folder.source import Folder

        return Folder(
            settings.source,
            settings.media_files,
            settings.batch_records,
            settings.poll_seconds,
            given,
            media_roots=settings.media_roots,
        )

    def sink(self, settings: StreamSettings, run: "ScoreSchema") -> "Sink":
        from triad_ml.pipelines.streaming.folder.sink import FileSink

        return FileSink(settings.sink.rstrip("/"), run, settings.window)

    def write(self, scores: "Scores", settings: StreamSettings, run: "ScoreSchema") -> None:
        from triad_ml.pipelines.streaming.folder.windowed_sink import Files, WriteWindows

        files = Files(settings.sink.rstrip("/"), run, settings.window, settings.shards)
        _ = scores | "Files" >> WriteWindows(files)


class BucketEndpoint(FolderEndpoint):
    """Folder in a bucket, which can only be a sink."""

    form = "gs://BUCKET/DIR"
    read_by = frozenset()
    written_by = frozenset({"dataflow"})

    def check(self, flag: str, address: str) -> None:
        if flag != "--sink":
            super().check(flag, address)
