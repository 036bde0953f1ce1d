"""Settings of `triad preprocess`: frozen and checked."""

import dataclasses

from triad_ml.pipelines.runners import beam_options, registry
from triad_ml.pipelines.runtime import defaults
from triad_ml.pipelines.runtime.checks import at_least, each, need, need_each, share
from triad_ml.transforms.errors import OptionsError


@dataclasses.dataclass(frozen=True)
class PreprocessConfig:
    """Settings of one preprocessing.

    Attributes:
        spec: Path of the spec file.
        inputs: Patterns of records files.
        output: Folder for features, feature graph, statistics and manifest.
        runner: Name of the runner, a key of `registry.RUNNERS`.
        shards: Number of shards of each split, for each bundle that writes features.
        media_roots: Folders in which media are searched after that of the records file, in order.
        rejected_limit: Largest share of rejected records that is accepted, in [0, 1].
        keep_canonical: True if the canonical records stay in the output, next to the features.
        beam_args: Arguments that are passed to Beam unchanged.
        issues_limit: Largest share of a modality's media that may be lost, in [0, 1]; None takes
            the limit of the spec.
    """

    spec: str
    inputs: tuple[str, ...]
    output: str
    runner: str = "local"
    shards: int = 4
    media_roots: tuple[str, ...] = ()
    rejected_limit: float = defaults.REJECTED_LIMIT
    keep_canonical: bool = False
    beam_args: tuple[str, ...] = ()
    issues_limit: float | None = None

    def __post_init__(self) -> None:
        need("--spec", self.spec)
        need_each("--input", self.inputs)
        need("--output", self.output)
        runner = registry.named(self.runner)
        at_least("--shards", self.shards, 1)
        each("--media-root", self.media_roots)
        share("--rejected-limit", self.rejected_limit)
        share("--issues-limit", self.issues_limit)
        beam_options.check_beam_args(self.beam_args)
        if self.output.startswith("gs://") and self.keep_canonical:
            raise OptionsError("--keep-canonical: needs a local --output; remove it")
        paths = {
            "--input": self.inputs,
            "--output": (self.output,),
            "--media-root": self.media_roots,
        }
        runner.check(paths, self.beam_args)
        if runner.makes_template(self.beam_args):
            raise OptionsError("--template_location: preprocess is two jobs; remove it")
