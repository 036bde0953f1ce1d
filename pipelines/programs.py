"""Java, and the programs that Maven assembles once from a pom in `deploy/`."""

import contextlib
import hashlib
import os
import re
import shutil
import subprocess
import tempfile
from pathlib import Path

from transforms.code import ROOT
from transforms.errors import OptionsError, StorageError

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
            f"java: not found, and Flink needs Java {JAVA}; install it "
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

    Args:
        program: A folder of `deploy/` that has a pom.

    Raises:
        OptionsError: Where Maven or the pom is missing.
        StorageError: Where Maven cannot fetch them.
    """
    pom = DEPLOY / program / "pom.xml"
    if not pom.is_file():
        raise OptionsError(f"{pom}: not there; run this from a checkout of Triad")
    jars = cache(program) / f"jars-{hashlib.sha256(pom.read_bytes()).hexdigest()[:12]}"
    if jars.is_dir():
        return jars
    maven = shutil.which("mvn")
    if maven is None:
        raise OptionsError(
            f"mvn: not found; install Maven (Debian: maven) to assemble {program} once"
        )
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
        with contextlib.suppress(OSError):  # another process was faster
            Path(staging, "jars").rename(jars)
    if not jars.is_dir():
        raise StorageError(f"{jars}: cannot be made; see that its folder can be written")
    return jars
