"""The site builds without a warning; its links and anchors lead somewhere; it loads nothing."""

import html.parser
import json
import os
import subprocess
import sys
import urllib.parse
from collections import defaultdict
from collections.abc import Mapping
from pathlib import Path

import pytest

from tests import docs_pages
from tests.once import made_once
from triad_ml.transforms import errors
from triad_ml.transforms.records import columns
from triad_ml.transforms.spec import loading, tasks


class Page(html.parser.HTMLParser):
    """What a built page links to, loads, and offers as an anchor."""

    def __init__(self) -> None:
        super().__init__()
        self.links: list[str] = []
        self.loads: list[str] = []
        self.anchors = {""}

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        given = {name: value or "" for name, value in attrs}
        self.anchors |= {given[name] for name in ("id", "name") if name in given}
        if tag == "a" and "href" in given:
            self.links.append(given["href"])
        elif tag == "link" and given.get("rel") not in ("canonical", "prev", "next"):
            self.loads.append(given["href"])
        self.loads += [given[name] for name in ("src", "srcset", "data") if name in given]


def build(folder: Path) -> None:
    """Builds the site as `make docs` does; a warning fails it."""
    ran = subprocess.run(
        [sys.executable, "-m", "mkdocs", "build", "--strict", "--site-dir", str(folder)],
        cwd=docs_pages.ROOT,
        env={**os.environ, "PYTHONPATH": str(docs_pages.ROOT), "NO_MKDOCS_2_WARNING": "1"},
        capture_output=True,
        text=True,
    )
    assert ran.returncode == 0, ran.stderr
    assert "WARNING" not in ran.stderr


@pytest.fixture(scope="session")
def site(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return made_once(tmp_path_factory, "site", lambda folder: build(folder / "site")) / "site"


@pytest.fixture(scope="session")
def pages(site: Path) -> Mapping[Path, Page]:
    """Each built page by its path."""
    found: dict[Path, Page] = defaultdict(Page)
    for path in site.rglob("*.html"):
        found[path].feed(path.read_text(encoding="utf-8"))
    return found


def test_every_internal_link_and_anchor_leads_somewhere(site, pages):
    broken = []
    for path, page in pages.items():
        if path == site / "404.html":  # a server shows it at any address
            continue
        for link in page.links:
            address = urllib.parse.urlsplit(link)
            if address.scheme or address.netloc:
                continue
            target = path
            if address.path:
                target = (path.parent / urllib.parse.unquote(address.path)).resolve()
            if target.is_dir():
                target /= "index.html"
            anchor = urllib.parse.unquote(address.fragment)
            known = pages[target].anchors if target in pages else {""}
            if not target.is_file() or anchor not in known:
                broken.append((str(path.relative_to(site)), link))
    assert broken == []


def test_no_page_loads_anything_from_another_host(site, pages):
    for path, page in pages.items():
        foreign = [one for one in page.loads if urllib.parse.urlsplit(one).netloc]
        assert foreign == [], path
    for path in site.rglob("*.css"):
        assert "url(http" not in path.read_text(encoding="utf-8").replace('url("', "url("), path


def test_every_page_opens_with_a_heading_and_a_sentence():
    for path in docs_pages.DOCS.rglob("*.md"):
        title, empty, first, *_ = path.read_text(encoding="utf-8").splitlines()
        assert title.startswith("# "), path
        assert empty == "", path
        assert first[0].isalnum() or first[0] == "`", path


def text(site: Path, name: str) -> str:
    return (site / "reference" / name).read_text(encoding="utf-8")


def test_the_reference_is_generated_from_the_code(site):
    for name in ("cli", "spec-keys", "score-columns", "exit-codes", "api"):
        assert "This page is generated from the code" in text(site, f"{name}.html")
    assert json.loads(text(site, "spec.schema.json")) == loading.schema()
    codes = text(site, "exit-codes.html")
    for kind in errors.TriadError.__subclasses__():
        if kind.__module__ == errors.__name__:
            assert f"<td>{kind.exit_code}</td>\n<td><code>{kind.__name__}</code>" in codes
    for column in (*columns.SCORES, *columns.REJECTED):
        assert f"<code>{column}</code>" in text(site, "score-columns.html")


def test_the_reference_has_every_command_and_every_key(site):
    page = Page()
    page.feed(text(site, "cli.html"))
    assert {f"triad-{name}" for name in ("preprocess", "train", "score", "stream")} <= page.anchors
    assert "triad-spec-check" in page.anchors
    keys = text(site, "spec-keys.html")
    for key in ("modalities.image.size", "tasks.NAME.kind", "model.fusion", "split.by"):
        assert f"<code>{key}</code>" in keys
    for kind in tasks.KINDS:
        assert f"tasks.NAME, kind {kind}<" in keys
