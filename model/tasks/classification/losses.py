"""Cross-entropy losses that skip records without a label; weights and log priors of classes."""

from typing import TypeAlias

import keras
import numpy as np
import numpy.typing as npt
from keras import ops

Tensor: TypeAlias = keras.KerasTensor


def sparse_crossentropy(
    labels: Tensor,
    logits: Tensor,
    class_weights: npt.NDArray[np.float32] | None = None,
    label_smoothing: float = 0.0,
    gamma: float = 0.0,
) -> tuple[Tensor, Tensor]:
    """Computes the cross-entropy of each row whose label is a known class.

    The gradient of every other row is exactly zero, whatever its logits are.

    Args:
        labels: Class ids, int64 `[batch]`; negative if missing, the number of classes or more for
            a class unseen in training.
        logits: float32 `[batch, classes]`.
        class_weights: float32 `[classes]`; all 1 if None.
        label_smoothing: Share of a label's probability mass that is spread over all classes.
        gamma: Exponent of the focal loss: each row's loss is multiplied by one minus the
            probability of its class, to this power. 0 is plain cross-entropy.

    Returns:
        Losses, float32 `[batch]`, 0 for rows that are not known, and the mask of known rows, bool
        `[batch]`.
    """
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
    """Computes the mean binary cross-entropy over the classes of each row with a label.

    Args:
        labels: float32 `[batch, classes]` of 0 and 1; a row is negative if its label is missing.
        logits: float32 `[batch, classes]`.
        class_weights: float32 `[2, classes]`: weights if a class is absent, and if it is present.
        label_smoothing: Share of a label's probability mass that is spread over present and absent.
        gamma: Exponent of the focal loss as in `sparse_crossentropy`, applied to each class with
            the probability of its true state, present or absent.

    Returns:
        Losses, float32 `[batch]`, 0 for rows that are not known, and the mask of known rows, bool
        `[batch]`.
    """
    known = ops.all(labels >= 0, axis=-1)
    logits = ops.where(known[:, None], logits, 0.0)
    hot = ops.where(known[:, None], labels, 0.0)
    targets = hot * (1.0 - label_smoothing) + label_smoothing / 2
    losses = ops.relu(logits) - logits * targets + ops.log1p(ops.exp(-ops.abs(logits)))
    if gamma:
        # One minus the probability of the true state is the sigmoid of the opposite logit.
        losses = losses * ops.sigmoid((1.0 - 2.0 * hot) * logits) ** gamma
    if class_weights is not None:
        losses = losses * (hot * class_weights[1] + (1.0 - hot) * class_weights[0])
    return ops.where(known, ops.mean(losses, axis=-1), 0.0), known


def masked_mean(losses: Tensor, known: Tensor) -> Tensor:
    """Divides the sum of `losses` by the number of `known` rows; returns 0 if no row is known."""
    return ops.sum(losses) / ops.maximum(ops.sum(ops.cast(known, "float32")), 1.0)


def mixed_mean(own: tuple[Tensor, Tensor], other: tuple[Tensor, Tensor], shares: Tensor) -> Tensor:
    """Computes the mean of mixed losses over the labels that are known; 0 without any.

    Args:
        own: Losses for each record's label, float32 `[batch]`, and the mask of known ones.
        other: The same for the label of the record that it is mixed with.
        shares: Share of each record in its mixture, float32 `[batch]`.
    """
    weighted = [(own, shares), (other, 1.0 - shares)]
    total = sum(ops.sum(share * rows) for (rows, _), share in weighted)
    number = sum(ops.sum(share * ops.cast(known, "float32")) for (_, known), share in weighted)
    return total / ops.maximum(number, 1.0)


def balanced_weights(class_counts: npt.NDArray[np.int64]) -> npt.NDArray[np.float32]:
    """Computes weights, float32 `[classes]`, that give each class the same share of the loss.

    Their mean over the records is 1.

    Args:
        class_counts: Number of records of each class, `[classes]`. A class without records gets
            the weight 0.
    """
    return _balanced(class_counts, int(np.count_nonzero(class_counts)))


def balanced_set_weights(
    class_counts: npt.NDArray[np.int64], labelled: int
) -> npt.NDArray[np.float32]:
    """Computes weights, float32 `[2, classes]`, that balance absent and present in each class.

    Args:
        class_counts: Number of records that have each class, `[classes]`.
        labelled: Number of records with a label.
    """
    both = np.stack([labelled - class_counts, class_counts])
    return np.stack([_balanced(pair, int(np.count_nonzero(pair))) for pair in both.T], axis=1)


def effective_weights(class_counts: npt.NDArray[np.int64], beta: float) -> npt.NDArray[np.float32]:
    """Computes class-balanced weights, float32 `[classes]` (Cui et al., 2019).

    A class weighs by the inverse of the effective number of its n records,
    `(1 - beta**n) / (1 - beta)`. Their mean over the records is 1.

    Args:
        class_counts: Number of records of each class, `[classes]`. A class without records gets
            the weight 0.
        beta: Weight of each further record of a class relative to the one before it: towards 0 all
            classes weigh the same, towards 1 the weights are those of `balanced_weights`.
    """
    counts = np.asarray(class_counts, np.float64)
    # expm1 and log1p keep the digits of a beta close to 1.
    inverse = (1.0 - beta) / -np.expm1(np.maximum(counts, 1.0) * np.log(beta))
    weights = np.where(counts > 0, inverse, 0.0)
    total = (weights * counts).sum()
    return np.asarray(weights * (counts.sum() / total if total else 1.0), np.float32)


def effective_set_weights(
    class_counts: npt.NDArray[np.int64], labelled: int, beta: float
) -> npt.NDArray[np.float32]:
    """Computes weights as `effective_weights` of absent and present in each class.

    Args:
        class_counts: Number of records that have each class, `[classes]`.
        labelled: Number of records with a label.
        beta: As in `effective_weights`.

    Returns:
        float32 `[2, classes]`.
    """
    both = np.stack([labelled - class_counts, class_counts])
    return np.stack([effective_weights(pair, beta) for pair in both.T], axis=1)


def log_priors(class_counts: npt.NDArray[np.int64]) -> npt.NDArray[np.float32]:
    """Computes the logarithm of each class's share of the records, float32 `[classes]`.

    The loss of logits plus these numbers is the logit-adjusted loss (Menon et al., 2021). A class
    without records counts as half a record.

    Args:
        class_counts: Number of records of each class, `[classes]`.
    """
    counts = np.maximum(np.asarray(class_counts, np.float64), 0.5)
    return np.asarray(np.log(counts / counts.sum()), np.float32)


def set_log_priors(class_counts: npt.NDArray[np.int64], labelled: int) -> npt.NDArray[np.float32]:
    """Computes the logarithm of the odds of each class, float32 `[classes]`.

    A class that no record has, or that each record has, counts as half a record more.

    Args:
        class_counts: Number of records that have each class, `[classes]`.
        labelled: Number of records with a label.
    """
    present = np.maximum(np.asarray(class_counts, np.float64), 0.5)
    absent = np.maximum(labelled - np.asarray(class_counts, np.float64), 0.5)
    return np.log(present / absent).astype(np.float32)


def _balanced(counts: npt.NDArray[np.int64], num_classes: int) -> npt.NDArray[np.float32]:
    shares = counts.sum() / np.maximum(counts * max(num_classes, 1), 1)
    return np.where(counts > 0, shares, 0.0).astype(np.float32)
