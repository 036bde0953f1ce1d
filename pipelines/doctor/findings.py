"""What the doctor finds: one line each, with the reason and the remedy, as a table or as JSON."""

import dataclasses
import json
from collections.abc import Sequence
from typing import Literal

import rich.table
import rich.text

from triad_ml.pipelines.runtime import logs
from triad_ml.transforms.errors import TriadError

Level = Literal["ok", "warning", "error"]


@dataclasses.dataclass(frozen=True)
class Finding:
    """One thing that was looked at.

    Attributes:
        check: Names what was looked at, in one word.
        level: An error is what would make a run fail, or differ between machines.
        what: What is so.
        why: What follows from it; empty where all is well.
        remedy: What to do; empty where all is well.
    """

    check: str
    level: Level
    what: str
    why: str = ""
    remedy: str = ""


def of_error(check: str, error: TriadError, why: str) -> Finding:
    """A refusal as a finding: its line ends with the remedy, behind a semicolon."""
    what, _, remedy = str(error).partition("; ")
    return Finding(check, "error", what, why, remedy)


def healthy(findings: Sequence[Finding]) -> bool:
    """Whether nothing would fail; warnings do not count."""
    return all(finding.level != "error" for finding in findings)


def to_json(findings: Sequence[Finding]) -> str:
    """On one line."""
    listed = [dataclasses.asdict(finding) for finding in findings]
    return json.dumps({"healthy": healthy(findings), "findings": listed}, ensure_ascii=False)


def table(findings: Sequence[Finding]) -> rich.table.Table:
    """A row for each finding."""
    shown = rich.table.Table(title="What triad doctor found", title_justify="left", show_lines=True)
    shown.add_column("check", no_wrap=True)
    shown.add_column("", no_wrap=True)
    shown.add_column("what, why, remedy", overflow="fold")
    for one in findings:
        lines = [one.what, *(f"{name}: {text}" for name, text in _explained(one) if text)]
        mark = one.level.upper() if one.level == "error" else one.level
        shown.add_row(one.check, mark, _plain("\n".join(lines)))
    return shown


def _plain(text: str) -> rich.text.Text:
    """Without what rich or the terminal would take for more than text."""
    return rich.text.Text(logs.printable(text))


def _explained(one: Finding) -> tuple[tuple[str, str], ...]:
    return (("why", one.why), ("do", one.remedy))
