"""Which pipeline a config is handed to; each is imported when it is needed."""

import dataclasses
import logging
from collections.abc import Callable, Mapping
from typing import Any

from pipelines import config, environment, stream_config

_log = logging.getLogger(__name__)

Run = Callable[[Any], Any]
"""Does the work of a command, given its config."""


def _preprocess(settings: config.PreprocessConfig) -> object:
    from transforms import spec_files

    spec_files.load(settings.spec)  # a mistake is told before Beam is imported
    from pipelines import cluster, preprocess_plan

    settings = cluster.with_full_paths(settings)
    plan = preprocess_plan.plan(settings)  # and that all is done, before TensorFlow is
    if plan.done:
        return plan.manifest
    environment.load_tensorflow()
    from pipelines import preprocess as pipeline

    return pipeline.run(settings)


def _train(settings: config.TrainConfig) -> object:
    from pipelines import train_plan

    plan = train_plan.plan(settings)
    if plan.done:
        return plan.about
    environment.load_tensorflow()
    from pipelines import train as training

    return training.run(settings)


def _score(settings: config.ScoreConfig) -> object:
    from pipelines import cluster, dataflow, model_folder, model_pointer, score_plan

    settings = cluster.with_full_paths(settings)
    model = model_pointer.resolved(settings.model)  # once: the pointer may flip meanwhile
    settings = dataclasses.replace(settings, model=model)
    if settings.verify_key is not None:
        from model import signing

        folder = model_folder.local(settings.model)
        signing.verify(folder, settings.verify_key)  # before any of the model is read
    plan = score_plan.plan(settings)
    template = dataflow.makes_template(settings.beam_args)  # must be written in any case
    # Told at once: a night's second start costs no import of TensorFlow.
    if plan.published and not template:
        _log.info("%s: already published, nothing to do", plan.run.folder)
        return score_plan.Published(plan.run.manifest)
    environment.load_tensorflow()
    from pipelines import score as pipeline

    return pipeline.run(settings)


def _parity(settings: config.ParityConfig) -> object:
    from model import artefact

    artefact.load(settings.model)
    environment.load_tensorflow()
    from pipelines import parity as gate

    return gate.run(settings)


def _report(settings: config.ReportConfig) -> object:
    from pipelines import report as page

    return page.write(
        settings.model,
        settings.scores,
        settings.date,
        settings.inputs,
        settings.output,
        media_roots=settings.media_roots,
    )


def _sign(settings: config.SignConfig) -> object:
    from model import signing

    return signing.sign(settings.model, settings.key)


def _verify(settings: config.VerifyConfig) -> None:
    from model import signing

    signing.verify(settings.model, settings.key)


def _explain_digest(settings: config.ExplainDigestConfig) -> object:
    from pipelines import provenance

    return provenance.explain(settings.left, settings.right)


def _gc(settings: config.GcConfig) -> object:
    from pipelines import gc

    return gc.run(settings)


def _rollback(settings: config.RollbackConfig) -> object:
    from pipelines import rollback, runs

    manifest = rollback.run(settings)
    return runs.RunFolder(settings.output, settings.date, manifest.run_id).manifest


def _doctor(settings: config.DoctorConfig) -> object:
    from pipelines.doctor import visit

    return visit.run(settings)


def _flink(settings: config.FlinkConfig) -> list[str]:
    from pathlib import Path

    from pipelines import flink_cluster

    folder = Path(settings.folder).absolute() if settings.folder else flink_cluster.default_folder()
    if settings.action == "down":
        return [f"{part}: stopped" for part in flink_cluster.down(folder)] or ["nothing runs"]
    if settings.action == "up":
        return flink_cluster.up(folder, settings.free_ports).described()
    cluster = flink_cluster.read(folder)
    return ["nothing runs"] if cluster is None else cluster.described()


def _stream(settings: stream_config.StreamConfig) -> object:
    from model import artefact
    from pipelines import model_folder, model_pointer

    model = model_folder.local(model_pointer.resolved(settings.model))
    if settings.verify_key is not None:
        from model import signing

        signing.verify(model, settings.verify_key)  # before any of the model is read
    artefact.load(model)
    environment.load_tensorflow()
    from pipelines import stream

    return stream.run_until_signal(settings)


def _release(settings: stream_config.ReleaseConfig) -> object:
    from model import artefact
    from pipelines import model_folder

    artefact.load(model_folder.local(settings.model))  # a mistake is told before it is imported
    environment.load_tensorflow()
    from pipelines import release

    return release.run(settings)


RUNS: Mapping[type, Run] = {
    config.PreprocessConfig: _preprocess,
    config.TrainConfig: _train,
    config.ScoreConfig: _score,
    config.ParityConfig: _parity,
    config.ReportConfig: _report,
    config.SignConfig: _sign,
    config.VerifyConfig: _verify,
    config.ExplainDigestConfig: _explain_digest,
    config.GcConfig: _gc,
    config.RollbackConfig: _rollback,
    config.DoctorConfig: _doctor,
    config.FlinkConfig: _flink,
    stream_config.StreamConfig: _stream,
    stream_config.ReleaseConfig: _release,
}
