"""Message of a preprocessing with too many rejected records."""

import pytest

from triad_ml.pipelines.preprocessing import summary
from triad_ml.transforms.errors import GateError
from triad_ml.transforms.records.values import Position, Reason, Rejected


def rejected(offset: int, reason: Reason, detail: str) -> Rejected:
    return Rejected(f"r{offset}", Position("in/a.csv", offset), "read", reason, detail)


@pytest.mark.parametrize(
    ("found", "said"),
    [
        (
            [(Reason.EMPTY, "a"), (Reason.INVALID_ID, "b"), (Reason.INVALID_ID, "c")],
            "(2 as invalid_id, the first at in/a.csv#1: b); give each record an id: a text or a "
            "whole number, or raise --rejected-limit",
        ),
        (
            [(Reason.UNREADABLE, f"image: {flaw}") for flaw in ("corrupt", "forbidden")]
            + [(Reason.UNREADABLE, "image: forbidden; audio: forbidden")],
            "(3 as unreadable, the first at in/a.csv#0: image: corrupt); name their folder with "
            "--media-root, or give this user the right to read them, or raise --rejected-limit",
        ),
    ],
)
def test_a_refusal_names_the_first_record_of_the_commonest_reason_and_its_remedy(found, said):
    records = [rejected(offset, *one) for offset, one in enumerate(found)]
    with pytest.raises(GateError) as refused:
        summary.check_rejected(5, 2, records, 0.05)
    assert str(refused.value) == f"3 of 5 records are rejected, over the limit of 5.0% {said}"
