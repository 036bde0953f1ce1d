"""What the real command shows while it works: a line that moves on a terminal, lines elsewhere."""

import os
import pty
import re
import subprocess
import sys
import threading
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]


def on_a_terminal(*arguments: object) -> tuple[int, str]:
    """Runs a command whose standard error is a terminal, and gives its code and what it drew."""
    ours, theirs = pty.openpty()
    drawn: list[bytes] = []

    def draw() -> None:
        try:
            while content := os.read(ours, 65536):
                drawn.append(content)
        except OSError:  # what Linux says when the last writer has closed a terminal
            return

    thread = threading.Thread(target=draw)
    environment = {name: value for name, value in os.environ.items() if name != "NO_COLOR"}
    process = subprocess.Popen(
        [sys.executable, "-m", "triad_ml.pipelines.cli.main", *map(str, arguments)],
        cwd=ROOT,
        env=environment | {"TERM": "xterm", "COLUMNS": "160"},
        stdout=subprocess.DEVNULL,
        stderr=theirs,
    )
    os.close(theirs)
    thread.start()
    code = process.wait()
    thread.join()
    os.close(ours)
    return code, b"".join(drawn).decode()


def test_preprocess_shows_real_counts_on_a_terminal(generated: Path, tmp_path: Path) -> None:
    spec = generated.parents[1] / "spec.yaml"
    code, drawn = on_a_terminal(
        *("preprocess", "--spec", spec, "--input", generated, "--output", tmp_path / "data")
    )
    assert code == 0, drawn
    assert "━" in drawn
    records = re.findall(r"(\d+) of about (\d+) records", drawn)
    features = re.findall(r"(\d+) of (\d+) records", drawn)
    assert records
    assert all(abs(int(total) - 120) <= 12 for _, total in records)
    assert len({total for _, total in features}) == 1
    assert all(int(done) <= int(total) for done, total in features)
    assert re.search(r"\d+ s left", drawn)
