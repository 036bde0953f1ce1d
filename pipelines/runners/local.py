"""Local runner: Beam's FnApiRunner, whose steps run in this process."""

from triad_ml.pipelines.runners.base import Runner


class LocalRunner(Runner):
    """Runner in this process.

    It uses FnApiRunner because Beam's DirectRunner first tries a runner that it downloads.
    """

    name = "local"
    beam_name = "FnApiRunner"
    doctor_checks = ("processes",)
