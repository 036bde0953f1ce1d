"""TODO docstring of triad_ml.pipelines.tables.schema."""

import dataclasses
from collections.abc import Mapping, Sequence

import pyarrow as pa

from triad_ml.model.serving.bundle import Artefact
from triad_ml.pipelines.runtime.names import RUN_ID as RUN_ID
from triad_ml.pipelines.runtime.names import check_date as check_date
from triad_ml.pipelines.tables import ScoresFormat
from triad_ml.pipelines.tables import rows as tables_rows
from triad_ml.transforms import hashing
from triad_ml.transforms.errors import OptionsError
from triad_ml.transforms.records.values import MODALITIES, Provenance, Scored
from triad_ml.transforms.version import VERSION


@dataclasses.dataclass(frozen=True)
class RunSettings:
    """What each row and each file of a run has in common.

    Attributes:
        classes: By task, in the order of the columns.
        multi_label: The tasks whose label is a list.
        tagging: The tasks that give spans.
        generation: The tasks that give texts.
        explained: The modalities whose shares stand beside each classification; none if empty.
        modalities: Those that the model knows.
        provenance: Stands in each row.
        format: Of the published files.
    """

    classes: Mapping[str, tuple[str, ...]]
    multi_label: frozenset[str]
    provenance: Provenance
    format: ScoresFormat = "parquet"
    tagging: frozenset[str] = frozenset()
    generation: frozenset[str] = frozenset()
    explained: tuple[str, ...] = ()
    modalities: tuple[str, ...] = MODALITIES

    def score_table(self, scored: Sequence[Scored]) -> pa.Table:
        """See `sinks.score_table`."""
        return tables_rows.score_table(
            scored,
            self.classes,
            self.multi_label,
            self.provenance,
            self.tagging,
            self.generation,
            self.explained,
        )


def run_settings(model: Artefact, format: ScoresFormat, explain: bool = False) -> RunSettings:
    """What all rows of a run of this model have in common.

    Raises:
        OptionsError: Where explanations are asked for and no task has any.
    """
    if explain and all(task.kind != "classification" for task in model.spec.tasks.values()):
        raise OptionsError("--explain: only classification tasks have shares; remove it")
    return RunSettings(
        classes={  # the pieces of texts are no classes
            task: () if model.spec.tasks[task].kind == "generation" else names
            for task, names in model.classes.items()
        },
        multi_label=frozenset(t for t, task in model.spec.tasks.items() if task.multi_label),
        provenance=Provenance(
            model=model.model_digest,
            transform=model.transform_digest,
            spec=model.spec_digest,
            code=hashing.code_digest(),
            version=VERSION,
        ),
        format=format,
        tagging=frozenset(model.spec.tagging),
        generation=frozenset(model.spec.generation),
        explained=model.spec.modalities.names if explain else (),
        modalities=model.spec.modalities.names,
    )
