"""Tiny text encoders: folders as Hugging Face Transformers writes them, and their exact vectors."""

import json
import struct
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import scipy.special

from tests import torch_format

Arrays = dict[str, npt.NDArray[Any]]
Ids = npt.NDArray[np.int32]

BERT: dict[str, Any] = {
    "architectures": ["BertModel"],
    "attention_probs_dropout_prob": 0.1,
    "hidden_act": "gelu",
    "hidden_dropout_prob": 0.1,
    "hidden_size": 24,
    "initializer_range": 0.02,
    "intermediate_size": 40,
    "layer_norm_eps": 1e-12,
    "max_position_embeddings": 192,
    "model_type": "bert",
    "num_attention_heads": 3,
    "num_hidden_layers": 2,
    "pad_token_id": 0,
    "position_embedding_type": "absolute",
    "torch_dtype": "float32",
    "transformers_version": "4.57.0",
    "type_vocab_size": 2,
    "use_cache": True,
    "vocab_size": 50,
}
ROBERTA = {
    **BERT,
    "model_type": "roberta",
    "layer_norm_eps": 1e-5,
    "max_position_embeddings": 194,
    "pad_token_id": 1,
    "type_vocab_size": 1,
    "bos_token_id": 0,
    "eos_token_id": 2,
}
DISTILBERT: dict[str, Any] = {
    "activation": "gelu",
    "attention_dropout": 0.1,
    "dim": 24,
    "dropout": 0.1,
    "hidden_dim": 40,
    "initializer_range": 0.02,
    "max_position_embeddings": 192,
    "model_type": "distilbert",
    "n_heads": 3,
    "n_layers": 2,
    "pad_token_id": 0,
    "qa_dropout": 0.1,
    "seq_classif_dropout": 0.2,
    "sinusoidal_pos_embds": False,
    "tie_weights_": True,
    "vocab_size": 50,
}

_BERT_PARTS = (
    *("attention.self.query", "attention.self.key", "attention.self.value"),
    *("attention.output.dense", "attention.output.LayerNorm"),
    *("intermediate.dense", "output.dense", "output.LayerNorm"),
)
_DISTILBERT_PARTS = (
    *("attention.q_lin", "attention.k_lin", "attention.v_lin", "attention.out_lin"),
    *("sa_layer_norm", "ffn.lin1", "ffn.lin2", "output_layer_norm"),
)


def parts(config: Mapping[str, Any]) -> list[tuple[str, ...]]:
    """Names of the parts of each layer: query, key, value, joined, norm, inner, outer, norm."""
    distilled = config["model_type"] == "distilbert"
    name = "transformer.layer" if distilled else "encoder.layer"
    own = _DISTILBERT_PARTS if distilled else _BERT_PARTS
    count = config["n_layers" if distilled else "num_hidden_layers"]
    return [tuple(f"{name}.{number}.{part}" for part in own) for number in range(count)]


def sizes(config: Mapping[str, Any]) -> tuple[int, int, int]:
    """Width, inner width and number of heads."""
    keys = ("dim", "hidden_dim", "n_heads")
    if config["model_type"] != "distilbert":
        keys = ("hidden_size", "intermediate_size", "num_attention_heads")
    width, inner, heads = (config[key] for key in keys)
    return width, inner, heads


