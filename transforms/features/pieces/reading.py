"""Reader of the tokenizer in a folder of Hugging Face Transformers.

`tokenizer.json` decides, if the folder has one; otherwise `vocab.txt` and `tokenizer_config.json`,
as the first BERT models have them. An option that is not followed here is refused by its name, so
ids are those of the training or there are none.
"""

import base64
import binascii
import math
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, TypeVar

import pydantic

from triad_ml.transforms.errors import OptionsError
from triad_ml.transforms.features.pieces import charsmap, sections
from triad_ml.transforms.features.pieces.byte_pairs import MOST_PIECES, BytePairs, alphabet
from triad_ml.transforms.features.pieces.unigram import Unigram
from triad_ml.transforms.features.pieces.values import Frame
from triad_ml.transforms.features.pieces.wordpiece import WordPiece
from triad_ml.transforms.files import checkpoints
from triad_ml.transforms.spec.section import Section

FILES = ("tokenizer.json", "tokenizer_config.json", "vocab.txt")
"""Files of a folder that decide its tokenizer."""

Tokenizer = WordPiece | BytePairs | Unigram

_FILE, _CONFIG, _VOCABULARY = FILES
_MOST_BYTES = 1 << 27
_REMEDY = "name a folder whose tokenizer has only options that Triad follows"
_PADDING = ("[PAD]", "<pad>")
_SectionType = TypeVar("_SectionType", bound=Section)


class _Refused(Exception):
    """Option that is not followed, with its name."""


class _Contents:
    """Contents of a folder's files.

    Args:
        folder: Folder, for errors.
        files: Its files.
        base: Prefix of their names.
    """

    def __init__(self, folder: Path, files: checkpoints.Files, base: str) -> None:
        self.folder, self._files, self._base = folder, files, base

    def get(self, name: str) -> bytes | None:
        """Returns the content of a file; None if there is no such file."""
        if not self._files.has(self._base + name):
            return None
        return self._files.read(self._base + name, _MOST_BYTES)


def read(folder: Path, files: checkpoints.Files | None = None, base: str = "") -> Tokenizer:
    """Reads the tokenizer of a folder.

    Args:
        folder: Folder with `tokenizer.json` or `vocab.txt`, and perhaps `tokenizer_config.json`.
        files: The files, if they have already been read; None reads them.
        base: Prefix of their names in `files`.

    Raises:
        OptionsError: If a file is missing or malformed, an option is unknown, or two files
            contradict each other; names the file and the option.
        StorageError: If a file cannot be read.
    """
    contents = _Contents(folder, files or checkpoints.Folder(folder), base)
    config = _section(contents, _CONFIG, sections.Config) or sections.Config()
    file = _section(contents, _FILE, sections.File)
    tokens = _vocabulary_lines(contents)
    path = folder / (_FILE if file else _VOCABULARY)
    try:
        if file is not None:
            return _of_file(file, config, tokens)
        if tokens is not None:
            return _of_lines(tokens, config)
    except _Refused as error:
        raise OptionsError(f"{path}: {error}; {_REMEDY}") from error
    raise OptionsError(f"{folder}: has neither {_FILE} nor {_VOCABULARY}; {_REMEDY}")


def _section(contents: _Contents, name: str, section: type[_SectionType]) -> _SectionType | None:
    path, content = contents.folder / name, contents.get(name)
    if content is None:
        return None
    try:
        return section.model_validate_json(content)
    except pydantic.ValidationError as error:
        first = error.errors(include_url=False)[0]
        place = ".".join(map(str, first["loc"])) or "the file"
        found = "unknown option" if first["type"] == "extra_forbidden" else first["msg"]
        raise OptionsError(f"{path}: {place}: {found}; {_REMEDY}") from error


