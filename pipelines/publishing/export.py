"""Export of published scores to one file or another system."""

import logging

from triad_ml.pipelines.publishing import exporters, publish
from triad_ml.pipelines.publishing.config import ExportConfig

_log = logging.getLogger(__name__)


def run(config: ExportConfig) -> str:
    """Exports the published scores of a date, whole or not at all; see `exporters.EXPORTERS`.

    Parquet and JSON Lines have the columns of the parts. In CSV, each field of a struct is one
    column, such as `category.label` and `category.score`; lists and distributions are JSON texts,
    and a missing value is an empty cell.

    Returns:
        Name of the target, such as the path of the file.

    Raises:
        OptionsError: Nothing is published, or the target exists.
        DamagedError: A part is missing or is not what the run wrote; nothing is written.
        StorageError: The target cannot be written.
    """
    exporter = exporters.find(config.output)
    exporter.check(config.output, config.overwrite)
    run_folder, manifest = publish.counting(config.scores, config.date)
    rows = exporter.export(config.output, run_folder, manifest, config.overwrite)
    _log.info("%s: %d scores of %s, run %s", config.output, rows, manifest.date, manifest.run_id)
    return config.output
