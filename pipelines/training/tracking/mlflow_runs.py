"""Runs of MLflow: parameters, metrics, model folder and report of one training."""

import csv
import json
import os
import time
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

os.environ.setdefault("MLFLOW_DISABLE_TELEMETRY", "true")  # read when the package is imported

from mlflow import MlflowClient
from mlflow.entities import Metric, Param, Run
from mlflow.exceptions import MlflowException

from triad_ml.model.evaluation import document as evaluation_document
from triad_ml.model.serving import bundle
from triad_ml.model.serving.bundle import Artefact
from triad_ml.pipelines.training.tracking.config import TrackConfig
from triad_ml.transforms.errors import OptionsError, StorageError

MODEL, REPORT = "model", "report"
"""Names of the artifacts: the model folder, and the folder with the report."""

DIGEST = "triad.model"
"""Tag with the digest of the model, by which a second call finds the run."""

_FINISHED = "FINISHED"
_AT_ONCE = 100  # parameters in a request; MLflow's limit


def track(config: TrackConfig) -> str:
    """Registers a model, unless a finished run of the experiment has it; see `run.run`.

    A run that an interrupted call left unfinished is deleted first.
    """
    model = bundle.load(config.model)
    report = None if config.report is None else Path(config.report)
    if report is not None and not report.is_file():
        raise OptionsError(f"--report: {report}: is no file; name one that triad report wrote")
    metrics = list(_metrics(model))
    try:
        client = MlflowClient(tracking_uri=config.mlflow)
        experiment = _experiment(client, config.experiment)
        for earlier in _runs(client, experiment, model):
            if earlier.info.status == _FINISHED:
                return f"{config.experiment}: run {earlier.info.run_id} has this model already"
            client.delete_run(earlier.info.run_id)
        tags = {DIGEST: model.model_digest, "triad.version": str(model.about["triad"])}
        run = client.create_run(experiment, tags=tags).info.run_id
        params = [Param(name, value) for name, value in _params(model).items()]
        for begin in range(0, len(params), _AT_ONCE):
            client.log_batch(run, params=params[begin : begin + _AT_ONCE])
        client.log_batch(run, metrics=metrics)
        client.log_artifacts(run, str(model.folder), MODEL)
        if report is not None:
            client.log_artifact(run, str(report), REPORT)
        client.set_terminated(run)
    except ImportError as error:
        raise OptionsError(
            f"--mlflow {config.place}: a database needs the whole package of MLflow ({error}); "
            "install mlflow, or name a tracking server"
        ) from error
    except MlflowException as error:
        reason = " ".join(str(error).split())
        raise StorageError(
            f"--mlflow {config.place}: {reason[:300]}; the model is unchanged: mend this, and run "
            "the same command again"
        ) from error
    return f"{config.experiment}: run {run} has model {model.model_digest[:12]}"


def _experiment(client: MlflowClient, name: str) -> str:
    found = client.get_experiment_by_name(name)
    return str(client.create_experiment(name) if found is None else found.experiment_id)


def _runs(client: MlflowClient, experiment: str, model: Artefact) -> Iterator[Run]:
    wanted = f"tags.`{DIGEST}` = '{model.model_digest}'"
    yield from client.search_runs([experiment], wanted)


def _params(model: Artefact) -> dict[str, str]:
    """Returns the settings of the spec by path, such as `training.epochs`."""
    return dict(_leaves(model.about["spec"], ""))


def _leaves(value: Any, path: str) -> Iterator[tuple[str, str]]:
    if isinstance(value, Mapping) and value:
        for key, inner in value.items():
            yield from _leaves(inner, f"{path}.{key}" if path else str(key))
    elif value is not None:
        yield path, value if isinstance(value, str) else json.dumps(value)


def _metrics(model: Artefact) -> Iterator[Metric]:
    """Yields each epoch's row of the history, and the main figures of the evaluation."""
    now = int(time.time() * 1000)
    if bundle.HISTORY in model.about["told"]:
        for row in csv.DictReader(model.read(bundle.HISTORY).decode().splitlines()):
            for name, value in row.items():
                if name != "epoch" and value:
                    yield Metric(f"history/{name}", float(value), now, int(float(row["epoch"])))
    evaluated = json.loads(model.read(bundle.EVALUATION))
    for split, measured in evaluated["splits"].items():
        for task, found in measured["tasks"].items():
            parts = {evaluation_document.AS_RECORDED: found[evaluation_document.AS_RECORDED]}
            for part, figures in (parts | found["subsets"]).items():
                for figure in evaluation_document.MAIN_FIGURES:
                    value = figures.get(figure, {}).get("value")
                    if value is not None:
                        name = f"{split}/{task}/{part.replace('+', ' ')}/{figure}"
                        yield Metric(name, float(value), now, 0)
