"""The `triad` command: it parses, checks, hands over, and turns failures into lines and codes."""

import sys
from collections.abc import Sequence

import typer

from triad_ml.pipelines.cli import clusters, flags, published, stream
from triad_ml.pipelines.cli import spec as cli_spec
from triad_ml.pipelines.cli.session import BEAM, Call, Session
from triad_ml.pipelines.preprocessing import config as preprocessing_config
from triad_ml.pipelines.preprocessing import run as preprocessing_run
from triad_ml.pipelines.report import config as report_config
from triad_ml.pipelines.report import run as report_run
from triad_ml.pipelines.runtime import failures, logs
from triad_ml.pipelines.scoring import config as scoring_config
from triad_ml.pipelines.scoring import run as scoring_run
from triad_ml.pipelines.training import config as training_config
from triad_ml.pipelines.training import run as training_run
from triad_ml.pipelines.verification import config as verification_config
from triad_ml.pipelines.verification import run as verification_run
from triad_ml.transforms.errors import GateError
from triad_ml.transforms.version import VERSION

app = typer.Typer(
    name="triad",
    help="Picture, sound and text records -> features -> one model -> published scores.",
    epilog="Start with: triad spec check spec.yaml",
    add_completion=False,
    no_args_is_help=True,
    rich_markup_mode="rich",
)


def main(argv: Sequence[str] | None = None, call: Call | None = None) -> int:
    """Runs one command and returns the exit code.

    Args:
        argv: Arguments without the program's name; by default those of the process.
        call: Calls the function of a use case; by default with its arguments and no more.

    Raises:
        Exception: Any bug, with its traceback; Python then exits with 1.
    """
    ours, beam_args = _parted(sys.argv[1:] if argv is None else argv)
    ours = _each_named(ours, "--input")
    session = Session(beam_args) if call is None else Session(beam_args, call)
    try:
        code = typer.main.get_command(app).main(
            ours, prog_name="triad", standalone_mode=False, obj=session
        )
    except typer.TyperException as error:
        path = getattr(getattr(error, "ctx", None), "command_path", "triad")
        return _say(failures.usage(error.format_message(), path))
    except Exception as error:
        failure = failures.explain(error)
        if failure is None:
            raise
        return _say(failure)
    if code == failures.INTERRUPTED:  # what typer makes of Ctrl-C
        print("triad: interrupted; run the same command again to go on", file=sys.stderr)
    return int(code or 0)


def _parted(argv: Sequence[str]) -> tuple[list[str], tuple[str, ...]]:
    """Cuts the arguments at a lone `--`."""
    arguments = list(argv)
    if "--" not in arguments:
        return arguments, ()
    place = arguments.index("--")
    return arguments[:place], tuple(arguments[place + 1 :])


def _each_named(arguments: Sequence[str], option: str) -> list[str]:
    """The arguments with the option before each value: a shell makes several of one pattern."""
    named: list[str] = []
    in_values = False
    for argument in arguments:
        if in_values and not argument.startswith("-") and named[-1] != option:
            named.append(option)
        elif argument.startswith("-"):
            in_values = argument == option
        named.append(argument)
    return named


def _say(failure: failures.Failure) -> int:
    for line in failure.lines:
        print(f"triad: {logs.printable(logs.masked(line))}", file=sys.stderr)
    return failure.exit_code


def _print_version(wanted: bool) -> None:
    if wanted:
        print(f"triad {VERSION}")
        raise typer.Exit


@app.callback()
def _top(
    version: bool = typer.Option(
        False, "--version", is_eager=True, callback=_print_version, help="Print the version."
    ),
) -> None:
    pass


@app.command(
    epilog="triad preprocess --spec spec.yaml --input 'records/*.jsonl' --output prepared"
    f"\n\n{BEAM}"
)
def preprocess(
    context: typer.Context,
    spec: flags.Spec,
    inputs: flags.Inputs,
    output: flags.Output,
    runner: flags.Runner = preprocessing_config.PreprocessConfig.runner,
    shards: flags.Shards = preprocessing_config.PreprocessConfig.shards,
    media_roots: flags.MediaRoots = None,
    rejected_limit: flags.RejectedLimit = preprocessing_config.PreprocessConfig.rejected_limit,
    issues_limit: flags.IssuesLimit = None,
    keep_canonical: flags.KeepCanonical = False,
    verbose: flags.Verbose = False,
) -> None:
    """Turn records into features, and keep the graph that made them."""
    session: Session = context.obj.loud(verbose)
    settings = preprocessing_config.PreprocessConfig(
        spec=spec,
        inputs=tuple(inputs),
        output=output,
        runner=runner,
        shards=shards,
        media_roots=tuple(media_roots or ()),
        rejected_limit=rejected_limit,
        issues_limit=issues_limit,
        keep_canonical=keep_canonical,
        beam_args=session.beam_args,
    )
    session.run(preprocessing_run.run, settings)