def tensors(config: Mapping[str, Any], seed: int = 0) -> Arrays:
    """Random tensors by the names of Hugging Face, large enough that every part matters."""
    generator = np.random.default_rng(seed)
    width, inner, _ = sizes(config)
    found: Arrays = {}

    def add(name: str, *shape: int, mean: float = 0.0, scale: float = 0.3) -> None:
        found[name] = (mean + scale * generator.standard_normal(shape)).astype(np.float32)

    add("embeddings.word_embeddings.weight", config["vocab_size"], width, scale=1.0)
    add("embeddings.position_embeddings.weight", config["max_position_embeddings"], width)
    if "type_vocab_size" in config:
        add("embeddings.token_type_embeddings.weight", config["type_vocab_size"], width)
    norms = ["embeddings.LayerNorm"]
    for names in parts(config):
        for name, (rows, columns) in zip(
            (*names[:4], *names[5:7]),
            [(width, width)] * 4 + [(inner, width), (width, inner)],
            strict=True,
        ):
            add(f"{name}.weight", rows, columns, scale=columns**-0.5)
            add(f"{name}.bias", rows, scale=0.1)
        norms += [names[4], names[7]]
    for name in norms:
        add(f"{name}.weight", width, mean=1.0, scale=0.1)
        add(f"{name}.bias", width, scale=0.1)
    return found


_TYPES = {"float64": "F64", "float32": "F32", "float16": "F16", "int64": "I64", "uint16": "BF16"}


def safetensors(arrays: Mapping[str, npt.NDArray[Any]]) -> bytes:
    """Content of a safetensors file; numbers of type uint16 count as bfloat16."""
    header: dict[str, Any] = {"__metadata__": {"format": "pt"}}
    content = b""
    for name, one in arrays.items():
        place = [len(content), len(content) + one.nbytes]
        dtype = _TYPES[one.dtype.name]
        header[name] = {"dtype": dtype, "shape": list(one.shape), "data_offsets": place}
        content += one.tobytes()
    text = json.dumps(header).encode()
    text += b" " * (-len(text) % 8)
    return struct.pack("<Q", len(text)) + text + content


def write(
    folder: Path,
    config: Mapping[str, Any],
    arrays: Mapping[str, npt.NDArray[Any]] | None = None,
    kind: str = "safetensors",
) -> Path:
    """Writes a folder and returns it.

    Args:
        folder: Folder that is made.
        config: Content of `config.json`.
        arrays: Tensors; None: those of `tensors`.
        kind: `safetensors`, `bin` (an archive of PyTorch) or `old` (its old format).
    """
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "config.json").write_text(json.dumps(config))
    (folder / "vocab.txt").write_text("".join(f"piece{n}\n" for n in range(config["vocab_size"])))
    values = tensors(config) if arrays is None else arrays
    if kind == "safetensors":
        (folder / "model.safetensors").write_bytes(safetensors(values))
    else:
        one = torch_format.write if kind == "old" else torch_format.write_archive
        one(folder / "pytorch_model.bin", values)
    return folder


PIECES = (
    "[PAD]",
    "[UNK]",
    "[CLS]",
    "[SEP]",
    *(mark + one for one in "abcdefghijklmnopqrstuvwxyz0123456789" for mark in ("", "##")),
    ".",
    ",",
    "the",
    "to",
    "##ed",
    "ro",
    "##me",
)
"""Vocabulary of WordPiece that covers any English text, mostly letter by letter."""


def readable(folder: Path, seed: int = 0, **changes: Any) -> Path:
    """Writes the folder of a tiny BERT whose vocabulary is `PIECES`, and returns it."""
    config = {**BERT, "vocab_size": len(PIECES), **changes}
    write(folder, config, tensors(config, seed))
    (folder / "vocab.txt").write_text("".join(f"{piece}\n" for piece in PIECES))
    return folder


def sentences(folder: Path, pooling: Mapping[str, Any], normalize: bool) -> Path:
    """Adds the files of sentence-transformers to a folder."""
    kinds = [("Transformer", ""), ("Pooling", "1_Pooling")]
    kinds += [("Normalize", "2_Normalize")] if normalize else []
    modules = [
        {"idx": n, "name": str(n), "path": path, "type": f"sentence_transformers.models.{kind}"}
        for n, (kind, path) in enumerate(kinds)
    ]
    (folder / "modules.json").write_text(json.dumps(modules))
    (folder / "1_Pooling").mkdir()
    (folder / "1_Pooling" / "config.json").write_text(json.dumps(pooling))
    settings = {"max_seq_length": 128, "do_lower_case": False}
    (folder / "sentence_bert_config.json").write_text(json.dumps(settings))
    return folder


