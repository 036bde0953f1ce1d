"""Registry of fusions: the layers behind each value of `model.fusion`."""

from collections.abc import Callable, Mapping, Sequence
from typing import Any

from triad_ml.model.fusion.attention import AttentionFusion, Tokens
from triad_ml.model.fusion.concat import ConcatFusion, MlpFusion, Tensor
from triad_ml.model.fusion.gated import GatedFusion
from triad_ml.transforms.spec.model import ModelSpec

_SIMPLE: Mapping[str, Callable[..., Any]] = {
    "concat": ConcatFusion,
    "mlp": MlpFusion,
    "gated": GatedFusion,
}


def join(
    spec: ModelSpec,
    embeddings: Sequence[Tensor],
    used: Tensor,
    sequences: Sequence[Tokens | None],
) -> Tensor:
    """Joins modalities as `model.fusion` says.

    Args:
        spec: Gives `dim`, and `fusion`, which is not `sum`: there nothing is joined.
        embeddings: One per modality, float32 `[batch, dim]`, learned ones where it is missing.
        used: Which of them are there, bool `[batch, modalities]`.
        sequences: Per modality what its tower saw step by step; only attention looks at it.

    Returns:
        float32 `[batch, dim]`.
    """
    if spec.fusion == "attention":
        there = [(place, one) for place, one in enumerate(sequences) if one is not None]
        layer = AttentionFusion(spec.dim, [place for place, _ in there], name="fusion")
        steps = [[one[part] for _, one in there] for part in (0, 1)] if there else []
        return layer(list(embeddings), used, *steps)  # Keras takes no empty lists
    return _SIMPLE[spec.fusion](spec.dim, name="fusion")(list(embeddings), used)


def hidden_units(spec: ModelSpec) -> int:
    """Units of the hidden layer that the heads behind the joint embedding have; 0 is none."""
    return spec.dim if spec.fusion == "concat" else 0
