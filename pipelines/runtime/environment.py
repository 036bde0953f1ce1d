"""Environment variables of the process, import of TensorFlow, and versions of the libraries."""

import importlib.metadata
import os
import platform
import sys
import tempfile

DEFAULTS = {
    "TF_ENABLE_ONEDNN_OPTS": "1",  # halves the CPU time of feature graph and model
    # Outside Google Cloud, the search for the metadata server ends after 5 seconds, not 12.
    "GCE_METADATA_TIMEOUT": "2",
    "GCE_METADATA_DETECT_RETRIES": "2",
}
"""Environment variables that are set unless the caller has set them."""

QUIET = {
    "TF_CPP_MIN_LOG_LEVEL": "2",  # errors only, without TensorFlow's notes on absent GPUs
    "GRPC_VERBOSITY": "ERROR",
    "GLOG_minloglevel": "2",
}
"""Environment variables that limit the logging of C++ libraries, which read them when loaded."""

_LIBRARIES = (
    "apache-beam",
    "keras",
    "numpy",
    "pillow",
    "simplejpeg",
    "soundfile",
    "soxr",
    "tensorflow",
    "tensorflow-transform",
)


def prepare(verbose: bool = False) -> None:
    """Sets those of `DEFAULTS` and `QUIET` that are not set yet; child processes inherit them.

    Args:
        verbose: True to leave out `QUIET`, so that libraries log.
    """
    for name, value in (DEFAULTS if verbose else DEFAULTS | QUIET).items():
        os.environ.setdefault(name, value)


def load_tensorflow() -> None:
    """Imports TensorFlow and lists devices, without the messages of its C++ part on absent GPUs.

    TensorFlow writes those messages before it reads any logging setting, so stderr is a temporary
    file meanwhile. If the import fails, the file's content is written to stderr.
    """
    sys.stderr.flush()
    stderr = os.dup(2)
    with tempfile.TemporaryFile() as aside:
        os.dup2(aside.fileno(), 2)
        complete = False
        try:
            import tensorflow as tf

            tf.config.list_physical_devices()
            complete = True
        finally:
            os.dup2(stderr, 2)
            os.close(stderr)
            if not complete:
                aside.seek(0)
                os.write(2, aside.read())


def versions() -> dict[str, str]:
    """Returns the versions of Python and of the libraries on which features and scores depend."""
    libraries = {name: importlib.metadata.version(name) for name in _LIBRARIES}
    return {"python": platform.python_version(), **libraries}
