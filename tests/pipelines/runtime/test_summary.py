"""Final summaries of commands: their sentences, and the logging of these."""

import logging

from triad_ml.pipelines.runtime import summary
from triad_ml.pipelines.runtime.summary import Sentence
from triad_ml.pipelines.tables.media_counts import MediaCount


def test_files_without_a_record_are_a_warning():
    assert summary.records(0, 0, "scored", {}) == [
        Sentence(
            "0 records read, 0 scored, 0 rejected; the files hold none: look whether they are "
            "those that were meant",
            warns=True,
        )
    ]


def test_what_somebody_should_do_something_about_is_logged_as_a_warning(caplog):
    log = logging.getLogger("tests")
    with caplog.at_level(logging.INFO):
        summary.say(
            log, summary.media({"image": MediaCount(2, {"empty": 1}), "text": MediaCount(1)})
        )
    assert [(record.levelname, record.message) for record in caplog.records] == [
        (
            "WARNING",
            "image: 1 of 2 not used (50.0%): empty 1; ask the source to send the files again",
        ),
        ("INFO", "text: all 1 used"),
    ]
