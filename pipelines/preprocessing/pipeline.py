"""Beam pipelines of `triad preprocess`: records -> canonical media -> features and their graph."""

import contextlib
import datetime
import importlib.metadata
import logging
import time
from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from typing import Any

import apache_beam as beam
import pyarrow as pa
import tensorflow_transform as tft
import tensorflow_transform.beam as tft_beam
from tensorflow_transform.beam.tft_beam_io import beam_metadata_io

from triad_ml.pipelines.preprocessing import (
    dataset,
    ending,
    feature_shards,
    near_duplicates,
    staging,
)
from triad_ml.pipelines.preprocessing import plan as preprocessing_plan
from triad_ml.pipelines.preprocessing import summary as preprocessing_summary
from triad_ml.pipelines.preprocessing.canonical_shards import (
    CanonicalFile,
    ReadCanonical,
    WriteCanonical,
)
from triad_ml.pipelines.preprocessing.config import PreprocessConfig
from triad_ml.pipelines.preprocessing.feature_shards import FeatureFile, WriteFeatures
from triad_ml.pipelines.preprocessing.fingerprints import WriteFingerprints
from triad_ml.pipelines.preprocessing.near_duplicates import NearDuplicates
from triad_ml.pipelines.preprocessing.plan import PreprocessPlan
from triad_ml.pipelines.preprocessing.staging import Staging
from triad_ml.pipelines.runners import beam_options, registry, stages, worker_errors, workers
from triad_ml.pipelines.runtime import environment
from triad_ml.pipelines.runtime import summary as runtime_summary
from triad_ml.pipelines.sources import read as sources_read
from triad_ml.pipelines.sources import units
from triad_ml.pipelines.sources.files import Unit
from triad_ml.pipelines.storage import json_files
from triad_ml.pipelines.tables import formats, media_counts
from triad_ml.pipelines.tables import rows as tables_rows
from triad_ml.pipelines.tables.media_counts import IssuesLimits
from triad_ml.transforms import hashing
from triad_ml.transforms.duplicates import document as duplicates_document
from triad_ml.transforms.features.analyzers import Analysis, Analyzers
from triad_ml.transforms.features.registry import FEATURES
from triad_ml.transforms.graph import digest, preprocessing_fn
from triad_ml.transforms.media.canonicalize import Canonicalize, Canonicalizer
from triad_ml.transforms.records.copies import copy_id
from triad_ml.transforms.records.values import (
    GROUP,
    SPLITS,
    CanonicalRecord,
    Position,
    Provenance,
    Reason,
)
from triad_ml.transforms.spec import split as spec_split
from triad_ml.transforms.spec.spec import Spec
from triad_ml.transforms.spec.split import ALONE, KeptTogether, Split
from triad_ml.transforms.statistics import combine, document, sampling
from triad_ml.transforms.targets.registry import TARGETS
from triad_ml.transforms.version import VERSION

_FINGERPRINTS = "fingerprints.json"

_log = logging.getLogger(__name__)


def run(config: PreprocessConfig, plan: PreprocessPlan) -> str:
    """Preprocesses records into `config.output`, all of it or nothing.

    Args:
        config: Settings, with paths that each worker can use.
        plan: Plan of these settings, which is not done yet.

    Returns:
        Path of the manifest.

    Raises:
        GateError: Too many records are rejected, or there is nothing to learn from.
    """
    started = time.monotonic()
    with staging.begin(plan.output) as made:
        manifest = _preprocess(plan, config, made)
        manifest |= {"key": plan.key, "seconds": round(time.monotonic() - started, 1)}
        made.publish(manifest, config.keep_canonical)
    runtime_summary.say(_log, ending.sentences(manifest, config.output))
    return plan.manifest


