"""Plan of a preprocessing: its key does not depend on the spelling of its inputs."""

from tests import conftest, records
from triad_ml.pipelines.preprocessing import plan
from triad_ml.pipelines.preprocessing.config import PreprocessConfig


def test_the_spelling_of_an_input_does_not_change_the_key(tmp_path, monkeypatch):
    path = records.write(tmp_path / "records" / "a.jsonl", records.examples(3))
    (tmp_path / "linked").symlink_to("records")
    (tmp_path / "spec.yaml").write_text(conftest.SPEC)
    monkeypatch.chdir(tmp_path)

    def key(*inputs: str) -> str:
        return plan.plan(PreprocessConfig("spec.yaml", inputs, "output")).key

    whole = key(str(path))
    spellings = ("records/a.jsonl", "./linked/*.jsonl", "records/../records/a.jsonl")
    assert {key(one) for one in spellings} == {whole}
    assert key(*spellings) == whole
    records.write(path, records.examples(4))
    assert key(str(path)) != whole


def test_media_folders_are_part_of_the_key_and_their_spelling_is_not(tmp_path, monkeypatch):
    path = records.write(tmp_path / "a.jsonl", records.examples(3))
    (tmp_path / "spec.yaml").write_text(conftest.SPEC)
    for folder in ("media", "other", "other/media"):
        (tmp_path / folder).mkdir()
    (tmp_path / "linked").symlink_to("media")

    def key(*roots: str) -> str:
        spec, inputs, output = str(tmp_path / "spec.yaml"), (str(path),), str(tmp_path / "output")
        return plan.plan(PreprocessConfig(spec, inputs, output, media_roots=roots)).key

    monkeypatch.chdir(tmp_path)
    whole = key("media")
    for spelling in (
        "./media/",
        "linked",
        f"{tmp_path}/other/../media",
        f"file://{tmp_path}/media",
    ):
        assert key(spelling) == whole
    assert len({whole, key(), key("other"), key("media", "other"), key("other", "media")}) == 5
    monkeypatch.chdir(tmp_path / "other")
    assert key("media") != whole
    assert key("../media") == whole