def spec_model(folder: Path, config: Mapping[str, Any], **options: Any) -> dict[str, Any]:
    """Section `model` of a spec."""
    return {"text_encoder": config["model_type"], "text_weights": str(folder), **options}


def texts(config: Mapping[str, Any], lengths: list[int], pieces: int, seed: int = 0) -> Ids:
    """Random ids, each row with a number of pieces and -1 behind them."""
    generator = np.random.default_rng(seed)
    ids = generator.integers(0, config["vocab_size"], (len(lengths), pieces)).astype(np.int32)
    ids[np.arange(pieces) >= np.array(lengths)[:, None]] = -1
    return ids


Numbers = npt.NDArray[np.float64]


def _gelu(x: Numbers) -> Numbers:
    return 0.5 * x * (1 + scipy.special.erf(x / np.sqrt(2)))


def _gelu_by_tanh(x: Numbers) -> Numbers:
    return 0.5 * x * (1 + np.tanh(np.sqrt(2 / np.pi) * (x + 0.044715 * x**3)))


ACTIVATIONS = {
    "gelu": _gelu,
    "gelu_python": _gelu,
    "gelu_new": _gelu_by_tanh,
    "gelu_fast": _gelu_by_tanh,
    "gelu_pytorch_tanh": _gelu_by_tanh,
    "relu": lambda x: np.maximum(x, 0),
    "silu": lambda x: x * scipy.special.expit(x),
    "swish": lambda x: x * scipy.special.expit(x),
}


def reference(config: Mapping[str, Any], arrays: Mapping[str, Any], ids: Ids) -> list[Numbers]:
    """Vectors of each text's pieces in double precision, one text after the other, no padding."""
    exact = {name: np.asarray(one, np.float64) for name, one in arrays.items()}
    return [_of_text(config, exact, row[row >= 0]) for row in ids]


def _of_text(config: Mapping[str, Any], exact: Mapping[str, Numbers], row: Ids) -> Numbers:
    first = 0 if config["model_type"] in ("bert", "distilbert") else config["pad_token_id"] + 1
    epsilon = config.get("layer_norm_eps", 1e-12)
    activate = ACTIVATIONS[config.get("hidden_act") or config["activation"]]
    width, _, heads = sizes(config)
    if not len(row):
        return np.zeros((0, width))

    def dense(x: Numbers, name: str) -> Numbers:
        return x @ exact[f"{name}.weight"].T + exact[f"{name}.bias"]

    def normalized(x: Numbers, name: str) -> Numbers:
        centred = x - x.mean(axis=-1, keepdims=True)
        variance = (centred**2).mean(axis=-1, keepdims=True)
        scale = exact[f"{name}.weight"]
        return centred / np.sqrt(variance + epsilon) * scale + exact[f"{name}.bias"]

    x = exact["embeddings.word_embeddings.weight"][row]
    x = x + exact["embeddings.position_embeddings.weight"][first : first + len(row)]
    if "type_vocab_size" in config:
        x = x + exact["embeddings.token_type_embeddings.weight"][0]
    x = normalized(x, "embeddings.LayerNorm")
    for query, key, value, joined, attended, inner, outer, last in parts(config):
        mixed = np.empty_like(x)
        for head in range(heads):
            own = slice(head * width // heads, (head + 1) * width // heads)
            q, k, v = (dense(x, name)[:, own] for name in (query, key, value))
            weights = scipy.special.softmax(q @ k.T / np.sqrt(width // heads), axis=-1)
            mixed[:, own] = weights @ v
        x = normalized(x + dense(mixed, joined), attended)
        x = normalized(x + dense(activate(dense(x, inner)), outer), last)
    return x
