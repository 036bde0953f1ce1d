"""What a training says while it runs."""

import io
import logging

from model import progress

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
    with progress.choose() as shown:
        shown.begin(3, 40, 2, 700)
        shown.step(2.0)
        shown.step(1.5)
        shown.end(ROW, best_epoch=1)
    assert [record.getMessage() for record in caplog.records] == [
        "epoch 3/40 begins: 2 steps; the first step builds the graph",
        "epoch 3/40  loss 1.234  eval loss 1.500  category 62.5%  350 records/s",
    ]


def test_a_long_epoch_logs_a_line_every_ten_seconds_with_the_time_left(caplog):
    caplog.set_level(logging.INFO)
    now = 0.0
    with progress.LogProgress(lambda: now) as shown:
        shown.begin(1, 2, 100, 700)
        caplog.clear()
        for _ in range(25):
            now += 1.0
            shown.step(2.5)
    assert [record.getMessage() for record in caplog.records] == [
        "epoch 1/2  step 10/100  loss 2.500  at most 3 min 10 s left",
        "epoch 1/2  step 20/100  loss 2.500  at most 3 min 0 s left",
    ]


def test_on_a_terminal_each_epoch_leaves_a_line(monkeypatch):
    screen = io.StringIO()
    screen.isatty = lambda: True
    monkeypatch.setattr("sys.stderr", screen)
    with progress.choose() as shown:
        shown.begin(3, 40, 2, 700)
        shown.step(2.0)
        shown.end(ROW, best_epoch=3)
    assert "epoch 3/40" in screen.getvalue()
    assert "best so far" in screen.getvalue()
