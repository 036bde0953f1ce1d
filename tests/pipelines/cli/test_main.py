"""Command line: parsing, refusals, output and exit codes."""

import dataclasses
import errno
import json
import os
import shlex
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import apache_beam as beam
import pytest
import typer

from triad_ml.pipelines.cli import main
from triad_ml.pipelines.preprocessing import config as preprocessing_config
from triad_ml.pipelines.publishing import config as publishing_config
from triad_ml.pipelines.report import config as report_config
from triad_ml.pipelines.runtime import failures
from triad_ml.pipelines.scoring import config as scoring_config
from triad_ml.pipelines.streaming import config as streaming_config
from triad_ml.pipelines.training import config as training_config
from triad_ml.pipelines.verification import config as verification_config
from triad_ml.transforms import errors
from triad_ml.transforms.spec import loading
from triad_ml.transforms.version import VERSION

ROOT = Path(__file__).resolve().parents[3]

SCORE = ["score", "--model", "m", "--input", "a", "--output", "o", "--date", "2026-11-24"]
PREPROCESS = ["preprocess", "--spec", "s", "--output", "o", "--input"]
BEAM = ("--project=p", "--region=r", "--temp_location=gs://b/t", "--sdk_container_image=i")
TRAIN = ["train", "--data", "d", "--output", "m"]
ON_FLINK = ["--source", "kafka://h:1/c", "--sink", "kafka://h:1/s", "--rejected", "kafka://h:1/r"]
ON_FLINK += ["--runner", "flink"]


@dataclasses.dataclass(frozen=True)
class Published:
    """What a scoring run gives back, as far as the command line looks at it."""

    manifest_uri: str


class Calls:
    """Stands where the use cases are: keeps what each is given, then gives an outcome or raises."""

    def __init__(self, outcome: object = None) -> None:
        self.outcome = outcome
        self.functions: list[Callable[..., object]] = []
        self.seen: list[object] = []

    def __call__(self, function: Callable[..., object], config: object) -> object:
        self.functions.append(function)
        self.seen.append(config)
        if isinstance(self.outcome, BaseException):
            raise self.outcome
        return self.outcome


def lines_of(capsys: pytest.CaptureFixture[str]) -> list[str]:
    captured = capsys.readouterr()
    assert captured.out == ""
    return captured.err.splitlines()


@pytest.mark.parametrize(
    ("argv", "expected"),
    [
        (
            ["preprocess", "--spec", "s", "--input", "a", "--input", "b", "--output", "o"],
            preprocessing_config.PreprocessConfig("s", ("a", "b"), "o"),
        ),
        (
            ["preprocess", "--spec", "s", "--input", "a", "--output", "o", "--runner", "local"]
            + ["--shards", "2", "--media-root", "r", "--media-root", "t"]
            + ["--rejected-limit", "0.5", "--keep-canonical"]
            + ["--", "--direct_num_workers=2", "--", "x"],
            preprocessing_config.PreprocessConfig(
                spec="s",
                inputs=("a",),
                output="o",
                shards=2,
                media_roots=("r", "t"),
                rejected_limit=0.5,
                keep_canonical=True,
                beam_args=("--direct_num_workers=2", "--", "x"),
            ),
        ),
        (
            ["preprocess", "--spec", "s", "--input", "a.csv", "b.csv", "c.csv", "--output", "o"],
            preprocessing_config.PreprocessConfig("s", ("a.csv", "b.csv", "c.csv"), "o"),
        ),
        (TRAIN, training_config.TrainConfig("d", "m")),
        (
            [*TRAIN, "--epochs", "3", "--seed", "0", "--batch-size", "8", "--fresh"],
            training_config.TrainConfig("d", "m", epochs=3, seed=0, batch_size=8, fresh=True),
        ),
        (
            ["parity", "--model", "m", "--input", "a"],
            verification_config.ParityConfig("m", ("a",)),
        ),
        (
            ["parity", "--model", "m", "--input", "a", "--limit", "9", "--tolerance", "0"],
            verification_config.ParityConfig("m", ("a",), limit=9, tolerance=0.0),
        ),
        (
            ["report", "--model", "m", "--output", "r.html"],
            report_config.ReportConfig("m", "r.html"),
        ),
        (
            ["report", "--model", "m", "--scores", "s", "--input", "a", "--output", "r.html"]
            + ["--date", "2026-11-24", "--media-root", "r"],
            report_config.ReportConfig("m", "r.html", "s", "2026-11-24", ("a",), ("r",)),
        ),
    ],
)
def test_a_command_hands_over_what_was_asked_for(argv, expected):
    calls = Calls(outcome=True)
    assert main.main(argv, calls) == 0
    assert calls.seen == [expected]


