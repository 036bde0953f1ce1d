"""Parsers of printed output: tables of `triad parity`, and foreign lines on standard error."""

import re

_OURS = re.compile(r"triad: \S|\d{4}-\d\d-\d\d \d\d:\d\d:\d\d,\d{3} [A-Z]+ triad_ml[.\w]*: ")


def foreign(stderr: str) -> list[str]:
    """Returns the lines that Triad did not write: output of libraries, or part of a traceback."""
    return [line for line in stderr.splitlines() if not _OURS.match(line)]


def shown(text: str) -> dict[str, list[str]]:
    """Returns the rows of the tables by the compared name: records, unequal, largest, verdict."""
    rows = [[cell.strip() for cell in line.split("│")[1:-1]] for line in text.splitlines()]
    return {row[0]: [*row[1:4], row[5]] for row in rows if len(row) == 6}


def verdicts(text: str) -> dict[str, str]:
    """Returns `equal`, `passes` or `FAILS` by the compared name."""
    return {name: row[3].split(" (")[0] for name, row in shown(text).items()}
