"""Beam's options, TensorFlow's environment variables, and logs without secrets."""

import copy
import logging
import os
import pickle
import warnings

import pytest
from apache_beam.options import pipeline_options

from triad_ml.pipelines.runners import beam_options
from triad_ml.pipelines.runtime import environment, logs
from triad_ml.transforms.errors import OptionsError


@pytest.mark.parametrize("runner", ["local", "Local", "DirectRunner"])
def test_local_is_the_runner_in_this_process(runner):
    found = beam_options.beam_options(runner).get_all_options(drop_default=True)
    assert found == {"runner": "FnApiRunner"}


def test_beams_options_arrive_as_they_are():
    found = beam_options.beam_options("local", ("--direct_num_workers=2", "--experiments", "a"))
    assert found.view_as(pipeline_options.DirectOptions).direct_num_workers == 2
    assert found.view_as(pipeline_options.DebugOptions).experiments == ["a"]


def test_views_are_made_once_and_share_their_values():
    made = beam_options.beam_options("local", ("--experiments=a",))
    views = [made.view_as(pipeline_options.DebugOptions) for _ in range(2)]
    assert views[0] is views[1]
    views[0].add_experiment("b")
    made.view_as(pipeline_options.StandardOptions).streaming = True
    plain = pipeline_options.PipelineOptions(["--experiments=a", "--experiments=b", "--streaming"])
    plain.view_as(pipeline_options.StandardOptions).runner = "FnApiRunner"
    assert made.get_all_options(drop_default=True) == plain.get_all_options(drop_default=True)


@pytest.mark.parametrize("copied", [copy.deepcopy, lambda one: pickle.loads(pickle.dumps(one))])
def test_a_copy_has_values_of_its_own(copied):
    made = beam_options.beam_options("local", ("--experiments=a",))
    assert made.view_as(pipeline_options.DebugOptions).experiments == ["a"]
    found = copied(made)
    assert found.get_all_options() == made.get_all_options()
    found.view_as(pipeline_options.DebugOptions).add_experiment("b")
    assert made.view_as(pipeline_options.DebugOptions).experiments == ["a"]


def test_types_are_checked_and_no_session_is_saved():
    found = beam_options.beam_options()
    assert found.view_as(pipeline_options.TypeOptions).pipeline_type_check is True
    assert not found.view_as(pipeline_options.SetupOptions).save_main_session


@pytest.mark.parametrize(
    ("beam_args", "line"),
    [
        (["--direct_num_worker=CANARY"], "after --: Beam knows no option '--direct_num_worker'"),
        (["--streaming", "CANARY"], "after --: Beam knows no argument 'CANARY'"),
        (["-f"], "after --: Beam knows no option '-f'"),
        (["--direct_num_workers=x"], "after --: argument --direct_num_workers: invalid int"),
        (["--runner=FnApiRunner"], "--runner: not a Beam option here"),
        (["--save_main_session"], "--save_main_session: not a Beam option here"),
        (["--s3_secret_access_key=CANARY"], "--s3_secret_access_key looks like a secret"),
    ],
)
def test_what_beam_would_only_log_is_refused(beam_args, line, capsys):
    with pytest.raises(OptionsError) as caught:
        beam_options.beam_options("local", beam_args)
    assert str(caught.value).startswith(line)
    assert "\n" not in str(caught.value)
    assert capsys.readouterr().err == ""


@pytest.mark.parametrize("runner", ["spark", "DataflowRunner", ""])
def test_other_runners_are_refused(runner):
    with pytest.raises(OptionsError, match="--runner: .*; use local"):
        beam_options.beam_options(runner)


def test_the_environment_gets_defaults_and_keeps_what_it_has(monkeypatch):
    monkeypatch.setenv("TF_ENABLE_ONEDNN_OPTS", "0")
    monkeypatch.delenv("TF_CPP_MIN_LOG_LEVEL", raising=False)
    environment.prepare()
    assert os.environ["TF_ENABLE_ONEDNN_OPTS"] == "0"
    assert os.environ["TF_CPP_MIN_LOG_LEVEL"] == "2"


@pytest.mark.parametrize(
    ("said", "logged"),
    [
        ("--api_key=CANARY x", "--api_key=*** x"),
        ("MY_TOKEN = 'CAN ARY'", "MY_TOKEN = ***"),
        ("{'db_password': 'CANARY', 'a': 1}", "{'db_password': ***, 'a': 1}"),
        ("X-Api-Key: CANARY", "X-Api-Key: ***"),
        ("https://h/?access_token=CANARY", "https://h/?access_token=***"),
        ("tokens: word, tokenizer=3", "tokens: word, tokenizer=3"),
        ("/a/token: no such file", "/a/token: no such file"),
    ],
)
def test_values_of_secrets_are_masked_and_nothing_else(said, logged):
    assert logs.masked(said) == logged


def test_what_cpp_libraries_say_is_for_who_asks(monkeypatch):
    for name in environment.QUIET:
        monkeypatch.delenv(name, raising=False)
    environment.prepare(verbose=True)
    assert environment.QUIET.keys().isdisjoint(os.environ)
    environment.prepare()
    assert {name: os.environ[name] for name in environment.QUIET} == environment.QUIET


def test_ours_is_logged_from_info_and_libraries_from_error(capsys):
    logs.configure()
    logging.getLogger("absl").setLevel(logging.DEBUG)  # as absl itself does
    warnings.warn("of Python", stacklevel=1)
    for name in (
        "triad_ml.pipelines.scoring.pipeline",
        "apache_beam.io",
        "tensorflow",
        "absl",
        "elsewhere",
    ):
        logging.getLogger(name).info("hint of %s", name)
        logging.getLogger(name).warning("warning of %s", name)
        logging.getLogger(name).error("error of %s", name)
    captured = capsys.readouterr()
    assert captured.out == ""
    assert [line.partition(": ")[2] for line in captured.err.splitlines()] == [
        "hint of triad_ml.pipelines.scoring.pipeline",
        "warning of triad_ml.pipelines.scoring.pipeline",
        "error of triad_ml.pipelines.scoring.pipeline",
        "error of apache_beam.io",
        "error of tensorflow",
        "error of absl",
        "error of elsewhere",
    ]


def test_secrets_in_arguments_and_tracebacks_are_masked(capsys):
    logs.configure(verbose=True)
    logger = logging.getLogger("apache_beam")
    logger.info("options: %s", {"api_key": "CANARY"})
    try:
        raise KeyError("token=CANARY")
    except KeyError:
        logger.exception("failed")
    said = capsys.readouterr().err
    assert "'api_key': ***" in said
    assert "KeyError: 'token=***" in said
    assert "CANARY" not in said.replace('raise KeyError("token=CANARY")', "")


def test_a_failure_that_a_line_explains_has_no_traceback_in_the_log(capsys):
    logs.configure()
    for error in (OptionsError("m: no model"), ValueError("a bug")):
        try:
            raise error
        except (OptionsError, ValueError):
            logging.getLogger("apache_beam").exception("failed")
    said = capsys.readouterr().err
    assert "OptionsError" not in said
    assert "ValueError: a bug" in said


def test_who_asks_hears_libraries_and_warnings(capsys):
    logs.configure(verbose=True)
    logging.getLogger("apache_beam.io").info("hint of Beam")
    with warnings.catch_warnings():
        warnings.simplefilter("always")
        logging.captureWarnings(True)
        warnings.warn("of Python", stacklevel=1)
    said = capsys.readouterr().err
    assert "INFO apache_beam.io: hint of Beam" in said
    assert "UserWarning: of Python" in said
