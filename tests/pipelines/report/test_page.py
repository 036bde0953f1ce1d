"""Report page: self-contained, and robust against hostile, missing and unusual content."""

import base64
import html.parser
import io
import json
import re
import shutil
import subprocess
import wave
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from tests import reports
from triad_ml.model.serving import bundle
from triad_ml.pipelines.publishing import publish as publishing_publish
from triad_ml.pipelines.publishing.commit import commit_unit
from triad_ml.pipelines.publishing.manifest import Manifest
from triad_ml.pipelines.publishing.run_folder import RunFolder
from triad_ml.pipelines.publishing.sealing.gates import Gates
from triad_ml.pipelines.publishing.sealing.seal import seal
from triad_ml.pipelines.report import (
    charts,
    kinds,
    learning_curves,
    previews,
    score_survey,
    sections,
)
from triad_ml.pipelines.report import confusion as report_confusion
from triad_ml.pipelines.report import page as report_page
from triad_ml.pipelines.report.cards import records as record_cards
from triad_ml.pipelines.tables.columns import Classification
from triad_ml.pipelines.tables.schema import ScoreSchema
from triad_ml.transforms.errors import OptionsError, StorageError
from triad_ml.transforms.records.values import (
    Flaw,
    Position,
    Prediction,
    Provenance,
    RawRecord,
    Reason,
    Scored,
    Uri,
)
from triad_ml.transforms.spec import loading
from triad_ml.transforms.spec.modalities import AudioSpec, Limits
from triad_ml.transforms.spec.spec import Spec

HOSTILE = "<script>alert(1)</script>"
RTL = "خبر عاجل من المدينة"
CLASSES = ("bird", "fish", HOSTILE)
TAGS = ("loud", RTL, "a_class_name_of_forty_letters_without_space")
MANIFEST = {
    "counts": {"read": 130, "train": 100, "eval": 12, "test": 15, "rejected": 3},
    "rejected": {"duplicate_id": 2, "unparsable": 1},
    "issues": {"image: truncated": 7},
    "inputs": [{"uri": "records.jsonl", "bytes": 1234}],
}
ONE_TASK = loading.parse(
    """
modalities: {image: {size: 32}, audio: {seconds: 0.5}, text: {}}
tasks: {category: {kind: classification, label: category}}
"""
)
TWO_TASKS = loading.parse(
    """
modalities: {image: {size: 32}, audio: {seconds: 0.5}, text: {}}
tasks:
  category: {kind: classification, label: category}
  tags: {kind: classification, label: tags, multi_label: true}
"""
)
NO_AUDIO = loading.parse(
    """
modalities: {image: {size: 32}, text: {}}
tasks: {category: {kind: classification, label: category}}
"""
)


