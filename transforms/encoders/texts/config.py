"""Configuration of a text encoder, from the `config.json` of Hugging Face Transformers.

Each field is either read, or known to change no vector, or refused by its name.
"""

import dataclasses
from collections.abc import Mapping
from typing import Annotated, Any, Literal

import pydantic

from triad_ml.transforms.errors import OptionsError
from triad_ml.transforms.spec.model import TransformerFamily

Activation = Literal[
    "gelu", "gelu_python", "gelu_new", "gelu_fast", "gelu_pytorch_tanh", "relu", "silu", "swish"
]
"""Names of activations in `transformer.ACTIVATIONS`."""

_HARMLESS = frozenset(
    """
_attn_implementation _attn_implementation_autoset _commit_hash _name_or_path _num_labels
architectures attn_implementation bos_token_id
chunk_size_feed_forward classifier_dropout decoder_start_token_id directionality dtype
eos_token_id finetuning_task forced_bos_token_id forced_eos_token_id gradient_checkpointing
id2label initializer_range label2id language name num_labels output_attentions
output_hidden_states output_past pooler_fc_size pooler_num_attention_heads pooler_num_fc_layers
pooler_size_per_head pooler_type prefix problem_type qa_dropout return_dict sep_token_id
seq_classif_dropout task_specific_params tf_legacy_loss tie_encoder_decoder tie_weights_
tie_word_embeddings tokenizer_class torch_dtype torchscript transformers_version use_bfloat16
use_cache xla_device
bad_words_ids begin_suppress_tokens diversity_penalty do_sample early_stopping
encoder_no_repeat_ngram_size exponential_decay_length_penalty length_penalty max_length min_length
no_repeat_ngram_size num_beam_groups num_beams num_return_sequences output_scores
remove_invalid_values repetition_penalty return_dict_in_generate suppress_tokens temperature top_k
top_p typical_p
""".split()
)
"""Fields that change no vector: of heads, of text generation, of the first weights, of storage.

The ties of weights (`tie_word_embeddings`, `tie_weights_`) are those between the vocabulary's
vectors and a head that is not read. The word vectors themselves are always read.
"""

Size = Annotated[int, pydantic.Field(ge=1, le=65_536)]
Rate = Annotated[float, pydantic.Field(ge=0, lt=1)]


@dataclasses.dataclass(frozen=True)
class TextConfig:
    """Sizes and constants of a text encoder.

    Attributes:
        family: Value of `model_type`.
        vocabulary: Number of pieces that have vectors.
        width: Size of a piece's vector.
        layers: Number of layers.
        heads: Number of attention heads in a layer.
        inner: Number of units between the two dense layers of a layer.
        positions: Number of positions that have vectors.
        types: Number of token types that have vectors; 0 without such vectors.
        activation: Name of the activation between the two dense layers.
        epsilon: Epsilon of the layer normalizations.
        first_position: Position of the first piece; RoBERTa's positions begin behind the id of
            padding. In other families that id changes no vector.
        dropout: Dropout rate of embeddings and layers while the encoder is trained.
        joined_dropout: Dropout rate behind the attention while the encoder is trained.
        attention_dropout: Dropout rate of the attention's weights while the encoder is trained.
    """

    family: TransformerFamily
    vocabulary: int
    width: int
    layers: int
    heads: int
    inner: int
    positions: int
    types: int
    activation: Activation
    epsilon: float
    first_position: int
    dropout: float
    joined_dropout: float
    attention_dropout: float

    @property
    def pooled(self) -> int:
        """Size of the vector of a text."""
        return self.width

    @property
    def longest(self) -> int:
        """Largest number of pieces of a text that have positions."""
        return self.positions - self.first_position


class _Config(pydantic.BaseModel):
    """Fields that each `config.json` may have; their values are those of an encoder."""

    model_config = pydantic.ConfigDict(extra="forbid", frozen=True, strict=True)

    model_type: TransformerFamily
    vocab_size: int = pydantic.Field(ge=1, le=4_000_000)
    max_position_embeddings: Size
    add_cross_attention: Literal[False] = False
    auto_map: None = None
    cross_attention_hidden_size: None = None
    is_decoder: Literal[False] = False
    is_encoder_decoder: Literal[False] = False
    pruned_heads: dict[str, Any] = pydantic.Field(default={}, max_length=0)
    quantization_config: None = None


