"""The report: one self-contained HTML page about a model and a published scoring run."""

import csv
import datetime
import json
import logging
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import jinja2

from model import artefact
from pipelines import (
    charts,
    confusions,
    environment,
    gallery,
    histories,
    model_folder,
    outputs,
    publish,
    report_ending,
    report_scores,
    report_sections,
    score_survey,
    sources,
    storage,
    summary,
    tag_gallery,
    units,
)
from pipelines.galleries import Gallery
from pipelines.runs import Manifest, RunFolder
from transforms.errors import OptionsError
from transforms.records import RawRecord, Rejected
from transforms.version import VERSION

SPLIT = "test"
"""The split whose figures and records the page shows."""

_FILES = 200
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
        model_dir: A folder that `triad train` wrote.
        scores: A folder that `triad score` wrote, or None.
        date: Which published date; without one the latest, and none at all is fine.
        records: Patterns of the records files, for the gallery; none is fine.
        output: The HTML file.
        media_roots: Folders, besides those of the records files, that media may come from.
        saliency: Cards of each task that say what the prediction rests on; over 0 the model is
            loaded.
        verify_key: PEM file of the public key that the model must be signed with.

    Returns:
        Where the page is.

    Raises:
        OptionsError: The model or the date asked for is not there.
        GateError: The model's files are not the ones that were exported, or signed.
        StorageError: The page cannot be written, or the published run is damaged.
    """
    outputs.check_file(str(output), _MARK, "page of triad report")
    model = model_folder.load(str(model_dir), verify_key)
    published = _published(scores, date)
    about_records = Records(records, model.spec.label_names)
    galleries: tuple[Gallery[gallery.Card], ...] = ()
    tagged: tuple[Gallery[tag_gallery.Card], ...] = ()
    said: tuple[report_scores.Said, ...] = ()
    manifest = None
    if published is not None:
        run, manifest = published
        ids = gallery.test_ids(model.spec, about_records())
        found = score_survey.survey(run, manifest, ids)  # the only look at the published files
        galleries = gallery.build(model.spec, about_records, found.of, media_roots=media_roots)
        if saliency:
            galleries = _with_saliency(
                galleries, model, manifest, about_records, media_roots, saliency
            )
        tagged = tag_gallery.build(model.spec, about_records, found.of, media_roots=media_roots)
        said = report_scores.view(found, model.spec, about_records, media_roots)
    page = render(model, manifest, about_records, galleries, tagged, said)
    storage.put(str(output), page.encode())
    cards = [card for one in galleries for card in (*one.wrong, *one.right)]
    cards += [card for one in said for card in (*one.uncertain, *one.drawn)]
    summary.say(_log, report_ending.sentences(model, scores, manifest, records, cards))
    _log.info("%s: written", output)
    return str(output)


class Records:
    """Records read afresh at each call.

    Args:
        patterns: Of the records files.
        labels: Names of columns that are labels.
    """

    def __init__(self, patterns: Sequence[str], labels: Sequence[str]) -> None:
        self._planned = units.plan(units.list_inputs(patterns)) if patterns else ()
        self._labels = labels

    def __call__(self) -> Iterator[RawRecord | Rejected]:
        for unit in self._planned:
            yield from sources.read(unit, self._labels)

    @property
    def files(self) -> tuple[str, ...]:
        """The records files, each once."""
        return tuple(dict.fromkeys(unit.uri for unit in self._planned))

    def source(self) -> str:
        """What the first record says about where it comes from, in its column `source`; or ""."""
        first = next((record for record in self() if isinstance(record, RawRecord)), None)
        return str(first.extra.get("source") or "") if first else ""


def render(
    model: artefact.Artefact,
    published: Manifest | None,
    records: Records,
    galleries: Sequence[Gallery[gallery.Card]],
    tagged: Sequence[Gallery[tag_gallery.Card]] = (),
    said: Sequence[report_scores.Said] = (),
) -> str:
    """The page as text."""
    about = model.about
    evaluated = _json(model, artefact.EVALUATION).get("splits", {})
    evaluation = evaluated.get(SPLIT, {}).get("tasks", {})
    preprocessed = _json(model, artefact.DATA_MANIFEST)
    source = str(about.get("data_source") or records.source())
    files = records.files or tuple(str(one["uri"]) for one in preprocessed.get("inputs", ()))
    generated = bool(about.get("generated")) or source.lower().startswith("generated")
    tasks = [report_sections.task(name, one, model.spec) for name, one in evaluation.items()]
    for view, one in zip(tasks, evaluation.values(), strict=True):
        view["confusion"] = confusions.view(one)
        view["facts"] += report_sections.alignment(view["name"], preprocessed)
    shown = [one for one in galleries if one.right or one.wrong]
    context = {
        "title": "Generated records"
        if source.lower() == "generated"
        else source or report_sections.title(files),
        "generated": generated,
        "lede": report_sections.lede(model, preprocessed, published),
        "tiles": report_sections.tiles(tasks, preprocessed, published),
        "split": SPLIT,
        "modalities": model.spec.modalities.names,
        "tasks": tasks,
        "learning": histories.view(_history(model), model.spec.training),
        "said": said,
        "drawn": not shown,
        "passes": report_sections.passes(preprocessed, published),
        "galleries": shown,
        "tag_galleries": [one for one in tagged if one.right or one.wrong],
        "no_gallery": report_sections.no_gallery(published, SPLIT),
        "scores_of": f" of {published.date}" if published else "",
        "other_model": published is not None
        and published.digests.get("model") != model.model_digest,
        "provenance": report_sections.provenance(model, preprocessed, published),
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
    galleries: tuple[Gallery[gallery.Card], ...],
    model: artefact.Artefact,
    published: Manifest,
    records: Records,
    media_roots: tuple[str, ...],
    most: int,
) -> tuple[Gallery[gallery.Card], ...]:
    if published.digests.get("model") != model.model_digest:
        _log.warning("--saliency: the scores are another model's, so it cannot explain them")
        return galleries
    environment.load_tensorflow()
    from pipelines import saliency_cards

    return saliency_cards.add(galleries, model, records, media_roots, most)


def _template() -> jinja2.Template:
    environment = jinja2.Environment(
        loader=jinja2.PackageLoader("pipelines", "templates"),
        autoescape=True,
        undefined=jinja2.StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    environment.filters["percent"] = report_sections.percent
    environment.filters["count"] = report_sections.count
    environment.filters["brief"] = report_sections.brief
    environment.globals["interval"] = charts.interval
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


def _json(model: artefact.Artefact, name: str) -> dict[str, Any]:
    """A JSON object that training wrote, or an empty one where it wrote none."""
    if name not in model.about["told"]:
        return {}
    try:
        return dict(json.loads(model.read(name)))
    except (ValueError, TypeError) as error:
        raise OptionsError(
            f"{model.folder / name}: is no JSON object; train the model again"
        ) from error


def _history(model: artefact.Artefact) -> list[dict[str, str]]:
    if artefact.HISTORY not in model.about["told"]:
        return []
    return list(csv.DictReader(model.read(artefact.HISTORY).decode().splitlines()))
