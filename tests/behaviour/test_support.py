"""Each load type into each kind of destination, and back out of it without Tidegate."""

from __future__ import annotations

import shutil
from pathlib import Path
from typing import Any

import pyarrow as pa
import pytest

from tests.behaviour.places import PLACES, ParquetFolder, Place, PlaceOf
from tidegate import Connection, DataFlow, Destination, Source, create_driver

NO_KEYS = "rows of files are not replaced one by one: TG107"
_FILES = ("csv", "jsonl", "parquet")
_TABLES_ONLY = pytest.mark.never(_FILES, reason=NO_KEYS)

Row = tuple[int, str]
_BEFORE: tuple[Row, ...] = ((1, "a"), (2, "b"), (3, "c"))
_THEN: tuple[Row, ...] = ((2, "B"), (4, "d"))
_LOADS = {
    "append": (*_BEFORE, *_THEN),
    "overwrite": _THEN,
    "full_load": _THEN,
    "overwrite_partitions": ((1, "a"), (2, "B"), (3, "c"), (4, "d")),
    "replace_by_watermark": ((1, "a"), (2, "b"), (4, "d")),
    "merge_upsert": ((1, "a"), (2, "B"), (3, "c"), (4, "d")),
    "merge_overwrite": ((1, "a"), (2, "B"), (3, "c"), (4, "d")),
    "merge_delete": ((1, "a"), (2, "B"), (4, "d")),
    "snapshot": _THEN,
    "scd2": ((1, "a"), (2, "B"), (2, "b"), (3, "c"), (4, "d")),
}
"""Load strategy → the rows after a source that had `_BEFORE`, and then `_THEN`; a delete of 3 came with it."""
_STRATEGIES = [
    *("append", "overwrite", "full_load"),
    "overwrite_partitions",
    *(pytest.param(name, marks=_TABLES_ONLY) for name in list(_LOADS)[4:]),
]


def flow_of(root: Path, place: Place, strategy: str) -> DataFlow:
    """Declare a flow from `in/events` that loads with this strategy."""
    declared: dict[str, Any] = {"load_type": strategy, "merge_keys": "id"}
    source: dict[str, Any] = {}
    match strategy:
        case "append" | "overwrite" | "full_load":
            declared = {"load_type": strategy}
        case "overwrite_partitions":
            options = {"write_options": {"partition_overwrite_mode": "dynamic"}}
            declared = {"load_type": "overwrite", "partition_columns": "i64", "configure": options}
        case "replace_by_watermark":
            source = {"watermark_columns": "id"}
            declared = {"load_type": "append", "configure": {"replace_by_watermark": True}}
        case "merge_delete":
            source = {"cdc": {"operation_column": "op", "delete_values": ["D"]}}
    return DataFlow(
        name="events",
        source=Source(connection=ParquetFolder(root / "in").connection("in"), table="events", **source),
        destination=Destination(connection=place.connection("out"), table=f"by_{strategy}", **declared),
    )


@pytest.mark.supports("sources", "mssql", "polars", evidence="protocol-tested")
@pytest.mark.supports("load types", "mssql", "append", evidence="protocol-tested")
def test_sql_server_is_loaded_and_read_through_its_protocol(tmp_path: Path) -> None:
    """There is no SQL Server to be had here: a small server speaks TDS to Microsoft's driver."""
    mssql = pytest.importorskip("tests.tds_server", reason="SQL Server's driver is not installed")
    with mssql.tds_server() as server:
        url = f"mssql://sa:right@127.0.0.1:{server.port}/shop?Encrypt=no"
        shop = Connection(name="shop", format="sql", configure={"url": url})
        ParquetFolder(tmp_path / "in").fill("events", rows(*_BEFORE))
        files = [ParquetFolder(tmp_path / name).connection(name) for name in ("in", "out")]
        flows = [
            DataFlow(
                name=name,
                source=Source(connection=source, table="events"),
                destination=Destination(connection=destination, table="events"),
            )
            for name, source, destination in (("to", files[0], shop), ("from", shop, files[1]))
        ]
        for flow in flows:
            with create_driver(root=tmp_path) as driver:
                (unit,) = driver.run(dataflows=[flow]).units
            assert (unit.status, unit.rows_out) == ("succeeded", 3), unit.error
    found = ParquetFolder(tmp_path / "out").read("events").select("id", "words").rows()
    assert sorted(found) == sorted(_BEFORE)


def rows(*pairs: Row, deletes: bool = False) -> pa.Table:
    """Return rows; for change data with what happened to them."""
    ids = [row for row, _ in pairs]
    columns = {"id": ids, "i64": ids, "words": [text for _, text in pairs]}
    return pa.table({**columns, **({"op": ["I" if text else "D" for _, text in pairs]} if deletes else {})})


@pytest.mark.supports("platforms", "local", "read and write", evidence="real")
@pytest.mark.supports("load types", "{destination_format}", "{strategy}", evidence="real")
@pytest.mark.parametrize("strategy", _STRATEGIES)
@pytest.mark.parametrize("destination_format", PLACES)
def test_two_loads_come_to_what_the_load_type_says(
    destination_format: str, strategy: str, place_of: PlaceOf, tmp_path: Path
) -> None:
    place, changes = place_of(destination_format), strategy == "merge_delete"
    flow = flow_of(tmp_path, place, strategy)
    batches = (_BEFORE, (*_THEN, (3, "")) if changes else _THEN)
    for number, batch in enumerate(batches):
        if strategy not in {"append", "merge_upsert"}:  # which read new files only
            shutil.rmtree(tmp_path / "in", ignore_errors=True)
        ParquetFolder(tmp_path / "in/events").fill(str(number), rows(*batch, deletes=changes))
        with create_driver(root=tmp_path) as driver:
            (unit,) = driver.run(dataflows=[flow]).units
        assert unit.status == "succeeded", unit.error
    found = place.read(f"by_{strategy}").select("id", "words").rows()
    assert sorted(found) == sorted(_LOADS[strategy])
