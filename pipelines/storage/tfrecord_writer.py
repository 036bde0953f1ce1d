"""TFRecord files that workers write, on their own machine or into a bucket."""

import hashlib
import shutil

import tensorflow as tf
from apache_beam.io.filesystem import CompressionTypes
from apache_beam.io.filesystems import FileSystems

from triad_ml.pipelines.storage import opening
from triad_ml.transforms.files.scratch import ScratchFolder


class RecordFile:
    """One file that is being written; it is there once `close` has returned.

    What goes to a bucket is written to the local disk first and uploaded whole: TensorFlow's own
    upload would hold the interpreter's lock as long as it takes.

    Args:
        path: Where it belongs.
        options: Of TensorFlow's writer.
    """

    def __init__(self, path: str, options: tf.io.TFRecordOptions | None = None) -> None:
        self.path = path
        # Removed with this object, whatever becomes of the bundle.
        self._scratch = ScratchFolder() if opening.scheme(path) else None
        self._written = str(self._scratch.path / "records") if self._scratch else path
        self._writer = tf.io.TFRecordWriter(self._written, options)

    def write(self, record: bytes) -> None:
        """Adds one record."""
        self._writer.write(record)

    def close(self) -> tuple[int, str]:
        """Completes the file.

        Returns:
            Its bytes and its SHA-256.
        """
        self._writer.close()
        with open(self._written, "rb") as file:
            digest = hashlib.file_digest(file, "sha256").hexdigest()
            size = file.tell()
            if self._scratch:
                file.seek(0)
                plain = CompressionTypes.UNCOMPRESSED
                with FileSystems.create(self.path, compression_type=plain) as target:
                    shutil.copyfileobj(file, target, opening.BUFFER_BYTES)
                self._scratch.close()
        return size, digest
