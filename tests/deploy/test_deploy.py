"""Deployment files: images, manifests, units and DAGs are linted and validated; commands run."""

import configparser
import importlib.metadata
import json
import os
import re
import runpy
import shutil
import subprocess
import sys
from pathlib import Path

import jsonschema
import pytest
import yaml
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

from tests.sockets import listening
from triad_ml.pipelines.runners import daemons

ROOT = Path(__file__).resolve().parents[2]
DEPLOY = ROOT / "deploy"
DOCKERFILE = (DEPLOY / "Dockerfile").read_text(encoding="utf-8")
BIN = Path(sys.executable).parent
SCORE_MANIFESTS = ("kubernetes/cronjob.yaml", "kubernetes/flink/driver.yaml")


def documents(path):
    return list(yaml.safe_load_all((DEPLOY / path).read_text(encoding="utf-8")))


def constraints():
    lines = (ROOT / "constraints.txt").read_text(encoding="utf-8").splitlines()
    pairs = (line.split("==") for line in lines if not line.startswith("#"))
    return {canonicalize_name(name): version for name, version in pairs}


def pod_of(manifest):
    spec = manifest["spec"]
    return (spec["jobTemplate"]["spec"] if "jobTemplate" in spec else spec)["template"]


def containers(manifest):
    return pod_of(manifest)["spec"]["containers"]


def flink_pods(cluster):
    """The pods of both kinds, as the operator merges their templates: by the containers' names."""
    common = cluster["spec"]["podTemplate"]["spec"]
    for kind in ("jobManager", "taskManager"):
        own = cluster["spec"][kind].get("podTemplate", {"spec": {}})["spec"]
        merged = {one["name"]: one for one in common["containers"]}
        for one in own.get("containers", ()):
            mounts = merged.get(one["name"], {}).get("volumeMounts", []) + one["volumeMounts"]
            merged[one["name"]] = {**merged.get(one["name"], {}), **one, "volumeMounts": mounts}
        volumes = common["volumes"] + own.get("volumes", [])
        yield {**common, "containers": list(merged.values()), "volumes": volumes}


def all_pods():
    """The specs of all pods that the manifests make, by where they stand."""
    for path in SCORE_MANIFESTS:
        yield path, pod_of(documents(path)[0])["spec"]
    server = documents("kubernetes/flink/job-server.yaml")[0]
    yield "kubernetes/flink/job-server.yaml", server["spec"]["template"]["spec"]
    (cluster,) = documents("kubernetes/flink/cluster.yaml")
    for pod in flink_pods(cluster):
        yield "kubernetes/flink/cluster.yaml", pod


def test_hadolint_finds_nothing_in_the_dockerfile():
    subprocess.run([BIN / "hadolint", DEPLOY / "Dockerfile"], check=True)


def test_the_base_image_has_the_beam_and_the_python_of_this_environment():
    given = dict(re.findall(r"^ARG (\w+)=(\S+)$", DOCKERFILE, flags=re.MULTILINE))
    assert given["BEAM_VERSION"] == constraints()["apache-beam"]
    assert given["BEAM_VERSION"] == importlib.metadata.version("apache-beam")
    assert given["PYTHON_VERSION"] == f"{sys.version_info[0]}.{sys.version_info[1]}"


def test_the_driver_is_the_last_stage_and_runs_as_a_user_without_rights():
    *_, last = re.split(r"^FROM ", DOCKERFILE, flags=re.MULTILINE)
    assert last.startswith("worker AS driver\n")
    assert re.findall(r"^USER (\S+)$", last, flags=re.MULTILINE) == ["10001:10001"]


def test_the_image_gets_every_file_that_it_copies_and_no_other():
    ignored, *allowed = (ROOT / ".dockerignore").read_text(encoding="utf-8").split()
    assert ignored == "*"
    names = {name[1:] for name in allowed if name.startswith("!")}
    copied = set()
    for line in re.findall(r"^COPY (?!--from)(.+) \S+$", DOCKERFILE, flags=re.MULTILINE):
        copied |= set(line.split())
    assert copied == names
    assert [name for name in names if not (ROOT / name).exists()] == []


