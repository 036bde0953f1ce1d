"""Single checks of the doctor: functions, versions, images, memory, Java."""

import itertools
import json
import os
import platform
import re
import sys
from collections.abc import Iterator
from pathlib import Path
from pickle import PicklingError

import apache_beam as beam
import pytest

from tests import media, records
from triad_ml.pipelines.doctor import (
    endpoints,
    findings,
    folders,
    machine,
    run,
    samples,
    versions,
    worker_functions,
    worker_image,
)
from triad_ml.pipelines.doctor.config import DoctorConfig
from triad_ml.pipelines.doctor.findings import Finding
from triad_ml.pipelines.runtime import environment
from triad_ml.transforms.errors import OptionsError
from triad_ml.transforms.records import remedies
from triad_ml.transforms.records.values import Flaw
from triad_ml.transforms.spec import loading

PYTHON = ".".join(platform.python_version_tuple()[:2])
GIB = 2**30


class Secretive:
    """An argument that refuses to be pickled."""

    def __reduce__(self) -> str:
        raise PicklingError("this one stays here")


class _HoldsDoFn(beam.DoFn):
    """Cannot travel once it is set up, as a DoFn must not be before it is submitted."""

    def __init__(self, held: object) -> None:
        self.held = held

    def process(self, element: int) -> Iterator[int]:
        yield element


def of_functions(define: worker_functions.Define) -> list[Finding]:
    """Without what is said of the installed code, which may be another checkout's."""
    return [one for one in worker_functions.check({"planted": define}) if one.check == "functions"]


def said(found: list[Finding]) -> list[tuple[str, str]]:
    return [(one.level, one.what) for one in found]


def test_functions_that_travel_are_counted():
    found = of_functions(lambda root: root | beam.Create([1]) | beam.Map(str))
    ((level, what),) = said(found)
    assert level == "ok"
    assert what.startswith("a clean interpreter loads all functions: ")
    assert what.endswith(" of planted")
    assert int(what.split()[-3]) >= 2


def test_an_argument_that_cannot_be_pickled_is_a_finding():
    found = of_functions(lambda root: root | beam.Create([1]) | beam.Map(max, Secretive()))
    assert said(found) == [
        ("error", "planted: a step cannot be pickled: PicklingError: this one stays here")
    ]
    assert found[0].why
    assert found[0].remedy


def test_a_function_that_holds_an_open_file_is_a_finding(tmp_path):
    with (tmp_path / "open").open("w") as file:
        found = of_functions(lambda root: root | beam.Create([1]) | beam.ParDo(_HoldsDoFn(file)))
    ((level, what),) = said(found)
    assert level == "error"
    assert what.startswith("planted: a step cannot be pickled: RuntimeError: Unable to pickle fn ")
    assert "TextIOWrapper" in what or "file" in what


def test_a_step_that_cannot_be_pickled_once_it_is_defined_is_named():
    def define(root: beam.Pipeline) -> None:
        step = beam.ParDo(_HoldsDoFn(None))
        root | beam.Create([1]) | "Good" >> beam.Map(abs) | "Bad" >> step
        step.fn.held = Secretive()

    assert said(of_functions(define)) == [
        ("error", "planted: step Bad cannot be pickled: PicklingError: this one stays here")
    ]


def test_code_that_only_this_process_finds_is_a_finding(tmp_path, monkeypatch):
    (tmp_path / "only_here.py").write_text("def double(x):\n    return 2 * x\n")
    monkeypatch.syspath_prepend(tmp_path)
    import only_here

    found = of_functions(
        lambda root: root | beam.Create([1]) | "Double" >> beam.Map(only_here.double)
    )
    assert said(found) == [
        (
            "error",
            "planted: a worker cannot load step Double: ModuleNotFoundError: No module named "
            "'only_here'",
        )
    ]
    assert found[0].why == worker_functions._LOADED_WHY


def test_a_function_that_ends_the_interpreter_is_named():
    def leave() -> None:
        if sys.flags.isolated:
            os._exit(3)

    class Leaves:
        def __reduce__(self):
            return leave, ()

    leaves = Leaves()  # with all that is of this file it travels by value
    found = of_functions(
        lambda root: root | beam.Create([1]) | "Leave" >> beam.Map(lambda one: (one, leaves))
    )
    assert said(found) == [("error", "a clean interpreter ended at planted, Leave: code 3")]


