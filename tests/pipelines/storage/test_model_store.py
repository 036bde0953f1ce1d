"""Model folders in a bucket."""

from pathlib import Path

import pytest

from tests.reliability import flaky_storage
from triad_ml.model.serving import bundle
from triad_ml.pipelines.storage import atomic, model_store
from triad_ml.transforms.errors import GateError, OptionsError


@pytest.fixture
def bucket(monkeypatch):
    with flaky_storage.serve() as served:
        for name, value in served.environment.items():
            monkeypatch.setenv(name, value)
        monkeypatch.setenv("TRIAD_GCS_TIMEOUT", "60")
        model_store._copy.cache_clear()
        flaky_storage.forget_clients()
        yield served
        flaky_storage.forget_clients()


def upload(model, to):
    for path in sorted(Path(model).rglob("*")):
        if path.is_file():
            atomic.put(f"{to}/{path.relative_to(model)}", path.read_bytes())


def test_a_local_folder_is_taken_as_it_is():
    assert model_store.local("models/mine") == "models/mine"


def test_a_model_in_a_bucket_is_copied_once(bucket, trained):
    upload(trained, f"{bucket.uri}/model")
    first = model_store.local(f"{bucket.uri}/model")
    assert bundle.load(first).model_digest == bundle.load(trained).model_digest
    seen = len(bucket.seen)
    assert model_store.local(f"{bucket.uri}/model") == first
    assert len(bucket.seen) == seen


def test_a_damaged_model_in_a_bucket_is_refused(bucket, trained):
    upload(trained, f"{bucket.uri}/model")
    atomic.put(f"{bucket.uri}/model/saved_model/saved_model.pb", b"else")
    with pytest.raises(GateError, match="is not the file that was exported"):
        bundle.load(model_store.local(f"{bucket.uri}/model"))


def test_a_folder_without_a_model_is_no_model(bucket):
    with pytest.raises(OptionsError, match=r"gs://.*/none: is no model folder"):
        model_store.local(f"{bucket.uri}/none")


def test_an_object_whose_name_leads_out_of_the_folder_is_refused(bucket, trained):
    upload(trained, f"{bucket.uri}/model")
    bucket.write("model//escaped", b"x")  # below the root, if it were joined
    with pytest.raises(GateError, match="leads out of gs://.*/model; take"):
        model_store.local(f"{bucket.uri}/model")


@pytest.mark.parametrize("name", ["../escaped", "saved_model/../../escaped", "/etc/escaped"])
def test_a_name_that_leads_out_of_its_folder_is_refused(name):
    with pytest.raises(GateError, match="leads out of gs://bucket/model; take"):
        atomic.inside(name, "gs://bucket/model")
