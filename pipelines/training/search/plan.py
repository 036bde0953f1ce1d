"""What a search is, known before anything heavy is imported: its data, its spec and its space."""

import dataclasses
import hashlib
import json
from pathlib import Path

from triad_ml.pipelines.preprocessing import dataset
from triad_ml.pipelines.preprocessing.dataset import Preprocessed
from triad_ml.pipelines.storage import outputs
from triad_ml.pipelines.training.config import SearchConfig
from triad_ml.pipelines.training.search import space as search_space
from triad_ml.pipelines.training.search.space import Space
from triad_ml.transforms.errors import OptionsError
from triad_ml.transforms.spec.spec import Spec
from triad_ml.transforms.version import VERSION


@dataclasses.dataclass(frozen=True)
class SearchPlan:
    """One search.

    Attributes:
        prepared: The preprocessing that all trials learn from.
        spec: What trial 0 is, and what the others change.
        space: What they change.
        output: The search's folder.
        key: Equal keys mean the same search, which can go on.
        seed: Decides which values are tried.
    """

    prepared: Preprocessed
    spec: Spec
    space: Space
    output: Path
    key: str
    seed: int


def plan(config: SearchConfig) -> SearchPlan:
    """Plans a search, without TensorFlow.

    Raises:
        OptionsError: Data or a space that cannot be used.
    """
    prepared = dataset.read(config.data)
    spec = prepared.spec
    if not prepared.manifest["counts"].get("eval"):
        raise OptionsError(
            f"{config.data}: the eval split holds no records, and a search chooses by the loss "
            "there; give the spec a split.eval over 0 and prepare again"
        )
    if config.space is None:
        space = search_space.default(spec)
    else:
        space = search_space.load(config.space, spec)
    parts = [
        spec.to_json(),
        search_space.to_json(space),
        prepared.manifest["key"],
        config.seed,
        VERSION,
    ]
    outputs.check_folder(
        config.output, "search", lambda: outputs.is_marked(config.output, "search")
    )
    key = hashlib.sha256(json.dumps(parts).encode()).hexdigest()
    return SearchPlan(prepared, spec, space, Path(config.output), key, config.seed)