def test_versions_are_compared_with_the_constraints(tmp_path):
    constraints = tmp_path / "constraints.txt"
    constraints.write_text("# exact\nKeras==1.2.3\nnot-installed==1.0\nrich==0.1\n")
    keras, rich = (versions.importlib.metadata.version(name) for name in ("keras", "rich"))
    assert said([*versions.check(constraints)]) == [
        ("error", f"keras is {keras}, and constraints.txt says 1.2.3"),
        ("warning", f"rich is {rich}, and constraints.txt says 0.1"),
    ]


def test_without_constraints_the_requirements_of_the_package_count(tmp_path):
    ((level, what),) = said([*versions.check(tmp_path / "constraints.txt")])
    assert level == "ok"
    assert what.startswith("as the requirements of the package say: python 3.11.")
    assert f"tensorflow {environment.versions()['tensorflow']}" in what


@pytest.mark.parametrize(
    ("name", "value", "level", "what"),
    [
        ("TF_USE_LEGACY_KERAS", "1", "warning", "TF_USE_LEGACY_KERAS is set to '1'"),
        ("KERAS_BACKEND", "jax", "error", "KERAS_BACKEND is 'jax'"),
    ],
)
def test_settings_that_choose_another_keras_are_told(monkeypatch, name, value, level, what):
    for known in ("TF_USE_LEGACY_KERAS", "KERAS_BACKEND"):
        monkeypatch.delenv(known, raising=False)  # tf.Transform sets the first one
    monkeypatch.setenv(name, value)
    assert said([*versions.keras_settings()]) == [(level, what)]


@pytest.mark.parametrize(
    ("image", "level", "what"),
    [
        (f"r/triad:1.0-beam{beam.__version__}-py{PYTHON}", "ok", "{}: Beam and Python of here"),
        (f"apache/beam_python{PYTHON}_sdk:{beam.__version__}", "ok", "{}: Beam and Python of here"),
        (
            f"r/triad:1.0-beam2.60.0-py{PYTHON}",
            "error",
            f"{{}} has Beam 2.60.0 (here {beam.__version__})",
        ),
        (
            f"apache/beam_python3.9_sdk:{beam.__version__}",
            "error",
            f"{{}} has Python 3.9 (here {PYTHON})",
        ),
        (
            "apache/beam_python3.9_sdk:2.60.0",
            "error",
            f"{{}} has Beam 2.60.0 (here {beam.__version__}) and Python 3.9 (here {PYTHON})",
        ),
        (
            "r/triad:latest",
            "warning",
            "the name of {} does not say which Beam and Python it has",
        ),
    ],
)
def test_the_name_of_an_image_says_its_versions(image, level, what):
    assert said([*worker_image.check(image, None)]) == [(level, what.format(image))]


def test_workers_without_image_need_a_setup_file():
    assert said([*worker_image.check(None, "./setup.py")]) == []
    assert said([*worker_image.check(None, None)]) == [
        ("error", "neither --sdk_container_image nor --setup_file is given")
    ]


def memory_files(folder: Path, cgroup: str, files: dict[str, str]) -> tuple[Path, Path]:
    """What a machine of 8 GiB with 6 GiB free tells of itself."""
    proc, groups = folder / "proc", folder / "cgroup"
    (proc / "self").mkdir(parents=True)
    (proc / "meminfo").write_text(
        f"MemTotal: {8 * 2**20} kB\nMemFree: 1 kB\nMemAvailable: {6 * 2**20} kB\n"
    )
    (proc / "self" / "cgroup").write_text(cgroup)
    for name, content in files.items():
        path = groups / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(content)
    return proc, groups


@pytest.mark.parametrize(
    ("cgroup", "files", "limit", "free", "by"),
    [
        ("0::/\n", {}, 8, 6, "the machine"),
        ("0::/a/b\n", {"a/b/memory.max": "max\n"}, 8, 6, "the machine"),
        (
            "0::/a/b\n",
            {"a/memory.max": f"{4 * GIB}\n", "a/memory.current": f"{GIB}\n"},
            4,
            3,
            "the control group {}/a",
        ),
        (
            "0::/of/the/host\n",
            {"memory.max": f"{4 * GIB}\n", "memory.current": f"{GIB}\n"},
            4,
            3,
            "the control group {}",
        ),
        (
            "5:devices:/\n4:cpu,memory:/x\n0::/\n",
            {
                "memory/x/memory.limit_in_bytes": f"{2 * GIB}",
                "memory/x/memory.usage_in_bytes": f"{GIB}",
                "memory/memory.limit_in_bytes": f"{2**63 - 4096}",
            },
            2,
            1,
            "the control group {}/memory/x",
        ),
    ],
)
def test_memory_is_what_the_narrowest_limit_leaves(tmp_path, cgroup, files, limit, free, by):
    proc, groups = memory_files(tmp_path, cgroup, files)
    assert machine.limits(proc, groups) == (limit * GIB, by.format(groups), free * GIB)


