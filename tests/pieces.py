"""Sentences of six scripts, tokenizers trained on them, and the comparison with the reference."""

import base64
import functools
import gzip
import io
import itertools
import json
import random
import tempfile
import unicodedata
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import sentencepiece
import tensorflow as tf
import tokenizers
from tokenizers import decoders, models, normalizers, pre_tokenizers, processors, trainers

from triad_ml.model.serving import safety
from triad_ml.transforms.features.pieces import reading, values, vocabulary
from triad_ml.transforms.features.pieces.reading import Tokenizer

Numbers = npt.NDArray[np.int64]

ROOT = Path(__file__).resolve().parents[1]
SCRIPTS = {
    "latin": "etaoinshrdlucmfwypvbgkjqxzéèàçùôöüäßñåøæœışğćžț",
    "cyrillic": "оеаинтсрвлкмдпуяыьгзбчйхжшюцщэфъёіїєґћ",
    "greek": "αοιετσνηυρπκμλωςγδχθφβξζψάέήίόύώϊΐ",
    "arabic": "اليمنتوربدعفسهكقحجشصطخغذضثظزءآأئؤىة",
    "devanagari": "कातरनहसमपवलयदगबजटशभचडखधणथफउइएिीुूेैोौं्ँ",
    "han": "的一是不了人我在有他这中大来上国のをにはがでとしたアイウエオ家猫日本語東京",
}
"""Letters of each script, the most frequent ones first."""
MARKS = (".", ",", "!", "?", ";", ":", "-", "…", "—", "“", "”", "(", ")", "¿", "؟", "।", "。", "、")
SPACES = ("  ", "\t", "\n", "\u00a0", "\u3000", "\u2009", "   ", "\r\n")
ODD = (
    *("'s", "'re", "'LL", "’s", "don't", "I'm", "we've", "'", "''", "x'", "'d've"),
    *("😀", "👩‍👩‍👧", "🇫🇷", "👍🏽", "a😀b", "https://a.example/b?c=d&e=1", "a_b", "#tag", "@name"),
    *("ﬁn", "ǅ", "İstanbul", "ẞ", "Ⅳ", "½", "①", "ﷺ", "Å", "한국어", "กรุงเทพ", "עברית", "ᐃᓄᒃᑎᑐᑦ"),
    *(
        "≠",
        "a\u200db",
        "\u200bzero",
        "soft\u00adhyphen",
        "\ufb01",
        "Ｆｕｌｌ",
        "ｶﾅ",
        "x\u0301\u0302",
    ),
    *("====", "aaaaaaaaaa", "lolololol", "1234567", "3.14", "1,000", "$5", "50%", "©2026", "C++"),
    *("a" * 99, "b" * 100, "c" * 101, "$" * 120, "é" * 101),
)
SPECIAL = ("[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]")


def sentences(count: int, seed: int = 0) -> list[str]:
    """Returns sentences of six scripts, some of them mixed or odd, in the composed form (NFC)."""
    draw = random.Random(seed)
    words = _all_words(seed)
    scripts = sorted(words)
    texts = []
    for index in range(count):
        script = scripts[index % len(scripts)]
        parts = []
        for _ in range(draw.randrange(1, 18)):
            chosen = script if draw.random() < 0.95 else draw.choice(scripts)
            rank = min(int(draw.paretovariate(0.7)), len(words[chosen])) - 1
            parts.append(_dressed(words[chosen][rank], draw))
            parts.append(draw.choice(SPACES) if draw.random() < 0.04 else " ")
        texts.append(unicodedata.normalize("NFC", "".join(parts[: -1 if index % 7 else None])))
    return texts


@functools.cache
def _all_words(seed: int) -> dict[str, list[str]]:
    return {script: list(_words(letters, seed)) for script, letters in SCRIPTS.items()}


def _words(letters: str, seed: int) -> Iterator[str]:
    draw = random.Random(f"{letters} {seed}")
    for _ in range(3000):
        ranks = (
            min(int(draw.paretovariate(0.4)), len(letters)) for _ in range(draw.randrange(1, 11))
        )
        yield "".join(letters[rank - 1] for rank in ranks)


def _dressed(word: str, draw: random.Random) -> str:
    kind = draw.random()
    if kind < 0.03:
        return draw.choice(ODD)
    if kind < 0.06:
        return str(draw.randrange(10**6))
    if kind < 0.16:
        word = word.title() if draw.random() < 0.8 else word.upper()
    if kind > 0.85:
        word += draw.choice(MARKS)
    return draw.choice(MARKS) + word if kind > 0.97 else word


