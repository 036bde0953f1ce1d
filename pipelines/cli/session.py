"""Context of one start of the command line, and commands made of a config and its flags."""

import dataclasses
import inspect
import typing
from collections.abc import Callable, Mapping
from typing import Annotated, Any, ClassVar, ParamSpec, Protocol, TypeVar

import typer
from typer.models import ArgumentInfo, OptionInfo

from triad_ml.pipelines.cli import flags
from triad_ml.pipelines.runtime import environment, logs
from triad_ml.transforms.errors import OptionsError

BEAM = "Arguments after a lone -- go to Beam unchanged."

Flag = OptionInfo | ArgumentInfo
Call = Callable[..., Any]
"""Takes a function and its arguments, and returns the result."""


class _Config(Protocol):
    """A frozen dataclass with the settings of one use case."""

    __dataclass_fields__: ClassVar[dict[str, Any]]


P = ParamSpec("P")
R = TypeVar("R")
C = TypeVar("C", bound=_Config)


def _call(function: Callable[..., Any], *args: Any, **kwargs: Any) -> Any:
    return function(*args, **kwargs)


@dataclasses.dataclass(frozen=True)
class Session:
    """Context that typer carries through to a command.

    Attributes:
        beam_args: Arguments after a lone `--`.
        call: Calls the function of a use case; tests put a recorder in its place.
        verbose: Whether libraries may log too.
    """

    beam_args: tuple[str, ...] = ()
    call: Call = _call
    verbose: bool = False

    def run(self, function: Callable[P, R], *args: P.args, **kwargs: P.kwargs) -> R:
        """Prepares environment and logs, calls the function and returns its result."""
        environment.prepare(self.verbose)
        logs.configure(self.verbose)
        result: R = self.call(function, *args, **kwargs)
        return result

    def refuse_beam_args(self, command: str) -> None:
        """Raises OptionsError where a command without Beam was given options of Beam."""
        if self.beam_args:
            raise OptionsError(f"--: triad {command} uses no Beam; remove what stands after it")


Body = Callable[[Session, C], int | None]
"""Takes the settings of a use case, and returns the exit code if it is not 0."""


def command(
    app: typer.Typer,
    config: type[C],
    own: Mapping[str, Flag],
    *,
    panel: str,
    epilog: str,
    name: str | None = None,
    fixed: Mapping[str, object] | None = None,
    defaults: Mapping[str, object] | None = None,
) -> Callable[[Body[C]], Body[C]]:
    """Makes the command of a use case: a flag for each field, with the field's type and default.

    A field without a flag keeps its default, and `beam_args` gets what stands after a lone `--`.

    Args:
        app: The group of commands that the command joins.
        config: The settings.
        own: Flags of this command by field; the others come from `flags.SHARED`.
        panel: Heading under which `triad --help` lists the command.
        epilog: An example, and what else a user must know.
        name: The command's name, if it is not the function's.
        fixed: Values by field that the command decides and no flag changes.
        defaults: Defaults by field instead of the config's; `...` makes a flag required.
    """
    fixed, defaults = fixed or {}, defaults or {}
    fields = {one.name: one for one in dataclasses.fields(config) if one.name not in fixed}
    known: dict[str, Flag] = {**flags.SHARED, **own}
    named = {field: known[field] for field in fields if field in known}
    types = typing.get_type_hints(config)
    repeated = {field for field in named if typing.get_origin(types[field]) is tuple}

    def parameter(field: str, flag: Flag) -> inspect.Parameter:
        default = defaults.get(field, fields[field].default)
        required = default in (..., dataclasses.MISSING)
        kind = types[field]
        if field in repeated:
            kind, default = list[str] if required else list[str] | None, None
        return inspect.Parameter(
            field,
            inspect.Parameter.KEYWORD_ONLY,
            default=inspect.Parameter.empty if required else default,
            annotation=Annotated[kind, flag],
        )

    def register(body: Body[C]) -> Body[C]:
        title = name or body.__name__

        def start(context: typer.Context, verbose: bool, **given: Any) -> int | None:
            session: Session = dataclasses.replace(context.obj, verbose=verbose)
            values = {f: tuple(v or ()) if f in repeated else v for f, v in given.items()}
            if "beam_args" in fields:
                values["beam_args"] = session.beam_args
            else:
                session.refuse_beam_args(title)
            return body(session, config(**values, **fixed))

        verbose = inspect.signature(start).parameters["verbose"]
        parameters = [
            inspect.signature(start).parameters["context"],
            *(parameter(field, flag) for field, flag in named.items()),
            verbose.replace(
                kind=inspect.Parameter.KEYWORD_ONLY,
                default=False,
                annotation=Annotated[bool, flags.VERBOSE],
            ),
        ]
        start.__signature__ = inspect.Signature(parameters)  # type: ignore[attr-defined]
        start.__annotations__ = {one.name: one.annotation for one in parameters}
        start.__doc__ = body.__doc__
        app.command(title, epilog=epilog, rich_help_panel=panel)(start)
        return body

    return register
