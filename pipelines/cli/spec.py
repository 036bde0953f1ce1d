"""Commands around the way of a record: specs, models, runs, clusters, and what may go wrong."""

import json
from pathlib import Path

import typer

from triad_ml.pipelines import upkeep_options
from triad_ml.pipelines.cli import flags
from triad_ml.pipelines.cli.session import BEAM, Session
from triad_ml.pipelines.doctor import config as doctor_config
from triad_ml.pipelines.publishing import config as publishing_config
from triad_ml.pipelines.training import config as training_config
from triad_ml.pipelines.training import run as training_run
from triad_ml.pipelines.training.search import run as search_run
from triad_ml.pipelines.verification import config as verification_config
from triad_ml.pipelines.verification import run as verification_run
from triad_ml.transforms.errors import GateError, OptionsError

app = typer.Typer()
spec_app = typer.Typer(
    help="Check a spec, or print its JSON Schema for editors.", no_args_is_help=True
)
app.add_typer(spec_app, name="spec")


@app.command(
    epilog="triad encoder --output lite0.weights.h5"
    "\n\nReads a file of PyTorch without running what is in it. Prints the file's SHA-256."
)
def encoder(
    context: typer.Context,
    output: upkeep_options.EncoderFile,
    weights: upkeep_options.TorchFile = None,
    verbose: flags.Verbose = False,
) -> None:
    """Write the weights of a pretrained encoder of pictures as a file that specs can name."""
    session: Session = context.obj.loud(verbose)
    session.refuse_beam_args("encoder")
    print(session.run(training_run.encoder, training_config.EncoderConfig(output, weights)))


@app.command(
    epilog="triad search --data prepared --output search --trials 30 --minutes 60"
    "\n\nThen: triad train --data prepared --spec search/best.yaml --output model"
    "\n\nA search that was interrupted goes on with the same command. Prints the best trials, and"
    " the path of the best spec as the last line."
)
def search(
    context: typer.Context,
    data: flags.PreparedFolder,
    output: flags.Output,
    trials: upkeep_options.Trials = training_config.SearchConfig.trials,
    minutes: upkeep_options.Minutes = None,
    space: upkeep_options.SpaceFile = None,
    seed: upkeep_options.SearchSeed = training_config.SearchConfig.seed,
    verbose: flags.Verbose = False,
) -> None:
    """Try settings of model and training, and keep the best as a spec."""
    session: Session = context.obj.loud(verbose)
    session.refuse_beam_args("search")
    found = session.run(
        search_run.run, training_config.SearchConfig(data, output, trials, minutes, space, seed)
    )
    import rich

    from triad_ml.pipelines.training.search import results

    rich.print(results.table(found.rows))
    print(found.best)


@app.command(epilog="triad sign model --key key.pem\n\nPrints the signature's path.")
def sign(
    context: typer.Context,
    model: flags.Model,
    key: upkeep_options.PrivateKey,
    verbose: flags.Verbose = False,
) -> None:
    """Sign a model folder with a private key of your own."""
    session: Session = context.obj.loud(verbose)
    session.refuse_beam_args("sign")
    print(session.run(verification_run.sign, verification_config.SignConfig(model, key)))


@app.command(
    epilog="triad verify model --key public.pem"
    "\n\nExits with 10 where the model is not signed, or not as it was when it was signed."
)
def verify(
    context: typer.Context,
    model: flags.Model,
    key: upkeep_options.PublicKey,
    verbose: flags.Verbose = False,
) -> None:
    """Check that a model folder is, byte for byte, what somebody signed."""
    session: Session = context.obj.loud(verbose)
    session.refuse_beam_args("verify")
    session.run(verification_run.verify, verification_config.VerifyConfig(model, key))
    print(f"{model}: is as it was signed")


@app.command(
    name="explain-digest",
    epilog="triad explain-digest model-of-may model-of-june\n\nExits with 10 where a part differs.",
)
def explain_digest(
    context: typer.Context,
    left: upkeep_options.Left,
    right: upkeep_options.Right,
    verbose: flags.Verbose = False,
) -> int:
    """Say which parts of two models, preprocessings or runs are equal, and which differ."""
    session: Session = context.obj.loud(verbose)
    session.refuse_beam_args("explain-digest")
    equal = session.run(
        verification_run.explain_digest, verification_config.ExplainDigestConfig(left, right)
    )
    return 0 if equal else GateError.exit_code


