"""Reader of spec files, their errors in plain words, and the JSON Schema for editors."""

import difflib
import re
import reprlib
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import pydantic
import yaml

from triad_ml.transforms.errors import OptionsError
from triad_ml.transforms.files import regular
from triad_ml.transforms.spec import encoder_weights
from triad_ml.transforms.spec.spec import Spec
from triad_ml.transforms.spec.tasks import KINDS

TITLE = "Triad spec"
"""Title of the JSON Schema."""

_EXPONENT = re.compile(r"[-+]?(\.[0-9]+|[0-9]+(\.[0-9]*)?)[eE][-+]?[0-9]+")


DEEPEST = 64
"""Largest number of nested lists and mappings in YAML."""
MOST_VALUES = 100_000
"""Largest number of values in YAML; an alias counts as all the values that it repeats."""

_SHOWN = reprlib.Repr()
"""Formatter of wrong values in errors; it shortens long ones."""
_SHOWN.maxlevel, _SHOWN.maxstring, _SHOWN.maxother = 2, 200, 200


class _Loader(yaml.SafeLoader):
    """YAML loader that refuses duplicate keys and too large values, and reads 1e-3 as a number.

    PyYAML takes the last of duplicate keys. It reads YAML 1.1, where 1e-3 is a string; in YAML 1.2
    it is a number (yaml.org, 10.2.1.4). The loader knows a value's depth, and its size with all
    aliases followed, before it constructs the value.
    """

    _depth = 0

    def __init__(self, content: str) -> None:
        super().__init__(content)
        self._sizes: dict[int, int] = {}

    def compose_node(self, parent: yaml.Node | None, index: Any) -> yaml.Node | None:
        mark = self.peek_event().start_mark  # type: ignore[no-untyped-call]
        if self._depth == DEEPEST:
            raise yaml.composer.ComposerError(None, None, f"over {DEEPEST} levels", mark)
        self._depth += 1
        node = super().compose_node(parent, index)
        self._depth -= 1
        if node is not None and id(node) not in self._sizes:
            self._sizes[id(node)] = 1 + sum(self._sizes.get(id(part), 0) for part in _parts(node))
            if self._sizes[id(node)] > MOST_VALUES:
                raise yaml.composer.ComposerError(None, None, f"over {MOST_VALUES} values", mark)
        return node

    def construct_object(self, node: yaml.Node, deep: bool = False) -> Any:
        try:
            return super().construct_object(node, deep)
        except (ArithmeticError, AttributeError, LookupError, ValueError) as error:
            if not isinstance(node, yaml.ScalarNode):
                raise
            kind = node.tag.rpartition(":")[2]
            why = f"{_SHOWN.repr(node.value)} is no {kind}"
            raise yaml.constructor.ConstructorError(None, None, why, node.start_mark) from error


def _parts(node: yaml.Node) -> Iterator[yaml.Node]:
    """Yields the nodes in a list or mapping; a node is repeated for each alias of it."""
    if isinstance(node, yaml.SequenceNode):
        yield from node.value
    elif isinstance(node, yaml.MappingNode):
        for pair in node.value:
            yield from pair


def _mapping(loader: _Loader, node: yaml.MappingNode) -> dict[Any, Any]:
    seen = set()
    for key_node, _ in node.value:
        if not isinstance(key_node, yaml.ScalarNode):
            raise yaml.constructor.ConstructorError(
                None, None, "a key is a list or mapping", key_node.start_mark
            )
        key = loader.construct_object(key_node)
        if key in seen:
            raise yaml.constructor.ConstructorError(
                None, None, f"key {key!r} stands twice", key_node.start_mark
            )
        seen.add(key)
    return loader.construct_mapping(node, deep=True)


_Loader.add_implicit_resolver("tag:yaml.org,2002:float", _EXPONENT, list("-+.0123456789"))
_Loader.add_constructor(yaml.resolver.BaseResolver.DEFAULT_MAPPING_TAG, _mapping)


def load(path: str | Path) -> Spec:
    """Reads and checks a spec file.

    Raises:
        OptionsError: If the spec is wrong; names the file, the key, the rule, and the nearest
            known key.
    """
    try:
        content = regular.read(path).decode()
    except (OSError, UnicodeDecodeError) as error:
        raise OptionsError(f"{path}: the spec cannot be read: {_reason(error)}") from error
    return encoder_weights.pinned(parse(content, str(path)), Path(path))


