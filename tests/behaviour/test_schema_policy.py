"""Schema policy: new, missing and wider columns, on every destination, by every load strategy."""

from __future__ import annotations

import importlib.util
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import deltalake
import polars as pl
import pyarrow as pa
import pytest
from pyarrow import parquet

from tests.behaviour.conftest import project_for
from tests.behaviour.databases import frame_of
from tests.behaviour.project import DATABASES, Project, data_files, iceberg_table
from tidegate import DataFlow
from tidegate.connections import database_of
from tidegate.destinations.database import DatabaseTable
from tidegate.platforms.local import LOCAL

CHANGE_DATA = {"operation_column": "op", "delete_values": ["D"], "sequence_by": ["at"]}
STRATEGIES: dict[str, dict[str, Any]] = {
    "append": {},
    "overwrite": {"load_type": "overwrite"},
    "overwrite_partitions": {
        "load_type": "overwrite",
        "write_options": {"partition_overwrite_mode": "dynamic"},
        "partitions": ["part"],
    },
    "merge_upsert": {"load_type": "merge_upsert", "keys": ["id"]},
    "merge_overwrite": {"load_type": "merge_overwrite", "keys": ["id"]},
    "merge_delete": {"load_type": "merge_delete", "keys": ["id"], "cdc": CHANGE_DATA},
    "snapshot": {"load_type": "snapshot", "keys": ["id"]},
    "replace_by_watermark": {"settings": {"replace_by_watermark": True}, "watermark": "at"},
}
if importlib.util.find_spec("tidegate.destinations.load_strategies.scd2"):
    STRATEGIES["scd2"] = {"load_type": "scd2", "keys": ["id"]}
WHOLE_FILES = ("append", "overwrite", "overwrite_partitions")
MERGES_ON = ("delta", "iceberg", "sqlite", "postgresql")
CASES = [
    pytest.param(to, strategy, id=f"{to}-{strategy}")
    for to in ("delta", "iceberg", "parquet", "csv", "jsonl", "sqlite", "postgresql")
    for strategy in STRATEGIES
    if to in MERGES_ON or strategy in WHOLE_FILES
]
LEFT = {
    "append": [(1, "first"), (2, "first"), (2, "second"), (3, "second")],
    "overwrite": [(2, "second"), (3, "second")],
    "overwrite_partitions": [(1, "first"), (2, "first"), (2, "second"), (3, "second")],
    "merge_upsert": [(1, "first"), (2, "second"), (3, "second")],
    "merge_overwrite": [(1, "first"), (2, "second"), (3, "second")],
    "merge_delete": [(1, "first"), (2, "second"), (3, "second")],
    "snapshot": [(2, "second"), (3, "second")],
    "replace_by_watermark": [(1, "first"), (2, "second"), (3, "second")],
    "scd2": [(1, "first"), (2, "first"), (2, "second"), (3, "second")],
}
"""Strategy → the rows that are there after both loads, with the load that they come from."""
KEEPS_OLD_VALUES = ("merge_upsert", "merge_delete", "snapshot", "scd2")


class Table:
    """One table that two flows load, one after the other, by one strategy."""

    def __init__(self, project: Project, to: str, strategy: str) -> None:
        self.project = project
        self.strategy = strategy
        self.to = to

    @property
    def replaces_columns(self) -> bool:
        """Whether a load takes the place of all rows, and of the columns with them: a database keeps its own."""
        return self.strategy == "overwrite" and self.to not in DATABASES

    def flow(self, name: str, *, policy: str | None = None, **options: Any) -> DataFlow:
        """Declare the flow of this name, which reads the file of this name."""
        known = STRATEGIES[self.strategy]
        settings = {**known.get("settings", {}), **({"schema_policy": policy} if policy else {})}
        return self.project.flow(
            "t", source=name, name=name, to=self.to, format="parquet", **{**known, **options, "settings": settings}
        )

    def write(self, name: str, ids: Sequence[int], **columns: pl.Series) -> None:
        """Write the file of one flow: its rows, and what it alone has."""
        own = {
            "id": ids,
            "part": [name] * len(ids),
            "at": ids,
            "label": [name] * len(ids),
            **({"op": ["I"] * len(ids)} if self.strategy == "merge_delete" else {}),
        }
        self.project.parquet(f"{name}.parquet", pl.DataFrame({**own, **columns}))

    def first(self, **columns: pl.Series) -> DataFlow:
        """Load ids 1 and 2, and return the flow."""
        self.write("first", [1, 2], **columns)
        self.project.load(self.flow("first"))
        return self.flow("first")

    def second(self, policy: str | None, **columns: pl.Series) -> DataFlow:
        """Write ids 2 and 3 for the second load, and return its flow."""
        self.write("second", [2, 3], **columns)
        return self.flow("second", policy=policy)

    def values(self, column: str) -> list[tuple[Any, Any, Any]]:
        """Return id, origin and value of a column, of all rows."""
        return self.project.rows(self.flow("first"), "id", "label", column)

    def columns(self) -> set[str]:
        """Return the names of the columns, without those of Tidegate and of partitions."""
        names = self.project.frame(self.flow("first")).columns
        return {name for name in names if not name.startswith("__")} - {"part", "label", "at", "id"}

    def expected(self, first: Sequence[Any], second: Sequence[Any], *, keeps: bool = False) -> list[tuple[Any, ...]]:
        """Return what :meth:`values` must be, from the values of ids 1 and 2, and 2 and 3."""
        old, new = dict(zip((1, 2), first, strict=True)), dict(zip((2, 3), second, strict=True))
        return [
            (key, origin, old[key] if origin == "first" or (keeps and key == 2) else new[key])
            for key, origin in LEFT[self.strategy]
        ]


