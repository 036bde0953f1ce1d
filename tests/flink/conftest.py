"""A session cluster for the tests of this folder, at ports of its own."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from pipelines import flink_cluster, programs
from pipelines.flink_cluster import Cluster
from transforms.errors import OptionsError, StorageError


@pytest.fixture(scope="session")
def flink(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Cluster]:
    """A running cluster; skips where Java or the jars are not to be had."""
    try:
        programs.java()
        programs.assemble("flink")
    except (OptionsError, StorageError) as missing:
        pytest.skip(str(missing))
    folder: Path = tmp_path_factory.mktemp("flink")
    try:
        yield flink_cluster.up(folder, free_ports=True)
    finally:
        flink_cluster.down(folder)