def parse(content: str, name: str = "spec") -> Spec:
    """Reads and checks the text of a spec.

    Args:
        content: YAML.
        name: Name of the spec in errors, such as its path.

    Raises:
        OptionsError: See `load`.
    """
    value = parse_yaml(content, name)
    if not isinstance(value, Mapping):
        raise OptionsError(f"{name}: a spec is a mapping with the keys modalities and tasks")
    return validated(value, name)


def parse_yaml(content: str, name: str) -> Any:
    """Parses a YAML text; a duplicate key is an error.

    Raises:
        OptionsError: If the text is not YAML; names the file, the line and the column.
    """
    try:
        return yaml.load(content, Loader=_Loader)  # noqa: S506, it is a SafeLoader
    except yaml.YAMLError as error:
        message = " ".join(str(error).replace('"<unicode string>", ', "").split())
        remedy = "; indent with spaces" if r"'\t'" in message else ""
        raise OptionsError(f"{name}: not YAML: {message}{remedy}") from error


def validated(value: Mapping[str, Any], name: str) -> Spec:
    """Checks a mapping and makes a spec of it.

    Raises:
        OptionsError: See `load`.
    """
    try:
        return Spec.model_validate(value)
    except pydantic.ValidationError as error:
        raise OptionsError("\n".join(_lines(error, name))) from error


def schema() -> dict[str, Any]:
    """Returns the JSON Schema of a spec file, for editors."""
    return {
        "$schema": "https://json-schema.org/draft/2020-12/schema",
        "title": TITLE,
        **Spec.model_json_schema(),
    }


def _lines(error: pydantic.ValidationError, name: str) -> Iterator[str]:
    """Yields one line for each problem that pydantic found."""
    for problem in error.errors(include_url=False):
        location = _without_kind(problem["loc"])
        kind, given = problem["type"], problem.get("input")
        message = problem["msg"].removeprefix("Value error, ")
        if kind.startswith("union_tag"):
            location, given = (*location, "kind"), _kind_of(given)
            message = "input should be " + " or ".join(
                (", ".join(map(repr, [*KINDS][:-1])), repr([*KINDS][-1]))
            )
        key = ".".join(str(part) for part in location if part != "[key]") or "spec"
        if kind == "extra_forbidden":
            known = _keys_beside(problem["loc"])
            near = difflib.get_close_matches(str(problem["loc"][-1]), known, n=1, cutoff=0.5)
            hint = f"did you mean {near[0]!r}?" if near else f"known keys: {', '.join(known)}"
            message = f"unknown key; {hint}"
        elif kind == "missing" or given is _NO_KIND:
            message = "this key is required"
        elif kind == "too_short" and not given:
            message = "must not be empty"
        elif kind in ("model_type", "dict_type", "model_attributes_type"):
            message = f"must be a mapping of keys to values, got {_SHOWN.repr(given)}"
        elif "input" in problem and not isinstance(given, Mapping):
            message = f"{message}, got {_SHOWN.repr(given)}"
        if kind == "string_type" and isinstance(given, bool):
            message += "; in YAML yes, no, on and off are true and false: quote the word"
        yield f"{name}: {key}: {message[0].lower()}{message[1:]}"


_NO_KIND = object()


def _kind_of(task: Any) -> Any:
    return task.get("kind", _NO_KIND)


def _without_kind(location: tuple[int | str, ...]) -> tuple[int | str, ...]:
    """Returns the keys that lead to a problem in the file.

    Pydantic adds a task's kind after the task's name, and the form of `training.augment` after it.
    """
    if location[:1] == ("tasks",) and location[2:3] and location[2] in KINDS:
        return location[:2] + location[3:]
    if location[:2] == ("training", "augment"):
        return location[:2] + location[3:]
    return location


def _keys_beside(location: tuple[int | str, ...]) -> list[str]:
    """Lists the known keys of the section that has the last key of `location`."""
    section: type[pydantic.BaseModel] = Spec
    if location[0] == "tasks":
        return sorted(KINDS[str(location[2])].model_fields)
    for part in _without_kind(location)[:-1]:
        section = _section(section.model_fields[str(part)].annotation)
    return sorted(section.model_fields)


def _section(annotation: Any) -> type[pydantic.BaseModel]:
    options = [annotation, *getattr(annotation, "__args__", ())]
    options += [getattr(option, "__origin__", None) for option in options]  # of Annotated
    return next(o for o in options if isinstance(o, type) and issubclass(o, pydantic.BaseModel))


def _reason(error: Exception) -> str:
    return getattr(error, "strerror", None) or str(error)
