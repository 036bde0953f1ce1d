"""Training: features -> fused model -> SavedModel, with its evaluation beside it."""

import dataclasses
import datetime
import hashlib
import importlib.metadata
import json
import logging
import os
import platform
import shutil
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import keras
import numpy as np
import numpy.typing as npt

from model import artefact, data, evaluation, export, training
from pipelines import json_files, preprocessed
from pipelines.config import TrainConfig
from transforms import digests
from transforms.records import MODALITIES
from transforms.spec import Spec
from transforms.version import VERSION

BATCH_SIZE = 32
"""Rows of every call of an exported model."""

_LIBRARIES = ("tensorflow", "tensorflow-transform", "keras", "apache-beam", "numpy", "pillow",
              "librosa", "soundfile", "soxr")
_log = logging.getLogger(__name__)