class Page(html.parser.HTMLParser):
    """What a browser would see: elements with their attributes, and the text."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.elements: list[tuple[str, dict[str, str | None]]] = []
        self.words: list[str] = []
        self.source = text
        self.feed(text)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.elements.append((tag, dict(attrs)))

    def handle_data(self, data: str) -> None:
        self.words.append(data)

    @property
    def text(self) -> str:
        return " ".join(" ".join(self.words).split())

    def all(self, tag: str, class_: str = "") -> list[dict[str, str | None]]:
        return [
            attributes
            for name, attributes in self.elements
            if name == tag and (not class_ or class_ in (attributes.get("class") or "").split())
        ]


def records(n: int = 10, **of_first: Any) -> list[dict[str, Any]]:
    """Test records of which each even one is a bird and each odd one a fish."""
    rows = [
        {
            "id": f"r{i}",
            "split": "test",
            "image": reports.png(i),
            "audio": reports.wav(i),
            "text": f"Words of {i}.",
            "labels": {"category": CLASSES[i % 2], "tags": [TAGS[i % 3]]},
        }
        for i in range(n)
    ]
    rows[0] |= of_first
    return rows


def score_all(
    rows: Sequence[Mapping[str, Any]], spec: Spec, wrong: Mapping[str, float]
) -> list[Any]:
    """Scores that are right but for the ids in `wrong`, which are wrong with that confidence."""
    found = []
    for offset, row in enumerate(rows):
        predictions = {}
        for name, task in spec.tasks.items():
            sure = wrong.get(row["id"])
            if task.multi_label:
                shares = [0.9 if t in row["labels"]["tags"] else 0.1 for t in TAGS]
                predictions[name] = reports.prediction(shares, TAGS, multi_label=True)
                continue
            truth = CLASSES.index(row["labels"]["category"])
            place, share = (truth, 0.8) if sure is None else ((truth + 1) % 3, sure)
            shares = np.full(3, (1 - share) / 2)
            shares[place] = share
            predictions[name] = reports.prediction(list(shares), CLASSES)
        found.append(reports.scored(row["id"], predictions, offset=offset))
    return found


class Built:
    """A model folder, records and published scores in a folder."""

    def __init__(
        self,
        folder: Path,
        spec: Spec = ONE_TASK,
        rows: Sequence[Mapping[str, Any]] | None = None,
        wrong: Mapping[str, float] | None = None,
        **model: Any,
    ) -> None:
        self.rows = records() if rows is None else list(rows)
        self.spec = spec
        self.records = reports.write_records(folder / "records", self.rows)
        classes = {"category": CLASSES, "tags": TAGS}
        self.classes = {name: classes[name] for name in spec.tasks}
        model = {
            "document": reports.document(spec, self.classes),
            "data_manifest": MANIFEST,
            **model,
        }
        self.model = reports.model_folder(folder / "model", spec, self.classes, **model)
        self.output = folder / "report.html"
        self.scores = folder / "scores"
        self.scored = score_all(self.rows, spec, wrong or {})

    def publish(self, **options: Any) -> Manifest:
        return reports.publish_scores(self.scores, self.model, self.scored, **options)

    def page(self, scores: bool = True, with_records: bool = True, date: str | None = None) -> Page:
        patterns = [self.records] if with_records else []
        report_page.write(
            str(self.model), str(self.scores) if scores else None, date, patterns, self.output
        )
        return Page(self.output.read_text(encoding="utf-8"))


@pytest.fixture(scope="module")
def whole(tmp_path_factory: pytest.TempPathFactory) -> tuple[Built, Page]:
    """Two tasks, hostile texts, a broken picture, wrong and right predictions, rejected records."""
    rows = records(
        12,
        id=f"{HOSTILE}{'x' * 90}",
        text=f"{HOSTILE} {RTL} & 'quotes' \"here\" {'longword' * 40}",
        image=b"\x89PNG\r\n\x1a\nnot a picture",
    )
    built = Built(
        tmp_path_factory.mktemp("whole"),
        TWO_TASKS,
        rows,
        {rows[0]["id"]: 0.97, "r3": 0.6, "r5": 0.7},
    )
    rejected = [
        reports.rejected("gone", Reason.EMPTY, 900),
        reports.rejected("bad", Reason.UNREADABLE, 901),
        reports.rejected("worse", Reason.UNREADABLE, 902),
    ]
    built.scored[0] = reports.scored(
        rows[0]["id"], built.scored[0].predictions, issues=("image: corrupt",), used=("text",)
    )
    built.publish(rejected=rejected)
    return built, built.page()


def test_near_duplicates_are_shown_side_by_side(tmp_path):
    pair = {"first": ["r0", "train"], "second": [HOSTILE, "test"], "distance": 0.025}
    found = {"compared": 10, "alike": 2, "leaks": {"eval": 0, "test": 1}, "pairs": [pair]}
    rows = records(3)
    rows[1]["id"] = HOSTILE
    built = Built(tmp_path, rows=rows, data_manifest={**MANIFEST, "duplicates": {"image": found}})
    page = built.page(scores=False)
    assert "image: 2 of 10 have a near-duplicate, 1 leak" in page.text
    assert "leak distance 0.025" in page.text
    assert [one["alt"] for one in page.all("img")] == [
        "Image of record r0",
        f"Image of record {HOSTILE}",
    ]
    assert [one for one in page.all("a") if one.get("href") == "#duplicates"]
    assert HOSTILE not in page.source


def test_without_near_duplicates_there_is_no_such_section(whole: tuple[Built, Page]) -> None:
    _, page = whole
    assert not [one for one in page.all("section") if one.get("id") == "duplicates"]


class TestSelfContained:
    def test_nothing_is_loaded_from_elsewhere(self, whole: tuple[Built, Page]) -> None:
        _, page = whole
        for tag, attributes in page.elements:
            for name in ("src", "srcset", "poster", "data", "action", "xlink:href"):
                assert (attributes.get(name) or "data:").startswith("data:"), (tag, attributes)
            if tag in ("a", "link"):
                assert re.match(r"#|data:", attributes.get("href") or "#"), attributes
        assert not re.search(r"url\(|@import", page.source)
        assert "default-src 'none'" in page.source

    def test_nothing_is_executed(self, whole: tuple[Built, Page]) -> None:
        _, page = whole
        assert not page.all("script")
        assert not [a for _, a in page.elements if any(name.startswith("on") for name in a)]

    def test_hostile_ids_texts_and_class_names_are_shown_as_text(
        self, whole: tuple[Built, Page]
    ) -> None:
        _, page = whole
        assert HOSTILE not in page.source
        assert f"{HOSTILE} {RTL} & 'quotes' \"here\"" in page.text
        assert f"{HOSTILE}{'x' * 90}" in page.text

    def test_ids_of_sections_are_unique_and_links_lead_to_them(
        self, whole: tuple[Built, Page]
    ) -> None:
        _, page = whole
        ids = [a["id"] for _, a in page.elements if "id" in a]
        assert len(ids) == len(set(ids))
        assert {a["href"] for a in page.all("a")} == {f"#{name}" for name in ids}

    def test_charts_and_pictures_say_in_words_what_they_show(
        self, whole: tuple[Built, Page]
    ) -> None:
        _, page = whole
        assert page.all("svg", "chart")
        assert all(a["aria-label"] for a in page.all("svg"))
        assert all(a["alt"] for a in page.all("img"))


class TestContent:
    def test_the_headline_names_model_data_date_and_counts(self, whole: tuple[Built, Page]) -> None:
        built, page = whole
        digest = bundle.load(built.model).model_digest
        assert f"Model {digest[:12]} predicts category and tags from image, audio and text" in (
            page.text
        )
        assert "learned from 100 records" in page.text
        assert f"Scores of {reports.DATE}: 12 records." in page.text
        assert digest in page.text

    def test_every_task_has_a_row_as_recorded_and_one_for_each_subset(
        self, whole: tuple[Built, Page]
    ) -> None:
        _, page = whole
        assert len(page.all("table", "results")) == 2
        assert len(page.all("tr", "first")) == 2
        assert len(page.all("tr", "whole")) == 2
        assert len(page.all("span", "dot")) == 2 * 7 * 3
        assert len(page.all("span", "on")) == 2 * (3 + 6 + 3)

    def test_figures_are_those_of_the_evaluation(self, whole: tuple[Built, Page]) -> None:
        built, page = whole
        document = json.loads((built.model / bundle.EVALUATION).read_text())
        for task in document["splits"]["test"]["tasks"].values():
            for metrics in (task["as recorded"], *task["subsets"].values()):
                one = metrics["accuracy"]
                spoken = f"{one['value']:.1%} {one['low']:.1%}–{one['high']:.1%}"
                assert spoken in page.text

    def test_rejected_records_and_unused_media_are_counted_by_reason(
        self, whole: tuple[Built, Page]
    ) -> None:
        _, page = whole
        assert "read 15 " not in page.text
        assert "scored 12 · rejected 3" in page.text
        assert "unreadable no medium that was there can be used 2" in page.text
        assert "empty none of the modalities is there 1" in page.text
        assert "image: corrupt the content contradicts its format 1" in page.text
        assert "train 100 · eval 12 · test 15 · rejected 3" in page.text
        assert "duplicate_id an earlier record has this id 2" in page.text
        assert "image: truncated the file stops too early 7" in page.text

    def test_wrong_predictions_come_first_with_the_most_confident_first(
        self, whole: tuple[Built, Page]
    ) -> None:
        _, page = whole
        assert "category: 9 right, 3 wrong" in page.text
        assert "tags: 12 right, 0 wrong" in page.text
        assert "No prediction is wrong." in page.text
        sure = re.findall(r"✗ wrong (\S+) sure", page.text)
        assert sure == ["97.0%", "70.0%", "60.0%"]

    def test_a_broken_picture_is_said_to_be_missing_and_its_record_is_shown(
        self, whole: tuple[Built, Page]
    ) -> None:
        _, page = whole
        cards = page.all("article", "card")
        assert len(cards) == (3 + 6 + 6) + (6 + 6)  # the gallery, and the least certain of each
        assert len(page.all("img")) == len(cards) - page.text.count("no image")
        assert "no image" in page.text

    def test_sounds_are_playable_wav_files(self, whole: tuple[Built, Page]) -> None:
        _, page = whole
        sounds = page.all("audio")
        assert len(sounds) == len(page.all("article"))
        for one in sounds:
            assert "controls" in one
            kind, content = (one["src"] or "").split(",", 1)
            assert kind == "data:audio/wav;base64"
            with wave.open(io.BytesIO(base64.b64decode(content))) as file:
                assert (file.getnchannels(), file.getsampwidth()) == (1, 2)
                assert file.getnframes() == 3200

    def test_provenance_has_digests_versions_files_and_the_spec(
        self, whole: tuple[Built, Page]
    ) -> None:
        _, page = whole
        for text in ("f" * 64, "ab" * 12, "keras 3.15.1", "scores/part-", '"multi_label": true'):
            assert text in page.text

    def test_the_same_inputs_give_the_same_page(self, whole: tuple[Built, Page]) -> None:
        built, page = whole
        clock = re.compile(r"Written by Triad .*?</footer>")
        assert clock.sub("", built.page().source) == clock.sub("", page.source)


class TestWhatMayBeMissing:
    def test_without_published_scores_the_page_says_so(self, tmp_path: Path) -> None:
        page = Built(tmp_path).page(scores=False)
        assert "No scores are published" in page.text
        assert len(page.all("table", "results")) == 1
        assert not page.all("article")

    def test_an_empty_scores_folder_is_the_same_as_none(self, tmp_path: Path) -> None:
        built = Built(tmp_path)
        built.scores.mkdir()
        assert "No scores are published" in built.page().text

    def test_a_date_that_is_not_published_is_refused(self, tmp_path: Path) -> None:
        built = Built(tmp_path)
        built.publish()
        with pytest.raises(OptionsError, match="nothing is published for 2020-01-01; run triad"):
            built.page(date="2020-01-01")

    def test_without_a_date_the_latest_published_one_is_shown(self, tmp_path: Path) -> None:
        built = Built(tmp_path)
        built.publish(date="2026-11-22")
        built.publish(date="2026-11-23")
        assert "Scores of 2026-11-23" in built.page().text
        assert "Scores of 2026-11-22" in built.page(date="2026-11-22").text

    def test_without_records_there_is_no_gallery_but_a_reason(self, tmp_path: Path) -> None:
        built = Built(tmp_path)
        built.publish()
        page = built.page(with_records=False)
        assert not page.all("article", "right")
        assert "No record of the test split has both a label and a published score, so" in page.text
        assert "category: 10 records at random" in page.text

    def test_without_evaluation_history_and_manifest_the_page_says_so(self, tmp_path: Path) -> None:
        page = Built(tmp_path, document=None, history=(), data_manifest=None).page(scores=False)
        assert "no evaluation on the test split" in page.text
        assert "no training history" in page.text
        assert "no record of its preprocessing" in page.text

    def test_a_spec_without_audio_has_no_audio_column_and_no_sound(self, tmp_path: Path) -> None:
        built = Built(tmp_path, NO_AUDIO)
        built.publish()
        page = built.page()
        assert len(page.all("span", "dot")) == 3 * 2
        assert not page.all("audio")
        assert len(page.all("img")) == 10 + 6

    def test_an_evaluation_without_labels_shows_dashes(self, tmp_path: Path) -> None:
        empty = reports.document(ONE_TASK, {"category": CLASSES}, n=0)
        page = Built(tmp_path, document=empty).page(scores=False)
        assert not re.search(r"\bnan\b", page.text, re.IGNORECASE)
        assert "accuracy –" in page.text

    def test_jsonl_scores_give_the_same_gallery_as_parquet(self, tmp_path: Path) -> None:
        pages = []
        for format in ("parquet", "jsonl"):
            built = Built(tmp_path / format, TWO_TASKS, wrong={"r3": 0.6})
            built.publish(format=format)
            source = built.page().source
            pages.append(source[source.index('id="gallery"') : source.index('id="provenance"')])
        assert pages[0] == pages[1]

    def test_a_folder_that_is_no_model_is_refused(self, tmp_path: Path) -> None:
        with pytest.raises(OptionsError, match="is no model folder"):
            report_page.write(tmp_path, None, None, [], tmp_path / "report.html")

    def test_a_page_that_cannot_be_written_is_a_storage_error(self, tmp_path: Path) -> None:
        built = Built(tmp_path)
        (tmp_path / "file").write_text("")
        with pytest.raises(StorageError, match="file"):
            report_page.write(built.model, None, None, [], tmp_path / "file" / "report.html")


class TestEnding:
    """What the page lacks is told by the command too."""

    def told(self, caplog: pytest.LogCaptureFixture) -> list[str]:
        return [one.message for one in caplog.records if one.levelname == "WARNING"]

    def test_a_whole_page_warns_of_nothing(
        self, tmp_path: Path, caplog: pytest.LogCaptureFixture
    ) -> None:
        built = Built(tmp_path)
        built.publish()
        built.page()
        assert self.told(caplog) == []

    def test_a_folder_without_scores_is_told_and_so_are_records_of_no_use(
        self, tmp_path: Path, caplog: pytest.LogCaptureFixture
    ) -> None:
        built = Built(tmp_path)
        built.page()
        assert self.told(caplog) == [
            f"{built.scores}: no scores are published here, and the page has none; name the "
            "--output of triad score",
            "--input: is of use with --scores alone; name them too",
        ]

    def test_scores_without_records_and_of_another_model_are_told(
        self, tmp_path: Path, caplog: pytest.LogCaptureFixture
    ) -> None:
        built = Built(tmp_path)
        published = built.publish(model_digest="e" * 64)
        built.page(with_records=False)
        assert self.told(caplog) == [
            f"the scores of {published.date} are of another model than {built.model}; name the "
            "model that made them, or score again",
            "no picture, sound or text is shown, and no prediction is compared with a label; name "
            "the records with --input",
        ]

    def test_media_that_are_gone_since_are_told(
        self, tmp_path: Path, caplog: pytest.LogCaptureFixture
    ) -> None:
        built = Built(tmp_path, rows=[{**row, "image": "gone.png"} for row in records(12)])
        built.publish()
        built.page()
        (one,) = self.told(caplog)
        assert re.match(r"image: (\d+) of \1 that scoring used are not shown: ", one)
        assert "name their folder with --media-root" in one


class TestWarnings:
    def test_generated_data_is_announced(self, tmp_path: Path) -> None:
        for name, model, row in (
            ("flag", {"about": {"generated": True}}, {}),
            ("column", {}, {"source": "generated"}),
        ):
            built = Built(tmp_path / name, rows=records(4, **row), **model)
            page = built.page(scores=False)
            assert page.all("div", "warning"), name
            assert "Generated data" in page.text

    def test_recorded_data_is_named_after_its_source_without_warning(self, tmp_path: Path) -> None:
        page = Built(tmp_path, rows=records(4, source="bird songs 2")).page(scores=False)
        assert "bird songs 2" in page.text
        assert not page.all("div", "warning")

    def test_scores_of_another_model_are_announced(self, tmp_path: Path) -> None:
        built = Built(tmp_path)
        built.publish(model_digest="e" * 64)
        assert "Scores of another model" in built.page().text


class TestGallery:
    def raw(self, record_id: str, **fields: Any) -> RawRecord:
        label = {"labels": {"category": "bird"}, "split": "test"}
        return RawRecord(record_id, Position("/r/records.jsonl", 0), **{**label, **fields})

    def row(self, record_id: str, label: str, score: float = 0.8) -> dict[str, Any]:
        shares = {"bird": 0.1, "fish": 0.1, label: score}
        struct = {"label": label, "score": score, "distribution": list(shares.items())}
        return {"id": record_id, "category": struct, "modalities_used": ["text"], "issues": []}

    def build(
        self, raw: Sequence[RawRecord], rows: Sequence[dict[str, Any]], **options: Any
    ) -> Any:
        def chosen(ids: frozenset[str]) -> list[dict[str, Any]]:
            return [row for row in rows if row["id"] in ids]

        (one,) = record_cards.build(ONE_TASK, lambda: iter(raw), chosen, **options)
        return one

    def test_only_labelled_test_records_with_a_score_count(self) -> None:
        raw = [
            self.raw("right"),
            self.raw("train", split="train"),
            self.raw("no label", labels={}),
            self.raw("no score"),
            self.raw("odd label", labels={"category": ["a"]}),
        ]
        rows = [self.row(r.id, "bird") for r in raw if r.id != "no score"]
        one = self.build(raw, rows)
        assert [card.id for card in one.right] == ["right"]
        assert (one.num_right, one.num_wrong) == (1, 0)

    def test_the_right_ones_are_drawn_by_seed_and_the_wrong_ones_by_confidence(self) -> None:
        raw = [self.raw(f"{i:02}") for i in range(40)]
        rows = [
            self.row(r.id, "bird" if i < 20 else "fish", 0.5 + i / 100) for i, r in enumerate(raw)
        ]
        first, again, other = (self.build(raw, rows, most=5, seed=seed) for seed in (1, 1, 2))
        assert [card.id for card in first.wrong] == ["39", "38", "37", "36", "35"]
        assert (first.num_right, first.num_wrong) == (20, 20)
        assert first.right == again.right
        assert first.right != other.right
        assert len({card.id for card in first.right}) == 5

    def test_a_label_that_the_model_does_not_know_is_marked(self) -> None:
        raw = [self.raw("a", labels={"category": "whale"})]
        (card,) = self.build(raw, [self.row("a", "bird")]).wrong
        assert card.unseen
        assert card.truth == ("whale",)

    def test_media_that_cannot_be_read_are_left_out(self, tmp_path: Path) -> None:
        raw = [
            self.raw("a", image=Uri("../../etc/passwd"), audio=b"RIFFbroken", text=b"\xff\xfe"),
            self.raw("b", image=reports.png(1), text="é".encode()),
        ]
        cards = {c.id: c for c in self.build(raw, [self.row(r.id, "bird") for r in raw]).right}
        assert (cards["a"].picture, cards["a"].sound, cards["a"].text) == ("", None, "")
        assert cards["b"].picture.startswith("data:image/")
        assert cards["b"].text == "é"

    def test_a_long_text_is_cut(self) -> None:
        raw = [self.raw("a", text=b"word " * 1000)]
        (card,) = self.build(raw, [self.row("a", "bird")]).right
        assert len(card.text) <= 402
        assert card.text.endswith("…")

    def test_a_thumbnail_is_small_and_keeps_its_shape(self) -> None:
        wide = io.BytesIO()
        Image.new("L", (900, 300), 128).save(wide, "JPEG")
        kind, content = previews.thumbnail(wide.getvalue()).split(",")
        picture = Image.open(io.BytesIO(base64.b64decode(content)))
        assert kind in ("data:image/png;base64", "data:image/jpeg;base64")
        assert picture.size == (160, 53)
        assert previews.thumbnail(wide.getvalue()[:40]) == ""

    @pytest.mark.parametrize(
        ("rate", "seconds", "played", "heard"),
        [(16_000, 1.0, 16_000, 1.0), (16_000, 6.0, 8_000, 6.0), (48_000, 30.0, 8_000, 8.125)],
    )
    def test_a_sound_fits_into_130_kb(
        self, rate: int, seconds: float, played: int, heard: float
    ) -> None:
        content = reports.wav(3, rate, seconds)
        one = previews.sound(content, AudioSpec(sample_rate=rate, seconds=seconds), Limits())
        decoded = base64.b64decode(one.uri.split(",")[1])
        with wave.open(io.BytesIO(decoded)) as file:
            assert file.getframerate() == played
        assert one.seconds == pytest.approx(heard, abs=0.01)
        assert len(decoded) <= 130_044


class TestConfusions:
    def task(self, confusion: Any, n: int | None = None) -> dict[str, Any]:
        counts = np.asarray(confusion)
        recorded = {
            "confusion": counts.tolist(),
            "n": int(counts.sum()) if n is None else n,
            "unseen": 0,
        }
        return {"classes": [f"c{i}" for i in range(len(counts))], "as recorded": recorded}

    def test_shares_are_of_the_row_and_pairs_the_largest_first(self) -> None:
        view = report_confusion.view(self.task([[3, 1, 0], [0, 2, 0], [5, 0, 0]]))
        assert view is not None
        assert [cell["share"] for cell in view["rows"][0]["cells"]] == [0.75, 0.25, 0]
        assert [cell["hit"] for cell in view["rows"][1]["cells"]] == [False, True, False]
        assert view["pairs"] == [
            {"truth": "c2", "predicted": "c0", "n": 5},
            {"truth": "c0", "predicted": "c1", "n": 1},
        ]

    def test_more_than_forty_classes_share_a_last_row_and_lose_no_record(self) -> None:
        counts = np.diag(np.arange(100)) + np.eye(100, k=1, dtype=int)
        view = report_confusion.view(self.task(counts))
        assert view is not None
        assert len(view["rows"]) == len(view["names"]) == 41
        assert view["names"][-1] == "60 others"
        assert sum(cell["n"] for row in view["rows"] for cell in row["cells"]) == counts.sum()
        assert view["names"][0] == "c60"
        others = view["rows"][-1]["cells"][-1]
        assert (others["hit"], others["share"]) == (False, 0)

    def test_there_is_none_for_sets_and_for_no_records(self) -> None:
        assert report_confusion.view({"classes": [], "as recorded": {"n": 4}}) is None
        assert report_confusion.view(self.task([[0, 0], [0, 0]])) is None


class TestCharts:
    def test_an_interval_lies_where_its_figures_say(self) -> None:
        svg = charts.interval(0.5, 0.25, 1.0, 0.1)
        assert 'cx="100"' in svg
        assert 'x1="52.5" x2="195"' in svg
        assert 'x1="24" x2="24"' in svg
        assert charts.interval(None, None, None) == ""

    def test_a_line_breaks_where_a_value_is_missing(self) -> None:
        series = charts.Series("loss", (1.0, 0.5, None, 0.4, 0.3, float("nan"), 0.2))
        svg = charts.lines("t", range(1, 8), [series], x_name="epoch")
        assert svg.count("<polyline") == 3
        assert svg.count('class="dot s0"') == 1

    def test_titles_are_escaped(self) -> None:
        svg = charts.lines(HOSTILE, [1, 2], [charts.Series("a", (1, 2))], x_name=HOSTILE)
        assert "<script>" not in svg
        assert "&lt;script&gt;" in svg

    def test_nothing_to_draw_is_nothing(self) -> None:
        assert charts.lines("t", [], [], x_name="x") == ""
        assert charts.reliability("t", [{"n": 0}]) == ""

    def test_one_epoch_is_a_dot(self) -> None:
        svg = charts.lines("t", [1], [charts.Series("a", (0.5,))], x_name="x", percent=True)
        assert 'class="dot s0"' in svg


class TestSections:
    def test_reasons_and_flaws_are_all_explained(self) -> None:
        counts = {str(reason): 1 for reason in Reason}
        assert all(one["why"] for one in sections._reasons(counts))
        issues = {f"image: {flaw}": 1 for flaw in Flaw}
        assert all(one["why"] for one in sections._flaws(issues))

    def test_a_history_with_gaps_is_shown_with_its_best_epoch(self) -> None:
        history = [
            {"epoch": "1", "loss": "2.0", "eval_loss": "", "mood_accuracy": "0.5", "seconds": "40"},
            {"epoch": "2", "loss": "1", "eval_loss": "0.75", "mood_accuracy": "", "seconds": "40"},
            {"epoch": "3", "loss": "nan", "eval_loss": "0.9", "mood_accuracy": "", "seconds": ""},
        ]
        view = learning_curves.view(history)
        assert view is not None
        assert view["sentence"] == (
            "3 epochs in 1 min 20 s. The eval loss is lowest, 0.750, at epoch 2 (dotted)."
        )
        assert [chart["series"] for chart in view["charts"]] == [["train"], ["eval"], ["mood"]]
        assert view["rows"][2] == ["3", "–", "0.9", "–", "–"]


def unlabelled(folder: Path, n: int = 40) -> Built:
    """Records of no split and no label whose scores fall from record to record."""
    rows = [
        {name: value for name, value in row.items() if name not in ("labels", "split")}
        for row in records(n)
    ]
    built = Built(folder, rows=rows[:0], document=None, data_manifest=None)
    built.records = reports.write_records(folder / "records", rows)
    built.scored = [
        reports.scored(
            row["id"],
            {"category": reports.prediction([p, (1 - p) * 0.6, (1 - p) * 0.4], CLASSES)},
            offset=i,
        )
        for i, (row, p) in enumerate(zip(rows, np.linspace(0.99, 0.51, n), strict=True))
    ]
    built.publish()
    return built


class TestWithoutLabels:
    def test_scores_are_counted_and_the_least_certain_records_shown(self, tmp_path: Path) -> None:
        built = unlabelled(tmp_path)
        page = built.page()
        assert "Published scores" in page.text
        assert "bird 40 100.0%" in page.text
        assert re.search(r"95\.0%–100\.0% 4\b", page.text)
        shown = re.findall(r"Least certain</h4>(.*?)</section>", page.source, re.DOTALL)
        ids = re.findall(r'<p class="id"><code><bdi>(\w+)</bdi>', shown[0])
        assert ids == ["r39", "r38", "r37", "r36", "r35", "r34"]
        assert "12 records at random" in page.text
        assert len(page.all("article", "open")) == 18
        assert len(page.all("audio")) == 18
        assert not page.all("article", "right")

    def test_without_records_files_the_cards_have_no_media(self, tmp_path: Path) -> None:
        page = unlabelled(tmp_path).page(with_records=False)
        assert len(page.all("article", "open")) == 18
        assert page.text.count("no image") == 18

    def test_least_certain_records_of_many_parts_are_those_of_all(self, tmp_path: Path) -> None:
        scores_of = [[0.9, 0.2, 0.9], [0.5, 0.1], [], [0.3] * 20]
        run = run_of(tmp_path / "out", scores_of)
        manifest = publishing_publish.current(run.output, run.date)
        assert manifest is not None
        found = score_survey.survey(run, manifest, frozenset({"p1-1", "none"}))
        (one,) = found.tasks
        assert sum(one.counts) == 25
        lowest = [round(row["category"]["score"], 4) for row in one.uncertain]
        assert lowest == [0.1, 0.2, *[0.3] * 10]
        assert len({row["id"] for row in one.drawn}) == score_survey.MOST
        assert [row["id"] for row in found.rows] == ["p1-1"]


def run_of(output: Path, scores_of: Sequence[Sequence[float]]) -> RunFolder:
    """A published run with one part for each list of scores."""
    settings = ScoreSchema(
        {"category": Classification(("a", "b"))}, Provenance("m", "t", "s", "c", "0")
    )
    run = RunFolder(str(output), reports.DATE, "ab" * 12)
    for part, numbers in enumerate(scores_of):
        rows = [
            Scored(
                f"p{part}-{i}",
                Position("in", i, part),
                {"category": Prediction("a", one, np.asarray([one, 1 - one], np.float32))},
                (),
                (),
            )
            for i, one in enumerate(numbers)
        ]
        commit_unit(run, part, rows, [], len(rows), settings)
    seal(run, len(scores_of), Gates(1.0), settings, {})
    publishing_publish.publish(run, None)
    return run


class Scattered(kinds.ClassificationReport):
    """A kind of task with a plot of its own, and scores that are no probabilities."""

    def plots(self, name: str, evaluated: Mapping[str, Any]) -> tuple[kinds.Plot, ...]:
        chart = charts.histogram(f"{name}: residuals", [3, 1], "residual")
        return (kinds.Plot("Residuals", f"{evaluated['as recorded']['n']} of them.", chart),)

    def calibration(self, name: str, evaluated: Mapping[str, Any]) -> None:
        return None


def test_a_kind_may_bring_plots_and_have_no_calibration(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(kinds.KINDS, "classification", Scattered())
    source = Built(tmp_path).page(scores=False).source
    errors, trust = source.split('<section id="')[2:4]
    assert errors.startswith("errors")
    assert "<figure><h4>Residuals</h4><figcaption>120 of them.</figcaption><svg" in errors
    assert trust.startswith("trust")
    assert "No figures on the test split." in trust
    assert "<svg" not in trust


class TestTitles:
    @pytest.mark.parametrize(
        ("files", "title"),
        [
            ((), "Records"),
            (("in/calls.jsonl",), "calls.jsonl"),
            (("gs://b/in/a.csv", "gs://b/in/b.csv"), "in (2 files)"),
        ],
    )
    def test_data_without_a_name_is_called_by_its_files(
        self, files: tuple[str, ...], title: str
    ) -> None:
        assert sections.title(files) == title

    def test_the_page_is_titled_by_the_records_files_it_reads(self, tmp_path: Path) -> None:
        assert "<h1><bdi>records.jsonl</bdi></h1>" in unlabelled(tmp_path).page().source


class TestNaturalOrder:
    def test_classes_that_are_numbers_stand_as_people_count(self) -> None:
        names = ["1", "10", "2", "-3", "0.5"]
        order = report_confusion.natural_order(names)
        assert [names[place] for place in order] == ["-3", "0.5", "1", "2", "10"]
        assert report_confusion.natural_order(["10", "2", "x"]) == [0, 1, 2]
        assert report_confusion.natural_order(["10", "nan"]) == [0, 1]

    def test_the_matrix_moves_rows_and_columns_together(self) -> None:
        recorded = {"confusion": [[1, 2, 3], [4, 5, 6], [7, 8, 9]], "n": 45, "unseen": 0}
        view = report_confusion.view({"classes": ["1", "10", "2"], "as recorded": recorded})
        assert view is not None
        assert view["names"] == ["1", "2", "10"]
        cells = [[cell["n"] for cell in row["cells"]] for row in view["rows"]]
        assert cells == [[1, 3, 2], [7, 9, 8], [4, 6, 5]]


@pytest.mark.parametrize(
    ("n", "text"),
    [(0, "0"), (999, "999"), (1000, "1.0k"), (9999, "9.9k"), (12345, "12k"), (7_000_000, "7.0M")],
)
def test_counts_in_a_matrix_take_four_characters_at_most(n: int, text: str) -> None:
    assert sections.brief(n) == text


Colour = tuple[float, float, float]
HEX = re.compile(r"--([\w-]+): (#[0-9a-f]{3,6})\b")


def colours() -> dict[str, dict[str, Colour]]:
    """The page's colours by name, of its light and of its dark scheme."""
    source = Path(report_page.__file__).parent.joinpath("templates", "report.html.j2").read_text()
    light, dark = re.findall(r":root \{(.*?)\}", source, re.DOTALL)
    first = {name: rgb(value) for name, value in HEX.findall(light)}
    return {"light": first, "dark": first | {n: rgb(value) for n, value in HEX.findall(dark)}}


