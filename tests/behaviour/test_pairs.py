"""Every value from every kind of place into every other kind, looked at there without Tidegate."""

from __future__ import annotations

import itertools
import math
from collections.abc import Sequence
from pathlib import Path

import pyarrow as pa
import pytest
from polars.testing import assert_frame_equal

from tests.behaviour.every_type import (
    CANNOT,
    CANNOT_SINGLE,
    COLUMNS,
    KEPT_AS,
    NO_SIGN_OF_ZERO,
    SINGLE,
    columns_of,
    compared,
    every_type,
    rows_of,
    singles_of,
)
from tests.behaviour.places import PLACES, ParquetFolder, Place, PlaceOf
from tests.behaviour.project import Project
from tidegate import DataFlow, Destination, Source, Transform, create_driver
from tidegate.destinations.table import table_registry
from tidegate.expressions.data_type import describe_type
from tidegate.platforms.local import LOCAL
from tidegate.reporting import UnitReport

KINDS = tuple(PLACES)
_EACH_WITH_EACH = tuple(kind for kind in KINDS if kind not in {"jsonl", "duckdb"})
_PAIRS = [
    *itertools.product(_EACH_WITH_EACH, repeat=2),
    *(pair for kind in ("jsonl", "duckdb") for pair in ((kind, kind), (kind, "parquet"), ("parquet", kind))),
]
_INTO = [("parquet", kind) for kind in KINDS if kind != "parquet"]


@pytest.fixture(scope="session")
def source_of(place_of: PlaceOf) -> PlaceOf:
    """Return the place of a kind with a table `every_type`, which has all that the kind can hold."""
    filled = set()

    def source(kind: str) -> Place:
        place = place_of(kind)
        if kind not in filled:
            place.fill("every_type", rows_of(columns_of(kind), singles_of(kind)))
            filled.add(kind)
        return place

    return source


def flow_of(
    source: Place,
    destination: Place,
    to: str,
    *,
    table: str = "every_type",
    columns: Sequence[str] = tuple(COLUMNS),
    rows: str | None = None,
) -> DataFlow:
    """Declare a flow of these columns, and of the rows that an expression takes."""
    hints = [{"column_name": name, "data_type": COLUMNS[name].hint} for name in columns] if source.reads_hints else []
    return DataFlow(
        name=f"load_{to}",
        source=Source(connection=source.connection("from"), table=table),
        transform=Transform(schema_hints=hints, select_columns=columns, filter_expression=rows),
        destination=Destination(connection=destination.connection("to"), table=to),
    )


def loaded(flow: DataFlow, root: Path) -> UnitReport:
    """Run a flow."""
    with create_driver(root=root) as driver:
        (unit,) = driver.run(dataflows=[flow]).units
    return unit


class TestEveryValue:
    @pytest.mark.supports("sources", "{source}", "polars", evidence="real")
    @pytest.mark.parametrize(("source", "destination"), _PAIRS)
    def test_comes_through(
        self, source: str, destination: str, source_of: PlaceOf, place_of: PlaceOf, tmp_path: Path
    ) -> None:
        """20,000 rows of all types, with all odd values, that both sides have."""
        columns, singles = columns_of(source, destination), singles_of(source, destination)
        left_out = [str(single["id"]) for name, single in SINGLE.items() if name not in singles]
        rows = f"id not in ({', '.join(left_out)})" if left_out else None
        flow = flow_of(source_of(source), place_of(destination), f"from_{source}", columns=columns, rows=rows)
        unit = loaded(flow, tmp_path)
        assert unit.status == "succeeded", unit.error
        expected = rows_of(columns, singles)
        assert unit.rows_out == expected.num_rows
        found = place_of(destination).read(f"from_{source}").select(columns)
        signed_zero = not {source, destination} & set(NO_SIGN_OF_ZERO)
        assert_frame_equal(compared(found, signed_zero=signed_zero), compared(expected, signed_zero=signed_zero))

    @pytest.mark.parametrize("kind", KINDS)
    def test_has_the_type_that_is_documented(
        self, kind: str, source_of: PlaceOf, place_of: PlaceOf, tmp_path: Path
    ) -> None:
        """What a load declares in its destination is what the support matrix says."""
        flow = flow_of(source_of("parquet"), place_of(kind), "of_types", columns=columns_of(kind), rows="id < 10")
        assert loaded(flow, tmp_path).status == "succeeded"
        connection = flow.destination.connection
        table = table_registry.load(str(connection and connection.format))(flow, LOCAL)
        declared = {name: describe_type(dtype) for name, dtype in table.snapshot().columns.items() if name in COLUMNS}
        plain = {name: describe_type(COLUMNS[name].arrow) for name in columns_of(kind)}
        assert declared == {**plain, **KEPT_AS.get(kind, {})}


