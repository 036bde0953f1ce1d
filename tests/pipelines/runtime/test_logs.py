"""Output to a terminal has no control sequences."""

import io
import logging

import pytest
import rich.console

from triad_ml.pipelines.cli import main
from triad_ml.pipelines.doctor import findings
from triad_ml.pipelines.publishing import run_list
from triad_ml.pipelines.publishing.run_list import Listed
from triad_ml.pipelines.runtime import logs
from triad_ml.pipelines.verification import differences
from triad_ml.transforms.errors import OptionsError

HOSTILE = "a\x1b]0;title\x07\x9b2J\u202eb\r\udcff[/red]"
PLAIN = r"a\x1b]0;title\x07\x9b2J\u202eb\r\udcff[/red]"


def test_control_characters_are_written_out_but_for_tab_and_line_end():
    assert logs.printable(HOSTILE) == PLAIN
    assert logs.printable("ä\t\u4e2d\n \U0001f600") == "ä\t\u4e2d\n \U0001f600"


def test_log_lines_and_errors_write_them_out(capsys):
    record = logging.LogRecord("a", logging.INFO, "", 0, "%s: read", (HOSTILE,), None)
    assert logs.MaskingFormatter("%(message)s").format(record) == f"{PLAIN}: read"

    def fail(*_: object) -> None:
        raise OptionsError(HOSTILE.replace("\r", ""))

    assert main.main(["runs", "OUT"], fail) == OptionsError.exit_code
    assert capsys.readouterr().err == "triad: " + PLAIN.replace(r"\r", "") + "\n"


@pytest.mark.parametrize("is_terminal", [True, False])
def test_tables_take_no_text_for_markup_or_commands(monkeypatch, is_terminal):
    said = io.StringIO()
    monkeypatch.setattr(said, "isatty", lambda: is_terminal)
    monkeypatch.setattr("sys.stdout", said)
    console = rich.console.Console(width=400, color_system=None)
    found = differences.Difference("image")
    found.add(HOSTILE, 1.0, 2.0)
    console.print(differences.table([found], "Title"))
    console.print(findings.table([findings.Finding("files", "error", HOSTILE)]))
    one = Listed("2026-01-01", "r", "damaged", True, HOSTILE, HOSTILE, None, 1, 1, 0, 1, "f")
    monkeypatch.setenv("COLUMNS", "400")
    run_list.show([one])
    assert said.getvalue().count(PLAIN) == 4
    assert not set(said.getvalue()) & set("\x07\x9b\u202e\r\udcff")
