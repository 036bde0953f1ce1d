"""Use cases of verification: parity, late labels, release, signatures, comparison of digests."""

import logging
from pathlib import Path

from triad_ml.pipelines.runtime import environment
from triad_ml.pipelines.verification.config import (
    EvaluateConfig,
    ExplainDigestConfig,
    ParityConfig,
    ReleaseConfig,
    RobustnessConfig,
    SignConfig,
    VerifyConfig,
)

_log = logging.getLogger(__name__)


def parity(config: ParityConfig) -> bool:
    """Compares features and scores of training with those of serving, and prints two tables.

    Returns:
        True if no difference exceeds its tolerance.

    Raises:
        OptionsError: The model or an input cannot be used, or no record can be compared.
        GateError: The model's files are not the exported or signed ones.
    """
    from triad_ml.pipelines.sources import first_look
    from triad_ml.pipelines.storage import cloud, model_store

    cloud.check_places(config.media_roots)
    model = model_store.load(config.model, config.verify_key)
    first_look.tell(_log, config.inputs, model.spec, with_labels=False)
    environment.load_tensorflow()
    from triad_ml.pipelines.verification import parity as gate

    return gate.run(config, model)


def evaluate(config: EvaluateConfig) -> None:
    """Compares published scores with labels, prints a table, and writes the figures if asked to.

    Raises:
        OptionsError: The scores, the labels, the model or a slice cannot be used, or no scored
            record has a label.
        DamagedError: A file of the scores has changed since the run wrote it.
    """
    from triad_ml.pipelines.verification.late import evaluate

    evaluate.run(config)


def robustness(config: RobustnessConfig) -> None:
    """Scores records with noise of growing strength on one modality at a time; prints a table.

    Raises:
        OptionsError: The model or an input cannot be used, or no record has a label.
        GateError: The model's files are not the exported ones.
    """
    from triad_ml.pipelines.storage import cloud, model_store

    cloud.check_places(config.media_roots)
    model = model_store.load(config.model, None)
    environment.load_tensorflow()
    from triad_ml.pipelines.verification.robustness import measure

    measure.run(config, model)


def release(config: ReleaseConfig) -> str:
    """Checks a model and sets the pointer beside it.

    Returns:
        A line that names the released model, and the one that the pointer named before.

    Raises:
        OptionsError: The model, a golden record or the key cannot be used.
        GateError: The model is refused; the pointer is unchanged.
        LostRaceError: Another model was released meanwhile.
    """
    from triad_ml.pipelines.storage import cloud, model_store

    cloud.check_places(config.media_roots)
    model_store.load(config.model, config.verify_key)  # fails before TensorFlow is imported
    environment.load_tensorflow()
    from triad_ml.pipelines.verification import release as releasing

    return releasing.run(config)


def sign(config: SignConfig) -> Path:
    """Signs a model folder and returns the signature's path; see `signing.sign`."""
    from triad_ml.model.serving import signing

    return signing.sign(config.model, config.key)


def verify(config: VerifyConfig) -> str:
    """Checks the signature of a model folder and returns its digest; see `signing.verify`."""
    from triad_ml.model.serving import signing

    return signing.verify(config.model, config.key)


def explain_digest(config: ExplainDigestConfig) -> bool:
    """Prints which parts of two folders differ, and returns True if none does."""
    from triad_ml.pipelines.verification import digest_diff

    return digest_diff.explain(config.left, config.right)
