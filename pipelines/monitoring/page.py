"""HTML page of one or two statistics, with their histograms side by side."""

import itertools
from collections.abc import Sequence

import jinja2

from triad_ml.pipelines.monitoring.comparison import Row, Side
from triad_ml.pipelines.storage import atomic, outputs
from triad_ml.transforms.version import VERSION

_MARK = b'<meta name="generator" content="triad stats">'


def check(output: str) -> None:
    """Refuses an existing file that is no page of `triad stats`.

    Raises:
        OptionsError: The file is something else.
    """
    outputs.check_file(output, _MARK, "page of triad stats")


def write(output: str, sides: Sequence[Side], rows: Sequence[Row]) -> None:
    """Writes the page.

    Raises:
        StorageError: The file cannot be written.
    """
    atomic.put(output, render(sides, rows).encode())


def render(sides: Sequence[Side], rows: Sequence[Row]) -> str:
    """Returns the page as HTML text; features are grouped by the first part of their names."""
    groups = [
        (name, list(group)) for name, group in itertools.groupby(rows, key=lambda row: row.group)
    ]
    environment = jinja2.Environment(
        loader=jinja2.PackageLoader("triad_ml.pipelines.monitoring"),
        autoescape=True,
        undefined=jinja2.StrictUndefined,
    )
    template = environment.get_template("stats.html.j2")
    return template.render(sides=sides, groups=groups, version=VERSION)
