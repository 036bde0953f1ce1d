"""Names of runners and schemes are compared in their registries alone."""

import ast
import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from triad_ml.pipelines.runners import registry
from triad_ml.pipelines.streaming import endpoints, rules
from triad_ml.pipelines.streaming.jobs.registry import JOBS
from triad_ml.transforms import hashing

ROOT = hashing.ROOT / "pipelines"
OWN = (
    "runners/",
    "streaming/kafka/endpoint.py",
    "streaming/pubsub/endpoint.py",
    "streaming/endpoints.py",
    "streaming/rules.py",
)
"""Files that may know a name; a kind's own package, such as `streaming/kafka/`, too."""

RUNNERS = {*registry.RUNNERS, *registry.ALIASES}
RUNNERS |= {runner.beam_name for runner in registry.RUNNERS.values()}
SCHEMES = {name for name in endpoints.SCHEMES if name not in ("", "gs")}  # storage knows buckets
NAMES = {name.lower() for name in RUNNERS | SCHEMES} | {f"{name}://" for name in SCHEMES}


def literals(node: ast.expr) -> set[str]:
    return {
        one.value.lower()
        for one in ast.walk(node)
        if isinstance(one, ast.Constant) and isinstance(one.value, str)
    }


def asked(tree: ast.AST) -> Iterator[int]:
    """The lines in which a name is compared, matched, or looked for at an address's beginning."""
    for node in ast.walk(tree):
        found: set[str] = set()
        if isinstance(node, ast.Compare):
            found = {text for side in (node.left, *node.comparators) for text in literals(side)}
        elif isinstance(node, ast.MatchValue):
            found = literals(node.value)
        elif isinstance(node, ast.Call) and isinstance(node.func, ast.Attribute):
            if node.func.attr in ("startswith", "removeprefix"):
                found = {text for argument in node.args for text in literals(argument)}
        if found & NAMES:
            yield node.lineno if hasattr(node, "lineno") else node.value.lineno


def test_no_file_but_a_registry_asks_for_the_name_of_a_runner_or_scheme():
    found = []
    for path in sorted(ROOT.rglob("*.py")):
        name = path.relative_to(ROOT).as_posix()
        own = (*OWN, *(f"streaming/{scheme}/" for scheme in SCHEMES), "streaming/folder/")
        if not name.startswith(own):
            tree = ast.parse(path.read_text(encoding="utf-8"))
            found += [f"{name}:{line}" for line in asked(tree)]
    assert found == []


@pytest.mark.parametrize(
    "code",
    [
        'runner == "dataflow"',
        'config.runner.lower() in ("local", "FnApiRunner")',
        'place.startswith(("kafka://", "pubsub://"))',
        'match scheme:\n    case "pubsub":\n        pass',
    ],
)
def test_a_ladder_on_names_is_found(code: str):
    assert list(asked(ast.parse(code)))


def test_each_runner_of_streams_has_rules_and_a_job():
    assert list(JOBS) == list(rules.RULES) == list(registry.RUNNERS)


def test_each_runner_that_an_endpoint_names_is_a_runner():
    named = {one for kind in endpoints.SCHEMES.values() for one in kind.read_by | kind.written_by}
    assert named == set(registry.RUNNERS)


def test_checked_settings_of_a_stream_load_neither_beam_nor_a_client():
    code = (
        "import sys\n"
        "from triad_ml.pipelines.streaming.config import StreamConfig\n"
        "topics = [f'kafka://h:1/{name}' for name in ('in', 'out', 'rejected')]\n"
        "StreamConfig('m', *topics, runner='flink', state='s')\n"
        "print(sorted({'apache_beam', 'confluent_kafka', 'tensorflow'} & set(sys.modules)))"
    )
    said = subprocess.run(
        [sys.executable, "-c", code],
        env={**os.environ, "PYTHONPATH": str(hashing.ROOT)},
        capture_output=True,
        text=True,
        check=True,
    )
    assert said.stdout == "[]\n"


def test_the_names_of_packages_are_those_of_schemes():
    for scheme in SCHEMES:
        assert Path(ROOT, "streaming", scheme, "endpoint.py").is_file()
