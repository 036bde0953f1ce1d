"""Fixtures of scoring: records, some of them broken, and the run that scores them."""

import json
import shutil
from pathlib import Path

import pytest

from tests.once import made_once
from tests.pipelines.scoring import tasks_of_each_kind

DATE = "2026-11-24"
BROKEN = (
    {"id": "broken", "image": {"base64": "!!"}, "source": "generated"},
    {"id": "empty", "source": "generated"},
    {"text": "no id", "source": "generated"},
)


@pytest.fixture(scope="session")
def mixed(generated: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Forty of the generated records with their media, and `BROKEN` among them."""
    folder = tmp_path_factory.mktemp("mixed")
    shutil.copytree(generated.parent / "media", folder / "media")
    lines = generated.read_text(encoding="utf-8").splitlines()[:40]
    lines[10:10] = map(json.dumps, BROKEN)
    path = folder / "records.jsonl"
    path.write_text("".join(f"{line}\n" for line in lines), encoding="utf-8")
    return path


@pytest.fixture(scope="session")
def published(mixed: Path, trained: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder in which `triad score` published `mixed`."""
    import triad_ml

    output = tmp_path_factory.mktemp("published") / "scores"
    triad_ml.score(
        model=str(trained), inputs=[str(mixed)], output=str(output), date=DATE, rejected_limit=1.0
    )
    return output


@pytest.fixture(scope="session")
def each_kind(tmp_path_factory: pytest.TempPathFactory) -> tasks_of_each_kind.Scored:
    """A model with tasks of each kind; one worker makes it, and no test changes its folder."""
    folder = made_once(tmp_path_factory, "tasks-of-each-kind", tasks_of_each_kind.make)
    return tasks_of_each_kind.of(folder)
