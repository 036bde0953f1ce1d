"""Benchmark of serving with a pretrained encoder of texts, and the options that name an encoder.

    python -m benchmarks.encoder --model MODEL --texts SENTENCES.jsonl.gz [--count 480]

The texts go through the SavedModel in batches of 48, twice; the second time counts. The measure is
CPU time of all threads. The other inputs of the model are empty.
"""

import argparse
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from benchmarks import pieces
from triad_ml.pipelines.runtime import environment

Specs = Mapping[str, Mapping[str, Any]]


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Adds the options that name the encoder."""
    parser.add_argument("--text-encoder", help="family of a pretrained text encoder, such as bert")
    parser.add_argument("--text-weights", type=Path, help="folder of Hugging Face Transformers")
    parser.add_argument(
        "--text-freeze", action="store_true", help="run the encoder in preprocessing; no training"
    )
    parser.add_argument(
        "--bfloat16",
        action="store_true",
        help="multiply in bfloat16, which is faster where the processor can; not Triad's default",
    )


def prepare(arguments: argparse.Namespace) -> None:
    """Prepares the process as the options of `add_arguments` ask for."""
    environment.prepare()
    if arguments.bfloat16:
        import tensorflow as tf

        tf.config.optimizer.set_experimental_options({"auto_mixed_precision_onednn_bfloat16": True})


def main() -> None:
    """Measures the serving signature, and prints one line."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    parser.add_argument("--model", type=Path, required=True)
    parser.add_argument("--texts", type=Path, required=True, help="JSON lines with text or tokens")
    parser.add_argument("--count", type=int, default=480)
    arguments = parser.parse_args()
    texts = pieces.read(arguments.texts, arguments.count)

    import tensorflow as tf

    folder = arguments.model / "saved_model"
    began = time.process_time()
    loaded = tf.saved_model.load(str(folder))
    started = time.process_time() - began
    serve, features = loaded.signatures["serving_default"], loaded.signatures["features"]
    batches = []
    for first in range(0, len(texts), pieces.BATCH):
        given = texts[first : first + pieces.BATCH]
        batches.append({name: tf.constant(given) for name in ("text",)})
        for name, one in serve.structured_input_signature[1].items():
            if name not in batches[-1]:
                empty = tf.zeros([len(given), *one.shape[1:]], one.dtype)
                batches[-1][name] = empty if one.dtype == tf.string else empty - 1
    counts = []
    for batch in batches:
        serve(**batch)
        ids = features(**batch).get("text_pieces")
        counts += (
            [] if ids is None else tf.reduce_sum(tf.cast(ids >= 0, tf.int32), 1).numpy().tolist()
        )
    began = time.process_time()
    for batch in batches:
        serve(**batch)
    spent = 1000 * (time.process_time() - began) / len(texts)
    size = sum(path.stat().st_size for path in folder.rglob("*") if path.is_file()) / 2**20
    mean = f"{sum(counts) / len(counts):.1f} pieces, " if counts else ""
    print(
        f"{len(texts)} texts: {mean}{spent:.1f} CPU-ms a text; SavedModel {size:.0f} MiB, "
        f"loaded in {started:.1f} CPU-s"
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


if __name__ == "__main__":
    main()