def _vocabulary_lines(contents: _Contents) -> list[str] | None:
    path, content = contents.folder / _VOCABULARY, contents.get(_VOCABULARY)
    if content is None:
        return None
    try:
        lines = content.decode("utf-8").split("\n")
    except UnicodeDecodeError as error:
        raise OptionsError(f"{path}: is no UTF-8 from byte {error.start} on; {_REMEDY}") from error
    if lines[-1] == "":
        lines.pop()
    return [line.removesuffix("\r") for line in lines]


def _of_lines(tokens: Sequence[str], config: sections.Config) -> WordPiece:
    """Returns the tokenizer of a folder with a vocabulary of BERT alone."""
    ids = _ids(tokens)
    lowercase = config.do_lower_case is not False
    strip = lowercase if config.strip_accents is None else config.strip_accents
    special = {
        name: _id(ids, _name(getattr(config, name)) or default)
        for name, default in (
            ("cls_token", "[CLS]"),
            ("sep_token", "[SEP]"),
            ("pad_token", "[PAD]"),
            ("unk_token", "[UNK]"),
        )
    }
    frame = Frame((special["cls_token"],), (special["sep_token"],), special["pad_token"])
    return WordPiece(
        tuple(tokens),
        frame,
        special["unk_token"],
        ideographs=config.tokenize_chinese_chars is not False,
        strip_accents=strip,
        lowercase=lowercase,
    )


def _of_file(
    file: sections.File, config: sections.Config, lines: Sequence[str] | None
) -> Tokenizer:
    _check_config(file, config)
    model = file.model
    if isinstance(model, sections.UnigramModel):
        tokens = [token for token, _ in model.vocab]
    else:
        tokens = _by_id(model.vocab)
    if lines is not None and isinstance(model, sections.WordPieceModel) and lines != tokens:
        raise _Refused(f"model.vocab is not that of {_VOCABULARY}")
    for added in file.added_tokens:
        if added.id == len(tokens):
            tokens.append(added.content)
        elif not 0 <= added.id < len(tokens) or tokens[added.id] != added.content:
            raise _Refused(f"added_tokens: {added.content!r} has not the id of the vocabulary")
    ids = _ids(tokens)
    frame = _frame(file, config, ids)
    if isinstance(model, sections.WordPieceModel):
        return _wordpiece(file, model, tuple(tokens), frame, ids)
    if isinstance(model, sections.BpeModel):
        return _byte_pairs(file, model, tuple(tokens), frame, ids)
    return _unigram(file, model, tuple(tokens), frame)


def _wordpiece(
    file: sections.File,
    model: sections.WordPieceModel,
    tokens: tuple[str, ...],
    frame: Frame,
    ids: Mapping[str, int],
) -> WordPiece:
    rules = file.normalizer
    if not isinstance(rules, sections.BertNormalizer):
        raise _Refused("normalizer: WordPiece needs BertNormalizer")
    if not isinstance(file.pre_tokenizer, sections.BertPreTokenizer):
        raise _Refused("pre_tokenizer: WordPiece needs BertPreTokenizer")
    if not 0 < model.max_input_chars_per_word <= 1000:
        raise _Refused("model.max_input_chars_per_word: is not from 1 to 1000")
    if not model.continuing_subword_prefix:
        raise _Refused("model.continuing_subword_prefix: is empty")
    return WordPiece(
        tokens,
        frame,
        _id(ids, model.unk_token),
        prefix=model.continuing_subword_prefix,
        longest_word=model.max_input_chars_per_word,
        clean=rules.clean_text,
        ideographs=rules.handle_chinese_chars,
        strip_accents=rules.lowercase if rules.strip_accents is None else rules.strip_accents,
        lowercase=rules.lowercase,
    )


