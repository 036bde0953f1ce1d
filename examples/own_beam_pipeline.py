"""Scoring as a step of a user's own Beam pipeline.

Run as `python examples/own_beam_pipeline.py --model model --input 'records/*.jsonl' --output out`.
Arguments after `--`, such as a runner, are passed to Beam. Rows may come from any other source: a
dict, `beam.Row` or named tuple with the fields `id`, `image`, `audio` and `text` is a record.
"""

import argparse
import json
import os
import sys
from collections.abc import Sequence
from typing import Any

import apache_beam as beam
from apache_beam.options.pipeline_options import PipelineOptions

import triad_ml

RUNNER = "FnApiRunner"
"""Beam's runner in this process; Beam's default runner may download a program instead."""


def define_pipeline(root: beam.Pipeline, model: str, pattern: str, output: str) -> None:
    """Adds read, filter, score and write to `root`; runs nothing.

    Args:
        root: Pipeline to which the steps are added.
        model: Folder of the model.
        pattern: Pattern of JSON Lines files; their media are in the same folder.
        output: Folder for the results.
    """
    rows = root | "Read" >> beam.io.ReadFromText(pattern) | "Parse" >> beam.Map(json.loads)
    kept = rows | "OwnStep" >> beam.Filter(lambda row: row.get("source") != "test bench")
    scores = kept | triad_ml.Score.from_model(model, media_roots=[os.path.dirname(pattern)])
    scored = scores.scored | "Scores" >> beam.Map(as_line)
    rejected = scores.rejected | "Reasons" >> beam.Map(as_line)
    _ = scored | "WriteScores" >> beam.io.WriteToText(f"{output}/scored", ".jsonl")
    _ = rejected | "WriteRejected" >> beam.io.WriteToText(f"{output}/rejected", ".jsonl")


def as_line(row: Any) -> str:
    """Returns a row with its nested rows as one line of JSON."""
    return json.dumps(plain(row))


def plain(value: Any) -> Any:
    """Returns a value in which each row, nested ones too, is a dict."""
    if isinstance(value, list):
        return [plain(part) for part in value]
    if not hasattr(value, "_asdict"):
        return value
    return {name: plain(part) for name, part in value._asdict().items()}


def main(argv: Sequence[str]) -> None:
    parser = argparse.ArgumentParser(description=str(__doc__).splitlines()[0])
    parser.add_argument("--model", required=True)
    parser.add_argument("--input", required=True)
    parser.add_argument("--output", required=True)
    args, beam_args = parser.parse_known_args(argv)
    options = PipelineOptions([f"--runner={RUNNER}", *(arg for arg in beam_args if arg != "--")])
    with beam.Pipeline(options=options) as root:
        define_pipeline(root, args.model, args.input, args.output)


if __name__ == "__main__":
    main(sys.argv[1:])
