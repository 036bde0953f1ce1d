"""Checks of output paths: a command never overwrites files that it did not write."""

import ast
import re
import shlex
from collections.abc import Iterator
from pathlib import Path

import pytest

from triad_ml.pipelines.cli import main
from triad_ml.pipelines.storage import outputs
from triad_ml.pipelines.streaming import journal, metrics, rules
from triad_ml.pipelines.streaming.config import StreamConfig
from triad_ml.pipelines.training import plan as training_plan
from triad_ml.pipelines.training.config import SearchConfig, TrainConfig
from triad_ml.pipelines.training.search import plan as search_plan
from triad_ml.transforms.errors import OptionsError

ROOT = Path(__file__).resolve().parents[3]
DATE = "2026-11-24"
PACKAGES = ("model", "pipelines", "transforms")


def tree(folder: Path) -> dict[str, bytes | None]:
    return {
        str(path.relative_to(folder)): path.read_bytes() if path.is_file() else None
        for path in folder.rglob("*")
    }


@pytest.fixture
def arguments(generated: Path, request: pytest.FixtureRequest) -> dict[str, list[object]]:
    """By command, what stands before `--output`."""

    def of(command: str) -> list[object]:
        if command == "preprocess":
            return ["--spec", generated.parents[1] / "spec.yaml", "--input", generated]
        if command in ("train", "search"):
            return ["--data", request.getfixturevalue("prepared")]
        model = ["--model", request.getfixturevalue("trained")]
        return [*model, "--input", generated, "--date", DATE] if command == "score" else model

    return of


def refused(command: str, *arguments: object, capsys: pytest.CaptureFixture[str]) -> str:
    assert main.main([*command.split(), *map(str, arguments)]) == 12
    (line,) = capsys.readouterr().err.splitlines()
    return line


@pytest.mark.parametrize("command", ["preprocess", "train", "search", "score"])
@pytest.mark.parametrize(
    "mine", ["thesis.txt", "training/checkpoints/epoch-00001", "saved_model/variables", "dt=x/a"]
)
def test_a_folder_of_the_users_is_refused_and_stays(arguments, tmp_path, capsys, command, mine):
    output = tmp_path / "mine"
    path = output / mine
    path.parent.mkdir(parents=True)
    path.write_bytes(b"years of work")
    before = tree(tmp_path)
    line = refused(command, *arguments(command), "--output", output, capsys=capsys)
    assert line == (
        f"triad: {output}: holds {Path(mine).parts[0]!r}, which triad {command} did not write "
        "there; choose another --output, a new or an empty folder"
    )
    assert tree(tmp_path) == before


def test_fresh_throws_away_nothing_of_the_users(arguments, tmp_path, capsys):
    output = tmp_path / "mine"
    (output / "saved_model").mkdir(parents=True)
    (output / "saved_model" / "saved_model.pb").write_bytes(b"years of work")
    before = tree(tmp_path)
    line = refused("train", *arguments("train"), "--output", output, "--fresh", capsys=capsys)
    assert line.startswith(f"triad: {output}: holds 'saved_model', which triad train did not write")
    assert tree(tmp_path) == before


@pytest.fixture
def streaming(tmp_path_factory: pytest.TempPathFactory) -> list[object]:
    """A stream without its outputs, which are looked at before the model is."""
    return ["stream", "--model", "m", "--source", tmp_path_factory.mktemp("in")]


@pytest.mark.parametrize("mine", ["thesis.txt", "scores/thesis.txt", f"dt={DATE}/a", "_triad/a"])
@pytest.mark.parametrize("flag", ["--sink", "--state", "prism"])
def test_a_folder_of_the_users_is_no_place_for_a_stream(streaming, tmp_path, capsys, flag, mine):
    output = tmp_path / "mine"
    (output / mine).parent.mkdir(parents=True, exist_ok=True)
    (output / mine).write_bytes(b"years of work")
    (output / f"a.tmp-{'0' * 32}").write_bytes(b"of another program")
    before = tree(tmp_path)
    given = {
        "--sink": ["--sink", output],
        "--state": ["--sink", tmp_path / "new", "--state", output],
        "prism": ["--sink", output, "--runner", "prism", "--prism", "p"],
    }[flag]
    command, *rest = map(str, streaming)
    line = refused(command, *rest, *given, capsys=capsys)
    flag = "--sink" if flag == "prism" else flag
    assert re.fullmatch(
        f"triad: {output}: holds '.*', which triad stream did not write there; "
        f"choose another {flag}, a new or an empty folder",
        line,
    )
    assert tree(tmp_path) == before