@functools.cache
def real_sentences() -> tuple[str, ...]:
    """Returns English sentences of the shared data sets; none if they are absent."""
    folders = [parent / "shared" / "data" for parent in ROOT.parents]
    texts: list[str] = []
    for folder in folders:
        for name in ("snips.jsonl.gz", "english_roles_and_names.jsonl.gz"):
            if (folder / name).is_file() and len(texts) < 20_000:
                with gzip.open(folder / name, "rt", encoding="utf-8") as lines:
                    texts += [str(text) for line in lines if (text := _text(json.loads(line)))]
    return tuple(unicodedata.normalize("NFC", text) for text in texts)


def _text(record: dict[str, Any]) -> str:
    return record.get("text") or " ".join(record.get("tokens", ()))


def wordpiece(folder: Path, size: int = 3000, **options: bool) -> Path:
    """Trains a WordPiece tokenizer and writes its folder."""
    made = tokenizers.Tokenizer(models.WordPiece(unk_token="[UNK]"))
    made.normalizer = normalizers.BertNormalizer(**options)
    made.pre_tokenizer = pre_tokenizers.BertPreTokenizer()
    made.decoder = decoders.WordPiece()
    trainer = trainers.WordPieceTrainer(
        vocab_size=size, special_tokens=list(SPECIAL), show_progress=False
    )
    made.train_from_iterator(sentences(3000, seed=1), trainer)
    ids = {name: made.token_to_id(name) for name in SPECIAL}
    made.post_processor = processors.TemplateProcessing(
        single="[CLS] $A [SEP]",
        pair="[CLS] $A [SEP] $B:1 [SEP]:1",
        special_tokens=[("[CLS]", ids["[CLS]"]), ("[SEP]", ids["[SEP]"])],
    )
    made.save(str(folder / "tokenizer.json"))
    return folder


def byte_pairs(folder: Path, size: int = 3000, space_first: bool = False) -> Path:
    """Trains a byte-level tokenizer as that of RoBERTa and writes its folder."""
    made = tokenizers.Tokenizer(models.BPE())
    made.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=space_first)
    trainer = trainers.BpeTrainer(
        vocab_size=size,
        special_tokens=["<s>", "<pad>", "</s>", "<unk>", "<mask>"],
        initial_alphabet=pre_tokenizers.ByteLevel.alphabet(),
        show_progress=False,
    )
    made.train_from_iterator(sentences(3000, seed=1), trainer)
    made.post_processor = processors.RobertaProcessing(
        ("</s>", 2), ("<s>", 0), trim_offsets=True, add_prefix_space=space_first
    )
    made.save(str(folder / "tokenizer.json"))
    return folder


def unigram(folder: Path, size: int = 3000, splits: bool = True) -> Path:
    """Trains a unigram tokenizer as that of XLM-R and writes its folder."""
    stream = io.BytesIO()
    sentencepiece.SentencePieceTrainer.train(
        sentence_iterator=iter(sentences(3000, seed=1)),
        model_writer=stream,
        vocab_size=size,
        model_type="unigram",
        normalization_rule_name="nmt_nfkc",
        character_coverage=0.999,
        hard_vocab_limit=False,
        minloglevel=2,
    )
    learned = sentencepiece.SentencePieceProcessor(model_proto=stream.getvalue())
    numbers = range(3, learned.get_piece_size())
    pieces = [(learned.id_to_piece(number), learned.get_score(number)) for number in numbers]
    special = [(name, 0.0) for name in ("<s>", "<pad>", "</s>", "<unk>")]
    made = tokenizers.Tokenizer(models.Unigram([*special, *pieces, ("<mask>", 0.0)], 3, False))
    rules = normalizers.Precompiled(_field(_field(stream.getvalue(), 3), 2))
    mark = pre_tokenizers.Metaspace()
    if splits:
        made.normalizer = rules
        made.pre_tokenizer = pre_tokenizers.Sequence([pre_tokenizers.WhitespaceSplit(), mark])
    else:
        spaces = normalizers.Replace(tokenizers.Regex(" {2,}"), " ")
        made.normalizer = normalizers.Sequence([rules, spaces])
        made.pre_tokenizer = mark
    made.add_special_tokens(["<s>", "<pad>", "</s>", "<unk>", "<mask>"])
    made.post_processor = processors.TemplateProcessing(
        single="<s> $A </s>",
        pair="<s> $A </s> </s> $B </s>",
        special_tokens=[("<s>", 0), ("</s>", 2)],
    )
    made.save(str(folder / "tokenizer.json"))
    return folder


