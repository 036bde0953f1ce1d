"""Builder of the stamps data set: reading of the package, groups, and clear failures."""

import hashlib
import io
import json
import os
import tarfile
from pathlib import Path

import pytest

from examples import stamps

PICTURE = b"\x89PNG one"
VOICE = b"OggS one"


def write_stamp(root: Path, name: str, description: str, **media: bytes) -> None:
    """Writes `NAME.txt`, and beside it `NAME.png`, `NAME_desc_fr.ogg` and so on."""
    base = root / stamps.STAMPS / name
    base.parent.mkdir(parents=True, exist_ok=True)
    base.with_name(base.name + ".txt").write_text(description, encoding="utf-8")
    endings = {"png": ".png", "svg": ".svg", "voice": "_desc_fr.ogg", "effect": ".ogg"}
    for kind, content in media.items():
        base.with_name(base.name + endings[kind]).write_bytes(content)


def read(root: Path, language: str = "fr") -> list[stamps.Stamp]:
    return stamps.read_stamps(root / stamps.STAMPS, language)


def test_sentences_are_by_language_with_english_first():
    description = "A frog.\nfr.utf8=Une  grenouille.\npt_BR.utf8=Uma rã.\nca@valencia.utf8=Una\n"
    assert stamps.read_sentences(description) == {
        "en": "A frog.",
        "fr": "Une grenouille.",
        "pt_BR": "Uma rã.",
        "ca@valencia": "Una",
    }


@pytest.mark.parametrize(
    ("description", "expected"),
    [
        ("", {}),
        ("\nfr.utf8=Un.", {"fr": "Un."}),
        ("A.\nfr.utf8=", {"en": "A."}),
        ("A.\nfr.utf8=Un.\nfr.utf8=Deux.", {"en": "A.", "fr": "Un."}),
        ("A.\nno sentence here\nfr=Un.", {"en": "A."}),
    ],
)
def test_odd_descriptions_give_only_what_they_say(description, expected):
    assert stamps.read_sentences(description) == expected


def test_media_that_are_missing_drawn_as_svg_empty_or_effects_count_as_none(tmp_path):
    write_stamp(tmp_path, "animals/frog", "A frog.\nfr.utf8=Un.", png=PICTURE, voice=VOICE)
    write_stamp(tmp_path, "animals/toad", "A toad.\nfr.utf8=Deux.", svg=b"<svg/>", effect=b"OggS")
    write_stamp(tmp_path, "food/pear", "A pear.\nfr.utf8=Trois.", png=b"", voice=b"")
    write_stamp(tmp_path, "food/void", "Nothing in French.", svg=b"<svg/>")
    folder = tmp_path / stamps.STAMPS
    assert read(tmp_path) == [
        stamps.Stamp(
            "animals/frog",
            folder / "animals/frog.png",
            folder / "animals/frog_desc_fr.ogg",
            "Un.",
            "A frog.",
        ),
        stamps.Stamp("animals/toad", None, None, "Deux.", "A toad."),
        stamps.Stamp("food/pear", None, None, "Trois.", "A pear."),
    ]


def test_a_record_names_media_relative_to_the_file_and_the_top_folder_as_category(tmp_path):
    write_stamp(tmp_path, "animals/fish/carp", "Carp.\nfr.utf8=Une.", png=PICTURE, voice=VOICE)
    folder = tmp_path / stamps.STAMPS
    (record,) = stamps.records(read(tmp_path), folder, "package 1")
    assert record == {
        "id": "animals/fish/carp",
        "image": "media/animals/fish/carp.png",
        "audio": "media/animals/fish/carp_desc_fr.ogg",
        "text": "Une.",
        "group": stamps.group_names(read(tmp_path))["animals/fish/carp"],
        "labels": {"category": "animals", "translation": "Carp."},
        "source": "package 1",
    }


@pytest.mark.parametrize(
    ("first", "second"),
    [
        ({"png": PICTURE}, {"png": PICTURE}),
        ({"voice": VOICE}, {"voice": VOICE}),
    ],
)
def test_stamps_that_share_a_file_share_a_group(tmp_path, first, second):
    write_stamp(tmp_path, "a/one", "One.\nfr.utf8=Un.", **first)
    write_stamp(tmp_path, "b/two", "Two.\nfr.utf8=Deux.", **second)
    groups = stamps.group_names(read(tmp_path))
    assert groups["a/one"] == groups["b/two"]


