"""Builder of a real data set from Debian's tuxpaint-stamps-default: image, voice, sentence.

Run as `python examples/stamps.py --out DIR --cache DIR`. The script needs apt-get and dpkg-deb, but
no root, and installs nothing. The media are under the GPL (DIR/copyright): do not commit them. The
script is a single file, so that it can be run without an installation.
"""

import argparse
import dataclasses
import hashlib
import json
import os
import re
import shutil
import subprocess
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path

from rich.console import Console
from rich.progress import BarColumn, DownloadColumn, Progress, TextColumn, TimeRemainingColumn

from triad_ml.transforms.errors import OptionsError, StorageError, TriadError

PACKAGE = "tuxpaint-stamps-default"
STAMPS = Path("usr/share/tuxpaint/stamps")
COPYRIGHT = Path("usr/share/doc") / PACKAGE / "copyright"
KEPT = "package.json"
INSTEAD = "use generated records instead (python examples/generated.py)"
LANGUAGE = re.compile(r"[a-z]{2,3}(_[A-Z]{2})?")
TRANSLATION = re.compile(r"(?P<language>[\w@]+)\.utf8=(?P<sentence>.*)")


class UnavailableError(TriadError):
    """Error for a system that cannot download the package; generated records can replace it."""

    exit_code = 3


@dataclasses.dataclass(frozen=True, slots=True)
class Stamp:
    """Drawing of the package, with the voice and the sentence about it in one language.

    Attributes:
        name: Path below the stamps' folder, without suffix.
        image: Path of the PNG; None if the drawing is SVG only.
        audio: Path of the voice that reads the sentence, or None.
        text: Sentence in the language, or None.
        english: English sentence, or None; stamps that share it are in one group.
    """

    name: str
    image: Path | None
    audio: Path | None
    text: str | None
    english: str | None

    @property
    def category(self) -> str:
        """Name of the top folder, such as `animals`."""
        return self.name.split("/", 1)[0]

    @property
    def translation(self) -> str | None:
        """English sentence; None if the stamp has no sentence in another language."""
        return self.english if self.text and self.text != self.english else None


@dataclasses.dataclass(frozen=True, slots=True)
class Package:
    """Entry of the package in apt's index; the size is in bytes."""

    version: str
    sha256: str
    size: int


def read_sentences(description: str) -> dict[str, str]:
    """Returns the sentences of a stamp's description by language; the first line is English."""
    first, *others = description.splitlines() or [""]
    sentences = {"en": first}
    for line in others:
        if match := TRANSLATION.fullmatch(line):
            sentences.setdefault(match["language"], match["sentence"])
    tidy = {language: " ".join(sentence.split()) for language, sentence in sentences.items()}
    return {language: sentence for language, sentence in tidy.items() if sentence}


def read_stamps(folder: Path, language: str) -> list[Stamp]:
    """Returns the stamps below `folder` that have an image, a voice or a sentence, by name."""
    suffix = "_desc" if language == "en" else f"_desc_{language}"
    stamps = []
    for description in sorted(folder.rglob("*.txt")):
        sentences = read_sentences(description.read_text(encoding="utf-8", errors="replace"))
        stamp = Stamp(
            name=description.relative_to(folder).with_suffix("").as_posix(),
            image=_existing(description.with_suffix(".png")),
            audio=_existing(
                description.with_name(f"{description.stem}{suffix}.ogg"),
                description.with_name(f"{description.stem}{suffix}.wav"),
            ),
            text=sentences.get(language),
            english=sentences.get("en"),
        )
        if stamp.image or stamp.audio or stamp.text:
            stamps.append(stamp)
    return stamps


def group_names(stamps: Sequence[Stamp]) -> dict[str, str]:
    """Returns the group of each stamp, by the stamp's name.

    Stamps that share a sentence, an image or a clip are in one group, directly or through other
    stamps, so that they are in the same split.
    """
    group_of: dict[str, str] = {}
    members: dict[str, list[str]] = {}
    first_with: dict[str, str] = {}
    for stamp in stamps:
        group_of[stamp.name], members[stamp.name] = stamp.name, [stamp.name]
        for feature in _shared_features(stamp):
            ours = group_of[stamp.name]
            theirs = group_of[first_with.setdefault(feature, stamp.name)]
            if ours != theirs:
                for name in members[ours]:
                    group_of[name] = theirs
                members[theirs] += members.pop(ours)
    return {name: f"g{_digest(min(members[group]).encode())}" for name, group in group_of.items()}