def test_what_the_image_installs_resolves_from_the_constraints():
    """Every requirement of the tree, from the wheel's own on, allows the pinned version."""
    pinned = constraints()
    (extras,) = re.findall(r"triad-ml\[([\w,]+)\] @ file", DOCKERFILE)
    seen, refused = set(), []
    todo = [Requirement(f"triad-ml[{extras}]")]
    while todo:
        wanted = todo.pop()
        name = canonicalize_name(wanted.name)
        if name != "triad-ml" and not (
            name in pinned and wanted.specifier.contains(pinned[name], prereleases=True)
        ):
            refused.append(str(wanted))
        for extra in ("", *sorted(wanted.extras)):
            if (name, extra) in seen:
                continue
            seen.add((name, extra))
            for line in importlib.metadata.requires(name) or ():
                needed = Requirement(line)
                if needed.marker is None or needed.marker.evaluate({"extra": extra}):
                    todo.append(needed)
    assert refused == []
    assert {"tensorflow", "apache-beam", "model-signing"} <= {name for name, _ in seen}


@pytest.mark.parametrize(
    "path",
    [
        "kubernetes/settings.yaml",
        *SCORE_MANIFESTS,
        "kubernetes/flink/job-server.yaml",
        "kubernetes/flink/network.yaml",
    ],
)
def test_manifests_hold_to_the_schemas_of_kubernetes(path):
    command = [BIN / "kubernetes-validate", "--strict", "-k", "1.37.0", DEPLOY / path]
    subprocess.run(command, check=True)


def test_the_flink_cluster_has_only_fields_that_the_operator_knows():
    """By a schema of the fields in use; they were compared with the operator's own definition."""
    text = {"type": "string"}
    size = {
        "type": "object",
        "properties": {"cpu": {"type": "number"}, "memory": text},
        "required": ["cpu", "memory"],
        "additionalProperties": False,
    }
    manager = {
        "type": "object",
        "properties": {
            "replicas": {"type": "integer"},
            "resource": size,
            "podTemplate": {"type": "object"},
        },
        "additionalProperties": False,
    }
    spec = {
        "type": "object",
        "properties": {
            "image": text,
            "flinkVersion": {"enum": ["v1_19", "v1_20", "v2_0", "v2_1", "v2_2"]},
            "serviceAccount": text,
            "mode": {"enum": ["native", "standalone"]},
            "flinkConfiguration": {"type": "object", "additionalProperties": text},
            "jobManager": manager,
            "taskManager": manager,
            "podTemplate": {"type": "object"},
        },
        "additionalProperties": False,
    }
    (cluster,) = documents("kubernetes/flink/cluster.yaml")
    assert cluster["apiVersion"] == "flink.apache.org/v1beta1"
    jsonschema.validate(cluster["spec"], spec)
    server = documents("kubernetes/flink/job-server.yaml")[0]["spec"]["template"]["spec"]
    (image,) = [one["image"] for one in server["containers"]]
    assert image.partition("@")[0].endswith(f":{constraints()['apache-beam']}")
    assert cluster["spec"]["flinkVersion"].replace("_", ".")[1:] in image
    _, task_manager = flink_pods(cluster)
    for pod in (task_manager, server):
        (claim,) = [one for one in pod["volumes"] if "persistentVolumeClaim" in one]
        assert claim["persistentVolumeClaim"] == {"claimName": "triad-artifacts"}
        for container in pod["containers"]:
            mounts = {one["name"]: one["mountPath"] for one in container["volumeMounts"]}
            assert mounts[claim["name"]] == "/artifacts"


