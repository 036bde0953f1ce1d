"""Search space: possible values for keys of a spec's sections `model` and `training`."""

import difflib
import json
import typing
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Self

import pydantic

from triad_ml.transforms.errors import OptionsError
from triad_ml.transforms.spec import loading
from triad_ml.transforms.spec.model import ModelSpec
from triad_ml.transforms.spec.section import Section
from triad_ml.transforms.spec.spec import Spec
from triad_ml.transforms.spec.training import Training

_SECTIONS: Mapping[str, type[Section]] = {"model": ModelSpec, "training": Training}
_NEVER = frozenset({"training.seed"})
"""Keys that are not searched: a better seed is only luck."""


class Choices(Section):
    """List of possible values: strings, numbers, or lists of them."""

    choices: tuple[pydantic.JsonValue, ...] = pydantic.Field(min_length=2, strict=False)

    @pydantic.model_validator(mode="after")
    def _each_once(self) -> Self:
        if len(set(self.coded)) < len(self.choices):
            raise ValueError("a value stands twice")
        return self

    @property
    def coded(self) -> tuple[str, ...]:
        """Values as JSON, one string each."""
        return tuple(json.dumps(value) for value in self.choices)


class Range(Section):
    """Range of numbers from `low` to `high`, both included.

    Attributes:
        low: Smallest value.
        high: Largest value.
        log: True to sample the logarithm uniformly, so that all orders of magnitude are equally
            likely.
        whole: True for integers only.
    """

    low: float = pydantic.Field(allow_inf_nan=False)
    high: float = pydantic.Field(allow_inf_nan=False)
    log: bool = False
    whole: bool = False

    @pydantic.model_validator(mode="after")
    def _in_order(self) -> Self:
        if self.low >= self.high:
            raise ValueError(f"low must be below high, got {self.low:g} and {self.high:g}")
        if self.log and self.low <= 0:
            raise ValueError(f"low must be over 0 where log is true, got {self.low:g}")
        if self.whole and not (self.low.is_integer() and self.high.is_integer()):
            raise ValueError("low and high must be whole numbers here")
        return self


Space = Mapping[str, Choices | Range]
"""Possible values by `section.key` of a spec."""


def load(path: str, spec: Spec) -> Space:
    """Reads and checks a file such as `model.dim: {choices: [64, 128]}`.

    Args:
        path: Path of the YAML file.
        spec: Spec that the trials modify.

    Raises:
        OptionsError: If the space is invalid; the message names the file, the key, the rule, and
            the nearest known key.
    """
    try:
        content = Path(path).read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        why = getattr(error, "strerror", None) or str(error)
        raise OptionsError(f"{path}: the space cannot be read: {why}") from error
    return parse(content, spec, path)


def parse(content: str, spec: Spec, name: str = "space") -> Space:
    """Parses and checks the text of a space.

    Args:
        content: YAML text.
        spec: Spec that the trials modify.
        name: Name of the space for error messages.

    Raises:
        OptionsError: If the space is invalid, see `load`.
    """
    value = loading.parse_yaml(content, name)
    if not isinstance(value, Mapping) or not value:
        raise OptionsError(
            f"{name}: a space is a mapping such as model.dim: {{choices: [64, 128]}}"
        )
    space = {str(key): _dimension(str(key), values, name) for key, values in value.items()}
    check(space, spec, name)
    return space


def default(spec: Spec) -> Space:
    """Returns the default space for the modalities of a spec."""
    sections = spec.modalities
    space: dict[str, Choices | Range] = {
        "training.learning_rate": Range(low=3e-4, high=1e-2, log=True),
        "training.weight_decay": Range(low=1e-3, high=1e-1, log=True),
        "model.dim": Choices(choices=(64, 128, 256)),
        "model.dropout": Range(low=0.0, high=0.6),
    }
    if len(sections.names) > 1:
        space["model.modality_dropout"] = Range(low=0.0, high=0.5)
        fusions = typing.get_args(ModelSpec.model_fields["fusion"].annotation)
        fusions = tuple(name for name in fusions if _can_have(spec, "model.fusion", name))
        if len(fusions) > 1:
            space["model.fusion"] = Choices(choices=fusions)
    if sections.text is not None:
        space["model.text_dim"] = Choices(choices=(48, 96, 192))
    if sections.audio is not None and spec.model.convolves_audio:
        space["model.audio_filters"] = Choices(choices=([16, 32, 64], [24, 48, 96], [32, 64, 128]))
    return space


