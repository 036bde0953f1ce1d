"""The real pipelines, defined as a run defines them and never run."""

import apache_beam as beam
import tensorflow_transform.beam as tft_beam

from model.artefact import Artefact
from model.scorer import ScorerHandler
from pipelines import carry_over, cluster, preprocess, score, score_plan, sources
from pipelines.canonical_files import CanonicalFile
from pipelines.doctor.functions import Define
from pipelines.runs import RunFolder
from pipelines.units import Unit
from transforms.canonicalize import Canonicalizer
from transforms.records import SPLITS
from transforms.scratch import ScratchFolder
from transforms.spec import Spec

_UNITS = (Unit(0, "records.jsonl", 0, 1),)
_RUN = RunFolder("scores", "2000-01-01", "0" * 24)


def scoring(model: Artefact) -> dict[str, Define]:
    """What `triad score` submits, with and without `--carry-over` in one."""

    def define(root: beam.Pipeline) -> None:
        canonicalizer = Canonicalizer(model.spec, (), check=False)
        digest = model.model_digest
        earlier = carry_over.Earlier(_RUN, (), (), digest)
        handler = ScorerHandler(str(model.folder), model_digest=digest)
        scores = score.Score(canonicalizer, handler, digest, earlier)
        settings = score_plan.run_settings(model, "parquet")
        labels = model.spec.label_names
        score.define_pipeline(root, _UNITS, labels, scores, _RUN, settings, check_workers=True)

    return {"score": define}


def preprocessing(what: Spec) -> dict[str, Define]:
    """What `triad preprocess` submits: its two passes."""

    def canonical(root: beam.Pipeline) -> None:
        planned = root | "Units" >> beam.Create(_UNITS) | "CheckWorkers" >> cluster.CheckWorkers()
        read = planned | "Read" >> sources.ReadRecords(what.label_names)
        canonicalizer = Canonicalizer(what, (), check=True)
        preprocess.define_canonical_pipeline(read, canonicalizer, "work")

    def features(root: beam.Pipeline) -> None:
        files = [CanonicalFile(f"{split}.tfrecord", split, 1) for split in SPLITS]
        with (
            ScratchFolder() as folder,
            tft_beam.Context(temp_dir=str(folder)),
        ):
            preprocess.define_feature_pipeline(root, files, frozenset(), what, 1, str(folder))

    return {"preprocess (records)": canonical, "preprocess (features)": features}