def test_no_pod_has_rights_and_each_writes_only_to_its_volumes():
    pods = list(all_pods())
    assert len(pods) == 5
    for path, pod in pods:
        shared = pod["securityContext"]
        assert shared["runAsNonRoot"] is True, path
        assert shared["runAsUser"] == shared["runAsGroup"] == shared["fsGroup"] > 0, path
        assert shared["seccompProfile"] == {"type": "RuntimeDefault"}, path
        named = {one["name"] for one in pod["volumes"]}
        for container in pod["containers"]:
            assert container["securityContext"] == {
                "allowPrivilegeEscalation": False,
                "readOnlyRootFilesystem": True,
                "capabilities": {"drop": ["ALL"]},
            }, (path, container["name"])
            mounts = {one["name"]: one["mountPath"] for one in container["volumeMounts"]}
            assert mounts["tmp"] == "/tmp"
            assert set(mounts) <= named
            if container["name"] != "flink-main-container":  # the operator sets that one's
                assert container["resources"]["limits"]["memory"]
        for volume in pod["volumes"]:
            if "emptyDir" in volume:
                assert volume["emptyDir"]["sizeLimit"]


def test_every_image_is_named_by_its_digest():
    images = [c["image"] for _, pod in all_pods() for c in pod["containers"] if "image" in c]
    images.append(documents("kubernetes/flink/cluster.yaml")[0]["spec"]["image"])
    assert len(images) == 5
    assert [one for one in images if not one.endswith("@sha256:DIGEST")] == []


def test_the_pool_of_workers_listens_on_localhost_alone(tmp_path):
    """It is the program that the manifest starts, at a port that is free here."""
    (cluster,) = documents("kubernetes/flink/cluster.yaml")
    _, task_manager = flink_pods(cluster)
    (workers,) = [one for one in task_manager["containers"] if one["name"] == "workers"]
    python, *arguments, port, boot = workers["command"]
    assert (python, arguments) == ("python", ["-m", "triad_ml.pipelines.runners.flink.worker_pool"])
    assert (port, boot) == ("50000", "/opt/apache/beam/boot")
    driver = containers(documents("kubernetes/flink/driver.yaml")[0])[0]
    assert f"--environment_config=localhost:{port}" in driver["args"]
    (free,) = daemons.free()
    log = tmp_path / "pool.log"
    started = daemons.start([sys.executable, *arguments, str(free), boot], log)
    try:
        while not daemons.listens(free):
            assert daemons.runs(started), log.read_text()
        assert listening(started[0]) == {("127.0.0.1", free)}
    finally:
        daemons.stop([started])


def test_each_pod_is_closed_to_whom_it_does_not_serve():
    policies = {
        one["spec"]["podSelector"]["matchLabels"]["app"]: one["spec"]
        for path in ("kubernetes/cronjob.yaml", "kubernetes/flink/network.yaml")
        for one in documents(path)
        if one["kind"] == "NetworkPolicy"
    }
    assert all(one["policyTypes"] == ["Ingress"] for one in policies.values())
    labels = {pod_of(documents(path)[0])["metadata"]["labels"]["app"] for path in SCORE_MANIFESTS}
    server = documents("kubernetes/flink/job-server.yaml")[0]["spec"]["template"]["metadata"]
    labels.add(server["labels"]["app"])
    labels.add(documents("kubernetes/flink/cluster.yaml")[0]["metadata"]["name"])  # the operator's
    assert labels == policies.keys()
    assert [app for app, one in policies.items() if "ingress" not in one] == [
        "triad-score",
        "triad-driver",
    ]
    among, rest = policies["triad-flink"]["ingress"]
    assert among == {"from": [{"podSelector": {"matchLabels": {"app": "triad-flink"}}}]}
    assert rest["ports"] == [{"port": 8081}]
    callers = [one["podSelector"]["matchLabels"] for one in rest["from"]]
    assert callers[0] == {"app": "triad-job-server"}
    (jobs,) = policies["triad-job-server"]["ingress"]
    assert jobs["ports"] == [{"port": 8099}, {"port": 8098}]


