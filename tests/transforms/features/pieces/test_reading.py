"""Options of a tokenizer's folder: what is not followed is refused by its name."""

import json
from pathlib import Path

import pytest

from tests import once, pieces
from triad_ml.transforms.errors import OptionsError
from triad_ml.transforms.features.pieces import reading


@pytest.fixture(scope="module")
def trained(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return once.made_once(tmp_path_factory, "wordpiece", pieces.wordpiece)


@pytest.fixture
def folder(trained: Path, tmp_path: Path) -> Path:
    (tmp_path / "tokenizer.json").write_bytes((trained / "tokenizer.json").read_bytes())
    return tmp_path


@pytest.mark.parametrize(
    ("change", "named"),
    [
        ({"normalizer.fold": True}, r"normalizer\.BertNormalizer\.fold: unknown option"),
        ({"normalizer": {"type": "NFKC"}}, r"normalizer: .*NFKC"),
        ({"pre_tokenizer": {"type": "Digits"}}, r"pre_tokenizer: .*Digits"),
        ({"pre_tokenizer": None}, "pre_tokenizer: WordPiece needs BertPreTokenizer"),
        ({"normalizer": None}, "normalizer: WordPiece needs BertNormalizer"),
        ({"model.type": "WordLevel"}, r"model: .*WordLevel"),
        ({"model.unk_token": "[NONE]"}, r"the vocabulary has no '\[NONE\]'"),
        ({"model.vocab": {"a": 1}}, "model.vocab: ids are not the numbers from 0 on"),
        ({"model.max_input_chars_per_word": 0}, "max_input_chars_per_word: is not from 1 to 1000"),
        ({"extra": 1}, "extra: unknown option"),
        ({"version": "2.0"}, r"version: .*'1\.0'"),
        (
            {"truncation": {"max_length": 2, "strategy": "LongestFirst", "stride": 0}},
            "truncation.max_length: 2 leaves no place beside special pieces",
        ),
        (
            {
                "truncation": {
                    "max_length": 9,
                    "strategy": "LongestFirst",
                    "stride": 0,
                    "direction": "Left",
                }
            },
            r"truncation\.direction: .*'Right'",
        ),
        ({"post_processor.single": []}, "post_processor.single: has not exactly one place"),
        (
            {
                "added_tokens": [
                    {
                        "id": 5,
                        "content": "word",
                        "single_word": False,
                        "lstrip": False,
                        "rstrip": False,
                        "normalized": True,
                        "special": False,
                    }
                ]
            },
            r"added_tokens\.0\.special: .*True",
        ),
    ],
    ids=str,
)
def test_an_option_that_is_not_followed_is_refused_by_its_name(folder, change, named):
    pieces.changed(folder, change)
    with pytest.raises(OptionsError, match=named) as refused:
        reading.read(folder)
    assert "\n" not in str(refused.value)


@pytest.mark.parametrize(
    ("config", "named"),
    [
        ({"do_lower_case": False}, "do_lower_case: tokenizer_config.json has False, but this file"),
        ({"split_special_tokens": True}, "split_special_tokens: unknown option"),
        ({"never_split": ["a"]}, "never_split"),
        ({"padding_side": "left"}, "padding_side"),
    ],
    ids=str,
)
def test_a_config_that_contradicts_is_refused(folder, config, named):
    (folder / "tokenizer_config.json").write_text(json.dumps(config))
    with pytest.raises(OptionsError, match=named):
        reading.read(folder)


@pytest.mark.parametrize(
    ("name", "content", "named"),
    [
        ("tokenizer.json", b"{", "tokenizer.json: the file: "),
        ("tokenizer.json", b"[" * 100_000, "tokenizer.json: the file: "),
        ("vocab.txt", b"\xff\n", "is no UTF-8 from byte 0 on"),
        ("vocab.txt", b"a\nb\na\n", "the vocabulary has 'a' twice"),
        ("vocab.txt", b"a\n\nb\n", "the vocabulary has the piece ''"),
        ("vocab.txt", b"a\n", r"the vocabulary has no '\[CLS\]'"),
    ],
)
def test_a_malformed_file_is_refused(tmp_path, name, content, named):
    (tmp_path / name).write_bytes(content)
    with pytest.raises(OptionsError, match=named):
        reading.read(tmp_path)


def test_an_empty_folder_is_refused(tmp_path):
    with pytest.raises(OptionsError, match="has neither tokenizer.json nor vocab.txt"):
        reading.read(tmp_path)


def test_the_vocabularies_of_both_files_are_the_same(folder):
    (folder / "vocab.txt").write_text("[PAD]\n")
    with pytest.raises(OptionsError, match="model.vocab is not that of vocab.txt"):
        reading.read(folder)


def test_truncation_and_padding_of_the_file_are_read(folder):
    pieces.changed(
        folder, {"truncation": {"max_length": 9, "strategy": "LongestFirst", "stride": 0}}
    )
    frame = reading.read(folder).frame
    assert (frame.first, frame.last, frame.padding, frame.length) == ((2,), (3,), 0, 9)


def trie(unit: int) -> bytes:
    """Returns rules with one unit, that of the letter a."""
    units = [0] * ord("a") + [unit]
    content = b"".join(one.to_bytes(4, "little") for one in units)
    return len(content).to_bytes(4, "little") + content + b"b\0"


@pytest.mark.parametrize(
    "rules",
    [b"", b"\x04\0\0\0", b"\x05" + b"\0" * 11, trie(97 | 1 << 8 | 1000 << 10), trie(97 | 1 << 8)],
    ids=["empty", "no trie", "half a unit", "leads out", "no replacement"],
)
def test_compiled_rules_that_contradict_themselves_are_refused(tmp_path, rules):
    content = {
        "version": "1.0",
        "normalizer": {"type": "Precompiled", "precompiled_charsmap": pieces.encoded(rules)},
        "pre_tokenizer": {"type": "Metaspace", "replacement": "\u2581"},
        "model": {"type": "Unigram", "unk_id": 0, "vocab": [["<pad>", 0.0]]},
    }
    (tmp_path / "tokenizer.json").write_text(json.dumps(content))
    with pytest.raises(OptionsError, match=r"normalizer\.precompiled_charsmap"):
        reading.read(tmp_path)
