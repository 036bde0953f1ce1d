"""Pages are true: their commands parse, their examples run, the files that they name exist."""

import contextlib
import os
import re
import shlex
import subprocess
import sys
from collections.abc import Iterator, Sequence
from pathlib import Path

import pytest
import typer

import triad_ml
from tests import docs_pages
from triad_ml.pipelines.cli.main import app
from triad_ml.transforms.spec import loading, tasks

RUNBOOKS = docs_pages.DOCS / "runbooks"
WRITTEN = [path for path in docs_pages.PAGES if path.parent != RUNBOOKS]
"""Pages whose commands stand alone; those of the runbooks have variables of a shell."""


def parse(argv: Sequence[str]) -> None:
    """Parses a command line as `triad` does, and runs nothing.

    Raises:
        typer.TyperException: There is no such command or flag, or a required one is missing.
    """
    command, context = typer.main.get_command(app), None
    arguments = list(argv[: argv.index("--")] if "--" in argv else argv)
    while True:
        context = command.make_context(command.name or "triad", arguments, parent=context)
        rest = [*context._protected_args, *context.args]
        if not hasattr(command, "resolve_command") or not rest:
            return
        _, command, arguments = command.resolve_command(context, rest)


@pytest.mark.parametrize("page", WRITTEN, ids=lambda page: page.name)
def test_every_command_of_a_page_is_a_command_with_these_flags(page):
    for command in docs_pages.commands(page):
        with contextlib.suppress(typer.Exit):
            parse(shlex.split(command, comments=True)[1:])


def test_an_unknown_flag_is_found():
    with pytest.raises(typer.TyperException, match="No such option"):
        parse(["current", "scores", "--fate", "2026-11-24"])


@pytest.mark.parametrize("page", docs_pages.PAGES, ids=lambda page: page.name)
def test_every_file_of_the_repository_that_a_page_names_exists(page):
    text = page.read_text(encoding="utf-8")
    folders = "transforms|model|pipelines|examples|docs|deploy|benchmarks|tests"
    named = re.findall(rf"`((?:{folders})/[\w/.-]*\w/?)`", text)
    assert [name for name in named if not (docs_pages.ROOT / name).exists()] == []


def test_the_specs_of_the_page_on_specs_are_valid_and_have_every_kind_of_task():
    page = docs_pages.DOCS / "reference" / "spec.md"
    specs = [loading.parse(content, page.name) for _, content in docs_pages.blocks(page, "yaml")]
    assert {task.kind for spec in specs for task in spec.tasks.values()} == set(tasks.KINDS)


def test_every_test_that_the_page_of_the_tests_names_exists():
    tests = docs_pages.ROOT / "tests"
    named = re.findall(r"`([\w/]+(?:\.py|/))`", (tests / "README.md").read_text(encoding="utf-8"))
    assert len(named) > 50
    assert [name for name in named if name != "tests/" and not (tests / name).exists()] == []


@pytest.mark.parametrize("page", docs_pages.PAGES, ids=lambda page: page.name)
def test_every_make_target_that_a_page_names_is_in_the_makefile(page):
    named = set(re.findall(r"(?:`|\$ |&& )make (\w+)", page.read_text(encoding="utf-8")))
    makefile = (docs_pages.ROOT / "Makefile").read_text(encoding="utf-8")
    assert named <= set(re.findall(r"^(\w+):", makefile, re.MULTILINE))


def programs() -> Iterator[str]:
    """The Python of the pages on serving and pipelines, as far as its names are exported here."""
    for name in ("serving", "own-pipeline"):
        for _, content in docs_pages.blocks(docs_pages.DOCS / "how-to" / f"{name}.md", "python"):
            if set(re.findall(r"triad_ml\.(\w+)", content)) <= set(dir(triad_ml)):
                yield content


@pytest.mark.parametrize("content", programs())
def test_the_python_of_a_page_scores_with_a_model(content, trained, tmp_path):
    (tmp_path / "trained").symlink_to(trained)
    ran = subprocess.run(
        [sys.executable, "-c", content],
        cwd=tmp_path,
        env={**os.environ, "PYTHONPATH": str(docs_pages.ROOT)},
        capture_output=True,
        text=True,
    )
    assert ran.returncode == 0, ran.stderr[-2000:]
    assert re.search(r"(fan|pump)_(faulty|healthy)", ran.stdout)


def test_pages_name_no_path_of_one_machine():
    text = "".join(page.read_text(encoding="utf-8") for page in docs_pages.PAGES)
    assert re.findall(r"/(?:root|work|tmp)/\S*", text) == []


def test_pictures_are_small():
    pictures = [path for path in docs_pages.DOCS.rglob("*") if path.suffix in (".svg", ".png")]
    assert {path.name for path in pictures} == {"way.svg", "report.png"}
    assert sum(Path(path).stat().st_size for path in pictures) < 150_000


def test_the_way_of_a_record_is_what_its_script_draws():
    drawn = subprocess.run(
        [sys.executable, "-c", "import way; print(way.svg(), end='')"],
        cwd=docs_pages.DOCS / "_site",
        capture_output=True,
        text=True,
        check=True,
    ).stdout
    assert (docs_pages.DOCS / "pictures" / "way.svg").read_text(encoding="utf-8") == drawn