def define_canonical_pipeline(
    read: sources_read.Read,
    canonicalizer: Canonicalizer,
    work: str,
    share: float,
    together: KeptTogether = ALONE,
) -> beam.PCollection[CanonicalRecord]:
    """Adds the first pass after `read`: canonicalize, write and count; runs nothing.

    It writes canonical files to the folder `work`, and lists, as JSON files, of these files, of
    rejected records, of later records with the id of an earlier one, of the kinds in which files
    store their columns, of counts, and of statistics. Counts are data, not metrics, because Beam's
    counters include retries.

    Args:
        read: Records and rejected ones.
        canonicalizer: Function that is applied to each record.
        work: Folder to write to.
        share: Share of the records whose media are measured, see `statistics.sampling`.
        together: Records that are kept in one split.

    Returns:
        Canonical records.
    """
    spec = canonicalizer.spec
    canonical = read.records | "Canonicalize" >> Canonicalize(canonicalizer)
    written = canonical.records | "WriteCanonical" >> WriteCanonical(spec, work, together)
    rejected = (read.rejected, canonical.rejected) | "Rejected" >> beam.Flatten()
    later = (
        written.places
        | "ById" >> beam.GroupByKey()
        | "LaterOfSameId" >> beam.FlatMapTuple(_later_of_same_id)
    )
    summary = (
        canonical.records
        | "WithSplit" >> beam.Map(_with_split, settings=spec.split, together=together)
        | "Statistics" >> beam.CombineGlobally(combine.StatisticsFn(spec, share))
    )
    ones = (
        read.records | "OneRecord" >> beam.Map(lambda _: (preprocessing_summary.READ, 1)),
        read.rejected | "OneRefused" >> beam.Map(lambda _: (preprocessing_summary.READ, 1)),
        canonical.records | "OneIssue" >> beam.FlatMap(lambda r: [(i, 1) for i in r.issues]),
    )
    counts = ones | "Ones" >> beam.Flatten() | "Count" >> beam.CombinePerKey(sum)
    for name, values in {
        "counts": counts,
        "files": written.files,
        "rejected": rejected,
        "later": later,
        "kinds": read.kinds,
        "statistics": summary,
    }.items():
        values | f"List{name.title()}" >> json_files.WriteJson(f"{work}/{name}.json")
    records: beam.PCollection[CanonicalRecord] = canonical.records
    return records


def define_fingerprint_pipeline(
    records: beam.PCollection[CanonicalRecord], spec: Spec, work: str, counts: bool = False
) -> None:
    """Adds the fingerprints of canonical records, and a list of their files; runs nothing.

    Args:
        records: Canonical records.
        spec: Spec with the modalities.
        work: Folder to write to.
        counts: True if the progress display counts these records.
    """
    written = records | "Fingerprints" >> WriteFingerprints(spec, work, counts)
    written | "ListFingerprints" >> json_files.WriteJson(f"{work}/{_FINGERPRINTS}")


def define_feature_pipeline(
    root: beam.Pipeline,
    files: Sequence[CanonicalFile],
    without: frozenset[tuple[str, int, int]],
    spec: Spec,
    shards: int,
    folder: str,
    analyzers: Analyzers | None = None,
) -> None:
    """Adds the second pass to `root`: analyze the training split, transform all; runs nothing.

    It writes the feature graph with its raw schema to `folder`, and shards of features and a list
    of them to its work folder.

    Args:
        root: Pipeline to which the steps are added.
        files: Canonical files of the first pass.
        without: Identities of records to leave out, see `raw_examples.identity`.
        spec: Spec of the preprocessing.
        shards: Number of shards of each split that a bundle is spread over.
        folder: Folder to write to, local or in a bucket.
        analyzers: Results of an earlier analysis, with which nothing is analyzed; None analyzes.
    """
    work = f"{folder}/{dataset.WORK}"
    raw_metadata = tft.DatasetMetadata.from_feature_spec(preprocessing_fn.raw_feature_spec(spec))
    adapter = feature_shards.adapter(raw_metadata.schema)

    def batches(split: str, label: str) -> beam.PCollection[pa.RecordBatch]:
        paths = tuple(file.path for file in files if file.split == split)
        serialized = root | f"{label}Read" >> ReadCanonical(paths, without)
        return serialized | f"{label}Batch" >> feature_shards.Batch(
            dataset.BATCH_SIZE, raw_metadata.schema
        )

    # Each pass reads the files again: a PCollection that both use would be in memory as a whole.
    transform_fn = (batches("train", "Analyze"), adapter) | tft_beam.AnalyzeDataset(
        preprocessing_fn.preprocessing_fn(spec, analyzers)
    )
    transform_folder = f"{folder}/{dataset.TRANSFORM}"
    transform_fn | "WriteTransformFn" >> tft_beam.WriteTransformFn(transform_folder)
    raw_metadata | "WriteRawMetadata" >> beam_metadata_io.WriteMetadata(
        f"{transform_folder}/{tft.TFTransformOutput.RAW_METADATA_DIR}", pipeline=root
    )
    shown: list[beam.PCollection[FeatureFile]] = []
    for split in _splits_of(files):
        label = split.title()
        filled = batches(split, label) | f"{label}FillUp" >> beam.Map(
            feature_shards.fill_up, rows=dataset.BATCH_SIZE, media=spec.modalities.names
        )
        (transformed, metadata) = ((filled, adapter), transform_fn) | (
            f"{label}Transform" >> tft_beam.TransformDataset(output_record_batches=True)
        )
        features = transformed | f"{label}Features" >> beam.Keys()
        shown.append(
            features | f"{label}Write" >> WriteFeatures(split, work, shards, metadata.schema)
        )
    written = tuple(shown) | "Written" >> beam.Flatten()
    written | "ListShards" >> json_files.WriteJson(f"{work}/shards.json")


