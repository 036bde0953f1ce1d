"""Scoring pipeline: each record in exactly one output, reproducible runs, atomic publishing."""

import base64
import collections
import json
import logging
import os
import shutil
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import apache_beam as beam
import pytest

from examples import generated as examples
from tests import media, scores
from triad_ml.model.serving import bundle
from triad_ml.model.serving.scorer import ScorerHandler, load_scorer
from triad_ml.pipelines.publishing import publish
from triad_ml.pipelines.runners import beam_options, results
from triad_ml.pipelines.runtime import failures
from triad_ml.pipelines.scoring import pipeline, plan, score
from triad_ml.pipelines.scoring import run as scoring_run
from triad_ml.pipelines.scoring.config import ScoreConfig
from triad_ml.pipelines.sources import read as sources_read
from triad_ml.pipelines.sources import units
from triad_ml.pipelines.tables import formats
from triad_ml.pipelines.tables import schema as tables_schema
from triad_ml.transforms import hashing
from triad_ml.transforms.errors import GateError
from triad_ml.transforms.media.canonicalize import Canonicalizer
from triad_ml.transforms.records.values import CanonicalRecord, RawRecord, Rejected, Scored

DATE = "2026-11-24"
RECORDS = 200
COLUMNS = {
    "id": "string",
    "id_int": "int64",
    "category": (
        "struct<label: string, score: float, distribution: map<string, float ('distribution')>>"
    ),
    "modalities_used": "list<element: string>",
    "issues": "list<element: string>",
    "content_digest": "string",
    "model_digest": "string",
    "transform_digest": "string",
    "spec_digest": "string",
    "code_digest": "string",
    "source": "string",
}
REJECTED_COLUMNS = [
    *("id", "source", "stage", "reason", "detail", "payload_digest"),
    *("model_digest", "transform_digest", "spec_digest", "code_digest", "code_version"),
]

Row = dict[str, Any]


def config(model: Path, inputs: Path, output: Path, **more: Any) -> ScoreConfig:
    return ScoreConfig(str(model), (str(inputs),), str(output), DATE, **more)


def published(output: Path) -> publish.Manifest:
    manifest = publish.current(str(output), DATE)
    assert manifest is not None
    return manifest


def folder(output: Path) -> publish.RunFolder:
    return publish.RunFolder(str(output), DATE, published(output).run_id)


def rows(output: Path) -> list[Row]:
    """The published scores, in order."""
    return [row for path in publish.open_current(str(output)) for row in table_rows(path)]


def rejected_rows(output: Path) -> list[Row]:
    run = folder(output)
    return [row for part in published(output).rejected for row in table_rows(run.path(part.path))]


def table_rows(path: str) -> list[Row]:
    found: list[Row] = formats.read(path).to_pylist()
    return found


def by_id(found: Sequence[Row]) -> dict[str, Row]:
    assert len({row["id"] for row in found}) == len(found)
    return {row["id"]: row for row in found}


def files(output: Path) -> dict[str, tuple[int, int]]:
    """Inode and time of change of each file, by path."""
    return {
        str(path.relative_to(output)): (path.stat().st_ino, path.stat().st_mtime_ns)
        for path in output.rglob("*")
        if path.is_file()
    }


def contents(output: Path, kind: str) -> dict[str, bytes]:
    return {path.name: path.read_bytes() for path in output.rglob(f"{kind}/*")}


def models_loaded() -> int:
    """How often a scorer was asked for in this process, loaded or from memory."""
    seen = load_scorer.cache_info()
    return seen.hits + seen.misses


def lines_of(records: Path) -> list[Row]:
    return [json.loads(line) for line in records.read_text().splitlines()]


class Corpus(NamedTuple):
    """A records file, and by role the ids of records that are not as they should be."""

    path: Path
    ids: Mapping[str, str]