def test_a_process_needs_what_the_page_of_limits_says():
    page = (Path(__file__).resolve().parents[3] / "docs/reference/limits.md").read_text(
        encoding="utf-8"
    )
    ceilings = re.findall(r"^\| `triad \w+` \| (\d+) GiB \|", page, re.MULTILINE)
    assert max(map(int, ceilings)) * GIB == machine.PROCESS_BYTES


def java(folder: Path, output: str) -> None:
    """A program of that name that says its version, and is in no other way one."""
    path = folder / "java"
    path.write_text(f"#!/bin/sh\necho '{output}' >&2\n")
    path.chmod(0o755)


@pytest.mark.parametrize(
    ("output", "level", "what"),
    [
        ('openjdk version "17.0.15" 2025-04-15', "ok", "is Java 17"),
        ('java version "1.8.0_402"', "error", "is Java 8"),
        ("no such thing", "error", "says no version"),
    ],
)
def test_java_is_asked_for_its_version(tmp_path, monkeypatch, output, level, what):
    java(tmp_path, output)
    monkeypatch.setenv("PATH", str(tmp_path))
    monkeypatch.delenv("JAVA_HOME", raising=False)
    assert said([*machine.java()]) == [
        (level, f"{tmp_path}/java {what}"),
        ("warning", "there is no mvn on the PATH"),
    ]


def test_java_home_comes_before_the_path(tmp_path, monkeypatch):
    monkeypatch.setenv("JAVA_HOME", str(tmp_path))
    assert said([*machine.java()])[0] == ("error", f"there is no java in JAVA_HOME ({tmp_path})")


def test_the_folder_for_artifacts_has_to_be_there(tmp_path):
    assert said([*folders.artifacts(str(tmp_path))]) == [("ok", f"{tmp_path}: can be written to")]
    missing = tmp_path / "missing"
    assert said([*folders.artifacts(str(missing))]) == [
        ("error", f"--artifacts_dir {missing}: is no folder that can be written to")
    ]


def test_local_folders_are_a_warning_where_the_cluster_is_another_machine():
    named: dict[str, list[str | None]] = {"--model": ["m"], "--output": ["gs://o", None]}
    assert said([*folders.shared(named, "flink.example:8099")]) == [
        ("warning", "m: must be the same on every machine of the cluster at flink.example:8099")
    ]
    assert said([*folders.shared({"--model": ["gs://m"]}, "flink.example:8099")]) == []


@pytest.mark.parametrize(
    ("address", "here"),
    [
        ("localhost:8099", True),
        ("http://127.0.0.1:8081", True),
        ("[local]", True),
        (None, True),
        ("flink.example:8099", False),
        ("https://flink.example", False),
    ],
)
def test_which_cluster_is_this_machine(address, here):
    assert endpoints.is_here(address) is here


SAMPLED_YAML = (
    "modalities: {image: {size: 16}, audio: {issues_limit: 1.0}, text: }\n"
    "tasks: {category: {kind: classification, label: kind}}\n"
)
SAMPLED = loading.parse(SAMPLED_YAML)


def test_a_sample_of_the_records_tells_which_media_would_be_lost(tmp_path):
    made = [{"id": n, "image": f"{n}.png", "audio": f"{n}.wav", "text": "a"} for n in range(60)]
    records.write_lines(tmp_path / "a.jsonl", [{"id": "b", "text": "c"}, b"{no json", *made])
    (tmp_path / "media").mkdir()
    records.write_lines(tmp_path / "b.jsonl", [{"id": "x", "image": "media/x.png"}])
    (tmp_path / "media" / "x.png").write_bytes(media.png())
    found = list(samples.check(SAMPLED, (f"{tmp_path}/*.jsonl",), ()))
    assert said(found) == [
        ("warning", "1 of the first 51 would be rejected: unparsable 1"),
        ("error", "of the first records, image: 48 of 49 not used (98.0%): not_found 48"),
        ("warning", "of the first records, audio: 48 of 48 not used (100.0%): not_found 48"),
        ("ok", "of the first records, text: all 49 used"),
    ]
    assert found[1].remedy == remedies.OF_FLAW[Flaw.NOT_FOUND]


