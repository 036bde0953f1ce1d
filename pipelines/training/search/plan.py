"""Plan of a hyperparameter search: its data, spec and search space, known before heavy imports."""

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
    """Plan of one search.

    Attributes:
        prepared: Prepared data on which all trials are trained.
        spec: Spec of trial 0, which the other trials modify.
        space: Settings that the trials modify, with their possible values.
        output: Path of the search's folder.
        key: Digest of the search; a search with an equal key is the same one and can be resumed.
        seed: Random seed that determines the values that are tried.
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
        OptionsError: If the data, the space or the output cannot be used.
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
