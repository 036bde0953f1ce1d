"""Use cases of `triad train` and `triad encoder`."""

from pathlib import Path

from triad_ml.pipelines.runtime import environment
from triad_ml.pipelines.training.config import EncoderConfig, TrainConfig


def run(config: TrainConfig) -> Path:
    """Trains on prepared data and writes a model folder; resumes an interrupted training.

    Returns:
        Path of the model's `triad.json`, which is written last.

    Raises:
        OptionsError: If the data or the output cannot be used.
        GateError: If parts of the data come from two preprocessing runs.
    """
    from triad_ml.pipelines.training import plan as training_plan

    plan = training_plan.plan(config)
    if plan.done:
        return plan.about
    environment.load_tensorflow()
    from triad_ml.pipelines.training import train

    return train.run(config, plan)


def encoder(config: EncoderConfig) -> str:
    """Writes the weights of a pretrained encoder as a file or folder that specs can name.

    Returns:
        SHA-256 that specs pin, in hexadecimal.

    Raises:
        OptionsError: If the package is missing, the weights are of another network, or the output
            holds other content.
        GateError: If the package's weights are not the known ones.
        StorageError: If the weights cannot be read, or the output cannot be written.
    """
    config.written.check(config.output)
    environment.load_tensorflow()
    from triad_ml.pipelines.training import encoder_import

    return encoder_import.run(config)