def _byte_pairs(
    file: sections.File,
    model: sections.BpeModel,
    tokens: tuple[str, ...],
    frame: Frame,
    ids: Mapping[str, int],
) -> BytePairs:
    words = file.pre_tokenizer
    if file.normalizer is not None:
        raise _Refused("normalizer: byte-level BPE has none here")
    if not isinstance(words, sections.ByteLevel):
        raise _Refused("pre_tokenizer: BPE needs ByteLevel")
    if len(tokens) > MOST_PIECES:
        raise _Refused(f"model.vocab: has over {MOST_PIECES} pieces")
    missing = [letter for letter in alphabet() if letter not in ids]
    if missing:
        raise _Refused(f"model.vocab: has no piece for the byte {missing[0]!r}")
    merges = {}
    for merge in model.merges:
        pair = tuple(merge.split(" ")) if isinstance(merge, str) else merge
        if len(pair) != 2 or not {*pair, "".join(pair)} <= ids.keys():
            raise _Refused(f"model.merges: {merge!r} has pieces outside of the vocabulary")
        numbers = (ids[pair[0]], ids[pair[1]])
        if numbers in merges:
            raise _Refused(f"model.merges: {merge!r} is there twice")
        merges[numbers] = ids["".join(pair)]
    ending = file.post_processor
    if isinstance(ending, sections.PostProcessors):
        ending = ending.processors[0]
    trim = keeps_first = False
    if isinstance(ending, sections.RobertaProcessing | sections.ByteLevel):
        trim, keeps_first = ending.trim_offsets, ending.add_prefix_space
    return BytePairs(
        tokens,
        tuple((left, right, merged) for (left, right), merged in merges.items()),
        frame,
        space_first=words.add_prefix_space,
        trim=trim,
        trim_keeps_first=keeps_first,
        whole_first=model.ignore_merges,
    )


def _unigram(
    file: sections.File, model: sections.UnigramModel, tokens: tuple[str, ...], frame: Frame
) -> Unigram:
    scores = [score for _, score in model.vocab]
    if not all(map(math.isfinite, scores)):
        raise _Refused("model.vocab: a score is no number")
    if not 0 <= model.unk_id < len(scores):
        raise _Refused("model.unk_id: is no id of the vocabulary")
    words = file.pre_tokenizer
    splits = isinstance(words, sections.PreTokenizers)
    if isinstance(words, sections.PreTokenizers):
        words = words.pretokenizers[1]
    if not isinstance(words, sections.Metaspace):
        raise _Refused("pre_tokenizer: a unigram tokenizer needs Metaspace")
    marks = words.prepend_scheme != "never" and words.add_prefix_space is not False
    if splits and not marks:
        raise _Refused("pre_tokenizer: words between white space need a mark in front")
    rules, one_space = _rules(file)
    special = {added.id for added in file.added_tokens} | {model.unk_id}
    added = [0.0] * (len(tokens) - len(scores))
    return Unigram(
        tokens,
        (*scores, *added),
        frame,
        model.unk_id,
        special=tuple(sorted(special)),
        rules=rules,
        one_space=one_space,
        splits=splits,
        mark=words.replacement,
        marks_first=marks,
    )


def _rules(file: sections.File) -> tuple[bytes, bool]:
    """Returns the compiled rules, and if several spaces become one."""
    parts = file.normalizer
    steps: list[Any] = [parts]
    if parts is None:
        steps = []
    elif isinstance(parts, sections.Normalizers):
        steps = list(parts.normalizers)
    compiled = b""
    if steps and isinstance(steps[0], sections.Precompiled):
        try:
            compiled = base64.b64decode(steps.pop(0).precompiled_charsmap, validate=True)
            charsmap.read(compiled)
        except (binascii.Error, charsmap.BadRules) as error:
            raise _Refused(f"normalizer.precompiled_charsmap: {error}") from error
    if not all(isinstance(step, sections.Replace) for step in steps):
        raise _Refused("normalizer: a unigram tokenizer has compiled rules, then spaces")
    return compiled, bool(steps)