def _librosa(spec: Spec) -> dict[str, str]:
    """Returns the version of librosa by name, if the spec needs it."""
    return {"librosa": importlib.metadata.version("librosa")} if spec.needs_librosa else {}


def _with_split(
    record: CanonicalRecord, settings: Split, together: KeptTogether
) -> tuple[str, CanonicalRecord]:
    return spec_split.split_of(record.id, record.group, record.split, settings, together), record


def _later_of_same_id(
    record_id: str, positions: Iterable[Position]
) -> Iterable[tuple[str, Position]]:
    ordered = sorted(positions, key=lambda position: (position.unit, position.offset))
    return [(record_id, position) for position in ordered[1:]]


def _splits_of(files: Sequence[CanonicalFile]) -> list[str]:
    return [split for split in SPLITS if any(file.split == split for file in files)]


def _read(root: beam.Pipeline, plan: PreprocessPlan, config: PreprocessConfig) -> sources_read.Read:
    """Adds the reading of the records, which remote workers share."""
    spread = registry.named(config.runner).is_remote
    planned = root | "Units" >> beam.Create(units.plan(plan.inputs), reshuffle=spread)
    if spread:
        planned = planned | "CheckWorkers" >> workers.CheckWorkers(Unit)
    labels = plan.what.label_names
    read: sources_read.Read = planned | "Read" >> sources_read.ReadRecords(labels, training=True)
    return read


def _compare_first(plan: PreprocessPlan, config: PreprocessConfig, made: Staging) -> NearDuplicates:
    """Finds near-duplicates in a pass of its own, before records are written by split."""
    canonicalizer = Canonicalizer(plan.what, config.media_roots, check=True)
    about = sources_read.estimated_records(plan.inputs)
    with (
        stages.showing("near-duplicates", about, config.runner, config.beam_args, estimated=True),
        _pipeline(config, plan, "preprocess-fingerprints") as root,
    ):
        read = _read(root, plan, config)
        canonical = read.records | "Canonicalize" >> Canonicalize(canonicalizer)
        define_fingerprint_pipeline(canonical.records, plan.what, made.work, counts=True)
    return near_duplicates.find(json_files.read(f"{made.work}/{_FINGERPRINTS}"), plan.what)


@contextlib.contextmanager
def _pipeline(config: PreprocessConfig, plan: PreprocessPlan, name: str) -> Iterator[beam.Pipeline]:
    """Yields a pipeline and runs it at the end of the block."""
    runner = registry.named(config.runner)
    labels = {"triad_key": plan.key[:63]}
    arguments = runner.job_arguments(f"{name}-{plan.key[:12]}", labels, config.beam_args)
    with worker_errors.raised(config.runner):
        root = beam.Pipeline(options=beam_options.beam_options(config.runner, arguments))
        yield root
        runner.submit(root)


