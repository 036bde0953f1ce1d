"""Commands of what runs on this machine for trying: a Flink cluster, a Kafka broker."""

import typer

from triad_ml.pipelines import cluster_config, cluster_options
from triad_ml.pipelines.cli.session import Call

app = typer.Typer()
flink_app = typer.Typer(
    help="A Flink cluster on this machine, for --runner flink.", no_args_is_help=True
)
app.add_typer(flink_app, name="flink")
kafka_app = typer.Typer(
    help="A Kafka broker on this machine, for trying streams.", no_args_is_help=True
)
app.add_typer(kafka_app, name="kafka")


@flink_app.command(epilog="triad flink up\n\nNeeds Java 17, and Maven and javac the first time.")
def up(
    context: typer.Context,
    folder: cluster_options.FlinkFolder = None,
    free_ports: cluster_options.FreePorts = False,
) -> None:
    """Start what does not run yet, and wait until each part answers."""
    _flink(context, cluster_config.FlinkConfig("up", folder, free_ports))


@flink_app.command(epilog="triad flink status")
def status(context: typer.Context, folder: cluster_options.FlinkFolder = None) -> None:
    """Say which parts run, and where."""
    _flink(context, cluster_config.FlinkConfig("status", folder))


@flink_app.command(epilog="triad flink down")
def down(context: typer.Context, folder: cluster_options.FlinkFolder = None) -> None:
    """Stop exactly what was started."""
    _flink(context, cluster_config.FlinkConfig("down", folder))


@flink_app.command(epilog="triad flink jobs")
def jobs(
    context: typer.Context,
    folder: cluster_options.FlinkFolder = None,
    dashboard: cluster_options.Dashboard = None,
) -> None:
    """List jobs: id, state and name."""
    _flink(context, cluster_config.FlinkConfig("jobs", folder, dashboard=dashboard))


@flink_app.command(
    epilog="triad flink cancel triad-stream-1f2e3d4c5b6a"
    "\n\nGo on with triad stream --from-checkpoint latest."
)
def cancel(
    context: typer.Context,
    job: cluster_options.FlinkJob,
    folder: cluster_options.FlinkFolder = None,
    dashboard: cluster_options.Dashboard = None,
) -> None:
    """End a job as it is; the last checkpoint of a stream stays."""
    _flink(context, cluster_config.FlinkConfig("cancel", folder, dashboard=dashboard, job=job))


@flink_app.command(
    epilog="triad flink drain triad-stream-1f2e3d4c5b6a --state state"
    "\n\nGo on with triad stream --from-checkpoint latest."
)
def drain(
    context: typer.Context,
    job: cluster_options.FlinkJob,
    state: cluster_options.StreamState,
    folder: cluster_options.FlinkFolder = None,
    dashboard: cluster_options.Dashboard = None,
) -> None:
    """End a stream once all that it has read is written; what a restart needs is in its state."""
    settings = cluster_config.FlinkConfig(
        "drain", folder, dashboard=dashboard, job=job, state=state
    )
    _flink(context, settings)


def _flink(context: typer.Context, settings: cluster_config.FlinkConfig) -> None:
    call: Call = context.obj
    call.refuse_beam_args("flink")
    print("\n".join(call.run(settings, verbose=False)))


@kafka_app.command("up", epilog="triad kafka up\n\nNeeds Java 17, and Maven the first time.")
def kafka_up(
    context: typer.Context,
    folder: cluster_options.KafkaFolder = None,
    free_port: cluster_options.FreePort = False,
) -> None:
    """Start it where it does not run yet, and wait until it answers."""
    _kafka(context, cluster_config.KafkaConfig("up", folder, free_port))


@kafka_app.command("status", epilog="triad kafka status")
def kafka_status(context: typer.Context, folder: cluster_options.KafkaFolder = None) -> None:
    """Say whether it runs, and where."""
    _kafka(context, cluster_config.KafkaConfig("status", folder))


@kafka_app.command("down", epilog="triad kafka down")
def kafka_down(context: typer.Context, folder: cluster_options.KafkaFolder = None) -> None:
    """Stop it; topics and messages stay."""
    _kafka(context, cluster_config.KafkaConfig("down", folder))


@kafka_app.command("topic", epilog="triad kafka topic scores --compacted")
def kafka_topic(
    context: typer.Context,
    topic: cluster_options.Topic,
    folder: cluster_options.KafkaFolder = None,
    partitions: cluster_options.Partitions = cluster_config.KafkaConfig.partitions,
    compacted: cluster_options.Compacted = False,
) -> None:
    """Make a topic, and print its address."""
    settings = cluster_config.KafkaConfig(
        "topic", folder, topic=topic, partitions=partitions, compacted=compacted
    )
    _kafka(context, settings)


def _kafka(context: typer.Context, settings: cluster_config.KafkaConfig) -> None:
    call: Call = context.obj
    call.refuse_beam_args("kafka")
    print("\n".join(call.run(settings, verbose=False)))
