"""200 records, most of them hostile: each is in one output, and good records are unaffected."""

import base64
import json
import os
import random
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import pytest

from examples import generated as examples
from tests import media
from tests.reliability import bombs, faulty_decoder, odd_media
from triad_ml.pipelines.publishing import publish
from triad_ml.pipelines.scoring import run as scoring_run
from triad_ml.pipelines.scoring.config import ScoreConfig
from triad_ml.pipelines.tables import formats
from triad_ml.transforms.media.decoder import process
from triad_ml.transforms.media.decoder import program as decoder_program

DATE = "2026-11-24"
RECORDS, EACH = 200, 7
TEXT = "a fan hums"


class Hostile(NamedTuple):
    """A record as its line holds it, and what becomes of it.

    Attributes:
        fields: Of the record; `id` is there only where its class is about ids.
        outcome: Its issues where it is scored, else stage, reason and detail.
        raw: Bytes that stand for the text `@`.
    """

    fields: Mapping[str, Any]
    outcome: tuple[str, ...]
    raw: bytes = b""


class Corpus(NamedTuple):
    path: Path
    good: Path
    outcomes: Sequence[tuple[str, tuple[str, ...]]]


def inline(content: bytes) -> dict[str, str]:
    return {"base64": base64.b64encode(content).decode()}


def medium(modality: str, value: object, flaw: str, *, alone: bool) -> Hostile:
    """A record with one hostile medium: alone it is rejected, else it is scored without it."""
    issue = f"{modality}: {flaw}"
    if alone:
        return Hostile({modality: value}, ("canonicalize", "unreadable", issue))
    if modality == "text":
        return Hostile({modality: value, "image": inline(media.png())}, (issue,))
    return Hostile({modality: value, "text": TEXT}, (issue,))


def media_of(modality: str, flaw: str, values: Sequence[object]) -> list[Hostile]:
    return [
        medium(modality, values[index % len(values)], flaw, alone=index % 2 == 1)
        for index in range(EACH)
    ]


def refused(field: object, reason: str, detail: str) -> Hostile:
    return Hostile({"id": field, "text": TEXT}, ("read", reason, detail))


def classes(folder: Path) -> dict[str, list[Hostile]]:
    """Seven of each; `folder` gets what URIs lead to."""
    (folder / "link.png").symlink_to("../outside.png")
    (folder.parent / "outside.png").write_bytes(media.png())
    os.mkfifo(folder / "pipe")
    jpeg, wav = media.jpeg(), media.wav()
    not_a_number = media.wave()
    not_a_number[5] = np.nan
    small = [
        inline(content)
        for _, content, flaw in bombs.small().values()
        if flaw == "too_large" and len(content) < 500_000
    ]
    generated = odd_media.generated()

    def odd(*names: str) -> list[object]:
        return [inline(generated[name].content) for name in names]

    outside = "../outside.png"
    bad_ids = {
        "the id is missing": None,
        "the id is a list, not a string or a whole number": ["a"],
        "the id is an object, not a string or a whole number": {"a": 1},
        "the id is true or false, not a string or a whole number": True,
        "the id is a number, not a string or a whole number": 1.5,
        "the id is empty": "",
        "the id holds control characters": "a\nb",
    }
    return {
        "truncated picture": media_of("image", "truncated", [inline(jpeg[:300])]),
        "truncated sound": media_of("audio", "truncated", [inline(wav[:-10])]),
        "bomb": media_of("image", "too_large", small),
        "lying header": media_of("audio", "truncated", odd("audio/lying.wav", "audio/day-long.au")),
        "impossible header": media_of(
            "audio", "unsupported", odd("audio/nine-channels.wav", "audio/gigahertz.wav")
        ),
        "wrong picture format": media_of(
            "image", "unsupported", odd("image/page.pdf", "image/newer.jxl", "image/runs.bmp")
        ),
        "wrong sound format": media_of("audio", "unsupported", odd("audio/a-film.wav")),
        "no number": media_of(
            "audio", "not_finite", [inline(media.sound(not_a_number, 16_000, subtype="FLOAT"))]
        ),
        "crash of the decoder": media_of(
            "audio",
            "corrupt",
            [inline(faulty_decoder.marked(media.sound(media.wave(), 16_000, "AU"), "crash"))],
        ),
        "no UTF-8": [
            medium("text", "@", "not_utf8", alone=index % 2 == 1)._replace(raw=raw)
            for index, raw in enumerate([b"\xff", b"caf\xe9", b"\xc0\xaf", b"\xed\xa0\x80"] * 2)
        ][:EACH],
        "no base64": media_of("image", "corrupt", [{"base64": "?"}, "data:image/png,x", [1]]),
        "forbidden URI": media_of(
            "image",
            "forbidden",
            [
                "http://127.0.0.1:9/a.png",
                outside,
                "link.png",
                "/etc/hostname",
                "gs://another-bucket/a.png",
                "s3://bucket/a.png",
                "pipe",
            ],
        ),
        "dead URI": media_of("image", "not_found", ["nowhere.png", "%2e%2e/outside.png"]),
        "nothing": [
            Hostile(fields, ("canonicalize", "empty", ""))
            for fields in [{}, {"text": ""}, {"image": None}, {"audio": {"uri": ""}}] * 2
        ][:EACH],
        "bad id": [refused(value, "invalid_id", why) for why, value in bad_ids.items()],
        "long id": [
            refused("é" * (257 + index), "invalid_id", "the id is longer than 512 bytes")
            for index in range(EACH)
        ],
        "no record": [
            Hostile({}, ("read", "unparsable", ""), raw)
            for raw in [
                b"no json",
                b"[1]",
                b"{",
                b'{"id": "a", "id": "b"}',
                b"\xff\xfe",
                b"1",
                b"null",
            ]
        ],
    }


