"""Generated pages of the site: command line, keys of the spec, exit codes, columns, Python API.

MkDocs loads this file as a hook. Every page is made from the code itself at each build, so a page
cannot differ from the code.
"""

import inspect
import json
import re
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import typer
import typer.cli
from mkdocs.config.defaults import MkDocsConfig
from mkdocs.structure.files import File, Files

import triad_ml
from triad_ml.pipelines.cli.main import app
from triad_ml.transforms import errors
from triad_ml.transforms.records import columns
from triad_ml.transforms.spec import loading, tasks

Schema = Mapping[str, Any]

GENERATED = "*This page is generated from the code at each build.*\n\n"
COLUMNS = {
    "id": "Id of the record, as a text.",
    "id_int": "The same id as int64, if it is one in plain decimal digits; else null.",
    "modalities_used": "Modalities that the model has seen: a list of `image`, `audio`, `text`.",
    "issues": "Flaws of media that were not used, such as `image: truncated`.",
    "content_digest": "Digest of the scored canonical content.",
    "model_digest": "Digest of the model.",
    "transform_digest": "Digest of the feature graph inside the model.",
    "spec_digest": "Digest of the spec.",
    "code_digest": "Digest of the code.",
    "code_version": "Version of Triad.",
    "source": "Address of the records file, with the byte or row.",
    "stage": "Step that rejected the record: `read`, `canonicalize`, `score` or `publish`.",
    "reason": "Reason from a [closed list](../runbooks/night.md#reasons).",
    "detail": "Details of the reason; never the payload.",
    "payload_digest": "Digest of the payload, by which the record can be found in its source.",
}
"""Descriptions of the columns; the build fails if a column has none."""

MODULES = (
    "triad_ml.transforms.errors",
    "triad_ml.transforms.records.values",
    "triad_ml.transforms.spec.spec",
    "triad_ml.model.serving.scorer",
)
"""Modules whose docstrings are shown as long as `triad_ml` itself names no public objects."""


def on_files(files: Files, config: MkDocsConfig) -> Files:
    """Adds the generated pages, and the JSON Schema itself."""
    pages = {
        "reference/cli.md": command_line(),
        "reference/spec-keys.md": spec_keys(loading.schema()),
        "reference/spec.schema.json": json.dumps(loading.schema(), indent=2) + "\n",
        "reference/score-columns.md": score_columns(),
        "reference/exit-codes.md": exit_codes(),
        "reference/api.md": api(),
    }
    for address, content in pages.items():
        files.append(File.generated(config, address, content=content))
    return files


def command_line() -> str:
    """Writes the page of all commands and flags with typer's own generator."""
    command = typer.main.get_command(app)
    context = typer.Context(command, info_name="triad")
    text = typer.cli.get_docs_for_click(obj=command, ctx=context, name="triad")
    text = re.sub(r"^# `triad`\n", "# Command line\n\n" + GENERATED, text)
    text = re.sub(r"^(#+) `(triad [^`]+)`$", r"\1 \2", text, flags=re.MULTILINE)
    return re.sub(r"^(triad .*)$", r"```console\n$ \1\n```", text, flags=re.MULTILINE)


def spec_keys(schema: Schema) -> str:
    """Writes one table for each section of the spec, from the JSON Schema."""
    lines = [
        "# Spec keys",
        "",
        GENERATED
        + "Editors complete and check a spec with the [JSON Schema](spec.schema.json), which"
        " `triad spec schema` prints too. [The spec](spec.md) explains the keys.",
        "",
    ]
    for name, section in _sections(schema):
        lines += [f"## {_title(name, section)}", "", _summary(section), ""]
        lines += ["| key | values | default | description |", "|---|---|---|---|"]
        descriptions = dict(_attributes(section))
        if "kind" in section["properties"]:  # the schema of a kind lacks the docstring of its base
            base = {"description": inspect.getdoc(tasks.BaseTask)}
            descriptions = dict(_attributes(base)) | descriptions
        required = section.get("required", ())
        for key, value in section["properties"].items():
            default = "required" if key in required else f"`{json.dumps(value.get('default'))}`"
            cells = (f"`{name}.{key}`", _values(value, schema), default, descriptions.get(key, ""))
            lines.append(f"| {' | '.join(cells)} |")
        lines.append("")
    return "\n".join(lines)


def _sections(schema: Schema) -> Iterator[tuple[str, Schema]]:
    """Yields the address and the object schema of each section, in the order of the spec."""
    for name, value in schema["properties"].items():
        for section in _objects(value, schema):
            inner = {key: _objects(one, schema) for key, one in section["properties"].items()}
            if any(inner.values()):
                if not all(inner.values()):  # keys of its own, beside those of inner sections
                    yield name, section
                for key, parts in inner.items():
                    for part in parts:
                        yield f"{name}.{key}", part
            else:
                yield ("tasks.NAME" if name == "tasks" else name), section


