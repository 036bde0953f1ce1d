"""Use case of `triad doctor`: runs the checks and prints their findings."""

import sys
from collections.abc import Iterator
from typing import Any

import rich.console

from triad_ml.model import stages
from triad_ml.pipelines.doctor import findings, folders, runner_checks, versions
from triad_ml.pipelines.doctor.config import DoctorConfig
from triad_ml.pipelines.doctor.findings import Finding, of_error
from triad_ml.pipelines.runners import beam_options, registry
from triad_ml.pipelines.runtime import environment
from triad_ml.pipelines.storage import model_store
from triad_ml.transforms.errors import GateError, OptionsError
from triad_ml.transforms.spec import loading


def run(config: DoctorConfig) -> bool:
    """Runs all checks and prints the findings.

    Returns:
        True if no finding is an error.
    """
    stage = stages.Stage("doctor")
    with stages.showing(stage):
        found: list[Finding] = []
        for finding in visit(config):
            stage.note = f"{finding.check} looked at"
            found.append(finding)
    if config.as_json:
        print(findings.to_json(found))
    else:
        console = rich.console.Console(width=None if sys.stdout.isatty() else 120)
        console.print(findings.table(found))
    return findings.healthy(found)


def visit(config: DoctorConfig) -> Iterator[Finding]:
    """Runs the checks, cheap ones first, and yields their findings."""
    yield from versions.check()
    yield from versions.keras_settings()
    yield from _of_runner(config)
    can_be_read = False
    if config.inputs:
        listed = folders.inputs(config.inputs)
        can_be_read = listed.level == "ok"
        yield listed
    if config.output is not None:
        yield folders.output(config.output)
    yield from _of_functions(config, can_be_read)


def _of_runner(config: DoctorConfig) -> Iterator[Finding]:
    try:
        settings = beam_options.beam_options(config.runner, config.beam_args).get_all_options()
    except OptionsError as error:
        yield of_error("options", error, "a run would be refused at once")
        settings = _without(config)
    named: dict[str, list[str | None]] = {
        "--model": [config.model],
        "--input": [*config.inputs],
        "--output": [config.output],
    }
    for name in registry.RUNNERS[config.runner].doctor_checks:
        yield from runner_checks.CHECKS[name](settings, named)


def _without(config: DoctorConfig) -> dict[str, Any]:
    """Returns Beam's options without those that it refuses."""
    try:
        return dict(beam_options.beam_options(beam_args=config.beam_args).get_all_options())
    except OptionsError:
        return dict(beam_options.beam_options().get_all_options())


def _of_functions(config: DoctorConfig, can_be_read: bool) -> Iterator[Finding]:
    """Checks the model, the spec, a sample of the records, and the functions of the pipelines."""
    model = spec = None
    if config.model is not None and config.model.startswith("gs://"):
        yield Finding(
            "functions",
            "warning",
            f"{config.model}: its pipeline was not looked at",
            "only a model on this machine is read here",
            "copy it to this machine and name the copy with --model",
        )
    elif config.model is not None:
        try:
            model = model_store.load(config.model, None)
        except (OptionsError, GateError) as error:
            yield of_error("model", error, "nothing would be scored with it")
        else:
            yield versions.of_model(model)
    if config.spec is not None:
        try:
            spec = loading.load(config.spec)
        except OptionsError as error:
            yield of_error("spec", error, "nothing would be preprocessed with it")
        else:
            yield Finding("spec", "ok", f"{config.spec}: good")
    sample_spec = spec if spec is not None or model is None else model.spec
    if sample_spec is None:
        return
    environment.load_tensorflow()
    from triad_ml.pipelines.doctor import samples, submissions, worker_functions

    if can_be_read:
        yield from samples.heads(sample_spec, config.inputs, with_labels=spec is not None)
        yield from samples.check(sample_spec, config.inputs, config.media_roots, spec is not None)

    pipelines = submissions.scoring(model) if model is not None else {}
    yield from worker_functions.check(pipelines | (submissions.preprocessing(spec) if spec else {}))
