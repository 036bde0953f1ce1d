"""Pickled functions of pipelines: pickled as a submission does, unpickled as a worker does.

This is the only file of Triad that pickles. Run as a script, it reads pickled functions from its
standard input and reports for each whether it can be loaded. It loads only what its parent process
has just pickled.
"""

import itertools
import json
import os
import sys
from collections.abc import Iterator
from pickle import PicklingError, UnpicklingError
from typing import Any, NamedTuple

import apache_beam as beam
from apache_beam.internal import pickler
from apache_beam.pipeline import AppliedPTransform, PipelineVisitor
from apache_beam.portability.api import beam_runner_api_pb2
from apache_beam.runners.pipeline_context import PipelineContext
from google.protobuf import wrappers_pb2

FAILURES = (
    PicklingError,
    UnpicklingError,
    ImportError,
    AttributeError,
    LookupError,
    TypeError,
    ValueError,
    RuntimeError,  # RecursionError too
    OSError,
    EOFError,
)
"""Errors that pickling and unpickling raise for a function, or a value in it."""

_PARDO = "beam:transform:pardo:v1"
_COMBINE = "beam:transform:combine_"
_PICKLED = ":pickled_python"


class Pickled(NamedTuple):
    """A pickled function or coder of a pipeline.

    Attributes:
        step: Full name of the step to which the function belongs.
        content: Pickled bytes as Beam encodes them, in base64.
        of_coder: True for a coder, which Beam compresses in another way.
    """

    step: str
    content: str
    of_coder: bool = False


class Refused(NamedTuple):
    """Failure to pickle a step.

    Attributes:
        step: Full name of the step; None if it is not known.
        reason: Type of the error and its first line.
    """

    step: str | None
    reason: str


def submitted(root: beam.Pipeline) -> beam_runner_api_pb2.Pipeline:
    """Returns the pipeline as it is submitted to a runner.

    Raises:
        Exception: One of `FAILURES`; `refused` then finds the steps.
    """
    return root.to_runner_api()


def functions(pipeline: beam_runner_api_pb2.Pipeline) -> list[Pickled]:
    """Returns everything that a submission holds in pickled form: functions and coders."""
    components = pipeline.components
    found = [
        Pickled(transform.unique_name, content)
        for transform in components.transforms.values()
        for content in _of_transform(transform.spec)
    ]
    found += [
        Pickled(f"coder {name}", _of_coder(coder.spec), of_coder=True)
        for name, coder in components.coders.items()
        if _PICKLED in coder.spec.urn
    ]
    return found


def refused(root: beam.Pipeline) -> list[Refused]:
    """Returns the steps that cannot be pickled, with the reasons."""
    collector = _Leaves()
    root.visit(collector)
    found = []
    for leaf in collector.leaves:
        try:
            leaf.to_runner_api(PipelineContext())
        except FAILURES as error:
            found.append(Refused(leaf.full_label, reason(error.__cause__ or error)))
    return found


def reason(error: BaseException) -> str:
    """Returns the type of an error and its text, up to 300 characters, without Beam's advice."""
    text = " ".join(str(error).split()).partition(". User code must be")[0]
    return f"{type(error).__name__}: {text[:300]}"


class _Leaves(PipelineVisitor):
    def __init__(self) -> None:
        self.leaves: list[AppliedPTransform] = []

    def visit_transform(self, transform_node: AppliedPTransform) -> None:
        self.leaves.append(transform_node)


def _of_transform(spec: beam_runner_api_pb2.FunctionSpec) -> Iterator[str]:
    yield from _of_spec(spec)
    if spec.urn == _PARDO:
        pardo = beam_runner_api_pb2.ParDoPayload.FromString(spec.payload)
        yield from _of_spec(pardo.do_fn)
        for side in pardo.side_inputs.values():
            yield from _of_spec(side.view_fn)
            yield from _of_spec(side.window_mapping_fn)
    elif spec.urn.startswith(_COMBINE):
        combine = beam_runner_api_pb2.CombinePayload.FromString(spec.payload)
        if _PICKLED in combine.combine_fn.urn:
            yield _wrapped(combine.combine_fn).decode("ascii")


def _of_spec(spec: beam_runner_api_pb2.FunctionSpec) -> Iterator[str]:
    if _PICKLED in spec.urn:
        yield spec.payload.decode("ascii")


def _of_coder(spec: beam_runner_api_pb2.FunctionSpec) -> str:
    """Returns the pickled part of a coder's payload, which follows its class and a dollar sign."""
    return _wrapped(spec).partition(b"$")[2].decode("ascii")


def _wrapped(spec: beam_runner_api_pb2.FunctionSpec) -> bytes:
    return bytes(wrappers_pb2.BytesValue.FromString(spec.payload).value)


def _load(lines: Iterator[str]) -> Iterator[dict[str, Any]]:
    """Loads each function; yields its number before, and the result after.

    The number comes before, so that the parent knows the function if loading it ends this process.

    Args:
        lines: JSON lists: the function's number, its content, and true if it is a coder.
    """
    for line in lines:
        number, content, of_coder = json.loads(line)
        yield {"loading": number}
        try:
            pickler.loads(content.encode("ascii"), use_zlib=of_coder)
        except FAILURES as error:
            yield {"failed": number, "reason": reason(error)}
        else:
            yield {"loaded": number}


def _code() -> str | None:
    """Returns the digest of the installed code; None if Triad is not installed."""
    try:
        from triad_ml.pipelines.runners import workers
    except ImportError:
        return None
    return workers.fingerprint()["code"]


def _main() -> None:
    with os.fdopen(os.dup(1), "w", encoding="utf-8") as answers:
        os.dup2(2, 1)  # libraries print while they are imported
        for answer in itertools.chain([{"code": _code()}], _load(sys.stdin), [{"done": True}]):
            print(json.dumps(answer), file=answers, flush=True)


if __name__ == "__main__":
    _main()