def test_stream_hands_over_what_was_asked_for():
    calls = Calls()
    argv = ["stream", "--model", "m", "--source", "in", "--sink", "out", "--media-files"]
    argv += ["--window", "5", "--batch-records", "7", "--poll-seconds", "0.5", "--until-empty"]
    argv += ["--format", "jsonl", "--media-root", "r", "--verify-key", "k"]
    assert main.main(argv, calls) == 0
    expected = streaming_config.StreamConfig(
        model="m",
        source="in",
        sink="out",
        media_files=True,
        format="jsonl",
        window=5,
        batch_records=7,
        poll_seconds=0.5,
        media_roots=("r",),
        until_empty=True,
        verify_key="k",
    )
    assert calls.seen == [expected]


def test_stream_hands_over_topics():
    calls = Calls()
    argv = ["stream", "--model", "m", "--source", "kafka://h:1/a", "--sink", "kafka://h:1/b"]
    argv += ["--rejected", "kafka://h:1/c", "--group", "g", "--message-format", "avro"]
    argv += ["--message-bytes", "9", "--state", "s", "--message-schema", "f"]
    argv += ["--message-schema-id", "0", "--kafka-config", "k"]
    assert main.main(argv, calls) == 0
    expected = streaming_config.StreamConfig(
        model="m",
        source="kafka://h:1/a",
        sink="kafka://h:1/b",
        rejected="kafka://h:1/c",
        state="s",
        group="g",
        message_format="avro",
        message_bytes=9,
        message_schema="f",
        message_schema_id=0,
        kafka_config="k",
    )
    assert calls.seen == [expected]


