"""Remedies, one line for each flaw of a medium and each reason of a rejection."""

from collections.abc import Mapping

from triad_ml.transforms.records.values import Flaw, Reason

_BROKEN = "ask the source to send the files again"

OF_FLAW: Mapping[Flaw, str] = {
    Flaw.NOT_FOUND: "deliver the files (relative paths are tried against the records file's "
    "folder, then each --media-root)",
    Flaw.FORBIDDEN: "name their folder with --media-root, or give this user the right to read them",
    Flaw.TOO_LARGE: "make them smaller, or raise limits in the spec",
    Flaw.UNSUPPORTED: "deliver a format that is read",
    Flaw.TRUNCATED: _BROKEN,
    Flaw.CORRUPT: _BROKEN,
    Flaw.NOT_FINITE: _BROKEN,
    Flaw.NOT_UTF8: "write the texts as UTF-8",
    Flaw.EMPTY: _BROKEN,
    Flaw.TIMEOUT: "raise limits.decode_seconds in the spec, or give the machine less other work",
}
"""Remedy that makes media with a flaw usable, by flaw."""

OF_REASON: Mapping[Reason, str] = {
    Reason.UNPARSABLE: "mend what writes the records: the detail says what is wrong",
    Reason.INVALID_ID: "give each record an id: a text or a whole number",
    Reason.DUPLICATE_ID: "give each record an id of its own, or name each delivery once",
    Reason.EMPTY: "put each medium into a column named image, audio or text",
    Reason.UNREADABLE: "see the media that are not used",
    Reason.MODEL_FAILED: "report the records as a defect",
    Reason.TOO_LARGE: "the detail names the limit: write smaller records, or raise that of the "
    "topic",
}
"""Remedy that keeps such records from being rejected, by reason."""
