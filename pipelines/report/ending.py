"""What a person must know when the report is written: what its page lacks, and why."""

from collections import Counter
from collections.abc import Iterable, Iterator, Sequence

from triad_ml.model.serving.bundle import Artefact
from triad_ml.pipelines.publishing.manifest import Manifest
from triad_ml.pipelines.report.cards.records import Card
from triad_ml.pipelines.report.previews import PREVIEWS
from triad_ml.pipelines.runtime.summary import Sentence
from triad_ml.transforms.records import remedies
from triad_ml.transforms.records.values import Flaw


def sentences(
    model: Artefact,
    scores: str | None,
    published: Manifest | None,
    inputs: Sequence[str],
    cards: Iterable[Card],
) -> Iterator[Sentence]:
    """What the page lacks, with what to do; nothing where it is whole.

    Args:
        model: What the page is about.
        scores: The folder that was named, if one was.
        published: Which run the page shows.
        inputs: Patterns of records files.
        cards: Records that the page shows.
    """
    if published is None:
        if scores is not None:
            said = f"{scores}: no scores are published here, and the page has none"
            yield Sentence(f"{said}; name the --output of triad score", warns=True)
        if inputs:
            yield Sentence("--input: is of use with --scores alone; name them too", warns=True)
        return
    if published.digests.get("model") != model.model_digest:
        said = f"the scores of {published.date} are of another model than {model.folder}"
        yield Sentence(f"{said}; name the model that made them, or score again", warns=True)
    if inputs:
        yield from _not_shown(cards)
    else:
        said = "no picture, sound or text is shown, and no prediction is compared with a label"
        yield Sentence(f"{said}; name the records with --input", warns=True)


def _not_shown(cards: Iterable[Card]) -> Iterator[Sentence]:
    used: Counter[str] = Counter()
    lacking: Counter[str] = Counter()
    for card in cards:
        used.update(card.modalities_used)
        lacking.update(
            one for one in card.modalities_used if not getattr(card, PREVIEWS[one].field)
        )
    for name, count in lacking.items():
        yield Sentence(
            f"{name}: {count} of {used[name]} that scoring used are not shown: they cannot be read "
            f"any more, or not from here; {remedies.OF_FLAW[Flaw.FORBIDDEN]}",
            warns=True,
        )
