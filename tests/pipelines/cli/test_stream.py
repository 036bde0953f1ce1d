"""Arguments of `triad release` and `triad replay`: passing of settings, and refusals."""

from collections.abc import Callable
from typing import Any

import pytest

from triad_ml.pipelines.cli import main
from triad_ml.pipelines.streaming.config import StreamConfig
from triad_ml.pipelines.verification.config import ReleaseConfig

TOPICS = ("--source", "kafka://h:1/clips", "--from", "kafka://h:1/rejected")


class Calls:
    """Keeps each config instead of running it."""

    def __init__(self) -> None:
        self.seen: list[Any] = []

    def __call__(self, function: Callable[..., object], config: object) -> str:
        self.seen.append(config)
        return "models: may counts"


def test_release_hands_over_what_was_asked_for(capsys):
    calls = Calls()
    argv = [
        "release",
        "models/may",
        "--golden",
        "g.jsonl",
        "--verify-key",
        "k",
        "--media-root",
        "m",
        "--floor-limit",
        "0.02",
    ]
    compared = ["--holdout", "a", "--holdout", "b", "--slice", "shop", "--drift", "refuse"]
    assert main.main([*argv, *compared], calls) == 0
    whole = ReleaseConfig(
        "models/may", "g.jsonl", "k", ("m",), 0.02, ("a", "b"), ("shop",), drift="refuse"
    )
    assert calls.seen == [whole]
    assert capsys.readouterr().out == "models: may counts\n"


def test_replay_hands_over_a_stream_that_ends():
    calls = Calls()
    assert main.main(["replay", "--model", "m", *TOPICS, "--sink", "again"], calls) == 0
    assert calls.seen == [
        StreamConfig(
            "m",
            "kafka://h:1/clips",
            "again",
            group="triad-replay",
            until_empty=True,
            replay_from="kafka://h:1/rejected",
        )
    ]


@pytest.mark.parametrize(
    ("argv", "line"),
    [
        (["release", " "], "MODEL: must not be empty"),
        (["release", "m", "--golden", ""], "--golden: must not be empty"),
        (["release", "m", "--holdout", " "], "--holdout: must not be empty"),
        (
            ["release", "m", "--slice", "shop"],
            "--slice: divides the records of --holdout; name some",
        ),
        (
            ["release", "m", "--drift", "refuse"],
            "--drift: is of the scores of --golden; name golden records",
        ),
        (
            ["replay", "--model", "m", "--source", "in", *TOPICS[2:], "--sink", "s"],
            "--source: must be the topic whose messages were rejected",
        ),
        (
            ["replay", "--model", "m", *TOPICS[:2], "--from", "rejected", "--sink", "s"],
            "--from: must be a topic, kafka://HOST:PORT/TOPIC",
        ),
        (
            ["replay", "--model", "m", *TOPICS[:2], "--from", "kafka://h", "--sink", "s"],
            "--from: must be kafka://HOST:PORT/TOPIC, of one topic",
        ),
        (
            ["stream", "--model", "m", "--source", "in", "--sink", "s", "--batch-bytes", "0"],
            "--batch-bytes: must be at least 1, got 0",
        ),
        (
            ["stream", "--model", "m", "--source", "in", "--sink", "s", "--batch-seconds", "-1"],
            "--batch-seconds: must be 0 or more, got -1",
        ),
        *(
            (["stream", "--model", "m", "--source", "in", "--sink", "s", flag, uri], line)
            for flag in ("--source", "--sink", "--state")
            for uri, line in (
                ("file:/a%20b", f"{flag}: file:/a%20b: is a URI; give the path, /a b"),
                ("s3://a/b", f"{flag}: s3:// is not streamed; give a local folder"),
                (" ", f"{flag}: must not be empty"),
            )
        ),
        (
            ["stream", "--model", "m", "--source", "in", "--sink", "s", "--state", TOPICS[1]],
            f"--state: {TOPICS[1]}: is a topic; name a folder",
        ),
    ],
)
def test_what_makes_no_sense_is_one_line_and_code_12(argv, line, capsys):
    assert main.main(argv, Calls()) == 12
    assert capsys.readouterr().err == f"triad: {line}\n"
