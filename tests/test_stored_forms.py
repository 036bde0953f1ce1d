"""Stored forms: later versions must read them, so that no change of code may alter them unnoticed.

After a change of a digest here users must preprocess, train or score again: note it in the
changelog.
"""

import hashlib

import numpy as np
import pytest

from triad_ml.pipelines.publishing import manifest as publishing_manifest
from triad_ml.pipelines.publishing import run_folder
from triad_ml.pipelines.tables import ScoresFormat, columns, formats, rows, schema
from triad_ml.transforms.records.values import (
    Explanation,
    Position,
    Prediction,
    Provenance,
    Reason,
    Rejected,
    Scored,
    ScoredSpan,
    Tagged,
    Text,
)
from triad_ml.transforms.spec import loading
from triad_ml.transforms.spec.spec import Spec

SMALL = """
modalities: {text: {tokens: word}}
tasks: {kind: {kind: classification, label: what}}
"""
WHOLE = """
modalities:
  image: {size: 32, issues_limit: 0.2}
  audio: {sample_rate: 16000, seconds: 1.5, mel_bins: 16}
  text: {tokens: word, vocabulary: 500, length: 24, spelling: 200}
tasks:
  kind: {kind: classification, label: what, weight: 2.0}
  marks: {kind: classification, label: signs, multi_label: true}
  names: {kind: tagging, label: spans}
  answer: {kind: generation, label: reply, length: 12, vocabulary: 300}
model: {dim: 48, fusion: attention, image_filters: [8, 16]}
training: {epochs: 3, batch_size: 16, seed: 7}
split: {by: group, train: 0.7, eval: 0.2, test: 0.1}
limits: {text_bytes: 4000}
"""


def sha256(content: bytes) -> str:
    return hashlib.sha256(content).hexdigest()


@pytest.mark.parametrize(
    ("text", "digest", "features"),
    [
        (
            SMALL,
            "b1ebaff09c2f2f87fb52edec7964e05e0519aaa4148bce35431c4266463511de",
            "e6dbec35be48a930a93778df94f1084733be9c3bc80d09a6c6c2d97cdea4d5a0",
        ),
        (
            WHOLE,
            "3246fdd06567e48bda8cfa55ffc76fa282fc4dbc8817ee96baf0cf101b747c7c",
            "a5d1fcc23b5d1f84795155cce8afe9d0a82493d3ed528ce9fb929b18d5dc284e",
        ),
    ],
    ids=["small", "whole"],
)
def test_the_digest_of_a_spec_and_of_its_features(text: str, digest: str, features: str) -> None:
    spec = loading.parse(text)
    assert (spec.digest(), sha256(spec.features_json().encode())) == (digest, features)
    assert Spec.model_validate_json(spec.to_json()) == spec


SETTINGS = schema.ScoreSchema(
    columns={
        "kind": columns.Classification(("cat", "dog"), ("image", "text")),
        "marks": columns.Classification(("x", "y"), ("image", "text"), multi_label=True),
        "names": columns.Tagging(("person",)),
        "answer": columns.Generation(),
    },
    provenance=Provenance("m" * 64, "t" * 64, "s" * 64, "c" * 64, "1.2.3"),
    modalities=("image", "text"),
)
SCORED = Scored(
    id="7",
    position=Position("in.jsonl", 0, 0),
    predictions={
        "kind": Prediction(
            "dog",
            0.75,
            np.asarray([0.25, 0.75], np.float32),
            Explanation("dog", 0.5, {"image": 0.125, "text": 0.125}),
        ),
        "marks": Prediction(
            ("x",),
            0.625,
            np.asarray([0.625, 0.125], np.float32),
            Explanation("x", 0.5, {"image": 0.125, "text": 0.0}),
        ),
        "names": Tagged((ScoredSpan(0, 3, "person", 0.5),), 0.5),
        "answer": Text("été", 0.25),
    },
    modalities_used=("image", "text"),
    issues=("audio:corrupt",),
    extra={"price": 1.5, "id": "own", "tags": ["a", "b"]},
    content_digest="d" * 64,
)
REJECTED = Rejected(
    "8", Position("in.jsonl", 99, 0), "canonicalize", Reason.EMPTY, "nothing there", "e" * 64
)
SHARES = (
    "score: float, distribution: map<string, float>, "
    "explanation: struct<label: string, baseline: float, image: float, text: float>"
)
SPAN = "start: int32, end: int32, label: string, score: float"
COLUMNS = (
    "id: string",
    "id_int: int64",
    f"kind: struct<label: string, {SHARES}>",
    f"marks: struct<label: list<item: string>, {SHARES}>",
    f"names: struct<spans: list<item: struct<{SPAN}>>, score: float>",
    "answer: struct<text: string, score: float>",
    "modalities_used: list<item: string>",
    "issues: list<item: string>",
    "content_digest: string",
    "model_digest: string",
    "transform_digest: string",
    "spec_digest: string",
    "code_digest: string",
    "extra_id: string",
    "price: double",
    "tags: string",
    "id: string",
    "source: string",
    "stage: string",
    "reason: string",
    "detail: string",
    "payload_digest: string",
    "model_digest: string",
    "transform_digest: string",
    "spec_digest: string",
    "code_digest: string",
    "code_version: string",
)


