"""Local runner: Beam's FnApiRunner, whose steps run in this process."""

from triad_ml.pipelines.runners.base import Runner


class LocalRunner(Runner):
    """The runner of this process.

    Beam's own DirectRunner first tries a runner that it downloads; FnApiRunner does not.
    """

    name = "local"
    beam_name = "FnApiRunner"
    doctor_checks = ("processes",)
