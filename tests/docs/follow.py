"""Follows a page in one process: its programs, files and commands, in the order of the page.

Run as `python follow.py PAGE.json` where Triad is installed: most of what a command costs is its
start. PAGE.json is a list of pairs of language and text. What is true at the end goes to
`end.json`.
"""

import json
import shlex
import sys
from pathlib import Path
from typing import Any

import triad_ml
from triad_ml.pipelines.cli import main


def follow(blocks: list[tuple[str, str]]) -> dict[str, Any]:
    """Runs each block, and returns the names that the programs leave.

    Commands are lines of `sh`; a block of `yaml` is saved as `returns.yaml`.
    """
    names: dict[str, Any] = {}
    for language, content in blocks:
        if language == "python":
            exec(content, names)
        elif language == "yaml":
            Path("returns.yaml").write_text(content, encoding="utf-8")
        else:
            for line in content.splitlines():
                program, *argv = shlex.split(line)
                code = main.main(argv)
                assert (program, code) == ("triad", 0), (line, code)
    return names


if __name__ == "__main__":
    left = follow(json.loads(Path(sys.argv[1]).read_text(encoding="utf-8")))
    end = {
        "joined": len(left["joined"]),
        "predicted": sorted(set(left["joined"]["predicted"])),
        "answer": left["answer"],
        "root": triad_ml.__file__,
        "modules": sorted(sys.modules),
    }
    Path("end.json").write_text(json.dumps(end), encoding="utf-8")
