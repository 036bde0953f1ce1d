"""Which pipeline a config is handed to; each is imported when it is needed."""

import dataclasses
import importlib.util
import logging
from collections.abc import Callable, Mapping
from typing import Any

from pipelines import (
    cluster_config,
    config,
    environment,
    reading_config,
    stream_config,
    stream_runners,
)
from transforms.errors import OptionsError

_log = logging.getLogger(__name__)

Run = Callable[[Any], Any]
"""Does the work of a command, given its config."""


def _with_media(run: Run) -> Run:
    """The run, refused at its start where the folders of media are in a bucket out of reach."""

    def checked(settings: Any) -> Any:
        from pipelines import cloud_storage

        cloud_storage.check_places(settings.media_roots)
        return run(settings)

    return checked


def _preprocess(settings: config.PreprocessConfig) -> object:
    from pipelines import first_look
    from transforms import spec_files

    what = spec_files.load(settings.spec)  # a mistake is told before Beam is imported
    first_look.tell(_log, settings.inputs, what)
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


def _search(settings: config.SearchConfig) -> object:
    from pipelines import search_plan

    plan = search_plan.plan(settings)
    if importlib.util.find_spec("optuna") is None:
        raise OptionsError("search: Optuna is not installed; pip install 'triad[search]'")
    environment.load_tensorflow()
    from pipelines import search

    return search.run(settings, plan)


def _score(settings: config.ScoreConfig) -> object:
    from model import artefact
    from pipelines import dataflow, first_look, model_folder, model_pointer

    model = model_pointer.resolved(settings.model)  # once: the pointer may flip meanwhile
    settings = dataclasses.replace(settings, model=model)
    if settings.verify_key is None:
        what = artefact.described(model_folder.local(settings.model))
    else:  # nothing of a model is read before it is verified
        what = model_folder.load(settings.model, settings.verify_key).spec
    first_look.tell(_log, settings.inputs, what, with_labels=False)
    from pipelines import cluster, score_plan

    settings = cluster.with_full_paths(settings)
    plan = score_plan.plan(settings)
    template = dataflow.makes_template(settings.beam_args)  # must be written in any case
    # Told at once: a night's second start costs no import of TensorFlow.
    if plan.published and not template:
        return plan.told_published()
    environment.load_tensorflow()
    from pipelines import score as pipeline

    return pipeline.run(settings)


def _parity(settings: config.ParityConfig) -> object:
    from pipelines import first_look, model_folder

    what = model_folder.load(settings.model, settings.verify_key).spec
    first_look.tell(_log, settings.inputs, what, with_labels=False)
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
        saliency=settings.saliency,
        verify_key=settings.verify_key,
    )


def _encoder(settings: config.EncoderConfig) -> object:
    from pipelines import outputs

    outputs.check_file(settings.output, b"\x89HDF\r\n", "file of weights")
    environment.load_tensorflow()
    from pipelines import encoder_import

    return encoder_import.run(settings)


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


def _runs(settings: reading_config.RunsConfig) -> object:
    from pipelines import run_list

    return run_list.run(settings)


def _current(settings: reading_config.CurrentConfig) -> tuple[str, ...]:
    from pipelines import parts, publish

    run, manifest = publish.counting(settings.output, settings.date)
    parts.refuse_broken(run, manifest)
    return publish.open_current(settings.output, manifest.date)


def _export(settings: reading_config.ExportConfig) -> object:
    from pipelines import export_scores

    return export_scores.run(settings)


def _rollback(settings: config.RollbackConfig) -> object:
    from pipelines import rollback, runs

    manifest = rollback.run(settings)
    return runs.RunFolder(settings.output, settings.date, manifest.run_id).manifest


def _doctor(settings: config.DoctorConfig) -> object:
    from pipelines.doctor import visit

    return visit.run(settings)


def _flink(settings: cluster_config.FlinkConfig) -> list[str]:
    from pathlib import Path

    from pipelines import flink_cluster

    folder = Path(settings.folder).absolute() if settings.folder else flink_cluster.default_folder()
    if settings.action == "down":
        return [f"{part}: stopped" for part in flink_cluster.down(folder)] or ["nothing runs"]
    if settings.action == "up":
        return flink_cluster.up(folder, settings.free_ports).described()
    cluster = flink_cluster.read(folder)
    if settings.action == "status":
        return ["nothing runs"] if cluster is None else cluster.described()
    ours = None if cluster is None else cluster.dashboard
    return _flink_jobs(settings, settings.dashboard or ours)


