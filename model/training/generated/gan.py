"""Conditional Wasserstein GAN with gradient penalty over vectors of classes.

The generator learns the difference of a vector from the mean of its class, so that it can learn
from frequent classes how vectors of rare ones differ (Gulrajani et al., 2017, for the penalty).
"""

import hashlib
import json
from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple, TypeAlias

import keras
import numpy as np
import numpy.typing as npt
import tensorflow as tf

from triad_ml.model.training import checkpoints
from triad_ml.model.training.checkpoints import Arrays, Checkpoint
from triad_ml.model.training.generated.space import Floats

Ids: TypeAlias = npt.NDArray[np.int64]

STEPS, EVERY = 1000, 200
"""Steps of the generator in all, and between two checkpoints."""

CRITIC_STEPS = 5
"""Steps of the critic for each step of the generator."""

PENALTY = 10.0
"""Weight of the gradient penalty."""

LATENT, HIDDEN, BATCH = 16, 128, 64
"""Random numbers of a vector, units of the hidden layers, and vectors in a batch."""

_RATE, _MOMENTA = 3e-3, (0.0, 0.9)
_STEP, _LAYER = 1, 2  # purpose of a seed


class Settings(NamedTuple):
    """Settings of a training of the GAN.

    Attributes:
        seed: Seed of weights, batches and random numbers.
        steps: Number of steps of the generator, such as `STEPS`.
        every: Number of steps between two checkpoints, such as `EVERY`.
    """

    seed: int
    steps: int
    every: int


class Gan:
    """Generator and critic, with their optimizers.

    Args:
        coordinates: Number of coordinates of a vector; see `space.Space`.
        means: Mean of each class, float64 `[classes, coordinates]`.
        seed: Seed of the weights.
        steps: Number of steps of the generator, in which the learning rates fall to 0. The networks
            would otherwise circle around their equilibrium.
    """

    def __init__(self, coordinates: int, means: Floats, seed: int, steps: int) -> None:
        classes = len(means)
        self._means = tf.constant(means, tf.float32)
        self._generator = _network(LATENT, classes, coordinates, seed, 0)
        self._critic = _network(coordinates, classes, 1, seed, 1)
        self._optimizers: list[keras.optimizers.Optimizer] = []
        for network, each in ((self._generator, 1), (self._critic, CRITIC_STEPS)):
            first, second = _MOMENTA
            rate = keras.optimizers.schedules.PolynomialDecay(_RATE, each * steps, 0.0)
            optimizer = keras.optimizers.Adam(rate, beta_1=first, beta_2=second)
            optimizer.build(network.trainable_variables)
            self._optimizers.append(optimizer)

    def step(
        self, rows: Floats, ids: Ids, places: Sequence[Ids], random: np.random.Generator
    ) -> None:
        """Does the steps of the critic, then one of the generator.

        Args:
            rows: Coordinates of the training vectors, float64 `[rows, coordinates]`.
            ids: Classes of the rows, int64 `[rows]`.
            places: Rows of each class that has some.
            random: Generator that draws the batches, in which all classes are equally frequent.
        """
        shape = (CRITIC_STEPS + 1, BATCH)
        classes = random.integers(len(places), size=shape)
        sizes = np.array([len(one) for one in places])
        within = (random.random(shape) * sizes[classes]).astype(np.int64)
        pairs = zip(classes.ravel().tolist(), within.ravel().tolist(), strict=True)
        chosen = np.array([places[one][place] for one, place in pairs]).reshape(shape)
        noise = random.normal(size=(*shape, LATENT)).astype(np.float32)
        shares = random.random((CRITIC_STEPS, BATCH, 1)).astype(np.float32)
        for number in range(CRITIC_STEPS):
            real = tf.constant(rows[chosen[number]], tf.float32)
            own = tf.constant(ids[chosen[number]])
            self._judge(real, own, tf.constant(noise[number]), tf.constant(shares[number]))
        self._generate(tf.constant(ids[chosen[-1]]), tf.constant(noise[-1]))

    def draw(self, ids: Ids, random: np.random.Generator) -> Floats:
        """Generates one vector for each class id, float64 `[ids, coordinates]`."""
        noise = tf.constant(random.normal(size=(len(ids), LATENT)), tf.float32)
        return np.asarray(self._made(noise, tf.constant(ids)).numpy(), np.float64)

    @property
    def state(self) -> tuple[list[keras.Variable], list[keras.Variable]]:
        """Weights of both networks, and variables of both optimizers."""
        weights = [*self._generator.weights, *self._critic.weights]
        return weights, [one for optimizer in self._optimizers for one in optimizer.variables]

    def _made(self, noise: tf.Tensor, ids: tf.Tensor) -> tf.Tensor:
        means = tf.gather(self._means, ids)
        return means + self._generator([noise, self._hot(ids)])

    def _hot(self, ids: tf.Tensor) -> tf.Tensor:
        return tf.one_hot(ids, self._means.shape[0])

    @tf.function(autograph=False)
    def _judge(self, real: tf.Tensor, ids: tf.Tensor, noise: tf.Tensor, shares: tf.Tensor) -> None:
        hot, made = self._hot(ids), self._made(noise, ids)
        between = real + shares * (made - real)
        with tf.GradientTape() as tape:
            with tf.GradientTape() as inner:
                inner.watch(between)
                judged = self._critic([between, hot])
            slopes = inner.gradient(judged, between)
            lengths = tf.sqrt(tf.reduce_sum(slopes**2, axis=1) + 1e-12)
            loss = tf.reduce_mean(
                self._critic([made, hot]) - self._critic([real, hot])
            ) + PENALTY * tf.reduce_mean((lengths - 1.0) ** 2)
        _, critic = self._optimizers
        variables = self._critic.trainable_variables
        critic.apply(_all(tape.gradient(loss, variables), variables), variables)

    @tf.function(autograph=False)
    def _generate(self, ids: tf.Tensor, noise: tf.Tensor) -> None:
        with tf.GradientTape() as tape:
            loss = -tf.reduce_mean(self._critic([self._made(noise, ids), self._hot(ids)]))
        generator, _ = self._optimizers
        variables = self._generator.trainable_variables
        generator.apply(tape.gradient(loss, variables), variables)


