"""One visit of the doctor: looks at all that was named, in the order in which it would fail."""

import os
import sys
from collections.abc import Iterator
from typing import TYPE_CHECKING

import rich.console

from model import artefact
from pipelines import environment, options
from pipelines.config import DoctorConfig
from pipelines.doctor import endpoints, findings, machine, places, versions
from pipelines.doctor.findings import Finding, of_error
from transforms import spec_files
from transforms.errors import GateError, OptionsError

if TYPE_CHECKING:
    from apache_beam.options.pipeline_options import PipelineOptions


def run(config: DoctorConfig) -> bool:
    """Looks, prints what was found, and says whether nothing would fail."""
    found = list(visit(config))
    if config.as_json:
        print(findings.to_json(found))
    else:
        console = rich.console.Console(width=None if sys.stdout.isatty() else 120)
        console.print(findings.table(found))
    return findings.healthy(found)


def visit(config: DoctorConfig) -> Iterator[Finding]:
    """What is cheap to look at first."""
    yield from versions.check()
    yield from versions.keras_settings()
    try:
        parsed = options.beam_options(beam_args=config.beam_args)
    except OptionsError as error:
        yield of_error("options", error, "Beam only logs it, or ends with its own usage text")
        parsed = options.beam_options()
    yield from _of_runner(config, parsed)
    if config.inputs:
        yield places.inputs(config.inputs)
    if config.output is not None:
        yield places.output(config.output)
    yield from _of_functions(config)


def _of_runner(config: DoctorConfig, parsed: "PipelineOptions") -> Iterator[Finding]:
    settings = parsed.get_all_options()
    named: dict[str, list[str | None]] = {
        "--spec": [config.spec],
        "--model": [config.model],
        "--input": [*config.inputs],
        "--output": [config.output],
    }
    try:
        options.check_runner(config.runner)
    except OptionsError as error:
        yield of_error("runner", error, "a run would be refused at once")
    if config.runner == "dataflow":
        from pipelines.doctor import images

        del named["--spec"]  # whoever submits reads it
        named |= {f"--{name}": [settings[name]] for name in ("temp_location", "staging_location")}
        yield from places.refuse_local(named)
        yield from images.check(settings["sdk_container_image"], settings["setup_file"])
    elif config.runner == "flink":
        yield from machine.java()
        yield from places.artifacts(settings["artifacts_dir"])
        yield from places.shared(named, settings["flink_master"])
        services = ("job_endpoint", "artifact_endpoint", "flink_master")
        yield from endpoints.check({f"--{name}": settings[name] for name in services})
        yield machine.memory(1)
    else:
        yield from _of_local(settings["direct_running_mode"], settings["direct_num_workers"])


def _of_local(mode: str, workers: int) -> Iterator[Finding]:
    name = f"local is Beam's {options.RUNNERS['local']}"
    processes = (workers or os.cpu_count() or 1) if mode == "multi_processing" else 1
    if processes > 1:
        yield Finding("runner", "ok", f"{name}, with {processes} processes on this machine")
    else:
        yield Finding("runner", "ok", f"{name}, in one process; nothing is downloaded")
    if workers != 1 and mode == "in_memory":
        yield Finding(
            "runner",
            "warning",
            f"--direct_num_workers={workers} has no effect",
            "the running mode is in_memory: one process with one worker",
            "add --direct_running_mode=multi_processing, or remove it",
        )
    yield machine.memory(processes)


def _of_functions(config: DoctorConfig) -> Iterator[Finding]:
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
            model = artefact.load(config.model)
        except (OptionsError, GateError) as error:
            yield of_error("model", error, "nothing would be scored with it")
        else:
            yield versions.of_model(model)
    if config.spec is not None:
        try:
            spec = spec_files.load(config.spec)
        except OptionsError as error:
            yield of_error("spec", error, "nothing would be preprocessed with it")
        else:
            yield Finding("spec", "ok", f"{config.spec}: good")
    if model is None and spec is None:
        return
    environment.load_tensorflow()
    from pipelines.doctor import defined, functions

    pipelines = defined.scoring(model) if model is not None else {}
    yield from functions.check(pipelines | (defined.preprocessing(spec) if spec else {}))