def rgb(text: str) -> Colour:
    digits = text[1:] if len(text) == 7 else "".join(2 * digit for digit in text[1:])
    red, green, blue = (int(digits[i : i + 2], 16) / 255 for i in (0, 2, 4))
    return red, green, blue


def mixed(colour: Colour, share: float, ground: Colour) -> Colour:
    red, green, blue = (share * a + (1 - share) * b for a, b in zip(colour, ground, strict=True))
    return red, green, blue


def contrast(one: Colour, other: Colour) -> float:
    """As WCAG 2 defines it."""

    def luminance(colour: Colour) -> float:
        linear = [c / 12.92 if c <= 0.04045 else ((c + 0.055) / 1.055) ** 2.4 for c in colour]
        return 0.2126 * linear[0] + 0.7152 * linear[1] + 0.0722 * linear[2]

    low, high = sorted((luminance(one), luminance(other)))
    return (high + 0.05) / (low + 0.05)


class TestContrast:
    @pytest.mark.parametrize("scheme", ["light", "dark"])
    def test_all_text_and_all_that_charts_draw_stands_out(self, scheme: str) -> None:
        of = colours()[scheme]
        grounds = [of[name] for name in ("paper", "surface")]
        washes = [of["blue-wash"], of["orange-wash"]]
        pairs = {
            (name, ground): contrast(of[name], ground)
            for name in ("ink", "soft", "faint", "blue", "orange")
            for ground in grounds
        }
        pairs |= {
            (name, wash): contrast(of[name], wash) for name in ("ink", "soft") for wash in washes
        }
        assert {pair: value for pair, value in pairs.items() if value < 4.5} == {}

    @pytest.mark.parametrize("scheme", ["light", "dark"])
    def test_words_and_counts_stand_out_on_whatever_colour_is_under_them(self, scheme: str) -> None:
        of = colours()[scheme]
        source = (
            Path(report_page.__file__).parent.joinpath("templates", "report.html.j2").read_text()
        )
        assert "[50 * cell.share, 12]" in source  # the heat of a cell of the matrix
        assert "calc(.5 * var(--strength))" in source  # of a word that speaks for or against
        marks = [rgb(value) for value in re.findall(r"--colour: (#[0-9a-f]{6})", source)]
        assert len(marks) == 2
        found = [
            contrast(of["ink"], mixed(colour, share / 100, of[ground]))
            for colour in (of["blue"], of["orange"], *marks)
            for ground in ("paper", "surface")
            for share in range(51)
        ]
        assert min(found) >= 4.5

    def test_nothing_that_is_read_is_made_paler_by_opacity(self) -> None:
        source = (
            Path(report_page.__file__).parent.joinpath("templates", "report.html.j2").read_text()
        )
        assert "opacity" not in source


