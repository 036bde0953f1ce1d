"""Commands for spec files: check and schema."""

import json
from pathlib import Path
from typing import Annotated

import typer

from triad_ml.pipelines.cli.session import Session

app = typer.Typer(help="Check a spec, or print its JSON Schema for editors.", no_args_is_help=True)


@app.command(epilog="triad spec check spec.yaml")
def check(
    context: typer.Context,
    file: Annotated[str, typer.Argument(metavar="FILE", help="Spec file (YAML).")],
) -> None:
    """Check a spec file, and print its modalities and tasks."""
    session: Session = context.obj
    session.refuse_beam_args("spec check")
    from triad_ml.transforms.spec import loading

    checked = loading.load(file)
    names = ", ".join(checked.modalities.names)
    print(f"{file}: good; modalities: {names}; tasks: {', '.join(checked.tasks)}")


@app.command(epilog="triad spec schema --output spec.schema.json")
def schema(
    context: typer.Context,
    output: Annotated[
        str | None,
        typer.Option("--output", metavar="FILE", help="File to write; default: stdout."),
    ] = None,
) -> None:
    """Print the JSON Schema of a spec file, for editors."""
    session: Session = context.obj
    session.refuse_beam_args("spec schema")
    from triad_ml.pipelines.storage import outputs
    from triad_ml.transforms.spec import loading

    text = json.dumps(loading.schema(), indent=2) + "\n"
    if output is None:
        print(text, end="")
    else:
        outputs.check_file(output, loading.TITLE.encode(), "schema of a spec")
        Path(output).write_text(text, encoding="utf-8")
