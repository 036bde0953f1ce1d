"""The commands that make a model: preprocess, train, search and encoder."""

import typer

from triad_ml.pipelines.cli import flags
from triad_ml.pipelines.cli.session import BEAM, Session, command
from triad_ml.pipelines.preprocessing import run as preprocessing_run
from triad_ml.pipelines.preprocessing.config import PreprocessConfig
from triad_ml.pipelines.training import run
from triad_ml.pipelines.training.config import EncoderConfig, SearchConfig, TrainConfig
from triad_ml.pipelines.training.search import run as search_run

app = typer.Typer()


@command(
    app,
    PreprocessConfig,
    {
        "spec": typer.Option(
            "--spec", metavar="FILE", help="The spec: modalities, features and tasks (YAML)."
        ),
        "runner": flags.RUNNER,
        "shards": typer.Option(
            "--shards", metavar="N", help="Number of files that each split is written to."
        ),
        "keep_canonical": typer.Option(
            "--keep-canonical", help="Keep the canonical records beside the features."
        ),
    },
    panel=flags.PREPARE,
    epilog="triad preprocess --spec spec.yaml --input 'records/*.jsonl' --output prepared"
    f"\n\n{BEAM}",
)
def preprocess(session: Session, config: PreprocessConfig) -> None:
    """Turn records into features, and keep the graph that made them."""
    session.run(preprocessing_run.run, config)


@command(
    app,
    TrainConfig,
    {
        "epochs": typer.Option(
            "--epochs", metavar="N", help="Instead of the spec's training.epochs."
        ),
        "seed": typer.Option("--seed", metavar="N", help="Instead of the spec's training.seed."),
        "batch_size": typer.Option(
            "--batch-size", metavar="N", help="Instead of the spec's training.batch_size."
        ),
        "fresh": typer.Option(
            "--fresh", help="Train anew: throw away the checkpoints and the model in --output."
        ),
        "spec": typer.Option(
            "--spec",
            metavar="FILE",
            help="Take model and training from this spec, such as best.yaml of `triad search`.",
        ),
    },
    panel=flags.PREPARE,
    epilog="triad train --data prepared --output model --seed 1",
)
def train(session: Session, config: TrainConfig) -> None:
    """Train the model and export it, with the feature graph inside."""
    session.run(run.run, config)


@command(
    app,
    SearchConfig,
    {
        "trials": typer.Option(
            "--trials", metavar="N", help="Trials in all, those of earlier calls included."
        ),
        "minutes": typer.Option(
            "--minutes", metavar="M", help="Begin no epoch that would end after M minutes."
        ),
        "space": typer.Option(
            "--space",
            metavar="FILE",
            help="Values to try, by keys of the spec's model and training.",
        ),
        "seed": typer.Option("--seed", metavar="N", help="Decides which values are tried."),
    },
    panel=flags.PREPARE,
    epilog="triad search --data prepared --output search --trials 30 --minutes 60"
    "\n\nThen: triad train --data prepared --spec search/best.yaml --output model"
    "\n\nA search that was interrupted continues with the same command. Prints the best trials, and"
    " the path of the best spec as the last line.",
)
def search(session: Session, config: SearchConfig) -> None:
    """Try settings of model and training, and keep the best as a spec."""
    found = session.run(search_run.run, config)
    import rich

    from triad_ml.pipelines.training.search import results

    rich.print(results.table(found.rows))
    print(found.best)


@command(
    app,
    EncoderConfig,
    {
        "output": typer.Option(
            "--output", metavar="FILE", help="The file that is written; it ends in .weights.h5."
        ),
        "weights": typer.Option(
            "--weights",
            metavar="FILE",
            help="A PyTorch file of EfficientNet-Lite0; by default that in the installed package.",
        ),
    },
    panel=flags.PREPARE,
    epilog="triad encoder --output lite0.weights.h5"
    "\n\nReads a file of PyTorch without running what is in it. Prints the file's SHA-256.",
)
def encoder(session: Session, config: EncoderConfig) -> None:
    """Write the weights of a pretrained image encoder as a file that specs can name."""
    print(session.run(run.encoder, config))