def check(space: Space, spec: Spec, name: str) -> None:
    """Refuses values that are invalid in the spec, and values that would change the features.

    Raises:
        OptionsError: If there are any; the message names the key.
    """
    for key, dimension in space.items():
        if isinstance(dimension, Choices):
            values: tuple[Any, ...] = dimension.choices
        else:
            values = (dimension.low, dimension.high)
        for value in values:
            changed = applied(spec, {key: value}, f"{name}: {key}")
            if changed.features_json() != spec.features_json():
                raise OptionsError(
                    f"{name}: {key}: {json.dumps(value)} changes the features, which are prepared; "
                    "take it out, or prepare once for each value"
                )


def applied(spec: Spec, values: Mapping[str, Any], name: str = "trial") -> Spec:
    """Returns the spec with some of its values replaced.

    Args:
        spec: Spec whose values are replaced.
        values: New values by `section.key`.
        name: Name of the result for error messages.

    Raises:
        OptionsError: If a value, or a combination of values, is invalid.
    """
    whole = json.loads(spec.to_json())
    for key, value in values.items():
        section, _, field = key.partition(".")
        is_whole = isinstance(value, float) and _type_of(key) is int
        whole[section][field] = int(value) if is_whole else value
    return loading.validated(whole, name)


def _can_have(spec: Spec, key: str, value: Any) -> bool:
    try:
        applied(spec, {key: value})
    except OptionsError:
        return False
    return True


def own_value(spec: Spec, key: str) -> Any:
    """Returns the spec's own value for a key, in its JSON form."""
    section, _, field = key.partition(".")
    value = getattr(getattr(spec, section), field)
    return pydantic.TypeAdapter[Any](Any).dump_python(value, mode="json")


def to_json(space: Space) -> str:
    """Returns the space as one line of canonical JSON."""
    return json.dumps({key: values.model_dump() for key, values in sorted(space.items())})


def _dimension(key: str, value: Any, name: str) -> Choices | Range:
    known = [
        f"{section}.{field}"
        for section, model in _SECTIONS.items()
        for field in model.model_fields
        if f"{section}.{field}" not in _NEVER
    ]
    if key not in known:
        near = difflib.get_close_matches(key, known, n=1, cutoff=0.5)
        hint = f"did you mean {near[0]!r}?" if near else f"known keys: {', '.join(known)}"
        raise OptionsError(f"{name}: {key}: unknown key; {hint}")
    if not isinstance(value, Mapping):
        raise OptionsError(
            f"{name}: {key}: must be {{choices: [...]}} or {{low: ..., high: ...}}, got {value!r}"
        )
    kind = Choices if "choices" in value else Range
    if kind is Range and _type_of(key) not in (int, float):
        raise OptionsError(f"{name}: {key}: is no number; give {{choices: [...]}}")
    settings = dict(value)
    if kind is Range:
        settings = {"whole": _type_of(key) is int, **settings}
        # An integer of YAML, such as 1, is accepted as the float 1.0.
        settings |= {
            bound: float(settings[bound])
            for bound in ("low", "high")
            if isinstance(settings.get(bound), int) and not isinstance(settings[bound], bool)
        }
    try:
        return kind.model_validate(settings)
    except pydantic.ValidationError as error:
        problem = error.errors(include_url=False)[0]
        path = ".".join([key, *(str(part) for part in problem["loc"])])
        message = problem["msg"].removeprefix("Value error, ")
        raise OptionsError(f"{name}: {path}: {message[0].lower()}{message[1:]}") from error


def _type_of(key: str) -> Any:
    section, _, field = key.partition(".")
    return _SECTIONS[section].model_fields[field].annotation