@pytest.fixture
def table(request: pytest.FixtureRequest, tmp_path: Path, to: str, strategy: str) -> Table:
    """A table of each format, for each strategy that it takes."""
    return Table(project_for(request, tmp_path, to), to, strategy)


def ints(*values: int | None, bits: int = 64) -> pl.Series:
    """Return integers of this width."""
    return pl.Series(values, dtype=pl.Int32 if bits == 32 else pl.Int64)


def text(*values: str | None) -> pl.Series:
    """Return text."""
    return pl.Series(values, dtype=pl.String)


def type_of(flow: DataFlow, column: str) -> pa.DataType:
    """Return the type that a table gives a column; that of its files is the same, but for Iceberg, which promotes."""
    path = str(flow.destination.path)
    match flow.destination.connection.format:  # type: ignore[union-attr]
        case "sql":
            rows = frame_of(database_of(flow.destination.connection), flow.destination.table)  # type: ignore[arg-type]
            return rows.to_arrow(compat_level=pl.CompatLevel.oldest()).schema.field(column).type
        case "iceberg":
            return iceberg_table(flow).schema().as_arrow().field(column).type
        case "delta":
            table = deltalake.DeltaTable(path)
            files = [f"{path}/{name}" for name in pa.table(table.get_add_actions())["path"].to_pylist()]
            types = {pa.schema(table.schema()).field(column).type}
        case _:
            files, types = data_files(path, "parquet"), set()
    types |= {parquet.read_schema(file).field(column).type for file in files}
    assert len(types) == 1, types
    return types.pop()


@pytest.mark.parametrize(("to", "strategy"), CASES)
class TestNewColumns:
    @pytest.mark.parametrize("policy", [None, "evolve"])
    def test_evolve_adds_them(self, table: Table, policy: str | None) -> None:
        """A column that is new in the source is added; rows from before have none of it (defect 13)."""
        table.first()
        report = table.project.load(table.second(policy, city=text("Oslo", "Bergen")))
        assert table.values("city") == table.expected([None, None], ["Oslo", "Bergen"])
        assert ("added column city" in str(report.detail)) is (not table.replaces_columns)

    def test_ignore_leaves_them_out(self, table: Table) -> None:
        """The table's columns stay as they are, and the report says what was left out."""
        table.first(w=ints(1, 2))
        report = table.project.load(table.second("ignore", city=text("Oslo", "Bergen"), w=ints(2, 3)))
        assert table.columns() == {"w"}
        assert table.values("w") == table.expected([1, 2], [2, 3])
        assert "left out column city" in str(report.detail)

    def test_fail_refuses_them(self, table: Table) -> None:
        """Nothing is written, and the error names column and destination."""
        table.first()
        flow = table.second("fail", city=text("Oslo", "Bergen"))
        error = table.project.fail(flow)
        assert (error.code, "column 'city' is new" in error.message) == ("TG414", True)
        assert "schema_policy: evolve" in str(error.hint)


@pytest.mark.parametrize(("to", "strategy"), CASES)
class TestMissingColumns:
    @pytest.mark.parametrize("policy", ["evolve", "ignore"])
    def test_are_null_or_keep_their_values(self, table: Table, policy: str) -> None:
        """Rows that come have none of it, but a merge keeps what the row had; a full load may drop the column."""
        table.first(w=ints(10, 20))
        table.project.load(table.second(policy))
        if table.replaces_columns and (policy == "evolve" or table.to in {"csv", "jsonl", "parquet"}):
            assert table.columns() == set()
            return
        keeps = table.strategy in KEEPS_OLD_VALUES
        assert table.values("w") == table.expected([10, 20], [None, None], keeps=keeps)

    def test_fail_refuses(self, table: Table) -> None:
        """A batch that lacks a column is not taken."""
        table.first(w=ints(10, 20))
        error = table.project.fail(table.second("fail"))
        assert (error.code, "column 'w' is missing" in error.message) == ("TG414", True)

    def test_a_column_that_ignore_has_kept_is_still_the_tables(self, table: Table) -> None:
        """The table's schema stays, whatever one batch lacks: the next one may have the column."""
        table.first(w=ints(10, 20))
        table.project.load(table.second("ignore"))
        table.write("third", [2, 3], w=ints(200, 300))
        table.project.load(table.flow("third", policy="fail"))
        assert (3, "third", 300) in table.values("w")


