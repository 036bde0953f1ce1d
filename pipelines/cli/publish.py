"""Commands for published scores: runs, current, export-scores, rollback and gc.

Their use cases load Arrow, so each is imported when its command runs.
"""

import typer

from triad_ml.pipelines.cli import flags
from triad_ml.pipelines.cli.session import Session, command
from triad_ml.pipelines.publishing.config import (
    CurrentConfig,
    ExportConfig,
    GcConfig,
    RollbackConfig,
    RunsConfig,
)

app = typer.Typer()


@command(
    app,
    RunsConfig,
    {
        "output": flags.PUBLISHED,
        "date": typer.Option(
            "--date", metavar="YYYY-MM-DD", help="Date to show; default: all dates."
        ),
        "verify": typer.Option(
            "--verify", help="Compare the digests of all files, not only their sizes."
        ),
        "as_json": flags.JSON,
    },
    panel=flags.PUBLISH,
    epilog="triad runs scores --date 2026-11-24"
    "\n\nThe state of a run is published (it counts), replaced, unfinished or damaged.",
)
def runs(session: Session, config: RunsConfig) -> None:
    """List the runs of each date: state, time, model and number of records."""
    from triad_ml.pipelines.publishing import run_list

    listed = session.run(run_list.run, config)
    if config.as_json:
        print(run_list.to_json(listed))
    else:
        run_list.show(listed)


@command(
    app,
    CurrentConfig,
    {"output": flags.PUBLISHED, "date": flags.SHOWN_DATE},
    panel=flags.PUBLISH,
    epilog="triad current scores --date 2026-11-24"
    "\n\nPrints one path a line; these files hold the published scores and nothing else.",
)
def current(session: Session, config: CurrentConfig) -> None:
    """Print the paths of the published score files of a date."""
    from triad_ml.pipelines.publishing import reading

    for path in session.run(reading.published_files, config.output, config.date):
        print(path)


@command(
    app,
    ExportConfig,
    {
        "scores": flags.PUBLISHED,
        "output": typer.Option(
            "--output", metavar="FILE", help="File to write; it ends in .parquet, .csv or .jsonl."
        ),
        "date": flags.SHOWN_DATE,
        "overwrite": typer.Option("--overwrite", help="Replace the file if it exists."),
    },
    panel=flags.PUBLISH,
    name="export-scores",
    epilog="triad export-scores scores --date 2026-11-24 --output scores.csv"
    "\n\nIn CSV a struct becomes a column for each field (category.label); lists and distributions"
    " become JSON texts.",
)
def export_scores(session: Session, config: ExportConfig) -> None:
    """Write the published scores of a date to one Parquet, CSV or JSON Lines file."""
    from triad_ml.pipelines.publishing import export

    print(session.run(export.run, config))


@command(
    app,
    RollbackConfig,
    {
        "date": flags.DATE,
        "to": typer.Option(
            "--to",
            metavar="RUN_ID",
            help="Id of the run to publish again; default: the run that was replaced last.",
        ),
    },
    panel=flags.PUBLISH,
    epilog="triad rollback --output scores --date 2026-11-24"
    "\n\nPrints which run counts now, and its manifest's path as the last line. Exits with 10 if a"
    " file of the run has changed since it was written, 11 if another run was published meanwhile.",
)
def rollback(session: Session, config: RollbackConfig) -> None:
    """Publish an earlier run of a date again; no run is removed."""
    from triad_ml.pipelines.publishing import rollback as use_case
    from triad_ml.pipelines.publishing.run_folder import RunFolder

    counting = session.run(use_case.run, config)
    print(RunFolder(config.output, config.date, counting.run_id).manifest)


@command(
    app,
    GcConfig,
    {
        "keep_days": typer.Option(
            "--keep-days",
            metavar="N",
            help="Days for which a run is kept after it last changed or was replaced.",
        ),
        "dry_run": typer.Option("--dry-run", help="Only print what would be removed."),
    },
    panel=flags.PUBLISH,
    epilog="triad gc --output scores --keep-days 7 --dry-run"
    "\n\nPrints each removed file and folder, and a summary in JSON as the last line.",
)
def gc(session: Session, config: GcConfig) -> None:
    """Remove runs that are not published, and temporary files of killed processes."""
    from triad_ml.pipelines.publishing import gc as use_case

    print(session.run(use_case.run, config).to_json())