class _BertConfig(_Config):
    """Fields of BERT, with the defaults of Transformers for those that old files do not have."""

    hidden_size: Size
    num_hidden_layers: int = pydantic.Field(ge=1, le=128)
    num_attention_heads: Size
    intermediate_size: Size
    type_vocab_size: Annotated[int, pydantic.Field(ge=1, le=1024)] = 2
    hidden_act: Activation = "gelu"
    layer_norm_eps: float = pydantic.Field(default=1e-12, gt=0, lt=1)
    hidden_dropout_prob: Rate = 0.1
    attention_probs_dropout_prob: Rate = 0.1
    position_embedding_type: Literal["absolute"] = "absolute"
    pad_token_id: int | None = pydantic.Field(default=0, ge=0)

    def known(self) -> TextConfig:
        """Returns the sizes under the names that all families share."""
        return TextConfig(
            family=self.model_type,
            vocabulary=self.vocab_size,
            width=self.hidden_size,
            layers=self.num_hidden_layers,
            heads=self.num_attention_heads,
            inner=self.intermediate_size,
            positions=self.max_position_embeddings,
            types=self.type_vocab_size,
            activation=self.hidden_act,
            epsilon=self.layer_norm_eps,
            first_position=0,
            dropout=self.hidden_dropout_prob,
            joined_dropout=self.hidden_dropout_prob,
            attention_dropout=self.attention_probs_dropout_prob,
        )


class _RobertaConfig(_BertConfig):
    """Fields of RoBERTa and of the models of its shape: XLM-R and CamemBERT."""

    pad_token_id: int = pydantic.Field(default=1, ge=0)

    def known(self) -> TextConfig:
        return dataclasses.replace(super().known(), first_position=self.pad_token_id + 1)


class _DistilBertConfig(_Config):
    """Fields of DistilBERT; its epsilon is no field.

    Sinusoidal positions are vectors in the file of tensors like any others.
    """

    dim: Size
    n_layers: int = pydantic.Field(ge=1, le=128)
    n_heads: Size
    hidden_dim: Size
    activation: Activation = "gelu"
    dropout: Rate = 0.1
    attention_dropout: Rate = 0.1
    sinusoidal_pos_embds: bool = False
    pad_token_id: int | None = pydantic.Field(default=0, ge=0)

    def known(self) -> TextConfig:
        """Returns the sizes under the names that all families share."""
        return TextConfig(
            family=self.model_type,
            vocabulary=self.vocab_size,
            width=self.dim,
            layers=self.n_layers,
            heads=self.n_heads,
            inner=self.hidden_dim,
            positions=self.max_position_embeddings,
            types=0,
            activation=self.activation,
            epsilon=1e-12,
            first_position=0,
            dropout=self.dropout,
            joined_dropout=0.0,
            attention_dropout=self.attention_dropout,
        )


_FAMILIES: Mapping[str, type[_BertConfig | _DistilBertConfig]] = {
    "bert": _BertConfig,
    "distilbert": _DistilBertConfig,
    "roberta": _RobertaConfig,
    "xlm-roberta": _RobertaConfig,
    "camembert": _RobertaConfig,
}


def parse(fields: Mapping[str, Any], family: str, name: str) -> TextConfig:
    """Reads a configuration.

    Args:
        fields: Content of `config.json`.
        family: Family that the spec names.
        name: Name of the file for errors.

    Raises:
        OptionsError: If the file is of another family, or has a field or a value that this encoder
            does not compute; the message names it.
    """
    if fields.get("model_type") != family:
        known = ", ".join(_FAMILIES)
        raise OptionsError(
            f"{name}: model_type is {fields.get('model_type')!r:.80}, and model.text_encoder is "
            f"{family}; make them equal (known: {known})"
        )
    read = {key: value for key, value in fields.items() if key not in _HARMLESS}
    try:
        config = _FAMILIES[family].model_validate(read).known()
        _check(config)
    except pydantic.ValidationError as error:
        problem = error.errors(include_url=False, include_input=False, include_context=False)[0]
        field = ".".join(map(str, problem["loc"])) or "config.json"
        message = problem["msg"].removeprefix("Value error, ")
        given = f", got {fields[field]!r:.80}" if field in fields else ""
        raise OptionsError(
            f"{name}: {field}: {message[0].lower()}{message[1:]}{given}; "
            f"give a {family} encoder without it"
        ) from error
    except ValueError as error:
        raise OptionsError(f"{name}: {error}; give the file as it was saved") from error
    return config


def _check(known: TextConfig) -> None:
    if known.width % known.heads:
        raise ValueError(f"width {known.width} cannot be divided among {known.heads} heads")
    if known.longest < 1:
        raise ValueError(f"{known.positions} positions leave none for a piece")