@pytest.mark.parametrize(("to", "strategy"), [case for case in CASES if case.values[0] != "sqlite"])
class TestWiderColumns:
    """SQLite has one type for all whole numbers."""

    def test_evolve_widens_the_column(self, table: Table) -> None:
        """Old rows are read as before, the new ones whole, and all of it came in one commit."""
        table.first(n=ints(1, None, bits=32))
        before = versions(table.flow("first"))
        report = table.project.load(table.second("evolve", n=ints(3_000_000_000, 4)))
        assert table.values("n") == table.expected([1, None], [3_000_000_000, 4])
        assert versions(table.flow("first")) == before + 1
        assert ("widened n from int to bigint" in str(report.detail)) is (not table.replaces_columns)
        if table.to not in {"csv", "jsonl"}:
            assert type_of(table.flow("first"), "n") == pa.int64()

    def test_a_load_after_it_goes_on(self, table: Table) -> None:
        """The wide column is the table's own from then on."""
        table.first(n=ints(1, 2, bits=32))
        table.project.load(table.second("evolve", n=ints(3_000_000_000, 4)))
        table.write("third", [3], n=ints(5, bits=32))
        report = table.project.load(table.flow("third", policy="fail" if table.strategy != "overwrite" else None))
        assert "widened" not in str(report.detail)
        assert (3, "third", 5) in table.values("n")

    def test_ignore_takes_values_that_fit(self, table: Table) -> None:
        """The table's type stays."""
        table.first(n=ints(1, 2, bits=32))
        table.project.load(table.second("ignore", n=ints(7, None)))
        assert table.values("n") == table.expected([1, 2], [7, None])
        if table.to not in {"csv", "jsonl", "sqlite"}:
            assert type_of(table.flow("first"), "n") == pa.int32()

    def test_ignore_refuses_a_value_that_does_not_fit(self, table: Table) -> None:
        """The error names file, row, column and value; nothing is written."""
        table.first(n=ints(1, 2, bits=32))
        error = table.project.fail(table.second("ignore", n=ints(7, 3_000_000_000)))
        assert (error.code, "3000000000 is not int" in error.message) == ("TG206", True)
        assert str(error.where).endswith("second.parquet, row 2, column n")

    def test_fail_refuses(self, table: Table) -> None:
        """The error names the column and both types."""
        table.first(n=ints(1, 2, bits=32))
        error = table.project.fail(table.second("fail", n=ints(7, 8)))
        assert (error.code, "column 'n' is bigint, but int in the table" in error.message) == ("TG414", True)


@pytest.mark.parametrize(("to", "strategy"), CASES)
@pytest.mark.parametrize("policy", ["evolve", "ignore", "fail"])
class TestUnderEveryPolicy:
    def test_a_narrower_type_is_converted(self, table: Table, policy: str) -> None:
        """An int is a bigint too: the table's type stays. A full load that may takes on the batch's."""
        table.first(n=ints(1, 3_000_000_000))
        table.project.load(table.second(policy, n=ints(7, 8, bits=32)))
        assert table.values("n") == table.expected([1, 3_000_000_000], [7, 8])
        if table.to not in {"csv", "jsonl"}:
            takes_on = table.replaces_columns and policy == "evolve"
            assert type_of(table.flow("first"), "n") == (pa.int32() if takes_on else pa.int64())

    @pytest.mark.parametrize(
        ("there", "found", "words"),
        [
            pytest.param(ints(1, 2), text("x", "y"), "column 'n' is string, but bigint in the table", id="text"),
            pytest.param(
                pl.Series([0.5, 1.5]), ints(1, 2), "column 'n' is bigint, but double in the table", id="double"
            ),
        ],
    )
    def test_a_type_that_loses_values_is_refused(
        self, table: Table, policy: str, there: pl.Series, found: pl.Series, words: str
    ) -> None:
        """Nothing is written, and the error says which column and which types; a full load that may takes it on."""
        table.first(n=there)
        flow = table.second(policy, n=found)
        if table.replaces_columns and policy == "evolve":
            table.project.load(flow)
            assert table.values("n") == table.expected([None, None], found.to_list())
            return
        error = table.project.fail(flow)
        assert (error.code, words in error.message) == ("TG403", True)
        assert str(error.where)
        assert "schema_hints" in str(error.hint)


def versions(flow: DataFlow) -> int:
    """Return how many commits a table has seen."""
    path = str(flow.destination.path)
    match flow.destination.connection.format:  # type: ignore[union-attr]
        case "delta":
            return deltalake.DeltaTable(path).version()
        case "iceberg":
            return iceberg_table(flow).metadata.last_sequence_number
        case "sql":
            return DatabaseTable(flow, LOCAL).snapshot().version or 0
        case _:
            return len(list(Path(path, "_tidegate", "log").glob("*.json")))
