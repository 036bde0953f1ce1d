"""The `triad` command: it parses, checks, hands over, and turns failures into lines and codes."""

import dataclasses
import json
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import typer

from pipelines import config, environment, failures, logs, options, stream_config
from pipelines.dispatch import RUNS, Run
from transforms.errors import GateError, OptionsError
from transforms.version import VERSION

BEAM = "What stands after a lone -- goes to Beam as it is."

app = typer.Typer(
    name="triad",
    help="Picture, sound and text records -> features -> one model -> published scores.",
    epilog="Start with: triad spec check spec.yaml",
    add_completion=False,
    no_args_is_help=True,
    rich_markup_mode="rich",
)
spec_app = typer.Typer(
    help="Check a spec, or print its JSON Schema for editors.", no_args_is_help=True
)
app.add_typer(spec_app, name="spec")
flink_app = typer.Typer(
    help="A Flink cluster on this machine, for --runner flink.", no_args_is_help=True
)
app.add_typer(flink_app, name="flink")


@dataclasses.dataclass(frozen=True)
class _Call:
    """What a command needs beside its own flags: typer carries it through."""

    runs: Mapping[type, Run]
    beam_args: tuple[str, ...]

    def run(self, settings: Any, verbose: bool) -> Any:
        environment.prepare()
        logs.configure(verbose)
        return self.runs[type(settings)](settings)

    def refuse_beam_args(self, command: str) -> None:
        if self.beam_args:
            raise OptionsError(f"--: triad {command} uses no Beam; remove what stands after it")


def main(argv: Sequence[str] | None = None, runs: Mapping[type, Run] | None = None) -> int:
    """Runs one command and returns the exit code.

    Args:
        argv: Arguments without the program's name; by default those of the process.
        runs: What each kind of config is handed to; by default the pipelines.

    Raises:
        Exception: Any bug, with its traceback; Python then exits with 1.
    """
    ours, beam_args = _parted(sys.argv[1:] if argv is None else argv)
    call = _Call(RUNS if runs is None else runs, beam_args)
    try:
        code = typer.main.get_command(app).main(
            ours, prog_name="triad", standalone_mode=False, obj=call
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


def _say(failure: failures.Failure) -> int:
    for line in failure.lines:
        print(f"triad: {logs.masked(line)}", file=sys.stderr)
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
    spec: options.Spec,
    inputs: options.Inputs,
    output: options.Output,
    runner: options.Runner = "local",
    shards: options.Shards = 4,
    media_roots: options.MediaRoots = None,
    rejected_limit: options.RejectedLimit = 0.05,
    keep_canonical: options.KeepCanonical = False,
    verbose: options.Verbose = False,
) -> None:
    """Turn records into features, and keep the graph that made them."""
    call: _Call = context.obj
    settings = config.PreprocessConfig(
        spec=spec,
        inputs=tuple(inputs),
        output=output,
        runner=runner,
        shards=shards,
        media_roots=tuple(media_roots or ()),
        rejected_limit=rejected_limit,
        keep_canonical=keep_canonical,
        beam_args=call.beam_args,
    )
    call.run(settings, verbose)


@app.command(epilog="triad train --data prepared --output model --seed 1")
def train(
    context: typer.Context,
    data: options.PreparedFolder,
    output: options.Output,
    epochs: options.Epochs = None,
    seed: options.Seed = None,
    batch_size: options.BatchSize = None,
    fresh: options.Fresh = False,
    verbose: options.Verbose = False,
) -> None:
    """Train the model and export it, with the feature graph inside."""
    call: _Call = context.obj
    call.refuse_beam_args("train")
    call.run(config.TrainConfig(data, output, epochs, seed, batch_size, fresh), verbose)


@app.command(
    epilog="triad score --model model --input 'records/*.jsonl' --output scores --date 2026-11-24"
    "\n\nPrints the manifest's path as the last line. Exits with 0 where the scores are published,"
    " now or before; 10 where a gate refuses; 11 where another run was first; 12 on bad options;"
    f" 20 where a disk or a connection fails.\n\n{BEAM}"
)
def score(
    context: typer.Context,
    model: options.ModelFolder,
    inputs: options.Inputs,
    output: options.Output,
    date: options.Date,
    scores_format: options.Format = "parquet",
    rejected_limit: options.RejectedLimit = 0.05,
    runner: options.Runner = "local",
    media_roots: options.MediaRoots = None,
    unit_records: options.UnitRecords = 4096,
    verify_key: options.VerifyKey = None,
    carry_over: options.CarryOver = False,
    no_wait: options.NoWait = False,
    verbose: options.Verbose = False,
) -> None:
    """Score records and publish the scores of one date, whole or not at all."""
    call: _Call = context.obj
    settings = config.ScoreConfig(
        model=model,
        inputs=tuple(inputs),
        output=output,
        date=date,
        format=scores_format,
        rejected_limit=rejected_limit,
        runner=runner,
        media_roots=tuple(media_roots or ()),
        unit_records=unit_records,
        carry_over=carry_over,
        beam_args=call.beam_args,
        verify_key=verify_key,
        no_wait=no_wait,
    )
    print(call.run(settings, verbose).manifest_uri)


