"""Checks of settings; an error names the flag, the value and the rule."""

from triad_ml.transforms.errors import OptionsError


def need(flag: str, value: str) -> None:
    """Refuses an empty value.

    Raises:
        OptionsError: The value is empty; the error names the flag.
    """
    if not value.strip():
        raise OptionsError(f"{flag}: must not be empty")


def each(flag: str, values: tuple[str, ...]) -> None:
    """Refuses empty values among several."""
    for value in values:
        need(flag, value)


def need_each(flag: str, values: tuple[str, ...]) -> None:
    """Refuses an empty list, and empty values in it."""
    if not values:
        raise OptionsError(f"{flag}: name at least one")
    each(flag, values)


def at_least(flag: str, value: int | None, least: int) -> None:
    """Refuses a number below `least`; None is accepted."""
    if value is not None and value < least:
        raise OptionsError(f"{flag}: must be at least {least}, got {value}")


def share(flag: str, value: float | None) -> None:
    """Refuses a number outside [0, 1]; None is accepted."""
    if value is not None and not 0 <= value <= 1:
        raise OptionsError(f"{flag}: must be a share from 0 to 1, got {value:g}")
