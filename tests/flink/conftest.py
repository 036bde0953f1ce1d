"""A session cluster for the tests of this folder, at ports of its own."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from pipelines import flink_cluster, programs
from pipelines.flink_cluster import Cluster
from transforms.errors import OptionsError, StorageError


@pytest.fixture(scope="session")
def started(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """The folder of a cluster; skips where Java or the jars are not to be had."""
    try:
        programs.java()
        programs.assemble("flink")
    except (OptionsError, StorageError) as missing:
        pytest.skip(str(missing))
    folder: Path = tmp_path_factory.mktemp("flink")
    try:
        flink_cluster.up(folder, free_ports=True)
        yield folder
    finally:
        flink_cluster.down(folder)


@pytest.fixture
def flink(started: Path) -> Cluster:
    """The cluster with all its parts running: a test may have killed one."""
    return flink_cluster.up(started)
