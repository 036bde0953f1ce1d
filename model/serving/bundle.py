"""Model bundle: a folder with a SavedModel, and `triad.json`, which describes and pins its files.

MODEL/triad.json                    written last
MODEL/saved_model/                  signatures `serving_default`, `features`, `explain`
MODEL/saved_model/assets.extra/parts.json   spec, transform and classes of the SavedModel
MODEL/analysis.json                 vocabularies, means and deviations of the transform
MODEL/evaluation.json, history.csv, data_manifest.json
MODEL/MODELCARD.md           page for people, which they may edit
"""

import dataclasses
import functools
import hashlib
import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import pydantic

from triad_ml.transforms.errors import GateError, OptionsError
from triad_ml.transforms.files import regular
from triad_ml.transforms.hashing import file_digest, tree, tree_digests
from triad_ml.transforms.spec import loading
from triad_ml.transforms.spec.spec import Spec, digest_of

ABOUT = "triad.json"
SAVED_MODEL = "saved_model"
ANALYSIS = "analysis.json"
EVALUATION = "evaluation.json"
HISTORY = "history.csv"
DATA_MANIFEST = "data_manifest.json"
MODEL_CARD = "MODELCARD.md"
PARTS = f"{SAVED_MODEL}/assets.extra/parts.json"
"""File that records the origin of a SavedModel; see `parts`.

It is in `assets.extra`, the folder that TensorFlow reserves for exporters, so that it is copied
together with the graph.
"""

TOLD = (EVALUATION, HISTORY, DATA_MANIFEST)
"""Files that document the training; they decide no score, but `triad.json` pins them too."""

LARGEST_BATCH = 4096
"""Largest batch size that is accepted, as memory is allocated for a whole batch; ours is 48."""


class _Digests(pydantic.BaseModel):
    model: str
    transform: str


class _Described(pydantic.BaseModel):
    """Keys of `triad.json` that every version has; later versions may add more."""

    spec: dict[str, Any]
    classes: dict[str, list[str]]
    batch_size: int = pydantic.Field(ge=1, le=LARGEST_BATCH)
    digests: _Digests
    files: dict[str, str]
    told: dict[str, str]
    versions: dict[str, str]
    thresholds: dict[str, list[float]] = {}


_THRESHOLDS = "thresholds"
_TAKE_AGAIN = "take the whole folder from its source again"


@dataclasses.dataclass(frozen=True)
class Artefact:
    """Complete model bundle, whose files have the digests that `triad.json` records.

    Attributes:
        folder: Path of the bundle.
        about: Content of `triad.json`.
    """

    folder: Path
    about: Mapping[str, Any]

    @functools.cached_property
    def spec(self) -> Spec:
        """Spec that the model was trained with."""
        return loading.parse(json.dumps(self.about["spec"]), f"{self.folder}/{ABOUT}: spec")

    @property
    def spec_digest(self) -> str:
        """Digest of the spec as it is stored, without keys that later versions have added."""
        return digest_of(self.about["spec"])

    @property
    def classes(self) -> dict[str, tuple[str, ...]]:
        """By task, the names of the classes in the order of a distribution."""
        return {task: tuple(names) for task, names in self.about["classes"].items()}

    @property
    def thresholds(self) -> dict[str, tuple[float, ...]]:
        """By task, the lowest probability of each class in a predicted set, if not 0.5."""
        return {task: tuple(one) for task, one in self.about.get("thresholds", {}).items()}

    @property
    def batch_size(self) -> int:
        """Number of rows in every call of the model."""
        return int(self.about["batch_size"])

    @property
    def model_digest(self) -> str:
        """Digest of the files that decide scores, and of the batch size; see `model_digest`."""
        return str(self.about["digests"]["model"])

    @property
    def transform_digest(self) -> str:
        """Digest of the transform, as preprocessing computed it."""
        return str(self.about["digests"]["transform"])

    @property
    def saved_model(self) -> Path:
        """Path of the SavedModel."""
        return self.folder / SAVED_MODEL

    @property
    def saved_files(self) -> dict[str, str]:
        """SHA-256 of each file of the SavedModel, by its path in the SavedModel."""
        files = self.about["files"].items()
        return {path.partition("/")[2]: digest for path, digest in files if path != ANALYSIS}

    def read(self, name: str) -> bytes:
        """Reads a file that `triad.json` pins.

        Args:
            name: Path of the file in the bundle.

        Raises:
            GateError: If the file is missing, or is not the one that training wrote.
        """
        pinned = {**self.about["files"], **self.about["told"]}
        try:
            content = regular.read(self.folder / name)
        except OSError as error:
            raise GateError(f"{self.folder / name}: is missing; {_TAKE_AGAIN}") from error
        if hashlib.sha256(content).hexdigest() != pinned.get(name):
            raise GateError(
                f"{self.folder / name}: is not the file that training wrote; {_TAKE_AGAIN}"
            )
        return content