def _flink_jobs(settings: cluster_config.FlinkConfig, dashboard: str | None) -> list[str]:
    from pathlib import Path

    from pipelines import flink_jobs

    if dashboard is None:
        raise OptionsError("--dashboard: no cluster was started here; name the dashboard of one")
    if settings.action == "jobs":
        found = flink_jobs.jobs(dashboard)
        return [f"{job.id}  {job.state:10}  {job.name}" for job in found] or ["no jobs"]
    if settings.action == "cancel":
        job = flink_jobs.cancel(dashboard, settings.job)
        return [f"{job.name}: {job.state}"]
    state = Path(settings.state).absolute().as_uri()
    job, savepoint = flink_jobs.drain(dashboard, settings.job, state)
    return [f"{job.name}: {job.state}", f"savepoint: {savepoint}"]


def _kafka(settings: cluster_config.KafkaConfig) -> list[str]:
    from pathlib import Path

    from pipelines import kafka_broker

    folder = Path(settings.folder).absolute() if settings.folder else kafka_broker.default_folder()
    if settings.action == "down":
        return ["broker: stopped" if kafka_broker.down(folder) else "nothing runs"]
    if settings.action == "up":
        return kafka_broker.up(folder, settings.free_port).described()
    broker = kafka_broker.read(folder)
    if settings.action == "status":
        return ["nothing runs"] if broker is None else broker.described()
    if broker is None:
        raise OptionsError("triad kafka topic: no broker was started; triad kafka up starts one")
    policy = {"cleanup.policy": "compact"} if settings.compacted else {}
    kafka_broker.create_topic(broker, settings.topic, settings.partitions, policy)
    return [f"kafka://{broker.servers}/{settings.topic}"]


def _stream(settings: stream_config.StreamConfig) -> object:
    from pipelines import first_look, model_folder, model_pointer
    from pipelines.streaming import file_sink, prism

    file_sink.check_outputs(settings)
    runner = stream_runners.name(settings)
    if runner == stream_runners.PRISM:
        prism.check(settings.prism)
    model = model_folder.load(model_pointer.resolved(settings.model), settings.verify_key)
    stream_config.check_places(settings)
    if not settings.media_files:
        first_look.tell_of_folder(_log, settings.source, model.spec)
    if runner != "local":  # a job that lives on keeps the model that it began with
        settings = dataclasses.replace(settings, model=model_pointer.resolved(settings.model))
    environment.load_tensorflow()
    from pipelines import stream

    if runner == "local":
        return stream.run_until_signal(settings)
    if runner == stream_runners.PRISM:
        from pipelines import stream_on_prism

        return stream.run_until_signal(settings, stream_on_prism.run)
    if runner == stream_runners.FLINK:
        from pipelines import stream_on_flink

        stream_on_flink.run(settings)
    else:
        from pipelines import stream_on_dataflow

        stream_on_dataflow.run(settings)
    return None


def _release(settings: stream_config.ReleaseConfig) -> object:
    from pipelines import model_folder

    model_folder.load(settings.model, settings.verify_key)  # a mistake is told at once
    environment.load_tensorflow()
    from pipelines import release

    return release.run(settings)


RUNS: Mapping[type, Run] = {
    config.PreprocessConfig: _with_media(_preprocess),
    config.TrainConfig: _train,
    config.SearchConfig: _search,
    config.ScoreConfig: _with_media(_score),
    config.ParityConfig: _with_media(_parity),
    config.ReportConfig: _with_media(_report),
    config.EncoderConfig: _encoder,
    config.SignConfig: _sign,
    config.VerifyConfig: _verify,
    config.ExplainDigestConfig: _explain_digest,
    config.GcConfig: _gc,
    config.RollbackConfig: _rollback,
    reading_config.RunsConfig: _runs,
    reading_config.CurrentConfig: _current,
    reading_config.ExportConfig: _export,
    config.DoctorConfig: _doctor,
    cluster_config.FlinkConfig: _flink,
    cluster_config.KafkaConfig: _kafka,
    stream_config.StreamConfig: _with_media(_stream),
    stream_config.ReleaseConfig: _with_media(_release),
}
