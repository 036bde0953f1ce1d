"""Interface of runners: everything that Triad needs of one Beam runner."""

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, ClassVar

if TYPE_CHECKING:
    import apache_beam as beam
    from apache_beam.runners.runner import PipelineResult


class Runner:
    """Runner whose steps run in this process; subclasses override the points in which they differ.

    Attributes:
        name: Value of `--runner`, in lower case.
        beam_name: Beam's name for the runner.
        runs_batches: True if `triad preprocess` and `triad score` can use it.
        is_remote: True if its workers are other processes, so that paths must be absolute and
            errors arrive as text.
        detaches: True if a job continues without this process, and can publish by itself.
        defaults: Beam options that apply unless the user overrides them.
        doctor_checks: Keys of the checks that `triad doctor` makes for it.
    """

    name: ClassVar[str]
    beam_name: ClassVar[str]
    runs_batches: ClassVar[bool] = True
    is_remote: ClassVar[bool] = False
    detaches: ClassVar[bool] = False
    defaults: ClassVar[tuple[str, ...]] = ()
    doctor_checks: ClassVar[tuple[str, ...]] = ()

    def check(self, paths: Mapping[str, Sequence[str]], beam_args: Sequence[str]) -> None:
        """Refuses paths and options that cannot work on this runner.

        Args:
            paths: Paths that workers open, by flag.
            beam_args: Arguments that are passed to Beam.

        Raises:
            OptionsError: If one cannot work; the message names the flag.
        """

    def makes_template(self, beam_args: Sequence[str]) -> bool:
        """Returns True if the job is written into a template file, which another process starts."""
        return False

    def job_arguments(
        self, name: str, labels: Mapping[str, str], beam_args: Sequence[str]
    ) -> tuple[str, ...]:
        """Returns Beam's options for a job: the user's, and those that the runner needs.

        Args:
            name: Name of the job; two jobs of one name cannot run at once.
            labels: Labels of the job, by key.
            beam_args: Options of the user.
        """
        return tuple(beam_args)

    def submit(
        self, root: "beam.Pipeline", wait: bool = True, taken: str | None = None
    ) -> "PipelineResult | None":
        """Submits a pipeline and, if `wait` is set, waits for its end.

        Args:
            root: Pipeline to submit.
            wait: True to wait for the end of the job.
            taken: Message of the LostRaceError if a job of this name is running already. None:
                without `wait`, the running job is accepted in place of a new one; with `wait`, the
                error has a default message.

        Returns:
            Result of the pipeline, with its counters; None if the runner keeps them elsewhere.

        Raises:
            LostRaceError: If a job of this name is running already.
            OptionsError: If the runner does not accept an option.
            StorageError: If the runner refuses the job, or the job fails.
        """
        result = root.run()
        if wait:
            result.wait_until_finish()
        return result

    def translate(self, error: Exception) -> Exception | None:
        """Returns the error that the local runner would raise for this one; None for a bug."""
        return None


class RemoteRunner(Runner):
    """Runner whose workers are other processes: their errors arrive as text."""

    is_remote = True

    def translate(self, error: Exception) -> Exception | None:
        from triad_ml.pipelines.runners import results

        return results.translated(error)
