"""Search: it ends with the best spec, however often it is interrupted."""

import contextlib
import csv
import dataclasses
import fcntl
import json
import random
import shutil
import signal
import subprocess
import time
from pathlib import Path

import optuna
import pytest

from tests import records
from tests.reliability.forkserver import ForkServer
from triad_ml.model.serving import bundle
from triad_ml.pipelines.cli import main
from triad_ml.pipelines.preprocessing import run as preprocessing_run
from triad_ml.pipelines.preprocessing.config import PreprocessConfig
from triad_ml.pipelines.storage import outputs
from triad_ml.pipelines.training import run as training_run
from triad_ml.pipelines.training.config import SearchConfig, TrainConfig
from triad_ml.pipelines.training.search import plan
from triad_ml.pipelines.training.search import study as search_study
from triad_ml.pipelines.training.search import trial as search_trial
from triad_ml.transforms.errors import OptionsError
from triad_ml.transforms.spec import loading
from triad_ml.transforms.spec.training import Training

SPEC = """
modalities: {text: {tokens: word, vocabulary: 30, length: 5}}
tasks: {kind: {kind: classification, label: kind}}
model: {recipe: network, dim: 8, text_dim: 8}
training: {epochs: 3, batch_size: 12}
split: {train: 0.6, eval: 0.2, test: 0.2}
"""
SPACE = """
training.learning_rate: {choices: [0.03, 1.0e+30]}
model.dropout: {low: 0.0, high: 0.5}
model.text_dim: {choices: [8, 12]}
"""
TRIALS = 4
SEED = 1
"""With it some of the trials get the learning rate at which no loss is a number."""
DEADLINE = 180.0
"""Seconds until something happens that must."""


