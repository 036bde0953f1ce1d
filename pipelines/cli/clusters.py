"""Commands `triad flink` and `triad kafka`: a Flink cluster and a Kafka broker on this machine.

Each use case is imported when its command runs, so that `--help` does not wait for its imports.
"""

from collections.abc import Iterable
from pathlib import Path
from typing import Annotated

import typer

from triad_ml.pipelines.cli import flags
from triad_ml.pipelines.cli.session import Session
from triad_ml.pipelines.runtime.checks import at_least, need
from triad_ml.transforms.errors import OptionsError

app = typer.Typer()
flink_app = typer.Typer(
    help="Flink cluster on this machine, for --runner flink.", no_args_is_help=True
)
app.add_typer(flink_app, name="flink", rich_help_panel=flags.TRY)
kafka_app = typer.Typer(
    help="Kafka broker on this machine, for trying out streams.", no_args_is_help=True
)
app.add_typer(kafka_app, name="kafka", rich_help_panel=flags.TRY)

FlinkFolder = Annotated[
    str | None,
    typer.Option(
        "--folder",
        metavar="DIR",
        help="Folder of the cluster's state and logs; default: the user's cache.",
    ),
]
KafkaFolder = Annotated[
    str | None,
    typer.Option(
        "--folder",
        metavar="DIR",
        help="Folder of the broker's messages and log; default: the user's cache.",
    ),
]
Dashboard = Annotated[
    str | None,
    typer.Option(
        "--dashboard", metavar="URL", help="Dashboard of a cluster that triad did not start."
    ),
]
Job = Annotated[str, typer.Argument(metavar="JOB", help="Name or id of the job.")]


@flink_app.command(
    epilog="triad flink up\n\nRequirements: Java 17; Maven and javac the first time."
)
def up(
    context: typer.Context,
    folder: FlinkFolder = None,
    free_ports: Annotated[bool, typer.Option("--free-ports", help="Choose free ports.")] = False,
) -> None:
    """Start the parts of the cluster that do not run yet, and wait until each part answers."""
    session = _session(context, "flink", folder)
    from triad_ml.pipelines.runners.flink import cluster

    _print(session.run(cluster.up, _flink_folder(folder), free_ports).described())


@flink_app.command(epilog="triad flink status")
def status(context: typer.Context, folder: FlinkFolder = None) -> None:
    """Print which parts of the cluster run, and their addresses."""
    session = _session(context, "flink", folder)
    from triad_ml.pipelines.runners.flink import cluster

    found = session.run(cluster.read, _flink_folder(folder))
    _print(["nothing runs"] if found is None else found.described())


@flink_app.command(epilog="triad flink down")
def down(context: typer.Context, folder: FlinkFolder = None) -> None:
    """Stop the parts that `triad flink up` started, and nothing else."""
    session = _session(context, "flink", folder)
    from triad_ml.pipelines.runners.flink import cluster

    stopped = session.run(cluster.down, _flink_folder(folder))
    _print([f"{part}: stopped" for part in stopped] or ["nothing runs"])


@flink_app.command(epilog="triad flink jobs")
def jobs(context: typer.Context, folder: FlinkFolder = None, dashboard: Dashboard = None) -> None:
    """List the jobs: id, state and name."""
    session = _session(context, "flink", folder)
    from triad_ml.pipelines.runners.flink import rest

    found = session.run(rest.jobs, _dashboard(folder, dashboard))
    _print([f"{job.id}  {job.state:10}  {job.name}" for job in found] or ["no jobs"])


@flink_app.command(
    epilog="triad flink cancel triad-stream-1f2e3d4c5b6a"
    "\n\nContinue with triad stream --from-checkpoint latest."
)
def cancel(
    context: typer.Context, job: Job, folder: FlinkFolder = None, dashboard: Dashboard = None
) -> None:
    """End a job at once; the last checkpoint of a stream is kept."""
    session = _session(context, "flink", folder)
    from triad_ml.pipelines.runners.flink import rest

    ended = session.run(rest.cancel, _dashboard(folder, dashboard), job)
    _print([f"{ended.name}: {ended.state}"])


