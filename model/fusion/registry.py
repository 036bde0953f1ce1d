"""Registry of fusions, by their names in the key `model.fusion` of a spec."""

import dataclasses
import functools
from collections.abc import Callable, Mapping, Sequence
from typing import Any, TypeAlias

from triad_ml.model.fusion.attention import AttentionFusion
from triad_ml.model.fusion.concat import ConcatFusion, MlpFusion, Tensor
from triad_ml.model.fusion.gated import GatedFusion
from triad_ml.model.towers.steps import Tokens
from triad_ml.transforms.spec.model import ModelSpec

Join: TypeAlias = Callable[[ModelSpec, Sequence[Tensor], Tensor, Sequence[Tokens | None]], Tensor]
"""Function that joins modalities.

Args:
    spec: Section `model` of the spec, with `dim`.
    embeddings: Embeddings, one per modality, float32 `[batch, dim]`, learned if it is missing.
    used: Mask of the modalities, bool `[batch, modalities]`, True if present and not hidden.
    steps: Per modality, the tokens of its tower; None without tokens, or if the fusion reads none.

Returns:
    Joint embedding, float32 `[batch, dim]`.
"""


@dataclasses.dataclass(frozen=True)
class Fusion:
    """Method to join modalities.

    Attributes:
        join: Function that builds the joint embedding; None for late fusion, which adds logits
            instead.
        looks_at_steps: True if it reads the tokens of the towers, not only their embeddings.
        leaves_mixing: True if interactions of modalities are left to the heads, which then have a
            hidden layer.
    """

    join: Join | None
    looks_at_steps: bool = False
    leaves_mixing: bool = False

    @property
    def joint(self) -> bool:
        """True if there is a joint embedding for heads to read."""
        return self.join is not None

    def hidden_units(self, spec: ModelSpec) -> int:
        """Returns the number of units in the heads' hidden layer; 0 for no hidden layer."""
        return spec.dim if self.leaves_mixing else 0


def _embeddings_joined(
    layer: Callable[..., Any],
    spec: ModelSpec,
    embeddings: Sequence[Tensor],
    used: Tensor,
    steps: Sequence[Tokens | None],
) -> Tensor:
    return layer(spec.dim, name="fusion")(list(embeddings), used)


def _through_a_perceptron(
    spec: ModelSpec,
    embeddings: Sequence[Tensor],
    used: Tensor,
    steps: Sequence[Tokens | None],
) -> Tensor:
    layer = functools.partial(MlpFusion, units=spec.hidden_units, dropout=spec.fusion_dropout)
    return _embeddings_joined(layer, spec, embeddings, used, steps)


def _steps_joined(
    spec: ModelSpec,
    embeddings: Sequence[Tensor],
    used: Tensor,
    steps: Sequence[Tokens | None],
) -> Tensor:
    with_steps = [(index, tokens) for index, tokens in enumerate(steps) if tokens is not None]
    layer = AttentionFusion(spec.dim, [index for index, _ in with_steps], name="fusion")
    parts = [[tokens[part] for _, tokens in with_steps] for part in (0, 1)] if with_steps else []
    return layer(list(embeddings), used, *parts)  # no parts at all: Keras rejects empty lists


FUSIONS: Mapping[str, Fusion] = {
    "concat": Fusion(functools.partial(_embeddings_joined, ConcatFusion), leaves_mixing=True),
    "mlp": Fusion(_through_a_perceptron),
    "gated": Fusion(functools.partial(_embeddings_joined, GatedFusion)),
    "attention": Fusion(_steps_joined, looks_at_steps=True),
    "sum": Fusion(join=None),  # `late.logits`
}
