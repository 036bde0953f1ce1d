"""Every flag of the commands of clusters on this machine, once."""

from typing import Annotated

import typer

FlinkFolder = Annotated[
    str | None,
    typer.Option("--folder", metavar="DIR", help="State and logs; else the user's cache."),
]
Dashboard = Annotated[
    str | None,
    typer.Option("--dashboard", metavar="URL", help="Of a cluster that triad did not start."),
]
FlinkJob = Annotated[str, typer.Argument(metavar="JOB", help="The job's name or id.")]
StreamState = Annotated[
    str, typer.Option("--state", metavar="DIR", help="The stream's --state, for the savepoint.")
]
KafkaFolder = Annotated[
    str | None,
    typer.Option("--folder", metavar="DIR", help="Messages and log; else the user's cache."),
]
FreePort = Annotated[bool, typer.Option("--free-port", help="Choose a port that is free.")]
Topic = Annotated[str, typer.Argument(metavar="TOPIC", help="The topic's name.")]
Partitions = Annotated[
    int, typer.Option("--partitions", metavar="N", help="Parts that are read side by side.")
]
Compacted = Annotated[
    bool, typer.Option("--compacted", help="Keep one message for each key, as for scores.")
]
FreePorts = Annotated[bool, typer.Option("--free-ports", help="Choose ports that are free.")]