def test_a_sample_for_a_preprocessing_tells_of_groups_and_splits_that_are_none(tmp_path):
    made = [{"id": 1, "text": "a", "group": ["g"]}, {"id": 2, "text": "a", "split": "holdout"}]
    path = records.write_lines(tmp_path / "a.jsonl", [*made, {"id": 3, "text": "a"}])
    for training, expected in (
        (True, ("warning", "2 of the first 3 would be rejected: unparsable 2")),
        (False, ("ok", "none of the first 3 is rejected")),
    ):
        assert said(list(samples.check(SAMPLED, (str(path),), (), training)))[0] == expected


def test_a_media_root_is_looked_into(tmp_path):
    (tmp_path / "in").mkdir()
    picture = records.store(tmp_path / "media" / "x.png", media.png())
    made = [{"id": n, "image": str(picture)} for n in range(2)]
    path = records.write_lines(tmp_path / "in" / "a.jsonl", made)
    found = samples.check(SAMPLED, (str(path),), (str(tmp_path / "media"),))
    assert said(list(found))[1] == ("ok", "of the first records, image: all 2 used")
    refused = list(samples.check(SAMPLED, (str(path),), ()))
    assert said(refused)[:2] == [
        ("error", "2 of the first 2 would be rejected: unreadable 2"),
        ("error", "of the first records, image: 2 of 2 not used (100.0%): forbidden 2"),
    ]


def test_what_the_heads_of_files_tell_is_a_finding(tmp_path):
    (tmp_path / "a.csv").write_text("id,img\n1,a\n")
    (found, label) = samples.heads(SAMPLED, (f"{tmp_path}/a.csv",), with_labels=True)
    assert (found.check, found.level) == ("records", "error")
    assert found.what.startswith(f"{tmp_path}/a.csv: no field is named image or audio or text")
    assert found.remedy == "rename fields, or change modalities in the spec"
    assert label.remedy == "correct tasks.category.label in the spec, or the records"


def test_a_records_file_that_ends_a_run_is_a_finding(tmp_path):
    (tmp_path / "a.csv").write_text("name,text\n1,a\n")
    (found,) = samples.check(SAMPLED, (f"{tmp_path}/a.csv",), ())
    assert (found.level, found.remedy) == ("error", "name one of them id")


def test_a_look_at_the_output_leaves_nothing(tmp_path):
    assert folders.output(f"{tmp_path}/a/b/") == Finding(
        "output", "ok", f"{tmp_path}/a/b/: can be written to"
    )
    (tmp_path / "there").mkdir()
    assert folders.output(f"{tmp_path}/there").level == "ok"
    assert [path.name for path in tmp_path.rglob("*")] == ["there"]


def test_a_table_says_what_why_and_what_to_do(capsys, tmp_path):
    file = tmp_path / "f"
    file.write_text("")
    assert run.run(DoctorConfig(output=f"{file}/scores")) is False
    shown = capsys.readouterr().out
    rows = [[cell.strip() for cell in line.split("│")[1:-1]] for line in shown.splitlines()]
    assert ["output", "ERROR"] in [row[:2] for row in rows]
    assert "why: the run would do all its work and could not keep it" in shown
    assert "do: a part of the path is a file; choose another place" in shown


def test_records_that_cannot_be_read_are_told_once(tmp_path):
    path = records.store(tmp_path / "a.csv", b"sku;photo;description;kind\n1;a;b;c\n")
    spec = records.store(tmp_path / "spec.yaml", SAMPLED_YAML.encode())
    seen = run.visit(DoctorConfig(spec=str(spec), inputs=(str(path),)))
    cheap = list(itertools.takewhile(lambda one: one.check != "functions", seen))
    (wrong,) = [one for one in cheap if one.check in ("input", "records")]
    assert (wrong.level, wrong.remedy.partition(",")[0]) == ("error", "write it again with commas")
    assert cheap[-1].what == f"{spec}: good"


def test_warnings_are_healthy():
    assert findings.healthy([Finding("a", "ok", "b"), Finding("a", "warning", "b", "c", "d")])
    bad = [Finding("a", "error", "b", "c", "d")]
    assert not findings.healthy(bad)
    assert json.loads(findings.to_json(bad)) == {
        "healthy": False,
        "findings": [{"check": "a", "level": "error", "what": "b", "why": "c", "remedy": "d"}],
    }


def test_unknown_runners_and_empty_names_are_refused():
    with pytest.raises(OptionsError, match="must be one of local, flink, dataflow, got 'spark'"):
        DoctorConfig(runner="spark")
    with pytest.raises(OptionsError, match="^--model: must not be empty"):
        DoctorConfig(model=" ")