@app.command(
    epilog="triad gc --output scores --keep-days 7 --dry-run"
    "\n\nPrints each thing that is removed, and a summary in JSON as the last line."
)
def gc(
    context: typer.Context,
    output: flags.Output,
    keep_days: upkeep_options.KeepDays = publishing_config.GcConfig.keep_days,
    dry_run: upkeep_options.DryRun = False,
    verbose: flags.Verbose = False,
) -> None:
    """Remove runs that are not published, and what killed processes left."""
    session: Session = context.obj.loud(verbose)
    session.refuse_beam_args("gc")
    from triad_ml.pipelines.publishing import gc as publishing_gc

    print(
        session.run(
            publishing_gc.run, publishing_config.GcConfig(output, keep_days, dry_run)
        ).to_json()
    )


@app.command(
    epilog="triad rollback --output scores --date 2026-11-24"
    "\n\nPrints which run counts now, and its manifest's path as the last line. Exits with 10 where"
    " a file of the run is not what it wrote, 11 where another run was published meanwhile."
)
def rollback(
    context: typer.Context,
    output: flags.Output,
    date: flags.Date,
    to: upkeep_options.RollbackTo = None,
    verbose: flags.Verbose = False,
) -> None:
    """Let an earlier run of a date count again; no run is removed."""
    session: Session = context.obj.loud(verbose)
    session.refuse_beam_args("rollback")
    from triad_ml.pipelines.publishing import rollback as publishing_rollback
    from triad_ml.pipelines.publishing import run_folder

    settings = publishing_config.RollbackConfig(output, date, to)
    manifest = session.run(publishing_rollback.run, settings)
    print(run_folder.RunFolder(output, date, manifest.run_id).manifest)


@app.command(
    epilog="triad doctor --model model --input 'records/*.jsonl' --output scores"
    "\n\nSubmits nothing. Exits with 12 where something would fail; warnings do not count."
    f"\n\n{BEAM}"
)
def doctor(
    context: typer.Context,
    runner: upkeep_options.DoctorsRunner = doctor_config.DoctorConfig.runner,
    spec: upkeep_options.MaybeSpec = None,
    model: upkeep_options.MaybeModel = None,
    inputs: flags.MaybeInputs = None,
    output: upkeep_options.MaybeOutput = None,
    media_roots: flags.MediaRoots = None,
    as_json: upkeep_options.AsJson = False,
    verbose: flags.Verbose = False,
) -> int:
    """Say what would make a run fail, before it is started."""
    session: Session = context.obj.loud(verbose)
    settings = doctor_config.DoctorConfig(
        runner,
        spec,
        model,
        tuple(inputs or ()),
        output,
        as_json,
        session.beam_args,
        tuple(media_roots or ()),
    )
    from triad_ml.pipelines.doctor import run as doctor_run

    return 0 if session.run(doctor_run.run, settings) else OptionsError.exit_code


@spec_app.command(epilog="triad spec check spec.yaml")
def check(context: typer.Context, file: upkeep_options.SpecFile) -> None:
    """Check a spec file, and say what is in it."""
    context.obj.refuse_beam_args("spec check")
    from triad_ml.transforms.spec import loading

    checked = loading.load(file)
    names = ", ".join(checked.modalities.names)
    print(f"{file}: good; modalities: {names}; tasks: {', '.join(checked.tasks)}")


@spec_app.command(epilog="triad spec schema --output spec.schema.json")
def schema(context: typer.Context, output: upkeep_options.SchemaFile = None) -> None:
    """Print the JSON Schema of a spec file, for editors."""
    context.obj.refuse_beam_args("spec schema")
    from triad_ml.pipelines.storage import outputs
    from triad_ml.transforms.spec import loading

    text = json.dumps(loading.schema(), indent=2) + "\n"
    if output is None:
        print(text, end="")
    else:
        outputs.check_file(output, loading.TITLE.encode(), "schema of a spec")
        Path(output).write_text(text, encoding="utf-8")
