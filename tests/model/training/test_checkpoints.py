"""Checkpoints are written atomically, the last two are kept, and only the same training resumes."""

import dataclasses
import shutil
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from triad_ml.model.training import checkpoints
from triad_ml.model.training.checkpoints import Checkpoint
from triad_ml.transforms.errors import OptionsError, StorageError


def checkpoint(epoch=1, digest="a", done=False):
    random = np.random.default_rng(epoch)
    # More than ten arrays, so that an order by name would show.
    weights = tuple(random.normal(size=(place + 1,)).astype("f") for place in range(12))
    return Checkpoint(
        digest=digest,
        epoch=epoch,
        weights=weights,
        optimizer=(np.array(7 * epoch), random.normal(size=(2, 3)).astype("f")),
        best=weights[::-1],
        best_epoch=1,
        best_loss=0.1 + 0.2,
        history=({"loss": 1 / 3, "eval_loss": None, "epoch": 1},),
        done=done,
    )


def assert_same(found, expected):
    for field in dataclasses.fields(Checkpoint):
        one, other = getattr(found, field.name), getattr(expected, field.name)
        if field.name in ("weights", "optimizer", "best"):
            assert len(one) == len(other)
            for left, right in zip(one, other, strict=True):
                assert left.dtype == right.dtype
                np.testing.assert_array_equal(left, right)
        else:
            assert one == other


def names(folder):
    return sorted(place.name for place in folder.iterdir())


def test_what_was_saved_is_read_bit_for_bit(tmp_path):
    checkpoints.save(tmp_path, checkpoint(3))
    found = checkpoints.latest(tmp_path, "a")
    assert_same(found, checkpoint(3))
    assert list(found.history[0]) == ["loss", "eval_loss", "epoch"]


def test_nothing_saved_is_none(tmp_path):
    assert checkpoints.latest(tmp_path / "absent", "a") is None


def test_the_last_two_are_kept(tmp_path):
    for epoch in (1, 2, 3, 4):
        checkpoints.save(tmp_path, checkpoint(epoch))
    assert names(tmp_path) == ["epoch-00003", "epoch-00004"]
    assert_same(checkpoints.latest(tmp_path, "a"), checkpoint(4))


@pytest.mark.parametrize("file", ["arrays.npz", "state.json"])
@pytest.mark.parametrize("damage", ["cut", "flipped", "gone"])
def test_where_the_newest_is_damaged_the_one_before_serves(tmp_path, file, damage):
    checkpoints.save(tmp_path, checkpoint(1))
    checkpoints.save(tmp_path, checkpoint(2))
    path = tmp_path / "epoch-00002" / file
    content = bytearray(path.read_bytes())
    if damage == "gone":
        path.unlink()
    elif damage == "cut":
        path.write_bytes(content[: len(content) // 2])
    else:
        content[0 if file == "state.json" else 200] ^= 0xFF
        path.write_bytes(content)
    assert_same(checkpoints.latest(tmp_path, "a"), checkpoint(1))
    checkpoints.save(tmp_path, checkpoint(2))
    assert_same(checkpoints.latest(tmp_path, "a"), checkpoint(2))


def test_where_none_can_be_read_the_remedy_is_named(tmp_path):
    checkpoints.save(tmp_path, checkpoint(1))
    (tmp_path / "epoch-00001" / "state.json").unlink()
    with pytest.raises(StorageError, match=f"^{tmp_path}: none of 1 checkpoints.*; restore one"):
        checkpoints.latest(tmp_path, "a")


def test_another_training_is_refused(tmp_path):
    checkpoints.save(tmp_path, checkpoint(1, digest="a"))
    with pytest.raises(OptionsError, match=f"^{tmp_path}: holds a training of another spec"):
        checkpoints.latest(tmp_path, "b")


def test_leftovers_of_a_dead_process_are_no_checkpoints_and_go(tmp_path):
    checkpoints.save(tmp_path, checkpoint(1))
    shutil.copytree(tmp_path / "epoch-00001", tmp_path / ".writing-00002")
    (tmp_path / ".removed-epoch-00000").mkdir()
    assert_same(checkpoints.latest(tmp_path, "a"), checkpoint(1))
    checkpoints.save(tmp_path, checkpoint(2))
    assert names(tmp_path) == ["epoch-00001", "epoch-00002"]


def test_cleared_checkpoints_are_gone(tmp_path):
    checkpoints.save(tmp_path, checkpoint(1))
    (tmp_path / ".writing-00002").mkdir()
    checkpoints.clear(tmp_path)
    assert names(tmp_path) == []
    checkpoints.clear(tmp_path / "absent")


def test_a_full_disk_is_one_line_and_leaves_the_last_checkpoint(tmp_path):
    checkpoints.save(tmp_path, checkpoint(1))
    code = (
        "import dataclasses, resource, signal, sys, numpy as np\n"
        "from pathlib import Path\n"
        "from triad_ml.model.training import checkpoints\n"
        "from triad_ml.transforms.errors import StorageError\n"
        "last = checkpoints.latest(Path(sys.argv[1]), 'a')\n"
        "signal.signal(signal.SIGXFSZ, signal.SIG_IGN)\n"
        "resource.setrlimit(resource.RLIMIT_FSIZE, (10_000, 10_000))\n"
        "large = dataclasses.replace(last, epoch=2, weights=(np.zeros(100_000),))\n"
        "try:\n"
        "    checkpoints.save(Path(sys.argv[1]), large)\n"
        "except StorageError as error:\n"
        "    print(error)\n"
    )
    root = Path(__file__).resolve().parents[3]
    done = subprocess.run(
        [sys.executable, "-c", code, str(tmp_path)],
        cwd=root,
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.stdout.startswith(f"{tmp_path}: the checkpoint cannot be written: File too large")
    assert done.stdout.count("\n") == 1
    assert_same(checkpoints.latest(tmp_path, "a"), checkpoint(1))
