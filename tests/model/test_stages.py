"""Progress display of a long step: real counts, speed and time left; nothing for a short step."""

import io
import logging
from collections.abc import Iterator

import pytest

from triad_ml.model import stages
from triad_ml.transforms.records import live


class Clock:
    """Says what time it is, and never goes by itself."""

    def __init__(self) -> None:
        self.now = 1000.0

    def __call__(self) -> float:
        return self.now


@pytest.fixture
def clock() -> Clock:
    return Clock()


def lines_at(
    clock: Clock, shown: stages.Lines, seconds: list[float], caplog: pytest.LogCaptureFixture
) -> Iterator[tuple[float, str]]:
    begun = clock.now
    for second in seconds:
        clock.now = begun + second
        caplog.clear()
        shown.tick()
        yield from ((second, record.getMessage()) for record in caplog.records)


def test_a_state_names_done_total_speed_and_what_is_left():
    stage = stages.Stage("records", 12_000, lambda: 3_000, estimated=True)
    assert stage.state(10.0) == "3,000 of about 12,000 records (25%), 300/s, about 30 s left"


def test_the_time_left_follows_from_what_was_done_so_far():
    done = 10
    stage = stages.Stage("features", 100, lambda: done)
    assert stage.state(100.0) == "10 of 100 records (10%), 0.1/s, 15 min 0 s left"
    done = 50
    assert stage.state(150.0) == "50 of 100 records (50%), 0.33/s, 2 min 30 s left"
    assert stage.state(36_000.0) == "50 of 100 records (50%), 0.0014/s, 10 h 0 min left"


def test_an_estimate_that_was_too_small_is_not_shown_any_more():
    stage = stages.Stage("records", 100, lambda: 130, estimated=True)
    assert stage.state(13.0) == "130 records, 10/s"


@pytest.mark.parametrize(
    ("stage", "said"),
    [
        (stages.Stage("export"), "for 1 min 5 s"),
        (stages.Stage("records", 100, lambda: 0), "0 of 100 records (0%), for 1 min 5 s"),
        (stages.Stage("records", None, lambda: 130), "130 records, 2/s"),
    ],
)
def test_what_is_not_known_is_not_said(stage, said):
    assert stage.state(65.0) == said


def test_lines_come_at_most_every_ten_seconds_and_at_least_every_minute(clock, caplog):
    caplog.set_level(logging.INFO)
    stage = stages.Stage("export")
    stage.note = "unit 1 of 2"
    shown = stages.Lines(stage, clock)
    times = [second / 2 for second in range(2 * 3 * 3600)]
    found = list(lines_at(clock, shown, times, caplog))
    assert found[0] == (10.0, "export (unit 1 of 2): for 10 s")
    gaps = [after - before for (before, _), (after, _) in zip(found, found[1:], strict=False)]
    assert min(gaps) == 10.0
    assert max(gaps) == 60.0


def test_a_short_step_logs_nothing(clock, caplog):
    caplog.set_level(logging.INFO)
    shown = stages.Lines(stages.Stage("export"), clock)
    assert list(lines_at(clock, shown, [0.5, 5.0, 9.9], caplog)) == []


def terminal(monkeypatch: pytest.MonkeyPatch) -> io.StringIO:
    screen = io.StringIO()
    screen.isatty = lambda: True
    monkeypatch.setattr("sys.stderr", screen)
    monkeypatch.setenv("TERM", "xterm")
    monkeypatch.setenv("COLUMNS", "120")
    monkeypatch.delenv("NO_COLOR", raising=False)
    return screen


def test_a_terminal_has_a_line_with_a_bar(monkeypatch, clock):
    screen = terminal(monkeypatch)
    shown = stages.Bar(stages.Stage("records", 40, lambda: 10), clock)
    with shown:
        clock.now += 5
        shown.tick()
        shown.say("a line that stays")
    assert "10 of 40 records (25%), 2/s, 15 s left" in screen.getvalue()
    assert "━" in screen.getvalue()
    assert "a line that stays\n" in screen.getvalue()


@pytest.mark.parametrize(("name", "value"), [("TERM", "dumb"), ("NO_COLOR", "1")])
def test_lines_move_on_no_plain_terminal(monkeypatch, name, value):
    terminal(monkeypatch)
    assert stages.moving()
    monkeypatch.setenv(name, value)
    assert not stages.moving()


def test_lines_move_on_nothing_but_a_terminal(monkeypatch):
    terminal(monkeypatch)
    monkeypatch.setattr("sys.stderr", io.StringIO())
    assert not stages.moving()


def test_a_step_within_a_step_shows_nothing_of_its_own(monkeypatch):
    screen = terminal(monkeypatch)
    with stages.showing(stages.Stage("outer")):
        with stages.showing(stages.Stage("inner")):
            pass
    assert "inner" not in screen.getvalue()
    with stages.showing(stages.Stage("after")):
        pass
    assert "after" in screen.getvalue()


def test_counted_records_are_those_since_the_step_began():
    live.add(7)
    stage = stages.counting("records", 100)
    batch = live.Batched()
    for _ in range(live.Batched.STEP + 3):
        batch.one()
    assert stage.done == live.Batched.STEP
    batch.tell()
    live.add(5)
    assert stage.done == live.Batched.STEP + 8
