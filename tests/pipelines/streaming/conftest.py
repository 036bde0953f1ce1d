"""Kafka broker shared by all tests of this folder."""

from collections.abc import Iterator

import pytest

from tests import kafka

LOGIN = ("triad", "pa55-word-CANARY")


@pytest.fixture(scope="session")
def broker(tmp_path_factory: pytest.TempPathFactory) -> Iterator[kafka.Broker]:
    with kafka.broker(tmp_path_factory.mktemp("kafka"), LOGIN) as started:
        yield started
