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
    """Returns the scheme of an address; "" for a path."""
    before, separator, _ = address.partition("://")
    return before if separator else ""


def of(address: str) -> Endpoint:
    """Returns the endpoint of an address.

    For an unknown scheme this is the endpoint of folders, whose `check` refuses the address.
    """
    return SCHEMES.get(scheme(address), SCHEMES[""])


def check(flag: str, address: str) -> None:
    """Refuses a string that is not the address of a source or sink.

    Raises:
        OptionsError: If it is none; the message names the flag.
    """
    if not address.strip():
        raise OptionsError(f"{flag}: must not be empty")
    of(address).check(flag, address)
