"""Check that pipeline functions reach workers: pickled here, loaded in a clean interpreter."""

import collections
import contextlib
import json
import subprocess
import sys
from collections.abc import Callable, Iterator, Mapping
from typing import Any

import apache_beam as beam

from triad_ml.pipelines.doctor import pickling
from triad_ml.pipelines.doctor.findings import Finding
from triad_ml.pipelines.doctor.pickling import Pickled
from triad_ml.pipelines.runners import beam_options, workers

Define = Callable[[beam.Pipeline], None]
"""Function that adds the steps of a pipeline, and runs nothing."""

_PICKLED_WHY = "a runner sends each function to its workers pickled"
_PICKLED_DO = (
    "make it of values that can be pickled: open files, connections and models in setup(), and "
    "name functions at the top of a module"
)
_LOADED_WHY = (
    "a worker has only what is installed: not this folder, not PYTHONPATH, not the main program"
)
_LOADED_DO = "install the package with all it needs for this interpreter, and in the workers' image"


def check(pipelines: Mapping[str, Define]) -> list[Finding]:
    """Defines each pipeline, pickles its functions and loads them in one clean interpreter."""
    found: list[Finding] = []
    pickled: dict[str, list[Pickled]] = {}
    for name, define in pipelines.items():
        root = beam.Pipeline(options=beam_options.beam_options())
        try:
            define(root)
            submitted = pickling.submitted(root)
        except pickling.FAILURES as error:
            found.extend(_not_pickled(name, root, error))
        else:
            pickled[name] = pickling.functions(submitted)
    return [*found, *_loaded(pickled)] if pickled else found


def _not_pickled(name: str, root: beam.Pipeline, error: BaseException) -> list[Finding]:
    """Returns an error for each step that cannot be pickled, or one for the whole pipeline."""
    refused = pickling.refused(root) or [pickling.Refused(None, pickling.reason(error))]
    return [
        Finding(
            "functions",
            "error",
            f"{name}: {f'step {step}' if step else 'a step'} cannot be pickled: {reason}",
            _PICKLED_WHY,
            _PICKLED_DO,
        )
        for step, reason in refused
    ]


def _loaded(pickled: Mapping[str, list[Pickled]]) -> Iterator[Finding]:
    named = [(name, one) for name, each in pickled.items() for one in each]
    answers, complaint = _answers([one for _, one in named])
    failed: dict[tuple[str, str], list[str]] = collections.defaultdict(list)
    loading = None
    for answer in answers:
        loading = answer.get("loading", loading)
        if "failed" in answer:
            name, one = named[answer["failed"]]
            failed[name, answer["reason"]].append(one.step)
    for (name, reason), steps in failed.items():
        more = f" and {len(steps) - 1} more" if len(steps) > 1 else ""
        what = f"{name}: a worker cannot load step {steps[0]}{more}: {reason}"
        yield Finding("functions", "error", what, _LOADED_WHY, _LOADED_DO)
    if not any("done" in answer for answer in answers):
        where = "" if loading is None else f" at {named[loading][0]}, {named[loading][1].step}"
        what = f"a clean interpreter ended{where}: {complaint}"
        yield Finding("functions", "error", what, _LOADED_WHY, _LOADED_DO)
    elif not failed:
        counts = ", ".join(f"{len(each)} of {name}" for name, each in pickled.items())
        yield Finding("functions", "ok", f"a clean interpreter loads all functions: {counts}")
    installed = answers[0]["code"] if answers else None
    here = workers.fingerprint()["code"]
    if installed is not None and installed != here:
        yield Finding(
            "code",
            "error",
            f"the installed code ({installed[:12]}) is not the code that runs here ({here[:12]})",
            "workers would compute features and scores with other code",
            _LOADED_DO,
        )


def _answers(pickled: list[Pickled]) -> tuple[list[dict[str, Any]], str]:
    """Returns the answers of the clean interpreter, and the last line of its stderr."""
    asked = ([number, one.content, one.of_coder] for number, one in enumerate(pickled))
    lines = "".join(f"{json.dumps(one)}\n" for one in asked)
    finished = subprocess.run(  # noqa: S603 - runs this interpreter on a file of Triad
        [sys.executable, "-I", pickling.__file__],
        input=lines,
        capture_output=True,
        encoding="utf-8",
        errors="replace",
        check=False,
    )
    answers = []
    for line in finished.stdout.splitlines():
        with contextlib.suppress(ValueError):  # the last line may be incomplete
            answers.append(json.loads(line))
    complaints = finished.stderr.strip().splitlines()
    return answers, complaints[-1] if complaints else f"code {finished.returncode}"
