"""Use cases of `triad stats` and `triad drift`: from settings to what the commands print."""

import logging
from typing import TYPE_CHECKING

from triad_ml.pipelines.monitoring.config import DriftConfig, StatsConfig

if TYPE_CHECKING:
    from triad_ml.pipelines.scoring.statistics_file import Opened

_log = logging.getLogger(__name__)


def stats(config: StatsConfig) -> None:
    """Prints one or two statistics as a table or JSON, and writes the page and the proto.

    Raises:
        OptionsError: A folder has no statistics, or such of another version or of no record, or a
            file to write is another one.
        DamagedError: Statistics are not what the run wrote.
        StorageError: A file cannot be read or written.
    """
    from triad_ml.pipelines.monitoring import comparison, page, tables
    from triad_ml.pipelines.scoring import statistics_file
    from triad_ml.pipelines.storage import atomic

    if config.output is not None:
        page.check(config.output)
    if config.tfmd is not None:
        from triad_ml.pipelines.monitoring import tfmd

        tfmd.check(config.tfmd)
    folders = [config.left, *([config.right] if config.right is not None else [])]
    opened = [statistics_file.open_statistics(folder, config.date) for folder in folders]
    sides = comparison.sides(opened)
    rows = comparison.rows(sides)
    _warn_of_other_spec(*opened)
    if config.tfmd is not None:
        atomic.put(config.tfmd, tfmd.encoded(opened))
    if config.output is not None:
        page.write(config.output, sides, rows)
    if config.as_json:
        print(tables.statistics_json(opened, rows))
    else:
        tables.show(tables.statistics(sides, rows))


def drift(config: DriftConfig) -> bool:
    """Prints the features that drift as a table or JSON.

    Returns:
        True if none drifts beyond its limit.

    Raises:
        OptionsError: A folder has no statistics, or such of another version or of no record, or the
            spec is wrong.
        DamagedError: Statistics are not what the run wrote.
    """
    from triad_ml.pipelines.monitoring import tables
    from triad_ml.pipelines.scoring import statistics_file
    from triad_ml.transforms.spec import loading
    from triad_ml.transforms.statistics import drift

    trained = statistics_file.open_statistics(config.trained)
    tonight = statistics_file.open_statistics(config.tonight, config.date)
    if config.spec is None:
        limits = statistics_file.limits(config.trained)
    else:
        limits = loading.load(config.spec).drift
    _warn_of_other_spec(trained, tonight)
    distances = drift.distances(trained.main[1], tonight.main[1])
    found = drift.findings(distances, limits)
    if config.as_json:
        print(tables.drift_json(distances, found))
    else:
        tables.show(tables.drift(distances, found))
    return not found


def _warn_of_other_spec(first: "Opened", second: "Opened | None" = None) -> None:
    if second and first.statistics.spec_digest != second.statistics.spec_digest:
        _log.warning(
            "%s and %s are of different specs; only what both have is compared",
            *(first.name, second.name),
        )
