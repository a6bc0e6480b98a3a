"""What every declaration has in common: immutable, no unknown keys, JSON text accepted where an object is meant."""

from __future__ import annotations

import json
import uuid
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Annotated, Any, Self

from pydantic import (
    BaseModel,
    BeforeValidator,
    ConfigDict,
    Field,
    GetCoreSchemaHandler,
    GetJsonSchemaHandler,
    model_validator,
)
from pydantic.json_schema import JsonSchemaValue
from pydantic_core import CoreSchema, PydanticCustomError, core_schema

_NAMESPACE = uuid.UUID("6f1d5a52-6f0c-5d0e-9a53-1c1c9e1f7a11")


class Declaration(BaseModel):
    """A frozen model that refuses unknown keys and whose fields document themselves in the JSON Schema."""

    model_config = ConfigDict(frozen=True, extra="forbid", use_attribute_docstrings=True, populate_by_name=True)

    @model_validator(mode="before")
    @classmethod
    def _null_is_not_given(cls, data: Any) -> Any:
        if isinstance(data, dict) and None in data.values():
            return {key: value for key, value in data.items() if value is not None or key not in cls.model_fields}
        return data

    def model_copy(self, *, update: Mapping[str, Any] | None = None, deep: bool = False) -> Self:
        """Return a copy with other values for some fields; values derived from the old ones are forgotten."""
        copy = super().model_copy(update=update, deep=deep)
        for derived in copy.__dict__.keys() - type(copy).model_fields.keys():
            del copy.__dict__[derived]
        return copy


def broken_rule(code: str, message: str, *, field: str | None = None) -> PydanticCustomError:
    """Return the error of a rule over several fields, for a validator to raise.

    Args:
        code: The code of the finding, for instance ``TG116``.
        message: What does not hold, in plain words.
        field: The field to point at; the whole object when not given.
    """
    return PydanticCustomError(code, message, {"field": field})


def derived_id(kind: str, name: str) -> str:
    """Return the id of a declaration that has none: uuid5 of its kind and name, equal on every machine."""
    return str(uuid.uuid5(_NAMESPACE, f"{kind}:{name}"))


def object_from_text(value: object) -> object:
    """Return the object that JSON text holds; anything else as it is, and nothing as an empty object."""
    if isinstance(value, str) and value.strip():
        try:
            return json.loads(value)
        except json.JSONDecodeError as error:
            msg = f"not an object, and not JSON text: {error.msg} at character {error.pos}"
            raise ValueError(msg) from None
    return {} if value is None or value == "" else value


def _names(value: object) -> object:
    if isinstance(value, str):
        return [part.strip() for part in value.split(",") if part.strip()]
    return [] if value is None else value


Name = Annotated[str, Field(min_length=1)]
Names = Annotated[tuple[Name, ...], BeforeValidator(_names)]
"""Column names: a list, or one comma-separated string."""

Options = Annotated[dict[str, Any], BeforeValidator(object_from_text)]
"""A free-form object, or the JSON text of one (as database and spreadsheet metadata hold it)."""

FromText = BeforeValidator(object_from_text)
"""Accepts the JSON text of the annotated model."""


@dataclass(frozen=True, slots=True)
class TypedBy:
    """Marks a free-form object whose keys a model describes.

    The object stays the dict that the user wrote; the model refuses unknown keys and bad values, and stands in the
    JSON Schema.
    """

    model: type[BaseModel]

    def __get_pydantic_core_schema__(self, source: Any, handler: GetCoreSchemaHandler) -> CoreSchema:
        """Validate against the model, return the object."""

        def checked(value: dict[str, Any]) -> dict[str, Any]:
            self.model.model_validate(value)
            return value

        return core_schema.no_info_after_validator_function(checked, handler(source))

    def __get_pydantic_json_schema__(self, _: CoreSchema, handler: GetJsonSchemaHandler) -> JsonSchemaValue:
        """Show the model's schema."""
        return handler(self.model.__pydantic_core_schema__)