@app.command(
    epilog="triad parity --model model --input 'records/*.jsonl' --limit 500"
    "\n\nExits with 10 where a difference is over the tolerance."
)
def parity(
    context: typer.Context,
    model: options.ModelFolder,
    inputs: options.Inputs,
    limit: options.Limit = None,
    tolerance: options.Tolerance = 1e-6,
    media_roots: options.MediaRoots = None,
    verbose: options.Verbose = False,
) -> int:
    """Prove that training and scoring see the same features and give the same scores."""
    call: _Call = context.obj
    call.refuse_beam_args("parity")
    settings = config.ParityConfig(model, tuple(inputs), limit, tolerance, tuple(media_roots or ()))
    same = call.run(settings, verbose)
    return 0 if same else GateError.exit_code


@app.command(
    epilog="triad report --model model --scores scores --input 'records/*.jsonl'"
    " --output report.html"
)
def report(
    context: typer.Context,
    model: options.ModelFolder,
    output: options.OutputFile,
    scores: options.MaybeScoresFolder = None,
    date: options.MaybeDate = None,
    inputs: options.MaybeInputs = None,
    media_roots: options.MediaRoots = None,
    verbose: options.Verbose = False,
) -> None:
    """Write one page: how good the model is, what was rejected, and a gallery."""
    call: _Call = context.obj
    call.refuse_beam_args("report")
    settings = config.ReportConfig(
        model=model,
        output=output,
        scores=scores,
        date=date,
        inputs=tuple(inputs or ()),
        media_roots=tuple(media_roots or ()),
    )
    print(call.run(settings, verbose))


@app.command(epilog="triad sign model --key key.pem\n\nPrints the signature's path.")
def sign(
    context: typer.Context,
    model: options.Model,
    key: options.PrivateKey,
    verbose: options.Verbose = False,
) -> None:
    """Sign a model folder with a private key of your own."""
    call: _Call = context.obj
    call.refuse_beam_args("sign")
    print(call.run(config.SignConfig(model, key), verbose))


@app.command(
    epilog="triad verify model --key public.pem"
    "\n\nExits with 10 where the model is not signed, or not as it was when it was signed."
)
def verify(
    context: typer.Context,
    model: options.Model,
    key: options.PublicKey,
    verbose: options.Verbose = False,
) -> None:
    """Check that a model folder is, byte for byte, what somebody signed."""
    call: _Call = context.obj
    call.refuse_beam_args("verify")
    call.run(config.VerifyConfig(model, key), verbose)
    print(f"{model}: is as it was signed")


@app.command(
    name="explain-digest",
    epilog="triad explain-digest model-of-may model-of-june\n\nExits with 10 where a part differs.",
)
def explain_digest(
    context: typer.Context,
    left: options.Left,
    right: options.Right,
    verbose: options.Verbose = False,
) -> int:
    """Say which parts of two models, preprocessings or runs are equal, and which differ."""
    call: _Call = context.obj
    call.refuse_beam_args("explain-digest")
    equal = call.run(config.ExplainDigestConfig(left, right), verbose)
    return 0 if equal else GateError.exit_code


@app.command(
    epilog="triad gc --output scores --keep-days 7 --dry-run"
    "\n\nPrints each thing that is removed, and a summary in JSON as the last line."
)
def gc(
    context: typer.Context,
    output: options.Output,
    keep_days: options.KeepDays = 1,
    dry_run: options.DryRun = False,
    verbose: options.Verbose = False,
) -> None:
    """Remove runs that are not published, and what killed processes left."""
    call: _Call = context.obj
    call.refuse_beam_args("gc")
    print(call.run(config.GcConfig(output, keep_days, dry_run), verbose).to_json())


@app.command(
    epilog="triad rollback --output scores --date 2026-11-24"
    "\n\nPrints which run counts now, and its manifest's path as the last line. Exits with 10 where"
    " a file of the run is not what it wrote, 11 where another run was published meanwhile."
)
def rollback(
    context: typer.Context,
    output: options.Output,
    date: options.Date,
    to: options.RollbackTo = None,
    verbose: options.Verbose = False,
) -> None:
    """Let an earlier run of a date count again; no run is removed."""
    call: _Call = context.obj
    call.refuse_beam_args("rollback")
    print(call.run(config.RollbackConfig(output, date, to), verbose))


