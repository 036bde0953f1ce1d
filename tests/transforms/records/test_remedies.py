"""Remedies of all flaws and reasons."""

from triad_ml.transforms.records import remedies
from triad_ml.transforms.records.values import Flaw, Reason


def test_each_flaw_and_each_reason_has_a_remedy_in_one_line():
    assert set(remedies.OF_FLAW) == set(Flaw)
    assert set(remedies.OF_REASON) == set(Reason)
    for text in (*remedies.OF_FLAW.values(), *remedies.OF_REASON.values()):
        assert text
        assert "\n" not in text
