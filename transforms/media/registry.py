"""Registry of media types: canonical form, checks and file suffixes of each modality."""

import abc
from collections.abc import Mapping

from triad_ml.transforms.media import audio, image, text
from triad_ml.transforms.records.text_offsets import Offsets
from triad_ml.transforms.spec.modalities import Limits
from triad_ml.transforms.spec.spec import Spec


class MediaType(abc.ABC):
    """Rules for the media of one modality.

    Attributes:
        suffixes: Suffixes, in lower case, of files that are media of this modality if their content
            does not show it. Some of these formats cannot be read: such a file becomes a rejected
            record, so that its name is reported.
        told_by_name: True if a suffix decides even against the content.
    """

    suffixes: tuple[str, ...]
    told_by_name: bool = False

    @abc.abstractmethod
    def canonical(self, content: bytes, spec: Spec) -> bytes:
        """Makes a medium canonical; returns a canonical one unchanged.

        Raises:
            MediumError: If it cannot be used.
        """

    def begins(self, head: bytes) -> bool:
        """Returns True if the first bytes of a file are those of a medium of this modality."""
        return False

    def most_bytes(self, limits: Limits) -> int:
        """Returns the largest stored size that is read, in bytes."""
        return limits.media_bytes

    def check(self, canonical: bytes) -> None:
        """Decodes a canonical medium as the feature graph does, if that can fail.

        Raises:
            MediumError: If the graph would fail on the medium.
        """
        return None

    def offsets(self, content: bytes, canonical: bytes, spec: Spec) -> Offsets | None:
        """Returns the offsets of the canonical characters in the medium as stored.

        Returns:
            None if both are the same, or no task needs the offsets.
        """
        return None

    def graph_bytes(self, size: int) -> int:
        """Estimates the memory of a canonical medium in the feature graph, in bytes.

        Args:
            size: Bytes of the canonical medium.
        """
        return size


class Image(MediaType):
    """Media type of images."""

    suffixes = (
        *(".jpg", ".jpeg", ".jpe", ".jfif", ".png", ".webp", ".gif", ".bmp"),
        *(".tif", ".tiff", ".avif", ".heic", ".heif", ".ppm", ".pgm", ".pbm", ".pnm"),
    )

    def canonical(self, content: bytes, spec: Spec) -> bytes:
        return image.canonical(content, spec.limits)

    def begins(self, head: bytes) -> bool:
        return image.begins_as_picture(head)

    def check(self, canonical: bytes) -> None:
        from triad_ml.transforms.media import image_check  # imports TensorFlow only if needed

        image_check.check_image(canonical)


class Audio(MediaType):
    """Media type of audio."""

    suffixes = (
        *(".wav", ".flac", ".ogg", ".oga", ".opus", ".mp3", ".m4a", ".aac"),
        *(".aif", ".aiff", ".aifc", ".au", ".snd"),
    )

    def canonical(self, content: bytes, spec: Spec) -> bytes:
        assert spec.modalities.audio is not None
        return audio.canonical(content, spec.modalities.audio, spec.limits)

    def begins(self, head: bytes) -> bool:
        return audio.begins_as_sound(head)


class Text(MediaType):
    """Media type of texts."""

    suffixes = (".txt",)
    told_by_name = True

    def canonical(self, content: bytes, spec: Spec) -> bytes:
        return text.canonical(content, spec.limits)

    def most_bytes(self, limits: Limits) -> int:
        return limits.text_bytes

    def offsets(self, content: bytes, canonical: bytes, spec: Spec) -> Offsets | None:
        return text.places(content, canonical) if spec.places_spans else None

    def graph_bytes(self, size: int) -> int:
        return 128 * size  # the graph splits texts into characters


MEDIA: Mapping[str, MediaType] = {"image": Image(), "audio": Audio(), "text": Text()}
"""Media types by modality, in the order of `MODALITIES`."""
