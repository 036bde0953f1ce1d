"""Digests and sizes of the content of records; without TensorFlow."""

import hashlib

from triad_ml.transforms.records.values import MODALITIES, CanonicalRecord, RawRecord, Rejected, Uri


def media_bytes(record: RawRecord | CanonicalRecord | Rejected) -> int:
    """Counts the bytes of the media in a record; a URI counts as 0."""
    if isinstance(record, Rejected):
        return 0
    media = (getattr(record, name) for name in MODALITIES)
    return sum(len(medium) for medium in media if isinstance(medium, bytes))


def payload_digest(record: RawRecord | CanonicalRecord) -> str:
    """Returns the SHA-256 of a record's media, hexadecimal: of bytes, or of a URI's text."""
    digest = hashlib.sha256()
    for name in MODALITIES:
        medium = getattr(record, name)
        content = medium.value.encode(errors="surrogatepass") if isinstance(medium, Uri) else medium
        if isinstance(content, bytes):
            digest.update(b"%s %d\n" % (name.encode(), len(content)))
            digest.update(content)
    return digest.hexdigest()


def content_digest(record: CanonicalRecord) -> str:
    """Returns the SHA-256 of all that a record's scores and issues depend on, hexadecimal.

    That is its media, issues, markers and text offsets.
    """
    digest = hashlib.sha256(payload_digest(record).encode())
    digest.update("; ".join(record.issues).encode())
    if record.markers or record.offsets:
        # Tagged spans depend on both: their tags on the markers, their positions on the offsets.
        digest.update(repr((sorted(record.markers.items()), record.offsets)).encode())
    return digest.hexdigest()
