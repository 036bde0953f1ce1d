"""Flink runner: Beam's PortableRunner with the job server and workers that `triad flink` starts."""

from triad_ml.pipelines.runners.base import RemoteRunner


class FlinkRunner(RemoteRunner):
    """A Flink cluster behind Beam's job server.

    Its defaults name the addresses at which `triad flink up` has the job server and the workers.
    """

    name = "flink"
    beam_name = "PortableRunner"
    defaults = (
        "--job_endpoint=localhost:8099",
        "--environment_type=EXTERNAL",
        "--environment_config=localhost:50000",
        "--environment_cache_millis=600000",  # else each stage starts Python workers of its own
    )
    doctor_checks = ("cluster",)
