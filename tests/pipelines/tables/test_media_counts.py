"""Counts of lost media by modality and flaw, and the limits on them."""

import pytest

from triad_ml.pipelines.tables import media_counts
from triad_ml.pipelines.tables.media_counts import IssuesLimits, MediaCount
from triad_ml.transforms.spec import loading

SPEC = """
modalities: {image: {issues_limit: 0.9}, text: }
tasks: {category: {kind: classification, label: category}}
"""


def test_those_that_have_a_medium_are_those_that_use_it_and_those_that_lose_it():
    found = media_counts.counted(
        ("image", "audio"),
        {"image": 2, "text": 9},
        {"image: forbidden": 277, "marker: corrupt": 3, "text: empty": 1},
    )
    assert found == {"image": MediaCount(279, {"forbidden": 277}), "audio": MediaCount(0, {})}
    assert (found["image"].lost, found["image"].share) == (277, 277 / 279)
    assert found["audio"].share == 0
    assert media_counts.from_json(media_counts.to_json(found)) == found


def test_counts_of_two_batches_add_up_in_the_order_of_modalities():
    one = {"text": MediaCount(3, {"empty": 1})}
    two = {
        "image": MediaCount(2, {"corrupt": 2}),
        "text": MediaCount(4, {"empty": 1, "timeout": 1}),
    }
    both = media_counts.added(one, two)
    assert list(both) == ["image", "text"]
    assert both["text"] == MediaCount(7, {"empty": 2, "timeout": 1})
    assert both["image"] == MediaCount(2, {"corrupt": 2})


def test_details_of_unreadable_records_name_their_flaws():
    details = ["image: not_found; audio: corrupt", "image: not_found", ""]
    assert media_counts.flaws_of(details) == {"image: not_found": 2, "audio: corrupt": 1}


@pytest.mark.parametrize(
    ("lost", "had", "limit", "is_over"),
    [
        (3, 3, 0.5, True),
        (2, 3, 0.5, True),
        (5, 10, 0.5, False),
        (1, 1, 0.5, False),  # one broken file refuses no run
        (2, 2, 1.0, False),
        (2, 1000, 0.0, True),
        (1, 1000, 0.0, False),
        (0, 0, 0.0, False),
    ],
)
def test_a_modality_is_over_its_limit_from_two_lost_media_on(lost, had, limit, is_over):
    media = {"image": MediaCount(had, {"corrupt": lost} if lost else {})}
    assert IssuesLimits(limit).over(media) == (["image"] if is_over else [])
    assert (IssuesLimits(limit).refusal(media) is not None) == is_over


def test_a_refusal_names_modalities_shares_the_commonest_flaws_and_remedies():
    media = {
        "image": MediaCount(279, {"forbidden": 270, "corrupt": 7}),
        "audio": MediaCount(3, {"not_found": 3}),
        "text": MediaCount(279, {"empty": 1}),
    }
    assert IssuesLimits().refusal(media) == (
        "audio: 3 of 3 media are not used (100.0%; most often: not_found, 3), over the limit of "
        "50.0%, image: 277 of 279 media are not used (99.3%; most often: forbidden, 270), over the "
        "limit of 50.0%; nothing is published: deliver the files (relative paths are tried against "
        "the records file's folder, then each --media-root), and name their folder with "
        "--media-root, or give this user the right to read them, or raise --issues-limit"
    )


def test_what_is_given_wins_over_the_spec_and_the_spec_over_the_default():
    what = loading.parse(SPEC)
    of_spec = IssuesLimits.of(what, None)
    assert (of_spec.of_modality("image"), of_spec.of_modality("text")) == (0.9, 0.5)
    given = IssuesLimits.of(what, 0.2)
    assert (given.of_modality("image"), given.of_modality("text")) == (0.2, 0.2)


def test_a_limit_decides_no_feature():
    plain = loading.parse(SPEC.replace("{issues_limit: 0.9}", ""))
    limited = loading.parse(SPEC)
    assert limited.features_json() == plain.features_json()
    assert limited.digest() != plain.digest()
