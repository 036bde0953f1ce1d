"""Beam options: runner names, checks of passed options, and defaults."""

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
        runner: A key of `registry.RUNNERS`, in any case.
        beam_args: What stood after a lone `--`, such as `("--direct_num_workers=2",)`.
        ours: What we choose; `beam_args` win over it. The runner alone may know these.

    Raises:
        OptionsError: Where the runner or an option is unknown (Beam only logs those), where an
            option's value does not parse, or where an option looks like a secret.
    """
    chosen = registry.named(runner)
    check_beam_args(beam_args)
    from apache_beam.options.pipeline_options import PipelineOptions

    _check_known(beam_args)
    # The last one of a name counts.
    return PipelineOptions([*chosen.defaults, *ours, *beam_args], runner=chosen.beam_name)


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
