"""Model versions of a running stream: a newly released model takes over between two batches."""

import concurrent.futures
import dataclasses
import logging
from types import TracebackType
from typing import Self

from triad_ml.model.serving import bundle
from triad_ml.model.serving.scorer import keep_only
from triad_ml.pipelines.scoring.score import Score
from triad_ml.pipelines.storage import atomic, model_store
from triad_ml.pipelines.streaming import metrics
from triad_ml.pipelines.streaming.config import StreamConfig
from triad_ml.pipelines.tables import schema
from triad_ml.pipelines.tables.schema import ScoreSchema
from triad_ml.pipelines.verification import model_checks
from triad_ml.transforms.errors import OptionsError, TriadError

_log = logging.getLogger(__name__)


@dataclasses.dataclass(frozen=True)
class Version:
    """Model that is loaded and ready to score.

    Attributes:
        name: Name of its folder next to the pointer, or the folder's path if there is no pointer.
        folder: Path of its folder on this machine.
        model: Content of the folder.
        settings: Common properties of all rows that it scores.
        score: Transform that scores records with it; the same composite as in the batch pipeline.
    """

    name: str
    folder: str
    model: bundle.Artefact
    settings: ScoreSchema
    score: Score

    @property
    def digest(self) -> str:
        return self.model.model_digest


class Models:
    """Current model of a stream, and the newly released model that may replace it.

    `--model` names a model folder, or a folder whose `CURRENT` (the pointer) names a model folder
    next to it. The pointer is checked before each batch. A newly named model is loaded and checked
    in a thread while the old one continues to score, and takes over before the first batch after
    that. A model that fails its checks is reported in the log and not tried again until the pointer
    is rewritten. At a start, too, a model that fails is only reported if the model that scored
    before is still in a folder next to the pointer.

    Args:
        config: Settings of the stream.
        before: Digest of the model that scored last; "" if unknown.

    Raises:
        OptionsError: If there is no model at the start.
        GateError: If the model at the start is refused and no model scored before.
        StorageError: If the pointer cannot be read.
    """

    def __init__(self, config: StreamConfig, before: str = "") -> None:
        self._config = config
        self._pool = concurrent.futures.ThreadPoolExecutor(1, "next-model")
        self._pointer = model_store.stamp(config.model)
        self._coming: concurrent.futures.Future[Version] | None = None
        self._told = ""
        self.changed = self.refused = 0
        self.version = self._first(model_store.read(config.model), before)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self._pool.shutdown(cancel_futures=True)

    def at_boundary(self) -> Version:
        """Returns the model for the next batch; called between batches."""
        if self._coming is not None:
            if self._coming.done():
                self._take(self._coming)
                self._coming = None
            return self.version
        try:
            pointer = model_store.stamp(self._config.model)
            if pointer == self._pointer or pointer is None:
                return self.version
            self._pointer = pointer
            name = model_store.read(self._config.model)
        except TriadError as error:
            if str(error) != self._told:  # a failing disk raises the same error at each batch
                self._told = str(error)
                self._refuse(error)
            return self.version
        self._told = ""
        if name is not None:
            _log.info("model %s is released: it is loaded and checked", name)
            self._coming = self._pool.submit(self._checked, name)
        return self.version

    def made_by(self, digest: str) -> Version:
        """Returns the model with which a batch began, so that the batch is repeated unchanged.

        If that model is gone, returns the current one, with a warning in the log.
        """
        if digest in ("", self.version.digest):
            return self.version
        version = self._find(digest)
        if version is not None:
            return version
        _log.warning("model %s, which began a batch, is gone: %s", digest[:12], self.version.name)
        return self.version

    def keep_one(self) -> None:
        """Releases every loaded model except the current one."""
        keep_only(self.version.folder, self.version.digest)

    def _first(self, name: str | None, before: str) -> Version:
        try:
            return self._checked(name)
        except TriadError as error:
            version = self._find(before) if name is not None and before else None
            if version is None:
                raise
            self.version = version
            self._refuse(error)
            return version

    def _find(self, digest: str) -> Version | None:
        """Returns the model next to the pointer that has a digest; None if there is none."""
        for folder in atomic.list_folders(self._config.model):
            try:
                version = self._version(folder)
            except TriadError:
                continue  # not a model folder
            if version.digest == digest:
                model_checks.check(folder, verify_key=self._config.verify_key)
                return version
        return None

    def _take(self, coming: "concurrent.futures.Future[Version]") -> None:
        error = coming.exception()
        if error is not None:
            self.keep_one()
            self._refuse(error)
            return
        before, self.version = self.version, coming.result()
        if (before.name, before.digest) == (self.version.name, self.version.digest):
            return
        self.keep_one()
        self.changed += 1
        metrics.model_changed()
        _log.info(
            "model %s (%s) scores from here on, instead of %s (%s)",
            *(self.version.name, self.version.digest[:12], before.name, before.digest[:12]),
        )

    def _refuse(self, error: BaseException) -> None:
        self.refused += 1
        metrics.model_refused()
        known = isinstance(error, TriadError)
        _log.warning(
            "the released model is refused, model %s stays in use: %s",
            *(self.version.name, error if known else f"{type(error).__name__}: {error}"),
            exc_info=None if known else error,
        )

    def _checked(self, name: str | None) -> Version:
        config = self._config
        folder = config.model if name is None else f"{config.model.rstrip('/')}/{name}"
        golden = None if name is None else config.golden
        model_checks.check(folder, golden, config.verify_key, config.media_roots)
        return self._version(folder)

    def _version(self, folder: str) -> Version:
        local = model_store.local(folder)
        model = model_store.load(folder, self._config.verify_key)
        settings = schema.score_schema(model, self._config.format)
        score = Score.from_model(
            model, local, self._config.media_roots, watched=self._config.watched
        )
        name = folder.rpartition("/")[2] if folder != self._config.model else folder
        return Version(name, local, model, settings, score)


def check_golden(config: StreamConfig) -> None:
    """Refuses golden records without a pointer: only newly released models are checked with them.

    Raises:
        OptionsError: If there is no pointer; the message names the flag.
    """
    if config.golden is not None and model_store.read(config.model) is None:
        raise OptionsError(
            f"--golden: {config.model} has no {model_store.POINTER} that names models; make one "
            "with `triad release`, or leave --golden out"
        )
