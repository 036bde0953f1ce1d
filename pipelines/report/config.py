"""Frozen, checked settings of `triad report`."""

import dataclasses

from triad_ml.pipelines.runtime import names
from triad_ml.pipelines.runtime.checks import at_least, each, need
from triad_ml.transforms.errors import OptionsError


@dataclasses.dataclass(frozen=True)
class ReportConfig:
    """What the page shows.

    Attributes:
        model: Folder that training wrote.
        output: The HTML file.
        scores: Folder that scoring published into; None leaves scores out.
        date: The date whose scores are shown; None takes the latest.
        inputs: Patterns of records files, for labels and the gallery; without any there is none.
        media_roots: Folders in which media are looked for after that of the records file, in order.
        saliency: Records of each task in the gallery of which the page says what the prediction
            rests on.
        verify_key: PEM file of the public key that the model must be signed with.
    """

    model: str
    output: str
    scores: str | None = None
    date: str | None = None
    inputs: tuple[str, ...] = ()
    media_roots: tuple[str, ...] = ()
    saliency: int = 0
    verify_key: str | None = None

    def __post_init__(self) -> None:
        need("--model", self.model)
        if self.verify_key is not None:
            need("--verify-key", self.verify_key)
        need("--output", self.output)
        at_least("--saliency", self.saliency, 0)
        if self.saliency and (self.scores is None or not self.inputs):
            raise OptionsError("--saliency: is about the gallery; give --scores and --input too")
        if self.scores is not None:
            need("--scores", self.scores)
        if self.date is not None:
            names.check_date(self.date)
            if self.scores is None:
                raise OptionsError("--date: is a date of scores; give --scores too")
        each("--input", self.inputs)
        each("--media-root", self.media_roots)