class TestWhatIsNotKept:
    """By nature: it is refused, with its column, and nothing is loaded."""

    @pytest.mark.parametrize(("kind", "column"), [(kind, column) for kind in CANNOT for column in CANNOT[kind]])
    def test_a_type_is_refused(
        self, kind: str, column: str, source_of: PlaceOf, place_of: PlaceOf, tmp_path: Path
    ) -> None:
        to = f"no_{column}"
        error = loaded(flow_of(source_of("parquet"), place_of(kind), to, columns=["id", column]), tmp_path).error
        assert error is not None
        assert (error.code, repr(column) in error.message) == ("TG403", True)

    @pytest.mark.parametrize(
        ("kind", "single"), [(kind, single) for kind in CANNOT_SINGLE for single in CANNOT_SINGLE[kind]]
    )
    def test_a_value_is_refused(
        self, kind: str, single: str, source_of: PlaceOf, place_of: PlaceOf, tmp_path: Path
    ) -> None:
        only = f"id = {SINGLE[single]['id']}"
        flow = flow_of(source_of("parquet"), place_of(kind), "refused", columns=columns_of(kind), rows=only)
        error = loaded(flow, tmp_path).error
        assert error is not None
        assert error.code == ({"jsonl": "TG415", "mongodb": "TG756"}.get(kind, "TG725"))
        assert any(name in error.message for name in SINGLE[single]), error.message

    def test_no_number_within_a_value_becomes_null(self, project: Project) -> None:
        """JSON has finite numbers only, at any depth."""
        project.parquet("a.parquet", {"id": [1, 2], "value": [None, [{"f": 1.5}, {"f": None}, None]]})
        flow = project.flow("a", source="a.parquet", format="parquet", to="jsonl")
        assert project.load(flow).rows_out == 2
        project.parquet("b.parquet", {"id": [1, 2], "value": [None, [{"f": 1.5}, {"f": -math.inf}]]})
        error = project.fail(project.flow("b", source="b.parquet", format="parquet", to="jsonl"))
        assert (error.code, "'value'" in error.message) == ("TG415", True)


class TestSizes:
    @pytest.mark.parametrize("kind", [kind for kind in KINDS if kind != "jsonl"])  # an empty file may be unfinished
    def test_no_rows_from(self, kind: str, place_of: PlaceOf, tmp_path: Path) -> None:
        """A source without rows is no error, and loads none."""
        columns = columns_of(kind)
        place_of(kind).fill("nothing", every_type(0).select(columns))
        flow = flow_of(place_of(kind), ParquetFolder(tmp_path / "out"), "nothing", table="nothing", columns=columns)
        unit = loaded(flow, tmp_path)
        assert (unit.status, unit.rows_out) == ("succeeded", 0), unit.error

    @pytest.mark.parametrize("kind", KINDS)
    def test_no_rows_into(self, kind: str, source_of: PlaceOf, place_of: PlaceOf, tmp_path: Path) -> None:
        """The table is there, with its columns, and takes rows later."""
        for rows, expected in (("id < 0", 0), ("id < 3", 3)):
            flow = flow_of(source_of("parquet"), place_of(kind), "few", columns=columns_of(kind), rows=rows)
            flow = flow.model_copy(update={"name": f"load_{expected}", "dataflow_id": f"load_{expected}"})
            unit = loaded(flow, tmp_path)
            assert (unit.status, unit.rows_out) == ("succeeded", expected), unit.error
        assert place_of(kind).read("few").height == 3

    @pytest.mark.parametrize(("source", "destination"), [*((kind, "parquet") for kind in KINDS), *_INTO])
    def test_ten_megabytes_of_text(self, source: str, destination: str, place_of: PlaceOf, tmp_path: Path) -> None:
        """One value that is larger than a usual batch."""
        text = 'ä€"\n' * 1_500_000 + "end"
        assert len(text.encode()) > 10 << 20
        rows = pa.table({"id": pa.array([1, 2]), "words": pa.array([text, None])})
        table = f"large_{destination}"
        place_of(source).fill(table, rows)
        flow = flow_of(
            place_of(source), place_of(destination), f"{table}_{source}", table=table, columns=["id", "words"]
        )
        unit = loaded(flow, tmp_path)
        assert unit.status == "succeeded", unit.error
        assert place_of(destination).read(f"{table}_{source}").sort("id")["words"].to_list() == [text, None]
