"""Optimizers by name, each with warm-up, cosine decay and a bound of the gradient."""

from collections.abc import Callable, Mapping, Sequence

import keras

from triad_ml.transforms.spec.training import Training

WARM_UP = 0.05
"""Share of the planned steps over which the learning rate rises, before its cosine decay."""

_CLIP_NORM = 1.0

# Not Nadam: `variables` lacks its product of momenta, so a checkpoint would not hold its state.
OPTIMIZERS: Mapping[str, Callable[..., keras.optimizers.Optimizer]] = {
    "adamw": keras.optimizers.AdamW,
    "adam": keras.optimizers.Adam,
    "sgd": keras.optimizers.SGD,
    "lion": keras.optimizers.Lion,
    "rmsprop": keras.optimizers.RMSprop,
    "adagrad": keras.optimizers.Adagrad,
}
"""Optimizers, by their names in the key `training.optimizer` of a spec.

All of the state of each is in its `variables`, so that a checkpoint holds it.
"""

_WITHOUT_DECAY = frozenset({"adam"})
"""Optimizers without weight decay; Keras's Adam with it is AdamW."""


def optimizer(
    variables: Sequence[keras.Variable], settings: Training, planned: int, rate: float
) -> keras.optimizers.Optimizer:
    """Creates the optimizer of a training, with its variables.

    Args:
        variables: Variables that it changes.
        settings: Section `training` of the spec.
        planned: Optimizer steps until the learning rate reaches its final value.
        rate: Peak of the learning rate.
    """
    warm_up = max(1, round(WARM_UP * planned))
    schedule = keras.optimizers.schedules.CosineDecay(
        initial_learning_rate=rate / (warm_up + 1),
        decay_steps=max(1, planned - warm_up),
        alpha=0.01,
        warmup_target=rate,
        warmup_steps=warm_up,
    )
    decay = None if settings.optimizer in _WITHOUT_DECAY else settings.weight_decay
    made = OPTIMIZERS[settings.optimizer](
        schedule,
        weight_decay=decay,
        global_clipnorm=_CLIP_NORM,
        **settings.optimizer_arguments,
    )
    # Decay of biases, scales and embeddings of missing modalities would regularize nothing.
    made.exclude_from_weight_decay([variable for variable in variables if len(variable.shape) < 2])
    made.build(variables)
    return made
