"""Scores rows inside a Beam pipeline of one's own.

Run as `python examples/own_beam_pipeline.py --model model --input 'records/*.jsonl' --output out`.
What stands after `--` goes to Beam, such as a runner. The rows could come from any other source: a
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
"""Beam's runner in this process. Its default may look for a program on the network instead."""


def define_pipeline(root: beam.Pipeline, model: str, pattern: str, output: str) -> None:
    """Adds read, filter, score and write to `root`; runs nothing.

    Args:
        root: Where to add.
        model: Model folder.
        pattern: JSON Lines files; media lie beside them.
        output: Folder of the results.
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
    given, beam_args = parser.parse_known_args(argv)
    options = PipelineOptions([f"--runner={RUNNER}", *(one for one in beam_args if one != "--")])
    with beam.Pipeline(options=options) as root:
        define_pipeline(root, given.model, given.input, given.output)


if __name__ == "__main__":
    main(sys.argv[1:])