@pytest.mark.parametrize(
    ("flags", "line"),
    [
        (["--sink", "in/out"], "--sink: in/out is inside the source; choose another folder"),
        (
            ["--sink", "gs://b"],
            "--sink: gs:// needs --runner dataflow; else give a local folder or kafka://",
        ),
        (["--source", ""], "--source: must not be empty"),
        (["--sink", "kafka://h/t"], "--sink: must be kafka://HOST:PORT/TOPIC, of one topic"),
        (["--sink", "kafka://h:1/a/b"], "--sink: must be kafka://HOST:PORT/TOPIC, of one topic"),
        (
            ["--sink", "kafka://h:1/t"],
            "--rejected: name the topic for rejected records as kafka://HOST:PORT/TOPIC",
        ),
        (
            ["--sink", "kafka://h:1/t", "--rejected", "kafka://h:1/t"],
            "--rejected: must be another topic than --sink",
        ),
        (
            ["--sink", "kafka://h:1/t", "--rejected", "kafka://h:1/r"],
            "--state: name a folder; with a folder as source and Kafka as sink nothing else "
            "remembers what was scored",
        ),
        (
            ["--rejected", "kafka://h:1/r"],
            "--rejected: a folder as --sink takes them too; leave it out",
        ),
        (
            ["--source", "kafka://h:1/t", "--media-files"],
            "--media-files: is of a folder; leave it out with a topic as source",
        ),
        (["--message-format", "avro"], "--message-schema: name the file with the Avro schema"),
        (
            ["--kafka-config", "k"],
            "--kafka-config: is of Kafka; leave it out without kafka://",
        ),
        (["--kafka-config", " "], "--kafka-config: must not be empty"),
        (
            ["--message-schema", "f"],
            "--message-schema: is of messages; leave it out with a folder",
        ),
        (
            ["--message-schema", "f", "--message-format", "example"],
            "--message-schema: a tf.Example has none; leave it out",
        ),
        (
            ["--message-schema-id", "7"],
            "--message-schema-id: is of a --message-schema; name that too",
        ),
        (
            ["--source", "kafka://h:1/t", "--message-schema", "f", "--message-schema-id", "-1"],
            "--message-schema-id: must be 0 to 2**32 - 1, got -1",
        ),
        (["--window", "0"], "--window: must be at least 1, got 0"),
        (["--poll-seconds", "-1"], "--poll-seconds: must be 0 or more, got -1"),
        (["--", "--streaming"], "--: is of --runner flink or dataflow; leave it out"),
        (
            ["--runner", "flink", "--batch-bytes", "9"],
            "--batch-bytes: is of --runner local; leave it out",
        ),
        (
            ["--runner", "flink", "--window", "9"],
            "--window: is of --runner local or prism or dataflow; leave it out",
        ),
        (
            ["--runner", "flink", "--format", "jsonl"],
            "--format: is of --runner local or prism or dataflow; leave it out",
        ),
        (
            ["--runner", "dataflow", "--batch-seconds", "9"],
            "--batch-seconds: is of --runner local or flink; leave it out",
        ),
        (
            ON_FLINK,
            "--state: name a folder for the checkpoints that all parts of the cluster see",
        ),
        (
            [*ON_FLINK, "--state", "gs://b/s"],
            "--state: gs://b/s: name a folder by its path; Flink's checkpoints are read here",
        ),
    ],
)
def test_a_wrong_stream_is_one_line_and_code_12(flags, line, capsys):
    argv = ["stream", "--model", "m", "--source", "in", "--sink", "out", *flags]
    assert main.main(argv, Calls()) == 12
    assert lines_of(capsys) == [f"triad: {line}"]


def test_the_commands_of_the_page_on_streaming_are_taken():
    pages = [(ROOT / "docs/how-to" / f"{name}.md") for name in ("stream", "flink", "dataflow")]
    page = "".join(path.read_text() for path in pages).replace("\\\n", " ")
    commands = [line[2:] for line in page.splitlines() if line.startswith("$ triad stream ")]
    assert len(commands) == 7
    for command in commands:
        assert main.main(shlex.split(command)[1:], Calls()) == 0


def test_score_prints_the_manifest_as_the_last_line(capsys):
    calls = Calls(Published("o/dt=2026-11-24/run=1/manifest.json"))
    more = ["--format", "jsonl", "--unit-records", "7", "--rejected-limit", "0", "--verbose"]
    assert main.main([*SCORE, *more], calls) == 0
    assert capsys.readouterr().out.splitlines()[-1] == "o/dt=2026-11-24/run=1/manifest.json"
    assert calls.seen == [
        scoring_config.ScoreConfig(
            model="m",
            inputs=("a",),
            output="o",
            date="2026-11-24",
            format="jsonl",
            rejected_limit=0.0,
            unit_records=7,
        )
    ]


def test_report_prints_where_the_page_is(capsys):
    assert main.main(["report", "--model", "m", "--output", "r.html"], Calls("/o/r.html")) == 0
    assert capsys.readouterr().out == "/o/r.html\n"


def test_score_hands_the_key_over(capsys):
    calls = Calls(Published("manifest.json"))
    assert main.main([*SCORE, "--verify-key", "public.pem"], calls) == 0
    assert calls.seen[0].verify_key == "public.pem"


