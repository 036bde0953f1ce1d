"""The registry of fusions: the way from modalities to heads, by its name in `model.fusion`."""

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
"""Joins modalities.

Args:
    spec: Gives `dim`.
    embeddings: One per modality, float32 `[batch, dim]`, learned ones where it is missing.
    used: Which of them are there, bool `[batch, modalities]`.
    steps: Per modality what its tower saw step by step, where the fusion looks at steps.

Returns:
    float32 `[batch, dim]`.
"""


@dataclasses.dataclass(frozen=True)
class Fusion:
    """One way to bring modalities together.

    Attributes:
        join: Builds the joint embedding; None for late fusion, where logits are added up instead.
        looks_at_steps: The towers give it their steps beside their embeddings.
        leaves_mixing: What only several modalities together tell is left to the heads, which have a
            hidden layer then.
    """

    join: Join | None
    looks_at_steps: bool = False
    leaves_mixing: bool = False

    @property
    def joint(self) -> bool:
        """Whether there is a joint embedding for heads to read."""
        return self.join is not None

    def hidden_units(self, spec: ModelSpec) -> int:
        """Units of the hidden layer of heads behind the joint embedding; 0 is none."""
        return spec.dim if self.leaves_mixing else 0


def _embeddings_joined(
    layer: Callable[..., Any],
    spec: ModelSpec,
    embeddings: Sequence[Tensor],
    used: Tensor,
    steps: Sequence[Tokens | None],
) -> Tensor:
    return layer(spec.dim, name="fusion")(list(embeddings), used)


def _steps_joined(
    spec: ModelSpec,
    embeddings: Sequence[Tensor],
    used: Tensor,
    steps: Sequence[Tokens | None],
) -> Tensor:
    there = [(place, one) for place, one in enumerate(steps) if one is not None]
    layer = AttentionFusion(spec.dim, [place for place, _ in there], name="fusion")
    given = [[one[part] for _, one in there] for part in (0, 1)] if there else []
    return layer(list(embeddings), used, *given)  # Keras takes no empty lists


FUSIONS: Mapping[str, Fusion] = {
    "concat": Fusion(functools.partial(_embeddings_joined, ConcatFusion), leaves_mixing=True),
    "mlp": Fusion(functools.partial(_embeddings_joined, MlpFusion)),
    "gated": Fusion(functools.partial(_embeddings_joined, GatedFusion)),
    "attention": Fusion(_steps_joined, looks_at_steps=True),
    "sum": Fusion(join=None),  # see `late.logits`
}
