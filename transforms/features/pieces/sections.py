"""Sections of a `tokenizer.json`, with each option that the tokenizers here follow."""

from typing import Annotated, Any, Literal

import pydantic

from triad_ml.transforms.spec.section import Section

Ids = list[int]


class Truncation(Section):
    """Cutting of long texts; the windows behind the first one do not exist here."""

    direction: Literal["Right"] = "Right"
    max_length: int
    strategy: Literal["LongestFirst", "OnlyFirst"]
    stride: int


class Padding(Section):
    """Padding; the length is that of the spec."""

    strategy: Literal["BatchLongest"] | dict[Literal["Fixed"], int]
    direction: Literal["Right"]
    pad_to_multiple_of: int | None
    pad_id: int
    pad_type_id: int
    pad_token: str


class AddedToken(Section):
    """Special piece; the names of special pieces in a text are not looked for."""

    id: int
    content: str
    single_word: bool
    lstrip: bool
    rstrip: bool
    normalized: bool
    special: Literal[True]


class BertNormalizer(Section):
    """Normalization of WordPiece; None strips accents if letters are in lower case."""

    type: Literal["BertNormalizer"]
    clean_text: bool
    handle_chinese_chars: bool
    strip_accents: bool | None
    lowercase: bool


class Precompiled(Section):
    """Compiled rules of SentencePiece, in base64."""

    type: Literal["Precompiled"]
    precompiled_charsmap: str


class Spaces(Section):
    """Regular expression of several spaces."""

    Regex: Literal[" {2,}"]


class Replace(Section):
    """Replacement of several spaces by one."""

    type: Literal["Replace"]
    pattern: Spaces
    content: Literal[" "]


class Normalizers(Section):
    """Normalizations one after the other."""

    type: Literal["Sequence"]
    normalizers: list[Annotated[Precompiled | Replace, pydantic.Field(discriminator="type")]]


class BertPreTokenizer(Section):
    """Words of WordPiece."""

    type: Literal["BertPreTokenizer"]


class ByteLevel(Section):
    """Words of byte-level byte-pair encoding, or the trimming of their offsets."""

    type: Literal["ByteLevel"]
    add_prefix_space: bool
    trim_offsets: bool
    use_regex: Literal[True] = True


class WhitespaceSplit(Section):
    """Words between white space."""

    type: Literal["WhitespaceSplit"]


class Metaspace(Section):
    """Words that begin with a mark."""

    type: Literal["Metaspace"]
    replacement: Annotated[str, pydantic.Field(min_length=1, max_length=1)]
    add_prefix_space: bool | None = None
    prepend_scheme: Literal["always", "never"] | None = None
    split: Literal[True] = True
    str_rep: str | None = None


class PreTokenizers(Section):
    """Words of white space, then of marks."""

    type: Literal["Sequence"]
    pretokenizers: tuple[WhitespaceSplit, Metaspace]


class SpecialPart(Section):
    """Name of a special piece in a template."""

    id: str
    type_id: Literal[0]


class SequencePart(Section):
    """Place of the text in a template."""

    id: Literal["A"]
    type_id: Literal[0]


class TemplateSpecial(Section):
    """Special piece of a template."""

    id: str
    ids: Ids
    tokens: list[str]


class TemplateProcessing(Section):
    """Template of a text with its special pieces; that of pairs of texts is not used."""

    type: Literal["TemplateProcessing"]
    single: list[
        dict[Literal["SpecialToken"], SpecialPart] | dict[Literal["Sequence"], SequencePart]
    ]
    pair: list[dict[str, Any]]
    special_tokens: dict[str, TemplateSpecial]


class BertProcessing(Section):
    """Special pieces of BERT."""

    type: Literal["BertProcessing"]
    sep: tuple[str, int]
    cls: tuple[str, int]


class RobertaProcessing(Section):
    """Special pieces of RoBERTa, and the trimming of offsets."""

    type: Literal["RobertaProcessing"]
    sep: tuple[str, int]
    cls: tuple[str, int]
    trim_offsets: bool
    add_prefix_space: bool


class PostProcessors(Section):
    """Trimming of offsets, and a template."""

    type: Literal["Sequence"]
    processors: tuple[ByteLevel, TemplateProcessing]


class WordPieceModel(Section):
    """Vocabulary of WordPiece."""

    type: Literal["WordPiece"]
    unk_token: str
    continuing_subword_prefix: str
    max_input_chars_per_word: int
    vocab: dict[str, int]


class BpeModel(Section):
    """Vocabulary and merges of byte-pair encoding."""

    type: Literal["BPE"]
    dropout: None = None
    unk_token: str | None = None
    continuing_subword_prefix: Literal["", None] = None
    end_of_word_suffix: Literal["", None] = None
    fuse_unk: bool = False
    byte_fallback: Literal[False] = False
    ignore_merges: bool = False
    vocab: dict[str, int]
    merges: list[str | tuple[str, str]]


class UnigramModel(Section):
    """Vocabulary and scores of a unigram tokenizer."""

    type: Literal["Unigram"]
    unk_id: int
    vocab: list[tuple[str, float]]
    byte_fallback: Literal[False] = False


Kind = pydantic.Field(discriminator="type")


class File(Section):
    """Content of a `tokenizer.json`; the decoder, which makes texts of ids, is not used."""

    version: Literal["1.0"]
    truncation: Truncation | None = None
    padding: Padding | None = None
    added_tokens: list[AddedToken] = []
    normalizer: Annotated[BertNormalizer | Precompiled | Replace | Normalizers, Kind] | None = None
    pre_tokenizer: (
        Annotated[BertPreTokenizer | ByteLevel | Metaspace | PreTokenizers, Kind] | None
    ) = None
    post_processor: (
        Annotated[
            TemplateProcessing | BertProcessing | RobertaProcessing | ByteLevel | PostProcessors,
            Kind,
        ]
        | None
    ) = None
    decoder: Any = None
    model: Annotated[WordPieceModel | BpeModel | UnigramModel, Kind]


class Config(Section):
    """Content of a `tokenizer_config.json`.

    Names, files and sides say nothing about the ids of one text, so they are read and not used.
    """

    do_lower_case: bool | None = None
    do_basic_tokenize: Literal[True] = True
    tokenize_chinese_chars: bool | None = None
    strip_accents: bool | None = None
    never_split: None = None
    add_prefix_space: bool | None = None
    trim_offsets: bool | None = None
    model_max_length: int | float | None = None
    max_len: int | None = None
    unk_token: str | dict[str, Any] | None = None
    cls_token: str | dict[str, Any] | None = None
    sep_token: str | dict[str, Any] | None = None
    pad_token: str | dict[str, Any] | None = None
    mask_token: str | dict[str, Any] | None = None
    bos_token: str | dict[str, Any] | None = None
    eos_token: str | dict[str, Any] | None = None
    padding_side: Literal["right"] = "right"
    truncation_side: Literal["right"] = "right"
    additional_special_tokens: Any = None
    added_tokens_decoder: Any = None
    backend: Any = None
    clean_up_tokenization_spaces: Any = None
    errors: Any = None
    extra_special_tokens: Any = None
    is_local: Any = None
    local_files_only: Any = None
    max_length: Any = None
    model_input_names: Any = None
    name_or_path: Any = None
    pad_to_multiple_of: Any = None
    pad_token_type_id: Any = None
    sp_model_kwargs: Any = None
    special_tokens_map_file: Any = None
    stride: Any = None
    tokenizer_class: Any = None
    tokenizer_file: Any = None
    truncation_strategy: Any = None