@pytest.fixture(scope="module")
def texts(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The preprocessing of a few texts, with a space beside it."""
    folder = tmp_path_factory.mktemp("texts")
    (folder / "spec.yaml").write_text(SPEC)
    (folder / "space.yaml").write_text(SPACE)
    rng = random.Random(0)
    made = []
    for index in range(60):
        kind = rng.choice(("bird", "fish"))
        words = [*rng.choices(("it", "is", "a", "very", "old"), k=3), kind]
        text = " ".join(rng.sample(words, 4))
        made.append({"id": f"t{index}", "text": text, "labels": {"kind": kind}})
    path = records.write_lines(folder / "records.jsonl", made)
    spec, output = str(folder / "spec.yaml"), str(folder / "data")
    preprocessing_run.run(PreprocessConfig(spec, (str(path),), output, shards=1))
    return folder / "data"


def config_of(texts: Path, output: Path) -> SearchConfig:
    space = str(texts.parent / "space.yaml")
    return SearchConfig(str(texts), str(output), trials=TRIALS, space=space, seed=SEED)


def run(config: SearchConfig) -> search_study.Found:
    return search_study.run(config, plan.plan(config))


@pytest.fixture(scope="module")
def uninterrupted(texts: Path) -> search_study.Found:
    return run(config_of(texts, texts.parent / "search"))


def rows_of(folder: Path) -> list[dict[str, str]]:
    with (folder / search_study.TABLE).open(newline="", encoding="utf-8") as file:
        return list(csv.DictReader(file))


def test_each_trial_is_in_the_table_and_the_best_is_a_whole_spec(
    texts: Path, uninterrupted: search_study.Found
) -> None:
    rows = rows_of(uninterrupted.best.parent)
    assert [row["trial"] for row in rows] == ["0", "1", "2", "3"]
    assert list(rows[0]) == [
        *("trial", "state", "eval_loss", "best_epoch", "epochs"),
        *("training.learning_rate", "model.dropout", "model.text_dim", "why"),
    ]
    own = loading.parse(SPEC)
    assert (rows[0]["state"], rows[0]["epochs"]) == ("complete", "3")
    assert float(rows[0]["training.learning_rate"]) == own.training.learning_rate
    complete = [row for row in rows if row["state"] == "complete"]
    best = min(complete, key=lambda row: float(row["eval_loss"]))
    assert best["trial"] != "0"  # ten times the learning rate helps, in three epochs
    chosen = loading.load(uninterrupted.best)
    assert chosen.training.learning_rate == float(best["training.learning_rate"]) == 0.03
    assert chosen.model.text_dim == int(best["model.text_dim"])
    assert chosen.model.dropout == float(best["model.dropout"])
    assert chosen.features_json() == own.features_json()
    assert chosen.training.epochs == own.training.epochs


def test_a_trial_that_diverges_costs_itself_alone(uninterrupted: search_study.Found) -> None:
    wild = [row for row in uninterrupted.rows if row.values["training.learning_rate"] > 1]
    assert wild
    for row in wild:
        assert row.state == "failed"
        assert row.why.startswith("training diverged: ")
    assert len(wild) < TRIALS - 1


def test_no_checkpoint_of_a_trial_that_ended_stays(uninterrupted: search_study.Found) -> None:
    assert list((uninterrupted.best.parent / search_study.TRIALS).iterdir()) == []


def test_another_call_does_nothing_more(texts: Path, uninterrupted: search_study.Found) -> None:
    folder = uninterrupted.best.parent
    before = {
        name: (folder / name).read_bytes() for name in (search_study.BEST, search_study.TABLE)
    }
    assert run(config_of(texts, folder)).rows == uninterrupted.rows
    assert {name: (folder / name).read_bytes() for name in before} == before


def test_the_best_spec_trains_to_what_its_trial_came_to(
    texts: Path, uninterrupted: search_study.Found, tmp_path: Path
) -> None:
    spec = str(uninterrupted.best)
    training_run.run(TrainConfig(str(texts), str(tmp_path / "model"), spec=spec))
    with (tmp_path / "model" / bundle.HISTORY).open(newline="") as file:
        losses = [row["eval_loss"] for row in csv.DictReader(file)]
    best = min(row.eval_loss for row in uninterrupted.rows if row.state == "complete")
    assert min(map(float, losses)) == best
    assert bundle.load(tmp_path / "model").spec == loading.load(spec)


def test_a_search_that_was_killed_goes_on_and_ends_the_same(
    texts: Path, uninterrupted: search_study.Found, fork_server: ForkServer, tmp_path: Path
) -> None:
    output = tmp_path / "killed"
    settings = config_of(texts, output)
    command = [str(fork_server.program), "search", "--data", str(texts)]
    command += ["--output", str(output), "--trials", str(TRIALS), "--seed", str(SEED)]
    command += ["--space", str(settings.space)]
    process = subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE)
    under_way = output / search_study.TRIALS / "0001" / "history.csv"
    end = time.monotonic() + DEADLINE
    while not under_way.exists() and time.monotonic() < end:
        with contextlib.suppress(subprocess.TimeoutExpired):
            process.wait(timeout=0.01)
            break
    process.send_signal(signal.SIGKILL)
    _, said = process.communicate()  # behind the end of the process, which writes there
    # It may have ended just before it was killed; then there is nothing left to do.
    assert process.returncode in (0, -signal.SIGKILL), said.decode()
    assert (output / search_study.STORAGE).exists(), said.decode()

    found = run(settings)
    assert found.rows == uninterrupted.rows
    for name in (search_study.BEST, search_study.TABLE):
        assert (output / name).read_bytes() == (uninterrupted.best.parent / name).read_bytes()
    assert list((output / search_study.TRIALS).iterdir()) == []


def test_more_trials_go_on_behind_those_that_are_there(
    texts: Path, uninterrupted: search_study.Found, tmp_path: Path
) -> None:
    output = Path(shutil.copytree(uninterrupted.best.parent, tmp_path / "s"))
    config = dataclasses.replace(config_of(texts, output), trials=TRIALS + 1)
    after = run(config).rows
    assert after[:TRIALS] == uninterrupted.rows
    assert [row.number for row in after] == [*range(TRIALS + 1)]


def test_without_time_for_a_trial_it_says_so_and_leaves_nothing_half(
    texts: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    argv = ["search", "--data", str(texts), "--output", str(tmp_path / "s"), "--minutes", "1e-9"]
    assert main.main(argv) == 12
    assert capsys.readouterr().err.splitlines()[-1] == (
        "triad: --minutes: no trial ended in 1e-09 minutes; run the same command again to resume, "
        "or give more"
    )
    assert not (tmp_path / "s" / search_study.BEST).exists()


def test_a_trial_that_ends_the_process_again_and_again_is_given_up(
    texts: Path, tmp_path: Path
) -> None:
    folder = tmp_path / "s"
    folder.mkdir()
    storage = f"sqlite:///{folder / search_study.STORAGE}"
    outputs.mark(str(folder), "search")
    trial = optuna.create_study(storage=storage, study_name="search").ask()
    trial.set_user_attr(search_trial.ATTEMPTS, search_study.MOST_ATTEMPTS)
    with pytest.raises(OptionsError) as caught:
        run(SearchConfig(str(texts), str(folder), trials=1))
    assert str(caught.value) == (
        f"{folder}: no trial could be completed; trial 0: the process ended 3 times in epoch 1; "
        "it may need more memory than there is"
    )


@pytest.mark.parametrize("other", [{"seed": 7}, {"space": None}])
def test_a_folder_with_another_search_is_refused(
    texts: Path, uninterrupted: search_study.Found, other: dict[str, object]
) -> None:
    settings = dataclasses.replace(config_of(texts, uninterrupted.best.parent), **other)
    with pytest.raises(OptionsError, match="holds another search; choose another --output"):
        run(settings)


def test_two_searches_do_not_write_one_folder(
    texts: Path, uninterrupted: search_study.Found
) -> None:
    folder = uninterrupted.best.parent
    with (folder / "lock").open("ab") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        with pytest.raises(OptionsError, match="another search writes here"):
            run(config_of(texts, folder))


def test_data_without_an_eval_split_is_refused(texts: Path, tmp_path: Path) -> None:
    data = tmp_path / "data"
    shutil.copytree(texts, data)
    manifest = json.loads((data / "manifest.json").read_text())
    manifest["counts"]["eval"], manifest["splits"]["eval"] = 0, []
    (data / "manifest.json").write_text(json.dumps(manifest))
    with pytest.raises(OptionsError, match="the eval split holds no records"):
        plan.plan(SearchConfig(str(data), str(tmp_path / "s")))


def test_another_spec_must_have_the_prepared_features(texts: Path, tmp_path: Path) -> None:
    path = tmp_path / "other.yaml"
    path.write_text(SPEC.replace("length: 5", "length: 6"))
    with pytest.raises(OptionsError, match="its features or its split are not the prepared ones"):
        training_run.run(TrainConfig(str(texts), str(tmp_path / "model"), spec=str(path)))


class TestJudge:
    """What ends a trial, without a training."""

    SETTINGS = Training(epochs=6, patience=3)

    @staticmethod
    def history(*losses: float, seconds: float = 1.0) -> list[dict[str, float]]:
        return [
            {"epoch": float(place), "eval_loss": loss, "seconds": seconds}
            for place, loss in enumerate(losses, 1)
        ]

    @pytest.fixture
    def study(self) -> optuna.Study:
        """Four trials that came down to a loss of about 0.2 in four epochs."""
        pruner = search_study.pruner()
        study = optuna.create_study(pruner=pruner)
        for offset in (0.0, 0.01, 0.02, 0.03):
            trial = study.ask()
            for epoch, loss in enumerate((0.8, 0.6, 0.4, 0.2), 1):
                trial.report(loss + offset, epoch)
            study.tell(trial, 0.2 + offset)
        return study

    def test_a_trial_that_is_worse_than_half_of_the_others_ends_early(
        self, study: optuna.Study
    ) -> None:
        trial = study.ask()
        judge = search_trial.Judge(trial, self.SETTINGS, None)
        judge(self.history(0.9))
        with pytest.raises(optuna.TrialPruned):
            judge(self.history(0.9, 0.89))
        assert search_trial.losses_of(trial) == {1: 0.9, 2: 0.89}

    def test_a_trial_that_is_better_goes_on(self, study: optuna.Study) -> None:
        judge = search_trial.Judge(study.ask(), self.SETTINGS, None)
        for epochs in range(1, 5):
            judge(self.history(*(0.7, 0.5, 0.3, 0.1)[:epochs]))

    def test_an_epoch_of_which_nothing_was_told_is_made_up_for(self, study: optuna.Study) -> None:
        trial = study.ask()
        search_trial.Judge(trial, self.SETTINGS, None)(self.history(0.7))
        # The process ended behind the second epoch's checkpoint; another one goes on.
        search_trial.Judge(trial, self.SETTINGS, None)(self.history(0.7, 0.5, 0.3))
        assert search_trial.losses_of(trial) == {1: 0.7, 2: 0.5, 3: 0.3}

    def test_no_epoch_is_begun_that_would_not_end_in_time(self, study: optuna.Study) -> None:
        trial = study.ask()
        judge = search_trial.Judge(trial, self.SETTINGS, time.monotonic() + 3600)
        judge(self.history(0.7, seconds=1))
        with pytest.raises(search_trial.OutOfTimeError):
            judge(self.history(0.7, 0.5, seconds=7200))
        assert search_trial.losses_of(trial) == {1: 0.7, 2: 0.5}

    @pytest.mark.parametrize("losses", [(0.7, 0.5, 0.3, 0.1, 0.09, 0.08), (0.1, 0.2, 0.3, 0.4)])
    def test_a_training_that_has_ended_counts_though_the_time_is_up(
        self, study: optuna.Study, losses: tuple[float, ...]
    ) -> None:
        """By its epochs, or by its patience."""
        search_trial.Judge(study.ask(), self.SETTINGS, 0.0)(self.history(*losses, seconds=9))

    def test_an_eval_split_without_labels_is_named(self, study: optuna.Study) -> None:
        with pytest.raises(OptionsError, match="the eval split holds no labels"):
            search_trial.Judge(study.ask(), self.SETTINGS, None)([{"epoch": 1.0, "seconds": 1.0}])
