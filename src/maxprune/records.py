"""Frozen, checked records, and what is wrong with one in one line."""

from __future__ import annotations

from typing import Any, Self

from pydantic import (
    BaseModel,
    ConfigDict,
    ModelWrapValidatorHandler,
    ValidationError,
    model_validator,
)

from maxprune.errors import UsageError


class Settings(BaseModel):
    """A frozen record that a user fills in; a value out of its range is a `UsageError`."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    @model_validator(mode="wrap")
    @classmethod
    def _in_one_line(cls, values: Any, handler: ModelWrapValidatorHandler[Self]) -> Self:
        try:
            return handler(values)
        except ValidationError as error:
            raise UsageError(f"{cls.__name__}: {first_wrong(error)}") from error


def first_wrong(error: ValidationError) -> str:
    """The first thing that pydantic finds wrong, and where, in one line."""
    first = error.errors()[0]
    where = ".".join(str(part) for part in first["loc"])
    says = first["msg"].removeprefix("Value error, ")
    value = first.get("input")
    given = f", not {value!r}" if isinstance(value, bool | int | float | str) else ""
    return (f"{where}: " if where else "") + says + given
