"""Commands of streams: score as records arrive, replay what was rejected, release a model."""

import typer

from triad_ml.pipelines import stream_options
from triad_ml.pipelines.cli import flags
from triad_ml.pipelines.cli.session import Session
from triad_ml.pipelines.streaming import config as streaming_config
from triad_ml.pipelines.streaming import run as streaming_run
from triad_ml.pipelines.verification import config as verification_config
from triad_ml.pipelines.verification import run as verification_run

app = typer.Typer()
_DEFAULT = streaming_config.StreamConfig


@app.command(
    epilog="triad stream --model model --source incoming --sink scores"
    "\n\nSIGTERM and Ctrl-C end it after the batch in hand, with 0."
)
def stream(
    context: typer.Context,
    model: flags.ModelFolder,
    source: stream_options.Source,
    sink: stream_options.Sink,
    rejected: stream_options.RejectedTopic = None,
    state: stream_options.StateFolder = None,
    group: stream_options.Group = _DEFAULT.group,
    message_format: stream_options.MessageKind = _DEFAULT.message_format,
    message_bytes: stream_options.MessageBytes = _DEFAULT.message_bytes,
    media_files: stream_options.MediaFiles = False,
    scores_format: flags.Format = _DEFAULT.format,
    window: stream_options.Window = _DEFAULT.window,
    batch_records: stream_options.BatchRecords = _DEFAULT.batch_records,
    batch_bytes: stream_options.BatchBytes = _DEFAULT.batch_bytes,
    batch_seconds: stream_options.BatchSeconds = _DEFAULT.batch_seconds,
    poll_seconds: stream_options.PollSeconds = _DEFAULT.poll_seconds,
    media_roots: flags.MediaRoots = None,
    until_empty: stream_options.UntilEmpty = False,
    verify_key: flags.VerifyKey = None,
    message_schema: stream_options.MessageSchema = None,
    message_schema_id: stream_options.MessageSchemaId = None,
    kafka_config: stream_options.KafkaConfig = None,
    golden: stream_options.Golden = None,
    metrics: stream_options.Metrics = None,
    runner: stream_options.StreamRunner = _DEFAULT.runner,
    no_wait: stream_options.NoWaitForStream = False,
    from_checkpoint: stream_options.FromCheckpoint = None,
    checkpoint_seconds: stream_options.CheckpointSeconds = _DEFAULT.checkpoint_seconds,
    prism: stream_options.Prism = None,
    shards: stream_options.WindowShards = _DEFAULT.shards,
    id_attribute: stream_options.IdAttribute = None,
    time_attribute: stream_options.TimeAttribute = None,
    verbose: flags.Verbose = False,
) -> None:
    """Score records as they arrive, in micro-batches: at least once, to the same places."""
    session: Session = context.obj.loud(verbose)
    settings = streaming_config.StreamConfig(
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
        batch_bytes=batch_bytes,
        batch_seconds=batch_seconds,
        poll_seconds=poll_seconds,
        media_roots=tuple(media_roots or ()),
        until_empty=until_empty,
        verify_key=verify_key,
        message_schema=message_schema,
        message_schema_id=message_schema_id,
        kafka_config=kafka_config,
        golden=golden,
        metrics=metrics,
        runner=runner,
        no_wait=no_wait,
        from_checkpoint=from_checkpoint,
        checkpoint_seconds=checkpoint_seconds,
        beam_args=session.beam_args,
        prism=prism,
        shards=shards,
        id_attribute=id_attribute,
        time_attribute=time_attribute,
    )
    session.run(streaming_run.run, settings)


@app.command(
    epilog="triad replay --model model --source kafka://HOST:PORT/clips"
    " --from kafka://HOST:PORT/rejected --sink again"
    "\n\nA second start replays only what was rejected since; another --group begins anew."
)
def replay(
    context: typer.Context,
    model: flags.ModelFolder,
    source: stream_options.Source,
    rows: stream_options.ReplayFrom,
    sink: stream_options.Sink,
    rejected: stream_options.RejectedTopic = None,
    group: stream_options.ReplayGroup = streaming_config.REPLAY_GROUP,
    message_format: stream_options.MessageKind = _DEFAULT.message_format,
    message_bytes: stream_options.MessageBytes = _DEFAULT.message_bytes,
    scores_format: flags.Format = _DEFAULT.format,
    window: stream_options.Window = _DEFAULT.window,
    batch_records: stream_options.BatchRecords = _DEFAULT.batch_records,
    media_roots: flags.MediaRoots = None,
    verify_key: flags.VerifyKey = None,
    message_schema: stream_options.MessageSchema = None,
    message_schema_id: stream_options.MessageSchemaId = None,
    kafka_config: stream_options.KafkaConfig = None,
    verbose: flags.Verbose = False,
) -> None:
    """Score again the messages that a topic of rejected records names, then end."""
    session: Session = context.obj.loud(verbose)
    session.refuse_beam_args("replay")
    settings = streaming_config.StreamConfig(
        model=model,
        source=source,
        sink=sink,
        rejected=rejected,
        group=group,
        message_format=message_format,
        message_bytes=message_bytes,
        format=scores_format,
        window=window,
        batch_records=batch_records,
        media_roots=tuple(media_roots or ()),
        until_empty=True,
        verify_key=verify_key,
        message_schema=message_schema,
        message_schema_id=message_schema_id,
        kafka_config=kafka_config,
        replay_from=rows,
    )
    session.run(streaming_run.run, settings)


@app.command(
    epilog="triad release models/may --golden golden.jsonl"
    "\n\nExits with 10 where the model is refused: models/CURRENT stays as it is."
)
def release(
    context: typer.Context,
    model: flags.Model,
    golden: stream_options.Golden = None,
    verify_key: flags.VerifyKey = None,
    media_roots: flags.MediaRoots = None,
    verbose: flags.Verbose = False,
) -> None:
    """Check a model, and let CURRENT beside it name it: streams and nights take it."""
    session: Session = context.obj.loud(verbose)
    session.refuse_beam_args("release")
    settings = verification_config.ReleaseConfig(
        model, golden, verify_key, tuple(media_roots or ())
    )
    print(session.run(verification_run.release, settings))