def records(stamps: Sequence[Stamp], folder: Path, source: str) -> list[dict[str, object]]:
    """Returns the lines of records.jsonl; media below `folder` are expected below `media/`."""
    groups = group_names(stamps)
    return [
        {
            "id": stamp.name,
            "image": _media_path(stamp.image, folder),
            "audio": _media_path(stamp.audio, folder),
            "text": stamp.text,
            "group": groups[stamp.name],
            "labels": {"category": stamp.category, "translation": stamp.translation},
            "source": source,
        }
        for stamp in stamps
    ]


def write_records(package_root: Path, out: Path, language: str, source: str) -> dict[str, object]:
    """Writes records.jsonl, media/ and summary.json from the unpacked package; returns the summary.

    Raises:
        OptionsError: No stamp has a sentence in the language.
    """
    folder = package_root / STAMPS
    stamps = read_stamps(folder, language)
    if not any(stamp.text for stamp in stamps):
        raise OptionsError(
            f"--lang {language}: no stamp has a sentence in it; try fr, es, ro or ru"
        )
    lines = records(stamps, folder, source)
    for medium in (m for stamp in stamps for m in (stamp.image, stamp.audio) if m):
        target = out / "media" / medium.relative_to(folder)
        target.parent.mkdir(parents=True, exist_ok=True)
        os.replace(medium, target)
    with (out / "records.jsonl").open("w", encoding="utf-8") as file:
        file.writelines(json.dumps(line, ensure_ascii=False) + "\n" for line in lines)
    if (package_root / COPYRIGHT).is_file():
        shutil.copyfile(package_root / COPYRIGHT, out / "copyright")
    summary: dict[str, object] = {
        "source": source,
        "language": language,
        "records": len(stamps),
        "complete": sum(bool(s.image and s.audio and s.text) for s in stamps),
        "groups": len({line["group"] for line in lines}),
    }
    (out / "summary.json").write_text(json.dumps(summary, indent=1) + "\n", encoding="utf-8")
    return summary


def fetch(cache: Path, console: Console) -> tuple[Path, Package]:
    """Returns the package file in `cache`; downloads it unless an intact one is there.

    Raises:
        UnavailableError: The system has no apt, or apt cannot download the package.
    """
    for tool in ("apt-get", "apt-cache", "dpkg-deb"):
        if shutil.which(tool) is None:
            raise UnavailableError(
                f"{tool} is not here, so this is no Debian or Ubuntu: {PACKAGE} cannot be fetched;"
                f" {INSTEAD}"
            )
    cache.mkdir(parents=True, exist_ok=True)
    if kept := _kept_package(cache):
        return kept
    config = _write_apt_config(cache)
    reason = "apt does not know it; is the network there, and main or universe enabled?"
    for is_index_fresh in (False, True):
        if is_index_fresh:
            # The exit code is ignored: other, broken package sources do not matter here.
            _watch(["apt-get", "-c", str(config), "update"], cache, None, "package index", console)
        if (package := _look_up(config)) is None:
            continue
        file, reason = _download(config, cache / "download", package, console)
        if file is not None:
            kept_at = cache / file.name
            os.replace(file, kept_at)
            known = json.dumps(dataclasses.asdict(package)) + "\n"
            (cache / KEPT).write_text(known, encoding="utf-8")
            return kept_at, package
    raise UnavailableError(f"{PACKAGE} cannot be had: {reason} Try again, or {INSTEAD}")


