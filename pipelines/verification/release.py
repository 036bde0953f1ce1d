"""Release of a model: after all checks it becomes the model that the pointer `CURRENT` names."""

from triad_ml.pipelines.storage import model_store
from triad_ml.pipelines.verification import floor_check, model_checks
from triad_ml.pipelines.verification.config import ReleaseConfig


def run(config: ReleaseConfig) -> str:
    """Checks a model and sets the pointer beside it.

    Returns:
        A line that names the released model, and the one that the pointer named before.

    Raises:
        OptionsError: The model, a golden record or the key cannot be used.
        GateError: The model is refused; the pointer is unchanged.
        LostRaceError: Another model was released meanwhile.
    """
    models, name = model_store.parted(config.model)
    before = model_store.content(models)
    model = model_checks.check(
        f"{models}/{name}", config.golden, config.verify_key, config.media_roots
    )
    floor_check.check(model, config.floor_limit)
    model_store.flip(models, name, before)
    previous = "none" if before is None else before.decode(errors="replace").strip()
    return f"{models}: {name} counts (model {model.model_digest[:12]}), instead of {previous}"
