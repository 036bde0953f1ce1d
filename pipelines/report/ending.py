"""Closing messages of `triad report`: parts that the page lacks, with reason and remedy."""

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
    """Yields a sentence for each part that the page lacks; none if the page is complete.

    Args:
        model: Model that the page is about.
        scores: Folder of scores that was named; None if none was.
        published: Manifest of the run that the page shows; None if there is none.
        inputs: Patterns of records files.
        cards: Records that the page shows.
    """
    if published is None:
        if scores is not None:
            fact = f"{scores}: no scores are published here, and the page has none"
            yield Sentence(f"{fact}; name the --output of triad score", warns=True)
        if inputs:
            yield Sentence("--input: is of use with --scores alone; name them too", warns=True)
        return
    if published.digests.get("model") != model.model_digest:
        fact = f"the scores of {published.date} are of another model than {model.folder}"
        yield Sentence(f"{fact}; name the model that made them, or score again", warns=True)
    if inputs:
        yield from _not_shown(cards)
    else:
        fact = "no picture, sound or text is shown, and no prediction is compared with a label"
        yield Sentence(f"{fact}; name the records with --input", warns=True)


def _not_shown(cards: Iterable[Card]) -> Iterator[Sentence]:
    used: Counter[str] = Counter()
    lacking: Counter[str] = Counter()
    for card in cards:
        used.update(card.modalities_used)
        lacking.update(
            name for name in card.modalities_used if not getattr(card, PREVIEWS[name].field)
        )
    for name, count in lacking.items():
        yield Sentence(
            f"{name}: {count} of {used[name]} that scoring used are not shown: they cannot be read "
            f"any more, or not from here; {remedies.OF_FLAW[Flaw.FORBIDDEN]}",
            warns=True,
        )
