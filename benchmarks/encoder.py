"""Options of benchmarks that use a pretrained encoder of texts."""

import argparse
from collections.abc import Mapping
from pathlib import Path
from typing import Any

Specs = Mapping[str, Mapping[str, Any]]


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Adds the options that name the encoder."""
    parser.add_argument("--text-encoder", help="family of a pretrained text encoder, such as bert")
    parser.add_argument("--text-weights", type=Path, help="folder of Hugging Face Transformers")
    parser.add_argument(
        "--text-freeze", action="store_true", help="run the encoder in preprocessing; no training"
    )


def specs(plain: Specs, encoded: Specs, arguments: argparse.Namespace) -> Specs:
    """Returns the specs of a benchmark by task, with the encoder that the options name.

    Args:
        plain: Specs without an encoder, by task.
        encoded: Sections of the specs that differ with an encoder, by task; without the tasks that
            are not measured with one.
        arguments: Parsed options.
    """
    if arguments.text_encoder is None:
        return plain
    keys = {
        "text_encoder": arguments.text_encoder,
        "text_weights": str(arguments.text_weights.absolute()),
    }
    if arguments.text_freeze:
        keys["text_freeze"] = True
    return {
        task: {**plain[task], **sections, "model": {**sections["model"], **keys}}
        for task, sections in encoded.items()
    }
