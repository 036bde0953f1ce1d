"""Runner interface: everything that Triad asks of one Beam runner."""

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, ClassVar

if TYPE_CHECKING:
    import apache_beam as beam
    from apache_beam.runners.runner import PipelineResult


class Runner:
    """A runner whose steps run in this process; subclasses say in which points they differ.

    Attributes:
        name: Value of `--runner`, in lower case.
        beam_name: Beam's name for the runner.
        runs_batches: Whether `triad preprocess` and `triad score` can use it.
        is_remote: Whether workers are other processes, to which paths and errors must travel.
        detaches: Whether a job goes on without this process, and can publish by itself.
        defaults: Beam options that hold unless others are given.
        doctor_checks: Keys of the checks that `triad doctor` makes for it; empty where it makes
            none.
    """

    name: ClassVar[str]
    beam_name: ClassVar[str]
    runs_batches: ClassVar[bool] = True
    is_remote: ClassVar[bool] = False
    detaches: ClassVar[bool] = False
    defaults: ClassVar[tuple[str, ...]] = ()
    doctor_checks: ClassVar[tuple[str, ...]] = ()

    def check(self, paths: Mapping[str, Sequence[str]], beam_args: Sequence[str]) -> None:
        """Refuses what cannot work on this runner.

        Args:
            paths: The paths that workers open, by flag.
            beam_args: What goes to Beam.

        Raises:
            OptionsError: Naming the flag.
        """

    def makes_template(self, beam_args: Sequence[str]) -> bool:
        """Whether a job is to be written into a file for somebody else to start."""
        return False

    def job_arguments(
        self, name: str, labels: Mapping[str, str], beam_args: Sequence[str]
    ) -> tuple[str, ...]:
        """Beam's options for a job: those that were given, and what the runner needs besides.

        Args:
            name: Name of the job; two jobs of one name cannot run at once.
            labels: What the job is marked with.
            beam_args: What was given.
        """
        return tuple(beam_args)

    def submit(
        self, root: "beam.Pipeline", wait: bool = True, taken: str | None = None
    ) -> "PipelineResult | None":
        """Submits a pipeline, and waits for its end where that is wanted.

        Args:
            root: The pipeline.
            wait: Whether to wait.
            taken: What to raise where a job of this name is active; None where an active one is as
                good as a new one unless it is waited for.

        Returns:
            The result, with its counters; None where the runner keeps them elsewhere.

        Raises:
            LostRaceError: A job of this name is running already.
            OptionsError: The runner does not accept an option.
            StorageError: The runner does not take the job, or the job does not end well.
        """
        result = root.run()
        if wait:
            result.wait_until_finish()
        return result

    def translate(self, error: Exception) -> Exception | None:
        """The error that the local runner would raise for this one; None where it is a bug's."""
        return None


class RemoteRunner(Runner):
    """A runner whose workers are other processes: their errors arrive as text."""

    is_remote = True

    def translate(self, error: Exception) -> Exception | None:
        from triad_ml.pipelines.runners import results

        return results.translated(error)