@pytest.fixture(scope="module")
def clean(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return examples.write(tmp_path_factory.mktemp("clean") / "records", RECORDS, seed=7)


@pytest.fixture(scope="module")
def faulty(clean: Path, tmp_path_factory: pytest.TempPathFactory) -> Corpus:
    """The same 200 records, of which five are spoilt, each in its own way."""
    copied = tmp_path_factory.mktemp("faulty") / "records"
    shutil.copytree(clean.parent, copied)
    lines = lines_of(clean)
    whole = [
        place
        for place, line in enumerate(lines)
        if line["image"] and line["audio"] and line["text"]
    ]
    of_kind = {
        suffix: next(p for p in whole if lines[p][name].endswith(suffix))
        for name, suffix in (("image", ".jpg"), ("audio", ".wav"))
    }
    text, nothing, duplicate = [p for p in whole if p not in of_kind.values()][-3:]

    picture = copied / lines[of_kind[".jpg"]]["image"]
    picture.write_bytes(picture.read_bytes()[: picture.stat().st_size * 2 // 3])
    sound = copied / lines[of_kind[".wav"]]["audio"]
    content = bytearray(sound.read_bytes())
    size = content.index(b"data") + 4
    content[size : size + 4] = (2 * len(content)).to_bytes(4, "little")
    sound.write_bytes(content)

    ids = {
        "truncated jpeg": lines[of_kind[".jpg"]]["id"],
        "lying wav": lines[of_kind[".wav"]]["id"],
        "not utf-8": lines[text]["id"],
        "nothing": lines[nothing]["id"],
        "overwritten": lines[duplicate]["id"],
        "twice": lines[0]["id"],
    }
    lines[nothing] |= {"image": None, "audio": None, "text": None}
    lines[duplicate]["id"] = ids["twice"]
    stored = [json.dumps(line).encode() for line in lines]
    stored[text] = stored[text].replace(json.dumps(lines[text]["text"]).encode(), b'"caf\xe9 fan"')
    path = copied / "records.jsonl"
    path.write_bytes(b"\n".join(stored) + b"\n")
    return Corpus(path, ids)


@pytest.fixture(scope="module")
def hard(clean: Path) -> Path:
    """Records of all kinds: whole, inline, unreadable by the model alone, and none at all."""
    corrupt = bytearray(media.png(seed=5))
    corrupt[corrupt.index(b"IDAT") + 10] ^= 0xFF
    inline = {"base64": base64.b64encode(corrupt).decode()}
    whole = {"base64": base64.b64encode(media.jpeg(seed=1)).decode()}
    lines: list[bytes | Row] = [
        *lines_of(clean)[:40],
        {"id": "corrupt picture", "image": inline, "text": "a fan", "weight": 3},
        {"id": "corrupt picture alone", "image": inline},
        {"id": "inline picture", "image": whole, "text": "a pump", "weight": 4},
        {"id": "nowhere", "image": "media/nowhere.png", "text": "a fan"},
        {"id": "empty"},
        {"text": "without an id"},
        b"no json",
    ]
    path = clean.parent / "hard.jsonl"
    stored = [line if isinstance(line, bytes) else json.dumps(line).encode() for line in lines]
    path.write_bytes(b"\n".join(stored))
    return path


@pytest.fixture(scope="module")
def clean_run(trained: Path, clean: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    output = tmp_path_factory.mktemp("scored") / "clean"
    scoring_run.run(config(trained, clean, output))
    return output


@pytest.fixture(scope="module")
def faulty_run(trained: Path, faulty: Corpus, tmp_path_factory: pytest.TempPathFactory) -> Path:
    output = tmp_path_factory.mktemp("scored") / "faulty"
    scoring_run.run(config(trained, faulty.path, output))
    return output


@pytest.fixture(scope="module")
def hard_run(trained: Path, hard: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    output = tmp_path_factory.mktemp("scored") / "hard"
    scoring_run.run(config(trained, hard, output, rejected_limit=0.5))
    return output


class TestFiveSpoiltRecordsOf200:
    """Each goes where it belongs, and no other record notices."""

    def test_all_are_accounted_for(self, faulty_run: Path, faulty: Corpus) -> None:
        manifest = published(faulty_run)
        assert manifest.counts == {"read": 200, "scored": 198, "rejected": 2}
        found = collections.Counter(
            row["id"] for row in [*rows(faulty_run), *rejected_rows(faulty_run)]
        )
        given = collections.Counter(
            record.id for record in raw_records(faulty.path) if isinstance(record, RawRecord)
        )
        assert found == given
        assert found[faulty.ids["twice"]] == 2

    @pytest.mark.parametrize(
        ("which", "issue", "used"),
        [
            ("truncated jpeg", "image: truncated", ["audio", "text"]),
            ("lying wav", "audio: truncated", ["image", "text"]),
            ("not utf-8", "text: not_utf8", ["image", "audio"]),
        ],
    )
    def test_a_broken_medium_costs_that_medium(
        self, faulty_run: Path, faulty: Corpus, which: str, issue: str, used: list[str]
    ) -> None:
        row = by_id(rows(faulty_run))[faulty.ids[which]]
        assert row["issues"] == [issue]
        assert row["modalities_used"] == used

    def test_what_is_empty_or_comes_twice_is_rejected(
        self, faulty_run: Path, faulty: Corpus
    ) -> None:
        found = {
            row["id"]: (row["stage"], row["reason"], row["detail"])
            for row in rejected_rows(faulty_run)
        }
        assert found == {
            faulty.ids["nothing"]: ("canonicalize", "empty", ""),
            faulty.ids["twice"]: (
                "publish",
                "duplicate_id",
                "an earlier record of this run has the id",
            ),
        }
        assert published(faulty_run).reasons == {"duplicate_id": 1, "empty": 1}

    def test_the_first_record_of_an_id_is_the_one_that_is_scored(
        self, faulty_run: Path, clean_run: Path, faulty: Corpus
    ) -> None:
        twice = faulty.ids["twice"]
        assert by_id(rows(faulty_run))[twice] == by_id(rows(clean_run))[twice]

    def test_the_other_scores_are_the_same_bit_for_bit(
        self, faulty_run: Path, clean_run: Path, faulty: Corpus
    ) -> None:
        before, after = by_id(rows(clean_run)), by_id(rows(faulty_run))
        assert len(before) == 200
        spoilt = {one for which, one in faulty.ids.items() if which != "twice"}
        assert set(after) == set(before) - {faulty.ids["nothing"], faulty.ids["overwritten"]}
        others = set(before) - spoilt
        assert len(others) == 195
        assert {one: after[one] for one in others} == {one: before[one] for one in others}

    def test_a_broken_picture_is_scored_as_none_at_all(
        self, trained: Path, faulty_run: Path, faulty: Corpus, clean: Path, tmp_path: Path
    ) -> None:
        identity = faulty.ids["truncated jpeg"]
        (line,) = [line for line in lines_of(clean) if line["id"] == identity]
        sound = str(clean.parent / line["audio"])
        alone = tmp_path / "alone.jsonl"
        alone.write_text(json.dumps(line | {"image": None, "audio": sound}))
        scoring_run.run(config(trained, alone, tmp_path / "out", media_roots=(str(clean.parent),)))
        (without,) = rows(tmp_path / "out")
        assert without["issues"] == []
        broken = by_id(rows(faulty_run))[identity]
        digest = {"content_digest": without["content_digest"]}  # of what the model was given
        assert broken["content_digest"] != without["content_digest"]
        assert broken | {"issues": []} | digest == without


def raw_records(inputs: Path) -> Iterator[RawRecord | Rejected]:
    for unit in units.plan(units.list_inputs([str(inputs)])):
        yield from sources_read.read(unit, ["category"])


def computed(
    trained: Path, inputs: Path, check: bool
) -> tuple[list[Row], list[tuple[str, str, str, str]]]:
    """What the pipeline must publish, by a plain loop over the same parts."""
    model = bundle.load(trained)
    canonicalizer = Canonicalizer(model.spec, check=check)
    read = list(raw_records(inputs))
    seen = [canonicalizer.canonical(r) if isinstance(r, RawRecord) else r for r in read]
    scorer = load_scorer(str(trained), model.model_digest, False)
    outcomes = [
        *scorer.score([one for one in seen if isinstance(one, CanonicalRecord)]),
        *[one for one in seen if isinstance(one, Rejected)],
    ]
    assert len(outcomes) == len(read)
    scored = [row(one, model) for one in outcomes if isinstance(one, Scored)]
    refused = [
        (one.id, one.stage, str(one.reason), one.detail)
        for one in outcomes
        if isinstance(one, Rejected)
    ]
    return sorted(scored, key=lambda one: str(one["id"])), sorted(refused)


def row(scored: Scored, model: bundle.Artefact) -> Row:
    predicted = scored.predictions["category"]
    shares = predicted.distribution.tolist()
    return {
        "id": scored.id,
        "id_int": int(scored.id) if scored.id.isdecimal() else None,
        "category": {
            "label": predicted.label,
            "score": predicted.score,
            "distribution": list(zip(model.classes["category"], shares, strict=True)),
        },
        "modalities_used": list(scored.modalities_used),
        "issues": list(scored.issues),
        "content_digest": scored.content_digest,
        "model_digest": model.model_digest,
        "transform_digest": model.transform_digest,
        "spec_digest": model.spec.digest(),
        "code_digest": hashing.code_digest(),
        "source": scored.extra.get("source"),
        "weight": scored.extra.get("weight"),
    }


class TestPlainComputation:
    """The pipeline adds nothing to what its parts do one after the other."""

    @pytest.mark.parametrize("check", [False, True], ids=["optimistic", "checked"])
    def test_rows_and_rejected_records_are_those_of_a_plain_loop(
        self, trained: Path, hard: Path, hard_run: Path, check: bool
    ) -> None:
        scored, refused = computed(trained, hard, check)
        published_rows = rows(hard_run)
        if check:  # the content that the model was given is another: the broken picture is out
            for row in (*scored, *published_rows):
                del row["content_digest"]
        assert published_rows == scored
        found = [(r["id"], r["stage"], r["reason"], r["detail"]) for r in rejected_rows(hard_run)]
        if check:  # the same verdict, only sooner
            found = [(i, "canonicalize" if s == "score" else s, *rest) for i, s, *rest in found]
        assert sorted(found) == refused

    def test_what_only_the_model_can_tell_is_told(self, hard_run: Path, hard: Path) -> None:
        scored = by_id(rows(hard_run))
        assert scored["corrupt picture"]["issues"] == ["image: corrupt"]
        assert scored["corrupt picture"]["modalities_used"] == ["text"]
        assert scored["nowhere"]["issues"] == ["image: not_found"]
        assert scored["inline picture"]["issues"] == []
        refused = {row["id"]: (row["stage"], row["reason"]) for row in rejected_rows(hard_run)}
        place = hard.read_bytes().index(b'{"text": "without')
        end = hard.read_bytes().index(b"no json")
        assert refused == {
            "corrupt picture alone": ("score", "unreadable"),
            "empty": ("canonicalize", "empty"),
            f"{hard}#{place}": ("read", "invalid_id"),
            f"{hard}#{end}": ("read", "unparsable"),
        }

    def test_several_files_are_one_input(
        self, trained: Path, clean: Path, clean_run: Path, tmp_path: Path
    ) -> None:
        lines = clean.read_text().splitlines()[:50]
        for name, part in (("a", lines[:20]), ("b", lines[20:])):
            (clean.parent / f"part-{name}.jsonl").write_text("\n".join(part))
        scoring_run.run(config(trained, clean.parent / "part-*.jsonl", tmp_path))
        assert rows(tmp_path) == rows(clean_run)[:50]


class TestOutputs:
    """What stands in the files, and what does not."""

    def test_scores_have_these_columns_and_no_other(self, clean_run: Path) -> None:
        (path,) = publish.open_current(str(clean_run))
        schema = formats.read(path).schema
        assert {field.name: str(field.type) for field in schema} == COLUMNS
        assert schema.names == list(COLUMNS)
        assert [column["name"] for column in published(clean_run).schema] == list(COLUMNS)

    def test_rejected_records_have_these_columns(self, faulty_run: Path) -> None:
        (part,) = published(faulty_run).rejected
        table = formats.read(folder(faulty_run).path(part.path))
        assert table.schema.names == REJECTED_COLUMNS
        assert {str(field.type) for field in table.schema} == {"string"}

    def test_further_columns_pass_through_and_media_do_not(self, hard_run: Path) -> None:
        (path,) = publish.open_current(str(hard_run))
        assert formats.read(path).schema.names == [*COLUMNS, "weight"]
        found = by_id(rows(hard_run))
        assert (found["corrupt picture"]["source"], found["corrupt picture"]["weight"]) == (None, 3)
        assert found["generated-000000"]["source"] == "generated"
        assert found["generated-000000"]["weight"] is None

    def test_each_row_names_model_transform_spec_and_code(
        self, hard_run: Path, trained: Path
    ) -> None:
        about = json.loads((trained / bundle.ABOUT).read_text())
        parts = ("model", "transform", "spec", "code")
        for found in (rows(hard_run), rejected_rows(hard_run)):
            assert found
            for row in found:
                assert {p: row[f"{p}_digest"] for p in parts} == about["digests"]
        assert published(hard_run).digests == about["digests"]
        assert published(hard_run).about == {
            "model": about["digests"],
            "versions": about["versions"],
        }

    def test_json_lines_hold_what_parquet_holds(
        self, trained: Path, hard: Path, hard_run: Path, tmp_path: Path
    ) -> None:
        scoring_run.run(config(trained, hard, tmp_path, format="jsonl", rejected_limit=0.5))
        assert rows(tmp_path) == rows(hard_run)
        assert rejected_rows(tmp_path) == rejected_rows(hard_run)
        (path,) = publish.open_current(str(tmp_path))
        assert path.endswith(".jsonl")
        assert "base64" not in Path(path).read_text()

    def test_a_file_without_records_publishes_no_rows(self, trained: Path, tmp_path: Path) -> None:
        (tmp_path / "none.jsonl").write_text("")
        loaded = models_loaded()
        scoring_run.run(config(trained, tmp_path / "none.jsonl", tmp_path / "out"))
        assert published(tmp_path / "out").counts == {"read": 0, "scored": 0, "rejected": 0}
        assert rows(tmp_path / "out") == []
        assert models_loaded() == loaded


class TestUnits:
    """Work is cut into units; a crash costs one of them."""

    def test_several_units_give_the_rows_of_one(
        self, trained: Path, faulty: Corpus, faulty_run: Path, tmp_path: Path
    ) -> None:
        scoring_run.run(config(trained, faulty.path, tmp_path, unit_records=60))
        assert published(tmp_path).units > 2
        assert len(publish.open_current(str(tmp_path))) == published(tmp_path).units
        assert published(tmp_path).counts == published(faulty_run).counts
        assert by_id(rows(tmp_path)) == by_id(rows(faulty_run))
        assert sorted(rejected_rows(tmp_path), key=by_source) == sorted(
            rejected_rows(faulty_run), key=by_source
        )

    def test_an_attempt_that_fails_publishes_nothing_and_the_next_does_only_what_is_missing(
        self, trained: Path, clean: Path, faulty: Corpus, tmp_path: Path
    ) -> None:
        whole, output = tmp_path / "whole", tmp_path / "output"
        settings = {"unit_records": 60}
        scoring_run.run(config(trained, clean, whole, **settings))
        scoring_run.run(config(trained, faulty.path, output))
        before = published(output)
        run = publish.RunFolder(str(output), DATE, published(whole).run_id)
        in_the_way = Path(run.unit_scores(2))
        in_the_way.mkdir(parents=True)

        with pytest.raises(Exception, match="a folder is where a file belongs") as raised:
            scoring_run.run(config(trained, clean, output, **settings))
        failure = failures.explain(raised.value)
        assert failure is not None
        assert failure.exit_code == 20
        assert failure.lines == (
            f"{in_the_way}: is a directory; a folder is where a file belongs; move it away, or "
            "choose another place",
        )
        assert published(output) == before
        assert publish.complete_units(run) == {0, 1}
        assert not Path(run.manifest).exists()

        done = {unit: Path(run.unit_manifest(unit)).stat() for unit in (0, 1)}
        in_the_way.rmdir()
        loaded = models_loaded()
        scoring_run.run(config(trained, clean, output, **settings))
        assert models_loaded() == loaded + published(whole).units - 2
        for unit, status in done.items():
            now = Path(run.unit_manifest(unit)).stat()
            assert (now.st_ino, now.st_mtime_ns) == (status.st_ino, status.st_mtime_ns)
        assert published(output).run_id == published(whole).run_id
        for kind in ("scores", "rejected"):
            here = Path(run.folder)
            assert contents(here, kind) == contents(whole, kind)

    def test_a_second_start_does_nothing(self, trained: Path, clean: Path, clean_run: Path) -> None:
        before, loaded = files(clean_run), models_loaded()
        again = scoring_run.run(config(trained, clean, clean_run))
        assert again.manifest_uri == folder(clean_run).manifest
        assert files(clean_run) == before
        assert models_loaded() == loaded

    def test_the_same_records_give_the_same_files_elsewhere(
        self, trained: Path, clean: Path, clean_run: Path, tmp_path: Path
    ) -> None:
        scoring_run.run(config(trained, clean, tmp_path))
        assert published(tmp_path).run_id == published(clean_run).run_id
        assert contents(tmp_path, "scores") == contents(clean_run, "scores")


def by_source(row: Row) -> str:
    return str(row["source"])


def touched(config: ScoreConfig) -> ScoreConfig:
    (path,) = config.inputs
    status = os.stat(path)
    os.utime(path, ns=(status.st_atime_ns, status.st_mtime_ns + 10**9))
    return config


class TestRunId:
    """A run is another one as soon as anything that it publishes may be another."""

    @pytest.fixture
    def few(self, clean: Path, tmp_path: Path) -> Path:
        whole = [one for one in lines_of(clean) if one["image"] and one["audio"] and one["text"]]
        lines = [
            one | {name: str(clean.parent / one[name]) for name in ("image", "audio")}
            for one in whole[:3]
        ]
        path = tmp_path / "few.jsonl"
        path.write_text("\n".join(map(json.dumps, lines)))
        return path

    def test_media_folders_that_are_allowed_later_are_looked_into(
        self, trained: Path, few: Path, clean: Path, tmp_path: Path
    ) -> None:
        output = tmp_path / "out"
        scoring_run.run(config(trained, few, output, issues_limit=1.0))
        assert {i for row in rows(output) for i in row["issues"]} == {
            "image: forbidden",
            "audio: forbidden",
        }
        scoring_run.run(config(trained, few, output, media_roots=(str(clean.parent),)))
        assert {i for row in rows(output) for i in row["issues"]} == set()

    def test_the_order_of_media_folders_is_part_of_the_runs_id(
        self, trained: Path, few: Path, tmp_path: Path
    ) -> None:
        plans = [
            plan.plan(config(trained, few, tmp_path / "out", media_roots=roots))
            for roots in (("a", "b"), ("b", "a"), ("a", "b"))
        ]
        assert plans[0].run.run_id == plans[2].run.run_id != plans[1].run.run_id

    def test_a_media_folder_is_known_by_its_resolved_path(
        self, trained: Path, few: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        for folder in ("media", "other/media"):
            (tmp_path / folder).mkdir(parents=True)
        (tmp_path / "linked").symlink_to("media")

        def run_id(root: str) -> str:
            return plan.plan(config(trained, few, tmp_path / "out", media_roots=(root,))).run.run_id

        monkeypatch.chdir(tmp_path)
        whole = run_id("media")
        for spelling in ("./media/", "linked", str(tmp_path / "media")):
            assert run_id(spelling) == whole
        monkeypatch.chdir(tmp_path / "other")
        assert run_id("media") != whole

    @pytest.mark.parametrize(
        "change",
        [
            touched,
            lambda config: replaced(config, format="jsonl"),
            lambda config: replaced(config, unit_records=1),
            lambda config: replaced(config, date="2026-11-25"),
        ],
        ids=["inputs", "format", "units", "date"],
    )
    def test_another_run_has_another_id(
        self, trained: Path, few: Path, tmp_path: Path, change: Callable[[ScoreConfig], ScoreConfig]
    ) -> None:
        first = config(trained, few, tmp_path / "out", issues_limit=1.0)
        before = scoring_run.run(first).manifest_uri
        after = scoring_run.run(change(first)).manifest_uri
        assert Path(after).parent.name != Path(before).parent.name
        assert Path(before).is_file()


def replaced(config: ScoreConfig, **changes: Any) -> ScoreConfig:
    return ScoreConfig(**{**vars(config), **changes})


class TestGates:
    """What is not good enough is not published."""

    def test_too_many_rejected_records_are_not_published(
        self, trained: Path, faulty: Corpus, faulty_run: Path, tmp_path: Path
    ) -> None:
        with pytest.raises(GateError) as refused:
            scoring_run.run(config(trained, faulty.path, tmp_path, rejected_limit=0.005))
        run = publish.RunFolder(str(tmp_path), DATE, published(faulty_run).run_id)
        assert str(refused.value) == (
            "2 of 200 records are rejected (1.00%; most often: empty, 1), over the limit of 0.50%; "
            f"nothing is published: see {run.folder}/_rejected, or raise --rejected-limit"
        )
        assert refused.value.exit_code == 10
        assert publish.current_id(str(tmp_path), DATE) is None
        assert not Path(run.manifest).exists()

        loaded = models_loaded()
        scoring_run.run(config(trained, faulty.path, tmp_path, rejected_limit=0.01))
        assert models_loaded() == loaded
        assert rows(tmp_path) == rows(faulty_run)

    def test_lost_media_are_not_published_and_the_same_command_scores_them_once_they_are_there(
        self, trained: Path, tmp_path: Path
    ) -> None:
        path = tmp_path / "records.jsonl"
        made = [{"id": str(n), "image": f"{n}.png", "text": "a red bird"} for n in range(3)]
        path.write_text("".join(f"{json.dumps(one)}\n" for one in made))
        with pytest.raises(GateError) as refused:
            scoring_run.run(config(trained, path, tmp_path / "out"))
        (run,) = (tmp_path / "out").glob("dt=*/_runs/run=*")
        assert str(refused.value) == (
            "image: 3 of 3 media are not used (100.0%; most often: not_found, 3), over the limit "
            "of 50.0%; nothing is published: deliver the files (relative paths are tried against "
            "the records file's folder, then each --media-root), or raise --issues-limit (see the "
            f"issues in {run}/scores)"
        )
        assert refused.value.exit_code == 10
        assert publish.current_id(str(tmp_path / "out"), DATE) is None

        scoring_run.run(config(trained, path, tmp_path / "taken", issues_limit=1.0))
        assert published(tmp_path / "taken").media["image"] == {"had": 3, "flaws": {"not_found": 3}}
        for n in range(3):
            (tmp_path / f"{n}.png").write_bytes(media.png(seed=n))
        scoring_run.run(config(trained, path, tmp_path / "out"))
        assert published(tmp_path / "out").media == {
            "image": {"had": 3, "flaws": {}},
            "audio": {"had": 0, "flaws": {}},
            "text": {"had": 3, "flaws": {}},
        }

    def test_a_run_that_scores_nothing_is_not_published(
        self, trained: Path, tmp_path: Path
    ) -> None:
        (tmp_path / "empty.jsonl").write_text('{"id": "a"}\n{"id": "b"}\n')
        settings = config(trained, tmp_path / "empty.jsonl", tmp_path / "out", rejected_limit=1)
        planned = plan.plan(settings)  # a look at the file would refuse it before
        with pytest.raises(GateError, match=r"^none of 2 records is scored \(most often: empty, 2"):
            pipeline.run(settings, planned)
        assert publish.current_id(str(tmp_path / "out"), DATE) is None


class TestCounters:
    """What comes in and what goes out is counted at each step."""

    @pytest.fixture(scope="class")
    def counted(
        self, trained: Path, hard: Path, tmp_path_factory: pytest.TempPathFactory
    ) -> dict[str, int]:
        model = bundle.load(trained)
        planned = units.plan(units.list_inputs([str(hard)]))
        with beam.Pipeline(options=beam_options.beam_options()) as root:
            pipeline.define_pipeline(
                root,
                planned,
                model.spec.label_names,
                score.Score(
                    Canonicalizer(model.spec, check=False),
                    ScorerHandler(str(trained)),
                    model.model_digest,
                ),
                scores.run_folder(tmp_path_factory.mktemp("counted")),
                tables_schema.score_schema(model, "parquet"),
            )
        return results.counters(root.result)

    def test_read_canonical_and_scored_records_come_in_pairs_with_rejected_ones(
        self, counted: dict[str, int]
    ) -> None:
        expected = {
            "ReadRecords.records_read": 45,
            "ReadRecords.records_rejected": 2,
            "Canonicalize.records_in": 45,
            "Canonicalize.records_canonical": 44,
            "Canonicalize.records_rejected": 1,
            "Canonicalize.rejected_empty": 1,
            "Canonicalize.image_flawed": 1,
            "Canonicalize.image_not_found": 1,
            "Score.records_scored": 43,
            "Score.records_rejected": 1,
        }
        assert {name: counted.get(name) for name in expected} == expected

    def test_run_inference_counts_what_it_is_given(self, counted: dict[str, int]) -> None:
        assert counted["Score.num_inferences"] == 44
        assert "Score.failed_batches_counter" not in counted


def test_records_of_a_name_that_is_not_utf8_are_scored_and_named(
    trained: Path, clean: Path, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    # A report of a test is UTF-8, and the first look names the file as it is.
    caplog.set_level(logging.ERROR, "triad_ml.pipelines.scoring.run")
    folder_ = tmp_path / os.fsdecode(b"caf\xe9")
    folder_.mkdir()
    path = folder_ / os.fsdecode(b"na\xefve.jsonl")
    lines = [{"id": "a", "text": "a fan", "image": "a.png"}, {"id": "", "text": "a fan"}]
    path.write_text("".join(json.dumps(line) + "\n" for line in lines))
    (folder_ / "a.png").write_bytes(media.png())
    scoring_run.run(config(trained, path, tmp_path / "out", rejected_limit=1.0))
    (scored,) = rows(tmp_path / "out")
    assert (scored["id"], scored["issues"]) == ("a", [])
    (refused,) = rejected_rows(tmp_path / "out")
    assert refused["source"].startswith(f"file://{tmp_path}/caf%E9/na%EFve.jsonl#")
    Path(folder(tmp_path / "out").manifest).read_bytes().decode()
