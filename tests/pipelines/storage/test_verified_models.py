"""Signatures of models: all code that opens a model verifies it if there is a key."""

import ast
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import ec

from triad_ml.model.serving import signing
from triad_ml.pipelines.report import page
from triad_ml.pipelines.scoring import run as scoring_run
from triad_ml.pipelines.scoring.config import ScoreConfig
from triad_ml.pipelines.storage import model_store
from triad_ml.pipelines.streaming.config import StreamConfig
from triad_ml.pipelines.streaming.jobs import dataflow, flink, local, prism, stopping
from triad_ml.pipelines.verification import release
from triad_ml.pipelines.verification import run as verification_run
from triad_ml.pipelines.verification.config import ParityConfig, ReleaseConfig
from triad_ml.transforms.errors import GateError

ROOT = Path(__file__).resolve().parents[3]
SOURCES = sorted((ROOT / "pipelines").rglob("*.py"))
OPENING = ROOT / "pipelines" / "model_folder.py"


@pytest.fixture
def keys(tmp_path: Path) -> tuple[Path, Path]:
    """A private and a public key."""
    private = ec.generate_private_key(ec.SECP256R1())
    pem, subject = serialization.Encoding.PEM, serialization.PublicFormat.SubjectPublicKeyInfo
    kind, none = serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    paths = tmp_path / "private.pem", tmp_path / "public.pem"
    paths[0].write_bytes(private.private_bytes(pem, kind, none))
    paths[1].write_bytes(private.public_key().public_bytes(pem, subject))
    return paths


def streamed(model: str, key: str, folder: Path, **settings: Any) -> StreamConfig:
    (folder / "in").mkdir(exist_ok=True)
    places = {"source": str(folder / "in"), "sink": str(folder / "out"), **settings}
    return StreamConfig(model, verify_key=key, **places)


def of_kafka(model: str, key: str, folder: Path) -> StreamConfig:
    topics = {name: f"kafka://127.0.0.1:1/{name}" for name in ("source", "sink", "rejected")}
    return streamed(model, key, folder, **topics, runner="flink", state=str(folder / "state"))


def of_pubsub(model: str, key: str, folder: Path) -> StreamConfig:
    topics = {"source": "pubsub://my-project/clips", "sink": "pubsub://my-project/scores"}
    beam_args = ("--project=my-project", "--region=r", "--temp_location=gs://b/t")
    config = streamed(
        "gs://b/model", key, folder, **topics, rejected="pubsub://my-project/rejected",
        runner="dataflow", beam_args=(*beam_args, "--sdk_container_image=i"),
    )  # fmt: skip
    object.__setattr__(config, "model", model)  # no bucket is read
    return config


JOBS: dict[str, Callable[[str, str, Path], object]] = {
    "score": lambda model, key, folder: scoring_run.run(
        ScoreConfig(
            model, (str(folder / "in.jsonl"),), str(folder / "out"), "2026-11-24", verify_key=key
        )
    ),
    "parity": lambda model, key, folder: verification_run.parity(
        ParityConfig(model, (str(folder / "in.jsonl"),), verify_key=key)
    ),
    "report": lambda model, key, folder: page.write(
        model, None, None, (), folder / "page.html", verify_key=key
    ),
    "release": lambda model, key, folder: release.run(ReleaseConfig(model, verify_key=key)),
    "stream": lambda model, key, folder: local.run(
        streamed(model, key, folder, until_empty=True, poll_seconds=0.0), stopping.Stop()
    ),
    "prism": lambda model, key, folder: prism.run(
        streamed(model, key, folder, runner="prism"), stopping.Stop()
    ),
    "flink": lambda model, key, folder: flink.run(of_kafka(model, key, folder)),
    "dataflow": lambda model, key, folder: dataflow.run(of_pubsub(model, key, folder)),
}


@pytest.mark.parametrize("job", JOBS)
def test_a_model_without_a_signature_is_refused_by_every_job(job, trained, keys, tmp_path):
    (tmp_path / "in.jsonl").write_text('{"id": "a", "text": "a red bird"}\n')
    with pytest.raises(GateError, match=r"/model\.sig: is missing, so the model is not signed; "):
        JOBS[job](str(trained), str(keys[1]), tmp_path)


def test_a_signed_model_is_opened(own_model, keys):
    signing.sign(own_model, keys[0])
    found = model_store.load(str(own_model), str(keys[1]))
    assert found.model_digest == model_store.load(str(own_model), None).model_digest


@pytest.mark.parametrize("path", SOURCES, ids=lambda path: str(path.relative_to(ROOT)))
def test_models_are_opened_in_one_place(path):
    if path == OPENING:
        return
    calls = [
        ast.unparse(node.func)
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8")))
        if isinstance(node, ast.Call)
    ]
    assert "artefact.load" not in calls
