"""Charts of the report as inline SVG, coloured by the page's CSS."""

import dataclasses
import math
from collections.abc import Mapping, Sequence
from typing import Any

from markupsafe import Markup

_WIDTH, _HEIGHT = 440, 260
_LEFT, _RIGHT, _TOP, _BOTTOM = 46, 14, 12, 38
_Z = 1.96


@dataclasses.dataclass(frozen=True)
class Series:
    """One line of a chart.

    Attributes:
        name: Name in the legend.
        values: One value for each x; None leaves a gap.
    """

    name: str
    values: tuple[float | None, ...]


def interval(
    value: float | None, low: float | None, high: float | None, baseline: float | None = None
) -> Markup:
    """Draws a share in [0, 1] with its interval on a line from 0 to 1, and a tick for a baseline.

    Returns:
        The chart; empty if the value is None.
    """
    if value is None:
        return Markup("")
    width, height, middle = 200, 16, 8

    def place(share: float) -> float:
        return 5 + share * (width - 10)

    parts = [_element("line", x1=place(0), x2=place(1), y1=middle, y2=middle, class_="track")]
    if baseline is not None:
        x = place(baseline)
        parts.append(_element("line", x1=x, x2=x, y1=1, y2=height - 1, class_="baseline"))
    if low is not None and high is not None:
        parts.append(
            _element("line", x1=place(low), x2=place(high), y1=middle, y2=middle, class_="range")
        )
    parts.append(_element("circle", cx=place(value), cy=middle, r=4, class_="point"))
    spoken = f"{value:.1%}" if low is None else f"{value:.1%}, interval {low:.1%} to {high:.1%}"
    return _svg(width, height, parts, spoken, class_="interval")


def lines(
    title: str,
    x: Sequence[int],
    series: Sequence[Series],
    *,
    x_name: str,
    percent: bool = False,
    mark: int | None = None,
) -> Markup:
    """Draws lines over whole numbers; up to four lines differ in dashes as well as in colour.

    Args:
        title: Title for screen readers.
        x: Strictly increasing positions, such as epochs.
        series: Lines with one value for each x.
        x_name: Name of the horizontal axis.
        percent: True if the values are shares, drawn from 0 to 100 %.
        mark: Position x that a vertical line marks; None marks none.

    Returns:
        The chart; empty if there is no finite value.
    """
    finite = [v for line in series for v in line.values if v is not None and math.isfinite(v)]
    if not x or not finite:
        return Markup("")
    top = 1.0 if percent else _ceiling(max(finite))
    bottom = 0.0 if percent or min(finite) >= 0 else -_ceiling(-min(finite))
    first, last = x[0], max(x[-1], x[0] + 1)

    def across(value: float) -> float:
        return _LEFT + (value - first) / (last - first) * (_WIDTH - _LEFT - _RIGHT)

    def up(value: float) -> float:
        share = (value - bottom) / (top - bottom)
        return _HEIGHT - _BOTTOM - share * (_HEIGHT - _TOP - _BOTTOM)

    ticks = [bottom + (top - bottom) * i / 4 for i in range(5)]
    parts = [_grid(up(tick), _share(tick) if percent else f"{tick:.3g}") for tick in ticks]
    parts += [_below(across(tick), str(tick)) for tick in _whole_ticks(first, x[-1])]
    parts.append(_axis_name(x_name))
    if mark is not None:
        parts.append(
            _element(
                "line",
                x1=across(mark),
                x2=across(mark),
                y1=_TOP,
                y2=_HEIGHT - _BOTTOM,
                class_="mark",
            )
        )
    for index, line in enumerate(series):
        for run in _runs(x, line.values):
            points = " ".join(f"{across(a):.1f},{up(b):.1f}" for a, b in run)
            parts.append(_element("polyline", points=points, class_=f"line s{index % 4}"))
            if len(run) == 1:
                (a, b), *_ = run
                parts.append(
                    _element("circle", cx=across(a), cy=up(b), r=3, class_=f"dot s{index % 4}")
                )
    return _svg(_WIDTH, _HEIGHT, parts, title, class_="chart")