def test_sign_prints_where_the_signature_is(capsys):
    calls = Calls("m/model.sig")
    assert main.main(["sign", "m", "--key", "key.pem"], calls) == 0
    assert capsys.readouterr().out == "m/model.sig\n"
    assert calls.seen == [verification_config.SignConfig("m", "key.pem")]


def test_verify_says_that_the_model_is_as_it_was_signed(capsys):
    calls = Calls(None)
    assert main.main(["verify", "m", "--key", "public.pem"], calls) == 0
    assert capsys.readouterr().out == "m: is as it was signed\n"
    assert calls.seen == [verification_config.VerifyConfig("m", "public.pem")]


@pytest.mark.parametrize(("equal", "code"), [(True, 0), (False, 10)])
def test_explain_digest_exits_by_its_verdict(equal, code):
    calls = Calls(equal)
    assert main.main(["explain-digest", "a", "b"], calls) == code
    assert calls.seen == [verification_config.ExplainDigestConfig("a", "b")]


@pytest.mark.parametrize(
    ("argv", "expected"),
    [
        (["export-scores", "o", "--output", "f.csv"], publishing_config.ExportConfig("o", "f.csv")),
        (
            ["export-scores", "o", "--date", "2026-11-24", "--output", "f.csv", "--overwrite"],
            publishing_config.ExportConfig("o", "f.csv", "2026-11-24", overwrite=True),
        ),
    ],
)
def test_export_scores_hands_over_what_was_asked_for_and_prints_the_file(argv, expected, capsys):
    calls = Calls("f.csv")
    assert main.main(argv, calls) == 0
    assert calls.seen == [expected]
    assert capsys.readouterr().out == "f.csv\n"


@pytest.mark.parametrize(("same", "code"), [(True, 0), (False, 10)])
def test_parity_exits_by_its_verdict(same, code):
    assert main.main(["parity", "--model", "m", "--input", "a"], Calls(same)) == code


