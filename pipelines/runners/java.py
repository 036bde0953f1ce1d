"""Java, and the programs that are assembled once from a folder in `deploy/`, by Maven and javac."""

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
    """The folder of this user in which a program's jars and state are kept."""
    base = os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache"
    return Path(base) / "triad" / program


def java() -> str:
    """The path of Java 17.

    Raises:
        OptionsError: Where it is missing, or is another version.
    """
    path = shutil.which("java")
    if path is None:
        raise OptionsError(
            f"java: not found, and Flink and Kafka need Java {JAVA}; install it "
            f"(Debian: openjdk-{JAVA}-jre-headless)"
        )
    said = subprocess.run([path, "-version"], capture_output=True, text=True, check=False).stderr  # noqa: S603
    version = re.search(r'version "(\d+)', said)
    if version is None or version[1] != JAVA:
        found = version[1] if version else "unknown"
        raise OptionsError(f"{path}: is Java {found}; put Java {JAVA} first in PATH")
    return path


def assemble(program: str) -> Path:
    """The folder of jars; the first call for a pom fetches them.

    Of each `Name.java` beside the pom there is an agent, `Name.jar`, see `agent`.

    Args:
        program: A folder of `deploy/` that has a pom.

    Raises:
        OptionsError: Where Maven, the pom or the compiler is missing.
        StorageError: Where Maven cannot fetch them, or an agent cannot be compiled.
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
            line = next((one for one in lines if "ERROR" in one), "no reason given")[:300]
            raise StorageError(f"mvn: {line}; see that Maven reaches its repository")
        for source in sources:
            _compile_agent(compiler, source, Path(staging, "jars"))
        with contextlib.suppress(OSError):  # another process was faster
            Path(staging, "jars").rename(jars)
    if not jars.is_dir():
        raise StorageError(f"{jars}: cannot be made; see that its folder can be written")
    return jars


def agent(jars: Path, name: str) -> str:
    """The argument with which Java starts an agent of `assemble`."""
    return f"-javaagent:{jars / name}.jar"


def _compiler(sources: Sequence[Path]) -> str:
    """The path of javac, where there is something to compile: asked before anything is fetched."""
    compiler = shutil.which("javac")
    if compiler is None and sources:
        raise OptionsError(
            f"javac: not found, and {sources[0].name} is compiled once, without which Beam's "
            f"servers listen on every interface; install it (Debian: openjdk-{JAVA}-jdk-headless)"
        )
    return compiler or ""


def _compile_agent(compiler: str, source: Path, jars: Path) -> None:
    """Makes `Name.jar` of `Name.java`, against the jars that are there."""
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
