"""librosa: imported at its first use alone, by preprocessing, and never by scoring."""

import ast
import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from triad_ml.transforms.errors import OptionsError
from triad_ml.transforms.media import sound_library

ROOT = Path(__file__).resolve().parents[3]
SCORING = """
import importlib, json, sys
for name in sys.argv[1:]:
    importlib.import_module(name)
print(json.dumps(sorted({"librosa", "numba", "llvmlite", "pooch"} & set(sys.modules))))
"""


def importers(name: str) -> dict[str, bool]:
    """Files of the packages that import a library, and whether they do so while they load."""
    found = {}
    for part in ("transforms", "model", "pipelines", "triad_ml"):
        for path in sorted((ROOT / part).glob("**/*.py")):
            tree = ast.parse(path.read_text(encoding="utf-8"))
            for node in ast.walk(tree):
                names = [one.name for one in node.names] if isinstance(node, ast.Import) else []
                names += [node.module or ""] if isinstance(node, ast.ImportFrom) else []
                if any(one.split(".")[0] == name for one in names):
                    found[str(path.relative_to(ROOT))] = node in tree.body
    return found


def test_one_function_imports_librosa():
    assert importers("librosa") == {"transforms/media/sound_library.py": False}
    assert importers("soxr")["transforms/media/audio.py"]


def test_the_modules_of_scoring_load_without_librosa():
    modules = [
        *("triad_ml.pipelines.scoring.pipeline", "triad_ml.pipelines.scoring.loaded_model"),
        *("triad_ml.model.serving.scorer", "triad_ml.transforms.media.effects"),
    ]
    finished = subprocess.run(
        [sys.executable, "-c", SCORING, *modules],
        env={**os.environ, "PYTHONPATH": os.pathsep.join([str(ROOT), *sys.path])},
        capture_output=True,
        text=True,
        check=True,
    )
    assert json.loads(finished.stdout.splitlines()[-1]) == []


def test_without_librosa_the_error_names_keys_and_remedy(monkeypatch):
    monkeypatch.setitem(sys.modules, "librosa", None)  # as Python marks what cannot be imported
    with pytest.raises(OptionsError) as caught:
        sound_library.import_librosa()
    assert str(caught.value) == (
        "modalities.audio: features, mel_scale, and training.augment's stretch and pitch need "
        "librosa; pip install 'librosa>=0.11,<0.12' (the extra 'sound' of triad-ml)"
    )
