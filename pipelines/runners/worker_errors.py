"""Errors of workers, raised here as the local runner would raise them."""

import contextlib
from collections.abc import Iterator

from triad_ml.pipelines.runners import registry
from triad_ml.pipelines.runtime import failures


@contextlib.contextmanager
def raised(runner: str) -> Iterator[None]:
    """Translates a failure of a job on a cluster into the error that the local runner would raise.

    Raises:
        TriadError: If a worker raised it; it arrives as the text of a traceback.
        OSError: If a worker's file system raised it, likewise.
        StorageError: If the cluster fails: it does not answer, or a part of it was lost.
    """
    chosen = registry.named(runner)
    try:
        yield
    except Exception as error:
        if failures.explain(error) is not None:
            raise
        translated = chosen.translate(error)
        if translated is None:
            raise
        raise translated from error
