"""Beam options: runner names, checks of passed options, and defaults."""

from collections.abc import Sequence
from typing import TYPE_CHECKING

from triad_ml.pipelines.runtime.logs import SECRET_NAME
from triad_ml.transforms.errors import OptionsError

if TYPE_CHECKING:
    from apache_beam.options.pipeline_options import PipelineOptions


RUNNERS = {
    "local": "FnApiRunner",
    "directrunner": "FnApiRunner",
    "flink": "PortableRunner",
    "dataflow": "DataflowRunner",
}
"""Runner names in lower case, and Beam's names for them.

Beam's own DirectRunner first tries a runner that it downloads; FnApiRunner runs in this process.
"""


CLUSTERS = ("flink", "dataflow")
"""The runners whose workers are other processes, perhaps on other machines."""


FLINK_DEFAULTS = (
    "--job_endpoint=localhost:8099",
    "--environment_type=EXTERNAL",
    "--environment_config=localhost:50000",
    "--environment_cache_millis=600000",  # else each stage starts Python workers of its own
)
"""Where `triad flink up` has its job server and its pool of workers."""


DOCTORS_RUNNERS = ("local", *CLUSTERS)
"""Runners that `triad doctor` knows what they need."""


_OURS = {
    "--runner": "give it to triad, before the --",
    "--save_main_session": "triad has no main session to save",
}


def check_runner(runner: str) -> None:
    """Refuses a runner that does not exist.

    Raises:
        OptionsError: Naming the flag.
    """
    if runner.lower() not in RUNNERS:
        raise OptionsError(f"--runner: {runner!r} is no runner; use local, flink or dataflow")


def is_cluster(runner: str) -> bool:
    """Whether the pipeline runs in other processes, to which paths and errors must travel."""
    return runner.lower() in CLUSTERS


def check_beam_args(beam_args: Sequence[str]) -> None:
    """Refuses what must not go to Beam, which logs and stores each option with its value.

    Raises:
        OptionsError: Naming the option, and never its value.
    """
    for argument in beam_args:
        name = argument.partition("=")[0]
        if not name.startswith("-"):
            continue
        if SECRET_NAME.search(name):
            raise OptionsError(
                f"{name} looks like a secret, and Beam logs every option; give it by environment"
            )
        if name in _OURS:
            raise OptionsError(f"{name}: not a Beam option here; {_OURS[name]}")


def beam_options(
    runner: str = "local", beam_args: Sequence[str] = (), ours: Sequence[str] = ()
) -> "PipelineOptions":
    """Makes Beam's options, anew for each pipeline: runners change them. Imports Beam.

    Args:
        runner: A key of `RUNNERS`, in any case.
        beam_args: What stood after a lone `--`, such as `("--direct_num_workers=2",)`.
        ours: What we choose; `beam_args` win over it. The runner alone may know these.

    Raises:
        OptionsError: Where the runner or an option is unknown (Beam only logs those), where an
            option's value does not parse, or where an option looks like a secret.
    """
    check_runner(runner)
    check_beam_args(beam_args)
    from apache_beam.options.pipeline_options import PipelineOptions

    flink = runner.lower() == "flink"
    _check_known(beam_args)
    # The last one of a name counts.
    arguments = [*(FLINK_DEFAULTS if flink else ()), *ours, *beam_args]
    return PipelineOptions(arguments, runner=RUNNERS[runner.lower()])


def _check_known(beam_args: Sequence[str]) -> None:
    from apache_beam.options.pipeline_options import PipelineOptions, _BeamArgumentParser

    class Parser(_BeamArgumentParser):
        def error(self, message: str) -> None:
            raise OptionsError(f"after --: {message}; see Beam's documentation of its options")

    parser = Parser(allow_abbrev=False, add_help=False)
    for options in {str(one): one for one in PipelineOptions.__subclasses__()}.values():
        options._add_argparse_args(parser)  # the parser that Beam itself builds, to see the rest
    _, unknown = parser.parse_known_args(list(beam_args))
    if unknown:
        name = unknown[0].partition("=")[0]
        kind = "option" if name.startswith("-") else "argument"
        raise OptionsError(f"after --: Beam knows no {kind} {name!r}; correct or remove it")