CHROMIUM = shutil.which("chromium") or shutil.which("chromium-browser")
WRAPPER = """<!DOCTYPE html><body style="margin:0">
<iframe id="f" style="border:0;height:900px;width:{width}px"></iframe>
<script>
const f = document.getElementById("f");
f.onload = () => {{
  const page = f.contentDocument;
  for (const one of page.querySelectorAll("details")) one.open = true;
  const root = page.documentElement;
  const out = [...page.querySelectorAll("body *")].filter(e => !e.closest(".box, nav, svg, pre"))
    .filter(e => e.getBoundingClientRect().right > f.contentWindow.innerWidth + 1)
    .map(e => e.tagName + "." + e.className);
  const cut = [...page.querySelectorAll("#errors .box, #scores .box")]
    .filter(e => e.scrollWidth > e.clientWidth || e.scrollHeight > e.clientHeight)
    .map(e => e.getAttribute("aria-label"));
  document.title = JSON.stringify(
    [f.contentWindow.innerWidth, root.scrollWidth, [...out.slice(0, 5), ...cut]]);
}};
f.srcdoc = {page};
</script></body>"""


def of_many_classes(folder: Path, number: int) -> Page:
    """A page about a model of so many classes with long names."""
    names = {"category": [f"a_class_with_quite_a_long_name_{i}" for i in range(number)]}
    model = reports.model_folder(
        folder / "model", ONE_TASK, names, reports.document(ONE_TASK, names, n=20_000)
    )
    row = reports.prediction(list(np.full(number, 1 / number)), names["category"])
    reports.publish_scores(folder / "scores", model, [reports.scored("r", {"category": row})])
    report_page.write(str(model), str(folder / "scores"), None, [], folder / "report.html")
    return Page((folder / "report.html").read_text(encoding="utf-8"))


