"""What commands print: the tables of `triad parity`, and who speaks on standard error."""

import re

_OURS = re.compile(r"triad: \S|\d{4}-\d\d-\d\d \d\d:\d\d:\d\d,\d{3} [A-Z]+ triad_ml[.\w]*: ")


def foreign(stderr: str) -> list[str]:
    """The lines that no line of ours begins: a library's words, or half a traceback."""
    return [line for line in stderr.splitlines() if not _OURS.match(line)]


def shown(text: str) -> dict[str, list[str]]:
    """The rows of the tables by what they compare: records, unequal, largest, verdict."""
    rows = [[cell.strip() for cell in line.split("│")[1:-1]] for line in text.splitlines()]
    return {row[0]: [*row[1:4], row[5]] for row in rows if len(row) == 6}


def verdicts(text: str) -> dict[str, str]:
    """By what is compared, `equal`, `passes` or `FAILS`."""
    return {name: row[3].split(" (")[0] for name, row in shown(text).items()}