def load(folder: str | Path) -> Artefact:
    """Opens a model bundle and checks the digest of each file that decides a score.

    Raises:
        OptionsError: If the folder holds no complete model.
        GateError: If a file differs from the one that `triad.json` records, or is a link.
    """
    folder = Path(folder)
    model = Artefact(folder, _read(folder))
    try:
        _refuse_links(folder)
        actual = file_digests(folder)
    except (FileNotFoundError, NotADirectoryError) as error:  # removed during the check
        raise GateError(f"{error.filename}: is missing; {_TAKE_AGAIN}") from error
    pinned = model.about["files"]
    for path in sorted(pinned.keys() | actual.keys()):
        if pinned.get(path) != actual.get(path):
            state = "is missing" if path not in actual else "is not the file that was exported"
            raise GateError(f"{folder / path}: {state}; {_TAKE_AGAIN}")
    if model_digest(actual, model.batch_size) != model.model_digest:
        raise GateError(f"{folder / ABOUT}: was changed after the export; {_TAKE_AGAIN}")
    _check_parts(model)
    return model


def _refuse_links(folder: Path) -> None:
    saved = folder / SAVED_MODEL
    for path in (folder / ABOUT, folder / ANALYSIS, saved, *tree(saved)):
        if path.is_symlink():
            raise GateError(f"{path}: is a link, and a model is in one folder; {_TAKE_AGAIN}")


def parts(
    spec_digest: str,
    classes: Mapping[str, Sequence[str]],
    transform_digest: str,
    thresholds: Mapping[str, Sequence[float]] | None = None,
) -> dict[str, Any]:
    """Returns the origin of a SavedModel, as its file `PARTS` records it; `triad.json` must agree.

    Args:
        spec_digest: Digest of the spec.
        classes: By task, the names of its classes.
        transform_digest: Digest of the transform.
        thresholds: By task, the thresholds in the graph; see `export.ServingModule`.
    """
    described = {
        "spec": spec_digest,
        "transform": transform_digest,
        "classes": {task: list(names) for task, names in classes.items()},
    }
    if not thresholds:  # the file of a model without any is as earlier versions wrote it
        return described
    return {**described, _THRESHOLDS: {task: list(one) for task, one in thresholds.items()}}


def _check_parts(model: Artefact) -> None:
    """Refuses a `triad.json` that comes from another training than its SavedModel."""
    try:
        recorded = {_THRESHOLDS: {}, **json.loads(model.read(PARTS))}
    except (ValueError, TypeError, RecursionError) as error:
        raise GateError(f"{model.folder / PARTS}: is broken; {_TAKE_AGAIN}") from error
    _ = model.spec  # raises its own error if the spec is invalid
    described = parts(model.spec_digest, model.classes, model.transform_digest, model.thresholds)
    for part, value in {_THRESHOLDS: {}, **described}.items():
        if recorded.get(part) != value:
            raise GateError(
                f"{model.folder / ABOUT}: its {part} is not that of the SavedModel beside it: they "
                f"come from two trainings; {_TAKE_AGAIN}"
            )


def described_digest(folder: Path, source: Path) -> str:
    """Reads the model digest from `triad.json` without checking any file.

    Args:
        folder: Path of the bundle.
        source: Path that errors name, because `folder` is a copy of it.

    Raises:
        OptionsError: If `triad.json` is missing or broken.
    """
    return str(_read(folder, source)["digests"]["model"])


def _read(folder: Path, source: Path | None = None) -> Mapping[str, Any]:
    try:
        about: dict[str, Any] = json.loads(regular.read(folder / ABOUT).decode())
        _Described.model_validate(about, strict=True)
    except (OSError, ValueError, RecursionError) as error:
        raise _no_model(source or folder) from error
    return about


def _no_model(folder: Path) -> OptionsError:
    return OptionsError(
        f"{folder}: is no model folder ({ABOUT} is missing or broken); "
        "name one that `triad train --output` wrote"
    )


def file_digests(folder: Path) -> dict[str, str]:
    """Computes the SHA-256 of each file that decides a score, by its path in the bundle."""
    saved = tree_digests(folder / SAVED_MODEL).items()
    files = {f"{SAVED_MODEL}/{path}": digest for path, digest in saved}
    analysis = folder / ANALYSIS
    return {ANALYSIS: file_digest(analysis), **files} if analysis.is_file() else files


def told_digests(folder: Path) -> dict[str, str]:
    """Computes the SHA-256 of each existing file of `TOLD`, by its name."""
    return {name: file_digest(folder / name) for name in TOLD if (folder / name).is_file()}


def model_digest(files: Mapping[str, str], batch_size: int) -> str:
    """Computes the model digest from `file_digests` and the batch size."""
    parts = json.dumps([sorted(files.items()), batch_size])
    return hashlib.sha256(parts.encode()).hexdigest()
