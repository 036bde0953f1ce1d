"""Publishing to gs:// while requests are refused, reset, cut short, or not answered."""

import contextlib
import threading

import pytest

from tests import scores
from tests.reliability import flaky_storage
from tests.reliability.flaky_storage import KINDS, FlakyStorage
from tests.reliability.nights import DATE, seen
from tests.scores import SETTINGS, Work
from triad_ml.pipelines.publishing import publish
from triad_ml.pipelines.publishing.commit import complete_units
from triad_ml.pipelines.publishing.sealing.gates import Gates
from triad_ml.pipelines.publishing.sealing.seal import seal
from triad_ml.pipelines.storage import atomic
from triad_ml.transforms.errors import LostRaceError, OptionsError, StorageError

WORKS = (
    Work([scores.scored("b", 30), scores.scored("a", 10)], [scores.rejected("z", 40)]),
    Work([scores.scored("a", 5, unit=1), scores.scored("c", 9, unit=1)]),
)
WRITES = {
    "put": lambda path: atomic.put(path, b"new"),
    "write_new": lambda path: atomic.write_new(path, b"new"),
    "replace": lambda path: atomic.replace(path, b"new", expected=None),
}


@pytest.fixture(scope="module")
def local(tmp_path_factory: pytest.TempPathFactory) -> dict[str, tuple[str, dict[str, bytes]]]:
    """What a reader of a local folder sees of two runs of `WORKS`, by the run's name."""
    found = {}
    for name, works in (("old", WORKS[:1]), ("new", WORKS)):
        output = tmp_path_factory.mktemp(name)
        scores.score(scores.run_folder(output, name=name), works)
        found[name] = seen(output)
    return found


# --- single operations


def test_what_is_written_is_read_listed_and_removed(flaky):
    folder = f"{flaky.uri}/a"
    atomic.put(f"{folder}/é file", b"one")
    atomic.put(f"{folder}/é file", b"two")
    assert atomic.write_new(f"{folder}/b/c", b"three")
    assert not atomic.write_new(f"{folder}/b/c", b"four")
    assert flaky.objects() == {"a/é file": b"two", "a/b/c": b"three"}
    assert atomic.read_bytes(f"{folder}/é file") == b"two"
    assert atomic.read_if_there(f"{folder}/absent") is None
    assert atomic.exists(f"{folder}/b/c")
    assert not atomic.exists(f"{folder}/b")
    assert atomic.list_files(folder) == [f"{folder}/é file"]
    assert atomic.list_folders(folder) == [f"{folder}/b"]
    assert [(file.path, file.bytes) for file in atomic.tree(folder)] == [
        (f"{folder}/b/c", 5),
        (f"{folder}/é file", 3),
    ]
    for _ in range(2):
        atomic.delete(f"{folder}/é file")
        atomic.delete_tree(f"{folder}/b")
    assert flaky.objects() == {}


def test_replace_writes_only_over_the_expected_content(flaky):
    path = f"{flaky.uri}/pointer"
    assert not atomic.replace(path, b"one", expected=b"zero")
    assert atomic.replace(path, b"one", expected=None)
    assert not atomic.replace(path, b"two", expected=None)
    assert not atomic.replace(path, b"two", expected=b"zero")
    assert atomic.replace(path, b"two", expected=b"one")
    assert flaky.objects() == {"pointer": b"two"}


