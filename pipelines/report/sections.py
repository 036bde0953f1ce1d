"""Content of the report's sections, as plain values for the template."""

from collections.abc import Mapping, Sequence
from typing import Any

from triad_ml.model.serving import bundle
from triad_ml.pipelines.publishing.manifest import Manifest
from triad_ml.pipelines.report.kinds import count
from triad_ml.transforms.records.values import Flaw, Reason

_WHY = {
    Reason.UNPARSABLE: "the line or row is not a record",
    Reason.INVALID_ID: "the id is missing or unusable",
    Reason.DUPLICATE_ID: "an earlier record has this id",
    Reason.EMPTY: "none of the modalities is there",
    Reason.UNREADABLE: "no medium that was there can be used",
    Reason.MODEL_FAILED: "the model fails on this record alone",
    Reason.TOO_LARGE: "its row is larger than a topic takes",
}
_WHY_NOT_USED = {
    Flaw.NOT_FOUND: "the file is not there",
    Flaw.FORBIDDEN: "the path leads outside the allowed folders",
    Flaw.TOO_LARGE: "over a limit of the spec",
    Flaw.UNSUPPORTED: "a format that is not on the list",
    Flaw.TRUNCATED: "the file stops too early",
    Flaw.CORRUPT: "the content contradicts its format",
    Flaw.NOT_FINITE: "a sample is not a finite number",
    Flaw.NOT_UTF8: "the text is not UTF-8",
    Flaw.EMPTY: "nothing is in it",
    Flaw.TIMEOUT: "decoding did not end in time",
}


def brief(number: int) -> str:
    """Shortens a number to at most four characters for the cells of a matrix: `12345` -> `12k`."""
    for unit, name in ((1_000_000, "M"), (1_000, "k")):
        if number >= unit:
            tenths = number * 10 // unit / 10
            return f"{tenths:.1f}{name}" if tenths < 10 else f"{int(tenths)}{name}"
    return str(number)


def lede(
    model: bundle.Artefact, preprocessed: Mapping[str, Any], published: Manifest | None
) -> str:
    """Returns the page's introduction: model, tasks, modalities, and numbers of records."""
    names = _listed(model.spec.modalities.names)
    tasks = _listed(tuple(name.replace("_", " ") for name in model.spec.tasks))
    counts = preprocessed.get("counts", {})
    learned = f", learned from {counts['train']:,} records" if "train" in counts else ""
    scored = (
        f" Scores of {published.date}: {published.counts['scored']:,} records." if published else ""
    )
    return f"Model {model.model_digest[:12]} predicts {tasks} from {names}{learned}.{scored}"


def tiles(
    tasks: Sequence[Mapping[str, Any]],
    preprocessed: Mapping[str, Any],
    published: Manifest | None,
) -> list[dict[str, str]]:
    """Returns the key figures at the top: `name`, `figure`, and the line `under` the figure."""
    result = []
    for task in tasks[:4]:
        first = task["rows"][0]["figures"][0]
        within = f"{first.low} to {first.high}, " if first.low else ""
        result.append(
            {
                "name": f"{task['name']}: {task['measures'][0]}",
                "figure": first.text,
                "under": f"{within}{task['rows'][0]['n']:,} test records",
            }
        )
    if counts := preprocessed.get("counts"):
        parts = [f"{counts[name]:,} {name}" for name in ("train", "eval", "test") if name in counts]
        result.append(
            {
                "name": "records prepared",
                "figure": count(sum(counts.get(name, 0) for name in ("train", "eval", "test"))),
                "under": ", ".join(parts),
            }
        )
    if published:
        counts = published.counts
        result.append(
            {
                "name": f"records scored, {published.date}",
                "figure": count(counts["scored"]),
                "under": f"{counts['rejected']:,} rejected of {counts['read']:,} read",
            }
        )
    return result


def title(files: Sequence[str]) -> str:
    """Returns the page's title for data without a name: the records file, or the folder of many."""
    if not files:
        return "Records"
    folder, _, name = files[0].rpartition("/")
    if len(files) == 1:
        return name
    return f"{folder.rpartition('/')[2] or folder or name} ({len(files):,} files)"


def passes(preprocessed: Mapping[str, Any], published: Manifest | None) -> list[dict[str, Any]]:
    """Returns counts of preprocessing and scoring: records kept and rejected, media not used."""
    counts = preprocessed.get("counts", {})
    names = ("train", "eval", "test", "rejected")
    first = {
        "name": "Preprocessing",
        "total": counts.get("read", 0),
        "parts": [{"name": name, "n": counts.get(name, 0)} for name in names],
        "reasons": _reasons(preprocessed.get("rejected", {})),
        "flaws": _flaws(preprocessed.get("issues", {})),
        "absent": "The model has no record of its preprocessing.",
    }
    counts = dict(published.counts) if published else {}
    second = {
        "name": f"Scoring of {published.date}" if published else "Scoring",
        "total": counts.get("read", 0),
        "parts": [{"name": name, "n": counts.get(name, 0)} for name in ("scored", "rejected")],
        "reasons": _reasons(published.reasons if published else {}),
        "flaws": _flaws(published.issues if published else {}),
        "absent": "No record was read." if published else "No scores are published.",
    }
    return [first, second]


def no_gallery(published: Manifest | None, split: str) -> str:
    """Returns the sentence that is shown instead of a gallery."""
    if published is None:
        return "No scores are published, so there are no predictions to show."
    return (
        f"No record of the {split} split has both a label and a published score, so nothing is "
        "right or wrong."
    )


def provenance(
    model: bundle.Artefact, preprocessed: Mapping[str, Any], published: Manifest | None
) -> list[tuple[str, str, bool]]:
    """Returns the provenance of the page: name, value, and True if it is set in a fixed width."""
    rows = [(f"{name} digest", str(value), True) for name, value in model.about["digests"].items()]
    if "created" in model.about:
        rows.append(("trained", str(model.about["created"]), False))
    for file in preprocessed.get("inputs", [])[:5]:
        rows.append(("records file", f"{file['uri']} ({file['bytes']:,} bytes)", True))
    if "created" in preprocessed:
        rows.append(("preprocessed", str(preprocessed["created"]), False))
    if published:
        rows += [
            ("published run", published.run_id, True),
            ("published for", published.date, False),
            ("scored", published.created, False),
            ("scored by model", str(published.digests.get("model", "unknown")), True),
        ]
    versions = model.about.get("versions", {})
    if versions:
        named = ", ".join(f"{name} {version}" for name, version in versions.items())
        rows.append(("versions", named, False))
    return rows


def _listed(names: Sequence[str]) -> str:
    *first, last = names
    return f"{', '.join(first)} and {last}" if first else last


def _reasons(counts: Mapping[str, int]) -> list[dict[str, Any]]:
    return _amounts(counts, {str(key): why for key, why in _WHY.items()})


def _flaws(counts: Mapping[str, int]) -> list[dict[str, Any]]:
    why = {name: _WHY_NOT_USED.get(Flaw(name.split(": ")[-1]), "") for name in counts}
    return _amounts(counts, why)


def _amounts(counts: Mapping[str, int], why: Mapping[str, str]) -> list[dict[str, Any]]:
    ordered = sorted(counts.items(), key=lambda pair: (-pair[1], pair[0]))
    return [{"name": name, "n": n, "why": why.get(name, "")} for name, n in ordered if n]