def build(out: Path, cache: Path, language: str, console: Console) -> dict[str, object]:
    """Builds the data set into `out`, whole or not at all; an earlier build is reused.

    Returns:
        The summary: source, language, and numbers of records, complete records and groups.

    Raises:
        OptionsError: The language is not a language code, or `out` has other files.
        UnavailableError: See `fetch`.
    """
    if not LANGUAGE.fullmatch(language):
        raise OptionsError(f"--lang {language!r}: a language code is wanted, such as fr")
    if out.exists() and any(out.iterdir()):
        return _finished(out, language)
    file, package = fetch(cache, console)
    unfinished = out.with_name(out.name + ".tmp")
    shutil.rmtree(unfinished, ignore_errors=True)
    package_root = unfinished / "package"
    package_root.mkdir(parents=True)
    errors = _watch(
        ["dpkg-deb", "-x", str(file.resolve()), str(package_root.resolve())],
        package_root,
        _installed_size(file),
        "unpacking",
        console,
    )
    if not (package_root / STAMPS).is_dir():
        raise StorageError(f"{file} could not be unpacked: {errors or 'it holds no stamps'}")
    summary = write_records(package_root, unfinished, language, f"{PACKAGE} {package.version}")
    shutil.rmtree(package_root)
    if out.exists():
        out.rmdir()
    os.replace(unfinished, out)
    return summary


def main(argv: Sequence[str] | None = None) -> int:
    """Runs the command and returns its exit code; 3 if the package cannot be downloaded."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    parser.add_argument("--out", type=Path, required=True, help="folder of the records")
    parser.add_argument("--cache", type=Path, required=True, help="folder of the package file")
    parser.add_argument("--lang", default="fr", help="language of voice and sentence (fr)")
    options = parser.parse_args(argv)
    console = Console()
    try:
        summary = build(options.out, options.cache, options.lang, console)
    except TriadError as error:
        sys.stderr.write(f"stamps: {error}\n")
        return error.exit_code
    except OSError as error:
        place = f"{error.filename}: " if error.filename else ""
        sys.stderr.write(f"stamps: {place}{error.strerror}; free space or choose other folders\n")
        return StorageError.exit_code
    except KeyboardInterrupt:
        sys.stderr.write("\nstamps: stopped\n")
        return 130
    console.print(
        f"{summary['records']} records ({summary['complete']} with image, audio and text) in"
        f" {options.out / 'records.jsonl'}, from {summary['source']}",
        soft_wrap=True,
        highlight=False,
    )
    return 0


def _existing(*paths: Path) -> Path | None:
    return next((path for path in paths if path.is_file() and path.stat().st_size), None)


def _shared_features(stamp: Stamp) -> list[str]:
    sentences = {f"said:{s.casefold()}" for s in (stamp.text, stamp.english) if s}
    media = [f"file:{_file_digest(medium)}" for medium in (stamp.image, stamp.audio) if medium]
    return sorted(sentences) + media


def _media_path(medium: Path | None, folder: Path) -> str | None:
    return None if medium is None else (Path("media") / medium.relative_to(folder)).as_posix()


def _digest(content: bytes) -> str:
    return hashlib.sha256(content).hexdigest()[:12]


def _file_digest(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def _finished(out: Path, language: str) -> dict[str, object]:
    """Returns the summary of the earlier build in `out`."""
    try:
        summary: dict[str, object] = json.loads((out / "summary.json").read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        raise OptionsError(
            f"--out {out}: not empty and no build of stamps; choose another folder"
        ) from error
    if summary.get("language") != language:
        raise OptionsError(
            f"--out {out}: holds {summary.get('language')}, not {language}; choose another folder"
        )
    return summary


def _kept_package(cache: Path) -> tuple[Path, Package] | None:
    """Returns the package file of an earlier download; None if there is no intact one."""
    try:
        known = Package(**json.loads((cache / KEPT).read_text(encoding="utf-8")))
    except (OSError, ValueError, TypeError):
        return None
    for file in cache.glob(f"{PACKAGE}_*.deb"):
        if _file_digest(file) == known.sha256:
            return file, known
    return None


def _write_apt_config(cache: Path) -> Path:
    """Writes an apt configuration with its files below `cache`, but the system's sources."""
    private = (cache / "apt").resolve()
    (private / "lists" / "partial").mkdir(parents=True, exist_ok=True)
    (private / "archives" / "partial").mkdir(parents=True, exist_ok=True)
    (private / "status").touch()
    user = os.environ.get("USER", "root") if os.geteuid() else "root"
    config = private / "apt.conf"
    config.write_text(
        f'Dir::State "{private}";\n'
        f'Dir::State::lists "{private}/lists";\n'
        f'Dir::State::status "{private}/status";\n'
        f'Dir::Cache "{private}";\n'
        f'Dir::Log "{private}";\n'
        f'APT::Sandbox::User "{user}";\n'
        'Acquire::Languages "none";\n'
        'Acquire::Retries "3";\n'
        'Acquire::http::Timeout "30";\n'
        # Hooks of the system need root and act on the system's lists.
        "#clear APT::Update::Pre-Invoke;\n"
        "#clear APT::Update::Post-Invoke;\n"
        "#clear APT::Update::Post-Invoke-Success;\n",
        encoding="utf-8",
    )
    return config