@pytest.mark.skipif(CHROMIUM is None, reason="chromium is not installed")
@pytest.mark.parametrize("width", [1280, 400])
@pytest.mark.parametrize("classes", [3, 12, 60])
def test_the_page_does_not_scroll_sideways_and_cuts_no_table_of_classes(
    whole: tuple[Built, Page], tmp_path: Path, width: int, classes: int
) -> None:
    page = whole[1] if classes == 3 else of_many_classes(tmp_path, classes)
    source = json.dumps(page.source).replace("</", "<\\/")
    wrapper = tmp_path / "wrapper.html"
    wrapper.write_text(WRAPPER.format(width=width, page=source), encoding="utf-8")
    assert CHROMIUM is not None
    flags = (
        "--headless --no-sandbox --disable-gpu --disable-quic --no-first-run --disable-sync "
        "--disable-background-networking --disable-component-update --virtual-time-budget=5000"
    ).split()
    shown = subprocess.run(
        [
            CHROMIUM,
            *flags,
            f"--user-data-dir={tmp_path / 'profile'}",
            "--window-size=1400,1000",
            "--dump-dom",
            wrapper.as_uri(),
        ],
        capture_output=True,
        text=True,
        timeout=120,
        check=True,
    ).stdout
    title = re.search(r"<title>(.*?)</title>", shown)
    assert title is not None, shown[-500:]
    inner, scroll, beyond = json.loads(title.group(1))
    assert inner == width
    assert scroll <= inner
    assert beyond == []
