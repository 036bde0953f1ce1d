"""Fixed shapes: a text's vector has the same bits in every batch, place, process and thread."""

import hashlib
import os
import subprocess
import sys
from concurrent import futures
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pytest
import tensorflow as tf

from tests import text_encoders
from triad_ml.transforms.encoders.texts import encoder as text
from triad_ml.transforms.encoders.texts import length_classes
from triad_ml.transforms.encoders.texts.encoder import TextEncoder
from triad_ml.transforms.spec.model import TextEncoderSpec

LARGE = {
    **text_encoders.BERT,
    "hidden_size": 128,
    "intermediate_size": 512,
    "num_attention_heads": 4,
    "vocab_size": 200,
}
"""Large enough that oneDNN divides products among threads."""
ROWS = 48
PIECES = 100


@pytest.fixture(scope="module")
def encoder(tmp_path_factory: pytest.TempPathFactory) -> TextEncoder:
    return large(tmp_path_factory.mktemp("large") / "encoder")


def large(folder: Path) -> TextEncoder:
    text_encoders.write(folder, LARGE)
    settings = text_encoders.spec_model(folder, LARGE, text_pieces=PIECES)
    return text.load(TextEncoderSpec.model_validate(settings))


def batch(seed: int = 0) -> text_encoders.Ids:
    lengths = np.random.default_rng(seed).integers(1, 40, ROWS).tolist()
    lengths[:6] = [0, 16, 17, 32, 64, 100]
    return text_encoders.texts(LARGE, lengths, PIECES, seed)


def graph_of(encode: Any) -> Any:
    signature = tf.TensorSpec([None, PIECES], tf.int32)
    return tf.function(encode).get_concrete_function(signature)


def bytes_of(found: tf.Tensor) -> list[bytes]:
    """Returns the bytes of each row."""
    return [row.tobytes() for row in found.numpy()]


def different(graph: Any, ids: text_encoders.Ids, expected: list[bytes], seed: int) -> int:
    """Counts the rows that have other bits in another order and among other neighbours."""
    order = np.random.default_rng(seed).permutation(ROWS)[: ROWS - seed % 5]
    found = bytes_of(graph(tf.constant(ids[order])))
    return sum(one != expected[place] for one, place in zip(found, order, strict=True))


@pytest.mark.parametrize("kind", ["vectors", "states"])
def test_a_rows_bits_do_not_depend_on_its_place_its_neighbours_or_a_call_at_the_same_time(
    encoder: TextEncoder, kind: str
) -> None:
    graph, ids = graph_of(getattr(encoder, kind)), batch()
    expected = bytes_of(graph(tf.constant(ids)))
    assert len(set(expected)) == ROWS
    assert [different(graph, ids, expected, seed) for seed in range(10)] == [0] * 10
    with futures.ThreadPoolExecutor(2) as two:
        found = two.map(lambda seed: different(graph, ids, expected, seed), range(10, 30))
        assert list(found) == [0] * 20
    alone = [bytes_of(graph(tf.constant(ids[place : place + 1])))[0] for place in range(6)]
    assert alone == expected[:6]


def test_the_calls_of_a_graph_wait_for_each_other(encoder: TextEncoder) -> None:
    graph = graph_of(encoder.vectors)
    loops = [operation for operation in graph.graph.get_operations() if "While" in operation.type]
    assert len(loops) == len(length_classes.lengths(PIECES)) == 4
    for before, after in zip(loops, loops[1:], strict=False):
        assert before.name in ancestors(after)


def ancestors(operation: Any) -> set[str]:
    """Returns the names of the operations that end before an operation begins."""
    found: set[str] = set()
    left = [operation]
    while left:
        one = left.pop()
        for other in (*one.control_inputs, *(tensor.op for tensor in one.inputs)):
            if other.name not in found:
                found.add(other.name)
                left.append(other)
    return found


DIGEST = """
import sys
from pathlib import Path
from tests.transforms.encoders.texts import test_length_classes as t
print(t.digest(t.large(Path(sys.argv[1]))))
"""


def digest(encoder: TextEncoder) -> str:
    """Returns a digest of a batch's vectors, after 20 calls with shuffled rows gave the same."""
    graph, ids = graph_of(encoder.vectors), batch()
    expected = bytes_of(graph(tf.constant(ids)))
    assert not any(different(graph, ids, expected, seed) for seed in range(20))
    return hashlib.sha256(b"".join(expected)).hexdigest()


@pytest.mark.parametrize("instructions", ["AVX2"])
def test_the_same_holds_with_older_instructions(tmp_path: Path, instructions: str) -> None:
    finished = subprocess.run(
        [sys.executable, "-c", DIGEST, str(tmp_path / "encoder")],
        cwd=Path(__file__).resolve().parents[4],
        env={**os.environ, "ONEDNN_MAX_CPU_ISA": instructions},
        capture_output=True,
        text=True,
        check=False,
    )
    assert finished.returncode == 0, finished.stderr
    assert len(finished.stdout.split()[-1]) == 64


@pytest.mark.parametrize(
    ("pieces", "expected"),
    [(8, (16,)), (16, (16,)), (17, (16, 32)), (64, (16, 32, 64)), (65, (16, 32, 64, 192))],
)
def test_texts_are_padded_to_few_lengths(pieces: int, expected: tuple[int, ...]) -> None:
    assert length_classes.lengths(pieces) == expected


def numbered(ids: tf.Tensor) -> tf.Tensor:
    """Encoder whose vectors show the ids and the shape of the call."""
    shape = tf.broadcast_to(tf.cast(ids.shape, tf.int32), [*ids.shape, 2])
    return tf.cast(tf.concat([ids[:, :, None], shape], axis=2), tf.float32)


@pytest.mark.parametrize("rows", [0, 1, 13, 100])
def test_each_row_goes_through_the_call_of_its_length_and_comes_back_to_its_place(
    rows: int,
) -> None:
    lengths = np.random.default_rng(rows).integers(0, 71, rows).tolist()
    ids = text_encoders.texts({"vocab_size": 7}, lengths, 70, seed=rows)
    found = length_classes.states(numbered, tf.constant(ids), 3).numpy()
    expected: npt.NDArray[np.float32] = np.zeros((rows, 70, 3), np.float32)
    for place, length in enumerate(lengths):
        padded = next(one for one in (16, 32, 64, 192) if one >= length)
        expected[place, :length, 0] = ids[place, :length]
        expected[place, :length, 1:] = (192 // padded, padded)
    np.testing.assert_array_equal(found, expected)