@pytest.fixture(scope="module")
def corpus(tmp_path_factory: pytest.TempPathFactory) -> Corpus:
    """Written in a shuffled order, with the good ones alone in a second file."""
    folder = tmp_path_factory.mktemp("hostile") / "records"
    folder.mkdir()
    source = examples.write(folder / "good", RECORDS, seed=11)
    good = [json.loads(line) for line in source.read_text().splitlines()]
    hostile = [(name, one) for name, ones in classes(folder).items() for one in ones]
    good = good[: RECORDS - len(hostile) - EACH]
    for line in good:
        line |= {name: f"good/{line[name]}" for name in ("image", "audio") if line[name]}
    written: list[tuple[bytes, str, tuple[str, ...]]] = []
    for line in good:
        written.append((json.dumps(line).encode(), line["id"], ()))
    for index, (name, one) in enumerate(hostile):
        fields = {"id": f"{name} {index}", **one.fields}
        stored = json.dumps(fields).encode().replace(b'"@"', b'"' + one.raw + b'"')
        known = fields["id"] if one.outcome[0] != "read" else ""
        written.append((one.raw if name == "no record" else stored, known, one.outcome))
    random.Random(0).shuffle(written)
    twice = ("publish", "duplicate_id", "an earlier record of this run has the id")
    written += [(json.dumps(line).encode(), line["id"], twice) for line in good[:EACH]]

    records, offset, outcomes = folder / "records.jsonl", 0, []
    for stored, known, outcome in written:
        outcomes.append((known or f"{records}#{offset}", outcome))
        offset += len(stored) + 1
    records.write_bytes(b"".join(stored + b"\n" for stored, _, _ in written))
    (folder / "good.jsonl").write_text("".join(json.dumps(line) + "\n" for line in good))
    return Corpus(records, folder / "good.jsonl", outcomes)


class Run(NamedTuple):
    scored: Sequence[dict[str, Any]]
    rejected: Sequence[dict[str, Any]]


def scores_of(model: Path, records: Path, output: Path) -> Run:
    scoring_run.run(
        ScoreConfig(
            str(model), (str(records),), str(output), DATE, rejected_limit=1.0, issues_limit=1.0
        )
    )
    manifest = publish.current(str(output), DATE)
    assert manifest is not None
    run = publish.RunFolder(str(output), DATE, manifest.run_id)
    return Run(
        [
            row
            for path in publish.open_current(str(output))
            for row in formats.read(path).to_pylist()
        ],
        [
            row
            for part in manifest.rejected
            for row in formats.read(run.path(part.path)).to_pylist()
        ],
    )


@pytest.fixture(scope="module")
def run(trained: Path, corpus: Corpus, tmp_path_factory: pytest.TempPathFactory) -> Run:
    process.close()
    with pytest.MonkeyPatch.context() as patch:
        program = (sys.executable, "-I", faulty_decoder.__file__, decoder_program.__file__)
        patch.setattr(process, "COMMAND", program)
        found = scores_of(trained, corpus.path, tmp_path_factory.mktemp("scored"))
        process.close()
    return found


def test_every_record_is_in_one_place_for_its_reason(run: Run, corpus: Corpus) -> None:
    found = [(row["id"], tuple(row["issues"])) for row in run.scored]
    found += [(row["id"], (row["stage"], row["reason"], row["detail"])) for row in run.rejected]
    assert len(found) == len(corpus.outcomes) == RECORDS
    assert sorted(map(_without_words, found)) == sorted(map(_without_words, corpus.outcomes))


def _without_words(one: tuple[str, tuple[str, ...]]) -> tuple[str, tuple[str, ...]]:
    """What is no JSON is so in many words; they are tested elsewhere."""
    name, outcome = one
    return name, outcome[:2] if outcome[1:2] == ("unparsable",) else outcome


def test_no_good_record_notices(run: Run, trained: Path, corpus: Corpus, tmp_path: Path) -> None:
    alone = scores_of(trained, corpus.good, tmp_path)
    assert len(alone.scored) == RECORDS - EACH * 18
    among = {row["id"]: row for row in run.scored}
    assert {row["id"]: among[row["id"]] for row in alone.scored} == {
        row["id"]: row for row in alone.scored
    }
    assert not alone.rejected


def test_no_payload_is_among_the_rejected(run: Run) -> None:
    text = json.dumps(run.rejected)
    assert TEXT not in text
    assert base64.b64encode(media.jpeg()[:300]).decode() not in text
    read = [row for row in run.rejected if row["stage"] != "publish"]
    assert {len(row["payload_digest"]) for row in read} == {64}
