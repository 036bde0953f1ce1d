"""Checks by name, which a runner selects with `Runner.doctor_checks`."""

import os
from collections.abc import Callable, Iterator, Mapping
from typing import Any

from triad_ml.pipelines.doctor import endpoints, folders, machine
from triad_ml.pipelines.doctor.findings import Finding
from triad_ml.pipelines.runners import registry

Named = Mapping[str, list[str | None]]
"""Paths that workers open, by flag."""


def _buckets(settings: Mapping[str, Any], named: Named) -> Iterator[Finding]:
    """Refuses local paths: workers on other machines cannot open them."""
    of_beam = {f"--{name}": [settings[name]] for name in ("temp_location", "staging_location")}
    yield from folders.refuse_local({**named, **of_beam})


def _worker_image(settings: Mapping[str, Any], _: Named) -> Iterator[Finding]:
    from triad_ml.pipelines.doctor import worker_image

    yield from worker_image.check(settings["sdk_container_image"], settings["setup_file"])


def _cluster(settings: Mapping[str, Any], named: Named) -> Iterator[Finding]:
    """Checks Java and memory for a cluster on this machine, shared paths for one elsewhere."""
    server = settings["job_endpoint"]
    if endpoints.is_here(server):
        yield from machine.java()
        yield machine.memory(1)
    yield from folders.artifacts(settings["artifacts_dir"])
    if not endpoints.is_here(server):
        yield from folders.shared(named, server)
    services = ("job_endpoint", "artifact_endpoint", "flink_master")
    yield from endpoints.check({f"--{name}": settings[name] for name in services})


def _processes(settings: Mapping[str, Any], _: Named) -> Iterator[Finding]:
    """Reports the number of processes of the local runner, and checks their memory."""
    mode, workers = settings["direct_running_mode"], settings["direct_num_workers"]
    name = f"local is Beam's {registry.LOCAL.beam_name}"
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


CHECKS: Mapping[str, Callable[[Mapping[str, Any], Named], Iterator[Finding]]] = {
    "buckets": _buckets,
    "worker_image": _worker_image,
    "cluster": _cluster,
    "processes": _processes,
}
