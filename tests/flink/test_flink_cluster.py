"""`triad flink`: requirements, start and stop of the cluster."""

import os
import socket

import pytest

from tests.sockets import listening
from triad_ml.pipelines.cli import main
from triad_ml.pipelines.runners import java as runners_java
from triad_ml.pipelines.runners.flink import cluster as flink_cluster
from triad_ml.pipelines.runners.flink.cluster import Cluster
from triad_ml.transforms.errors import OptionsError


def test_status_shows_the_dashboard_and_each_part(
    flink: Cluster, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main.main(["flink", "status", "--folder", str(flink.folder)]) == 0
    assert capsys.readouterr().out.splitlines() == [
        "jobmanager: runs",
        "taskmanager: runs",
        "jobserver: runs",
        "workers: runs",
        f"dashboard: http://localhost:{flink.ports['rest']}",
        f"beam: -- --job_endpoint=localhost:{flink.ports['jobs']} "
        f"--environment_config=localhost:{flink.ports['workers']}",
    ]


def test_a_second_start_leaves_what_runs(flink: Cluster) -> None:
    again = flink_cluster.up(flink.folder)
    assert again.processes == flink_cluster.read(flink.folder).processes


def test_every_part_listens_on_this_machine_alone(flink: Cluster) -> None:
    """Flink's and Beam's servers run code for whoever connects."""
    sockets = {part: listening(flink.processes[part][0]) for part in flink_cluster.PARTS}
    named = {port for found in sockets.values() for _, port in found}
    assert set(flink.ports.values()) <= named
    assert {address for found in sockets.values() for address, _ in found} == {"127.0.0.1"}


def test_without_java_it_says_what_to_install(monkeypatch, tmp_path):
    monkeypatch.setenv("PATH", str(tmp_path))
    with pytest.raises(OptionsError, match="java: not found.*install it"):
        runners_java.java()


def test_another_java_is_refused(monkeypatch, tmp_path):
    java = tmp_path / "java"
    java.write_text("#!/bin/sh\necho 'openjdk version \"11.0.2\"' >&2\n")
    java.chmod(0o755)
    monkeypatch.setenv("PATH", str(tmp_path))
    with pytest.raises(OptionsError, match="is Java 11; put Java 17 first in PATH"):
        runners_java.java()


def test_without_maven_it_says_what_to_install(monkeypatch, tmp_path):
    monkeypatch.setenv("PATH", str(tmp_path))
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    with pytest.raises(OptionsError, match="mvn: not found; install Maven"):
        runners_java.assemble("flink")


def test_without_a_compiler_it_says_what_to_install_before_it_fetches(monkeypatch, tmp_path):
    maven = tmp_path / "mvn"
    maven.write_text(f"#!/bin/sh\n: > {tmp_path}/fetched\n")
    maven.chmod(0o755)
    monkeypatch.setenv("PATH", str(tmp_path))
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    with pytest.raises(OptionsError, match="javac: not found.*install it .*jdk-headless"):
        runners_java.assemble("flink")
    assert not (tmp_path / "fetched").exists()


def test_a_taken_port_is_named():
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        with pytest.raises(OptionsError, match=rf"port {port} \(rest\): is taken"):
            flink_cluster._refuse_taken({"rest": port})


def test_what_was_not_started_here_is_not_stopped(tmp_path):
    """A process number that another process has by now is left alone."""
    cluster = Cluster(tmp_path, dict(flink_cluster.PORTS), {"workers": (os.getpid(), "0")})
    flink_cluster._write(cluster)
    assert flink_cluster.down(tmp_path) == ()
    assert flink_cluster.read(tmp_path) is None
