"""The report: one self-contained HTML page about a model and a published scoring run."""

import csv
import datetime
import json
import logging
from collections.abc import Iterable, Iterator, Mapping, Sequence
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
    report_sections,
    sinks,
    sources,
    storage,
    tag_gallery,
    units,
)
from pipelines.galleries import Gallery
from pipelines.runs import Manifest
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
    if published is not None and scores is not None:
        paths = publish.open_current(scores, published.date)
        galleries = gallery.build(model.spec, about_records, Rows(paths), media_roots=media_roots)
        if saliency:
            galleries = _with_saliency(
                galleries, model, published, about_records, media_roots, saliency
            )
        tagged = tag_gallery.build(model.spec, about_records, Rows(paths), media_roots=media_roots)
    page = render(model, published, about_records.source(), galleries, tagged)
    storage.put(str(output), page.encode())
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

    def source(self) -> str:
        """What the first record says about where it comes from, in its column `source`; or ""."""
        first = next((record for record in self() if isinstance(record, RawRecord)), None)
        return str(first.extra.get("source") or "") if first else ""


class Rows:
    """Published rows of chosen ids.

    Args:
        paths: Of the published scores.
    """

    def __init__(self, paths: Iterable[str]) -> None:
        self._paths = tuple(paths)

    def __call__(self, ids: frozenset[str]) -> Iterator[Mapping[str, Any]]:
        import pyarrow as pa
        import pyarrow.compute as pc

        wanted = pa.array(sorted(ids), pa.string())
        for path in self._paths:
            table = sinks.read(path)
            yield from table.filter(pc.is_in(table["id"], wanted)).to_pylist()


def render(
    model: artefact.Artefact,
    published: Manifest | None,
    source: str,
    galleries: Sequence[Gallery[gallery.Card]],
    tagged: Sequence[Gallery[tag_gallery.Card]] = (),
) -> str:
    """The page as text."""
    about = model.about
    evaluated = _json(model, artefact.EVALUATION).get("splits", {})
    evaluation = evaluated.get(SPLIT, {}).get("tasks", {})
    preprocessed = _json(model, artefact.DATA_MANIFEST)
    source = str(about.get("data_source") or source)
    generated = bool(about.get("generated")) or source.lower().startswith("generated")
    tasks = [report_sections.task(name, one, model.spec) for name, one in evaluation.items()]
    for view, one in zip(tasks, evaluation.values(), strict=True):
        view["confusion"] = confusions.view(one)
        view["facts"] += report_sections.alignment(view["name"], preprocessed)
    shown = [one for one in galleries if one.right or one.wrong]
    context = {
        "title": "Generated records" if source.lower() == "generated" else source or "Records",
        "generated": generated,
        "lede": report_sections.lede(model, preprocessed, published),
        "tiles": report_sections.tiles(tasks, preprocessed, published),
        "split": SPLIT,
        "modalities": model.spec.modalities.names,
        "tasks": tasks,
        "learning": histories.view(_history(model)),
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
    environment.globals["interval"] = charts.interval
    return environment.get_template("report.html.j2")


def _published(scores: str | None, date: str | None) -> Manifest | None:
    if scores is None:
        return None
    if date is not None:
        manifest = publish.current(scores, date)
        if manifest is None:
            raise OptionsError(
                f"{scores}: nothing is published for {date}; run triad score, or leave --date out"
            )
        return manifest
    names = [folder.rstrip("/").rpartition("/")[2] for folder in storage.list_folders(scores)]
    for name in sorted(names, reverse=True):
        if name.startswith("dt=") and (found := publish.current(scores, name[3:])) is not None:
            return found
    return None


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