def _field(message: bytes, number: int) -> bytes:
    """Returns the last field of bytes with a number in a message of Protocol Buffers."""
    place, found = 0, b""

    def varint() -> int:
        nonlocal place
        value, shift = 0, 0
        while True:
            byte = message[place]
            place, value, shift = place + 1, value | (byte & 0x7F) << shift, shift + 7
            if byte < 0x80:
                return value

    while place < len(message):
        key = varint()
        kind = key & 7
        size = varint() if kind in (0, 2) else {1: 8, 5: 4}[kind]
        if kind == 2 and key >> 3 == number:
            found = message[place : place + size]
        place += size if kind else 0
    return found


class Ours:
    """Tokenizer of a folder as a graph.

    Attributes:
        tokenizer: Settings.
        tables: Tables of its files.
    """

    def __init__(self, folder: Path) -> None:
        self.tokenizer: Tokenizer = reading.read(folder)
        files = self.tokenizer.files()
        self._folder = tempfile.TemporaryDirectory()
        vocabulary.write(files, Path(self._folder.name))
        self.tables = vocabulary.tables(files, Path(self._folder.name))
        self._framed = tf.function(
            lambda texts: values.framed(
                self.tokenizer.graph(texts, self.tables), self.tokenizer.frame
            ),
            input_signature=[tf.TensorSpec([None], tf.string)],
        )

    def __call__(self, texts: Sequence[str]) -> list[tuple[list[int], list[tuple[int, int]]]]:
        """Returns the ids and offsets of each text."""
        ids, places, splits = self.flat(texts)
        return [
            (ids[begin:end].tolist(), [(first, last) for first, last in places[begin:end].tolist()])
            for begin, end in itertools.pairwise(splits)
        ]

    def flat(self, texts: Sequence[str]) -> tuple[Numbers, Numbers, Numbers]:
        """Returns ids and offsets of all pieces, and the places where texts begin and end."""
        ids, starts, ends = self._framed(tf.constant(list(texts), tf.string))
        places = np.stack([starts.flat_values.numpy(), ends.flat_values.numpy()], axis=1)
        return ids.flat_values.numpy(), places, ids.row_splits.numpy()


def differences(
    folder: Path, texts: Sequence[str], batch: int = 2_500, ours: Ours | None = None
) -> list[str]:
    """Returns the texts whose ids or offsets are not those of the reference."""
    reference = tokenizers.Tokenizer.from_file(str(folder / "tokenizer.json"))
    reference.no_padding()
    ours = ours or Ours(folder)
    different = []
    for first in range(0, len(texts), batch):
        part = list(texts[first : first + batch])
        encoded = reference.encode_batch(part)
        ids, places, splits = ours.flat(part)
        lengths = [len(one) for one in encoded]
        if np.diff(splits).tolist() == lengths and sum(lengths):
            expected = np.array([place for one in encoded for place in one.offsets])
            same = np.equal(ids, [number for one in encoded for number in one.ids])
            same &= (places == expected).all(axis=1)
            wrong = np.unique(np.searchsorted(splits, np.flatnonzero(~same), side="right") - 1)
            different += [part[place] for place in wrong]
            continue
        for place, one in enumerate(encoded):
            own = slice(splits[place], splits[place + 1])
            found = ids[own].tolist(), [(begin, end) for begin, end in places[own].tolist()]
            if found != (one.ids, one.offsets):
                different.append(part[place])
    return different


def saved(ours: Ours, folder: Path) -> tf.types.experimental.PolymorphicFunction:
    """Saves the graph of a tokenizer, which must be allowed to be loaded, and returns it.

    It gives at most 16 pieces of each text.
    """
    module = tf.Module()
    module.tables = ours.tables
    module.call = tf.function(
        lambda texts: values.dense(
            ours.tokenizer.graph(texts, ours.tables), ours.tokenizer.frame.cut(16)
        )._asdict(),
        input_signature=[tf.TensorSpec([None], tf.string)],
    )
    tf.saved_model.save(module, str(folder), signatures=module.call)
    safety.check_folder(folder)
    return module.call


def changed(folder: Path, change: dict[str, Any]) -> Path:
    """Changes options of a folder's `tokenizer.json`, each by the path of its key."""
    path = folder / "tokenizer.json"
    content = json.loads(path.read_text())
    for key, value in change.items():
        *parents, last = key.split(".")
        section = content
        for parent in parents:
            section = section[parent]
        section[last] = value
    path.write_text(json.dumps(content))
    return folder


def encoded(rules: bytes) -> str:
    """Returns compiled rules as `tokenizer.json` has them."""
    return base64.b64encode(rules).decode()