@pytest.mark.parametrize("second", ["A.\nfr.utf8=Autre.", "Other.\nfr.utf8=UN."])
def test_stamps_that_share_a_sentence_share_a_group(tmp_path, second):
    write_stamp(tmp_path, "a/one", "A.\nfr.utf8=Un.")
    write_stamp(tmp_path, "b/two", second)
    groups = stamps.group_names(read(tmp_path))
    assert groups["a/one"] == groups["b/two"]


def test_stamps_linked_only_through_others_share_a_group_and_strangers_do_not(tmp_path):
    write_stamp(tmp_path, "a/one", "One.\nfr.utf8=Un.", png=PICTURE)
    write_stamp(tmp_path, "b/two", "Two.\nfr.utf8=Deux.", voice=VOICE)
    write_stamp(tmp_path, "c/link", "Three.\nfr.utf8=Trois.", png=PICTURE, voice=VOICE)
    write_stamp(tmp_path, "d/stranger", "Four.\nfr.utf8=Quatre.", png=b"other")
    groups = stamps.group_names(read(tmp_path))
    assert groups["a/one"] == groups["b/two"] == groups["c/link"]
    assert groups["d/stranger"] != groups["a/one"]


def tools(folder: Path, package: Path, sha256: str) -> None:
    """Writes an apt-get, apt-cache and dpkg-deb that know one package after `apt-get update`."""
    (folder / "log").touch()
    scripts = {
        "apt-get": f"""
            echo "$*" | sed 's/.*apt.conf //' >> {folder}/log
            case "$*" in
              *update) touch {folder}/known ;;
              *download*) cp {package} {stamps.PACKAGE}_1_all.deb ;;
            esac""",
        "apt-cache": f"""
            test -e {folder}/known || exit 100
            printf 'Version: 1\\nSize: 9\\nSHA256: {sha256}\\n'""",
        "dpkg-deb": """
            if [ "$1" = -f ]; then echo 10; else tar -xf "$2" -C "$3"; fi""",
    }
    for name, script in scripts.items():
        (folder / name).write_text(f"#!/bin/sh\n{script}\n", encoding="utf-8")
        (folder / name).chmod(0o755)


@pytest.fixture
def package(tmp_path: Path) -> Path:
    """A package file that the `dpkg-deb` of `tools` can unpack."""
    tree = tmp_path / "tree"
    write_stamp(tree, "animals/frog", "A frog.\nfr.utf8=Un.", png=PICTURE, voice=VOICE)
    write_stamp(tree, "animals/toad", "A toad.\nfr.utf8=Deux.", svg=b"<svg/>")
    (tree / stamps.COPYRIGHT).parent.mkdir(parents=True)
    (tree / stamps.COPYRIGHT).write_text("GPL", encoding="utf-8")
    content = io.BytesIO()
    with tarfile.open(fileobj=content, mode="w") as archive:
        archive.add(tree / "usr", "usr")
    file = tmp_path / "package.deb"
    file.write_bytes(content.getvalue())
    return file


@pytest.fixture
def bin_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    folder = tmp_path / "bin"
    folder.mkdir()
    monkeypatch.setenv("PATH", f"{folder}{os.pathsep}{os.environ['PATH']}")
    return folder


def arguments(folder: Path, *more: str) -> list[str]:
    return ["--out", f"{folder}/out", "--cache", f"{folder}/cache", *more]


def test_a_build_holds_records_media_licence_and_counts(package, bin_folder, tmp_path):
    tools(bin_folder, package, hashlib.sha256(package.read_bytes()).hexdigest())
    assert stamps.main(arguments(tmp_path)) == 0
    out = tmp_path / "out"
    assert sorted(str(p.relative_to(out)) for p in out.rglob("*") if p.is_file()) == [
        "copyright",
        "media/animals/frog.png",
        "media/animals/frog_desc_fr.ogg",
        "records.jsonl",
        "summary.json",
    ]
    assert (out / "media/animals/frog.png").read_bytes() == PICTURE
    lines = (out / "records.jsonl").read_text(encoding="utf-8").splitlines()
    assert [json.loads(line)["id"] for line in lines] == ["animals/frog", "animals/toad"]
    assert json.loads((out / "summary.json").read_text(encoding="utf-8")) == {
        "source": "tuxpaint-stamps-default 1",
        "language": "fr",
        "records": 2,
        "complete": 1,
        "groups": 2,
    }
    assert not (tmp_path / "out.tmp").exists()


