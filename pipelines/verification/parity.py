"""Parity of training and scoring: features and scores of the same records, compared."""

import dataclasses
import itertools
import logging
import sys
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, TypeVar

import apache_beam as beam
import numpy as np
import numpy.typing as npt
import rich.console
import tensorflow as tf
import tensorflow_transform as tft
import tensorflow_transform.beam as tft_beam

from triad_ml.model import stages
from triad_ml.model.serving import bundle
from triad_ml.model.serving.scorer import ScorerHandler, load_scorer
from triad_ml.model.tasks.base import output_name
from triad_ml.pipelines.preprocessing import dataset, ending
from triad_ml.pipelines.preprocessing import pipeline as preprocessing_pipeline
from triad_ml.pipelines.preprocessing.canonical_shards import CanonicalFile
from triad_ml.pipelines.preprocessing.feature_shards import FeatureFile
from triad_ml.pipelines.publishing.run_folder import RunFolder
from triad_ml.pipelines.runners import beam_options
from triad_ml.pipelines.runtime import summary
from triad_ml.pipelines.scoring import pipeline as scoring_pipeline
from triad_ml.pipelines.scoring import score as scoring_score
from triad_ml.pipelines.sources import read as sources_read
from triad_ml.pipelines.sources import units
from triad_ml.pipelines.storage import json_files
from triad_ml.pipelines.tables import formats
from triad_ml.pipelines.tables.schema import ScoreSchema, score_schema
from triad_ml.pipelines.verification.config import ParityConfig
from triad_ml.pipelines.verification.differences import Difference, table
from triad_ml.transforms.errors import OptionsError
from triad_ml.transforms.features.analyzers import Analysis, KnownAnalyzers
from triad_ml.transforms.files.scratch import ScratchFolder
from triad_ml.transforms.media.canonicalize import Canonicalizer
from triad_ml.transforms.records.values import (
    UNKNOWN_SPLIT,
    CanonicalRecord,
    Position,
    RawRecord,
    Reason,
    Rejected,
)

_log = logging.getLogger(__name__)

Row = tuple[str, Mapping[str, npt.NDArray[Any]]]
Value = TypeVar("Value")


def run(config: ParityConfig, model: bundle.Artefact) -> bool:
    """Compares features and scores, and prints two tables.

    Args:
        config: Settings of the comparison.
        model: The opened model of `config.model`.

    Returns:
        True if no difference exceeds its tolerance.

    Raises:
        OptionsError: No record can be compared.
    """
    features, scores = differences(config, model)
    console = rich.console.Console(width=None if sys.stdout.isatty() else 120)
    console.print(table(features, "Features: preprocessing pipeline and SavedModel"))
    console.print(table(scores, "Scores: scoring pipeline and SavedModel"))
    return all(difference.passes for difference in (*features, *scores))


def differences(
    config: ParityConfig, model: bundle.Artefact
) -> tuple[list[Difference], list[Difference]]:
    """Compares the features and the scores of three code paths.

    (a) The preprocessing pipeline as the installed code builds it, with the model's vocabularies
    and moments, up to TFRecords; (b) the SavedModel's two signatures; (c) the scoring pipeline, up
    to its files. The features of (a) and the scores of (c) are each compared with those of (b). The
    compared records are held in memory.

    Args:
        config: Settings of the comparison.
        model: The opened model of `config.model`.

    Returns:
        Differences of the features, and differences of the scores.

    Raises:
        OptionsError: No record can be compared.
    """
    with stages.showing(stages.Stage("reading", config.limit)):
        raw, refused = _raw_records(model, config.inputs, config.limit)
    canonicalizer = Canonicalizer(model.spec, config.media_roots, check=True)
    schema = score_schema(model, "parquet")
    canonicalized = _shown(map(canonicalizer.canonical, raw), "canonical records", len(raw))
    outcomes = [*refused, *canonicalized]
    names = model.spec.modalities.names
    summary.say(_log, ending.looked_at(names, outcomes, "to be compared"))
    canonical = {one.id: one for one in outcomes if isinstance(one, CanonicalRecord)}
    if not canonical:
        raise OptionsError(f"{', '.join(config.inputs)}: no record in it can be compared")
    number = len(canonical)
    with stages.showing(stages.Stage("loading of the model")):
        scorer = load_scorer(str(model.folder), model.model_digest, False)
    with ScratchFolder() as folder:
        features = compare(
            canonical,
            _shown(_preprocessed(model, canonicalizer, raw, folder), "features compared", number),
            lambda records: _rows(records, scorer.features(records)),
            config.tolerance,
        )
        scores = compare(
            canonical,
            _shown(_scored(model, canonicalizer, raw, schema, folder), "scores compared", number),
            lambda records: _served(records, scorer.outputs(records), schema),
            tolerance=0.0,
        )
    return features, scores


