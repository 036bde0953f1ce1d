"""Flink session cluster on this machine, with Beam's job server and a pool of Python workers."""

import dataclasses
import json
import os
import shutil
import sys
import time
import urllib.error
import urllib.request
from pathlib import Path

from triad_ml.pipelines.runners import daemons as pipelines_ports
from triad_ml.pipelines.runners import java as runners_java
from triad_ml.pipelines.runtime import environment
from triad_ml.transforms.errors import OptionsError, StorageError

PORTS = {"rest": 8081, "rpc": 6123, "jobs": 8099, "artifacts": 8098, "expansion": 8097}
PORTS |= {"workers": 50000}
PARTS = ("jobmanager", "taskmanager", "jobserver", "workers")
PATIENCE = 120.0
"""Seconds that the parts have to answer after their start."""

_OPENED = ("util", "lang", "net", "nio", "util.concurrent")
_OPEN = [f"--add-opens=java.base/java.{name}=ALL-UNNAMED" for name in _OPENED]
_OPEN += ["--add-opens=java.base/sun.nio.ch=ALL-UNNAMED"]
_ENTRY = "org.apache.flink.runtime"


@dataclasses.dataclass(frozen=True)
class Cluster:
    """Session cluster: its folder, ports and processes.

    Attributes:
        folder: Folder of its state, configuration and logs.
        ports: Port numbers, by the keys of `PORTS`.
        processes: Process of each part that was started, by the names in `PARTS`.
    """

    folder: Path
    ports: dict[str, int]
    processes: dict[str, pipelines_ports.Started]

    @property
    def running(self) -> dict[str, bool]:
        """State of each part: True if it runs."""
        return {part: pipelines_ports.runs(self.processes.get(part)) for part in PARTS}

    @property
    def dashboard(self) -> str:
        """URL of Flink's dashboard."""
        return f"http://localhost:{self.ports['rest']}"

    @property
    def beam_args(self) -> tuple[str, ...]:
        """Beam options with the cluster's addresses, needed if its ports are not `PORTS`."""
        return (
            f"--job_endpoint=localhost:{self.ports['jobs']}",
            f"--environment_config=localhost:{self.ports['workers']}",
        )

    def described(self) -> list[str]:
        """Returns lines for users: the state of each part, the dashboard, and Beam's options."""
        parts = [f"{part}: {'runs' if on else 'stopped'}" for part, on in self.running.items()]
        return [*parts, f"dashboard: {self.dashboard}", f"beam: -- {' '.join(self.beam_args)}"]


def default_folder() -> Path:
    """Returns the folder with the state of the user's cluster."""
    return runners_java.cache("flink") / "cluster"


def read(folder: Path) -> Cluster | None:
    """Reads the cluster whose state is in the folder; None if none was started."""
    try:
        state = json.loads((folder / "state.json").read_text(encoding="utf-8"))
    except FileNotFoundError:
        return None
    started = {part: (int(pid), str(at)) for part, (pid, at) in state["processes"].items()}
    return Cluster(folder, state["ports"], started)


def up(folder: Path, free_ports: bool = False) -> Cluster:
    """Starts each part that does not run yet, and waits until all parts answer.

    Args:
        folder: Folder for state, configuration and logs.
        free_ports: True to choose free ports instead of `PORTS`.

    Raises:
        OptionsError: If Java or Maven is missing, or a port is taken.
        StorageError: If a part ends or does not answer.
    """
    java = runners_java.java()
    jars = runners_java.assemble("flink")
    cluster = read(folder)
    if cluster is None:
        cluster = Cluster(
            folder,
            dict(zip(PORTS, pipelines_ports.free(len(PORTS)), strict=True))
            if free_ports
            else dict(PORTS),
            {},
        )
        _refuse_taken(cluster.ports)
    _configure(cluster)
    commands = _commands(cluster, java, jars)
    for part, running in cluster.running.items():
        if not running:
            started = _start(part, commands[part], cluster.folder)
            cluster = dataclasses.replace(cluster, processes={**cluster.processes, part: started})
            _write(cluster)
    deadline = time.monotonic() + PATIENCE
    while waiting := _silent(cluster):
        dead = [part for part, running in cluster.running.items() if not running]
        if dead or time.monotonic() > deadline:
            part = (dead or waiting)[0]
            why = "ended" if dead else f"does not answer for {PATIENCE:.0f} s"
            raise StorageError(
                f"{part}: {why}; see {folder / f'{part}.log'}, then triad flink down and up again"
            )
        time.sleep(0.2)
    return cluster


