"""Python API: a short list of names, each imported when it is used."""

import ast
import dataclasses
import inspect
import subprocess
import sys
from pathlib import Path

import pytest

import triad_ml
from triad_ml.pipelines.preprocessing.config import PreprocessConfig
from triad_ml.pipelines.report.config import ReportConfig
from triad_ml.pipelines.scoring.config import ScoreConfig
from triad_ml.pipelines.streaming.config import StreamConfig
from triad_ml.pipelines.training.config import TrainConfig
from triad_ml.pipelines.verification.config import ParityConfig
from triad_ml.transforms.errors import OptionsError

ROOT = Path(triad_ml.__file__).parent
COMMANDS = {
    "preprocess": PreprocessConfig,
    "train": TrainConfig,
    "score": ScoreConfig,
    "stream": StreamConfig,
    "parity": ParityConfig,
    "report": ReportConfig,
}


def child(program: str) -> str:
    found = subprocess.run(
        [sys.executable, "-c", program],
        cwd=ROOT.parent,
        capture_output=True,
        text=True,
        check=True,
    )
    return found.stdout.strip()


def test_the_import_alone_loads_no_heavy_library():
    heavy = ("tensorflow", "keras", "apache_beam", "numpy", "pyarrow", "pydantic")
    program = f"import sys, triad_ml; print([name for name in {heavy} if name in sys.modules])"
    assert child(program) == "[]"


def test_errors_and_the_listing_of_names_load_none_either():
    program = (
        "import sys, triad_ml; dir(triad_ml); triad_ml.TriadError; triad_ml.__version__;"
        "print(sorted({'tensorflow', 'apache_beam', 'numpy'} & sys.modules.keys()))"
    )
    assert child(program) == "[]"


def test_every_name_is_there_and_listed():
    assert len(set(triad_ml.__all__)) == len(triad_ml.__all__)
    assert set(triad_ml.__all__) <= set(dir(triad_ml))
    assert all(getattr(triad_ml, name) is not None for name in triad_ml.__all__)


def test_type_checkers_see_the_same_names_at_the_same_places():
    tree = ast.parse((ROOT / "__init__.py").read_text(encoding="utf-8"))
    (block,) = [node for node in tree.body if isinstance(node, ast.If)]
    seen = {
        alias.asname or alias.name: f"{node.module}:{alias.name}"
        for node in block.body
        if isinstance(node, ast.ImportFrom)
        for alias in node.names
    }
    homes = {
        name: home if ":" in home else f"{home}:{name}" for name, home in triad_ml._HOMES.items()
    }
    assert seen == homes
    assert set(seen) == set(triad_ml.__all__)
    assert (ROOT / "py.typed").is_file()


def test_another_name_is_an_attribute_error():
    with pytest.raises(AttributeError, match="module 'triad_ml' has no attribute 'scores'"):
        _ = triad_ml.scores


@pytest.mark.parametrize("name", COMMANDS)
def test_a_command_takes_the_fields_of_its_config_by_keyword(name):
    parameters = inspect.signature(getattr(triad_ml, name)).parameters
    fields = {field.name: field for field in dataclasses.fields(COMMANDS[name])}
    assert list(parameters) == list(fields)
    for key, parameter in parameters.items():
        assert parameter.kind is inspect.Parameter.KEYWORD_ONLY
        if parameter.default is not inspect.Parameter.empty:
            assert parameter.default == fields[key].default
    with pytest.raises(TypeError, match=rf"{name}\(\) takes its settings by keyword only"):
        getattr(triad_ml, name)("x")


def test_a_string_where_a_list_belongs_is_refused_with_the_remedy():
    with pytest.raises(OptionsError, match="inputs: must be a list of strings, got 'a.jsonl'"):
        triad_ml.score(model="m", inputs="a.jsonl", output="s", date="2026-11-24")


def test_the_checks_of_the_config_hold():
    with pytest.raises(OptionsError, match="--rejected-limit: must be a share from 0 to 1, got 2"):
        triad_ml.score(
            model="m", inputs=["a.jsonl"], output="s", date="2026-11-24", rejected_limit=2
        )