@app.command(
    epilog="triad doctor --model model --input 'records/*.jsonl' --output scores"
    "\n\nSubmits nothing. Exits with 12 where something would fail; warnings do not count."
    f"\n\n{BEAM}"
)
def doctor(
    context: typer.Context,
    runner: options.DoctorsRunner = "local",
    spec: options.MaybeSpec = None,
    model: options.MaybeModel = None,
    inputs: options.MaybeInputs = None,
    output: options.MaybeOutput = None,
    as_json: options.AsJson = False,
    verbose: options.Verbose = False,
) -> int:
    """Say what would make a run fail, before it is started."""
    call: _Call = context.obj
    settings = config.DoctorConfig(
        runner, spec, model, tuple(inputs or ()), output, as_json, call.beam_args
    )
    return 0 if call.run(settings, verbose) else OptionsError.exit_code


@flink_app.command(epilog="triad flink up\n\nNeeds Java 17, and Maven the first time.")
def up(
    context: typer.Context,
    folder: options.FlinkFolder = None,
    free_ports: options.FreePorts = False,
) -> None:
    """Start what does not run yet, and wait until each part answers."""
    _flink(context, config.FlinkConfig("up", folder, free_ports))


@flink_app.command(epilog="triad flink status")
def status(context: typer.Context, folder: options.FlinkFolder = None) -> None:
    """Say which parts run, and where."""
    _flink(context, config.FlinkConfig("status", folder))


@flink_app.command(epilog="triad flink down")
def down(context: typer.Context, folder: options.FlinkFolder = None) -> None:
    """Stop exactly what was started."""
    _flink(context, config.FlinkConfig("down", folder))


def _flink(context: typer.Context, settings: config.FlinkConfig) -> None:
    call: _Call = context.obj
    call.refuse_beam_args("flink")
    print("\n".join(call.run(settings, verbose=False)))


@app.command(
    epilog="triad stream --model model --source incoming --sink scores"
    "\n\nSIGTERM and Ctrl-C end it after the batch in hand, with 0."
)
def stream(
    context: typer.Context,
    model: options.ModelFolder,
    source: options.Source,
    sink: options.Sink,
    rejected: options.RejectedTopic = None,
    state: options.StateFolder = None,
    group: options.Group = "triad",
    message_format: options.MessageKind = "json",
    message_bytes: options.MessageBytes = 16 * 2**20,
    media_files: options.MediaFiles = False,
    scores_format: options.Format = "parquet",
    window: options.Window = 60,
    batch_records: options.BatchRecords = 1024,
    poll_seconds: options.PollSeconds = 2.0,
    media_roots: options.MediaRoots = None,
    until_empty: options.UntilEmpty = False,
    verify_key: options.VerifyKey = None,
    verbose: options.Verbose = False,
) -> None:
    """Score records as they arrive, in micro-batches: at least once, to the same places."""
    call: _Call = context.obj
    call.refuse_beam_args("stream")
    settings = stream_config.StreamConfig(
        model=model,
        source=source,
        sink=sink,
        rejected=rejected,
        state=state,
        group=group,
        message_format=message_format,
        message_bytes=message_bytes,
        media_files=media_files,
        format=scores_format,
        window=window,
        batch_records=batch_records,
        poll_seconds=poll_seconds,
        media_roots=tuple(media_roots or ()),
        until_empty=until_empty,
        verify_key=verify_key,
    )
    call.run(settings, verbose)


@spec_app.command(epilog="triad spec check spec.yaml")
def check(context: typer.Context, file: options.SpecFile) -> None:
    """Check a spec file, and say what is in it."""
    context.obj.refuse_beam_args("spec check")
    from transforms import spec_files

    checked = spec_files.load(file)
    names = ", ".join(checked.modalities.names)
    print(f"{file}: good; modalities: {names}; tasks: {', '.join(checked.tasks)}")


@spec_app.command(epilog="triad spec schema --output spec.schema.json")
def schema(context: typer.Context, output: options.SchemaFile = None) -> None:
    """Print the JSON Schema of a spec file, for editors."""
    context.obj.refuse_beam_args("spec schema")
    from transforms import spec_files

    text = json.dumps(spec_files.schema(), indent=2) + "\n"
    if output is None:
        print(text, end="")
    else:
        Path(output).write_text(text, encoding="utf-8")


if __name__ == "__main__":
    sys.exit(main())
