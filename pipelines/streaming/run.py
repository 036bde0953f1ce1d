"""Which pipeline a config is handed to; each is imported when it is needed."""

import dataclasses
import importlib.util
import logging
from collections.abc import Callable, Mapping
from typing import Any

from triad_ml.pipelines import cluster_config
from triad_ml.pipelines.doctor import config as doctor_config
from triad_ml.pipelines.preprocessing import config as preprocessing_config
from triad_ml.pipelines.publishing import config as publishing_config
from triad_ml.pipelines.report import config as report_config
from triad_ml.pipelines.runtime import environment
from triad_ml.pipelines.scoring import config as scoring_config
from triad_ml.pipelines.streaming import config as streaming_config
from triad_ml.pipelines.training import config as training_config
from triad_ml.pipelines.verification import config as verification_config
from triad_ml.transforms.errors import OptionsError

_log = logging.getLogger(__name__)

Run = Callable[[Any], Any]
"""Does the work of a command, given its config."""


def _with_media(run: Run) -> Run:
    """The run, refused at its start where the folders of media are in a bucket out of reach."""

    def checked(settings: Any) -> Any:
        from triad_ml.pipelines.storage import cloud

        cloud.check_places(settings.media_roots)
        return run(settings)

    return checked


def _preprocess(settings: preprocessing_config.PreprocessConfig) -> object:
    from triad_ml.pipelines.sources import first_look
    from triad_ml.transforms.spec import loading

    what = loading.load(settings.spec)  # a mistake is told before Beam is imported
    first_look.tell(_log, settings.inputs, what)
    from triad_ml.pipelines.preprocessing import plan as preprocessing_plan
    from triad_ml.pipelines.runners import workers

    settings = workers.with_full_paths(settings)
    plan = preprocessing_plan.plan(settings)  # and that all is done, before TensorFlow is
    if plan.done:
        return plan.manifest
    environment.load_tensorflow()
    from triad_ml.pipelines.preprocessing import pipeline as pipeline

    return pipeline.run(settings)


def _train(settings: training_config.TrainConfig) -> object:
    from triad_ml.pipelines.training import plan as training_plan

    plan = training_plan.plan(settings)
    if plan.done:
        return plan.about
    environment.load_tensorflow()
    from triad_ml.pipelines.training import train as training

    return training.run(settings)


def _search(settings: training_config.SearchConfig) -> object:
    from triad_ml.pipelines.training.search import plan as search_plan

    plan = search_plan.plan(settings)
    if importlib.util.find_spec("optuna") is None:
        raise OptionsError("search: Optuna is not installed; pip install 'triad[search]'")
    environment.load_tensorflow()
    from triad_ml.pipelines.training.search import study

    return study.run(settings, plan)


def _score(settings: scoring_config.ScoreConfig) -> object:
    from triad_ml.model.serving import bundle
    from triad_ml.pipelines.runners import registry
    from triad_ml.pipelines.sources import first_look
    from triad_ml.pipelines.storage import model_store

    model = model_store.resolved(settings.model)  # once: the pointer may flip meanwhile
    settings = dataclasses.replace(settings, model=model)
    if settings.verify_key is None:
        what = bundle.described(model_store.local(settings.model))
    else:  # nothing of a model is read before it is verified
        what = model_store.load(settings.model, settings.verify_key).spec
    first_look.tell(_log, settings.inputs, what, with_labels=False)
    from triad_ml.pipelines.runners import workers
    from triad_ml.pipelines.scoring import plan as scoring_plan

    settings = workers.with_full_paths(settings)
    plan = scoring_plan.plan(settings)
    template = registry.named(settings.runner).makes_template(
        settings.beam_args
    )  # must be written in any case
    # Told at once: a night's second start costs no import of TensorFlow.
    if plan.published and not template:
        return plan.told_published()
    environment.load_tensorflow()
    from triad_ml.pipelines.scoring import pipeline as pipeline_

    return pipeline_.run(settings)


def _parity(settings: verification_config.ParityConfig) -> object:
    from triad_ml.pipelines.sources import first_look
    from triad_ml.pipelines.storage import model_store

    what = model_store.load(settings.model, settings.verify_key).spec
    first_look.tell(_log, settings.inputs, what, with_labels=False)
    environment.load_tensorflow()
    from triad_ml.pipelines.verification import parity as gate

    return gate.run(settings)


def _report(settings: report_config.ReportConfig) -> object:
    from triad_ml.pipelines.report import page as page

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


def _encoder(settings: training_config.EncoderConfig) -> object:
    from triad_ml.pipelines.storage import outputs

    outputs.check_file(settings.output, b"\x89HDF\r\n", "file of weights")
    environment.load_tensorflow()
    from triad_ml.pipelines.training import encoder_import

    return encoder_import.run(settings)


def _sign(settings: verification_config.SignConfig) -> object:
    from triad_ml.model.serving import signing

    return signing.sign(settings.model, settings.key)


def _verify(settings: verification_config.VerifyConfig) -> None:
    from triad_ml.model.serving import signing

    signing.verify(settings.model, settings.key)


def _explain_digest(settings: verification_config.ExplainDigestConfig) -> object:
    from triad_ml.pipelines.verification import digest_diff

    return digest_diff.explain(settings.left, settings.right)