@app.command(epilog="triad train --data prepared --output model --seed 1")
def train(
    context: typer.Context,
    data: flags.PreparedFolder,
    output: flags.Output,
    epochs: flags.Epochs = None,
    seed: flags.Seed = None,
    batch_size: flags.BatchSize = None,
    fresh: flags.Fresh = False,
    spec: flags.TrainSpec = None,
    verbose: flags.Verbose = False,
) -> None:
    """Train the model and export it, with the feature graph inside."""
    session: Session = context.obj.loud(verbose)
    session.refuse_beam_args("train")
    session.run(
        training_run.run,
        training_config.TrainConfig(data, output, epochs, seed, batch_size, fresh, spec),
    )


@app.command(
    epilog="triad score --model model --input 'records/*.jsonl' --output scores --date 2026-11-24"
    "\n\nPrints the manifest's path as the last line. Exits with 0 where the scores are published,"
    " now or before; 10 where a gate refuses; 11 where another run was first; 12 on bad options;"
    f" 20 where a disk or a connection fails.\n\n{BEAM}"
)
def score(
    context: typer.Context,
    model: flags.ModelFolder,
    inputs: flags.Inputs,
    output: flags.Output,
    date: flags.Date,
    scores_format: flags.Format = scoring_config.ScoreConfig.format,
    rejected_limit: flags.RejectedLimit = scoring_config.ScoreConfig.rejected_limit,
    issues_limit: flags.IssuesLimit = None,
    runner: flags.Runner = scoring_config.ScoreConfig.runner,
    media_roots: flags.MediaRoots = None,
    unit_records: flags.UnitRecords = scoring_config.ScoreConfig.unit_records,
    verify_key: flags.VerifyKey = None,
    carry_over: flags.CarryOver = False,
    no_wait: flags.NoWait = False,
    explain: flags.Explain = False,
    verbose: flags.Verbose = False,
) -> None:
    """Score records and publish the scores of one date, whole or not at all."""
    session: Session = context.obj.loud(verbose)
    settings = scoring_config.ScoreConfig(
        model=model,
        inputs=tuple(inputs),
        output=output,
        date=date,
        format=scores_format,
        rejected_limit=rejected_limit,
        issues_limit=issues_limit,
        runner=runner,
        media_roots=tuple(media_roots or ()),
        unit_records=unit_records,
        carry_over=carry_over,
        beam_args=session.beam_args,
        verify_key=verify_key,
        no_wait=no_wait,
        explain=explain,
    )
    print(session.run(scoring_run.run, settings).manifest_uri)


@app.command(
    epilog="triad parity --model model --input 'records/*.jsonl' --limit 500"
    "\n\nExits with 10 where a difference is over the tolerance."
)
def parity(
    context: typer.Context,
    model: flags.ModelFolder,
    inputs: flags.Inputs,
    limit: flags.Limit = None,
    tolerance: flags.Tolerance = verification_config.ParityConfig.tolerance,
    media_roots: flags.MediaRoots = None,
    verify_key: flags.VerifyKey = None,
    verbose: flags.Verbose = False,
) -> int:
    """Prove that training and scoring see the same features and give the same scores."""
    session: Session = context.obj.loud(verbose)
    session.refuse_beam_args("parity")
    settings = verification_config.ParityConfig(
        model, tuple(inputs), limit, tolerance, tuple(media_roots or ()), verify_key
    )
    same = session.run(verification_run.parity, settings)
    return 0 if same else GateError.exit_code


@app.command(
    epilog="triad report --model model --scores scores --input 'records/*.jsonl'"
    " --output report.html"
)
def report(
    context: typer.Context,
    model: flags.ModelFolder,
    output: flags.OutputFile,
    scores: flags.MaybeScoresFolder = None,
    date: flags.MaybeDate = None,
    inputs: flags.MaybeInputs = None,
    media_roots: flags.MediaRoots = None,
    saliency: flags.Saliency = report_config.ReportConfig.saliency,
    verify_key: flags.VerifyKey = None,
    verbose: flags.Verbose = False,
) -> None:
    """Write one page: how good the model is, what was rejected, and a gallery."""
    session: Session = context.obj.loud(verbose)
    session.refuse_beam_args("report")
    settings = report_config.ReportConfig(
        model=model,
        output=output,
        scores=scores,
        date=date,
        inputs=tuple(inputs or ()),
        media_roots=tuple(media_roots or ()),
        saliency=saliency,
        verify_key=verify_key,
    )
    print(session.run(report_run.run, settings))


app.add_typer(stream.app)
app.add_typer(clusters.app)
app.add_typer(published.app)
app.add_typer(cli_spec.app)


if __name__ == "__main__":
    sys.exit(main())
