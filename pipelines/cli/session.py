"""Context of one command-line call, and typer commands generated from a config class."""

import dataclasses
import inspect
import typing
from collections.abc import Callable, Mapping
from typing import Annotated, Any, ClassVar, ParamSpec, Protocol, TypeVar

import typer
from typer.models import ArgumentInfo, OptionInfo

from triad_ml.pipelines.cli import flags
from triad_ml.pipelines.runtime import environment, logs
from triad_ml.pipelines.storage import outputs
from triad_ml.pipelines.storage.outcome import MARK, Outcome, write_metrics
from triad_ml.transforms.errors import OptionsError

BEAM = "Arguments after a lone -- go to Beam unchanged."

Flag = OptionInfo | ArgumentInfo
Call = Callable[..., Any]
"""Callable that takes a function and its arguments, and returns the function's result."""


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
    """Context that typer passes to each command.

    Attributes:
        beam_args: Arguments after a lone `--`, meant for Beam.
        call: Function that calls the use case; tests pass a recorder.
        verbose: True if debug entries, and those of libraries, are logged too.
        quiet: True if only warnings and errors are logged, and no progress is shown.
        as_json: True if the outcome is printed as one line of JSON.
        metrics: File for the outcome's numbers; None for none.
    """

    beam_args: tuple[str, ...] = ()
    call: Call = _call
    verbose: bool = False
    quiet: bool = False
    as_json: bool = False
    metrics: str | None = None

    def run(self, function: Callable[P, R], *args: P.args, **kwargs: P.kwargs) -> R:
        """Prepares environment and logging, calls the function and returns its result."""
        environment.prepare(self.verbose)
        logs.configure(self.verbose, self.quiet)
        result: R = self.call(function, *args, **kwargs)
        return result

    def check(self) -> None:
        """Refuses flags that contradict each other, and a file of metrics that cannot be written.

        Raises:
            OptionsError: See above.
            StorageError: If the file cannot be read.
        """
        if self.verbose and self.quiet:
            raise OptionsError("--quiet: is the opposite of --verbose; give one of them")
        if self.metrics is not None:
            outputs.check_local(self.metrics, "--metrics")
            outputs.check_file(self.metrics, MARK, "file of metrics", "--metrics")

    def end(self, read: Callable[[], Outcome], plain: str | None = None) -> None:
        """Prints the outcome and writes the metrics, if the flags ask for them.

        Args:
            read: Function that reads the outcome.
            plain: Last line without `--json`; None prints none.
        """
        outcome = read() if self.as_json or self.metrics is not None else None
        line = outcome.line() if outcome is not None and self.as_json else plain
        if line is not None:
            print(line)
        if outcome is not None and self.metrics is not None:
            write_metrics(self.metrics, outcome)

    def refuse_beam_args(self, command: str) -> None:
        """Raises OptionsError if Beam arguments were passed to a command that runs no pipeline."""
        if self.beam_args:
            raise OptionsError(f"--: triad {command} uses no Beam; remove what stands after it")


_EVERYWHERE: Mapping[str, tuple[object, Any]] = {
    "verbose": (False, Annotated[bool, flags.VERBOSE]),
    "quiet": (False, Annotated[bool, flags.QUIET]),
}
_AT_THE_END: Mapping[str, tuple[object, Any]] = {
    "as_json": (False, Annotated[bool, flags.LAST_LINE]),
    "metrics": (None, Annotated[str | None, flags.METRICS]),
}
"""Attributes of the session with their defaults and flags."""

Body = Callable[[Session, C], int | None]
"""Function that runs a use case with its settings, and returns the exit code or None for 0."""


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
    ends: bool = False,
) -> Callable[[Body[C]], Body[C]]:
    """Returns a decorator that registers a function as the command of a use case.

    The command gets a flag for each field of the config, with the field's type and default. A field
    without a flag keeps its default. The field `beam_args` holds the arguments after a lone `--`.

    Args:
        app: Group of commands to which the command is added.
        config: Class of the use case's settings.
        own: Flags of this command by field; the others are taken from `flags.SHARED`.
        panel: Heading under which `triad --help` lists the command.
        epilog: Text below the help: an example, exit codes, the last line of output.
        name: Name of the command, if it is not the function's.
        fixed: Values by field that the command sets and no flag changes.
        defaults: Defaults by field that replace the config's; `...` makes a flag required.
        ends: True if the body calls `Session.end`, whose flags the command then has.
    """
    fixed, defaults = fixed or {}, defaults or {}
    fields = {field.name: field for field in dataclasses.fields(config) if field.name not in fixed}
    known: dict[str, Flag] = {**flags.SHARED, **own}
    named = {field: known[field] for field in fields if field in known}
    types = typing.get_type_hints(config)
    shared = {**_EVERYWHERE, **(_AT_THE_END if ends else {})}
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

        def start(context: typer.Context, **parsed: Any) -> int | None:
            own = {name: parsed.pop(name) for name in shared}
            session: Session = dataclasses.replace(context.obj, **own)
            session.check()
            values = {f: tuple(v or ()) if f in repeated else v for f, v in parsed.items()}
            if "beam_args" in fields:
                values["beam_args"] = session.beam_args
            else:
                session.refuse_beam_args(title)
            return body(session, config(**values, **fixed))

        parameters = [
            inspect.signature(start).parameters["context"],
            *(parameter(field, flag) for field, flag in named.items()),
            *(
                inspect.Parameter(
                    name, inspect.Parameter.KEYWORD_ONLY, default=default, annotation=annotation
                )
                for name, (default, annotation) in shared.items()
            ),
        ]
        start.__signature__ = inspect.Signature(parameters)  # type: ignore[attr-defined]
        start.__annotations__ = {each.name: each.annotation for each in parameters}
        start.__doc__ = body.__doc__
        app.command(title, epilog=epilog, rich_help_panel=panel)(start)
        return body

    return register
