"""Beam's expansion service, which makes Java's Kafka source available to a Python pipeline."""

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
    """Runs the service while a pipeline is built.

    The Java steps of the pipeline run inside the TaskManager (EMBEDDED), without a container. The
    read uses Flink's native source API (`use_deprecated_read`), since a splittable DoFn keeps a
    bundle open while data flow, and checkpoints wait for its end.

    Yields:
        Address of the service, `HOST:PORT`.

    Raises:
        OptionsError: If Java or Maven is missing.
        StorageError: If the service ends or does not answer.
    """
    java, jars = runners_java.java(), runners_java.assemble("flink")
    (jamm,) = jars.glob("jamm-*.jar")
    (port,) = daemons.free()
    options = ["-Xmx256m", "-XX:+UseSerialGC", "-XX:TieredStopAtLevel=1"]
    options += [runners_java.agent(jars, "Loopback"), "-cp", f"{jars}/*"]
    arguments = [
        "--defaultEnvironmentType=EMBEDDED",
        f"--filesToStage={jamm}",
        "--experiments=use_deprecated_read",
    ]
    with ScratchFolder() as folder:
        output = folder / "output.log"
        with output.open("wb") as log:
            process = subprocess.Popen(  # noqa: S603
                [java, *options, _SERVICE, str(port), *arguments],
                stdin=subprocess.DEVNULL, stdout=log, stderr=log,
            )  # fmt: skip
        try:
            _wait(process, port, output)
            yield f"localhost:{port}"
        finally:
            process.kill()
            process.wait()


def _wait(process: subprocess.Popen[bytes], port: int, output: Path) -> None:
    until = time.monotonic() + PATIENCE
    while True:
        if daemons.listens(port):
            return
        ended = process.poll() is not None
        if ended or time.monotonic() > until:
            lines = output.read_text(encoding="utf-8", errors="replace").split("\n")
            line = next(
                (text for text in lines if "Exception" in text or "Error" in text), lines[0]
            )
            why = f"ended: {line[:200]}" if ended else f"does not answer for {PATIENCE:.0f} s"
            raise StorageError(f"expansion service: {why}; see that Java can open a local port")
        time.sleep(0.1)
