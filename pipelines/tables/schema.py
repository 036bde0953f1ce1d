"""Schema of score tables: columns, provenance and format that all rows of a run share."""

import dataclasses
from collections.abc import Mapping, Sequence

import pyarrow as pa

from triad_ml.model.serving.bundle import Artefact
from triad_ml.pipelines.runtime.names import RUN_ID as RUN_ID
from triad_ml.pipelines.runtime.names import check_date as check_date
from triad_ml.pipelines.tables import ScoresFormat
from triad_ml.pipelines.tables import rows as tables_rows
from triad_ml.pipelines.tables.columns import COLUMNS, ScoreColumn
from triad_ml.transforms import hashing
from triad_ml.transforms.errors import OptionsError
from triad_ml.transforms.records.values import MODALITIES, Provenance, Scored
from triad_ml.transforms.version import VERSION


@dataclasses.dataclass(frozen=True)
class ScoreSchema:
    """Columns of the scores of a run or a stream, and the values that all rows share.

    Attributes:
        columns: Score columns by task, in their order in the table.
        provenance: Digests that each row has, and the version of this software.
        format: Format of the published files.
        modalities: Modalities of the model.
    """

    columns: Mapping[str, ScoreColumn]
    provenance: Provenance
    format: ScoresFormat = "parquet"
    modalities: tuple[str, ...] = MODALITIES

    @property
    def classes(self) -> dict[str, tuple[str, ...]]:
        """Names of the classes by task, as in manifests."""
        return {task: column.classes for task, column in self.columns.items()}

    @property
    def explained(self) -> tuple[str, ...]:
        """Modalities whose shares are in the rows; () if no task is explained."""
        shares = (column.explained for column in self.columns.values())
        return next(filter(None, shares), ())

    def score_table(self, scored: Sequence[Scored]) -> pa.Table:
        """Makes a table of scored records, see `rows.score_table`."""
        return tables_rows.score_table(scored, self.columns, self.provenance)


def score_schema(model: Artefact, format: ScoresFormat, explain: bool = False) -> ScoreSchema:
    """Returns the schema of a model's scores.

    Raises:
        OptionsError: Explanations are requested, and no task can be explained.
    """
    tasks = model.spec.tasks
    if explain and not any(COLUMNS[task.kind].explainable for task in tasks.values()):
        kinds = " and ".join(kind for kind, column in COLUMNS.items() if column.explainable)
        raise OptionsError(f"--explain: only {kinds} tasks have shares; remove it")
    explained = model.spec.modalities.names if explain else ()
    return ScoreSchema(
        columns={
            task: COLUMNS[tasks[task].kind].of(tasks[task], classes, explained)
            for task, classes in model.classes.items()
        },
        provenance=Provenance(
            model=model.model_digest,
            transform=model.transform_digest,
            spec=model.spec_digest,
            code=hashing.code_digest(),
            version=VERSION,
        ),
        format=format,
        modalities=model.spec.modalities.names,
    )
