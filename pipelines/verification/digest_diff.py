"""Which parts of two models, preprocessings or scoring runs are equal, and which differ."""

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
"""Values by key, as text; a part of one value has the key ""."""

_RUN_MANIFEST = "manifest.json"
_SHOWN = 8  # differences of one part that are shown one by one


class Provenance(NamedTuple):
    """What a folder was made from.

    Attributes:
        kind: `model`, `preprocessing` or `run`.
        parts: By name, in the order in which they are shown.
    """

    kind: str
    parts: Mapping[str, Part]


class Difference(NamedTuple):
    """One key of a part that is not the same on both sides; None where it is missing."""

    key: str
    left: str | None
    right: str | None


def explain(left: str | Path, right: str | Path) -> bool:
    """Compares two folders, prints a table, and says whether every part is equal.

    Raises:
        OptionsError: Where one is no model, preprocessing or run.
    """
    compared = compare(read(left), read(right))
    console = rich.console.Console(width=None if sys.stdout.isatty() else 120)
    console.print(table(compared))
    return not any(compared.values())


def compare(left: Provenance, right: Provenance) -> dict[str, list[Difference]]:
    """By part, what differs. Of two kinds of folder only what both have is compared."""
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
    """A row for each part: whether it is equal, and what differs."""
    shown = rich.table.Table(title="What was made from what", title_justify="left")
    for heading in ("part", "", "A -> B"):
        shown.add_column(heading)
    for name, differences in compared.items():
        lines = [_line(name, one) for one in differences[:_SHOWN]]
        if len(differences) > _SHOWN:
            lines.append(f"and {len(differences) - _SHOWN} more")
        verdict = "differs" if differences else "equal"
        shown.add_row(
            name, verdict, rich.text.Text(logs.printable("\n".join(lines)))
        )  # no markup in values
    return shown


def _line(name: str, one: Difference) -> str:
    sides = [_short(side) for side in (one.left, one.right)]
    return f"{one.key or name}: {sides[0]} -> {sides[1]}"


def _short(value: str | None) -> str:
    if value is None:
        return "(none)"
    digest = len(value) == 64 and set(value) <= set("0123456789abcdef")
    return value[:12] if digest else value if len(value) <= 60 else f"{value[:57]}..."


def read(path: str | Path) -> Provenance:
    """Reads what a folder, or the manifest in it, says that it was made from.

    Raises:
        OptionsError: Where it is no model, preprocessing or run.
    """
    path = Path(path)
    if path.is_dir():
        names = (bundle.ABOUT, dataset.MANIFEST, _RUN_MANIFEST)
        path = next((path / name for name in names if (path / name).is_file()), path)
    try:
        said = json.loads(regular.read(path).decode())
        if path.name == bundle.ABOUT:
            return Provenance("model", _of_model(said, path.parent))
        if "run_id" in said:
            return Provenance("run", _of_run(path))
        return Provenance("preprocessing", _of_preprocessing(said, path.parent))
    except (OSError, ValueError, LookupError, TypeError, AttributeError, RecursionError) as error:
        raise OptionsError(
            f"{path}: is no model, preprocessing or run, or its manifest is damaged; name what "
            "triad preprocess, train or score wrote"
        ) from error


def _of_model(said: Mapping[str, Any], folder: Path) -> dict[str, Part]:
    files: Mapping[str, str] = said["files"]
    weights = {path: one for path, one in files.items() if "/variables/" in path}
    return {
        "model": {"": said["digests"]["model"]},
        "transform": {"": said["digests"]["transform"]},
        "spec": _flat(said["spec"]),
        "classes": _flat(said["classes"]),
        "vocabularies and moments": _analysis(folder),
        "graph": {"": said["data"]["digests"]["graph"]},
        "weights": {"": _digest(weights)},
        "code": {"": said["digests"]["code"]},
        "code of preprocessing": {"": said["data"]["digests"]["code"]},
        "versions": _flat({"triad": said["triad"], **said["versions"]}),
        "inputs": _inputs(said["data"]["inputs"]),
    }


def _of_preprocessing(said: Mapping[str, Any], folder: Path) -> dict[str, Part]:
    return {
        "transform": {"": said["transform_digest"]},
        "spec": _flat(said["spec"]),
        "classes": _flat(said["classes"]),
        "vocabularies and moments": _analysis(folder),
        "graph": {"": said["digests"]["graph"]},
        "code of preprocessing": {"": said["digests"]["code"]},
        "versions": _flat({"triad": said["triad"], **said["versions"]}),
        "inputs": _inputs(said["inputs"]),
        "records": {
            f"{split} {place}": file["sha256"]
            for split, files in said["splits"].items()
            for place, file in enumerate(files)
        },
    }


def _of_run(path: Path) -> dict[str, Part]:
    said = Manifest.from_json(regular.read(path))
    if said is None:
        raise ValueError("not as it was written")
    digests: Mapping[str, str] = {**said.about.get("model", {}), **said.digests}
    named = {name: {"": digests[name]} for name in ("model", "transform", "code")}
    return {
        **named,
        "classes": _flat(said.classes),
        "versions": _flat({"triad": said.code_version, **said.about.get("versions", {})}),
        "scores": {file.path: file.sha256 for file in said.files},
    }


def _analysis(folder: Path) -> Part:
    """A digest of each vocabulary and each list of moments."""
    said = json.loads(regular.read(folder / bundle.ANALYSIS).decode())
    return {
        f"{kind}.{name}": _digest(values)
        for kind, named in said.items()
        for name, values in named.items()
    }


def _inputs(inputs: list[Mapping[str, Any]]) -> Part:
    return {file["uri"]: f"{file['bytes']} bytes" for file in inputs}


def _flat(value: Any, prefix: str = "") -> dict[str, str]:
    """Nested objects as dotted keys; lists and what is in them as one line."""
    if isinstance(value, Mapping):
        flat: dict[str, str] = {}
        for key, inner in value.items():
            flat |= _flat(inner, f"{prefix}.{key}" if prefix else str(key))
        return flat
    return {prefix: value if isinstance(value, str) else json.dumps(value, ensure_ascii=False)}


def _digest(value: Any) -> str:
    return hashlib.sha256(json.dumps(value, sort_keys=True).encode()).hexdigest()