def test_a_file_that_is_not_of_metrics_is_not_replaced_by_them(streaming, tmp_path, capsys):
    output = tmp_path / "records.csv"
    output.write_bytes(b"id,text\n")
    given = ["--sink", tmp_path / "new", "--metrics", output]
    command, *rest = map(str, streaming)
    line = refused(command, *rest, *given, capsys=capsys)
    assert line == (
        f"triad: {output}: is there, and is no file of metrics; choose another --metrics"
    )
    assert tree(tmp_path) == {"records.csv": b"id,text\n"}


@pytest.mark.parametrize(
    "left",
    ["_triad/in-use", "_columns/0.json", "scores/window=none/a.parquet", "rejected/window=x/a.tmp"],
)
def test_a_sink_that_was_begun_is_known_by_whatever_a_kill_left_there(tmp_path, left):
    sink, file = tmp_path / "sink", tmp_path / "m.prom"
    (sink / left).parent.mkdir(parents=True)
    (sink / left).touch()
    (sink / "README.txt").write_text("Scores of the pumps.")
    metrics.write(str(file))
    rules.check_outputs(StreamConfig("m", "in", str(sink), metrics=str(file)))
    with journal.opened(str(tmp_path / "state")):
        given = StreamConfig("m", "in", str(tmp_path / "new"), state=str(tmp_path / "state"))
        rules.check_outputs(given)


@pytest.mark.parametrize("command", ["preprocess", "train", "search", "score"])
def test_a_file_of_the_users_is_no_folder(arguments, tmp_path, capsys, command):
    output = tmp_path / "records.csv"
    output.write_bytes(b"id,text\n")
    line = refused(command, *arguments(command), "--output", output, capsys=capsys)
    assert line == f"triad: {output}: is no folder; choose another --output"
    assert tree(tmp_path) == {"records.csv": b"id,text\n"}


def test_a_date_that_holds_something_else_is_refused(arguments, tmp_path, capsys):
    """A folder of partitions that another program wrote has dates too."""
    folder = tmp_path / f"dt={DATE}"
    folder.mkdir()
    (tmp_path / "dt=2026-11-23" / f"run={'0' * 24}").mkdir(parents=True)
    (folder / "events.parquet").write_bytes(b"PAR1")
    before = tree(tmp_path)
    line = refused("score", *arguments("score"), "--output", tmp_path, capsys=capsys)
    assert line.startswith(f"triad: {folder}: holds 'events.parquet', which triad score did not")
    assert tree(tmp_path) == before


@pytest.mark.parametrize("command", ["report", "encoder", "spec schema"])
def test_a_file_that_is_none_of_the_commands_is_not_replaced(arguments, tmp_path, capsys, command):
    output = tmp_path / "mine.weights.h5"
    output.write_bytes(b"<!DOCTYPE html><title>my thesis</title>")
    given = arguments(command) if command == "report" else []
    line = refused(command, *given, "--output", output, capsys=capsys)
    what = {"report": "page of triad report", "encoder": "file of weights"}
    said = what.get(command, "schema of a spec")
    assert line == f"triad: {output}: is there, and is no {said}; choose another --output"
    assert tree(tmp_path) == {output.name: b"<!DOCTYPE html><title>my thesis</title>"}


@pytest.mark.parametrize("command", ["report", "encoder", "spec schema"])
def test_a_folder_is_no_place_for_a_file(arguments, tmp_path, capsys, command):
    output = tmp_path / "mine.weights.h5"
    output.mkdir()
    given = arguments(command) if command == "report" else []
    line = refused(command, *given, "--output", output, capsys=capsys)
    assert line == f"triad: {output}: is no file; choose another --output"


