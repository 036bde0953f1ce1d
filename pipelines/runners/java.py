"""Java, and Java programs that Maven and javac assemble once from a folder in `deploy/`."""

import contextlib
import hashlib
import os
import re
import shutil
import subprocess
import tempfile
import zipfile
from collections.abc import Sequence
from pathlib import Path

from triad_ml.transforms.errors import OptionsError, StorageError
from triad_ml.transforms.hashing import ROOT

DEPLOY = ROOT / "deploy"
JAVA = "17"


def cache(program: str) -> Path:
    """Returns the user's cache folder for a program's jars and state."""
    base = os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache"
    return Path(base) / "triad" / program


def java() -> str:
    """Returns the path of Java 17.

    Raises:
        OptionsError: If Java is missing or has another version.
    """
    path = shutil.which("java")
    if path is None:
        raise OptionsError(
            f"java: not found, and Flink and Kafka need Java {JAVA}; install it "
            f"(Debian: openjdk-{JAVA}-jre-headless)"
        )
    output = subprocess.run([path, "-version"], capture_output=True, text=True, check=False).stderr  # noqa: S603
    version = re.search(r'version "(\d+)', output)
    if version is None or version[1] != JAVA:
        number = version[1] if version else "unknown"
        raise OptionsError(f"{path}: is Java {number}; put Java {JAVA} first in PATH")
    return path


def assemble(program: str) -> Path:
    """Returns the folder of a program's jars; the first call for a pom downloads them.

    Each `Name.java` next to the pom is compiled to a Java agent, `Name.jar`, see `agent`.

    Args:
        program: Name of a folder in `deploy/` that has a pom.

    Raises:
        OptionsError: If Maven, the pom or the compiler is missing.
        StorageError: If Maven cannot download the jars, or an agent cannot be compiled.
    """
    pom = DEPLOY / program / "pom.xml"
    if not pom.is_file():
        raise OptionsError(f"{pom}: not there; run this from a checkout of Triad")
    sources = sorted(pom.parent.glob("*.java"))
    digest = hashlib.sha256(b"".join(path.read_bytes() for path in (pom, *sources)))
    jars = cache(program) / f"jars-{digest.hexdigest()[:12]}"
    if jars.is_dir():
        return jars
    maven = shutil.which("mvn")
    if maven is None:
        raise OptionsError(
            f"mvn: not found; install Maven (Debian: maven) to assemble {program} once"
        )
    compiler = _compiler(sources)
    jars.parent.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=jars.parent, prefix="jars.tmp-") as staging:
        goal = ["dependency:copy-dependencies", f"-DoutputDirectory={staging}/jars"]
        ran = subprocess.run(  # noqa: S603
            [maven, "-q", "-B", "-f", str(pom), *goal], capture_output=True, text=True, check=False
        )
        if ran.returncode:
            lines = (ran.stdout + ran.stderr).split("\n")
            line = next((text for text in lines if "ERROR" in text), "no reason given")[:300]
            raise StorageError(f"mvn: {line}; see that Maven reaches its repository")
        for source in sources:
            _compile_agent(compiler, source, Path(staging, "jars"))
        with contextlib.suppress(OSError):  # another process was faster
            Path(staging, "jars").rename(jars)
    if not jars.is_dir():
        raise StorageError(f"{jars}: cannot be made; see that its folder can be written")
    return jars


def agent(jars: Path, name: str) -> str:
    """Returns the argument with which Java loads an agent that `assemble` compiled."""
    return f"-javaagent:{jars / name}.jar"


def _compiler(sources: Sequence[Path]) -> str:
    """Returns the path of javac, or "" if nothing is to be compiled; called before any download."""
    compiler = shutil.which("javac")
    if compiler is None and sources:
        raise OptionsError(
            f"javac: not found, and {sources[0].name} is compiled once, without which Beam's "
            f"servers listen on every interface; install it (Debian: openjdk-{JAVA}-jdk-headless)"
        )
    return compiler or ""


def _compile_agent(compiler: str, source: Path, jars: Path) -> None:
    """Compiles `Name.java` with the jars in `jars` as class path, and packs it as `Name.jar`."""
    with tempfile.TemporaryDirectory(prefix="triad-javac-") as classes:
        command = [compiler, "--release", JAVA, "-cp", f"{jars}/*", "-d", classes, str(source)]
        ran = subprocess.run(command, capture_output=True, text=True, check=False)  # noqa: S603
        if ran.returncode:
            line = (ran.stderr.splitlines() or ["no reason given"])[0][:300]
            raise StorageError(f"javac: {line}; report it, with the version of Java")
        with zipfile.ZipFile(jars / f"{source.stem}.jar", "w") as jar:
            jar.writestr("META-INF/MANIFEST.MF", f"Premain-Class: {source.stem}\n")
            for path in sorted(Path(classes).rglob("*.class")):
                jar.write(path, path.relative_to(classes))