def _preprocess(plan: PreprocessPlan, config: PreprocessConfig, made: Staging) -> dict[str, Any]:
    """Runs both passes, checks the gates, and returns the entries of the manifest."""
    spec = plan.what
    work = made.work
    canonicalizer = Canonicalizer(spec, config.media_roots, check=True)
    about = sources_read.estimated_records(plan.inputs)
    alike = _compare_first(plan, config, made) if spec.split.keep_together else None
    together = alike.kept_together(spec.split) if alike else ALONE
    with (
        stages.showing("records", about, config.runner, config.beam_args, estimated=True),
        _pipeline(config, plan, "preprocess-records") as root,
    ):
        read, share = _read(root, plan, config), sampling.share(about)
        records = define_canonical_pipeline(read, canonicalizer, work, share, together)
        if alike is None:
            define_fingerprint_pipeline(records, spec, work)

    files = [CanonicalFile(**file) for file in json_files.read(f"{work}/files.json")]
    rejected = preprocessing_summary.rejected(work)
    counts = preprocessing_summary.counts(work)
    kept = sum(file.rows for file in files) - sum(r.reason == Reason.DUPLICATE_ID for r in rejected)
    preprocessing_summary.check_rejected(
        counts[preprocessing_summary.READ], kept, rejected, config.rejected_limit
    )
    (measured,) = json_files.read(f"{work}/statistics.json")
    issues = preprocessing_summary.issues(counts, rejected)
    media = preprocessing_summary.media(spec, measured, issues)
    preprocessing_summary.check_media(media, IssuesLimits.of(spec, config.issues_limit))
    few_groups = preprocessing_summary.few_groups(spec, files)
    preprocessing_summary.check_splits(
        config.inputs, files, few_groups, spec.split.keep_together is not None
    )
    preprocessing_summary.check_labels(preprocessing_summary.labels(spec, measured, {}))
    mixed = preprocessing_summary.mixed_kinds(work)
    for column, by_kind in mixed.items():
        _log.warning(
            "%s: stored as %s; whole numbers are the same value however they are stored, texts are "
            "as they stand",
            column,
            ", ".join(f"{kind} (files: {entry['files']})" for kind, entry in by_kind.items()),
        )
    _log.info("canonical: %d records kept, %d rejected", kept, len(rejected))

    without = frozenset(
        (record_id, r.position.unit, r.position.offset)
        for r in rejected
        if r.reason == Reason.DUPLICATE_ID
        for record_id in (r.id, *(copy_id(r.id, change) for change in spec.training.copies))
    )
    if alike is None:
        alike = near_duplicates.find(json_files.read(f"{work}/{_FINGERPRINTS}"), spec)
    duplicates = alike.named(spec.split, together)
    rows = Counter({split: sum(f.rows for f in files if f.split == split) for split in SPLITS})
    rows["train"] += sum(sum(file.copies.values()) for file in files)
    passes = rows.total() + rows["train"]  # The training split is read twice.
    with (
        stages.showing("features", passes, config.runner, config.beam_args),
        _pipeline(config, plan, "preprocess-features") as root,
        tft_beam.Context(temp_dir=f"{work}/tft", passthrough_keys={GROUP}),
    ):
        define_feature_pipeline(root, files, without, spec, config.shards, made.workers)
    alignment = preprocessing_summary.alignment(spec, preprocessing_summary.spans(work))
    copies = preprocessing_summary.copies(spec, work)
    shards = preprocessing_summary.place_shards(made)
    made.fetch(dataset.TRANSFORM)
    local = made.local
    moments = [name for one in spec.modalities.names for name in FEATURES[one].measured(spec)]
    moments += [m for name, task in spec.tasks.items() for m in TARGETS[task.kind].moments(name)]
    analysis = Analysis.of_transform_output(local / dataset.TRANSFORM, tuple(moments))
    (local / dataset.ANALYSIS).write_text(analysis.to_json() + "\n", encoding="utf-8")
    (local / document.NAME).write_bytes(document.content(measured, spec.digest()))
    content = duplicates_document.content(duplicates, spec.digest())
    (local / duplicates_document.NAME).write_bytes(content)
    rejected_path = local / dataset.REJECTED
    rejected_path.parent.mkdir()
    provenance = Provenance("", "", spec.digest(), hashing.code_digest(), VERSION)
    formats.write(tables_rows.rejected_table(rejected, provenance), str(rejected_path), "parquet")
    parts = digest.transform_parts(spec, analysis)
    classes = preprocessing_summary.classes(spec, analysis)
    numbers = {split: sum(s["rows"] for s in shards[split]) for split in SPLITS}
    numbers["train"] -= sum(copies.values())
    return {
        "triad": VERSION,
        "created": datetime.datetime.now(datetime.UTC).isoformat(timespec="seconds"),
        **preprocessing_plan.spec_parts(spec),
        "transform_digest": digest.joined(parts),
        "digests": {**parts, "code": hashing.code_digest()},
        "versions": {**environment.versions(), **_librosa(spec)},
        "files": dataset.pinned_files(local),
        "inputs": [{"uri": file.uri, "bytes": file.size} for file in plan.inputs],
        "counts": {
            "read": kept + len(rejected),
            **numbers,
            "rejected": len(rejected),
        },
        **({"copies": copies} if copies else {}),
        "rejected": dict(sorted(Counter(str(r.reason) for r in rejected).items())),
        "issues": issues,
        "media": media_counts.to_json(media),
        "labels": preprocessing_summary.labels(spec, measured, classes),
        **({"together": dict(together.splits)} if spec.split.keep_together else {}),
        "duplicates": preprocessing_summary.duplicates(duplicates),
        "few_groups": few_groups,
        "classes": classes,
        "vocabulary_size": preprocessing_summary.vocabulary_size(spec, analysis),
        "mixed_kinds": mixed,
        "unnamed": preprocessing_summary.unnamed(spec, files),
        "alignment": alignment,
        "splits": shards,
    }
