"""Schema policy: what becomes of columns that are new in the source, missing from it, or wider than the table's.

`evolve` (the default) lets the table take them on, `ignore` leaves the table's schema as it is, `fail` refuses the
load. Under every policy a type that would lose values is refused, and a narrower one is converted. Columns that
Tidegate adds itself are never a difference.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

import pyarrow as pa

from tidegate.destinations.table import incompatible
from tidegate.destinations.table_types import fits, united
from tidegate.engines.base import FILE_INFO_COLUMNS
from tidegate.errors import DestinationError
from tidegate.expressions.data_type import describe_type
from tidegate.transformers.scd2_columns import SCD2_COLUMNS
from tidegate.transformers.system_columns import DELETED_AT, SYSTEM_COLUMNS

if TYPE_CHECKING:
    from tidegate.destinations.table import BaseTable, Snapshot
    from tidegate.models.destination import SchemaPolicy

Columns = Mapping[str, pa.DataType]

_INTERNAL = "__tidegate_"
"""Begin of the names of columns that only load strategies see; none is ever written."""
_OWN = frozenset({*SYSTEM_COLUMNS, DELETED_AT, *SCD2_COLUMNS, *FILE_INFO_COLUMNS})


@dataclass(frozen=True, slots=True, kw_only=True)
class Widened:
    """A column of the table that takes a wider type."""

    there: pa.DataType
    into: pa.DataType
    by_rewrite: bool
    """Whether all files are written anew with the wide type; else the table's schema alone says so."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Settled:
    """How a batch goes into a table: what is written, and what the table's schema becomes."""

    columns: Columns
    """The columns that are written, in the batch's order, in the types that the table then has."""
    added: tuple[str, ...] = ()
    """Columns that the table does not have yet."""
    missing: tuple[str, ...] = ()
    """Columns of the table that the batch does not have."""
    ignored: tuple[str, ...] = ()
    """Columns of the batch that are left out; `column.field` for those of a struct."""
    narrowed: Columns = field(default_factory=dict)
    """Columns of the batch whose values must fit the table's narrower type, one by one."""
    widened: Mapping[str, Widened] = field(default_factory=dict)

    @property
    def rewrites(self) -> bool:
        """Whether a wider type demands that all files of the table are written anew."""
        return any(column.by_rewrite for column in self.widened.values())

    def notes(self) -> Iterator[str]:
        """Yield what people should know about it, in a few words."""
        if self.added:
            yield f"added {_listed(self.added)}"
        if self.ignored:
            yield f"left out {_listed(self.ignored)} (schema_policy: ignore)"
        for name, column in self.widened.items():
            yield f"widened {name} from {describe_type(column.there)} to {describe_type(column.into)}"
        if self.rewrites:
            yield "rewrote all files of the table for it"


def settle(
    columns: Columns, snapshot: Snapshot, table: BaseTable, policy: SchemaPolicy, *, replaces_schema: bool = False
) -> Settled:
    """Decide how columns go into a table at one version of it. Nothing is changed.

    Args:
        columns: The columns of the batch, as the destination calls them, with their types.
        snapshot: The table.
        table: Says which types its format has.
        policy: What becomes of differences.
        replaces_schema: Whether all rows are replaced, so that the table may take on the batch's schema.

    Raises:
        DestinationError: a column does not fit the table (TG403), or differs where nothing may (TG414).
    """
    if snapshot.version is None or (replaces_schema and policy == "evolve"):
        return Settled(columns={name: _stored(table, name, dtype) for name, dtype in columns.items()})
    known = {name: snapshot.columns[name] for name in columns if name in snapshot.columns}
    new = [name for name in columns if name not in known]
    left_out = [name for name in new if policy == "ignore" and not _is_own(name)]
    written = {name: dtype for name, dtype in columns.items() if name not in left_out}
    wider = dict(_wider(table, written, known))
    missing = [name for name in snapshot.columns if name not in columns and not _is_own(name)]
    if policy == "fail":
        _refuse_differences(table, [name for name in new if not _is_own(name)], missing, wider)
    grown = {} if policy == "ignore" else wider
    narrowed = {} if policy == "evolve" else {name: known[name] for name in wider if name not in grown}
    types = {**known, **{name: column.into for name, column in grown.items()}}
    return Settled(
        columns={name: types[name] if name in types else _stored(table, name, written[name]) for name in written},
        added=tuple(name for name in new if name not in left_out and not _is_own(name)),
        missing=tuple(missing),
        ignored=(*left_out, *(path for name in narrowed for path in _lost(name, columns[name], narrowed[name]))),
        narrowed=narrowed,
        widened=grown,
    )


def _wider(table: BaseTable, columns: Columns, known: Columns) -> Iterator[tuple[str, Widened]]:
    """Yield the columns that the table's types do not hold, with the types that hold both."""
    for name, there in known.items():
        if fits(columns[name], there):
            continue
        came = _stored(table, name, columns[name])
        if fits(came, there):
            continue
        into = united(came, there)
        how = table.widening(name, there, into) if into is not None else None
        if into is None or how is None:
            raise incompatible(name, describe_type(columns[name]), describe_type(there), table.place)
        yield name, Widened(there=there, into=into, by_rewrite=how == "rewrite")


def _refuse_differences(table: BaseTable, new: list[str], missing: list[str], wider: Mapping[str, Widened]) -> None:
    found = [
        *(f"column {name!r} is new" for name in new),
        *(f"column {name!r} is missing" for name in missing),
        *(
            f"column {name!r} is {describe_type(column.into)}, but {describe_type(column.there)} in the table"
            for name, column in wider.items()
        ),
    ]
    if found:
        details = {"columns": [*new, *missing, *wider]}
        hint = "take the difference on with schema_policy: evolve, leave it out with ignore, or correct the source"
        msg = f"the batch differs from {table.place}, which schema_policy: fail refuses: {'; '.join(found)}"
        raise DestinationError(msg, details, code="TG414", where=table.place, hint=hint)


def _stored(table: BaseTable, name: str, dtype: pa.DataType) -> pa.DataType:
    return dtype if name.startswith(_INTERNAL) else table.storable(name, dtype)


def _is_own(name: str) -> bool:
    """Tell the columns that Tidegate adds itself."""
    return name in _OWN or name.startswith(_INTERNAL)


def _lost(path: str, came: pa.DataType, there: pa.DataType) -> Iterator[str]:
    """Yield the fields of structs that the table does not have."""
    if pa.types.is_list(came) and pa.types.is_list(there):
        yield from _lost(f"{path}[]", came.value_type, there.value_type)
    elif pa.types.is_struct(came) and pa.types.is_struct(there):
        known = {inner.name: inner.type for inner in there}
        for inner in came:
            if inner.name in known:
                yield from _lost(f"{path}.{inner.name}", inner.type, known[inner.name])
            else:
                yield f"{path}.{inner.name}"


def _listed(names: tuple[str, ...]) -> str:
    return f"column{'s' if len(names) > 1 else ''} {', '.join(names)}"