def _objects(value: Schema, schema: Schema) -> list[Schema]:
    """Lists the schemas of objects with named keys that a value is, refers to, or maps names to."""
    found = []
    for one in (value, *value.get("anyOf", ()), *value.get("oneOf", ())):
        if "$ref" in one:
            definition = schema["$defs"][one["$ref"].rsplit("/", 1)[1]]
            found += [definition] if "properties" in definition else []
        if isinstance(one.get("additionalProperties"), Mapping):
            found += _objects(one["additionalProperties"], schema)
    return found


def _title(name: str, section: Schema) -> str:
    """Returns the heading of a section, with the kind if there are sections of several kinds."""
    kind = section["properties"].get("kind", {}).get("const")
    return f"{name}, kind {kind}" if kind else name


def _summary(section: Schema) -> str:
    return str(section.get("description", "")).split("\n\n")[0].replace("\n", " ")


def _attributes(section: Schema) -> Iterator[tuple[str, str]]:
    """Yields name and description of each entry below `Attributes:` in a section's docstring."""
    _, _, told = str(section.get("description", "")).partition("Attributes:\n")
    for name, text in re.findall(r"^ {4}(\w+): (.*(?:\n {6,}.*)*)", told, flags=re.MULTILINE):
        yield name, re.sub(r"\s+", " ", text).replace("|", "\\|")


def _values(value: Schema, schema: Schema) -> str:
    """Describes the values that a key accepts."""
    if "enum" in value:
        return ", ".join(f"`{json.dumps(one)}`" for one in value["enum"])
    if "const" in value:
        return f"`{json.dumps(value['const'])}`"
    if "$ref" in value:
        return _values(schema["$defs"][value["$ref"].rsplit("/", 1)[1]], schema)
    several = value.get("anyOf") or value.get("oneOf")
    if several:
        return " or ".join(dict.fromkeys(_values(one, schema) for one in several))
    kind = str(value.get("type", "any value"))
    if kind == "array":
        return f"list of {_values(value.get('items', {}), schema)}"
    low = value.get("minimum", value.get("exclusiveMinimum"))
    high = value.get("maximum", value.get("exclusiveMaximum"))
    bounds = [
        f"{'over' if 'exclusiveMinimum' in value else 'from'} {low}" if low is not None else "",
        f"{'below' if 'exclusiveMaximum' in value else 'to'} {high}" if high is not None else "",
    ]
    return " ".join([kind, *filter(None, bounds)])


def score_columns() -> str:
    """Writes the tables of the columns that Triad itself publishes."""
    lines = [
        "# Score columns",
        "",
        GENERATED + "Scores have one further [column for each task](columns.md#columns-of-tasks),"
        " and the [passthrough columns](columns.md#passthrough-columns-by-type) of the caller.",
    ]
    for title, names in (("Scores", columns.SCORES), ("Rejected records", columns.REJECTED)):
        lines += ["", f"## {title}", "", "| column | holds |", "|---|---|"]
        lines += [f"| `{name}` | {COLUMNS[name]} |" for name in names]
    return "\n".join(lines) + "\n"


def exit_codes() -> str:
    """Writes the page of exit codes from the error classes."""
    lines = [
        "# Exit codes",
        "",
        GENERATED + "A command ends with one of these codes and, for each error below, one line on"
        " stderr with the value, the rule and the remedy."
        " [The runbook](../runbooks/night.md#by-exit-code) has the remedy for each.",
        "",
        "| code | error | meaning |",
        "|---|---|---|",
        "| 0 | - | The command did its work, or found it done already. |",
    ]
    kinds = [one for one in vars(errors).values() if isinstance(one, type)]
    for kind in sorted(kinds, key=lambda one: one.exit_code):
        if kind is not errors.TriadError:
            lines.append(f"| {kind.exit_code} | `{kind.__name__}` | {kind.__doc__} |")
    lines += [
        "| 130 | - | Ctrl-C; the same command continues the work. |",
        "| 1 | - | A bug: a traceback follows. |",
    ]
    return "\n".join(lines) + "\n"


def api() -> str:
    """Writes the directives from which mkdocstrings makes the page of the Python API."""
    public: Sequence[str] = getattr(triad_ml, "__all__", ())
    shown = [f"triad_ml.{name}" for name in public] or list(MODULES)
    text = f"# Python API\n\n{GENERATED}"
    return text + "".join(f"::: {address}\n\n" for address in shown)