def _gc(settings: publishing_config.GcConfig) -> object:
    from triad_ml.pipelines.publishing import gc

    return gc.run(settings)


def _runs(settings: publishing_config.RunsConfig) -> object:
    from triad_ml.pipelines.publishing import run_list

    return run_list.run(settings)


def _current(settings: publishing_config.CurrentConfig) -> tuple[str, ...]:
    from triad_ml.pipelines.publishing import parts, publish

    run, manifest = publish.counting(settings.output, settings.date)
    parts.refuse_broken(run, manifest)
    return publish.open_current(settings.output, manifest.date)


def _export(settings: publishing_config.ExportConfig) -> object:
    from triad_ml.pipelines.publishing import export

    return export.run(settings)


def _rollback(settings: publishing_config.RollbackConfig) -> object:
    from triad_ml.pipelines.publishing import rollback, run_folder

    manifest = rollback.run(settings)
    return run_folder.RunFolder(settings.output, settings.date, manifest.run_id).manifest


def _doctor(settings: doctor_config.DoctorConfig) -> object:
    from triad_ml.pipelines.doctor import run as doctor_run

    return doctor_run.run(settings)


def _flink(settings: cluster_config.FlinkConfig) -> list[str]:
    from pathlib import Path

    from triad_ml.pipelines.runners.flink import cluster as flink_cluster

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

    from triad_ml.pipelines.runners.flink import rest

    if dashboard is None:
        raise OptionsError("--dashboard: no cluster was started here; name the dashboard of one")
    if settings.action == "jobs":
        found = rest.jobs(dashboard)
        return [f"{job.id}  {job.state:10}  {job.name}" for job in found] or ["no jobs"]
    if settings.action == "cancel":
        job = rest.cancel(dashboard, settings.job)
        return [f"{job.name}: {job.state}"]
    state = Path(settings.state).absolute().as_uri()
    job, savepoint = rest.drain(dashboard, settings.job, state)
    return [f"{job.name}: {job.state}", f"savepoint: {savepoint}"]


def _kafka(settings: cluster_config.KafkaConfig) -> list[str]:
    from pathlib import Path

    from triad_ml.pipelines.streaming.kafka import dev_broker

    folder = Path(settings.folder).absolute() if settings.folder else dev_broker.default_folder()
    if settings.action == "down":
        return ["broker: stopped" if dev_broker.down(folder) else "nothing runs"]
    if settings.action == "up":
        return dev_broker.up(folder, settings.free_port).described()
    broker = dev_broker.read(folder)
    if settings.action == "status":
        return ["nothing runs"] if broker is None else broker.described()
    if broker is None:
        raise OptionsError("triad kafka topic: no broker was started; triad kafka up starts one")
    policy = {"cleanup.policy": "compact"} if settings.compacted else {}
    dev_broker.create_topic(broker, settings.topic, settings.partitions, policy)
    return [f"kafka://{broker.servers}/{settings.topic}"]


def _stream(settings: streaming_config.StreamConfig) -> object:
    from triad_ml.pipelines.sources import first_look
    from triad_ml.pipelines.storage import model_store
    from triad_ml.pipelines.streaming import places, rules
    from triad_ml.pipelines.streaming.jobs import registry

    places.check_outputs(settings)
    chosen = rules.of(settings)
    chosen.check_machine(settings)
    model = model_store.load(model_store.resolved(settings.model), settings.verify_key)
    places.check_inputs(settings)
    if not settings.media_files:
        first_look.tell_of_folder(_log, settings.source, model.spec)
    if not chosen.follows_model:  # a job that lives on keeps the model that it began with
        settings = dataclasses.replace(settings, model=model_store.resolved(settings.model))
    environment.load_tensorflow()
    return registry.JOBS[chosen.runner.name](settings)


def _release(settings: verification_config.ReleaseConfig) -> object:
    from triad_ml.pipelines.storage import model_store

    model_store.load(settings.model, settings.verify_key)  # a mistake is told at once
    environment.load_tensorflow()
    from triad_ml.pipelines.verification import release

    return release.run(settings)


RUNS: Mapping[type, Run] = {
    preprocessing_config.PreprocessConfig: _with_media(_preprocess),
    training_config.TrainConfig: _train,
    training_config.SearchConfig: _search,
    scoring_config.ScoreConfig: _with_media(_score),
    verification_config.ParityConfig: _with_media(_parity),
    report_config.ReportConfig: _with_media(_report),
    training_config.EncoderConfig: _encoder,
    verification_config.SignConfig: _sign,
    verification_config.VerifyConfig: _verify,
    verification_config.ExplainDigestConfig: _explain_digest,
    publishing_config.GcConfig: _gc,
    publishing_config.RollbackConfig: _rollback,
    publishing_config.RunsConfig: _runs,
    publishing_config.CurrentConfig: _current,
    publishing_config.ExportConfig: _export,
    doctor_config.DoctorConfig: _doctor,
    cluster_config.FlinkConfig: _flink,
    cluster_config.KafkaConfig: _kafka,
    streaming_config.StreamConfig: _with_media(_stream),
    verification_config.ReleaseConfig: _with_media(_release),
}
