"""Registry of stream endpoints by the scheme of their addresses."""

from collections.abc import Mapping

from triad_ml.pipelines.streaming.base import Endpoint
from triad_ml.pipelines.streaming.folder.endpoint import BucketEndpoint, FolderEndpoint
from triad_ml.pipelines.streaming.kafka.endpoint import KafkaEndpoint
from triad_ml.pipelines.streaming.pubsub.endpoint import PubSubEndpoint
from triad_ml.transforms.errors import OptionsError

SCHEMES: Mapping[str, Endpoint] = {
    "": FolderEndpoint(),
    "gs": BucketEndpoint(),
    "kafka": KafkaEndpoint(),
    "pubsub": PubSubEndpoint(),
}


def scheme(address: str) -> str:
    """The scheme of an address; "" of a path."""
    found, separator, _ = address.partition("://")
    return found if separator else ""


def of(address: str) -> Endpoint:
    """The kind of an address; of an unknown scheme that of paths, which refuses it."""
    return SCHEMES.get(scheme(address), SCHEMES[""])


def check(flag: str, address: str) -> None:
    """Refuses what is no address of a source or sink.

    Raises:
        OptionsError: Naming the flag.
    """
    if not address.strip():
        raise OptionsError(f"{flag}: must not be empty")
    of(address).check(flag, address)
