"""The registry of media: by modality, the rules for a medium before it becomes a feature."""

import abc
from collections.abc import Mapping

from triad_ml.transforms.media import audio, image, text
from triad_ml.transforms.records.text_offsets import Offsets
from triad_ml.transforms.spec.modalities import Limits
from triad_ml.transforms.spec.spec import Spec


class MediaType(abc.ABC):
    """The rules for the media of one modality.

    Attributes:
        suffixes: By the end of a file's name, in lower case, the files that are media of this
            modality where their content does not tell it. Not all of these formats are read: a file
            of another one is a record that is rejected by name.
        told_by_name: The name of a file decides, whatever its content looks like.
    """

    suffixes: tuple[str, ...]
    told_by_name: bool = False

    @abc.abstractmethod
    def canonical(self, content: bytes, spec: Spec) -> bytes:
        """Makes a medium canonical: a canonical one comes back unchanged.

        Raises:
            MediumError: Where it cannot be used.
        """

    def begins(self, head: bytes) -> bool:
        """Tells from the first bytes of a file that it is a medium of this modality."""
        return False

    def most_bytes(self, limits: Limits) -> int:
        """The largest size, as stored, that is read at all."""
        return limits.media_bytes

    def check(self, canonical: bytes) -> None:
        """Decodes a canonical medium as the feature graph does, where that can fail.

        Raises:
            MediumError: Where the graph would fail on it.
        """
        return None

    def offsets(self, content: bytes, canonical: bytes, spec: Spec) -> Offsets | None:
        """The places of the canonical characters in the medium as stored, where a task needs them.

        None also says that they are the same.
        """
        return None

    def graph_bytes(self, size: int) -> int:
        """About how many bytes a canonical medium of this size takes in the feature graph."""
        return size


class Image(MediaType):
    """Pictures."""

    suffixes = (
        *(".jpg", ".jpeg", ".jpe", ".jfif", ".png", ".webp", ".gif", ".bmp"),
        *(".tif", ".tiff", ".avif", ".heic", ".heif", ".ppm", ".pgm", ".pbm", ".pnm"),
    )

    def canonical(self, content: bytes, spec: Spec) -> bytes:
        return image.canonical(content, spec.limits)

    def begins(self, head: bytes) -> bool:
        return image.begins_as_picture(head)

    def check(self, canonical: bytes) -> None:
        from triad_ml.transforms.media import image_check  # TensorFlow is not needed without

        image_check.check_image(canonical)


class Audio(MediaType):
    """Sounds."""

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
    """Texts."""

    suffixes = (".txt",)
    told_by_name = True

    def canonical(self, content: bytes, spec: Spec) -> bytes:
        return text.canonical(content, spec.limits)

    def most_bytes(self, limits: Limits) -> int:
        return limits.text_bytes

    def offsets(self, content: bytes, canonical: bytes, spec: Spec) -> Offsets | None:
        return text.places(content, canonical) if spec.places_spans else None

    def graph_bytes(self, size: int) -> int:
        return 128 * size  # the graph cuts texts into characters


MEDIA: Mapping[str, MediaType] = {"image": Image(), "audio": Audio(), "text": Text()}
"""By modality, in the order of `MODALITIES`."""
