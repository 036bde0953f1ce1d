"""Functions of pipelines, pickled as a submission does it and loaded as a worker does it.

The only file of Triad that pickles. What it loads is what its parent made a moment ago, and nothing
else: run as a script it reads functions from its standard input, and says of each whether it loads.
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
"""What pickling and loading raise where a function, or what it holds, cannot travel."""

_PARDO = "beam:transform:pardo:v1"
_COMBINE = "beam:transform:combine_"
_PICKLED = ":pickled_python"


class Pickled(NamedTuple):
    """One function of a pipeline.

    Attributes:
        step: Full name of the step that it belongs to.
        content: As Beam makes it: base64.
        of_coder: Coders are packed in another way.
    """

    step: str
    content: str
    of_coder: bool = False


class Refused(NamedTuple):
    """A step of which something cannot be pickled, or None where no step can be named."""

    step: str | None
    reason: str


def submitted(root: beam.Pipeline) -> beam_runner_api_pb2.Pipeline:
    """What a runner gets of the pipeline.

    Raises:
        Exception: One of `FAILURES`; `refused` then says of which steps.
    """
    return root.to_runner_api()


def functions(pipeline: beam_runner_api_pb2.Pipeline) -> list[Pickled]:
    """All that a submission holds pickled: functions, and coders of values."""
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
    """The steps of which something cannot be pickled."""
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
    """The kind of an error and its first line, without Beam's advice."""
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
    """A coder's class, a dollar sign, and what is pickled."""
    return _wrapped(spec).partition(b"$")[2].decode("ascii")


def _wrapped(spec: beam_runner_api_pb2.FunctionSpec) -> bytes:
    return bytes(wrappers_pb2.BytesValue.FromString(spec.payload).value)


def _load(lines: Iterator[str]) -> Iterator[dict[str, Any]]:
    """First the step, so that who reads knows it where loading ends this process; then a verdict.

    Lines are lists: the number of the function, its content, and whether it is a coder.
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
    """Digest of the code that is installed here, or None where there is none."""
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