@pytest.mark.parametrize(
    ("argv", "line"),
    [
        (["bogus"], "triad: No such command 'bogus'; see triad --help"),
        (["spec", "bogus"], "triad: No such command 'bogus'; see triad spec --help"),
        (["train", "--data", "d"], "triad: Missing option '--output'; see triad train --help"),
        ([*TRAIN, "--epoch"], "triad: No such option: --epoch "),
        ([*TRAIN, "--epochs"], "triad: Option '--epochs' requires an argument; see triad --help"),
        ([*TRAIN, "--epochs", "x"], "triad: Invalid value for '--epochs': "),
        ([*TRAIN, "more"], "triad: Got unexpected extra argument(s) (more); see triad train"),
        ([*TRAIN, "--epochs", "0"], "triad: --epochs: must be at least 1, got 0"),
        ([*TRAIN, "--seed", "-1"], "triad: --seed: must be at least 0, got -1"),
        ([*TRAIN, "--seed", str(2**31)], "triad: --seed: must be below 2147483648, got"),
        ([*TRAIN, "--batch-size", "0"], "triad: --batch-size: must be at least 1, got 0"),
        (["train", "--data", " ", "--output", "m"], "triad: --data: must not be empty"),
        ([*TRAIN, "--", "--streaming"], "triad: --: triad train uses no Beam; remove what"),
        ([*SCORE, "--date", "24.11.2026"], "triad: --date: must be a date as YYYY-MM-DD, got "),
        ([*SCORE, "--date", "20261124"], "triad: --date: must be a date as YYYY-MM-DD, got "),
        ([*SCORE, "--date", "../2026"], "triad: --date: must be a date as YYYY-MM-DD, got "),
        ([*SCORE, "--format", "xml"], "triad: Invalid value for '--format': 'xml' is not one of "),
        ([*SCORE, "--rejected-limit", "1.1"], "triad: --rejected-limit: must be a share from 0 to"),
        ([*SCORE, "--rejected-limit", "nan"], "triad: --rejected-limit: must be a share from 0 to"),
        ([*SCORE, "--unit-records", "0"], "triad: --unit-records: must be at least 1, got 0"),
        ([*SCORE, "--media-root", ""], "triad: --media-root: must not be empty"),
        ([*SCORE, "--runner", "spark"], "triad: --runner: 'spark' is no runner; use local, fl"),
        (
            [*SCORE, "--runner", "Dataflow"],
            "triad: --model: m: workers of Dataflow cannot open it",
        ),
        ([*SCORE, "--no-wait"], "triad: --no-wait: only a job on Dataflow runs on by itself; rem"),
        (
            ["preprocess", "--spec", "s", *SCORE[3:7], "--runner", "dataflow"],
            "triad: --input: a: workers of Dataflow cannot open it; copy it to a bucket and",
        ),
        (
            [*PREPROCESS, "gs://b/a", "--runner", "dataflow", "--", *BEAM],
            "triad: --output: o: workers of Dataflow cannot open it",
        ),
        (
            [*PREPROCESS, "gs://b/a", "--output", "gs://b/o", "--runner", "dataflow"],
            "triad: --project: is missing: the project that pays; add -- --project=VALUE",
        ),
        (
            [*PREPROCESS, "gs://b/a", "--output", "gs://b/o", "--runner", "dataflow"]
            + ["--", *BEAM, "--template_location=gs://b/t"],
            "triad: --template_location: preprocess is two jobs; remove it",
        ),
        (
            [*PREPROCESS, "a", "--output", "gs://b/o", "--keep-canonical"],
            "triad: --keep-canonical: needs a local --output; remove it",
        ),
        (
            ["train", "--data", "gs://b/d", "--output", "m"],
            "triad: --data: gs://b/d: training reads local files; copy the folder to this machine",
        ),
        ([*SCORE, "--runner", "prism"], "triad: --runner: 'prism' is no runner; use local"),
        ([*SCORE, "--", "--runner=x"], "triad: --runner: not a Beam option here; give it to triad"),
        (
            ["preprocess", "--spec", "s", "--input", "a", "--output", "o", "--shards", "0"],
            "triad: --shards: must be at least 1, got 0",
        ),
        (
            ["parity", "--model", "m", "--input", "a", "--tolerance", "inf"],
            "triad: --tolerance: must be 0 or more, got inf",
        ),
        (
            ["report", "--model", "m", "--output", "r", "--date", "2026-11-24"],
            "triad: --date: is a date of scores; give --scores too",
        ),
        (
            ["parity", "--model", "m", "--input", "a", "--limit", "0"],
            "triad: --limit: must be at least 1, got 0",
        ),
    ],
)
def test_a_wrong_command_line_is_one_line_and_code_12(argv, line, capsys):
    calls = Calls()
    assert main.main(argv, calls) == 12
    (said,) = lines_of(capsys)
    assert said.startswith(line)
    assert calls.seen == []


@pytest.mark.parametrize("argv", [[], ["spec"]])
def test_without_a_command_the_help_is_printed(argv, capsys):
    assert main.main(argv) == 12
    captured = capsys.readouterr()
    assert "Usage: triad" in captured.out
    assert captured.err == ""


@pytest.mark.parametrize("name", ["x_token", "API_KEY", "api-key", "db_password", "my_secret"])
@pytest.mark.parametrize("joined", [True, False])
def test_a_secret_for_beam_is_refused_and_not_repeated(name, joined, capsys):
    argument = [f"--{name}=CANARY"] if joined else [f"--{name}", "CANARY"]
    assert main.main([*SCORE, "--", *argument], Calls()) == 12
    (said,) = lines_of(capsys)
    assert said.startswith(f"triad: --{name} looks like a secret")
    assert "CANARY" not in said


