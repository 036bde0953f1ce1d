"""Progress display of a running training."""

import io
import logging

from triad_ml.model import stages
from triad_ml.model.training import progress

ROW = {
    "epoch": 3,
    "loss": 1.2345,
    "eval_loss": 1.5,
    "category_accuracy": 0.6251,
    "learning_rate": 1e-3,
    "seconds": 2.0,
}


def test_a_line_names_epoch_losses_accuracy_and_speed():
    line = progress.describe(ROW, epochs=40, num_records=700, best_epoch=3)
    assert line == (
        "epoch 3/40  loss 1.234  eval loss 1.500  category 62.5%  350 records/s  best so far"
    )


def test_what_was_not_measured_is_left_out():
    row = {**ROW, "eval_loss": None, "category_accuracy": None}
    line = progress.describe(row, epochs=40, num_records=700, best_epoch=2)
    assert line == "epoch 3/40  loss 1.234  350 records/s"


def test_without_a_terminal_there_is_one_log_line_an_epoch(caplog, monkeypatch):
    monkeypatch.setattr("sys.stderr", io.StringIO())
    caplog.set_level(logging.INFO)
    with progress.Progress() as shown:
        shown.begin(3, 40, 2, 700)
        shown.step(2.0)
        shown.step(1.5)
        shown.end(ROW, best_epoch=1)
    assert [record.getMessage() for record in caplog.records] == [
        "epoch 3/40  loss 1.234  eval loss 1.500  category 62.5%  350 records/s",
    ]


def test_a_training_that_goes_on_counts_the_steps_that_are_left(monkeypatch):
    monkeypatch.setattr("sys.stderr", io.StringIO())
    with progress.Progress() as shown:
        shown.begin(39, 40, 100, 700)
        stage = shown.stage
        assert stage.title == "training (epoch 39/40, the first step builds the graph)"
        assert stage.state(30.0) == "0 of about 200 steps (0%), for 30 s"
        for _ in range(100):
            shown.step(2.5)
        shown.end({**ROW, "epoch": 39}, best_epoch=39)
        shown.begin(40, 40, 100, 700)
        shown.step(2.0)
        assert stage.title == "training (epoch 40/40, loss 2.000)"
        assert stage.state(202.0) == "101 of about 200 steps (50%), 0.5/s, about 3 min 18 s left"
        assert shown.stage is stage


def test_on_a_terminal_each_epoch_leaves_a_line(monkeypatch):
    screen = io.StringIO()
    screen.isatty = lambda: True
    monkeypatch.setattr("sys.stderr", screen)
    monkeypatch.setenv("TERM", "xterm")
    monkeypatch.setenv("COLUMNS", "160")
    monkeypatch.delenv("NO_COLOR", raising=False)
    with progress.Progress() as shown:
        shown.begin(3, 40, 2, 700)
        shown.step(2.0)
        shown.end(ROW, best_epoch=3)
    assert "training (epoch 3/40, the first step builds the graph)" in screen.getvalue()
    assert f"{progress.describe(ROW, 40, 700, 3)}\n" in screen.getvalue()


def test_within_another_step_an_epoch_leaves_a_line_in_the_log(caplog, monkeypatch):
    monkeypatch.setattr("sys.stderr", io.StringIO())
    caplog.set_level(logging.INFO)
    with stages.showing(stages.Stage("outer")), progress.Progress() as shown:
        shown.begin(3, 40, 2, 700)
        shown.end(ROW, best_epoch=3)
    assert [record.getMessage() for record in caplog.records] == [
        progress.describe(ROW, 40, 700, 3)
    ]