def fit(rows: Floats, ids: Ids, num_classes: int, settings: Settings, folder: Path) -> Gan:
    """Trains a GAN, resumes an interrupted training, or loads a finished one.

    Everything random follows from the seed and the step, so an interrupted training ends with the
    weights of an uninterrupted one.

    Args:
        rows: Coordinates of the training vectors, float64 `[rows, coordinates]`.
        ids: Classes of the rows, int64 `[rows]`, each below `num_classes`.
        num_classes: Number of classes.
        settings: Seed and number of steps.
        folder: Folder of the checkpoints.

    Raises:
        OptionsError: If the folder holds the training of another GAN.
        StorageError: If a checkpoint cannot be read or written.
    """
    found = [np.flatnonzero(ids == one) for one in range(num_classes)]
    means = np.stack([rows[one].mean(axis=0) if len(one) else rows.mean(axis=0) for one in found])
    digest = _digest(rows, ids, num_classes, settings)
    gan = Gan(rows.shape[1], means, settings.seed, settings.steps)
    places = [one for one in found if len(one)]
    last = checkpoints.latest(folder, digest)
    if last is not None:
        for variables, values in zip(gan.state, (last.weights, last.optimizer), strict=True):
            for variable, value in zip(variables, values, strict=True):
                variable.assign(value)
    begun = min(last.epoch * settings.every, settings.steps) if last is not None else 0
    for step in range(begun, settings.steps):
        gan.step(rows, ids, places, np.random.default_rng([settings.seed, step, _STEP]))
        if (step + 1) % settings.every == 0 or step + 1 == settings.steps:
            checkpoints.save(folder, _checkpoint(gan, digest, step + 1, settings))
    return gan


def _checkpoint(gan: Gan, digest: str, steps: int, settings: Settings) -> Checkpoint:
    weights, optimizer = (_values(variables) for variables in gan.state)
    return Checkpoint(
        digest=digest,
        epoch=-(-steps // settings.every),
        weights=weights,
        optimizer=optimizer,
        best=(),
        best_epoch=0,
        best_loss=None,
        history=(),
        done=steps == settings.steps,
    )


def _values(variables: Sequence[keras.Variable]) -> Arrays:
    return tuple(np.array(variable.numpy()) for variable in variables)


def _digest(rows: Floats, ids: Ids, num_classes: int, settings: Settings) -> str:
    shape = json.dumps([list(rows.shape), num_classes, list(settings)]).encode()
    whole = hashlib.sha256(shape)
    for array in (rows, ids):
        whole.update(np.ascontiguousarray(array).tobytes())
    return whole.hexdigest()


def _all(
    gradients: Sequence[tf.Tensor | None], variables: Sequence[keras.Variable]
) -> list[tf.Tensor]:
    """Replaces missing gradients by zeros: the critic's last bias has no effect on its loss."""
    return [
        tf.zeros(variable.shape) if gradient is None else gradient
        for gradient, variable in zip(gradients, variables, strict=True)
    ]


def _network(inputs: int, classes: int, outputs: int, seed: int, number: int) -> keras.Model:
    vectors, hot = keras.Input((inputs,)), keras.Input((classes,))
    values = keras.layers.Concatenate()([vectors, hot])
    for layer, units in enumerate((HIDDEN, HIDDEN, outputs)):
        drawn = np.random.SeedSequence([seed, number, layer, _LAYER]).generate_state(1)[0]
        initial = keras.initializers.GlorotUniform(seed=int(drawn >> 1))
        values = keras.layers.Dense(units, kernel_initializer=initial)(values)
        if layer < 2:
            values = keras.layers.LeakyReLU(0.2)(values)
    return keras.Model([vectors, hot], values)
