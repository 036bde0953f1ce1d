"""Losses of a stream: counts, and one warning when a modality loses too many media."""

from tests import scores
from triad_ml.pipelines.streaming.losses import Losses, Window
from triad_ml.pipelines.tables.media_counts import IssuesLimits, MediaCount
from triad_ml.transforms.records.values import Reason

BAD = {"image": MediaCount(4, {"not_found": 4})}
GOOD = {"image": MediaCount(4, {})}


def batch() -> Losses:
    unreadable = scores.rejected("c", reason=Reason.UNREADABLE)
    unreadable = unreadable.__class__(
        unreadable.id, unreadable.position, "canonicalize", Reason.UNREADABLE, "image: corrupt"
    )
    return Losses.of(
        [scores.scored("a"), scores.scored("b", issues=("audio: timeout",))],
        [unreadable, scores.rejected("d")],
    )


def test_a_batch_is_counted_by_reason_modality_and_flaw():
    assert batch().reasons == {"unreadable": 1, "empty": 1}
    assert batch().media(("image", "audio", "text")) == {
        "image": MediaCount(3, {"corrupt": 1}),
        "audio": MediaCount(1, {"timeout": 1}),
        "text": MediaCount(2, {}),
    }


def test_counts_come_back_from_the_counters_of_a_job():
    counters = {f"Stream.{name}": count for name, count in batch().counters().items()}
    assert Losses.of_counters({**counters, "Stream.scored": 2}) == batch()
    assert batch().plus(batch()).media(("image",)) == {"image": MediaCount(6, {"corrupt": 2})}


def test_a_window_of_batches_over_the_limit_is_told_once_until_it_is_under_it():
    window = Window(batches=2)
    assert window.add(GOOD, IssuesLimits()) == []
    assert window.add(BAD, IssuesLimits()) == []  # 4 of 8
    assert window.add(BAD, IssuesLimits()) == [
        "of the last 2 batches: image: 8 of 8 media are not used (100.0%; most often: not_found, "
        "8), over the limit of 50.0%; deliver the files (relative paths are tried against the "
        "records file's folder, then each --media-root)"
    ]
    assert window.add(BAD, IssuesLimits()) == []
    assert window.add(GOOD, IssuesLimits()) == []
    assert len(window.add(BAD, IssuesLimits(0.4))) == 1
