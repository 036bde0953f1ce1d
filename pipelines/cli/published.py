"""Commands that read what was published: which runs there are, and what counts."""

import typer

from triad_ml.pipelines import upkeep_options
from triad_ml.pipelines.cli import flags
from triad_ml.pipelines.cli.session import Session
from triad_ml.pipelines.publishing import config

app = typer.Typer()


@app.command(
    epilog="triad runs scores --date 2026-11-24"
    "\n\nThe state is published (it counts), replaced, unfinished or damaged."
)
def runs(
    context: typer.Context,
    output: upkeep_options.Published,
    date: flags.RunsDate = None,
    verify: upkeep_options.VerifyFiles = False,
    as_json: upkeep_options.AsJson = False,
    verbose: flags.Verbose = False,
) -> None:
    """List the runs of dates: which one counts, when, of which model, and how many records."""
    session: Session = context.obj.loud(verbose)
    session.refuse_beam_args("runs")
    from triad_ml.pipelines.publishing import run_list

    listed = session.run(run_list.run, config.RunsConfig(output, date, verify))
    if as_json:
        print(run_list.to_json(listed))
    else:
        run_list.show(listed)


@app.command(
    epilog="triad current scores --date 2026-11-24"
    "\n\nOne path a line; whoever reads these files reads what counts and nothing else."
)
def current(
    context: typer.Context,
    output: upkeep_options.Published,
    date: flags.MaybeDate = None,
    verbose: flags.Verbose = False,
) -> None:
    """Print the paths of the score files that count."""
    session: Session = context.obj.loud(verbose)
    session.refuse_beam_args("current")
    from triad_ml.pipelines.publishing import current as publishing_current

    for path in session.run(publishing_current.run, config.CurrentConfig(output, date)):
        print(path)


@app.command(
    name="export-scores",
    epilog="triad export-scores scores --date 2026-11-24 --output scores.csv"
    "\n\nIn CSV a struct is a column for each field (category.label); lists and distributions are"
    " JSON texts.",
)
def export_scores(
    context: typer.Context,
    scores: upkeep_options.Published,
    output: upkeep_options.ExportFile,
    date: flags.MaybeDate = None,
    overwrite: upkeep_options.Overwrite = False,
    verbose: flags.Verbose = False,
) -> None:
    """Write the scores that count to one Parquet, CSV or JSON Lines file."""
    session: Session = context.obj.loud(verbose)
    session.refuse_beam_args("export-scores")
    from triad_ml.pipelines.publishing import export

    print(session.run(export.run, config.ExportConfig(scores, output, date, overwrite)))