@pytest.mark.parametrize("operation", ["write_new", "replace"])
def test_of_many_writers_at_once_one_wins(flaky, operation):
    path = f"{flaky.uri}/file"
    barrier = threading.Barrier(6)
    won = []

    def attempt(index: int) -> None:
        content = f"{index}".encode()
        barrier.wait()
        if operation == "write_new":
            success = atomic.write_new(path, content)
        else:
            success = atomic.replace(path, content, expected=None)
        if success:
            won.append(content)

    threads = [threading.Thread(target=attempt, args=(index,)) for index in range(6)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert won == [flaky.objects()["file"]]


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize(
    ("operation", "number"),
    [("put", 1), ("put", 2), ("write_new", 1), ("replace", 1), ("replace", 2)],
)
def test_a_write_that_meets_a_fault_is_done_once(flaky, operation, kind, number):
    with flaky.faults(flaky_storage.at(number, kind)):
        assert WRITES[operation](f"{flaky.uri}/file") in (None, True)
    assert flaky.objects() == {"file": b"new"}
    uploads = [request for request in flaky.seen if request.method == "POST"]
    ((hit, met),) = flaky.met
    assert met == kind
    assert len(uploads) == (2 if hit.method == "POST" else 1)


def test_a_write_whose_answer_was_lost_does_not_undo_what_came_after(flaky):
    path = f"{flaky.uri}/file"
    uploads = iter((True, False))

    def lose_the_first_answer(request: flaky_storage.Request) -> str | None:
        if request.method != "POST":
            return None
        if next(uploads):
            return "lost"
        flaky.write("file", b"theirs")  # between the first upload and the second
        return None

    with flaky.faults(lose_the_first_answer):
        assert not atomic.replace(path, b"ours", expected=None)
    assert list(uploads) == []
    assert flaky.objects() == {"file": b"theirs"}


@pytest.mark.parametrize("kind", KINDS)
def test_a_read_that_meets_a_fault_gives_the_whole_content(flaky, kind):
    content = bytes(range(256)) * 400
    atomic.put(f"{flaky.uri}/file", content)
    with flaky.faults(flaky_storage.at(1, kind)):
        assert atomic.read_bytes(f"{flaky.uri}/file") == content
    assert [met for _, met in flaky.met] == [kind]


@pytest.mark.parametrize("kind", ["refused", "reset", "truncated", "stalled"])
def test_a_storage_that_stays_away_is_an_error_of_one_line(flaky, monkeypatch, kind):
    path = f"{flaky.uri}/file"
    atomic.put(path, b"x")
    monkeypatch.setenv("TRIAD_GCS_TIMEOUT", "0.1")
    monkeypatch.setenv("TRIAD_GCS_DEADLINE", "0.3")
    for operation in (atomic.read_bytes, lambda path: atomic.put(path, b"y"), atomic.tree):
        with flaky.faults(flaky_storage.after(0, kind)):
            with pytest.raises(
                StorageError, match=rf"^{path}: [^\n]+, then run [a-z ]*again$"
            ) as error:
                operation(path)
        assert error.value.exit_code == 20
    assert flaky.objects() == {"file": b"x"}


@pytest.mark.parametrize("said", ["0", "-1", "soon", "nan", "inf"])
def test_a_patience_that_is_none_is_refused(flaky, monkeypatch, said):
    monkeypatch.setenv("TRIAD_GCS_TIMEOUT", said)
    with pytest.raises(OptionsError, match=rf"^TRIAD_GCS_TIMEOUT: must be [^\n]+ got '{said}'"):
        atomic.exists(f"{flaky.uri}/file")


# --- publishing


def test_a_run_is_published_with_the_bytes_of_a_local_one(flaky, local):
    run = scores.run_folder(flaky.uri, name="new")
    assert publish.begin(run) == publish.Start(set(), None)
    scores.score(run, WORKS)
    assert publish.published(run)
    assert seen(flaky.uri) == local["new"]
    changes = [request for request in flaky.seen if request.method != "GET"]
    assert {request.method for request in changes} == {"POST", "DELETE"}
    assert [one for one in changes if "ifGenerationMatch=" not in one.path] == []


def test_a_second_attempt_writes_nothing(flaky):
    run = scores.run_folder(flaky.uri, name="new")
    manifest = scores.score(run, WORKS)
    before = flaky.generations()
    assert scores.score(run, WORKS) == manifest
    assert flaky.generations() == before


def test_of_two_publishers_at_once_exactly_one_wins(flaky):
    dates = [f"2026-11-{day:02d}" for day in range(1, 21)]
    for date in dates:
        for name in "ab":
            run = scores.run_folder(flaky.uri, name=name, date=date)
            seal(run, 0, Gates(1.0), SETTINGS, {})
    barrier = threading.Barrier(2)
    outcomes: dict[tuple[str, str], str] = {}

    def publish_all(name: str) -> None:
        for date in dates:
            barrier.wait()
            try:
                publish.publish(scores.run_folder(flaky.uri, name=name, date=date), None)
            except LostRaceError as error:
                outcomes[date, name] = f"lost with {error.exit_code}"
            else:
                outcomes[date, name] = "won"

    threads = [threading.Thread(target=publish_all, args=(name,)) for name in "ab"]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    for date in dates:
        ended = {outcomes[date, name]: name for name in "ab"}
        assert set(ended) == {"won", "lost with 11"}
        winner = scores.run_folder(flaky.uri, name=ended["won"], date=date)
        assert publish.current_id(flaky.uri, date) == winner.run_id


@pytest.mark.parametrize("seed", range(4))
def test_with_a_third_of_the_requests_failing_readers_see_one_whole_run(flaky, local, seed):
    scores.score(scores.run_folder(flaky.uri, name="old"), WORKS[:1])
    run = scores.run_folder(flaky.uri, name="new")
    with flaky.faults(flaky_storage.seeded(seed, 0.3)):
        with contextlib.suppress(StorageError):
            scores.score(run, WORKS)
    assert {kind for _, kind in flaky.met} == set(KINDS)
    assert seen(flaky.uri) in (local["old"], local["new"])
    scores.score(run, WORKS)
    assert seen(flaky.uri) == local["new"]


@pytest.fixture(scope="module")
def requests_of_a_run(storage_server: FlakyStorage) -> int:
    with pytest.MonkeyPatch.context() as patch:
        for name, value in storage_server.environment.items():
            patch.setenv(name, value)
        storage_server.clear()
        scores.score(scores.run_folder(storage_server.uri, name="old"), WORKS[:1])
        before = len(storage_server.seen)
        scores.score(scores.run_folder(storage_server.uri, name="new"), WORKS)
        return len(storage_server.seen) - before


@pytest.mark.parametrize("kind", ["refused", "lost"])
@pytest.mark.parametrize("share", [index / 8 for index in range(8)], ids="{:.2f}".format)
def test_an_outage_at_any_request_leaves_a_whole_run_and_the_next_attempt_does_the_rest(
    flaky, local, monkeypatch, requests_of_a_run, share, kind
):
    scores.score(scores.run_folder(flaky.uri, name="old"), WORKS[:1])
    run = scores.run_folder(flaky.uri, name="new")
    with monkeypatch.context() as patch:
        patch.setenv("TRIAD_GCS_DEADLINE", "0.01")
        with flaky.faults(flaky_storage.after(int(share * requests_of_a_run), kind)):
            with pytest.raises(StorageError, match=r"^[^\n]+$") as error:
                scores.score(run, WORKS)
    assert error.value.exit_code == 20
    assert seen(flaky.uri) in (local["old"], local["new"])
    complete = complete_units(run)
    before = flaky.generations()
    scores.score(run, WORKS)
    assert seen(flaky.uri) == local["new"]
    after = flaky.generations()
    for unit in complete:
        name = run.unit_manifest(unit).removeprefix(f"{flaky.uri}/")
        assert after[name] == before[name]


def test_the_date_of_a_night_that_nothing_was_published_for_is_empty(flaky):
    assert publish.current(flaky.uri, DATE) is None
    with pytest.raises(OptionsError, match="nothing is published"):
        publish.open_current(flaky.uri, DATE)
