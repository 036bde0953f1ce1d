"""Flink runner: Beam's PortableRunner with the job server and workers that `triad flink` starts."""

from triad_ml.pipelines.runners.base import RemoteRunner


class FlinkRunner(RemoteRunner):
    """Flink cluster behind Beam's job server.

    Its default options have the addresses at which `triad flink up` starts the job server and the
    workers.
    """

    name = "flink"
    beam_name = "PortableRunner"
    defaults = (
        "--job_endpoint=localhost:8099",
        "--environment_type=EXTERNAL",
        "--environment_config=localhost:50000",
        "--environment_cache_millis=600000",  # else each stage starts separate Python workers
    )
    doctor_checks = ("cluster",)
