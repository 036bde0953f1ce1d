"""Beam's expansion service: it makes Java's Kafka source known to a pipeline of Python."""

import contextlib
import subprocess
import time
from collections.abc import Iterator
from pathlib import Path

from triad_ml.pipelines.runners import daemons
from triad_ml.pipelines.runners import java as runners_java
from triad_ml.transforms.errors import StorageError
from triad_ml.transforms.files.scratch import ScratchFolder

PATIENCE = 120.0
"""Seconds that the service has to answer."""

_SERVICE = "org.apache.beam.sdk.expansion.service.ExpansionService"


@contextlib.contextmanager
def service() -> Iterator[str]:
    """Runs the service as long as a pipeline is built; gives its `HOST:PORT`.

    Java's part of a pipeline runs inside the TaskManager (EMBEDDED): no container is started. The
    read is Flink's own kind of source: in a splittable one a bundle stays open while data flow, and
    checkpoints wait for it.

    Raises:
        OptionsError: Where Java or Maven is missing.
        StorageError: Where the service ends or does not answer.
    """
    java, jars = runners_java.java(), runners_java.assemble("flink")
    (jamm,) = jars.glob("jamm-*.jar")
    (port,) = daemons.free()
    options = ["-Xmx256m", "-XX:+UseSerialGC", "-XX:TieredStopAtLevel=1"]
    options += [runners_java.agent(jars, "Loopback"), "-cp", f"{jars}/*"]
    told = [
        "--defaultEnvironmentType=EMBEDDED",
        f"--filesToStage={jamm}",
        "--experiments=use_deprecated_read",
    ]
    with ScratchFolder() as folder:
        said = folder / "said"
        with said.open("wb") as log:
            process = subprocess.Popen(  # noqa: S603
                [java, *options, _SERVICE, str(port), *told],
                stdin=subprocess.DEVNULL, stdout=log, stderr=log,
            )  # fmt: skip
        try:
            _wait(process, port, said)
            yield f"localhost:{port}"
        finally:
            process.kill()
            process.wait()


def _wait(process: subprocess.Popen[bytes], port: int, said: Path) -> None:
    until = time.monotonic() + PATIENCE
    while True:
        if daemons.listens(port):
            return
        ended = process.poll() is not None
        if ended or time.monotonic() > until:
            lines = said.read_text(encoding="utf-8", errors="replace").split("\n")
            line = next((one for one in lines if "Exception" in one or "Error" in one), lines[0])
            why = f"ended: {line[:200]}" if ended else f"does not answer for {PATIENCE:.0f} s"
            raise StorageError(f"expansion service: {why}; see that Java can open a local port")
        time.sleep(0.1)