def _frame(file: sections.File, config: sections.Config, ids: Mapping[str, int]) -> Frame:
    ending = file.post_processor
    if isinstance(ending, sections.PostProcessors):
        ending = ending.processors[1]
    first: list[int] = []
    last: list[int] = []
    if isinstance(ending, sections.BertProcessing | sections.RobertaProcessing):
        first, last = [ending.cls[1]], [ending.sep[1]]
    elif isinstance(ending, sections.TemplateProcessing):
        first, last = _template(ending)
    outside = [id_ for id_ in (*first, *last) if not 0 <= id_ < len(ids)]
    if outside:
        raise _Refused(f"post_processor: {outside[0]} is no id of the vocabulary")
    name = file.padding.pad_token if file.padding else _name(config.pad_token)
    padding = _id(ids, name or next((name for name in _PADDING if name in ids), _PADDING[0]))
    if file.padding and file.padding.pad_id != padding:
        raise _Refused(f"padding.pad_id: {file.padding.pad_id} is not the id of {name!r}")
    length = file.truncation.max_length if file.truncation else None
    if length is not None and length <= len(first) + len(last):
        raise _Refused(f"truncation.max_length: {length} leaves no place beside special pieces")
    return Frame(tuple(first), tuple(last), padding, length)


def _template(ending: sections.TemplateProcessing) -> tuple[list[int], list[int]]:
    sides: tuple[list[int], list[int]] = ([], [])
    seen = 0
    for part in ending.single:
        for kind in part.values():
            if isinstance(kind, sections.SequencePart):
                seen += 1
            elif kind.id not in ending.special_tokens:
                raise _Refused(f"post_processor.special_tokens: {kind.id!r} is missing")
            else:
                sides[min(seen, 1)].extend(ending.special_tokens[kind.id].ids)
    if seen != 1:
        raise _Refused("post_processor.single: has not exactly one place for the text")
    return sides


def _check_config(file: sections.File, config: sections.Config) -> None:
    """Refuses settings that contradict those of `tokenizer.json`."""
    pairs: list[tuple[str, Any, Any]] = []
    if isinstance(file.normalizer, sections.BertNormalizer):
        rules = file.normalizer
        strip = rules.lowercase if rules.strip_accents is None else rules.strip_accents
        pairs = [
            ("do_lower_case", config.do_lower_case, rules.lowercase),
            ("strip_accents", config.strip_accents, strip),
            ("tokenize_chinese_chars", config.tokenize_chinese_chars, rules.handle_chinese_chars),
        ]
    elif isinstance(file.pre_tokenizer, sections.ByteLevel):
        pairs = [("add_prefix_space", config.add_prefix_space, file.pre_tokenizer.add_prefix_space)]
    for name, one, other in pairs:
        if one is not None and one != other:
            raise _Refused(f"{name}: {_CONFIG} has {one}, but this file {other}")


def _by_id(vocabulary: Mapping[str, int]) -> list[str]:
    tokens = sorted(vocabulary, key=vocabulary.__getitem__)
    if [vocabulary[token] for token in tokens] != list(range(len(tokens))):
        raise _Refused("model.vocab: ids are not the numbers from 0 on, each once")
    return tokens


def _ids(tokens: Sequence[str]) -> Mapping[str, int]:
    ids = {token: id_ for id_, token in enumerate(tokens)}
    if len(ids) < len(tokens):
        twice = next(token for id_, token in enumerate(tokens) if ids[token] != id_)
        raise _Refused(f"the vocabulary has {twice!r} twice")
    for token in tokens:
        if not token or "\n" in token or "\r" in token or "\0" in token:
            raise _Refused(f"the vocabulary has the piece {token!r}, which no line can hold")
    return ids


def _id(ids: Mapping[str, int], name: str) -> int:
    if name not in ids:
        raise _Refused(f"the vocabulary has no {name!r}")
    return ids[name]


def _name(token: str | Mapping[str, Any] | None) -> str | None:
    return str(token.get("content")) if isinstance(token, Mapping) else token
