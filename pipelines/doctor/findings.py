"""Findings of `triad doctor`, with reason and remedy, as a table or as JSON."""

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
    """Result of one check.

    Attributes:
        check: Name of the check, in one word.
        level: Severity; `error` would make a run fail, or differ between machines.
        what: Fact that was found.
        why: Consequence of the fact; empty if all is well.
        remedy: Action for the user; empty if all is well.
    """

    check: str
    level: Level
    what: str
    why: str = ""
    remedy: str = ""


def of_error(check: str, error: TriadError, why: str) -> Finding:
    """Converts an error to a finding; its line ends with the remedy, after the first semicolon."""
    what, _, remedy = str(error).partition("; ")
    return Finding(check, "error", what, why, remedy)


def healthy(findings: Sequence[Finding]) -> bool:
    """Returns True if no finding is an error; warnings do not count."""
    return all(finding.level != "error" for finding in findings)


def to_json(findings: Sequence[Finding]) -> str:
    """Returns the findings as JSON on one line."""
    listed = [dataclasses.asdict(finding) for finding in findings]
    return json.dumps({"healthy": healthy(findings), "findings": listed}, ensure_ascii=False)


def table(findings: Sequence[Finding]) -> rich.table.Table:
    """Returns a table with a row for each finding."""
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
    """Returns plain text, without markup of rich or control characters."""
    return rich.text.Text(logs.printable(text))


def _explained(one: Finding) -> tuple[tuple[str, str], ...]:
    return (("why", one.why), ("do", one.remedy))
