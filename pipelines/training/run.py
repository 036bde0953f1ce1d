"""The use cases of `triad train` and `triad encoder`: settings in, a file of the result out."""

from pathlib import Path

from triad_ml.pipelines.runtime import environment
from triad_ml.pipelines.training.config import EncoderConfig, TrainConfig


def run(config: TrainConfig) -> Path:
    """Trains on a preprocessing and writes a model folder; continues where it was interrupted.

    Returns:
        `triad.json` of the model, which is written last.

    Raises:
        OptionsError: Data or an output that cannot be used.
        GateError: Data whose parts come from two preprocessings.
    """
    from triad_ml.pipelines.training import plan as training_plan

    plan = training_plan.plan(config)
    if plan.done:
        return plan.about
    environment.load_tensorflow()
    from triad_ml.pipelines.training import train

    return train.run(config, plan)


def encoder(config: EncoderConfig) -> str:
    """Writes the weights of a pretrained image encoder as a file of Keras.

    Returns:
        The file's SHA-256.

    Raises:
        OptionsError: No package, weights of another network, or an output that holds others.
        GateError: A package whose weights are not the known ones.
        StorageError: An output that cannot be written.
    """
    from triad_ml.pipelines.storage import outputs

    outputs.check_file(config.output, b"\x89HDF\r\n", "file of weights")
    environment.load_tensorflow()
    from triad_ml.pipelines.training import encoder_import

    return encoder_import.run(config)
