"""Validation of messages by a JSON Schema; a refusal names the path of the first violation."""

import fractions
import functools
import json
import numbers
from collections.abc import Callable, Iterator, Mapping
from typing import Any

import jsonschema
import jsonschema_specifications
import referencing
import referencing.exceptions
import referencing.jsonschema
from jsonschema import validators

from triad_ml.pipelines.sources import strict_json
from triad_ml.pipelines.sources.fields import RefusedRecordError
from triad_ml.transforms.records.values import Reason

MOST_STEPS = 2_000_000
"""Most keywords of the schema that are evaluated for a message: nested `anyOf` needs 2^depth."""

_Keyword = Callable[[Any, Any, Any, Mapping[str, Any]], Iterator[jsonschema.ValidationError] | None]


def check(schema: str) -> None:
    """Checks the text of a JSON Schema; its references must resolve within it.

    Raises:
        ValueError: If it is no JSON Schema; the message has the reason.
    """
    _validator(schema)


def require(row: Mapping[str, Any], schema: str) -> None:
    """Refuses an object that does not conform to a schema.

    Args:
        row: Parsed object.
        schema: Text of the schema.

    Raises:
        RefusedRecordError: If the object does not conform: with the path of the first violation, in
            the order of the schema's keywords, and the keyword. The message reveals nothing of the
            object that the schema does not name. Also if validation takes more than `MOST_STEPS`.
    """
    validator, names, steps = _validator(schema)
    steps.left = MOST_STEPS
    try:
        error = next(validator.iter_errors(row), None)
    except RecursionError:
        raise _refused("the schema leads in circles") from None
    if error is not None:
        path = "".join(_step(step, names) for step in error.absolute_path)
        raise _refused(f"at ${path} it breaks {_rule(error)}")


def _step(step: str | int, names: frozenset[str]) -> str:
    if isinstance(step, int):
        return f"[{step}]"
    return f".{step}" if step in names else ".*"


def _rule(error: jsonschema.ValidationError) -> str:
    keyword, value = error.validator, error.validator_value
    if keyword == "type":
        return f"type: {value if isinstance(value, str) else ' or '.join(value)}"
    if keyword == "required":
        missing = [name for name in value if name not in error.instance]
        return f"required: {missing[0]}"
    return str(keyword or "false")  # the schema `false` allows nothing and has no keyword


class _Steps:
    """Budget of keywords that may still be evaluated for a message."""

    left = MOST_STEPS

    def counted(self, keyword: _Keyword) -> _Keyword:
        def evaluate(
            validator: Any, value: Any, instance: Any, schema: Mapping[str, Any]
        ) -> Iterator[jsonschema.ValidationError] | None:
            self.left -= 1
            if self.left < 0:
                why = f"comparing it with the schema takes over {MOST_STEPS} steps"
                raise RefusedRecordError(Reason.TOO_LARGE, why)
            return keyword(validator, value, instance, schema)

        return evaluate


def _unique_items(
    validator: Any, wanted: Any, instance: Any, _: Mapping[str, Any]
) -> Iterator[jsonschema.ValidationError]:
    """Checks `uniqueItems` in linear time; the library compares all pairs of unsortable items."""
    if wanted and validator.is_type(instance, "array"):
        texts = {json.dumps(_plain(item), sort_keys=True) for item in instance}
        if len(texts) < len(instance):
            yield jsonschema.ValidationError("an item stands twice")


def _plain(value: Any) -> Any:
    """Normalizes a value so that equal values have equal JSON: 1 and 1.0 are one number."""
    if isinstance(value, float) and value.is_integer():
        return int(value)
    if isinstance(value, list):
        return [_plain(part) for part in value]
    if isinstance(value, dict):
        return {name: _plain(part) for name, part in value.items()}
    return value


def _multiple_of(
    validator: Any, divisor: Any, instance: Any, schema: Mapping[str, Any]
) -> Iterator[jsonschema.ValidationError]:
    """Checks `multipleOf` for integers beyond float64 too, on which the library fails."""
    multiple_of: Any = validators.Draft202012Validator.VALIDATORS["multipleOf"]
    try:
        yield from multiple_of(validator, divisor, instance, schema)
    except OverflowError:
        assert isinstance(instance, numbers.Rational)
        if instance % fractions.Fraction(divisor):
            yield jsonschema.ValidationError("it is no multiple")


_OWN: Mapping[str, _Keyword] = {
    "uniqueItems": _unique_items,
    "multipleOf": _multiple_of,
    "divisibleBy": _multiple_of,  # its name in draft 3
}


@functools.lru_cache(maxsize=8)
def _validator(schema: str) -> tuple[Any, frozenset[str], _Steps]:
    """Returns the validator, all names in the schema, and the budget that the validator uses."""
    parsed = strict_json.parse(schema)
    kind = validators.Draft202012Validator
    if not isinstance(parsed, dict | bool):
        raise ValueError("neither an object nor true or false")
    if isinstance(parsed, dict) and "$schema" in parsed:
        kind = validators.validator_for({"$schema": str(parsed["$schema"])}, default=None)
        if kind is None:
            raise ValueError("its $schema is no draft of JSON Schema that is known here")
    try:
        kind.check_schema(parsed)
    except jsonschema.SchemaError as error:
        raise ValueError(f"no JSON Schema: at {error.json_path} {error.message[:200]}") from error
    dialect = kind.META_SCHEMA["$schema"]
    resource = referencing.jsonschema.specification_with(dialect).create_resource(parsed)
    registry = jsonschema_specifications.REGISTRY.with_resource(resource.id() or "", resource)
    try:
        _check_references(resource, registry.resolver_with_root(resource))
    except referencing.exceptions.Unresolvable as error:
        raise ValueError(f"$ref {error.ref!r} names nothing in the file") from error
    steps = _Steps()
    keywords = {
        name: steps.counted(_OWN.get(name, keyword)) for name, keyword in kind.VALIDATORS.items()
    }
    counting = validators.extend(kind, keywords)
    return counting(parsed, registry=registry), frozenset(_names([parsed])), steps


def _names(schema: Any) -> Iterator[str]:
    if isinstance(schema, dict):
        yield from schema
    for part in schema.values() if isinstance(schema, dict) else schema:
        if isinstance(part, dict | list):
            yield from _names(part)


def _check_references(resource: Any, resolver: Any) -> None:
    """Resolves all references, so that none is fetched, or found missing, later."""
    if isinstance(resource.contents, dict):
        for keyword in ("$ref", "$dynamicRef", "$recursiveRef"):
            if isinstance(reference := resource.contents.get(keyword), str):
                resolver.lookup(reference)
    for part in resource.subresources():
        _check_references(part, resolver.in_subresource(part))


def _refused(why: str) -> RefusedRecordError:
    return RefusedRecordError(Reason.UNPARSABLE, f"not of the schema: {why}")
