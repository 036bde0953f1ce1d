"""The commands of published scores: runs, current, export-scores, rollback and gc.

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
        "date": typer.Option("--date", metavar="YYYY-MM-DD", help="The date to show; else all."),
        "verify": typer.Option(
            "--verify", help="Read every file; else only their sizes are compared."
        ),
        "as_json": flags.JSON,
    },
    panel=flags.PUBLISH,
    epilog="triad runs scores --date 2026-11-24"
    "\n\nThe state is published (it counts), replaced, unfinished or damaged.",
)
def runs(session: Session, config: RunsConfig) -> None:
    """List the runs of dates: which one counts, when, of which model, and how many records."""
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
    "\n\nOne path a line; whoever reads these files reads what counts and nothing else.",
)
def current(session: Session, config: CurrentConfig) -> None:
    """Print the paths of the score files that count."""
    from triad_ml.pipelines.publishing import reading

    for path in session.run(reading.published_files, config.output, config.date):
        print(path)


@command(
    app,
    ExportConfig,
    {
        "scores": flags.PUBLISHED,
        "output": typer.Option(
            "--output", metavar="FILE", help="The file; it ends in .parquet, .csv or .jsonl."
        ),
        "date": flags.SHOWN_DATE,
        "overwrite": typer.Option("--overwrite", help="Replace the file if it is there."),
    },
    panel=flags.PUBLISH,
    name="export-scores",
    epilog="triad export-scores scores --date 2026-11-24 --output scores.csv"
    "\n\nIn CSV a struct is a column for each field (category.label); lists and distributions are"
    " JSON texts.",
)
def export_scores(session: Session, config: ExportConfig) -> None:
    """Write the scores that count to one Parquet, CSV or JSON Lines file."""
    from triad_ml.pipelines.publishing import export

    print(session.run(export.run, config))


@command(
    app,
    RollbackConfig,
    {
        "date": flags.DATE,
        "to": typer.Option(
            "--to", metavar="RUN_ID", help="The run; else the one that was replaced last."
        ),
    },
    panel=flags.PUBLISH,
    epilog="triad rollback --output scores --date 2026-11-24"
    "\n\nPrints which run counts now, and its manifest's path as the last line. Exits with 10 where"
    " a file of the run is not what it wrote, 11 where another run was published meanwhile.",
)
def rollback(session: Session, config: RollbackConfig) -> None:
    """Let an earlier run of a date count again; no run is removed."""
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
            help="Keep runs that changed, or were replaced by another, in the last N days.",
        ),
        "dry_run": typer.Option("--dry-run", help="Only say what would be removed."),
    },
    panel=flags.PUBLISH,
    epilog="triad gc --output scores --keep-days 7 --dry-run"
    "\n\nPrints each thing that is removed, and a summary in JSON as the last line.",
)
def gc(session: Session, config: GcConfig) -> None:
    """Remove runs that are not published, and what killed processes left."""
    from triad_ml.pipelines.publishing import gc as use_case

    print(session.run(use_case.run, config).to_json())
