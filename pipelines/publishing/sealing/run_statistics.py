"""Statistics of a scoring run: of its scores, its missing media, and a sample of its media."""

import json
from collections.abc import Mapping

import pyarrow as pa

from triad_ml.pipelines.publishing.manifest import PartFile
from triad_ml.pipelines.publishing.run_folder import RunFolder
from triad_ml.pipelines.storage import atomic
from triad_ml.pipelines.tables import rows as tables_rows
from triad_ml.pipelines.tables.columns import ScoreColumn
from triad_ml.pipelines.tables.schema import ScoreSchema
from triad_ml.transforms.statistics import combine, document, measures
from triad_ml.transforms.statistics.accumulators import WHOLE


class RunStatistics:
    """Statistics of the scored records of a run, unit by unit.

    Args:
        settings: Score schema of the run.
    """

    def __init__(self, settings: ScoreSchema) -> None:
        self._settings = settings
        self._counted = combine.Accumulator(records={WHOLE: 0}, sampled={WHOLE: 0})

    def add(self, unit: pa.Table, published: pa.Table) -> None:
        """Counts the scores of a unit.

        Args:
            unit: Scores of the unit, with the column `rows.MEASURES`.
            published: Those of them that are published: without later rows of an id.
        """
        self._counted.records[WHOLE] += len(published)
        for task, column in self._settings.columns.items():
            add_scores(self._counted, task, column, published.column(task).combine_chunks())
        if tables_rows.MEASURES in unit.column_names:
            for text in unit.column(tables_rows.MEASURES).drop_null().to_pylist():
                self._counted.add_sampled(WHOLE, json.loads(text))

    def write(self, run: RunFolder, used: Mapping[str, int], issues: Mapping[str, int]) -> PartFile:
        """Writes the statistics of all units.

        Args:
            run: Folder of the run.
            used: Number of scored records that use their medium, by modality.
            issues: Number of media of scored records that are not used, by `"<modality>: <flaw>"`.

        Returns:
            Entry of the file for the manifest of the run.
        """
        records = self._counted.records[WHOLE]
        for name in self._settings.modalities:
            states = {"present": used.get(name, 0)}
            for issue, count in issues.items():
                modality, _, flaw = issue.partition(": ")
                if modality == name:
                    states[flaw] = count
            states["missing"] = records - sum(states.values())
            kept = {state: count for state, count in states.items() if count > 0}
            self._counted.categories(WHOLE, f"{name}.state").extend(kept)
        digest = self._settings.provenance.spec
        content = document.content(combine.summary(self._counted), digest)
        atomic.put(run.statistics, content)
        return PartFile.of(run.statistics.removeprefix(f"{run.folder}/"), records, content)


def add_scores(
    counted: combine.Accumulator, task: str, column: ScoreColumn, values: pa.StructArray
) -> None:
    """Counts the scores of a task.

    Args:
        counted: Counts, to which those of the scores are added.
        task: Name of the task.
        column: Column of the task.
        values: Scores, as the column encodes them.
    """
    if not len(values):
        return
    if column.has_classes:
        counted.categories(WHOLE, f"score.{task}").extend(column.names(values))
    for measure, numbers in column.numbers(values).items():
        feature = f"score.{task}.{measure}"
        counted.numbers(WHOLE, feature).extend(numbers, measures.scale(feature))
