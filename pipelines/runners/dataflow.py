"""Dataflow runner: paths that must be in a bucket, options of a job, and errors."""

import contextlib
import logging
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from triad_ml.pipelines.runners.base import RemoteRunner
from triad_ml.transforms.errors import LostRaceError, OptionsError, StorageError

IN_CLOUD = ("--model", "--input", "--output", "--media-root")
"""Flags whose paths workers open, so that they must be in a bucket."""

_NEEDED = {
    "--project": "the project that pays",
    "--region": "the region of the workers",
    "--temp_location": "a gs:// folder for the job's files",
}
_IMAGE = "--sdk_container_image"
_SETUP = "--setup_file"
_TEMPLATE = "--template_location"
_SAME_RUN = (
    "a job for this very run is running already; wait for its end, then run the same command again"
)
_log = logging.getLogger(__name__)


class DataflowRunner(RemoteRunner):
    """Google Cloud Dataflow: a service whose workers can open only paths in buckets."""

    name = "dataflow"
    beam_name = "DataflowRunner"
    detaches = True
    doctor_checks = ("buckets", "worker_image")

    def check(self, paths: Mapping[str, Sequence[str]], beam_args: Sequence[str]) -> None:
        for flag, of_flag in paths.items():
            for path in of_flag:
                if not path.startswith("gs://"):
                    raise OptionsError(
                        f"{flag}: {path}: workers of Dataflow cannot open it; copy it to a bucket "
                        "and give its gs:// path"
                    )
        given = _names(beam_args)
        for name, what in _NEEDED.items():
            if name not in given:
                raise OptionsError(f"{name}: is missing: {what}; add -- {name}=VALUE")
        if not given & {_IMAGE, _SETUP}:
            raise OptionsError(
                f"{_IMAGE}: is missing, so workers would not have triad; add -- {_IMAGE}=IMAGE "
                f"(deploy/Dockerfile, target worker), or -- {_SETUP}=./setup.py"
            )

    def makes_template(self, beam_args: Sequence[str]) -> bool:
        """Returns True in a Flex Template's launcher, which starts the job itself from a file."""
        return _TEMPLATE in _names(beam_args)

    def job_arguments(
        self, name: str, labels: Mapping[str, str], beam_args: Sequence[str]
    ) -> tuple[str, ...]:
        ours = [f"--labels={key}={value}" for key, value in labels.items()]
        ours.append("--no_save_main_session")
        names = _names(beam_args)
        if "--job_name" not in names:
            ours.append(f"--job_name={name}")
        if _IMAGE in names and "--sdk_location" not in names:
            ours.append("--sdk_location=container")  # uses the image's Beam, installs nothing
        return (*beam_args, *ours)

    def submit(self, root: Any, wait: bool = True, taken: str | None = None) -> None:
        """Submits a pipeline; see `Runner.submit`. The service keeps the counters.

        Raises:
            DataflowRuntimeException: If the job failed; its text has the reason.
        """
        from apache_beam.runners.dataflow.internal.apiclient import DataflowJobAlreadyExistsError

        try:
            with _explained():
                result = root.run()
        except DataflowJobAlreadyExistsError as error:
            if wait or taken is not None:
                raise LostRaceError(taken or _SAME_RUN) from error
            _log.info("a job for this very run is running already: nothing to do")
            return
        if not result.has_job:
            _log.info("the template is written; whoever asked for it starts the job")
            return
        _log.info("Dataflow job %s", result.job_id())
        if wait:
            from triad_ml.model import stages  # late, so that parsing a command line stays light

            with stages.showing(stages.Stage(f"Dataflow job {result.job_id()}")), _explained():
                result.wait_until_finish()


@contextlib.contextmanager
def _explained() -> Iterator[None]:
    from google.api_core.exceptions import BadRequest, GoogleAPICallError, NotFound

    try:
        yield
    except (BadRequest, NotFound) as error:
        raise OptionsError(f"Dataflow: {_line(error)}; correct the options after --") from error
    except GoogleAPICallError as error:
        raise StorageError(
            f"Dataflow: {_line(error)}; see to the cause, then run the same command again"
        ) from error


def _line(error: Any) -> str:
    return " ".join(str(error.message).split())


def _names(arguments: Sequence[str]) -> set[str]:
    return {argument.partition("=")[0] for argument in arguments if argument.startswith("--")}