@pytest.fixture
def commands(tmp_path, monkeypatch):
    """A PATH whose outer commands note their arguments: `commands()` gives and forgets them."""
    log = tmp_path / "commands"
    folder = tmp_path / "bin"
    folder.mkdir()
    for name in ("triad", "docker", "gcloud", "kubectl", "systemctl"):
        script = folder / name
        script.write_text(
            f"#!{sys.executable}\nimport json, sys\n"
            f"with open({str(log)!r}, 'a') as log:\n"
            f"    log.write(json.dumps([{name!r}, *sys.argv[1:]]) + '\\n')\n"
        )
        script.chmod(0o755)
    monkeypatch.setenv("PATH", f"{folder}{os.pathsep}{BIN}{os.pathsep}{os.environ['PATH']}")

    def noted():
        lines = log.read_text().splitlines() if log.exists() else []
        log.unlink(missing_ok=True)
        return [json.loads(line) for line in lines]

    return noted


def run_cronjob(job_name, commands):
    (container,) = containers(documents("kubernetes/cronjob.yaml")[0])
    settings = {"MODEL": "m", "INPUT": "in/*.jsonl", "OUTPUT": "out", "JOB_NAME": job_name}
    subprocess.run(container["command"], env={**os.environ, **settings}, check=True)
    return commands()


def test_the_cronjob_scores_the_date_of_its_schedule(commands):
    minute = 1795486500 // 60  # 2026-11-24 02:15 UTC
    expected = ["score", "--date", "2026-11-24", "--model", "m", "--input", "in/*.jsonl"]
    assert run_cronjob(f"triad-score-{minute}", commands) == [
        ["triad", *expected, "--output", "out"]
    ]


def test_the_timer_starts_the_unit_of_a_date_and_that_unit_the_command(commands):
    def unit(name):
        parser = configparser.ConfigParser(interpolation=None, strict=False)
        parser.optionxform = str
        parser.read(DEPLOY / "systemd" / name)
        return parser

    assert unit("triad-score.timer")["Timer"]["OnCalendar"] == "*-*-* 02:15:00 UTC"
    start = unit("triad-score.service")["Service"]["ExecStart"].replace("%%", "%")
    subprocess.run(["bash", "-c", start], check=True)
    ((command, verb, started),) = commands()
    assert (command, verb) == ("systemctl", "start")
    assert re.fullmatch(r"triad-score@\d{4}-\d{2}-\d{2}\.service", started)
    command = unit("triad-score@.service")["Service"]["ExecStart"]
    assert command == (
        "/opt/triad/bin/triad score --date %i --model ${MODEL} --input ${INPUT} --output ${OUTPUT}"
    )


@pytest.mark.skipif(shutil.which("systemd-analyze") is None, reason="systemd is not installed")
def test_systemd_reads_the_units(tmp_path):
    for path in (DEPLOY / "systemd").iterdir():
        text = path.read_text(encoding="utf-8").replace("/opt/triad/bin/triad", "/bin/true")
        (tmp_path / path.name).write_text(text)
    units = [tmp_path / "triad-score.timer", tmp_path / "triad-score@2026-11-24.service"]
    done = subprocess.run(
        ["systemd-analyze", "verify", *units], capture_output=True, text=True, check=True
    )
    assert "triad" not in done.stderr


