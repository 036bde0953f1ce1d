"""Registry of the label parts of the feature graph, one for each kind of task."""

from collections.abc import Mapping

from triad_ml.transforms.targets.base import TargetGraph
from triad_ml.transforms.targets.classes import Classes
from triad_ml.transforms.targets.numbers import Numbers
from triad_ml.transforms.targets.spans import Spans
from triad_ml.transforms.targets.texts import Texts

TARGETS: Mapping[str, TargetGraph] = {
    "classification": Classes(),
    "tagging": Spans(),
    "generation": Texts(),
    "regression": Numbers(),
}
