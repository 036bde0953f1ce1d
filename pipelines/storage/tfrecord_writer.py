"""Writer of TFRecord files, local or in a bucket."""

import hashlib
import shutil

import tensorflow as tf
from apache_beam.io.filesystem import CompressionTypes
from apache_beam.io.filesystems import FileSystems

from triad_ml.pipelines.storage import opening
from triad_ml.transforms.files.scratch import ScratchFolder


class RecordFile:
    """TFRecord file that is being written; it is complete once `close` has returned.

    A file in a bucket is written to the local disk first and then uploaded as a whole, since
    TensorFlow's own upload would hold the interpreter's lock all the time.

    Args:
        path: Path of the file, local or in a bucket.
        options: Options of TensorFlow's writer.
    """

    def __init__(self, path: str, options: tf.io.TFRecordOptions | None = None) -> None:
        self.path = path
        # It is removed with this object, also if the bundle fails.
        self._scratch = ScratchFolder() if opening.scheme(path) else None
        self._written = str(self._scratch.path / "records") if self._scratch else path
        self._writer = tf.io.TFRecordWriter(self._written, options)

    def write(self, record: bytes) -> None:
        """Adds one record."""
        self._writer.write(record)

    def close(self) -> tuple[int, str]:
        """Completes the file.

        Returns:
            Size in bytes and SHA-256 of the file.
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
