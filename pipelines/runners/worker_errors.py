"""Errors of workers, raised as the local runner would raise them."""

import contextlib
from collections.abc import Iterator

from triad_ml.pipelines.runners import registry
from triad_ml.pipelines.runtime import failures


@contextlib.contextmanager
def raised(runner: str) -> Iterator[None]:
    """Raises, for what a job on a cluster fails with, what the local runner would raise.

    Raises:
        TriadError: What a worker raised; it arrives as the text of a traceback.
        OSError: Of a worker's file system, likewise.
        StorageError: Where the cluster fails: nothing answers, or a part of it was lost.
    """
    chosen = registry.named(runner)
    try:
        yield
    except Exception as error:
        if failures.explain(error) is not None:
            raise
        found = chosen.translate(error)
        if found is None:
            raise
        raise found from error
