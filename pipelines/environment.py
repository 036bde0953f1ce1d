"""What the process needs in its environment before TensorFlow is imported."""

import os

DEFAULTS = {
    "TF_ENABLE_ONEDNN_OPTS": "1",  # the feature graph and the model take half the CPU time
    "TF_CPP_MIN_LOG_LEVEL": "2",  # errors only: what TensorFlow says of absent GPUs helps nobody
}


def prepare() -> None:
    """Sets `DEFAULTS` where the caller's environment says nothing. Child processes inherit them."""
    for name, value in DEFAULTS.items():
        os.environ.setdefault(name, value)