def test_the_columns_of_scores_and_of_rejected_records() -> None:
    tables = (SETTINGS.score_table([SCORED]), rows.rejected_table([REJECTED], SETTINGS.provenance))
    lines = [f"{field.name}: {field.type}" for table in tables for field in table.schema]
    assert tuple(lines) == COLUMNS


@pytest.mark.parametrize(
    ("form", "scored", "rejected"),
    [
        (
            "jsonl",
            "babe80fd7bac752b55cc86893bc38171b08d53d9753545e3061cbc1a7386e606",
            "21fdace532ebbf0efdc50324701faa670ce0a165ccb6f2cdc081ce0e73e43722",
        ),
        (
            "parquet",
            "503354f753063a7100b9b1dabe6202ff933b97d91aaea70a46838fc45ea2881e",
            "388666594a40c884391c0a273589c5d7aa3cbafae34b2a4bc65290977cc9b0b8",
        ),
    ],
)
def test_the_bytes_of_published_rows(form: ScoresFormat, scored: str, rejected: str) -> None:
    """Compares digests; those of Parquet also change with pyarrow's version, which files have."""
    tables = (SETTINGS.score_table([SCORED]), rows.rejected_table([REJECTED], SETTINGS.provenance))
    found = [sha256(formats.encode(table, form)) for table in tables]
    assert found == [scored, rejected]


def test_the_id_of_a_run() -> None:
    inputs = [("b.jsonl", 2, "v2"), ("a.jsonl", 1, "v1")]
    found = run_folder.run_id("2026-11-24", inputs, SETTINGS.provenance, {"format": "parquet"})
    assert found == "126fe76a87483d8102e5ca6b"


FILES = (
    publishing_manifest.PartFile("scores/part-00000.parquet", 1, 10, "a" * 64),
    publishing_manifest.PartFile("_rejected/part-00000.parquet", 1, 20, "b" * 64),
)
SCHEMA = ({"name": "id", "type": "string"},)
UNIT = publishing_manifest.UnitManifest(0, 2, 1, 1, {"empty": 1}, *FILES, SCHEMA)
MANIFEST = publishing_manifest.Manifest(
    run_id="0123456789abcdef01234567",
    date="2026-11-24",
    created="2026-11-24T01:02:03+00:00",
    format="parquet",
    units=1,
    counts={"read": 2, "scored": 1, "rejected": 1},
    reasons={"empty": 1},
    issues={"audio:corrupt": 1},
    files=FILES,
    schema=SCHEMA,
    classes={"kind": ("cat", "dog")},
    digests={"model": "m" * 64},
    code_version="1.2.3",
    about={"versions": {"python": "3.11"}},
    media={"audio": {"had": 1, "flaws": {"corrupt": 1}}},
)
UNIT_DIGEST = "6845718bad11a31e3f9ee62607f25bbcd53a2c005d9d3349c32c586e427f2708"
MANIFEST_DIGEST = "ffcbe594c321cafc71ec10b48e4795f0bb158b1edf532ecbff28a48b3d3e7b18"


@pytest.mark.parametrize(
    ("manifest", "digest"), [(UNIT, UNIT_DIGEST), (MANIFEST, MANIFEST_DIGEST)], ids=["unit", "run"]
)
def test_the_manifests(
    manifest: publishing_manifest.UnitManifest | publishing_manifest.Manifest, digest: str
) -> None:
    content = manifest.to_json()
    assert sha256(content) == digest, content.decode()
    assert type(manifest).from_json(content) == manifest