def test_an_unknown_option_is_refused_without_its_value(capsys):
    assert main.main([*SCORE, "--x_token=CANARY"], Calls()) == 12
    (said,) = lines_of(capsys)
    assert said == "triad: No such option: --x_token; see triad score --help"


@pytest.mark.parametrize(
    ("error", "line", "code"),
    [
        (errors.OptionsError("m: no model; train one"), "m: no model; train one", 12),
        (errors.GateError("too many"), "too many", 10),
        (errors.LostRaceError("another was first"), "another was first", 11),
        (errors.StorageError("o: full"), "o: full", 20),
        (
            OSError(errno.ENOSPC, os.strerror(errno.ENOSPC), "/mnt/o"),
            "/mnt/o: no space left on device; free some space or choose another place, "
            "then run the same command again",
            20,
        ),
        (
            PermissionError(errno.EACCES, os.strerror(errno.EACCES), b"/mnt/o"),
            "/mnt/o: permission denied; give this user the right to it or choose another place",
            20,
        ),
        (
            OSError(errno.EROFS, os.strerror(errno.EROFS), "/mnt/o"),
            "/mnt/o: read-only file system; choose a place that can be written to",
            20,
        ),
        (
            FileNotFoundError(errno.ENOENT, os.strerror(errno.ENOENT), "/mnt/o"),
            "/mnt/o: no such file or directory; check the path; if it was there before, restore it",
            20,
        ),
        (
            OSError(errno.EPROTO, "Protocol error"),
            "a file: protocol error; see to the cause, then run the same command again",
            20,
        ),
        (
            ConnectionResetError("reset\nby peer"),
            "reset by peer; check the path and the connection",
            20,
        ),
    ],
)
def test_a_failure_is_one_line_and_its_code(error, line, code, capsys):
    assert main.main(SCORE, Calls(error)) == code
    assert lines_of(capsys) == [f"triad: {line}"]


def test_each_line_of_a_refusal_has_the_prefix(capsys):
    assert main.main(SCORE, Calls(errors.OptionsError("a: one\nb: two"))) == 12
    assert lines_of(capsys) == ["triad: a: one", "triad: b: two"]


def test_an_interruption_is_one_line_and_code_130(capsys):
    assert main.main(SCORE, Calls(KeyboardInterrupt())) == 130
    assert lines_of(capsys) == ["triad: interrupted; run the same command again to resume"]


@pytest.mark.parametrize(
    "bug", [KeyError("x"), OSError("image file is truncated"), RuntimeError("what")]
)
def test_a_bug_keeps_its_traceback(bug):
    with pytest.raises(type(bug)):
        main.main(SCORE, Calls(bug))


def test_a_bug_while_an_error_of_the_disk_is_handled_stays_a_bug():
    bug = KeyError("x")
    bug.__context__ = FileNotFoundError(errno.ENOENT, "absent", "/a")
    assert failures.explain(bug) is None


def _fail(kind: str) -> None:
    if kind == "ours":
        raise errors.OptionsError("m: no model; train one")
    if kind == "caused":
        try:
            Path("/nowhere/at/all").read_bytes()
        except OSError as error:
            raise errors.StorageError("m: unreadable; check it") from error
    if kind == "disk":
        Path("/nowhere/at/all").read_bytes()
    raise KeyError("bug")


def calling(work: Callable[[], object]) -> Callable[..., object]:
    """Does the same work, whichever use case is called."""
    return lambda function, config: work()


def run_in_beam(kind: str) -> None:
    with beam.Pipeline(runner="FnApiRunner") as root:
        root | beam.Create([kind]) | "Fail" >> beam.Map(_fail)


@pytest.mark.parametrize(
    ("kind", "line", "code"),
    [
        ("ours", "m: no model; train one", 12),
        ("caused", "m: unreadable; check it", 20),
        (
            "disk",
            "/nowhere/at/all: no such file or directory; check the path; "
            "if it was there before, restore it",
            20,
        ),
    ],
)
def test_a_failure_inside_beam_is_one_line_too(kind, line, code, capsys):
    calls = calling(lambda: run_in_beam(kind))
    assert main.main(SCORE, calls) == code
    assert lines_of(capsys) == [f"triad: {line}"]