def reliability(title: str, bins: Sequence[Mapping[str, Any]]) -> Markup:
    """Draws accuracy against confidence with 95 % Wilson intervals, and the counts of the bins."""
    filled = [bin_ for bin_ in bins if bin_["n"]]
    if not filled:
        return Markup("")
    height, strip = 330, 40
    floor = height - _BOTTOM - strip - 26
    most = max(bin_["n"] for bin_ in filled)

    def across(share: float) -> float:
        return _LEFT + share * (_WIDTH - _LEFT - _RIGHT)

    def up(share: float) -> float:
        return floor - share * (floor - _TOP)

    parts = [_grid(up(i / 4), _share(i / 4)) for i in range(5)]
    parts.append(
        _element("line", x1=across(0), x2=across(1), y1=up(0), y2=up(1), class_="diagonal")
    )
    base = height - _BOTTOM
    for bin_ in filled:
        low, high = _wilson(bin_["accuracy"], bin_["n"])
        x = across(bin_["confidence"])
        parts.append(_element("line", x1=x, x2=x, y1=up(low), y2=up(high), class_="range"))
        radius = 3 + 4 * math.sqrt(bin_["n"] / most)
        parts.append(_element("circle", cx=x, cy=up(bin_["accuracy"]), r=radius, class_="point"))
        tall = max(1.5, strip * bin_["n"] / most)
        left, right = across(bin_["low"]) + 1, across(bin_["high"]) - 1
        parts.append(
            _element("rect", x=left, y=base - tall, width=right - left, height=tall, class_="bar")
        )
    parts.append(_element("line", x1=across(0), x2=across(1), y1=base, y2=base, class_="grid"))
    parts.append(_text(_LEFT - 7, base - strip + 10, f"n {most:,}", class_="tick end"))
    parts += [_below(across(i / 4), _share(i / 4), base) for i in range(5)]
    parts.append(_axis_name("confidence", height))
    return _svg(_WIDTH, height, parts, title, class_="chart")


def scatter(
    title: str, points: Sequence[tuple[float, float]], x_name: str, y_name: str, residual: bool
) -> Markup:
    """Draws points in a plane, and the line on which predictions are right.

    Args:
        title: Title for screen readers.
        points: Pairs of x and y.
        x_name: Name of the horizontal axis.
        y_name: Name of the vertical axis, drawn above it.
        residual: True for the line y = 0 and axes with different ends; else the line is y = x, and
            both axes have the same ends.
    """
    if not points:
        return Markup("")
    xs, ys = zip(*points, strict=True)
    left, right = _ends(xs if residual else (*xs, *ys))
    if residual:
        most = max(abs(y) for y in ys) or 1.0
        low, high = -1.05 * most, 1.05 * most
    else:
        low, high = left, right

    def across(value: float) -> float:
        return _LEFT + (value - left) / (right - left) * (_WIDTH - _LEFT - _RIGHT)

    def up(value: float) -> float:
        return _HEIGHT - _BOTTOM - (value - low) / (high - low) * (_HEIGHT - 2 * _TOP - _BOTTOM)

    parts = [_grid(up(tick), f"{tick:.3g}") for tick in _quarters(low, high)]
    parts += [_below(across(tick), f"{tick:.3g}") for tick in _quarters(left, right)]
    ends = (0.0, 0.0) if residual else (left, right)
    parts.append(
        _element(
            "line",
            x1=across(left),
            x2=across(right),
            y1=up(ends[0]),
            y2=up(ends[1]),
            class_="diagonal",
        )
    )
    parts += [_element("circle", cx=across(x), cy=up(y), r=2.5, class_="point") for x, y in points]
    parts.append(_text(_LEFT, _TOP - 2, y_name, class_="tick"))
    parts.append(_axis_name(x_name))
    return _svg(_WIDTH, _HEIGHT, parts, title, class_="chart")


def _quarters(low: float, high: float) -> list[float]:
    return [low + (high - low) * i / 4 for i in range(5)]


def _ends(values: Sequence[float]) -> tuple[float, float]:
    """Returns the ends of an axis, with a margin on both sides of the values."""
    low, high = min(values), max(values)
    margin = 0.05 * (high - low) or 0.05 * abs(low) or 1.0
    return low - margin, high + margin


