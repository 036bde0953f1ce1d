"""Release of a model: after all checks it becomes the model that the pointer `CURRENT` names."""

import logging

from triad_ml.model.serving.bundle import Artefact
from triad_ml.pipelines.storage import model_store
from triad_ml.pipelines.verification import (
    floor_check,
    golden_drift,
    model_checks,
    slice_check,
)
from triad_ml.pipelines.verification.config import ReleaseConfig
from triad_ml.pipelines.verification.two_models import Side
from triad_ml.transforms.errors import GateError, TriadError

_log = logging.getLogger(__name__)


def run(config: ReleaseConfig) -> str:
    """Checks a model and sets the pointer beside it.

    Returns:
        A line that names the released model, and the one that the pointer named before.

    Raises:
        OptionsError: The model, a golden or held-out record, or the key cannot be used.
        GateError: The model is refused; the pointer is unchanged.
        LostRaceError: Another model was released meanwhile.
    """
    models, name = model_store.parted(config.model)
    before = model_store.content(models)
    model = model_checks.check(
        f"{models}/{name}", config.golden, config.verify_key, config.media_roots
    )
    floor_check.check(model, config.floor_limit)
    check_successor(model, models, name, config)
    model_store.flip(models, name, before)
    previous = "none" if before is None else before.decode(errors="replace").strip()
    return f"{models}: {name} counts (model {model.model_digest[:12]}), instead of {previous}"


def check_successor(model: Artefact, models: str, name: str, config: ReleaseConfig) -> None:
    """Compares a model with the released one, by what both predict for the same records.

    Args:
        model: Model that may be released.
        models: Folder with the pointer.
        name: Name of the model's folder in it.
        config: Settings of the release.

    Raises:
        OptionsError: No held-out record has a label, or none has the column of a slice.
        GateError: The model is worse on a slice of the held-out records, or its scores of golden
            records drift; or it rejects a record that the released model scores; or the released
            model cannot be opened, and `holdout` or `drift` asks for it.
    """
    golden = golden_drift.enough(model, config)
    if not golden and not config.holdout:
        return
    try:
        current = _released(models, model)
    except TriadError as error:
        problem = f"{models}: {name} cannot be compared with the released model: {error}"
        if config.holdout or config.drift == "refuse":
            flag = "--holdout" if config.holdout else "--drift refuse"
            raise GateError(f"{problem}; or release it without {flag}") from error
        _log.warning("%s", problem)
        return
    if current is None:
        return
    candidate = Side.of(name, model)
    if config.holdout:
        slice_check.check(current, candidate, config)
    if golden:
        golden_drift.check(current, candidate, golden, config)


def _released(models: str, model: Artefact) -> Side | None:
    """Loads the released model; returns None if there is none, or if it is the candidate.

    Raises:
        TriadError: The pointer or the released model cannot be used.
    """
    named = model_store.read(models)
    if named is None:
        _log.info("%s: no model is released yet, so there is none to compare with", models)
        return None
    current = model_store.load(f"{models}/{named}", None)
    if current.model_digest == model.model_digest:
        _log.info("%s: the released model %s is the same, so nothing is compared", models, named)
        return None
    return Side.of(named, current)
