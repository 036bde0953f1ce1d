"""Benchmark of tokenizers as graphs, as a ratio to Hugging Face `tokenizers`.

    python -m benchmarks.pieces --tokenizer FOLDER --texts SENTENCES.jsonl.gz [--rounds 7]

Both split the same texts in batches of 48, in turn. The measure is CPU time of all threads. Texts
are read first, and each side runs once before the first round. The figures include the number of
texts with other ids.
"""

import argparse
import gzip
import json
import statistics
import tempfile
import time
import unicodedata
from collections.abc import Sequence
from pathlib import Path

BATCH = 48


def main() -> None:
    """Runs the measurement, and prints a readable line and one of JSON."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    parser.add_argument("--tokenizer", type=Path, required=True, help="folder")
    parser.add_argument("--texts", type=Path, required=True, help="JSON lines with text or tokens")
    parser.add_argument("--count", type=int, default=4800)
    parser.add_argument("--length", type=int, default=64)
    parser.add_argument("--rounds", type=int, default=7)
    arguments = parser.parse_args()
    texts = read(arguments.texts, arguments.count)
    _measure(arguments.tokenizer, texts, arguments.length, arguments.rounds)


def read(path: Path, count: int) -> list[str]:
    """Returns the first texts of a file, in the composed form."""
    texts: list[str] = []
    with (gzip.open if path.suffix == ".gz" else open)(path, "rt", encoding="utf-8") as lines:
        for line in lines:
            record = json.loads(line)
            text = record.get("text") or " ".join(record.get("tokens", ()))
            if text and len(texts) < count:
                texts.append(unicodedata.normalize("NFC", text))
    return texts


def _measure(folder: Path, texts: Sequence[str], length: int, rounds: int) -> None:
    import tensorflow as tf
    import tokenizers

    from triad_ml.transforms.features.pieces import reading, values, vocabulary

    reference = tokenizers.Tokenizer.from_file(str(folder / "tokenizer.json"))
    reference.no_padding()
    reference.enable_truncation(length)
    began = time.process_time()
    tokenizer = reading.read(folder)
    files = tokenizer.files()
    with tempfile.TemporaryDirectory() as scratch:
        vocabulary.write(files, Path(scratch))
        tables = vocabulary.tables(files, Path(scratch))
        frame = tokenizer.frame.cut(length)
        split = tf.function(
            lambda batch: values.dense(tokenizer.graph(batch, tables), frame),
            input_signature=[tf.TensorSpec([None], tf.string)],
        )
        split(tf.constant(["a"]))
    built = time.process_time() - began
    batches = [list(texts[first : first + BATCH]) for first in range(0, len(texts), BATCH)]
    tensors = [tf.constant(batch) for batch in batches]
    ours, theirs, other = [], [], 0
    for number in range(rounds + 1):
        start = time.process_time()
        found = [split(tensor).ids for tensor in tensors]
        middle = time.process_time()
        expected = [reference.encode_batch(batch) for batch in batches]
        end = time.process_time()
        if number:
            ours.append((middle - start) * 1000 / len(texts))
            theirs.append((end - middle) * 1000 / len(texts))
        else:
            for rows, encodings in zip(found, expected, strict=True):
                for row, encoding in zip(rows.numpy().tolist(), encodings, strict=True):
                    other += row[: len(encoding.ids)] != encoding.ids
    figures = {
        "texts": len(texts),
        "other_ids": other,
        "build_cpu_s": round(built, 2),
        "cpu_ms": round(statistics.median(ours), 4),
        "reference_cpu_ms": round(statistics.median(theirs), 4),
        "ratio": round(statistics.median(a / b for a, b in zip(ours, theirs, strict=True)), 2),
    }
    print(
        f"{type(tokenizer).__name__}: {figures['cpu_ms']} CPU-ms a text, {figures['ratio']} times "
        f"the reference; {other} of {len(texts)} texts have other ids"
    )
    print(json.dumps(figures))


if __name__ == "__main__":
    main()