def down(folder: Path) -> tuple[str, ...]:
    """Stops exactly the processes that `up` started, and removes the cluster's state.

    Returns:
        Names of the parts that were running.
    """
    cluster = read(folder)
    if cluster is None:
        return ()
    stopped = [part for part in reversed(PARTS) if cluster.running[part]]
    pipelines_ports.stop(cluster.processes[part] for part in stopped)
    (folder / "state.json").unlink()
    shutil.rmtree(folder / "artifacts", ignore_errors=True)
    return tuple(stopped)


def _configure(cluster: Cluster) -> None:
    conf = cluster.folder / "conf"
    conf.mkdir(parents=True, exist_ok=True)
    common = (runners_java.DEPLOY / "flink" / "flink-conf.yaml").read_text(encoding="utf-8")
    own = {
        "jobmanager.rpc.port": cluster.ports["rpc"],
        "rest.port": cluster.ports["rest"],
        "taskmanager.resource-id": "taskmanager",
        "io.tmp.dirs": cluster.folder / "tmp",
    }
    lines = "".join(f"{name}: {value}\n" for name, value in own.items())
    (conf / "flink-conf.yaml").write_text(f"{common}\n{lines}", encoding="utf-8")
    (cluster.folder / "tmp").mkdir(exist_ok=True)


def _commands(cluster: Cluster, java: str, jars: Path) -> dict[str, list[str]]:
    ports = cluster.ports
    conf = ["--configDir", str(cluster.folder / "conf")]

    def flink(*memory: str) -> list[str]:
        agent = runners_java.agent(jars, "Loopback")
        return [java, *memory, agent, *_OPEN, "-cp", f"{jars}/*"]

    manager = f"{_ENTRY}.entrypoint.StandaloneSessionClusterEntrypoint"
    worker = f"{_ENTRY}.taskexecutor.TaskManagerRunner"
    return {
        "jobmanager": [*flink("-Xmx600m"), manager, *conf],
        # Direct memory holds Flink's network memory and both kinds of off-heap memory.
        "taskmanager": [*flink("-Xmx900m", "-XX:MaxDirectMemorySize=1200m"), worker, *conf],
        "jobserver": [
            *flink(),
            "org.apache.beam.runners.flink.FlinkJobServerDriver",
            f"--flink-master=localhost:{ports['rest']}",
            "--job-host=localhost",
            f"--job-port={ports['jobs']}",
            f"--artifact-port={ports['artifacts']}",
            f"--expansion-port={ports['expansion']}",
            f"--artifacts-dir={cluster.folder / 'artifacts'}",
        ],
        "workers": [
            sys.executable,
            "-m",
            "triad_ml.pipelines.runners.flink.worker_pool",
            str(ports["workers"]),
        ],
    }


def _start(part: str, command: list[str], folder: Path) -> pipelines_ports.Started:
    variables = {
        **environment.DEFAULTS,
        **environment.QUIET,
        **os.environ,
        "FLINK_CONF_DIR": str(folder / "conf"),
    }
    # The worker pool starts the first `python` in PATH.
    variables["PATH"] = f"{Path(sys.executable).parent}:{variables['PATH']}"
    return pipelines_ports.start(command, folder / f"{part}.log", variables)


def _write(cluster: Cluster) -> None:
    state = {"ports": cluster.ports, "processes": cluster.processes}
    staging = cluster.folder / "state.json.tmp"
    staging.write_text(json.dumps(state, indent=1) + "\n", encoding="utf-8")
    staging.replace(cluster.folder / "state.json")


def _silent(cluster: Cluster) -> list[str]:
    """Returns the parts that do not answer yet."""
    registered = _task_managers(cluster)
    answers = {
        "jobmanager": registered is not None,
        "taskmanager": bool(registered),
        "jobserver": pipelines_ports.listens(cluster.ports["jobs"]),
        "workers": pipelines_ports.listens(cluster.ports["workers"]),
    }
    return [part for part in PARTS if not answers[part]]


def _task_managers(cluster: Cluster) -> int | None:
    """Returns the number of registered TaskManagers, busy or not; None if nothing answers."""
    try:
        with urllib.request.urlopen(f"{cluster.dashboard}/overview", timeout=5) as answer:  # noqa: S310
            return int(json.load(answer)["taskmanagers"])
    except (urllib.error.URLError, TimeoutError, ConnectionError):
        return None


def _refuse_taken(wanted: dict[str, int]) -> None:
    for name, port in wanted.items():
        if pipelines_ports.listens(port):
            raise OptionsError(
                f"port {port} ({name}): is taken; stop what listens there or use --free-ports"
            )
