"""HTML page of the report, from the model's documents, a published run and its records."""

import csv
import datetime
import json
import logging
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import jinja2

from triad_ml.model.serving import bundle
from triad_ml.pipelines.publishing import publish
from triad_ml.pipelines.publishing.manifest import Manifest
from triad_ml.pipelines.publishing.run_folder import RunFolder
from triad_ml.pipelines.report import (
    ending,
    kinds,
    learning_curves,
    score_survey,
    sections,
)
from triad_ml.pipelines.report.cards import near_duplicates as duplicate_cards
from triad_ml.pipelines.report.cards import records as record_cards
from triad_ml.pipelines.report.cards import spans as span_cards
from triad_ml.pipelines.report.cards.gallery import Gallery
from triad_ml.pipelines.runtime import environment as runtime_environment
from triad_ml.pipelines.runtime import summary
from triad_ml.pipelines.sources import read, units
from triad_ml.pipelines.storage import atomic, model_store, outputs
from triad_ml.transforms.errors import OptionsError
from triad_ml.transforms.records.values import RawRecord, Rejected
from triad_ml.transforms.spec.split import KeptTogether
from triad_ml.transforms.version import VERSION

SPLIT = "test"
"""Split whose figures and records the page shows."""

_FILES = 200  # most published files that the page lists
_MARK = b'<meta name="generator" content="triad report">'

_log = logging.getLogger(__name__)


def write(
    model_dir: str | Path,
    scores: str | None,
    date: str | None,
    records: Sequence[str],
    output: str | Path,
    *,
    media_roots: tuple[str, ...] = (),
    saliency: int = 0,
    verify_key: str | None = None,
) -> str:
    """Writes the page.

    Args:
        model_dir: Folder that `triad train` wrote.
        scores: Folder that `triad score` published into; None leaves scores out.
        date: Published date to show; None takes the latest, if there is one.
        records: Patterns of the records files, for the gallery; may be empty.
        output: Path of the HTML file.
        media_roots: Folders, besides those of the records files, from which media are read.
        saliency: Number of cards of each task that show the parts of the media that the prediction
            depends on; the model is loaded only if it is over 0.
        verify_key: PEM file of the public key that the model must be signed with.

    Returns:
        Path of the page.

    Raises:
        OptionsError: The model does not exist, or nothing is published for the date.
        GateError: The model's files are not the exported or signed ones.
        StorageError: The page cannot be written, or the published run is damaged.
    """
    outputs.check_file(str(output), _MARK, "page of triad report")
    model = model_store.load(str(model_dir), verify_key)
    published = _published(scores, date)
    about_records = Records(records, model.spec.label_names)
    galleries: tuple[Gallery[record_cards.Card], ...] = ()
    tagged: tuple[Gallery[span_cards.Card], ...] = ()
    score_sections: tuple[score_survey.Said, ...] = ()
    manifest = None
    preprocessed = _json(model, bundle.DATA_MANIFEST)
    alike = duplicate_cards.build(model.spec, preprocessed, about_records, media_roots)
    if published is not None:
        run, manifest = published
        together = KeptTogether(splits=preprocessed.get("together", {}))
        ids = record_cards.test_ids(model.spec, about_records(), together)
        survey = score_survey.survey(run, manifest, ids)  # the only pass over the published files
        galleries = record_cards.build(
            model.spec, about_records, survey.of, media_roots=media_roots, together=together
        )
        if saliency:
            galleries = _with_saliency(
                galleries, model, manifest, about_records, media_roots, saliency
            )
        tagged = span_cards.build(
            model.spec, about_records, survey.of, media_roots=media_roots, together=together
        )
        score_sections = score_survey.view(survey, model.spec, about_records, media_roots)
    page = render(model, manifest, about_records, galleries, tagged, score_sections, alike)
    atomic.put(str(output), page.encode())
    cards = [card for gallery in galleries for card in (*gallery.wrong, *gallery.right)]
    cards += [card for section in score_sections for card in (*section.uncertain, *section.drawn)]
    summary.say(_log, ending.sentences(model, scores, manifest, records, cards))
    _log.info("%s: written", output)
    return str(output)


class Records:
    """Records of files, which each call reads again from the beginning.

    Args:
        patterns: Patterns of the records files.
        labels: Names of the columns that are labels.
    """

    def __init__(self, patterns: Sequence[str], labels: Sequence[str]) -> None:
        self._planned = units.plan(units.list_inputs(patterns)) if patterns else ()
        self._labels = labels

    def __call__(self) -> Iterator[RawRecord | Rejected]:
        for unit in self._planned:
            yield from read.read(unit, self._labels)

    @property
    def files(self) -> tuple[str, ...]:
        """Records files, each once."""
        return tuple(dict.fromkeys(unit.uri for unit in self._planned))

    def source(self) -> str:
        """Returns the first record's column `source`, which names the origin of the data; or ""."""
        first = next((record for record in self() if isinstance(record, RawRecord)), None)
        return str(first.extra.get("source") or "") if first else ""


