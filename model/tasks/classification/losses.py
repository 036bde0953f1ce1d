"""Losses that skip records without a label, and the weights of their classes."""

from typing import TypeAlias

import keras
import numpy as np
import numpy.typing as npt
from keras import ops

Tensor: TypeAlias = keras.KerasTensor


def masked_sparse_crossentropy(
    labels: Tensor,
    logits: Tensor,
    class_weights: npt.NDArray[np.float32] | None = None,
    label_smoothing: float = 0.0,
    gamma: float = 0.0,
) -> Tensor:
    """Mean cross-entropy over the rows whose label is one of the classes; 0 where there is none.

    The gradient of every other row is exactly zero, whatever its logits are.

    Args:
        labels: Class ids, int64 `[batch]`; negative where missing, at least the number of classes
            where training does not know the class.
        logits: float32 `[batch, classes]`.
        class_weights: float32 `[classes]`; all 1 if None.
        label_smoothing: Share of a label's mass that is spread over all classes.
        gamma: Of the focal loss: each row's loss is multiplied by one minus the probability of its
            class, to this power. 0 is plain cross-entropy.
    """
    return masked_mean(*sparse_crossentropy(labels, logits, class_weights, label_smoothing, gamma))


def masked_binary_crossentropy(
    labels: Tensor,
    logits: Tensor,
    class_weights: npt.NDArray[np.float32] | None = None,
    label_smoothing: float = 0.0,
    gamma: float = 0.0,
) -> Tensor:
    """Mean binary cross-entropy, over classes and labelled rows; 0 where there is no such row.

    Args:
        labels: float32 `[batch, classes]` of 0 and 1; a row is negative where missing.
        logits: float32 `[batch, classes]`.
        class_weights: float32 `[2, classes]`: of the absent and of the present classes.
        label_smoothing: Share of a label's mass that is spread over present and absent.
        gamma: As in `masked_sparse_crossentropy`, class by class: what counts is the probability of
            absent where the class is absent.
    """
    return masked_mean(*binary_crossentropy(labels, logits, class_weights, label_smoothing, gamma))


def sparse_crossentropy(
    labels: Tensor,
    logits: Tensor,
    class_weights: npt.NDArray[np.float32] | None = None,
    label_smoothing: float = 0.0,
    gamma: float = 0.0,
) -> tuple[Tensor, Tensor]:
    """Losses float32 `[batch]`, 0 where not known, and which rows are known, bool `[batch]`."""
    num_classes = logits.shape[-1]
    known = ops.logical_and(labels >= 0, labels < num_classes)
    safe = ops.where(known, labels, 0)
    log_shares = ops.log_softmax(ops.where(known[:, None], logits, 0.0), axis=-1)
    hot = ops.one_hot(safe, num_classes, dtype="float32")
    losses = -ops.sum(hot * log_shares, axis=-1)
    if label_smoothing:
        spread = -ops.mean(log_shares, axis=-1)
        losses = (1.0 - label_smoothing) * losses + label_smoothing * spread
    if gamma:
        losses = losses * ops.relu(1.0 - ops.exp(ops.sum(hot * log_shares, axis=-1))) ** gamma
    if class_weights is not None:
        losses = losses * ops.sum(hot * class_weights, axis=-1)
    return ops.where(known, losses, 0.0), known


def binary_crossentropy(
    labels: Tensor,
    logits: Tensor,
    class_weights: npt.NDArray[np.float32] | None = None,
    label_smoothing: float = 0.0,
    gamma: float = 0.0,
) -> tuple[Tensor, Tensor]:
    """Losses float32 `[batch]`, 0 where not known, and which rows are known, bool `[batch]`."""
    known = ops.all(labels >= 0, axis=-1)
    logits = ops.where(known[:, None], logits, 0.0)
    hot = ops.where(known[:, None], labels, 0.0)
    targets = hot * (1.0 - label_smoothing) + label_smoothing / 2
    losses = ops.relu(logits) - logits * targets + ops.log1p(ops.exp(-ops.abs(logits)))
    if gamma:
        # One minus the probability of what is true is the sigmoid of the logits' other side.
        losses = losses * ops.sigmoid((1.0 - 2.0 * hot) * logits) ** gamma
    if class_weights is not None:
        losses = losses * (hot * class_weights[1] + (1.0 - hot) * class_weights[0])
    return ops.where(known, ops.mean(losses, axis=-1), 0.0), known


def masked_mean(losses: Tensor, known: Tensor) -> Tensor:
    """Sum of `losses` over the number of rows that are `known`, or 0 where no row is."""
    return ops.sum(losses) / ops.maximum(ops.sum(ops.cast(known, "float32")), 1.0)


def balanced_weights(class_counts: npt.NDArray[np.int64]) -> npt.NDArray[np.float32]:
    """Weights float32 `[classes]` that give each class the same share of the loss; 1 on average.

    Args:
        class_counts: Records of each class, `[classes]`. A class without one gets the weight 0.
    """
    return _balanced(class_counts, int(np.count_nonzero(class_counts)))


def balanced_set_weights(
    class_counts: npt.NDArray[np.int64], labelled: int
) -> npt.NDArray[np.float32]:
    """Weights float32 `[2, classes]` that make absent and present weigh alike in each class.

    Args:
        class_counts: Records that have each class, `[classes]`.
        labelled: Records that have a label at all.
    """
    both = np.stack([labelled - class_counts, class_counts])
    return np.stack([_balanced(pair, int(np.count_nonzero(pair))) for pair in both.T], axis=1)


def _balanced(counts: npt.NDArray[np.int64], num_classes: int) -> npt.NDArray[np.float32]:
    shares = counts.sum() / np.maximum(counts * max(num_classes, 1), 1)
    return np.where(counts > 0, shares, 0.0).astype(np.float32)
