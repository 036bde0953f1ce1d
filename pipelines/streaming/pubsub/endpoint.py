"""Stream endpoint of Pub/Sub: a subscription as source, a topic as sink."""

import re
from typing import TYPE_CHECKING

from triad_ml.pipelines.streaming.base import Endpoint
from triad_ml.pipelines.streaming.settings import StreamSettings
from triad_ml.transforms.errors import OptionsError

if TYPE_CHECKING:
    from triad_ml.pipelines.scoring.score import Scores
    from triad_ml.pipelines.tables.schema import ScoreSchema


# Names that the service allows; none may begin with "goog".
_PUBSUB_PLACE = re.compile(
    r"pubsub://([a-z][-a-z0-9:.]{4,61}[a-z0-9])/((?!goog)[A-Za-z][-\w.~+%]{2,254})", re.ASCII
)


def pubsub_place(uri: str) -> tuple[str, str] | None:
    """Returns project, and subscription or topic, of `pubsub://PROJECT/NAME`; else None."""
    match = _PUBSUB_PLACE.fullmatch(uri)
    return None if match is None else (match[1], match[2])


class PubSubEndpoint(Endpoint):
    """Subscription as source, topic as sink; the service remembers which messages were read."""

    form = "pubsub://PROJECT/TOPIC"
    read_by = frozenset({"dataflow"})
    written_by = frozenset({"dataflow"})

    def check(self, flag: str, address: str) -> None:
        if pubsub_place(address) is None:
            form = "pubsub://PROJECT/SUBSCRIPTION" if flag == "--source" else self.form
            raise OptionsError(f"{flag}: must be {form}")

    def write(self, scores: "Scores", settings: StreamSettings, run: "ScoreSchema") -> None:
        from apache_beam.io.gcp.pubsub import WriteToPubSub

        from triad_ml.pipelines.streaming.pubsub.messages import ToPubSub

        published = scores | "AsMessages" >> ToPubSub(run)
        sink, rejected = _topic(settings.sink), _topic(settings.rejected or "")
        _ = published.scored | "Publish" >> WriteToPubSub(sink, with_attributes=True)
        _ = published.rejected | "Refuse" >> WriteToPubSub(rejected, with_attributes=True)


def place(address: str) -> tuple[str, str]:
    """Returns project, and subscription or topic, of an address that was checked before."""
    project_and_name = pubsub_place(address)
    if project_and_name is None:
        raise AssertionError(f"{address}: was checked")
    return project_and_name


def _topic(address: str) -> str:
    return "projects/{}/topics/{}".format(*place(address))
