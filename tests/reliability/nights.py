"""Small corpus with broken records, the command that scores it, and a reader of the result."""

import dataclasses
import json
from pathlib import Path
from typing import Any

from examples import generated
from triad_ml.pipelines.publishing import publish
from triad_ml.pipelines.publishing.run_folder import RunFolder
from triad_ml.pipelines.scoring.config import ScoreConfig
from triad_ml.pipelines.storage import atomic

DATE = "2026-11-24"
RECORDS = 24
REJECTED = 3


def write_corpus(folder: Path, records: int = RECORDS) -> Path:
    """Writes records of which one is no JSON, one empty, one a duplicate, and one picture broken.

    Returns:
        The records file; its media lie beside it.
    """
    path = generated.write(folder, records, seed=11)
    lines = [json.loads(line) for line in path.read_text().splitlines()]
    picture = next(line["image"] for line in lines if str(line["image"]).endswith(".jpg"))
    content = (folder / picture).read_bytes()
    (folder / picture).write_bytes(content[: len(content) // 2])
    lines[5] |= {"image": None, "audio": None, "text": None}
    lines[-1]["id"] = lines[0]["id"]
    stored = [json.dumps(line) for line in lines]
    stored[9] = stored[9][:-2]
    path.write_text("\n".join(stored) + "\n")
    return path


@dataclasses.dataclass(frozen=True)
class Night:
    """One command that scores a corpus for `DATE`."""

    model: str
    inputs: str
    output: str
    unit_records: int = 8
    beam_args: tuple[str, ...] = ()

    @property
    def config(self) -> ScoreConfig:
        return ScoreConfig(
            self.model,
            (self.inputs,),
            self.output,
            DATE,
            rejected_limit=0.5,
            unit_records=self.unit_records,
            beam_args=self.beam_args,
        )

    @property
    def argv(self) -> list[str]:
        """The same for the command line."""
        options = {
            "--model": self.model,
            "--input": self.inputs,
            "--output": self.output,
            "--date": DATE,
            "--rejected-limit": "0.5",
            "--unit-records": str(self.unit_records),
        }
        flags = [part for option in options.items() for part in option]
        return ["score", *flags, *(("--", *self.beam_args) if self.beam_args else ())]

    @property
    def run(self) -> RunFolder:
        """Where it is published."""
        from triad_ml.pipelines.scoring import plan

        return plan.plan(self.config).run

    def with_units_of(self, records: int) -> "Night":
        return dataclasses.replace(self, unit_records=records)

    def moved(self, output: object) -> "Night":
        return dataclasses.replace(self, output=str(output))


def seen(output: object) -> tuple[str, dict[str, bytes]]:
    """What a reader gets: the published run's id, and its files by name, each as the manifest says.

    The manifest is among them, without the time at which it was written.
    """
    manifest = publish.current(str(output), DATE)
    assert manifest is not None
    run = RunFolder(str(output), DATE, manifest.run_id)
    found = {}
    for file in manifest.files:
        content = atomic.read_bytes(run.path(file.path))
        assert file.holds(content), file.path
        found[file.path] = content
    assert manifest.statistics is not None
    found[manifest.statistics.path] = atomic.read_bytes(run.statistics)
    assert manifest.statistics.holds(found[manifest.statistics.path])
    found["manifest.json"] = dataclasses.replace(manifest, created="").to_json()
    assert manifest.counts["read"] == sum(file.rows for file in manifest.files)
    return manifest.run_id, found


def status(path: object) -> tuple[int, int]:
    """Inode and time of change: equal ones mean that a file was not written again."""
    of = Path(str(path)).stat()
    return of.st_ino, of.st_mtime_ns


def statuses(folder: object) -> dict[str, Any]:
    """`status` of each file below a folder."""
    return {str(path): status(path) for path in Path(str(folder)).rglob("*") if path.is_file()}
