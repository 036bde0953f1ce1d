"""Commands of the `triad` command line as functions.

Each function takes the fields of its command's config by keyword, with the config's defaults and
checks. An error names a field as the command line does: `inputs` is `--input`.
"""

import functools
import inspect
import typing
from collections.abc import Callable
from pathlib import Path
from typing import Any, ParamSpec, TypeVar

from triad_ml.pipelines.preprocessing import run as preprocessing_run
from triad_ml.pipelines.preprocessing.config import PreprocessConfig
from triad_ml.pipelines.report import run as report_run
from triad_ml.pipelines.report.config import ReportConfig
from triad_ml.pipelines.scoring import run as scoring_run
from triad_ml.pipelines.scoring.config import ScoreConfig
from triad_ml.pipelines.scoring.plan import Published
from triad_ml.pipelines.streaming import run as streaming_run
from triad_ml.pipelines.streaming.config import StreamConfig
from triad_ml.pipelines.training import run as training_run
from triad_ml.pipelines.training.config import TrainConfig
from triad_ml.pipelines.verification import run as verification_run
from triad_ml.pipelines.verification.config import ParityConfig
from triad_ml.transforms.errors import OptionsError

_Fields = ParamSpec("_Fields")
_Config = TypeVar("_Config")
_Result = TypeVar("_Result")


def _with_fields_of(
    config: Callable[_Fields, _Config],
) -> Callable[[Callable[[_Config], _Result]], Callable[_Fields, _Result]]:
    """Returns a decorator: the function of a config then takes the config's fields by keyword."""
    kinds = typing.get_type_hints(config)
    many = {name for name, kind in kinds.items() if kind == tuple[str, ...]}

    def decorate(run: Callable[[_Config], _Result]) -> Callable[_Fields, _Result]:
        @functools.wraps(run)
        def call(*positional: _Fields.args, **fields: _Fields.kwargs) -> _Result:
            if positional:
                raise TypeError(f"{run.__name__}() takes its settings by keyword only")
            return run(config(**_with_tuples(fields, many)))  # type: ignore[call-arg]

        parameters = [
            parameter.replace(kind=inspect.Parameter.KEYWORD_ONLY)
            for parameter in inspect.signature(config).parameters.values()
        ]
        result = inspect.signature(run).return_annotation
        signature = inspect.Signature(parameters, return_annotation=result)
        call.__signature__ = signature  # type: ignore[attr-defined]
        call.__annotations__ = {**kinds, "return": result}
        return call

    return decorate


def _with_tuples(fields: dict[str, Any], many: set[str]) -> dict[str, Any]:
    """Returns the fields with tuples instead of lists, as a frozen config requires them."""
    for name in many & fields.keys():
        if isinstance(fields[name], str):
            raise OptionsError(
                f"{name}: must be a list of strings, got {fields[name]!r}; put it into a list"
            )
    return {
        name: tuple(value) if name in many and isinstance(value, list) else value
        for name, value in fields.items()
    }


@_with_fields_of(PreprocessConfig)
def preprocess(config: PreprocessConfig) -> str:
    """Turns records into features, and saves the feature graph, as `triad preprocess`.

    Args:
        config: Fields of `PreprocessConfig`, by keyword: `spec`, `inputs`, `output`, and options.

    Returns:
        Path of the manifest of the prepared data.

    Raises:
        OptionsError: The spec, an option or an input cannot be used.
        GateError: Too many records are rejected or media not used; nothing is written.
        StorageError: A disk or a connection fails.

    Examples:
        >>> import triad_ml
        >>> manifest = triad_ml.preprocess(
        ...     spec="spec.yaml", inputs=["records/*.jsonl"], output="prepared", shards=2
        ... )
    """
    return preprocessing_run.run(config)


@_with_fields_of(TrainConfig)
def train(config: TrainConfig) -> Path:
    """Trains a model on prepared data and exports it, as `triad train`.

    The same call continues an interrupted training, and returns at once if the model has been
    trained already.

    Args:
        config: Fields of `TrainConfig`, by keyword: `data`, `output`, and options.

    Returns:
        Path of the file that describes the model, in its folder.

    Raises:
        OptionsError: The data or an option cannot be used, or the training diverges.
        GateError: The data have changed since they were prepared.
        StorageError: A disk fails.

    Examples:
        >>> import triad_ml
        >>> about = triad_ml.train(data="prepared", output="model")
    """
    return training_run.run(config)


@_with_fields_of(ScoreConfig)
def score(config: ScoreConfig) -> Published:
    """Scores records and publishes the scores of one date, whole or not at all, as `triad score`.

    A second call with the same settings publishes nothing again; after an interruption it
    continues.

    Args:
        config: Fields of `ScoreConfig`, by keyword: `model`, `inputs`, `output`, `date`, and
            options.

    Returns:
        The published run; its `manifest_uri` is the path of its manifest.

    Raises:
        OptionsError: The model, an option or an input cannot be used.
        GateError: A gate refuses the model or the scores; nothing is published.
        LostRaceError: Another run was published for the date meanwhile.
        StorageError: A disk or a connection fails.

    Examples:
        >>> import triad_ml
        >>> published = triad_ml.score(
        ...     model="model", inputs=["records/*.jsonl"], output="scores", date="2026-11-24"
        ... )
        >>> published.manifest_uri.endswith("/manifest.json")
        True
    """
    return scoring_run.run(config)


@_with_fields_of(StreamConfig)
def stream(config: StreamConfig) -> object:
    """Scores records as they arrive, as `triad stream`.

    On this machine the stream runs until SIGTERM or SIGINT, or with `until_empty` until all records
    in the source are scored. It must be called in the main thread, which receives signals.

    Args:
        config: Fields of `StreamConfig`, by keyword: `model`, `source`, `sink`, and options.

    Returns:
        Counts of scored and rejected records, if the stream ran on this machine.

    Raises:
        OptionsError: The model, an option, the source or the sink cannot be used.
        GateError: The model is refused.
        StorageError: A disk or a connection fails.

    Examples:
        >>> import triad_ml
        >>> counts = triad_ml.stream(
        ...     model="model", source="arriving", sink="stream", state="state", until_empty=True
        ... )
    """
    return streaming_run.run(config)


@_with_fields_of(ParityConfig)
def parity(config: ParityConfig) -> bool:
    """Compares the features and scores of training with those of serving, as `triad parity`.

    The comparison is printed as a table.

    Args:
        config: Fields of `ParityConfig`, by keyword: `model`, `inputs`, and options.

    Returns:
        True if no difference exceeds the tolerance.

    Raises:
        OptionsError: The model, an option or an input cannot be used.
        GateError: A file of the model is not the exported or signed one.

    Examples:
        >>> import triad_ml
        >>> same = triad_ml.parity(model="model", inputs=["records/*.jsonl"], limit=20)
        Features: preprocessing pipeline and SavedModel
        ...
        Scores: scoring pipeline and SavedModel
        ...
        >>> same
        True
    """
    return verification_run.parity(config)


@_with_fields_of(ReportConfig)
def report(config: ReportConfig) -> str:
    """Writes one HTML page about a model and, if they are named, its scores, as `triad report`.

    Args:
        config: Fields of `ReportConfig`, by keyword: `model`, `output`, and options.

    Returns:
        Path of the page.

    Raises:
        OptionsError: The model, the scores or an option cannot be used.
        DamagedError: A file of the scores has changed since the run wrote it.
        StorageError: The page cannot be written.

    Examples:
        >>> import triad_ml
        >>> page = triad_ml.report(model="model", output="report.html")
    """
    return report_run.run(config)