def test_a_bug_inside_beam_keeps_its_traceback_in_the_log_too(capsys):
    calls = calling(lambda: run_in_beam("bug"))
    with pytest.raises(KeyError, match="bug"):
        main.main(SCORE, calls)
    assert "KeyError: 'bug'" in capsys.readouterr().err


def test_an_unreachable_file_of_beam_is_one_line(capsys):
    def read() -> None:
        beam.io.filesystems.FileSystems.match(["nosuch://a/*"])

    def listed() -> None:
        raise beam.io.filesystem.BeamIOError("Match failed", {"gs://b/*": "403"})

    assert main.main(SCORE, calling(listed)) == 20
    assert lines_of(capsys)[0].startswith("triad: Match failed")
    with pytest.raises(ValueError, match="nosuch"):
        main.main(SCORE, calling(read))


def test_a_full_disk_under_tensorflow_is_one_line(capsys):
    if not Path("/dev/full").exists():
        pytest.skip("this system has no /dev/full")
    tf = pytest.importorskip("tensorflow")
    calls = calling(lambda: tf.io.write_file("/dev/full", b"x" * 100_000))
    assert main.main(SCORE, calls) == 20
    assert lines_of(capsys)[-1].startswith("triad: /dev/full: no space left on device; free some")


def test_spec_check_says_what_is_in_the_spec(tmp_path, capsys):
    path = tmp_path / "spec.yaml"
    path.write_text("{modalities: {text: }, tasks: {t: {kind: classification, label: l}}}")
    assert main.main(["spec", "check", str(path)]) == 0
    assert capsys.readouterr().out == f"{path}: good; modalities: text; tasks: t\n"


def test_spec_check_refuses_a_bad_spec_with_every_line(tmp_path, capsys):
    path = tmp_path / "spec.yaml"
    path.write_text("{modalities: {text: }, tasks: {t: {kind: classification}}, x: 1}")
    assert main.main(["spec", "check", str(path)]) == 12
    assert [line.split(": ")[:3] for line in lines_of(capsys)] == [
        ["triad", str(path), "tasks.t.label"],
        ["triad", str(path), "x"],
    ]


def test_spec_schema_prints_or_writes_the_schema(tmp_path, capsys):
    assert main.main(["spec", "schema"]) == 0
    assert json.loads(capsys.readouterr().out) == loading.schema()
    path = tmp_path / "schema.json"
    assert main.main(["spec", "schema", "--output", str(path)]) == 0
    assert json.loads(path.read_text()) == loading.schema()
    assert main.main(["spec", "schema", "--output", str(path / "below")]) == 20
    (said,) = lines_of(capsys)
    assert (
        said == f"triad: {path}/below: not a directory; "
        "a part of the path is a file; choose another place"
    )


def test_the_version_is_printed(capsys):
    assert main.main(["--version"]) == 0
    assert capsys.readouterr().out == f"triad {VERSION}\n"


def commands() -> dict[str, typer.core.TyperCommand]:
    """Each command by the words that start it."""
    found, groups = {}, [("triad", typer.main.get_command(main.app))]
    for name, group in groups:
        for word, one in group.commands.items():
            if hasattr(one, "commands"):
                groups.append((f"{name} {word}", one))
            else:
                found[f"{name} {word}"] = one
    return found


@pytest.mark.parametrize("name", commands())
def test_each_command_has_help_with_an_example(name, capsys):
    assert main.main([*name.split()[1:], "--help"]) == 0
    said = " ".join(capsys.readouterr().out.split())
    example = commands()[name].epilog.splitlines()[0]
    assert example.startswith(name)
    assert example in said


