"""Optimizer step on one batch, and loss and accuracy on a split, as TensorFlow functions."""

import dataclasses
import functools
from collections.abc import Mapping

import keras
import numpy as np
import numpy.typing as npt
import tensorflow as tf

from triad_ml.model.data import batches as data_batches
from triad_ml.model.data import scan
from triad_ml.model.layout import Layout
from triad_ml.model.network import Networks
from triad_ml.model.tasks import task_weights as tasks_task_weights
from triad_ml.model.tasks.classification import losses
from triad_ml.model.tasks.heads import heads_of
from triad_ml.model.towers import mixing, registry
from triad_ml.model.training import optimizers

Tensors = dict[str, tf.Tensor]
ClassWeights = Mapping[str, npt.NDArray[np.float32] | None]
"""By task, the weights of its classes; None if all weigh the same."""

_AUGMENT, _LAYERS = 1, 2  # purpose of a seed: augmentation, random generators of layers


@dataclasses.dataclass(frozen=True)
class Measured:
    """Sums over the records of a split, for one task.

    Attributes:
        loss: Sum of the losses of the records whose label the training knows.
        known: Number of these records.
        correct: Number of records that are predicted right. Sets of classes, tags and texts must
            be right as a whole; of a generated text each output token must be the likeliest after
            the true ones before it (teacher forcing).
        labelled: Number of records with a label.
    """

    loss: float
    known: int
    correct: int
    labelled: int


def class_weights(split: scan.Survey, layout: Layout) -> ClassWeights:
    """Computes the class weights of each task; None for a task whose spec asks for none."""
    return {
        name: head.class_weights(split.class_counts[name], split.labelled[name])
        for name, head in heads_of(layout.spec, layout.classes).items()
    }


def class_offsets(split: scan.Survey, layout: Layout) -> ClassWeights:
    """Computes the numbers that training adds to each task's logits; None if it adds none."""
    return {
        name: head.class_offsets(split.class_counts[name], split.labelled[name])
        for name, head in heads_of(layout.spec, layout.classes).items()
    }