def compare(
    records: Mapping[str, CanonicalRecord],
    rows: Iterable[Row],
    serve: Callable[[Sequence[CanonicalRecord]], Iterable[Row]],
    tolerance: float,
) -> list[Difference]:
    """Compares the rows of a pipeline with those of the SavedModel for the same records.

    Args:
        records: Records by id, from which both rows are computed.
        rows: Rows of the pipeline, in any order; each of `records` has one.
        serve: Function that returns the SavedModel's rows of at most `dataset.BATCH_SIZE` records.
        tolerance: Largest difference of floats that passes; everything else must be equal.

    Returns:
        Differences of the ids, then of each named value in the order of the names.
    """
    ids = Difference("id")
    differences: dict[str, Difference] = {}
    left = dict(records)
    for batch in _batches(rows, dataset.BATCH_SIZE):
        known, to_serve = [], []
        for record_id, values in batch:
            record = left.pop(record_id, None)
            ids.add(record_id, 0, 0 if record else 1)
            if record:
                known.append((record_id, values))
                to_serve.append(record)
        served = dict(serve(to_serve))
        for record_id, values in known:
            for name in sorted(values.keys() | served[record_id].keys()):
                mine, theirs = values.get(name), served[record_id].get(name)
                kind = np.asarray(mine).dtype.kind
                allowed = tolerance if kind == "f" else 0.0
                difference = differences.setdefault(name, Difference(name, allowed))
                difference.add(record_id, mine, theirs)
    for record_id in left:
        ids.add(record_id, 0, 1)
    return [ids, *(differences[name] for name in sorted(differences))]


def _shown(values: Iterable[Value], what: str, total: int) -> Iterator[Value]:
    """Yields the values and shows the progress of their consumer, from the first value on."""
    iterator = iter(values)
    done = 0
    first = list(itertools.islice(iterator, 1))
    with stages.showing(stages.Stage(what, total, lambda: done)):
        for value in itertools.chain(first, iterator):
            yield value
            done += 1


def _raw_records(
    model: bundle.Artefact, inputs: Sequence[str], limit: int | None
) -> tuple[list[RawRecord], list[Rejected]]:
    """Reads the records up to the limit, each id once, with positions as in one unit of work.

    Returns:
        The records, and those that were rejected before the limit was reached.
    """
    records: dict[str, RawRecord] = {}
    refused: list[Rejected] = []
    listed = units.plan(units.list_inputs(inputs))
    read = (row for unit in listed for row in sources_read.read(unit, model.spec.label_names))
    for row in read:
        if isinstance(row, Rejected):
            refused.append(row)
        elif row.id in records:
            refused.append(Rejected(row.id, row.position, "read", Reason.DUPLICATE_ID))
        else:
            position = Position(row.position.uri, len(records))
            split = None if row.split == UNKNOWN_SPLIT else row.split
            records[row.id] = dataclasses.replace(row, position=position, split=split)
            if len(records) == limit:
                break
    return list(records.values()), refused


def _rows(
    records: Sequence[CanonicalRecord], arrays: Mapping[str, npt.NDArray[Any]]
) -> Iterator[Row]:
    for row, record in enumerate(records):
        yield record.id, {name: _plain(array[row]) for name, array in arrays.items()}


def _served(
    records: Sequence[CanonicalRecord],
    arrays: Mapping[str, npt.NDArray[Any]],
    schema: ScoreSchema,
) -> Iterator[Row]:
    """Yields rows like `_rows`, with each task's outputs in the form of a published row."""
    for row, record in enumerate(records):
        served = {
            task: column.served(task, arrays, row, record)
            for task, column in schema.columns.items()
        }
        yield record.id, _outputs(served)


