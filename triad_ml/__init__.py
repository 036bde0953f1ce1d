"""Python API of Triad: commands as functions, loaded models, Beam transforms, published scores.

Each name is imported when it is first used (PEP 562): `import triad_ml` alone imports no
TensorFlow, no Beam and no NumPy.
"""

import importlib
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from triad_ml.commands import parity, preprocess, report, score, stream, train
    from triad_ml.pipelines.publishing.manifest import Manifest
    from triad_ml.pipelines.publishing.reading import published_files, read_manifest, read_scores
    from triad_ml.pipelines.scoring.loaded_model import Model, load_model
    from triad_ml.pipelines.scoring.plan import Published
    from triad_ml.pipelines.scoring.score_rows import ScoreRows as Score
    from triad_ml.pipelines.sources.read_files import ReadFiles as ReadRecords
    from triad_ml.transforms.errors import (
        DamagedError,
        GateError,
        LostRaceError,
        OptionsError,
        StorageError,
        TriadError,
    )
    from triad_ml.transforms.media.canonicalize import Canonicalize
    from triad_ml.transforms.records.values import (
        CanonicalRecord,
        Number,
        Position,
        Prediction,
        RawRecord,
        Rejected,
        Scored,
        Tagged,
        Text,
        Uri,
    )
    from triad_ml.transforms.spec.loading import load as load_spec
    from triad_ml.transforms.spec.spec import Spec
    from triad_ml.transforms.version import VERSION as __version__

__all__ = [
    "__version__",
    # Commands as functions
    "preprocess",
    "train",
    "score",
    "stream",
    "parity",
    "report",
    # Models in this process
    "load_model",
    "Model",
    "load_spec",
    "Spec",
    # Beam transforms to build with
    "ReadRecords",
    "Canonicalize",
    "Score",
    # Published scores
    "published_files",
    "read_scores",
    "read_manifest",
    "Manifest",
    "Published",
    # Values
    "RawRecord",
    "CanonicalRecord",
    "Position",
    "Uri",
    "Scored",
    "Rejected",
    "Prediction",
    "Number",
    "Tagged",
    "Text",
    # Errors
    "TriadError",
    "OptionsError",
    "GateError",
    "LostRaceError",
    "StorageError",
    "DamagedError",
]

_COMMANDS = "triad_ml.commands"
_VALUES = "triad_ml.transforms.records.values"
_ERRORS = "triad_ml.transforms.errors"
_READING = "triad_ml.pipelines.publishing.reading"
_MODEL = "triad_ml.pipelines.scoring.loaded_model"

_HOMES = {
    **dict.fromkeys(("preprocess", "train", "score", "stream", "parity", "report"), _COMMANDS),
    **dict.fromkeys(("load_model", "Model"), _MODEL),
    "Spec": "triad_ml.transforms.spec.spec",
    "load_spec": "triad_ml.transforms.spec.loading:load",
    "ReadRecords": "triad_ml.pipelines.sources.read_files:ReadFiles",
    "Canonicalize": "triad_ml.transforms.media.canonicalize",
    "Score": "triad_ml.pipelines.scoring.score_rows:ScoreRows",
    **dict.fromkeys(("published_files", "read_scores", "read_manifest"), _READING),
    "Manifest": "triad_ml.pipelines.publishing.manifest",
    "Published": "triad_ml.pipelines.scoring.plan",
    **dict.fromkeys(("RawRecord", "CanonicalRecord", "Position", "Uri"), _VALUES),
    **dict.fromkeys(("Scored", "Rejected", "Prediction", "Number", "Tagged", "Text"), _VALUES),
    **dict.fromkeys(("TriadError", "OptionsError", "GateError", "LostRaceError"), _ERRORS),
    **dict.fromkeys(("StorageError", "DamagedError"), _ERRORS),
    "__version__": "triad_ml.transforms.version:VERSION",
}
"""Module of each name, as `module`, or as `module:name` if the name in the module differs."""

_WITH_TENSORFLOW = frozenset({"load_model", "Model", "Canonicalize", "Score"})


def __getattr__(name: str) -> Any:
    home = _HOMES.get(name)
    if home is None:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    from triad_ml.pipelines.runtime import environment

    environment.prepare()
    if name in _WITH_TENSORFLOW:
        environment.load_tensorflow()
    module, _, own = home.partition(":")
    value = getattr(importlib.import_module(module), own or name)
    globals()[name] = value
    return value


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})
