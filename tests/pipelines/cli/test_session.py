"""Commands generated from a config: type and default from the field, name and help from a flag."""

import ast
import dataclasses
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any, NamedTuple

import pytest
import typer

from triad_ml.pipelines.cli import flags, main, session
from triad_ml.pipelines.doctor.config import DoctorConfig
from triad_ml.pipelines.monitoring import config as monitoring_config
from triad_ml.pipelines.preprocessing.config import PreprocessConfig
from triad_ml.pipelines.publishing import config as publishing_config
from triad_ml.pipelines.report.config import ReportConfig
from triad_ml.pipelines.scoring.config import ScoreConfig
from triad_ml.pipelines.streaming.config import StreamConfig
from triad_ml.pipelines.training import config as training_config
from triad_ml.pipelines.training.tracking.config import TrackConfig
from triad_ml.pipelines.verification import config as verification_config
from triad_ml.transforms.errors import OptionsError

ROOT = Path(__file__).resolve().parents[3]
CLI = ROOT / "pipelines" / "cli"
CONFIG_MODULES = (monitoring_config, publishing_config, training_config, verification_config)
CONFIGS = {
    one.__name__: one
    for one in (
        *(DoctorConfig, PreprocessConfig, ReportConfig, ScoreConfig, StreamConfig, TrackConfig),
        *(
            one
            for module in CONFIG_MODULES
            for one in vars(module).values()
            if getattr(one, "__name__", "").endswith("Config") and dataclasses.is_dataclass(one)
        ),
    )
}
ENDING = ("preprocess", "train", "score")
"""Commands with the session's flags `--json` and `--metrics`."""

OWN_DEFAULTS = {("replay", "group"), ("replay", "replay_from"), ("replay", "until_empty")}


class Written(NamedTuple):
    """A command as its file says it."""

    name: str
    config: str
    fields: tuple[str, ...]
    calls: tuple[ast.Call, ...]


def fields_of(node: ast.expr, tree: ast.Module) -> Iterator[str]:
    """The keys of a dict, with those of the dicts of the same file that it takes in."""
    assert isinstance(node, ast.Dict)
    for key, value in zip(node.keys, node.values, strict=True):
        if key is None:
            assert isinstance(value, ast.Name)
            (taken,) = [
                one.value
                for one in tree.body
                if isinstance(one, ast.AnnAssign) and ast.unparse(one.target) == value.id
            ]
            assert taken is not None
            yield from fields_of(taken, tree)
        else:
            assert isinstance(key, ast.Constant)
            yield key.value


def written() -> Iterator[Written]:
    for path in sorted(CLI.glob("*.py")):
        tree = ast.parse(path.read_text(encoding="utf-8"))
        for function in tree.body:
            if not isinstance(function, ast.FunctionDef):
                continue
            for made in function.decorator_list:
                if isinstance(made, ast.Call) and ast.unparse(made.func) == "command":
                    _, config, own = made.args
                    calls = [one for one in ast.walk(own) if isinstance(one, ast.Call)]
                    fields = tuple(fields_of(own, tree))
                    yield Written(function.name, ast.unparse(config), fields, tuple(calls))


COMMANDS = {one.name: one for one in written()}


def params_of(name: str) -> Mapping[str, Any]:
    group = typer.main.get_command(main.app)
    command = group.commands[name.replace("_", "-")]  # type: ignore[attr-defined]
    own = {"verbose", "quiet", "help", *(("as_json", "metrics") if name in ENDING else ())}
    return {one.name: one for one in command.params if one.name not in own}


def test_each_config_has_a_command() -> None:
    assert {one.config for one in COMMANDS.values()} == set(CONFIGS)


@pytest.mark.parametrize("name", COMMANDS)
def test_a_field_is_written_once_as_a_flag(name: str) -> None:
    command = COMMANDS[name]
    assert len(set(command.fields)) == len(command.fields)
    known = {one.name for one in dataclasses.fields(CONFIGS[command.config])}
    assert set(command.fields) <= known
    assert set(params_of(name)) == {*command.fields, *(known & set(flags.SHARED))}


@pytest.mark.parametrize("config", CONFIGS)
def test_each_field_is_a_flag_of_a_command(config: str) -> None:
    commands = [name for name, one in COMMANDS.items() if one.config == config]
    found = {field for name in commands for field in params_of(name)}
    known = {one.name for one in dataclasses.fields(CONFIGS[config])}
    assert found == known - {"beam_args"}


@pytest.mark.parametrize("name", COMMANDS)
def test_a_default_is_that_of_the_field(name: str) -> None:
    fields = {one.name: one for one in dataclasses.fields(CONFIGS[COMMANDS[name].config])}
    for field, flag in params_of(name).items():
        if (name, field) in OWN_DEFAULTS:
            continue
        default = fields[field].default
        assert flag.required is (default is dataclasses.MISSING)
        assert flag.required or flag.default == (None if default == () else default)


@pytest.mark.parametrize("path", sorted(CLI.glob("*.py")), ids=lambda path: path.name)
def test_no_flag_says_a_default(path: Path) -> None:
    calls = [one for one in ast.walk(ast.parse(path.read_text())) if isinstance(one, ast.Call)]
    said = [one for one in calls if ast.unparse(one.func) in ("typer.Option", "typer.Argument")]
    for flag in said:
        if path.name == "main.py":  # --version is no field
            continue
        assert {one.arg for one in flag.keywords} <= {"metavar", "help"}
        names = [one.value for one in flag.args if isinstance(one, ast.Constant)]
        assert len(names) == len(flag.args) <= 1
        assert all(str(one).startswith("--") for one in names)


@dataclasses.dataclass(frozen=True)
class Config:
    place: str
    parts: tuple[str, ...] = ()
    number: int = 3


def started(config: type[Any], beam_args: tuple[str, ...], *argv: str) -> list[object]:
    app, seen = typer.Typer(), []
    own = {
        "place": typer.Option("--place"),
        "parts": typer.Option("--part"),
        "number": typer.Option("--number"),
    }

    @session.command(app, config, own, panel="p", epilog="e")
    def look(session: session.Session, config: Any) -> None:
        """Look."""
        seen.append((session.verbose, config))

    context = session.Session(beam_args)
    typer.main.get_command(app).main(list(argv), standalone_mode=False, obj=context)
    return seen


def test_a_command_gets_the_config_of_its_flags() -> None:
    assert started(Config, (), "--place", "a") == [(False, Config("a"))]
    given = ("--place", "a", "--part", "b", "--part", "c", "--number", "4", "--verbose")
    assert started(Config, (), *given) == [(True, Config("a", ("b", "c"), 4))]


def test_options_of_beam_reach_a_config_that_has_them_and_no_other() -> None:
    with pytest.raises(OptionsError, match="--: triad look uses no Beam; remove what stands after"):
        started(Config, ("--streaming",), "--place", "a")
    fields = [("place", str), ("beam_args", tuple[str, ...], dataclasses.field(default=()))]
    with_beam = dataclasses.make_dataclass("WithBeam", fields, frozen=True)
    (found,) = started(with_beam, ("--streaming",), "--place", "a")
    assert found == (False, with_beam("a", ("--streaming",)))
