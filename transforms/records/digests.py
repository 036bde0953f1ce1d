"""What a record holds, as digests and as a number of bytes; without TensorFlow."""

import hashlib

from triad_ml.transforms.records.values import MODALITIES, CanonicalRecord, RawRecord, Rejected, Uri


def media_bytes(record: RawRecord | CanonicalRecord | Rejected) -> int:
    """Bytes of the media that a record itself holds; a URI holds none."""
    if isinstance(record, Rejected):
        return 0
    media = (getattr(record, name) for name in MODALITIES)
    return sum(len(medium) for medium in media if isinstance(medium, bytes))


def payload_digest(record: RawRecord | CanonicalRecord) -> str:
    """SHA-256 of a record's media: bytes as they are, URIs by their text."""
    digest = hashlib.sha256()
    for name in MODALITIES:
        medium = getattr(record, name)
        content = medium.value.encode(errors="surrogatepass") if isinstance(medium, Uri) else medium
        if isinstance(content, bytes):
            digest.update(b"%s %d\n" % (name.encode(), len(content)))
            digest.update(content)
    return digest.hexdigest()


def content_digest(record: CanonicalRecord) -> str:
    """SHA-256 of all that a record's score, modalities used and issues depend on, hexadecimal."""
    digest = hashlib.sha256(payload_digest(record).encode())
    digest.update("; ".join(record.issues).encode())
    if record.markers or record.offsets:
        # Spans depend on them: of the places the caller's text shows, of the tags what is marked.
        digest.update(repr((sorted(record.markers.items()), record.offsets)).encode())
    return digest.hexdigest()
