"""Pipelines of `triad score` and `triad preprocess`, defined as for a run but never run."""

import apache_beam as beam
import tensorflow_transform.beam as tft_beam

from triad_ml.model.serving.bundle import Artefact
from triad_ml.pipelines.doctor.worker_functions import Define
from triad_ml.pipelines.preprocessing import pipeline as preprocessing_pipeline
from triad_ml.pipelines.preprocessing.canonical_shards import CanonicalFile
from triad_ml.pipelines.publishing.run_folder import RunFolder
from triad_ml.pipelines.runners import workers
from triad_ml.pipelines.scoring import carry_over, score
from triad_ml.pipelines.scoring import pipeline as scoring_pipeline
from triad_ml.pipelines.sources import read as sources_read
from triad_ml.pipelines.sources.files import Unit
from triad_ml.pipelines.tables import schema
from triad_ml.transforms.files.scratch import ScratchFolder
from triad_ml.transforms.media.canonicalize import Canonicalizer
from triad_ml.transforms.records.values import SPLITS
from triad_ml.transforms.spec.spec import Spec

_UNITS = (Unit(0, "records.jsonl", 0, 1),)
_RUN = RunFolder("scores", "2000-01-01", "0" * 24)


def scoring(model: Artefact) -> dict[str, Define]:
    """Returns the pipeline of `triad score` by name; it holds the steps of `--carry-over` too."""

    def define(root: beam.Pipeline) -> None:
        earlier = carry_over.Earlier(_RUN, (), (), model.model_digest)
        scores = score.Score.from_model(model, str(model.folder), earlier=earlier)
        settings = schema.score_schema(model, "parquet")
        labels = model.spec.label_names
        scoring_pipeline.define_pipeline(
            root, _UNITS, labels, scores, _RUN, settings, check_workers=True
        )

    return {"score": define}


def preprocessing(spec: Spec) -> dict[str, Define]:
    """Returns the two pipelines of `triad preprocess` by name."""

    def canonical(root: beam.Pipeline) -> None:
        planned = root | "Units" >> beam.Create(_UNITS)
        planned = planned | "CheckWorkers" >> workers.CheckWorkers(Unit)
        read = planned | "Read" >> sources_read.ReadRecords(spec.label_names)
        canonicalizer = Canonicalizer(spec, (), check=True)
        records = preprocessing_pipeline.define_canonical_pipeline(
            read, canonicalizer, "work", share=1
        )
        preprocessing_pipeline.define_fingerprint_pipeline(records, spec, "work")

    def features(root: beam.Pipeline) -> None:
        files = [CanonicalFile(f"{split}.tfrecord", split, 1) for split in SPLITS]
        with (
            ScratchFolder() as folder,
            tft_beam.Context(temp_dir=str(folder)),
        ):
            preprocessing_pipeline.define_feature_pipeline(
                root, files, frozenset(), spec, 1, str(folder)
            )

    return {"preprocess (records)": canonical, "preprocess (features)": features}