@flink_app.command(
    epilog="triad flink drain triad-stream-1f2e3d4c5b6a --state state"
    "\n\nContinue with triad stream --from-checkpoint latest."
)
def drain(
    context: typer.Context,
    job: Job,
    state: Annotated[
        str,
        typer.Option(
            "--state", metavar="DIR", help="Folder of the stream's --state, for the savepoint."
        ),
    ],
    folder: FlinkFolder = None,
    dashboard: Dashboard = None,
) -> None:
    """End a stream once all that it has read is written; its state keeps a savepoint."""
    session = _session(context, "flink", folder)
    from triad_ml.pipelines.runners.flink import rest

    uri = Path(state).absolute().as_uri()
    ended, savepoint = session.run(rest.drain, _dashboard(folder, dashboard), job, uri)
    _print([f"{ended.name}: {ended.state}", f"savepoint: {savepoint}"])


@kafka_app.command("up", epilog="triad kafka up\n\nRequirements: Java 17; Maven the first time.")
def kafka_up(
    context: typer.Context,
    folder: KafkaFolder = None,
    free_port: Annotated[bool, typer.Option("--free-port", help="Choose a free port.")] = False,
) -> None:
    """Start the broker if it does not run yet, and wait until it answers."""
    session = _session(context, "kafka", folder)
    from triad_ml.pipelines.streaming.kafka import dev_broker

    _print(session.run(dev_broker.up, _kafka_folder(folder), free_port).described())


@kafka_app.command("status", epilog="triad kafka status")
def kafka_status(context: typer.Context, folder: KafkaFolder = None) -> None:
    """Print the broker's address if it runs."""
    session = _session(context, "kafka", folder)
    from triad_ml.pipelines.streaming.kafka import dev_broker

    broker = session.run(dev_broker.read, _kafka_folder(folder))
    _print(["nothing runs"] if broker is None else broker.described())


@kafka_app.command("down", epilog="triad kafka down")
def kafka_down(context: typer.Context, folder: KafkaFolder = None) -> None:
    """Stop the broker; topics and messages are kept."""
    session = _session(context, "kafka", folder)
    from triad_ml.pipelines.streaming.kafka import dev_broker

    stopped = session.run(dev_broker.down, _kafka_folder(folder))
    _print(["broker: stopped" if stopped else "nothing runs"])


@kafka_app.command("topic", epilog="triad kafka topic scores --compacted")
def kafka_topic(
    context: typer.Context,
    topic: Annotated[str, typer.Argument(metavar="TOPIC", help="Name of the topic.")],
    folder: KafkaFolder = None,
    partitions: Annotated[
        int,
        typer.Option(
            "--partitions", metavar="N", help="Number of partitions; each can be read in parallel."
        ),
    ] = 1,
    compacted: Annotated[
        bool,
        typer.Option("--compacted", help="Keep only the last message of each key, as for scores."),
    ] = False,
) -> None:
    """Create a topic, and print its address."""
    session = _session(context, "kafka", folder)
    at_least("--partitions", partitions, 1)
    from triad_ml.pipelines.streaming.kafka import dev_broker

    broker = session.run(dev_broker.read, _kafka_folder(folder))
    if broker is None:
        raise OptionsError("triad kafka topic: no broker was started; triad kafka up starts one")
    policy = {"cleanup.policy": "compact"} if compacted else {}
    session.run(dev_broker.create_topic, broker, topic, partitions, policy)
    _print([f"kafka://{broker.servers}/{topic}"])


def _session(context: typer.Context, command: str, folder: str | None) -> Session:
    """Returns the session after the checks that all commands of this module share."""
    session: Session = context.obj
    session.refuse_beam_args(command)
    if folder is not None:
        need("--folder", folder)
    return session


def _flink_folder(folder: str | None) -> Path:
    from triad_ml.pipelines.runners.flink import cluster

    return Path(folder).absolute() if folder else cluster.default_folder()


def _kafka_folder(folder: str | None) -> Path:
    from triad_ml.pipelines.streaming.kafka import dev_broker

    return Path(folder).absolute() if folder else dev_broker.default_folder()


def _dashboard(folder: str | None, dashboard: str | None) -> str:
    """Returns the dashboard that is named, else that of the cluster in the folder."""
    if dashboard:
        return dashboard
    from triad_ml.pipelines.runners.flink import cluster

    found = cluster.read(_flink_folder(folder))
    if found is None:
        raise OptionsError("--dashboard: no cluster was started here; name the dashboard of one")
    return found.dashboard


def _print(lines: Iterable[str]) -> None:
    print("\n".join(lines))
