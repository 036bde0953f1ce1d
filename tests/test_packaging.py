"""Packaging: the same version everywhere, exact constraints, a complete wheel."""

import ast
import configparser
import importlib.metadata
import re
import subprocess
import tomllib
import zipfile
from pathlib import Path
from typing import Any

import pytest
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

from tests.wheels import build_wheel, variables, write_own_modules
from triad_ml.transforms import extras
from triad_ml.transforms.version import VERSION

ROOT = Path(__file__).resolve().parents[1]
PACKAGES = ("model", "pipelines", "transforms")
NOT_CONSTRAINED = {"triad-ml", "pip"}


def project() -> dict[str, Any]:
    return tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]


def constraint_lines() -> list[str]:
    lines = (ROOT / "constraints.txt").read_text(encoding="utf-8").splitlines()
    return [line for line in lines if not line.startswith("#")]


def constraints() -> dict[str, str]:
    pairs = (line.split("==") for line in constraint_lines())
    return {canonicalize_name(name): version for name, version in pairs}


def requirements() -> list[Requirement]:
    extras = project()["optional-dependencies"]
    return [Requirement(line) for line in sum(extras.values(), project()["dependencies"])]


def test_the_version_stands_in_one_place_and_is_what_is_installed():
    assert project()["dynamic"] == ["version"]
    assert "version" not in project()
    assert importlib.metadata.version("triad-ml") == VERSION


def test_the_changelog_has_a_section_for_the_version():
    assert f"## [{VERSION}]" in (ROOT / "CHANGELOG.md").read_text(encoding="utf-8")


def test_setup_py_is_only_a_shim():
    _, imported, call = ast.parse((ROOT / "setup.py").read_text(encoding="utf-8")).body
    assert ast.unparse(imported) == "from setuptools import setup"
    assert ast.unparse(call) == "setup()"


def test_the_console_command_is_declared():
    assert project()["scripts"] == {"triad": "triad_ml.pipelines.cli.main:main"}


def test_messages_name_the_packages_that_each_extra_declares():
    declared = dict(project()["optional-dependencies"])
    del declared["dev"], declared["docs"]  # only a checkout has tests and documentation
    assert {name: list(packages) for name, packages in extras.REQUIREMENTS.items()} == declared


def test_constraints_are_exact_versions_without_urls_sorted_and_once_each():
    lines = constraint_lines()
    assert [line for line in lines if not re.fullmatch(r"[\w.-]+==[\w.!+]+", line)] == []
    names = [canonicalize_name(line.split("==")[0]) for line in lines]
    assert len(set(names)) == len(names)
    assert lines == sorted(lines, key=lambda line: (line.upper(), line))


def test_everything_installed_has_the_version_of_the_constraints():
    installed = {
        canonicalize_name(found.name): found.version for found in importlib.metadata.distributions()
    }
    known = constraints()
    differing = {
        name: (version, known.get(name))
        for name, version in installed.items()
        if name not in NOT_CONSTRAINED and known.get(name) != version
    }
    assert differing == {}


def test_every_declared_dependency_is_constrained_to_a_version_that_it_allows():
    known = constraints()
    refused = [
        str(requirement)
        for requirement in requirements()
        if (version := known.get(canonicalize_name(requirement.name))) is None
        or not requirement.specifier.contains(version, prereleases=True)
    ]
    assert refused == []


def test_tensorflow_comes_once_and_not_as_tensorflow_cpu():
    builds = ("tensorflow-cpu", "tensorflow-intel", "tf-nightly", "tf-nightly-cpu")
    assert "tensorflow" in constraints()
    assert [name for name in builds if name in constraints()] == []
    with pytest.raises(importlib.metadata.PackageNotFoundError):
        importlib.metadata.version("tensorflow-cpu")


def test_the_ci_script_runs_the_test_command_of_the_readme():
    script = ROOT / ".ci" / "run"
    assert script.stat().st_mode & 0o111 == 0o111
    assert script.read_text(encoding="utf-8").splitlines()[-1] == "exec make test SLOW=1"
    assert "`make test SLOW=1`" in (ROOT / "README.md").read_text(encoding="utf-8")


@pytest.fixture(scope="module")
def wheel(tmp_path_factory: pytest.TempPathFactory) -> zipfile.ZipFile:
    path = build_wheel(tmp_path_factory.mktemp("checkout") / "triad", ("examples", "tests"))
    assert path.name == f"triad_ml-{VERSION}-py3-none-any.whl"
    return zipfile.ZipFile(path)


def test_the_wheel_holds_every_file_of_the_three_packages_and_no_other(wheel):
    expected = {
        f"triad_ml/{path.relative_to(ROOT)}"
        for package in PACKAGES
        for path in (ROOT / package).rglob("*")
        if path.is_file() and "__pycache__" not in path.parts
    }
    own = {path.name for path in (ROOT / "triad_ml").iterdir() if path.is_file()}
    expected |= {f"triad_ml/{name}" for name in own}
    assert own == {"__init__.py", "commands.py", "py.typed"}
    assert {f"triad_ml/{package}/py.typed" for package in PACKAGES} <= expected
    assert {name for name in wheel.namelist() if ".dist-info/" not in name} == expected


def test_the_wheel_declares_command_licence_and_python(wheel):
    info = f"triad_ml-{VERSION}.dist-info"
    scripts = configparser.ConfigParser()
    scripts.read_string(wheel.read(f"{info}/entry_points.txt").decode())
    assert dict(scripts["console_scripts"]) == {"triad": "triad_ml.pipelines.cli.main:main"}
    metadata = wheel.read(f"{info}/METADATA").decode()
    assert "License-Expression: Apache-2.0\n" in metadata
    assert "Requires-Python: <3.12,>=3.11\n" in metadata
    assert wheel.read(f"{info}/licenses/LICENSE") == (ROOT / "LICENSE").read_bytes()


OWN_ROOT = "import triad, triad_ml; triad_ml.Spec; print(triad.OWNER, triad_ml.__file__)"


@pytest.mark.parametrize(
    ("command", "shown"),
    [
        (["triad", "--version"], f"triad {VERSION}\n"),
        (["python", "-m", "triad_ml.pipelines.cli", "--version"], f"triad {VERSION}\n"),
        (["python", "-c", OWN_ROOT], "Fugue {site}/triad_ml/__init__.py\n"),
    ],
    ids=["command", "module", "import"],
)
def test_the_wheel_alone_works_beside_a_users_modules_with_names_of_ours(
    installed, tmp_path, command, shown
):
    write_own_modules(tmp_path)
    (site,) = installed.parent.glob("lib/*/site-packages")
    run = subprocess.run(
        command, cwd=tmp_path, env=variables(installed), capture_output=True, text=True
    )
    assert (run.returncode, run.stdout, run.stderr) == (0, shown.format(site=site), "")
