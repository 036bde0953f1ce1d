"""What the process needs in its environment before TensorFlow is imported, the import, versions."""

import importlib.metadata
import os
import platform
import sys
import tempfile

DEFAULTS = {
    "TF_ENABLE_ONEDNN_OPTS": "1",  # the feature graph and the model take half the CPU time
    # Who is not on Google's machines waits for their metadata server: 5 seconds, not 12.
    "GCE_METADATA_TIMEOUT": "2",
    "GCE_METADATA_DETECT_RETRIES": "2",
}
QUIET = {
    "TF_CPP_MIN_LOG_LEVEL": "2",  # errors only: what TensorFlow says of absent GPUs helps nobody
    "GRPC_VERBOSITY": "ERROR",
    "GLOG_minloglevel": "2",
}
"""What libraries written in C++ read before their first line."""

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
    """Sets `DEFAULTS` where the caller's environment says nothing. Child processes inherit them.

    Args:
        verbose: Whether libraries may speak: `QUIET` is left out.
    """
    for name, value in (DEFAULTS if verbose else DEFAULTS | QUIET).items():
        os.environ.setdefault(name, value)


def load_tensorflow() -> None:
    """Imports TensorFlow and looks for devices, without what its C++ part says about absent GPUs.

    Those lines are written before any setting of TensorFlow's logging is read. They go to a file
    meanwhile, and come out after all where the import fails.
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
    """The versions of Python and of the libraries that features and scores depend on."""
    found = {name: importlib.metadata.version(name) for name in _LIBRARIES}
    return {"python": platform.python_version(), **found}
