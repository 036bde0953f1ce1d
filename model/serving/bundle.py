"""The model folder: a SavedModel, and `triad.json`, which says what it is and pins its files.

MODEL/triad.json                    written last
MODEL/saved_model/                  signatures `serving_default`, `features`, `explain`
MODEL/saved_model/assets.extra/parts.json   what the SavedModel was made from
MODEL/analysis.json                 vocabularies and moments of the transform
MODEL/evaluation.json, history.csv, data_manifest.json
"""

import dataclasses
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
PARTS = f"{SAVED_MODEL}/assets.extra/parts.json"
"""In the folder that TensorFlow leaves to whoever exports, so that it goes where the graph goes."""

TOLD = (EVALUATION, HISTORY, DATA_MANIFEST)
"""Files that tell about the training: they decide no score, and `triad.json` pins them too."""

LARGEST_BATCH = 4096
"""Records for which memory is taken at once; ours are 48."""


class _Digests(pydantic.BaseModel):
    model: str
    transform: str


class _Described(pydantic.BaseModel):
    """What `triad.json` says at least; later versions may say more."""

    spec: dict[str, Any]
    classes: dict[str, list[str]]
    batch_size: int = pydantic.Field(ge=1, le=LARGEST_BATCH)
    digests: _Digests
    files: dict[str, str]
    told: dict[str, str]
    versions: dict[str, str]


_TAKE_AGAIN = "take the whole folder from its source again"


@dataclasses.dataclass(frozen=True)
class Artefact:
    """A complete model folder whose files are the ones that `triad.json` names.

    Attributes:
        folder: Where it is.
        about: The contents of `triad.json`.
    """

    folder: Path
    about: Mapping[str, Any]

    @property
    def spec(self) -> Spec:
        """The spec that the model was made from."""
        return loading.parse(json.dumps(self.about["spec"]), f"{self.folder}/{ABOUT}: spec")

    @property
    def spec_digest(self) -> str:
        """Of the spec as it was written, though a later version may know more keys."""
        return digest_of(self.about["spec"])

    @property
    def classes(self) -> dict[str, tuple[str, ...]]:
        """By task, the classes in the order of a distribution."""
        return {task: tuple(names) for task, names in self.about["classes"].items()}

    @property
    def batch_size(self) -> int:
        """The one batch size with which the model is called."""
        return int(self.about["batch_size"])

    @property
    def model_digest(self) -> str:
        """Of the SavedModel's files and the batch size."""
        return str(self.about["digests"]["model"])

    @property
    def transform_digest(self) -> str:
        """Of the transform, as preprocessing computed it."""
        return str(self.about["digests"]["transform"])

    @property
    def saved_model(self) -> Path:
        """The folder of the SavedModel."""
        return self.folder / SAVED_MODEL

    @property
    def saved_files(self) -> dict[str, str]:
        """SHA-256 of each file of the SavedModel, by its path in that folder."""
        files = self.about["files"].items()
        return {path.partition("/")[2]: digest for path, digest in files if path != ANALYSIS}

    def read(self, name: str) -> bytes:
        """The content of a file that `triad.json` pins.

        Args:
            name: Its relative path.

        Raises:
            GateError: Where the file is not the one that training wrote.
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
    """Opens a model folder and checks each file that belongs to the model.

    Raises:
        OptionsError: Where there is no complete model.
        GateError: Where a file is not the one that `triad.json` names.
    """
    folder = Path(folder)
    model = Artefact(folder, _read(folder))
    try:
        _refuse_links(folder)
        found = file_digests(folder)
    except (FileNotFoundError, NotADirectoryError) as error:  # it was taken away while we looked
        raise GateError(f"{error.filename}: is missing; {_TAKE_AGAIN}") from error
    pinned = model.about["files"]
    for path in sorted(pinned.keys() | found.keys()):
        if pinned.get(path) != found.get(path):
            state = "is missing" if path not in found else "is not the file that was exported"
            raise GateError(f"{folder / path}: {state}; {_TAKE_AGAIN}")
    if model_digest(found, model.batch_size) != model.model_digest:
        raise GateError(f"{folder / ABOUT}: was changed after the export; {_TAKE_AGAIN}")
    _check_parts(model)
    return model


def _refuse_links(folder: Path) -> None:
    saved = folder / SAVED_MODEL
    for path in (folder / ABOUT, folder / ANALYSIS, saved, *tree(saved)):
        if path.is_symlink():
            raise GateError(f"{path}: is a link, and a model is in one folder; {_TAKE_AGAIN}")


def parts(
    spec_digest: str, classes: Mapping[str, Sequence[str]], transform_digest: str
) -> dict[str, Any]:
    """What a SavedModel says of where it comes from, and what `triad.json` must say too."""
    return {
        "spec": spec_digest,
        "transform": transform_digest,
        "classes": {task: list(names) for task, names in classes.items()},
    }


def _check_parts(model: Artefact) -> None:
    """Refuses a `triad.json` that speaks of another training than the SavedModel beside it."""
    try:
        recorded = dict(json.loads(model.read(PARTS)))
    except (ValueError, TypeError, RecursionError) as error:
        raise GateError(f"{model.folder / PARTS}: is broken; {_TAKE_AGAIN}") from error
    _ = model.spec  # what is none is told as that
    said = parts(model.spec_digest, model.classes, model.transform_digest)
    for part, value in said.items():
        if recorded.get(part) != value:
            raise GateError(
                f"{model.folder / ABOUT}: its {part} is not that of the SavedModel beside it: they "
                f"come from two trainings; {_TAKE_AGAIN}"
            )


def described_digest(folder: Path, source: Path) -> str:
    """The model's digest as `triad.json` says it; nothing is checked.

    Args:
        folder: Of the model.
        source: What errors name, where the folder is a copy.

    Raises:
        OptionsError: Where there is no complete model.
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
    """SHA-256 by relative path of each file that decides a score."""
    saved = tree_digests(folder / SAVED_MODEL).items()
    files = {f"{SAVED_MODEL}/{path}": digest for path, digest in saved}
    analysis = folder / ANALYSIS
    return {ANALYSIS: file_digest(analysis), **files} if analysis.is_file() else files


def told_digests(folder: Path) -> dict[str, str]:
    """SHA-256 by name of each file that is there of those that tell about the training."""
    return {name: file_digest(folder / name) for name in TOLD if (folder / name).is_file()}


def model_digest(files: Mapping[str, str], batch_size: int) -> str:
    """One digest of `file_digests` and the batch size."""
    parts = json.dumps([sorted(files.items()), batch_size])
    return hashlib.sha256(parts.encode()).hexdigest()
