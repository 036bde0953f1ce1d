"""Killed trainings: the final weights are the same, however often and wherever they are killed."""

import csv
import dataclasses
import json
import random
import signal
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from tests.model.training.test_checkpoints import assert_same, checkpoint
from tests.reliability.forkserver import Ended, ForkServer
from triad_ml.model.training import checkpoints

EPOCHS, STEPS = 4, 6  # steps of an epoch: 91 records of `prepared` in batches of 16


def train(
    fork_server: ForkServer, data: Path, output: Path, fault: tuple[Any, ...] | None
) -> Ended:
    arguments = ["train", "--data", str(data), "--output", str(output), "--epochs", str(EPOCHS)]
    return fork_server.run(arguments, faults=[fault] if fault else [])


def weights(folder: Path) -> dict[str, np.ndarray]:
    import tensorflow as tf

    stored = tf.train.load_checkpoint(str(folder / "saved_model" / "variables" / "variables"))
    names = [
        name
        for name in stored.get_variable_to_shape_map()
        if name != "_CHECKPOINTABLE_OBJECT_GRAPH"
    ]
    return {name: stored.get_tensor(name) for name in names}


def history(folder: Path) -> list[dict[str, str]]:
    with (folder / "history.csv").open(newline="", encoding="utf-8") as file:
        return [{**row, "seconds": ""} for row in csv.DictReader(file)]


def epochs_done(folder: Path) -> list[str]:
    kept = folder / "training" / "checkpoints"
    return sorted(place.name for place in kept.iterdir()) if kept.is_dir() else []


@pytest.mark.slow
def test_a_training_killed_at_five_moments_ends_as_one_that_was_not(
    prepared: Path, tmp_path: Path, fork_server: ForkServer
) -> None:
    choose = random.Random(11)
    whole, killed = tmp_path / "whole", tmp_path / "killed"
    assert train(fork_server, prepared, whole, None).exit_code == 0
    moments = [
        ("kill_at_step", 1, choose.randrange(1, STEPS + 1)),  # nothing is saved yet
        ("kill_at_path", "open", choose.choice([".writing-00002/arrays", ".writing-00002/state"])),
        ("kill_at_path", "os.rename", ".writing-00003"),  # complete, and not yet named
        ("kill_at_step", 3, choose.randrange(1, STEPS + 1)),
        ("kill_at_path", "os.rename", "saved_model.tmp"),  # exported, and not yet named
    ]
    kept = []
    for moment in moments:
        assert train(fork_server, prepared, killed, moment).signal == signal.SIGKILL, moment
        assert not (killed / "triad.json").exists()
        kept.append(epochs_done(killed))
    assert kept == [
        [],
        [".writing-00002", "epoch-00001"],
        [".writing-00003", "epoch-00001", "epoch-00002"],
        [".writing-00003", "epoch-00001", "epoch-00002"],
        ["epoch-00003", "epoch-00004"],
    ]
    assert train(fork_server, prepared, killed, None).exit_code == 0

    about = [json.loads((folder / "triad.json").read_text()) for folder in (whole, killed)]
    assert about[0]["training"]["steps"] == about[1]["training"]["steps"] == EPOCHS * STEPS
    assert about[0]["metrics"] == about[1]["metrics"]
    assert history(whole) == history(killed)
    expected, found = weights(whole), weights(killed)
    assert len(expected) > 50
    assert expected.keys() == found.keys()
    for name, values in expected.items():
        np.testing.assert_array_equal(found[name], values, err_msg=name)
    evaluations = [(folder / "evaluation.json").read_bytes() for folder in (whole, killed)]
    assert evaluations[0] == evaluations[1]
    assert sorted(p.name for p in killed.iterdir()) == sorted(p.name for p in whole.iterdir())


@pytest.mark.parametrize("name", ["arrays.npz", "state.json"])
def test_no_flipped_bit_of_a_checkpoint_is_read(tmp_path: Path, name: str) -> None:
    checkpoints.save(tmp_path, checkpoint(1))
    checkpoints.save(tmp_path, checkpoint(2))
    path = tmp_path / "epoch-00002" / name
    content = path.read_bytes()
    for place in range(0, len(content), 13):
        flipped = bytearray(content)
        flipped[place] ^= 1 << place % 8
        path.write_bytes(flipped)
        assert_same(checkpoints.latest(tmp_path, "a"), checkpoint(1))
    path.write_bytes(content)
    assert_same(checkpoints.latest(tmp_path, "a"), checkpoint(2))


@pytest.mark.parametrize("name", ["arrays.npz", "state.json"])
def test_no_part_of_a_checkpoint_is_read(tmp_path: Path, name: str) -> None:
    checkpoints.save(tmp_path, checkpoint(1))
    checkpoints.save(tmp_path, checkpoint(2))
    path = tmp_path / "epoch-00002" / name
    content = path.read_bytes()
    for size in range(0, len(content), 17):
        path.write_bytes(content[:size])
        assert_same(checkpoints.latest(tmp_path, "a"), checkpoint(1))


def test_the_arrays_of_another_epoch_are_not_taken_for_those_of_this_one(tmp_path: Path) -> None:
    checkpoints.save(tmp_path, checkpoint(1))
    checkpoints.save(tmp_path, checkpoint(2))
    arrays = [tmp_path / f"epoch-0000{epoch}" / "arrays.npz" for epoch in (1, 2)]
    arrays[1].write_bytes(arrays[0].read_bytes())
    assert_same(checkpoints.latest(tmp_path, "a"), checkpoint(1))


def test_a_pickle_in_a_checkpoint_is_not_run(tmp_path: Path) -> None:
    ran = tmp_path / "ran"

    class Evil:
        def __reduce__(self) -> tuple[object, ...]:
            return Path.touch, (ran,)

    checkpoints.save(tmp_path / "kept", checkpoint(1))
    made = checkpoint(2)
    weights = (np.array([Evil()], dtype=object), *made.weights[1:])
    checkpoints.save(tmp_path / "kept", dataclasses.replace(made, weights=weights))
    ran.unlink(missing_ok=True)
    assert_same(checkpoints.latest(tmp_path / "kept", "a"), checkpoint(1))
    assert not ran.exists()
