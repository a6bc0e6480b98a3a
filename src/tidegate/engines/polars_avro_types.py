"""Avro's types, as Polars reads them.

An Avro value is bytes without their type. So what Polars does not read can be given to it as another type with the
same bytes: an enum is a number, a map is an array of keys and values. Each column has such a schema, and what makes its
values what they are.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from types import MappingProxyType
from typing import Any

import polars as pl

from tidegate.errors import SourceError

Decode = Callable[[pl.Expr], pl.Expr]

_PRIMITIVES = frozenset({"boolean", "int", "long", "float", "double", "bytes", "string"})
_KNOWN = frozenset(
    {
        ("int", "date"),
        ("int", "time-millis"),
        ("long", "time-micros"),
        ("long", "timestamp-millis"),
        ("long", "timestamp-micros"),
        ("long", "local-timestamp-millis"),
        ("long", "local-timestamp-micros"),
    }
)
"""Types and logical types that Polars reads as what they are."""
_NANOSECONDS: Mapping[str, pl.Datetime] = MappingProxyType(
    {"timestamp-nanos": pl.Datetime("ns", "UTC"), "local-timestamp-nanos": pl.Datetime("ns")}
)
_MOST_DIGITS = 38


@dataclass(frozen=True, slots=True, kw_only=True)
class AvroType:
    """How values of a type are read."""

    schema: Any
    """The schema to read their bytes by; None for a type without bytes."""
    decode: Decode | None = None
    """What makes them the values that they are."""


def avro_columns(schema: Any, path: str) -> dict[str, AvroType]:
    """Return the columns of a file with this schema; one without values has no schema of its own.

    Raises:
        SourceError: the rows are no records, or a column's type cannot be a column's (TG212).
    """
    if not isinstance(schema, dict) or schema.get("type") not in {"record", "error"}:
        raise _unfit(path, "the rows", "no records", "only files of records have columns")
    types = _Types(path)
    try:
        namespace = types.define(schema, "")
        return {column["name"]: types.column(column["type"], column["name"], namespace) for column in schema["fields"]}
    except (KeyError, TypeError, AttributeError, RecursionError):
        raise _unfit(path, "the schema", "none of Avro's", "it lacks what each type has") from None


@dataclass(slots=True)
class _Types:
    """Reads the types of one schema. Names that it declares are used again further down."""

    path: str
    declared: dict[str, tuple[Any, str]] = field(default_factory=dict)
    within: list[str] = field(default_factory=list)
    """Full names of the records that are being read."""
    written: int = 0

    def column(self, schema: Any, name: str, namespace: str) -> AvroType:
        if schema in ("null", {"type": "null"}):
            return AvroType(schema=None)
        if schema == ["null"]:  # each value is a number, which is 0
            return AvroType(schema=["null", "int"], decode=lambda _: pl.lit(None))
        return self.read(schema, name, namespace)

    def read(self, schema: Any, at: str, namespace: str) -> AvroType:
        if isinstance(schema, list):
            return self.union(schema, at, namespace)
        if isinstance(schema, str):
            return self.word(schema, at, namespace)
        kind = schema["type"]
        if kind in _PRIMITIVES:
            return self.logical(schema, {"type": kind}, at)
        readers = {
            "record": self.record,
            "error": self.record,
            "enum": self.enum,
            "fixed": self.fixed,
            "array": self.array,
            "map": self.map,
        }
        reader = readers.get(kind) if isinstance(kind, str) else None
        return reader(schema, at, namespace) if reader else self.read(kind, at, namespace)

    def word(self, word: str, at: str, namespace: str) -> AvroType:
        if word in _PRIMITIVES:
            return AvroType(schema=word)
        for name in (_full_name(word, namespace), word):
            if name in self.declared:
                schema, within = self.declared[name]
                return self.read(schema, at, within)
        raise _unfit(self.path, at, repr(word), "it has no type that a column can have")

    def enum(self, schema: Any, _at: str, namespace: str) -> AvroType:
        self.define(schema, namespace)
        symbols = schema["symbols"]
        numbers = list(range(len(symbols)))
        return AvroType(
            schema="int", decode=lambda value: value.replace_strict(numbers, symbols, return_dtype=pl.String)
        )

    def fixed(self, schema: Any, at: str, namespace: str) -> AvroType:
        self.define(schema, namespace)
        return self.logical(schema, self.named("fixed", size=schema["size"]), at)

    def array(self, schema: Any, at: str, namespace: str) -> AvroType:
        inner = self.read(schema["items"], f"{at}[]", namespace)
        return AvroType(schema={"type": "array", "items": inner.schema}, decode=_in_list(inner.decode))

    def map(self, schema: Any, at: str, namespace: str) -> AvroType:
        inner = self.read(schema["values"], f"{at}[]", namespace)
        entry = self.named("record", fields=[{"name": "key", "type": "string"}, _field("value", inner)])
        return AvroType(schema={"type": "array", "items": entry}, decode=_in_list(_in_struct({"value": inner.decode})))

    def union(self, branches: list[Any], at: str, namespace: str) -> AvroType:
        values = [branch for branch in branches if branch not in ("null", {"type": "null"})]
        if len(values) != 1:
            names = ", ".join(_name_of(branch) for branch in branches)
            raise _unfit(self.path, at, f"a union of {names}", "a column has one type, which may be NULL")
        inner = self.read(values[0], at, namespace)
        # a value begins with the number of its branch: the order of both is kept
        wrapped = ["null", inner.schema] if branches[0] != values[0] else [inner.schema, "null"]
        return AvroType(schema=wrapped, decode=inner.decode)

    def record(self, schema: Any, at: str, namespace: str) -> AvroType:
        namespace = self.define(schema, namespace)
        name = _full_name(schema["name"], namespace)
        if name in self.within:
            raise _unfit(self.path, at, f"a record {name} within itself", "a column has a fixed depth")
        self.within.append(name)
        inner = {
            column["name"]: self.read(column["type"], f"{at}.{column['name']}", namespace)
            for column in schema["fields"]
        }
        self.within.pop()
        return AvroType(
            schema=self.named("record", fields=[_field(column, of) for column, of in inner.items()]),
            decode=_in_struct({column: of.decode for column, of in inner.items()}),
        )

    def logical(self, schema: Any, plain: dict[str, Any], at: str) -> AvroType:
        """Return a type with its meaning; one that Avro does not define has none (Avro, "Logical Types")."""
        kind, meaning = schema["type"], schema.get("logicalType")
        if (kind, meaning) in _KNOWN:
            return AvroType(schema={**plain, "logicalType": meaning})
        if kind == "long" and meaning in _NANOSECONDS:
            return AvroType(schema="long", decode=lambda value: value.cast(_NANOSECONDS[meaning]))
        digits, scale = schema.get("precision"), schema.get("scale", 0)
        is_decimal = kind in {"bytes", "fixed"} and meaning == "decimal" and isinstance(digits, int)
        if not is_decimal or not isinstance(scale, int) or not 0 <= scale <= digits or digits == 0:
            return AvroType(schema=plain)
        if digits > _MOST_DIGITS:
            raise _unfit(self.path, at, f"decimal({digits}, {scale})", f"a column has up to {_MOST_DIGITS} digits")
        return AvroType(schema={**plain, "logicalType": "decimal", "precision": digits, "scale": scale})

    def define(self, schema: Any, namespace: str) -> str:
        """Note a type under its name; return the namespace inside of it."""
        full = _full_name(schema["name"], schema.get("namespace", namespace))
        self.declared[full] = (schema, namespace)
        return full.rpartition(".")[0]

    def named(self, kind: str, **rest: Any) -> dict[str, Any]:
        self.written += 1
        return {"type": kind, "name": f"t{self.written}", **rest}


def _full_name(name: str, namespace: str) -> str:
    return name if "." in name or not namespace else f"{namespace}.{name}"


def _name_of(branch: Any) -> str:
    return str(branch.get("name") or branch.get("type")) if isinstance(branch, dict) else str(branch)


def _field(name: str, of: AvroType) -> dict[str, Any]:
    return {"name": name, "type": of.schema}


def _in_list(decode: Decode | None) -> Decode | None:
    return None if decode is None else lambda value: value.list.eval(decode(pl.element()))


def _in_struct(fields: Mapping[str, Decode | None]) -> Decode | None:
    decoded = {name: decode for name, decode in fields.items() if decode is not None}
    if not decoded:
        return None
    return lambda value: value.struct.with_fields(
        *(decode(pl.field(name)).alias(name) for name, decode in decoded.items())
    )


def _unfit(path: str, at: str, what: str, why: str) -> SourceError:
    hint = f"{why}; let the writer of the file choose another type"
    details = {"file": path, "column": at}
    return SourceError(f"avro: {at} is {what}", details, code="TG212", where=path, hint=hint)