def histogram(title: str, counts: Sequence[int], x_name: str) -> Markup:
    """Draws the counts of bins of equal width from 0 to 1."""
    if not any(counts):
        return Markup("")
    top = _ceiling(max(counts))
    base, wide = _HEIGHT - _BOTTOM, (_WIDTH - _LEFT - _RIGHT) / len(counts)

    def up(count: float) -> float:
        return base - count / top * (base - _TOP)

    parts = [_grid(up(top * i / 4), f"{top * i / 4:,.4g}") for i in range(5)]
    for index, n in enumerate(counts):
        if n:
            tall = max(1.5, base - up(n))
            left = _LEFT + index * wide
            parts.append(
                _element("rect", x=left + 1, y=base - tall, width=wide - 2, height=tall, class_="n")
            )
    parts += [_below(_LEFT + i / 4 * (_WIDTH - _LEFT - _RIGHT), _share(i / 4)) for i in range(5)]
    parts.append(_axis_name(x_name))
    return _svg(_WIDTH, _HEIGHT, parts, title, class_="chart")


def _runs(x: Sequence[int], values: Sequence[float | None]) -> list[list[tuple[int, float]]]:
    """Splits a line at its gaps, into lists of x and value."""
    runs: list[list[tuple[int, float]]] = [[]]
    for position, value in zip(x, values, strict=True):
        if value is not None and math.isfinite(value):
            runs[-1].append((position, value))
        elif runs[-1]:
            runs.append([])
    return [run for run in runs if run]


def _ceiling(value: float) -> float:
    """Returns the next round number that gives readable quarters: one digit, or 1.2, 1.6, 2.4."""
    if value <= 0:
        return 1.0
    unit = 10.0 ** math.floor(math.log10(value))
    return next(unit * m for m in (1, 1.2, 1.6, 2, 2.4, 3, 4, 5, 6, 8, 10) if unit * m >= value)


def _whole_ticks(first: int, last: int) -> list[int]:
    step = next(s * 10**e for e in range(9) for s in (1, 2, 5) if (last - first) / (s * 10**e) <= 7)
    return sorted({first, *range(-(-first // step) * step, last + 1, step)} - _near(first, step))


def _near(first: int, step: int) -> set[int]:
    """Returns the tick whose label would overlap that of the first one, if there is such a tick."""
    following = -(-first // step) * step
    return {following} if 0 < following - first < step / 2 else set()


def _wilson(share: float, n: int) -> tuple[float, float]:
    centre = (share + _Z**2 / (2 * n)) / (1 + _Z**2 / n)
    half = _Z / (1 + _Z**2 / n) * math.sqrt(share * (1 - share) / n + _Z**2 / (4 * n**2))
    return max(0.0, centre - half), min(1.0, centre + half)


def _share(share: float) -> str:
    return f"{share:.0%}"


def _grid(y: float, label: str) -> Markup:
    line = _element("line", x1=_LEFT, x2=_WIDTH - _RIGHT, y1=y, y2=y, class_="grid")
    return line + _text(_LEFT - 7, y + 4, label, class_="tick end")


def _below(x: float, label: str, base: float = _HEIGHT - _BOTTOM) -> Markup:
    return _text(x, base + 15, label, class_="tick middle")


def _axis_name(name: str, height: float = _HEIGHT) -> Markup:
    return _text((_LEFT + _WIDTH - _RIGHT) / 2, height - 5, name, class_="tick middle")


def _text(x: float, y: float, content: str, class_: str) -> Markup:
    return Markup("<text{}>{}</text>").format(_attributes(x=x, y=y, class_=class_), content)


def _element(name: str, **attributes: float | str) -> Markup:
    return Markup("<{}{}/>").format(Markup(name), _attributes(**attributes))  # noqa: S704, a constant


def _svg(width: float, height: float, parts: Sequence[Markup], title: str, class_: str) -> Markup:
    return Markup(
        '<svg viewBox="0 0 {} {}" class="{}" role="img" aria-label="{}"><title>{}</title>{}</svg>'
    ).format(width, height, class_, title, title, Markup("").join(parts))


def _attributes(**attributes: float | str) -> Markup:
    return Markup("").join(
        Markup(' {}="{}"').format(
            name.rstrip("_"),
            f"{value:.5g}" if isinstance(value, float) else value,
        )
        for name, value in attributes.items()
    )