class Steps:
    """Functions that a training calls with each batch, with the optimizers that they change.

    Args:
        networks: Training network and scoring network, which share their layers.
        layout: Layout with the tasks and the training settings.
        weights: Weights of the classes; see `class_weights`.
        planned: Optimizer steps until the learning rate reaches its final value.
        offsets: Numbers added to the logits in the losses; see `class_offsets`. None: none.

    Attributes:
        optimizer: Optimizer of all variables outside the pretrained encoders.
    """

    def __init__(
        self,
        networks: Networks,
        layout: Layout,
        weights: ClassWeights,
        planned: int,
        offsets: ClassWeights | None = None,
    ) -> None:
        self._networks = networks
        self._tasks = layout.spec.tasks
        self._heads = heads_of(layout.spec, layout.classes)
        self._settings = layout.spec.training
        self._weights = weights
        self._offsets = offsets or {}
        self._variables, self._encoders = _trained(networks)
        self._frozen_epochs = {
            name: registry.TOWERS[name].frozen_epochs(layout) for name in self._encoders
        }
        settings = layout.spec.training
        self.optimizer = optimizers.optimizer(
            self._variables, settings, planned, settings.learning_rate
        )
        rate = settings.learning_rate * settings.fine_tune_rate
        self._tuners = {
            name: optimizers.optimizer(
                variables,
                settings,
                planned * max(0, settings.epochs - self._frozen_epochs[name]) // settings.epochs,
                rate,
            )
            for name, variables in self._encoders.items()
        }
        self._tuned: tuple[str, ...] = ()
        known = {id(variable) for variable in networks.training.weights}
        # Keras counts the states of random generators among a model's variables, not its weights.
        self._generators = [v for v in networks.training.variables if id(v) not in known]

    def begin_epoch(self, epoch: int) -> None:
        """Seeds every random generator of the network from the epoch.

        Also decides which pretrained encoders this epoch fine-tunes.
        """
        self._tuned = tuple(name for name, last in self._frozen_epochs.items() if epoch > last)
        for index, state in enumerate(self._generators):
            seed = np.random.SeedSequence([self._settings.seed, epoch, _LAYERS, index])
            state.assign([seed.generate_state(1)[0], 0])

    def train(self, batch: data_batches.Batch, epoch: int, step: int) -> float:
        """Does one optimizer step and returns the loss before it."""
        seed = np.random.SeedSequence([self._settings.seed, epoch, _AUGMENT, step])
        drawn = (seed.generate_state(2) >> 1).astype(np.int32)
        return float(self._train(batch.features, batch.labels, tf.constant(drawn), self._tuned))

    def measure(self, batches: tf.data.Dataset) -> dict[str, Measured]:
        """Sums up losses and correct predictions of the scoring network on a split, by task."""
        sums = {name: np.zeros(4) for name in self._tasks}
        for features, labels, *_ in batches:
            for name, values in self._measure(features, labels).items():
                sums[name] += values.numpy()
        return {
            name: Measured(float(loss), int(known), int(correct), int(labelled))
            for name, (loss, known, correct, labelled) in sums.items()
        }

    @property
    def task_weights(self) -> dict[str, float]:
        """Factor of each task's loss, if these weights are learned; otherwise empty."""
        if self._settings.task_weights != "uncertainty":
            return {}
        values = self._networks.training.get_layer(tasks_task_weights.LAYER).values.numpy()
        learned = tasks_task_weights.weights(values)
        return {
            name: task.weight * float(weight)
            for (name, task), weight in zip(self._tasks.items(), learned, strict=True)
        }

    @property
    def learning_rate(self) -> float:
        """Learning rate of the next step."""
        return float(self.optimizer.learning_rate)

    @property
    def state(self) -> list[keras.Variable]:
        """Variables of the optimizers; the first is the number of steps."""
        tuners = [variable for one in self._tuners.values() for variable in one.variables]
        return [*self.optimizer.variables, *tuners]

    @tf.function(autograph=False)
    def _train(
        self, features: Tensors, labels: Tensors, seed: tf.Tensor, tuned: tuple[str, ...]
    ) -> tf.Tensor:
        changes = self._settings.changes
        if changes:
            features = registry.augment(features, seed, changes)
        mix = mixing.mixed(features, seed) if "mixup" in changes else None
        if mix is not None:
            features = mix.features
        trained = {self.optimizer: self._variables}
        trained |= {self._tuners[name]: self._encoders[name] for name in tuned}
        with tf.GradientTape() as tape:
            logits = dict(self._networks.training(features, training=True))
            log_variances = logits.pop(tasks_task_weights.OUTPUT, None)
            losses_of = {
                name: self._loss(name, logits[name], features, labels, mix)
                for name in sorted(logits)
            }
            if log_variances is None:
                loss = tf.add_n(list(losses_of.values()))
            else:
                loss = tasks_task_weights.joined(losses_of, log_variances, list(self._tasks))
        gradients = tape.gradient(loss, list(trained.values()))
        for (optimizer, variables), slices in zip(trained.items(), gradients, strict=True):
            # Dense, because sums over sparse gradients would be in no fixed order.
            optimizer.apply([tf.convert_to_tensor(gradient) for gradient in slices], variables)
        return loss

    def _loss(
        self,
        output: str,
        logits: tf.Tensor,
        features: Tensors,
        labels: Tensors,
        mix: mixing.Mixed | None,
    ) -> tf.Tensor:
        name, _, modality = output.partition("@")
        weight, visible = self._tasks[name].weight, None
        if modality:
            visible = features[f"{modality}_present"]
            weight *= self._settings.auxiliary_weight
        losses_for = functools.partial(
            self._heads[name].losses,
            self._adjusted(name, logits),
            features,
            model=self._networks.scoring,
            weights=self._weights[name],
            smoothing=self._settings.label_smoothing,
            visible=visible,
        )
        if mix is None:
            return weight * losses.masked_mean(*losses_for(labels=labels[name]))
        return weight * losses.mixed_mean(
            losses_for(labels=labels[name]),
            losses_for(labels=tf.gather(labels[name], mix.partners)),
            mix.shares,
        )

    @tf.function(autograph=False)
    def _measure(self, features: Tensors, labels: Tensors) -> Tensors:
        scoring = self._networks.scoring
        logits = scoring(features, training=False)
        sums = {
            name: head.sums(logits[name], features, labels[name], scoring, self._weights[name])
            for name, head in self._heads.items()
        }
        for name in sums:
            adjusted = self._adjusted(name, logits[name])
            if adjusted is not logits[name]:  # predictions are those of the logits as they are
                rows, _ = self._heads[name].losses(
                    adjusted, features, labels[name], scoring, weights=self._weights[name]
                )
                sums[name] = sums[name]._replace(loss=tf.reduce_sum(rows))
        return {name: tf.cast(tf.stack(values), tf.float64) for name, values in sums.items()}

    def _adjusted(self, name: str, logits: tf.Tensor) -> tf.Tensor:
        """Adds a task's offsets to its logits; returns the logits themselves without offsets."""
        offsets = self._offsets.get(name)
        return logits if offsets is None else logits + offsets


def _trained(
    networks: Networks,
) -> tuple[list[keras.Variable], dict[str, list[keras.Variable]]]:
    """Returns the trainable variables: those outside pretrained encoders, and those of each."""
    encoders = {
        name: list(one.trainable_variables)
        for name, one in networks.encoders.items()
        if one.trainable_variables  # a text encoder may have frozen layers alone
    }
    known = {id(variable) for variables in encoders.values() for variable in variables}
    return [v for v in networks.training.trainable_variables if id(v) not in known], encoders
