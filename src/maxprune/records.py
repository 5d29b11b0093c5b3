"""Frozen, checked records, and what is wrong with one in one line."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Self

from pydantic import (
    BaseModel,
    ConfigDict,
    ModelWrapValidatorHandler,
    ValidationError,
    model_validator,
)
from pydantic_core import ErrorDetails

from maxprune.errors import UsageError
from maxprune.naming import called
from maxprune.plural import kind_of

PLAIN = {
    "int": "a whole number", "float": "a number", "string": "text", "bool": "True or False",
    "tuple": "a list",
}  # fmt: skip
"""What a value of a type has to be, by how pydantic's errors of that type begin."""


class Checked(BaseModel):
    """A frozen record; a value out of its range is a `UsageError`."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    @model_validator(mode="wrap")
    @classmethod
    def _in_one_line(cls, values: Any, handler: ModelWrapValidatorHandler[Self]) -> Self:
        try:
            return handler(values)
        except ValidationError as error:
            raise UsageError(cls._says(error)) from error

    @classmethod
    def _says(cls, error: ValidationError) -> str:
        return f"{cls.__name__}: {first_wrong(error)}"


class Settings(Checked):
    """A frozen record that a user fills in, by options or from Python."""

    @classmethod
    def _says(cls, error: ValidationError) -> str:
        return wrong_setting(error, cls.model_fields)


def first_wrong(error: ValidationError) -> str:
    """The first thing that pydantic finds wrong, and where, in one line."""
    first = error.errors()[0]
    where = ".".join(str(part) for part in first["loc"])
    says = first["msg"].removeprefix("Value error, ")
    value = first.get("input")
    given = f", not {value!r}" if isinstance(value, bool | int | float | str) else ""
    return (f"{where}: " if where else "") + says + given


def wrong_setting(error: ValidationError, known: Mapping[str, Any]) -> str:
    """The first setting that pydantic finds wrong, as the user calls it, in one line.

    Args:
        error: what pydantic says.
        known: the settings that there are, by name.

    Example:
        >>> class Cake(Settings):
        ...     eggs: int = 3
        >>> Cake(eggs="two")
        Traceback (most recent call last):
        maxprune.errors.UsageError: eggs must be a whole number, not 'two'
    """
    first, *rest = error.errors()
    if not first["loc"]:
        return first_wrong(error)
    name = str(first["loc"][0])
    if first["type"] == "extra_forbidden":
        return f"there is no setting {called(name)}; there are {', '.join(map(called, known))}"
    if first["type"] == "missing":
        return f"{called(name)} is missing"
    ways = [first, *(other for other in rest if other["loc"][:1] == first["loc"][:1])]
    must = " or ".join(dict.fromkeys(_must_be(way) for way in ways))
    return f"{called(name)} must be {must}, not {_shown(first['input'])}"


def _must_be(error: ErrorDetails) -> str:
    """What a value has to be, behind "must be"."""
    kind, limits = error["type"], error.get("ctx", {})
    match kind:
        case "greater_than":
            return f"above {limits['gt']:g}"
        case "greater_than_equal":
            return f"at least {limits['ge']:g}"
        case "less_than":
            return f"below {limits['lt']:g}"
        case "less_than_equal":
            return f"at most {limits['le']:g}"
        case "literal_error":
            return str(limits["expected"])
        case "finite_number":
            return "a finite number"
    return PLAIN.get(kind.partition("_")[0], error["msg"].removeprefix("Input should be "))


def _shown(value: object) -> str:
    if isinstance(value, float):
        return f"{value:g}"
    plain = value is None or isinstance(value, bool | int | str)
    return repr(value) if plain else kind_of(value)
