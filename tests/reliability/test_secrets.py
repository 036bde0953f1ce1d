"""Secrets and payloads of rejected records: absent from all output of commands (T18).

CANARY is a secret that a user passes to a command; PAYLOAD is in every field of rejected records,
and in media that are not used.
"""

import base64
import gzip
import json
import shutil
from pathlib import Path
from typing import NamedTuple

import pytest

from tests import media
from tests.conftest import SPEC
from triad_ml.pipelines.cli import main
from triad_ml.pipelines.runners import beam_options
from triad_ml.pipelines.tables import formats

CANARY = "CANARY-6f1d"
PAYLOAD = "PAYLOAD-93ab"
DATE = "2026-11-24"


def hostile_lines() -> list[str]:
    """Records that are rejected, or lose a medium, each with PAYLOAD in another place."""
    picture = media.png(seed=1)
    corrupt = picture[:60] + PAYLOAD.encode() + picture[60 + len(PAYLOAD) :]
    broken = {"base64": base64.b64encode(corrupt).decode()}
    address = f"https://user:{PAYLOAD}@127.0.0.1/a.png?token={PAYLOAD}"
    return [
        f'{{"id": "cut off", "text": "{PAYLOAD}',
        f"no json at all {PAYLOAD}",
        json.dumps({"id": 1.5, "text": PAYLOAD, "image": broken, "note": PAYLOAD}),
        json.dumps({"id": "", "text": PAYLOAD}),
        json.dumps({"id": "nothing", "note": PAYLOAD, "labels": {"category": PAYLOAD}}),
        json.dumps({"id": "split", "text": PAYLOAD, "split": PAYLOAD}),
        json.dumps({"id": "group", "text": PAYLOAD, "group": [PAYLOAD]}),
        json.dumps({"id": "labels", "text": PAYLOAD, "labels": PAYLOAD}),
        json.dumps({"id": "base64", "image": {"base64": f"!{PAYLOAD}!"}}),
        json.dumps({"id": "no medium", "image": {PAYLOAD: PAYLOAD}}),
        json.dumps({"id": "corrupt", "image": broken, "text": "a fan"}),
        json.dumps({"id": "corrupt alone", "image": broken, "note": PAYLOAD}),
        json.dumps({"id": "elsewhere", "image": address, "audio": f"../{PAYLOAD}.wav"}),
        json.dumps({"id": "sound", "audio": {"base64": base64.b64encode(corrupt).decode()}}),
        json.dumps({"id": "generated-000000", "text": PAYLOAD, "note": PAYLOAD}),  # a second time
    ]


class Commands(NamedTuple):
    """What all commands said, and the folder that they wrote to."""

    said: str
    folder: Path


@pytest.fixture(scope="module")
def commands(generated: Path, tmp_path_factory: pytest.TempPathFactory) -> Commands:
    folder = tmp_path_factory.mktemp("secrets")
    given_folder = shutil.copytree(generated.parent, tmp_path_factory.mktemp("hostile") / "records")
    records = Path(given_folder) / "hostile.jsonl"
    records.write_text("\n".join([*generated.read_text().splitlines(), *hostile_lines()]) + "\n")
    (folder / "spec.yaml").write_text(SPEC)
    data, model, scores = folder / "data", folder / "model", folder / "scores"
    given = ["--input", str(records), "--verbose"]
    limit = ["--rejected-limit", "0.5"]
    ran: list[list[str]] = [
        ["preprocess", "--spec", str(folder / "spec.yaml"), "--output", str(data), *given, *limit],
        ["train", "--data", str(data), "--output", str(model), "--epochs", "1", "--verbose"],
        ["score", "--model", str(model), "--output", str(scores), "--date", DATE, *given, *limit],
        ["report", "--model", str(model), "--scores", str(scores), "--date", DATE, *given]
        + ["--output", str(folder / "report.html")],
        ["parity", "--model", str(model), *given],
    ]
    with pytest.MonkeyPatch.context() as patch:
        for name in ("AWS_SECRET_ACCESS_KEY", "TRIAD_TOKEN", "GITHUB_TOKEN", "DB_PASSWORD"):
            patch.setenv(name, CANARY)
        with _captured() as said:
            codes = [main.main(arguments) for arguments in ran]
    assert codes == [0] * len(ran), said
    return Commands("".join(said), folder)


class _captured:
    """Standard output and standard error of this process, also of what is not Python."""

    def __enter__(self) -> list[str]:
        from _pytest.capture import FDCapture

        self._both = [FDCapture(1), FDCapture(2)]
        for one in self._both:
            one.start()
        self._said: list[str] = []
        return self._said

    def __exit__(self, *error: object) -> None:
        for one in self._both:
            self._said.append(one.snap())
            one.done()


def texts(folder: Path) -> dict[str, bytes]:
    """The content of each file as a reader gets it: decompressed, Parquet as rows."""
    found = {}
    for path in folder.rglob("*"):
        if path.is_file():
            content = path.read_bytes()
            if path.suffix == ".gz":
                content = gzip.decompress(content)
            if path.suffix == ".parquet":
                content += json.dumps(formats.read(str(path)).to_pylist(), default=repr).encode()
            found[str(path.relative_to(folder))] = content
    return found


def test_nothing_that_the_commands_said_or_wrote_holds_a_payload_or_a_secret(commands):
    assert PAYLOAD not in commands.said
    assert CANARY not in commands.said
    found = texts(commands.folder)
    kinds = {Path(name).suffix for name in found}
    assert kinds >= {".json", ".parquet", ".gz", ".pb", ".html", ".csv"}
    for secret in (PAYLOAD, CANARY, base64.b64encode(PAYLOAD.encode()).decode()[:12]):
        holding = [name for name, content in found.items() if secret.encode() in content]
        assert holding == []


def test_every_hostile_record_is_rejected_or_scored_without_its_medium(commands):
    (path,) = (commands.folder / "scores").glob("dt=*/_runs/run=*/_rejected/*.parquet")
    rejected = formats.read(str(path)).to_pylist()
    assert len(rejected) == 12  # scoring looks at neither splits nor groups
    assert {(row["stage"], row["reason"]) for row in rejected} == {
        ("read", "unparsable"),
        ("read", "invalid_id"),
        ("canonicalize", "empty"),
        ("canonicalize", "unreadable"),
        ("score", "unreadable"),
        ("publish", "duplicate_id"),
    }
    assert all(
        len(row["payload_digest"]) == 64
        for row in rejected
        if row["reason"] not in ("duplicate_id",)
    )


@pytest.mark.parametrize("command", ["preprocess", "train", "score", "report", "parity"])
def test_a_secret_that_is_given_as_an_option_is_never_repeated(
    command: str, tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    assert main.main([command, f"--x_token={CANARY}", f"--api_secret={CANARY}"]) == 12
    assert main.main([command, "--", f"--x_token={CANARY}"]) == 12
    captured = capfd.readouterr()
    assert CANARY not in captured.out + captured.err


def test_what_beam_stores_of_its_options_holds_no_variable_of_the_environment(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", CANARY)
    made = beam_options.beam_options("local", ("--direct_num_workers=1",))
    assert CANARY not in repr(made.get_all_options()) + repr(made.display_data())
