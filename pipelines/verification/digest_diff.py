"""Comparison of the provenance of two models, prepared data sets or scoring runs, part by part."""

import hashlib
import json
import sys
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any, NamedTuple

import rich.console
import rich.table
import rich.text

from triad_ml.model.serving import bundle
from triad_ml.pipelines.preprocessing import dataset
from triad_ml.pipelines.publishing.manifest import Manifest
from triad_ml.pipelines.runtime import logs
from triad_ml.transforms.errors import OptionsError
from triad_ml.transforms.files import regular

Part = Mapping[str, str]
"""Values of a part as text, by key; a part with a single value has the key ""."""

_RUN_MANIFEST = "manifest.json"
_SHOWN = 8  # most differences of one part that are listed; the others are only counted


class Provenance(NamedTuple):
    """Provenance of a folder.

    Attributes:
        kind: Kind of folder: `model`, `preprocessing` or `run`.
        parts: Parts by name, in the order in which they are shown.
    """

    kind: str
    parts: Mapping[str, Part]


class Difference(NamedTuple):
    """Key of a part whose values differ; a value is None if the key is missing on that side."""

    key: str
    left: str | None
    right: str | None


def explain(left: str | Path, right: str | Path) -> bool:
    """Compares two folders and prints a table.

    Returns:
        True if every part is equal.

    Raises:
        OptionsError: One of the folders is no model, preprocessing or run.
    """
    compared = compare(read(left), read(right))
    console = rich.console.Console(width=None if sys.stdout.isatty() else 120)
    console.print(table(compared))
    return not any(compared.values())


def compare(left: Provenance, right: Provenance) -> dict[str, list[Difference]]:
    """Returns the differences by part; of different kinds of folders only common parts count."""
    names = dict.fromkeys((*left.parts, *right.parts))
    if left.kind != right.kind:
        names = {name: None for name in names if name in left.parts and name in right.parts}
    return {
        name: list(_differences(left.parts.get(name, {}), right.parts.get(name, {})))
        for name in names
    }


def _differences(left: Part, right: Part) -> Iterator[Difference]:
    for key in dict.fromkeys((*left, *right)):
        if left.get(key) != right.get(key):
            yield Difference(key, left.get(key), right.get(key))


def table(compared: Mapping[str, list[Difference]]) -> rich.table.Table:
    """Returns a table with a row for each part: verdict and differences."""
    shown = rich.table.Table(title="Provenance of A and B", title_justify="left")
    for heading in ("part", "", "A -> B"):
        shown.add_column(heading)
    for name, differences in compared.items():
        lines = [_line(name, difference) for difference in differences[:_SHOWN]]
        if len(differences) > _SHOWN:
            lines.append(f"and {len(differences) - _SHOWN} more")
        verdict = "differs" if differences else "equal"
        # Values are plain text; rich must not read them as markup.
        shown.add_row(name, verdict, rich.text.Text(logs.printable("\n".join(lines))))
    return shown


def _line(name: str, difference: Difference) -> str:
    left, right = (_short(side) for side in (difference.left, difference.right))
    return f"{difference.key or name}: {left} -> {right}"


def _short(value: str | None) -> str:
    if value is None:
        return "(none)"
    digest = len(value) == 64 and set(value) <= set("0123456789abcdef")
    return value[:12] if digest else value if len(value) <= 60 else f"{value[:57]}..."


def read(path: str | Path) -> Provenance:
    """Reads the provenance of a folder from its manifest, or from a manifest that is named.

    Raises:
        OptionsError: The path is no model, preprocessing or run.
    """
    path = Path(path)
    if path.is_dir():
        names = (bundle.ABOUT, dataset.MANIFEST, _RUN_MANIFEST)
        path = next((path / name for name in names if (path / name).is_file()), path)
    try:
        manifest = json.loads(regular.read(path).decode())
        if path.name == bundle.ABOUT:
            return Provenance("model", _of_model(manifest, path.parent))
        if "run_id" in manifest:
            return Provenance("run", _of_run(path))
        return Provenance("preprocessing", _of_preprocessing(manifest, path.parent))
    except (OSError, ValueError, LookupError, TypeError, AttributeError, RecursionError) as error:
        raise OptionsError(
            f"{path}: is no model, preprocessing or run, or its manifest is damaged; name what "
            "triad preprocess, train or score wrote"
        ) from error


def _of_model(manifest: Mapping[str, Any], folder: Path) -> dict[str, Part]:
    files: Mapping[str, str] = manifest["files"]
    weights = {path: sha256 for path, sha256 in files.items() if "/variables/" in path}
    return {
        "model": {"": manifest["digests"]["model"]},
        "transform": {"": manifest["digests"]["transform"]},
        "spec": _flat(manifest["spec"]),
        "classes": _flat(manifest["classes"]),
        "vocabularies and moments": _analysis(folder),
        "graph": {"": manifest["data"]["digests"]["graph"]},
        "weights": {"": _digest(weights)},
        "code": {"": manifest["digests"]["code"]},
        "code of preprocessing": {"": manifest["data"]["digests"]["code"]},
        "versions": _flat({"triad": manifest["triad"], **manifest["versions"]}),
        "inputs": _inputs(manifest["data"]["inputs"]),
    }


def _of_preprocessing(manifest: Mapping[str, Any], folder: Path) -> dict[str, Part]:
    return {
        "transform": {"": manifest["transform_digest"]},
        "spec": _flat(manifest["spec"]),
        "classes": _flat(manifest["classes"]),
        "vocabularies and moments": _analysis(folder),
        "graph": {"": manifest["digests"]["graph"]},
        "code of preprocessing": {"": manifest["digests"]["code"]},
        "versions": _flat({"triad": manifest["triad"], **manifest["versions"]}),
        "inputs": _inputs(manifest["inputs"]),
        "records": {
            f"{split} {place}": file["sha256"]
            for split, files in manifest["splits"].items()
            for place, file in enumerate(files)
        },
    }


def _of_run(path: Path) -> dict[str, Part]:
    manifest = Manifest.from_json(regular.read(path))
    if manifest is None:
        raise ValueError("not as it was written")
    digests: Mapping[str, str] = {**manifest.about.get("model", {}), **manifest.digests}
    named = {name: {"": digests[name]} for name in ("model", "transform", "code")}
    return {
        **named,
        "classes": _flat(manifest.classes),
        "versions": _flat({"triad": manifest.code_version, **manifest.about.get("versions", {})}),
        "scores": {file.path: file.sha256 for file in manifest.files},
    }


def _analysis(folder: Path) -> Part:
    """Returns a digest of each vocabulary and of each list of moments."""
    analysis = json.loads(regular.read(folder / bundle.ANALYSIS).decode())
    return {
        f"{kind}.{name}": _digest(values)
        for kind, named in analysis.items()
        for name, values in named.items()
    }


def _inputs(inputs: list[Mapping[str, Any]]) -> Part:
    return {file["uri"]: f"{file['bytes']} bytes" for file in inputs}


def _flat(value: Any, prefix: str = "") -> dict[str, str]:
    """Flattens nested objects to dotted keys; a list becomes one line of JSON."""
    if isinstance(value, Mapping):
        flat: dict[str, str] = {}
        for key, inner in value.items():
            flat |= _flat(inner, f"{prefix}.{key}" if prefix else str(key))
        return flat
    return {prefix: value if isinstance(value, str) else json.dumps(value, ensure_ascii=False)}


def _digest(value: Any) -> str:
    return hashlib.sha256(json.dumps(value, sort_keys=True).encode()).hexdigest()
