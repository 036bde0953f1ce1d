"""Planted faults of a machine: `triad doctor` names each, exits with 12, and submits nothing.

The command runs in separate virtual environments, which the tests make, and separate processes.
"""

import json
import os
import socket
import subprocess
import venv
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import apache_beam as beam
import pytest

from tests.reliability import flaky_storage
from tests.reliability.flaky_storage import FlakyStorage

ROOT = Path(__file__).resolve().parents[2]

LIBRARIES = Path(beam.__file__).parents[1]
"""The folder of installed packages; what its own .pth files add is not in a path that names it."""

Finding = dict[str, str]


def environment_in(folder: Path, *paths: object) -> Path:
    """Makes an environment that has these folders in its path, and returns its Python."""
    venv.create(folder, with_pip=False)
    packages = next(folder.glob("lib/python*/site-packages"))
    (packages / "all.pth").write_text("".join(f"{path}\n" for path in paths))
    return folder / "bin" / "python"


@pytest.fixture(scope="module")
def installed(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Python of an environment in which everything is, this checkout too."""
    folder = tmp_path_factory.mktemp("installed")
    return environment_in(folder, ROOT, LIBRARIES)


@pytest.fixture(scope="module")
def spec(generated: Path) -> Path:
    return generated.parents[1] / "spec.yaml"


def doctor(
    python: Path, *arguments: object, code: int, environment: Mapping[str, str | None] | None = None
) -> list[Finding]:
    """What the command finds; a value of None removes a variable."""
    changed = {"PYTHONPATH": None, "TF_USE_LEGACY_KERAS": None, **(environment or {})}
    merged: dict[str, Any] = {**os.environ, **changed}
    finished = subprocess.run(
        [
            str(python),
            "-m",
            "triad_ml.pipelines.cli.main",
            "doctor",
            "--json",
            *map(str, arguments),
        ],
        cwd=python.parent,
        env={name: value for name, value in merged.items() if value is not None},
        capture_output=True,
        text=True,
        check=False,
    )
    assert finished.returncode == code, finished.stderr + finished.stdout
    assert "Traceback" not in finished.stderr
    said = json.loads(finished.stdout)
    assert said["healthy"] is (code == 0)
    for one in said["findings"]:
        assert bool(one["why"] and one["remedy"]) is (one["level"] != "ok"), one
    return list(said["findings"])


def errors(found: list[Finding]) -> list[tuple[str, str]]:
    return [(one["check"], one["what"]) for one in found if one["level"] == "error"]


def test_without_a_fault_all_is_well_and_nothing_is_written(
    installed, trained, spec, generated, tmp_path
):
    output = tmp_path / "scores"
    found = doctor(
        installed,
        *("--model", trained, "--spec", spec, "--input", generated, "--output", output),
        code=0,
    )
    assert [one["check"] for one in found] == [
        "versions",
        "keras",
        "runner",
        "memory",
        "input",
        "output",
        "model",
        "spec",
        "records",
        *("media", "media", "media"),
        "functions",
    ]
    assert errors(found) == []
    said = {one["check"]: one["what"] for one in found}
    assert said["runner"] == "local is Beam's FnApiRunner, in one process; nothing is downloaded"
    assert said["model"] == f"{trained}: whole, and made with the versions of here"
    assert said["functions"].startswith("a clean interpreter loads all functions: ")
    counts = [part.split(" of ")[0] for part in said["functions"].split(": ")[1].split(", ")]
    assert len(counts) == 3
    assert all(int(count) > 20 for count in counts)
    assert list(tmp_path.iterdir()) == []


def test_a_package_that_only_the_main_program_finds(trained, tmp_path):
    """It is on PYTHONPATH: here all works, and no worker has it."""
    python = environment_in(tmp_path / "environment", LIBRARIES)
    found = doctor(python, "--model", trained, code=12, environment={"PYTHONPATH": str(ROOT)})
    named = [what for check, what in errors(found) if check == "functions"]
    assert named
    for what in named:
        assert what.startswith("score: a worker cannot load step ")
        assert ": ModuleNotFoundError: No module named '" in what
    assert any("'triad_ml'" in what for what in named)


def test_another_version_of_a_library(installed, tmp_path):
    python = environment_in(tmp_path / "environment", ROOT, LIBRARIES)
    packages = next((tmp_path / "environment").glob("lib/python*/site-packages"))
    other = packages / "soxr-0.1.dist-info"
    other.mkdir()
    (other / "METADATA").write_text("Metadata-Version: 2.1\nName: soxr\nVersion: 0.1\n")
    found = errors(doctor(python, code=12))
    assert ("versions", "soxr is 0.1, and triad needs soxr>=1.0") in found
    assert [what.split(",")[0] for _, what in found] == ["soxr is 0.1", "soxr is 0.1"]


def test_an_output_that_cannot_be_written(installed, tmp_path):
    file = tmp_path / "file"
    file.write_text("this is no folder\n")
    assert errors(doctor(installed, "--output", file / "scores", code=12)) == [
        ("output", f"{file / 'scores'} ({file}): file exists")
    ]


def test_an_image_of_another_beam(installed):
    image = "registry.example/triad:1.0-beam2.60.0-py3.11"
    arguments = ("--runner", "dataflow", "--", f"--sdk_container_image={image}")
    found = errors(doctor(installed, *arguments, code=12))
    assert [one for one in found if one[0] == "image"] == [
        ("image", f"{image} has Beam 2.60.0 (here {beam.__version__})")
    ]


def test_folders_that_workers_elsewhere_do_not_see(installed, tmp_path):
    image = f"registry.example/triad:1.0-beam{beam.__version__}-py3.11"
    found = doctor(
        installed,
        *("--runner", "dataflow", "--model", tmp_path / "model"),
        *("--", f"--sdk_container_image={image}", f"--temp_location={tmp_path}"),
        code=12,
    )
    assert [what for check, what in errors(found) if check == "reach"] == [
        f"--model {tmp_path / 'model'}: is on this machine",
        f"--temp_location {tmp_path}: is on this machine",
    ]


def test_no_java(installed, tmp_path):
    nothing = {"PATH": str(installed.parent), "JAVA_HOME": None}
    found = doctor(installed, "--runner", "flink", code=12, environment=nothing)
    assert ("java", "there is no java on the PATH") in errors(found)


def test_too_little_memory_for_so_many_processes(installed):
    many = ("--direct_running_mode=multi_processing", "--direct_num_workers=100000")
    ((check, what),) = errors(doctor(installed, "--", *many, code=12))
    assert check == "memory"
    assert what.endswith(" GiB of memory by the machine, and 400000 GiB are needed") or (
        " GiB of memory by the " in what
    )


def test_a_bucket_that_does_not_answer(installed, storage_server: FlakyStorage):
    with storage_server.faults(flaky_storage.after(0, "refused")):
        found = doctor(
            installed,
            *("--output", f"{storage_server.uri}/scores"),
            code=12,
            environment=storage_server.environment,
        )
    ((check, what),) = errors(found)
    assert check == "output"
    assert what.startswith(f"{storage_server.uri}/scores: ")


def test_a_bucket_that_can_be_written_is_left_as_it_was(installed, storage_server: FlakyStorage):
    storage_server.clear()
    place = f"{storage_server.uri}/scores"
    found = doctor(installed, "--output", place, code=0, environment=storage_server.environment)
    assert [one["what"] for one in found if one["check"] == "output"] == [
        f"{place}: can be written to"
    ]
    assert storage_server.objects() == {}
    assert any(request.method == "POST" for request in storage_server.seen)


def test_records_in_a_bucket_that_does_not_answer(installed):
    nobody = {"STORAGE_EMULATOR_HOST": f"http://127.0.0.1:{closed_port()}"}
    patience = {"NO_GCE_CHECK": "true", "TRIAD_GCS_TIMEOUT": "0.5", "TRIAD_GCS_DEADLINE": "1"}
    found = doctor(installed, "--input", "gs://in/*.jsonl", code=12, environment=nobody | patience)
    ((check, what),) = errors(found)
    assert check == "input"
    assert what.startswith("gs://in/.triad-doctor: ")


def test_a_job_server_that_does_not_answer(installed):
    place = f"localhost:{closed_port()}"
    with socket.create_server(("127.0.0.1", 0)) as server:
        master = f"127.0.0.1:{server.getsockname()[1]}"
        services = (f"--job_endpoint={place}", f"--flink_master={master}")
        found = doctor(installed, "--runner", "flink", "--", *services, code=12)
    java = [one for one in errors(found) if one[0] == "java"]
    assert [one for one in errors(found) if one not in java] == [
        ("cluster", f"--job_endpoint {place}: nothing answers (Connection refused)")
    ]
    assert [one["what"] for one in found if one["check"] == "cluster"][1:] == [
        f"--flink_master {master}: answers"
    ]


def closed_port() -> int:
    """One at which nobody listens."""
    with socket.create_server(("127.0.0.1", 0)) as server:
        return int(server.getsockname()[1])


def test_an_option_that_beam_does_not_know(installed):
    assert errors(doctor(installed, "--", "--direct_num_wrokers=2", code=12)) == [
        ("options", "after --: Beam knows no option '--direct_num_wrokers'")
    ]


def test_a_model_with_a_damaged_file(installed, own_model):
    path = own_model / "analysis.json"
    path.write_text(path.read_text() + " ")
    assert errors(doctor(installed, "--model", own_model, code=12)) == [
        ("model", f"{path}: is not the file that was exported")
    ]


def test_a_warning_is_no_fault(installed):
    found = doctor(installed, code=0, environment={"TF_USE_LEGACY_KERAS": "0"})
    assert [(one["check"], one["what"]) for one in found if one["level"] == "warning"] == [
        ("keras", "TF_USE_LEGACY_KERAS is set to '0'")
    ]
