"""Flink session cluster on free ports, for the tests of this folder."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from triad_ml.pipelines.runners import java
from triad_ml.pipelines.runners.flink import cluster
from triad_ml.pipelines.runners.flink.cluster import Cluster
from triad_ml.transforms.errors import OptionsError, StorageError


@pytest.fixture(scope="session")
def started(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """The folder of a cluster; skips where Java or the jars are not to be had."""
    try:
        java.java()
        java.assemble("flink")
    except (OptionsError, StorageError) as missing:
        pytest.skip(str(missing))
    folder: Path = tmp_path_factory.mktemp("flink")
    try:
        cluster.up(folder, free_ports=True)
        yield folder
    finally:
        cluster.down(folder)


@pytest.fixture
def flink(started: Path) -> Cluster:
    """The cluster with all its parts running: a test may have killed one."""
    return cluster.up(started)