@pytest.mark.skipif(shutil.which("systemd-analyze") is None, reason="systemd is not installed")
def test_systemd_counts_the_unit_that_scores_among_the_little_exposed(tmp_path):
    text = (DEPLOY / "systemd" / "triad-score@.service").read_text(encoding="utf-8")
    (tmp_path / "triad-score.service").write_text(text)
    command = ["systemd-analyze", "security", "--offline=true", "--threshold=20"]
    done = subprocess.run(
        [*command, tmp_path / "triad-score.service"], capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stdout
    for line in ("ProtectHome=yes", "MemoryMax=5G", "SystemCallFilter=@system-service"):
        assert line in text.splitlines()


def test_the_dags_hand_over_what_the_command_and_the_template_take():
    arguments = runpy.run_path(str(DEPLOY / "airflow/triad_arguments.py"))
    names = ("model", "input", "output", "template", "worker_image", "service_account", "temp")
    settings = {name: f"gs://bucket/{name}" for name in names}
    assert arguments["score_arguments"]("2026-11-24", settings) == [
        *("score", "--date=2026-11-24", "--model=gs://bucket/model"),
        *("--input=gs://bucket/input", "--output=gs://bucket/output"),
    ]
    launch = arguments["flex_launch"]("2026-11-24", settings)["launchParameter"]
    metadata = json.loads((DEPLOY / "dataflow/metadata.json").read_text(encoding="utf-8"))
    known = {one["name"]: one for one in metadata["parameters"]}
    for name, value in launch["parameters"].items():
        if name != "sdk_container_image":  # Beam's own
            assert all(re.fullmatch(regex, value) for regex in known[name].get("regexes", ()))
    assert {name for name, one in known.items() if not one["isOptional"]} <= set(
        launch["parameters"]
    )


def test_every_command_block_of_the_readme_runs(commands, tmp_path):
    text = (DEPLOY / "README.md").read_text(encoding="utf-8")
    blocks = re.findall(r"^```sh\n(.*?)^```$", text, flags=re.MULTILINE | re.DOTALL)
    assert text.count("```") == 2 * len(blocks)
    checkout = tmp_path / "checkout"
    shutil.copytree(DEPLOY, checkout / "deploy")
    names = ("REGISTRY", "LAUNCHER_IMAGE", "VERSION", "MODEL", "INPUT", "OUTPUT", "PROJECT")
    more = ("REGION", "TEMP", "ACCOUNT", "SPEC", "RECORDS", "PREPARED")
    values = {name: name.lower() for name in (*names, *more)}
    environment = {**os.environ, **values, "DATE": "2026-11-24", "PYTHONPATH": str(ROOT)}
    for block in blocks:
        subprocess.run(
            ["bash", "-euo", "pipefail", "-c", block], cwd=checkout, env=environment, check=True
        )
    made = (checkout / "deploy/dataflow/metadata.json").read_text(encoding="utf-8")
    assert made == (DEPLOY / "dataflow/metadata.json").read_text(encoding="utf-8")
    noted = commands()
    targets = [one[one.index("--target") + 1] for one in noted if one[0] == "docker"]
    stages = re.findall(r"^FROM \S+ AS (\w+)$", DOCKERFILE, flags=re.MULTILINE)
    assert targets == ["worker", "driver", "launcher"]
    assert set(targets) <= set(stages)
    applied = [
        part for one in noted if one[:2] == ["kubectl", "apply"] for part in one if ".yaml" in part
    ]
    assert {str(path.relative_to(ROOT)) for path in DEPLOY.rglob("*.yaml")} >= set(applied)
    (by_hand,) = [one[-1] for one in noted if one[:2] == ["kubectl", "create"]]
    assert run_cronjob(by_hand, commands)[0][:4] == ["triad", "score", "--date", "2026-11-24"]
    started = [one for one in noted if one[0] == "systemctl"]
    assert started[-1] == ["systemctl", "start", "triad-score@2026-11-24.service"]
    scored, prepared, trained = [one for one in noted if one[0] == "triad"]
    (copied,) = [one for one in noted if one[0] == "gcloud"]
    assert copied == ["gcloud", "storage", "cp", "-r", "prepared", "prepared"]
    from triad_ml.pipelines.cli import main
    from triad_ml.pipelines.scoring.plan import Published

    handed = []

    def take(function, settings):
        handed.append(settings)
        return Published("manifest.json")

    for flag in ("--model", "--input", "--output"):
        for command in (scored, prepared):
            if flag in command:
                command[command.index(flag) + 1] = "gs://bucket/x"
    assert [main.main(command[1:], take) for command in (scored, prepared, trained)] == [0, 0, 0]
    assert [settings.runner for settings in handed[:2]] == ["dataflow", "dataflow"]
    assert handed[2].data == copied[-1]
