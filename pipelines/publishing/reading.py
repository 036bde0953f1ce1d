"""Published scores for other programs: paths of the files, one Arrow table, or the manifest."""

from collections.abc import Iterator, Mapping, Sequence

import pyarrow as pa

from triad_ml.pipelines.publishing import parts, publish
from triad_ml.pipelines.publishing.manifest import Manifest
from triad_ml.pipelines.publishing.run_folder import RunFolder
from triad_ml.pipelines.tables import passthrough
from triad_ml.transforms.errors import OptionsError

_KEPT_IN_JSON: tuple[passthrough.Kind, ...] = (
    *("null", "bool", "int", "long", "float", "number", "string", "json"),
)


def published_files(scores: str, date: str | None = None) -> tuple[str, ...]:
    """Lists the files of the published scores, as `triad current` does.

    Files of a run that was replaced, is unfinished or was never published are not listed. Parts
    without rows are left out.

    Args:
        scores: Folder in which dates are published, local or `gs://`.
        date: Date of the scores, as YYYY-MM-DD; None takes the latest that is published.

    Returns:
        Paths in the order of the records; Parquet or JSON Lines, as the run's `--format` said.

    Raises:
        OptionsError: Nothing is published.
        DamagedError: A file of the run is missing or is not what the run wrote.

    Examples:
        >>> import triad_ml
        >>> for path in triad_ml.published_files("scores", "2026-11-24"):
        ...     print(path.rpartition("/")[2])
        part-00000.parquet
    """
    run, manifest = publish.counting(scores, date)
    parts.refuse_broken(run, manifest)
    return publish.open_current(scores, manifest.date)


def read_scores(
    scores: str, date: str | None = None, columns: Sequence[str] | None = None
) -> pa.Table:
    """Reads the published scores as one table; its `.to_pandas()` returns a data frame.

    Each file is read once, and is checked against the manifest's digest before a row of it is
    used. The whole table is in memory; to read a larger run part by part, open `published_files`.

    Args:
        scores: Folder in which dates are published, local or `gs://`.
        date: Date of the scores, as YYYY-MM-DD; None takes the latest that is published.
        columns: Names of the columns to read, in this order; None reads all.

    Returns:
        One row for each scored record: `id`, `id_int`, a struct for each task, such as
        `category.label`, `category.score` and `category.distribution`, `modalities_used`,
        `issues`, the digests, and the fields that passed through.

    Raises:
        OptionsError: Nothing is published, or the scores have no such column.
        DamagedError: A file of the run is missing or is not what the run wrote.

    Examples:
        >>> import triad_ml
        >>> table = triad_ml.read_scores("scores", "2026-11-24", columns=["id", "category"])
        >>> frame = table.to_pandas()
    """
    run, manifest = publish.counting(scores, date)
    schema, parts_of_run = tables(run, manifest)
    wanted = schema.names if columns is None else list(columns)
    for name in wanted:
        if name not in schema.names:
            raise OptionsError(
                f"{scores}: the scores of {manifest.date} have no column {name!r}; "
                f"name some of {', '.join(schema.names)}"
            )
    first = schema.empty_table().select(wanted)
    return pa.concat_tables([first, *(table.select(wanted) for table in parts_of_run)])


def read_manifest(scores: str, date: str | None = None) -> Manifest:
    """Reads the manifest of the published run: its counts, digests, files and columns.

    Args:
        scores: Folder in which dates are published, local or `gs://`.
        date: Date of the scores, as YYYY-MM-DD; None takes the latest that is published.

    Raises:
        OptionsError: Nothing is published.
        DamagedError: The pointer or the manifest is damaged.

    Examples:
        >>> import triad_ml
        >>> manifest = triad_ml.read_manifest("scores", "2026-11-24")
        >>> manifest.counts["read"] == manifest.counts["scored"] + manifest.counts["rejected"]
        True
    """
    return publish.counting(scores, date)[1]


def tables(run: RunFolder, manifest: Manifest) -> tuple[pa.Schema, Iterator[pa.Table]]:
    """Returns the columns of all parts of scores, and an iterator of the parts with these columns.

    Raises:
        DamagedError: A part is missing or is not what the run wrote.
    """
    if manifest.format == "parquet":
        tables = (parts.table(run, file) for file in manifest.scores)
        first = next(tables, None)
        if first is None:
            return pa.schema([]), iter(())
        return first.schema, _chained(first, tables)
    columns = [_of_json(column) for column in manifest.schema if column.get("kind")]
    untyped = (parts.table(run, file) for file in manifest.scores if file.rows)
    typed = (_typed(table, columns) for table in untyped)
    first = next(typed, None)
    if first is None:
        names = [column["name"] for column in manifest.schema]
        return pa.schema([(name, pa.string()) for name in names]), iter(())
    return first.schema, _chained(first, typed)


def _chained(first: pa.Table, others: Iterator[pa.Table]) -> Iterator[pa.Table]:
    yield first
    for table in others:
        yield table if table.schema == first.schema else table.cast(first.schema)


def _typed(table: pa.Table, columns: Sequence[pa.Field]) -> pa.Table:
    """Casts passthrough columns to the run's types, since each JSON Lines part infers its types."""
    for field in columns:
        values = pa.array(table.column(field.name).to_pylist(), field.type)
        table = table.set_column(table.schema.get_field_index(field.name), field, values)
    return table


def _of_json(column: Mapping[str, str]) -> pa.Field:
    """Returns the field of a passthrough column in JSON Lines, where bytes and times are texts."""
    kinds = (kind for kind in _KEPT_IN_JSON if kind == column["kind"])
    return passthrough.field_of(column["name"], next(kinds, "string"))