def _outputs(compared: Mapping[str, Mapping[str, Any]]) -> dict[str, npt.NDArray[Any]]:
    """Returns the tasks' values to compare, by their names in the serving signature."""
    return {
        output_name(task, name): _plain(value)
        for task, values in compared.items()
        for name, value in values.items()
    }


def _plain(value: Any) -> npt.NDArray[Any]:
    """Converts bytes to numbers, so that a difference has a size; joins strings before."""
    if isinstance(value, np.ndarray) and value.dtype == object:
        value = b"\0".join(part for part in value if part)
    return np.frombuffer(value, np.uint8) if isinstance(value, bytes) else np.asarray(value)


def _batches(rows: Iterable[Row], size: int) -> Iterator[list[Row]]:
    iterator = iter(rows)
    while batch := list(itertools.islice(iterator, size)):
        yield batch


def _preprocessed(
    model: bundle.Artefact,
    canonicalizer: Canonicalizer,
    raw: Sequence[RawRecord],
    folder: Path,
) -> Iterator[Row]:
    """Yields the features of path (a), as the training files hold them."""
    spec = model.spec
    analysis = Analysis.from_json(model.read(bundle.ANALYSIS).decode())
    work = folder / "work"
    work.mkdir()
    with (
        stages.showing(stages.counting("preprocessing pipeline, records", len(raw))),
        beam.Pipeline(options=beam_options.beam_options()) as root,
    ):
        records = root | beam.Create(raw, reshuffle=False)
        none = root | "NoneRefused" >> beam.Create([])
        read = sources_read.Read(records, none, none)
        plain = dataclasses.replace(canonicalizer, spec=spec.without_copies())
        preprocessing_pipeline.define_canonical_pipeline(read, plain, str(work), share=0)
    files = [CanonicalFile(**file) for file in json_files.read(work / "files.json")]
    rows = sum(file.rows for file in files)
    with (
        stages.showing(stages.counting("preprocessing pipeline, features", rows)),
        beam.Pipeline(options=beam_options.beam_options()) as root,
        tft_beam.Context(str(work / "tft")),
    ):
        preprocessing_pipeline.define_feature_pipeline(
            root, files, frozenset(), spec, 1, str(folder), KnownAnalyzers(analysis)
        )
    transform = tft.TFTransformOutput(str(folder / dataset.TRANSFORM))
    description = transform.transformed_feature_spec()
    shards = [FeatureFile(**shard).path for shard in json_files.read(work / "shards.json")]
    for batch in tf.data.TFRecordDataset(shards, "GZIP").batch(dataset.BATCH_SIZE):
        parsed = tf.io.parse_example(batch, description)
        arrays = {
            name: value.numpy()
            for name, value in parsed.items()
            if name != "id" and not name.startswith("label_")
        }
        for row, record_id in enumerate(parsed["id"].numpy()):
            yield record_id.decode(), {name: _plain(array[row]) for name, array in arrays.items()}


def _scored(
    model: bundle.Artefact,
    canonicalizer: Canonicalizer,
    raw: Sequence[RawRecord],
    schema: ScoreSchema,
    folder: Path,
) -> Iterator[Row]:
    """Yields the scores of path (c), as the files of a run hold them."""
    run_folder = RunFolder(str(folder / "scores"), "1970-01-01", "0" * 24)
    handler = ScorerHandler(str(model.folder), model_digest=model.model_digest)
    with (
        stages.showing(stages.counting("scoring pipeline", len(raw))),
        beam.Pipeline(options=beam_options.beam_options()) as root,
    ):
        records = root | beam.Create(raw, reshuffle=False)
        counts = root | "Counts" >> beam.Create([(0, len(raw))])
        trusting = dataclasses.replace(canonicalizer, check=False)
        scores = records | scoring_score.Score(trusting, handler, model.model_digest)
        scores | scoring_pipeline.CommitUnits(counts, run_folder, schema)
    scored = formats.read(run_folder.unit_scores(0))
    for row in scored.to_pylist():
        published = {task: column.published(row[task]) for task, column in schema.columns.items()}
        yield row["id"], _outputs(published)