def _look_up(config: Path) -> Package | None:
    shown = subprocess.run(  # noqa: S603, fixed words and a path of ours
        ["apt-cache", "-c", str(config), "show", "--no-all-versions", PACKAGE],  # noqa: S607
        capture_output=True,
        text=True,
        env=_plain_environment(),
        check=False,
    )
    fields = dict(line.split(": ", 1) for line in shown.stdout.splitlines() if ": " in line)
    if shown.returncode or not {"Version", "SHA256", "Size"} <= fields.keys():
        return None
    return Package(fields["Version"], fields["SHA256"], int(fields["Size"]))


def _download(
    config: Path, folder: Path, package: Package, console: Console
) -> tuple[Path | None, str]:
    """Downloads the package; returns its file, or None and the reason of the failure."""
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir()
    errors = _watch(
        ["apt-get", "-c", str(config), "download", PACKAGE],
        folder,
        package.size,
        f"{PACKAGE} {package.version}",
        console,
    )
    file = next(iter(folder.glob("*.deb")), None)
    if file is None:
        return None, errors.splitlines()[-1].removeprefix("E: ") if errors else "no file came."
    if _file_digest(file) != package.sha256:
        return None, f"{file.name} has another SHA-256 than the index says."
    return file, ""


def _installed_size(file: Path) -> int | None:
    shown = subprocess.run(  # noqa: S603
        ["dpkg-deb", "-f", str(file), "Installed-Size"],  # noqa: S607, found on PATH
        capture_output=True,
        text=True,
        check=False,
    )
    return int(shown.stdout) * 1024 if shown.stdout.strip().isdigit() else None


def _watch(
    command: Sequence[str], folder: Path, total: int | None, title: str, console: Console
) -> str:
    """Runs a command in `folder` and shows the folder's growth; returns the command's stderr."""
    columns = (
        TextColumn("{task.description}"),
        BarColumn(),
        DownloadColumn(),
        TimeRemainingColumn(),
    )
    before = _folder_size(folder)
    if not console.is_terminal:
        size = f" ({total / 1e6:.0f} MB)" if total else ""
        console.print(f"{title}{size} ...", highlight=False)
    with Progress(*columns, console=console, disable=not console.is_terminal) as progress:
        task = progress.add_task(title, total=total)
        with subprocess.Popen(  # noqa: S603
            command,
            cwd=folder,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.PIPE,
            text=True,
            env=_plain_environment(),
        ) as process:
            complaint: str | None = None
            while complaint is None:
                try:
                    _, complaint = process.communicate(timeout=0.25)
                except subprocess.TimeoutExpired:
                    progress.update(task, completed=_folder_size(folder) - before)
        if process.returncode == 0 and total is not None:
            progress.update(task, completed=total)
    return complaint.strip()


def _plain_environment() -> Mapping[str, str]:
    return {**os.environ, "LC_ALL": "C", "DEBIAN_FRONTEND": "noninteractive"}


def _folder_size(folder: Path) -> int:
    """Returns the bytes in the files below a folder to which another process writes."""
    total = 0
    try:
        for entry in os.scandir(folder):
            if entry.is_dir(follow_symlinks=False):
                total += _folder_size(Path(entry.path))
            else:
                total += entry.stat(follow_symlinks=False).st_size
    except FileNotFoundError:
        pass  # the file was renamed after it was listed
    return total


if __name__ == "__main__":
    sys.exit(main())