def test_a_report_is_replaced_by_the_next_one(trained, tmp_path):
    output = tmp_path / "report.html"
    command = ["report", "--model", str(trained), "--output", str(output)]
    assert main.main(command) == 0
    page = output.read_bytes()
    output.write_bytes(page + b"<!-- of yesterday -->")
    assert main.main(command) == 0
    assert b"of yesterday" not in output.read_bytes()


def test_what_the_system_keeps_in_a_folder_is_nothing(tmp_path):
    for name in ("lost+found", ".snapshot", "empty"):
        (tmp_path / name).mkdir()
    (tmp_path / ".DS_Store").write_bytes(b"x")
    outputs.check_folder(str(tmp_path), "score", lambda: False)
    with pytest.raises(OptionsError, match="holds '.DS_Store', which triad preprocess did not"):
        outputs.check_folder(str(tmp_path), "preprocess", lambda: False, bare=True)


def test_a_training_or_search_that_has_begun_goes_on(prepared, tmp_path):
    """Its folder shows whose it is from the first moment on."""
    model, found = tmp_path / "model", tmp_path / "search"
    outputs.mark(str(model / training_plan.TRAINING), "train")
    outputs.mark(str(found), "search")
    assert not training_plan.plan(TrainConfig(str(prepared), str(model))).done
    assert search_plan.plan(SearchConfig(str(prepared), str(found))).output == found
    (found / "best.yaml").write_text("{}")
    with pytest.raises(OptionsError, match="triad train did not write there"):
        training_plan.plan(TrainConfig(str(prepared), str(found)))


def test_records_given_as_data_are_no_output_of_any_advice(tmp_path, capsys):
    good = tmp_path / "my good.csv"
    good.write_bytes(b"id,text\n1,hums\n")
    line = refused("train", "--data", good, "--output", tmp_path / "model", capsys=capsys)
    assert line == (
        f"triad: {good}: is a file, and training reads a folder of features; make one with triad "
        f"preprocess --spec SPEC --input {shlex.quote(str(good))} --output NEW, and name it"
    )
    assert tree(tmp_path) == {"my good.csv": b"id,text\n1,hums\n"}


@pytest.mark.parametrize("content", [b"{}", b"[]", b"no JSON", b'{"name": "my web app"}'])
def test_a_manifest_of_another_program_is_not_to_be_removed(tmp_path, arguments, capsys, content):
    (tmp_path / "manifest.json").write_bytes(content)
    for command, given in (
        ("train", ["--data", tmp_path]),
        ("preprocess", arguments("preprocess")),
    ):
        output = tmp_path if command == "preprocess" else tmp_path / "model"
        line = refused(command, *given, "--output", output, capsys=capsys)
        assert line.startswith(f"triad: {tmp_path}/manifest.json: ")
        assert line.endswith("run triad preprocess with a new --output")
    assert tree(tmp_path) == {"manifest.json": content}


def _advice() -> Iterator[tuple[str, str]]:
    """The texts of all errors, with `{}` for what is filled in."""
    for path in sorted(
        path
        for part in ("model", "pipelines", "transforms")
        for path in (ROOT / part).rglob("*.py")
    ):
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            if isinstance(node, ast.JoinedStr):
                parts = (
                    one.value if isinstance(one, ast.Constant) else "{}" for one in node.values
                )
                yield f"{path.relative_to(ROOT)}:{node.lineno}", "".join(map(str, parts))
            elif isinstance(node, ast.Constant) and isinstance(node.value, str):
                yield f"{path.relative_to(ROOT)}:{node.lineno}", node.value


def test_no_error_tells_to_remove_what_lies_on_a_disk():
    """A remedy that is followed to the letter must not cost records, models or scores."""
    harmful = re.compile(
        r"(?<!may be )(?<!was )(?<!is )\b(?:remove|delete|empty|clear) "
        r"(?:\{\}|the (?:file|folder|pointer|object|run|output)|its folder|that\b|them if)"
    )
    found = [place for place, text in _advice() if ";" in text and harmful.search(text)]
    assert found == []
