"""Frozen, checked settings of `triad report`."""

import dataclasses

from triad_ml.pipelines.runtime import names
from triad_ml.pipelines.runtime.checks import at_least, each, need
from triad_ml.transforms.errors import OptionsError


@dataclasses.dataclass(frozen=True)
class ReportConfig:
    """Settings of `triad report`.

    Attributes:
        model: Folder that training wrote.
        output: Path of the HTML file.
        scores: Folder that scoring published into; None leaves scores out.
        date: Date of the scores to show; None takes the latest.
        inputs: Patterns of records files, for labels and the gallery; empty for no gallery.
        media_roots: Folders in which media are searched for after that of the records file, in
            order.
        saliency: Number of gallery records of each task for which the page shows the parts of the
            media that the prediction depends on.
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
