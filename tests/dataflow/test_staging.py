"""Staging of preprocessing output: complete or absent, on the local disk and in a bucket."""

import itertools
import logging

import pytest

from triad_ml.pipelines.preprocessing import staging
from triad_ml.pipelines.storage import atomic, outputs
from triad_ml.transforms.errors import LostRaceError, OptionsError, StorageError


def make(output):
    """One shard of a worker and one part of the driver's."""
    with staging.begin(output) as made:
        atomic.put(f"{made.work}/a", b"shard")
        atomic.put(f"{made.work}/spare", b"of a retry")
        atomic.put(f"{made.workers}/transform/graph", b"graph")
        made.fetch("transform")
        made.place(f"{made.work}/a", "train/part")
        (made.local / "analysis.json").write_bytes(b"analysis")
        made.publish({"key": 1}, keep_work=False)


WHOLE = {
    "analysis.json": b"analysis",
    "manifest.json": b'{\n "key": 1\n}\n',
    "train/part": b"shard",
    "transform/graph": b"graph",
}


def test_a_local_folder_appears_whole(tmp_path):
    make(str(tmp_path / "out"))
    found = {file.path: atomic.read_bytes(file.path) for file in atomic.tree(str(tmp_path))}
    assert found == {str(tmp_path / "out" / name): content for name, content in WHOLE.items()}


def test_what_a_killed_process_left_is_removed_and_what_a_living_one_makes_stays(tmp_path, caplog):
    dead, unknown, foreign = (
        tmp_path / f"{name}.tmp-{digit * 32}"
        for name, digit in (("out", "0"), ("out", "1"), ("o", "2"))
    )
    for folder in (dead, unknown, foreign):
        atomic.put(f"{folder}/work/a", b"half")
    for folder in (dead, foreign):
        (folder / atomic.LOCK).touch()
    with caplog.at_level(logging.INFO), staging.begin(str(tmp_path / "out")) as other:
        make(str(tmp_path / "out"))
        assert sorted(tmp_path.iterdir()) == sorted(
            [foreign, tmp_path / "out", unknown, other.local]
        )
    assert sorted(tmp_path.iterdir()) == [foreign, tmp_path / "out", unknown]
    assert caplog.messages == [
        f"{dead}: was left by a triad preprocess that was killed; removed",
        *[
            f"{unknown}: seems to be left by a triad preprocess that was killed; remove it if none "
            "is running"
        ]
        * 2,
    ]


def test_a_folder_in_a_bucket_gets_its_manifest_last(bucket):
    make(f"{bucket.uri}/out")
    assert bucket.objects() == {f"out/{name}": content for name, content in WHOLE.items()}
    written = bucket.generations()
    assert max(written, key=lambda name: int(written[name])) == "out/manifest.json"


def test_what_another_process_wrote_meanwhile_stays_and_ours_goes(bucket):
    def both():
        with staging.begin(f"{bucket.uri}/out") as made:
            atomic.put(f"{made.work}/a", b"shard")
            made.place(f"{made.work}/a", "train/part")
            (made.local / "analysis.json").write_bytes(b"ours")
            bucket.write("out/analysis.json", b"theirs")
            made.publish({}, keep_work=False)

    with pytest.raises(LostRaceError, match="out/analysis.json: another process wrote it"):
        both()
    assert bucket.objects() == {"out/analysis.json": b"theirs"}


@pytest.mark.parametrize("place", ["local", "bucket"])
def test_what_fails_leaves_nothing(place, bucket, tmp_path):
    output = str(tmp_path / "out") if place == "local" else f"{bucket.uri}/out"

    def fail():
        with staging.begin(output) as made:
            atomic.put(f"{made.work}/a", b"shard")
            made.place(f"{made.work}/a", "train/part")
            raise StorageError("gone")

    with pytest.raises(StorageError, match="gone"):
        fail()
    assert list(tmp_path.iterdir()) == []
    assert bucket.objects() == {}


def test_a_manifest_that_arrived_keeps_its_folder_though_no_answer_came(bucket, monkeypatch):
    monkeypatch.setenv("TRIAD_GCS_DEADLINE", "0.5")

    uploads = itertools.count(1)

    def lost(request):
        """Three files of workers, two of the driver, then the manifest, again and again."""
        upload = request.path.startswith("/upload/")
        return "lost" if upload and next(uploads) > 5 else None

    with bucket.faults(lost), pytest.raises(StorageError):
        make(f"{bucket.uri}/out")
    assert bucket.objects() == {f"out/{name}": content for name, content in WHOLE.items()}


def test_an_output_in_a_bucket_that_holds_something_is_refused(bucket):
    def check() -> None:
        outputs.check_folder(f"{bucket.uri}/out", "preprocess", lambda: False, bare=True)

    check()
    bucket.write("out.tmp-1/x", b"")
    bucket.write("outer", b"")
    check()
    bucket.write("out/train/part", b"")
    with pytest.raises(OptionsError, match=r"gs://.*/out: holds 'train', which triad preprocess"):
        check()


@pytest.mark.parametrize("output", ["gs://bucket", "gs://bucket/", "gs://", ".", "..", "/"])
def test_what_is_no_name_of_a_folder_is_refused(output):
    with pytest.raises(OptionsError, match="is no name of a new folder"):
        staging.named(output)


def test_slashes_at_the_end_are_no_part_of_a_name():
    assert staging.named("gs://bucket/a/b//") == "gs://bucket/a/b"
    assert staging.named("a//b/") == "a/b"


@pytest.mark.parametrize("place", ["local", "bucket"])
def test_a_file_moves_unless_the_name_is_taken(place, bucket, tmp_path):
    folder = str(tmp_path) if place == "local" else bucket.uri
    atomic.put(f"{folder}/a", b"one")
    assert atomic.move(f"{folder}/a", f"{folder}/deep/b")
    atomic.put(f"{folder}/a", b"two")
    assert not atomic.move(f"{folder}/a", f"{folder}/deep/b")
    found = {file.path: atomic.read_bytes(file.path) for file in atomic.tree(folder)}
    assert found == {f"{folder}/a": b"two", f"{folder}/deep/b": b"one"}


def test_a_move_whose_answer_was_lost_is_done_once(bucket):
    atomic.put(f"{bucket.uri}/a", b"one")
    requests = itertools.count(1)

    def lost(request):
        return "lost" if "/rewriteTo/" in request.path and next(requests) == 1 else None

    with bucket.faults(lost):
        assert atomic.move(f"{bucket.uri}/a", f"{bucket.uri}/b")
    assert len(bucket.met) == 1
    assert bucket.objects() == {"b": b"one"}