def render(
    model: bundle.Artefact,
    published: Manifest | None,
    records: Records,
    galleries: Sequence[Gallery[record_cards.Card]],
    tagged: Sequence[Gallery[span_cards.Card]] = (),
    said: Sequence[score_survey.Said] = (),
    alike: Sequence[duplicate_cards.NearDuplicates] = (),
) -> str:
    """Returns the page as HTML text."""
    about = model.about
    document = _json(model, bundle.EVALUATION)
    evaluated, recipes = document.get("splits", {}), document.get("recipes", {})
    evaluation = evaluated.get(SPLIT, {}).get("tasks", {})
    preprocessed = _json(model, bundle.DATA_MANIFEST)
    source = str(about.get("data_source") or records.source())
    files = records.files or tuple(str(one["uri"]) for one in preprocessed.get("inputs", ()))
    generated = bool(about.get("generated")) or source.lower().startswith("generated")
    aligned = preprocessed.get("alignment", {})
    tasks = [
        kinds.view(name, one, model.spec.modalities.names, aligned.get(name), recipes.get(name))
        for name, one in evaluation.items()
    ]
    shown = [one for one in galleries if one.right or one.wrong]
    context = {
        "title": "Generated records"
        if source.lower() == "generated"
        else source or sections.title(files),
        "generated": generated,
        "lede": sections.lede(model, preprocessed, published),
        "tiles": sections.tiles(tasks, preprocessed, published),
        "split": SPLIT,
        "modalities": model.spec.modalities.names,
        "tasks": tasks,
        "learning": learning_curves.view(_history(model), model.spec.training),
        "said": said,
        "drawn": not shown,
        "passes": sections.passes(preprocessed, published),
        "galleries": shown,
        "tag_galleries": [one for one in tagged if one.right or one.wrong],
        "near_duplicates": alike,
        "no_gallery": sections.no_gallery(published, SPLIT),
        "scores_of": f" of {published.date}" if published else "",
        "other_model": published is not None
        and published.digests.get("model") != model.model_digest,
        "provenance": sections.provenance(model, preprocessed, published),
        "spec_text": json.dumps(about["spec"], indent=2, ensure_ascii=False),
        "files": [
            {"path": f.path, "rows": f.rows, "bytes": f.bytes, "sha256": f.sha256}
            for f in (published.files[:_FILES] if published else ())
        ],
        "version": VERSION,
        "written": datetime.datetime.now(datetime.UTC).strftime("%Y-%m-%d %H:%M UTC"),
    }
    return _template().render(context)


def _with_saliency(
    galleries: tuple[Gallery[record_cards.Card], ...],
    model: bundle.Artefact,
    published: Manifest,
    records: Records,
    media_roots: tuple[str, ...],
    most: int,
) -> tuple[Gallery[record_cards.Card], ...]:
    if published.digests.get("model") != model.model_digest:
        _log.warning("--saliency: the scores are another model's, so it cannot explain them")
        return galleries
    runtime_environment.load_tensorflow()
    from triad_ml.pipelines.report import occlusion_cards

    tasks = model.spec.tasks
    chosen = [one for one in galleries if kinds.KINDS[tasks[one.task].kind].shows_chances]
    done = {one.task: one for one in occlusion_cards.add(chosen, model, records, media_roots, most)}
    return tuple(done.get(one.task, one) for one in galleries)


def _template() -> jinja2.Template:
    environment = jinja2.Environment(
        loader=jinja2.PackageLoader("triad_ml.pipelines.report", "templates"),
        autoescape=True,
        undefined=jinja2.StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    environment.filters["percent"] = kinds.percent
    environment.filters["count"] = kinds.count
    environment.filters["brief"] = sections.brief
    return environment.get_template("report.html.j2")


def _published(scores: str | None, date: str | None) -> tuple[RunFolder, Manifest] | None:
    if scores is None:
        return None
    if date is not None:
        found = publish.current_run(scores, date)
        if found is None:
            raise OptionsError(
                f"{scores}: nothing is published for {date}; run triad score, or leave --date out"
            )
        return found
    dates = publish.published_dates(scores)
    return publish.current_run(scores, dates[-1]) if dates else None


def _json(model: bundle.Artefact, name: str) -> dict[str, Any]:
    """Returns a JSON object that training wrote; an empty one if training wrote none."""
    if name not in model.about["told"]:
        return {}
    try:
        return dict(json.loads(model.read(name)))
    except (ValueError, TypeError) as error:
        raise OptionsError(
            f"{model.folder / name}: is no JSON object; train the model again"
        ) from error


def _history(model: bundle.Artefact) -> list[dict[str, str]]:
    if bundle.HISTORY not in model.about["told"]:
        return []
    return list(csv.DictReader(model.read(bundle.HISTORY).decode().splitlines()))
