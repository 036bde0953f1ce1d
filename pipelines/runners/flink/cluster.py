"""A Flink session cluster on this machine, with Beam's job server and a pool of Python workers."""

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
"""Seconds that the parts have to answer."""

_OPENED = ("util", "lang", "net", "nio", "util.concurrent")
_OPEN = [f"--add-opens=java.base/java.{name}=ALL-UNNAMED" for name in _OPENED]
_OPEN += ["--add-opens=java.base/sun.nio.ch=ALL-UNNAMED"]
_ENTRY = "org.apache.flink.runtime"


@dataclasses.dataclass(frozen=True)
class Cluster:
    """What was started.

    Attributes:
        folder: Holds its state, configuration and logs.
        ports: By what answers there.
        processes: By part.
    """

    folder: Path
    ports: dict[str, int]
    processes: dict[str, pipelines_ports.Started]

    @property
    def running(self) -> dict[str, bool]:
        """Which parts run."""
        return {part: pipelines_ports.runs(self.processes.get(part)) for part in PARTS}

    @property
    def dashboard(self) -> str:
        """The address of Flink's dashboard."""
        return f"http://localhost:{self.ports['rest']}"

    @property
    def beam_args(self) -> tuple[str, ...]:
        """What Beam needs to find it, where the ports are not those of `PORTS`."""
        return (
            f"--job_endpoint=localhost:{self.ports['jobs']}",
            f"--environment_config=localhost:{self.ports['workers']}",
        )

    def described(self) -> list[str]:
        """Lines for people: which parts run, the dashboard, and what Beam needs to be told."""
        parts = [f"{part}: {'runs' if on else 'stopped'}" for part, on in self.running.items()]
        return [*parts, f"dashboard: {self.dashboard}", f"beam: -- {' '.join(self.beam_args)}"]


def default_folder() -> Path:
    """Where the state of the user's cluster is."""
    return runners_java.cache("flink") / "cluster"


def read(folder: Path) -> Cluster | None:
    """The cluster whose state is in the folder; None where none was started."""
    try:
        state = json.loads((folder / "state.json").read_text(encoding="utf-8"))
    except FileNotFoundError:
        return None
    started = {part: (int(pid), str(at)) for part, (pid, at) in state["processes"].items()}
    return Cluster(folder, state["ports"], started)


def up(folder: Path, free_ports: bool = False) -> Cluster:
    """Starts what does not run yet, and waits until each part answers.

    Args:
        folder: For state, configuration and logs.
        free_ports: Choose ports that are free, instead of `PORTS`.

    Raises:
        OptionsError: Where Java, Maven or a port is missing.
        StorageError: Where a part ends or does not answer.
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
    """Stops exactly what `up` started, and forgets it.

    Returns:
        The parts that were running.
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
        # Network memory and both kinds off the heap are direct memory.
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
    # The pool starts `python`, whichever is first there.
    variables["PATH"] = f"{Path(sys.executable).parent}:{variables['PATH']}"
    return pipelines_ports.start(command, folder / f"{part}.log", variables)


def _write(cluster: Cluster) -> None:
    state = {"ports": cluster.ports, "processes": cluster.processes}
    staging = cluster.folder / "state.json.tmp"
    staging.write_text(json.dumps(state, indent=1) + "\n", encoding="utf-8")
    staging.replace(cluster.folder / "state.json")


def _silent(cluster: Cluster) -> list[str]:
    """The parts that do not answer yet."""
    registered = _task_managers(cluster)
    answers = {
        "jobmanager": registered is not None,
        "taskmanager": bool(registered),
        "jobserver": pipelines_ports.listens(cluster.ports["jobs"]),
        "workers": pipelines_ports.listens(cluster.ports["workers"]),
    }
    return [part for part in PARTS if not answers[part]]


def _task_managers(cluster: Cluster) -> int | None:
    """How many are registered, whether busy or not; None where nothing answers."""
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