def test_help_groups_the_commands_by_purpose(capsys):
    assert main.main(["--help"]) == 0
    grouped: dict[str, list[str]] = {}
    for line in capsys.readouterr().out.splitlines():
        if line.startswith("╭─ "):
            grouped[line.strip("╭─╮ ")] = []
        elif line.startswith("│ ") and line[2] != " ":
            list(grouped.values())[-1].append(line.split()[1])
    del grouped["Options"]
    assert grouped == {
        "Prepare and train": ["spec", "preprocess", "train", "search", "track", "encoder"],
        "Score and report": ["score", "report", "stats", "drift", "evaluate"],
        "Publish and undo": ["runs", "current", "export-scores", "rollback", "gc"],
        "Streams": ["stream", "replay"],
        "Trust and checks": [
            *("parity", "robustness", "release", "sign", "verify", "explain-digest", "doctor")
        ],
        "Try out locally": ["flink", "kafka"],
    }


@pytest.mark.parametrize(
    ("words", "completed"),
    [
        (["triad", "prep"], ["preprocess"]),
        (["triad", "score", "--carry"], ["--carry-over"]),
        (["triad", "flink", "dr"], ["drain"]),
    ],
)
def test_bash_completes_commands_and_options(words, completed):
    script = (
        'eval "$(triad --show-completion)"; COMP_WORDS=("$@"); COMP_CWORD=$(($# - 1)); '
        '_triad_completion triad; printf "%s\\n" "${COMPREPLY[@]}"'
    )
    path = f"{Path(sys.executable).parent}:{os.environ['PATH']}"
    finished = subprocess.run(
        ["bash", "--norc", "-c", script, "bash", *words],
        env={**os.environ, "PYTHONPATH": str(ROOT), "PATH": path},
        capture_output=True,
        text=True,
        check=True,
    )
    assert finished.stdout.split() == completed


HEAVY = ("tensorflow", "keras", "apache_beam", "tensorflow_transform", "pyarrow", "soxr")
ALSO = (*HEAVY, "numpy", "PIL", "yaml", "sklearn", "matplotlib")


@pytest.mark.parametrize(
    ("argv", "absent"),
    [(["--help"], (*ALSO, "pydantic")), (["score", "--help"], ALSO), (["spec", "schema"], HEAVY)],
)
def test_help_imports_nothing_heavy(argv, absent):
    code = (
        "import json, sys\n"
        "from triad_ml.pipelines.cli import main as cli\n"
        "code = cli.main(json.loads(sys.argv[1]))\n"
        "print(json.dumps([code, sorted(sys.modules)]), file=sys.stderr)"
    )
    finished = subprocess.run(
        [sys.executable, "-c", code, json.dumps(argv)],
        env={**os.environ, "PYTHONPATH": str(ROOT)},
        capture_output=True,
        text=True,
        check=True,
    )
    exit_code, modules = json.loads(finished.stderr)
    assert exit_code == 0
    assert set(absent).isdisjoint(modules)


def test_what_needs_no_tensorflow_imports_none():
    """One process imports one behind the other: the first that brings it is named."""
    parts = ["report.page", "verification.digest_diff", "publishing.gc", "publishing.rollback"]
    modules = [
        f"triad_ml.pipelines.{part}"
        for part in [*parts, "scoring.plan", "training.plan", "preprocessing.plan"]
    ]
    code = (
        "import importlib, sys\n"
        "for name in sys.argv[1:]:\n"
        "    importlib.import_module(name)\n"
        "    print(name, *sorted({'tensorflow', 'keras'} & set(sys.modules)))\n"
    )
    finished = subprocess.run(
        [sys.executable, "-c", code, *modules],
        env={**os.environ, "PYTHONPATH": str(ROOT)},
        capture_output=True,
        text=True,
        check=True,
    )
    assert finished.stdout.splitlines() == modules
