"""Beam's pipeline options: checks of the user's options, and defaults of each runner."""

from collections.abc import Sequence
from typing import TYPE_CHECKING

from triad_ml.pipelines.runners import registry
from triad_ml.pipelines.runtime.logs import SECRET_NAME
from triad_ml.transforms.errors import OptionsError

if TYPE_CHECKING:
    from apache_beam.options.pipeline_options import PipelineOptions


_OURS = {
    "--runner": "give it to triad, before the --",
    "--save_main_session": "triad has no main session to save",
}


def check_beam_args(beam_args: Sequence[str]) -> None:
    """Refuses options that must not be passed to Beam, which logs and stores each with its value.

    Raises:
        OptionsError: If there are any; the message names the option, and never its value.
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
    """Builds Beam's options for one pipeline; imports Beam.

    Each pipeline needs new options, since runners modify them.

    Args:
        runner: Key of `registry.RUNNERS`, in any case.
        beam_args: Arguments after a lone `--`, such as `("--direct_num_workers=2",)`.
        ours: Options that Triad sets; `beam_args` override them. They are not checked against
            Beam's known options, since some are known to the runner alone.

    Raises:
        OptionsError: If the runner or an option is unknown (Beam only logs those), if an option's
            value does not parse, or if an option looks like a secret.
    """
    chosen = registry.named(runner)
    check_beam_args(beam_args)
    from triad_ml.pipelines.runners.option_views import Options

    _check_known(beam_args)
    # If a name is repeated, its last value counts.
    return Options([*chosen.defaults, *ours, *beam_args], runner=chosen.beam_name)


def _check_known(beam_args: Sequence[str]) -> None:
    from apache_beam.options.pipeline_options import PipelineOptions, _BeamArgumentParser

    class Parser(_BeamArgumentParser):
        def error(self, message: str) -> None:
            raise OptionsError(f"after --: {message}; see Beam's documentation of its options")

    parser = Parser(allow_abbrev=False, add_help=False)
    for options in {str(kind): kind for kind in PipelineOptions.__subclasses__()}.values():
        options._add_argparse_args(parser)  # as Beam builds its own parser
    _, unknown = parser.parse_known_args(list(beam_args))
    if unknown:
        name = unknown[0].partition("=")[0]
        kind = "option" if name.startswith("-") else "argument"
        raise OptionsError(f"after --: Beam knows no {kind} {name!r}; correct or remove it")