def test_the_index_is_fetched_only_where_it_is_missing(package, bin_folder, tmp_path):
    tools(bin_folder, package, hashlib.sha256(package.read_bytes()).hexdigest())
    (bin_folder / "known").touch()
    assert stamps.main(arguments(tmp_path)) == 0
    assert (bin_folder / "log").read_text() == f"download {stamps.PACKAGE}\n"


def test_a_finished_build_needs_neither_apt_nor_network(package, bin_folder, tmp_path, monkeypatch):
    tools(bin_folder, package, hashlib.sha256(package.read_bytes()).hexdigest())
    assert stamps.main(arguments(tmp_path)) == 0
    monkeypatch.setenv("PATH", "/nowhere")
    assert stamps.main(arguments(tmp_path)) == 0


def test_a_kept_package_is_used_again_only_while_its_digest_holds(package, bin_folder, tmp_path):
    tools(bin_folder, package, hashlib.sha256(package.read_bytes()).hexdigest())
    assert stamps.main(arguments(tmp_path)) == 0
    log = bin_folder / "log"
    log.write_text("")
    assert stamps.main(["--out", f"{tmp_path}/two", "--cache", f"{tmp_path}/cache"]) == 0
    assert log.read_text() == ""
    (kept,) = (tmp_path / "cache").glob("*.deb")
    kept.write_bytes(b"cut")
    assert stamps.main(["--out", f"{tmp_path}/three", "--cache", f"{tmp_path}/cache"]) == 0
    assert log.read_text() == f"download {stamps.PACKAGE}\n"


def test_a_download_with_another_digest_is_refused_with_code_3(
    package, bin_folder, tmp_path, capsys
):
    tools(bin_folder, package, sha256="0" * 64)
    assert stamps.main(arguments(tmp_path)) == 3
    error = capsys.readouterr().err
    assert error.count("\n") == 1
    assert "another SHA-256" in error
    assert not (tmp_path / "out").exists()


def test_without_apt_it_says_so_in_one_line_with_code_3(tmp_path, monkeypatch, capsys):
    monkeypatch.setenv("PATH", str(tmp_path))
    assert stamps.main(arguments(tmp_path)) == 3
    error = capsys.readouterr().err
    assert error == (
        "stamps: apt-get is not here, so this is no Debian or Ubuntu: tuxpaint-stamps-default"
        " cannot be fetched; use generated records instead (python examples/generated.py)\n"
    )
    assert not (tmp_path / "out").exists()


@pytest.mark.parametrize("language", ["", "FR", "fr/..", "französisch"])
def test_what_is_no_language_code_is_refused_with_code_12(language, tmp_path, capsys):
    assert stamps.main(arguments(tmp_path, "--lang", language)) == 12
    assert capsys.readouterr().err.count("\n") == 1


def test_a_language_without_sentences_is_refused_and_leaves_nothing_in_place(
    package, bin_folder, tmp_path, capsys
):
    tools(bin_folder, package, hashlib.sha256(package.read_bytes()).hexdigest())
    assert stamps.main(arguments(tmp_path, "--lang", "xx")) == 12
    assert "--lang xx" in capsys.readouterr().err
    assert not (tmp_path / "out").exists()


@pytest.mark.parametrize("content", [None, '{"language": "ru"}', "no json"])
def test_a_folder_with_something_else_is_refused_and_left_alone(content, tmp_path, capsys):
    (tmp_path / "out").mkdir()
    (tmp_path / "out" / "letter").write_text("dear", encoding="utf-8")
    if content is not None:
        (tmp_path / "out" / "summary.json").write_text(content, encoding="utf-8")
    assert stamps.main(arguments(tmp_path)) == 12
    assert "choose another folder" in capsys.readouterr().err
    assert (tmp_path / "out" / "letter").read_text(encoding="utf-8") == "dear"
