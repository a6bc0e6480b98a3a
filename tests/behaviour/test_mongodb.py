"""MongoDB as a source and as a destination, on a real replica set."""

from __future__ import annotations

import datetime as dt
import json
import subprocess
import sys
import threading
import uuid
from collections.abc import Iterator, Mapping
from contextlib import suppress
from decimal import Decimal
from pathlib import Path
from typing import Any

import polars as pl
import pytest

pytest.importorskip("pymongo", reason="pymongo is not installed")

from bson import Binary, Decimal128, Int64, MinKey, ObjectId, Regex, Timestamp
from bson.codec_options import CodecOptions
from pymongo import MongoClient
from pymongo.errors import OperationFailure

from tests.behaviour.project import Project
from tests.services import Server, free_port
from tidegate import Connection, DataFlow, Destination, Source, Transform
from tidegate.connections.mongodb import MongoPlace
from tidegate.destinations import mongodb_load
from tidegate.destinations.mongodb import MongoTable
from tidegate.destinations.mongodb_load import LOADS, STAGED, Loader
from tidegate.errors import PlaceUnavailableError
from tidegate.transformers.system_columns import SYSTEM_COLUMNS

UTC = dt.UTC


class Shop:
    """A project whose files are loaded into MongoDB, and whose collections are loaded into Delta."""

    def __init__(self, root: Path, url: str) -> None:
        self.project = Project(root)
        self.url = url
        self.client: MongoClient[dict[str, Any]] = MongoClient(url, tz_aware=True)
        self.database = self.client.get_default_database().with_options(CodecOptions(tz_aware=True))

    @property
    def connection(self) -> Connection:
        return Connection(name="shop", format="mongodb", configure={"url": self.url})

    def into(
        self,
        table: str = "orders",
        load_type: str = "append",
        *,
        keys: Any = (),
        watermark: Any = (),
        name: str = "load",
        hints: Mapping[str, str] | None = None,
        settings: Mapping[str, Any] | None = None,
        **transform: Any,
    ) -> DataFlow:
        """Declare a flow from `in/{name}` to a collection."""
        files = Connection(name="files", format="parquet", configure={"base_path": str(self.project.source_root)})
        return DataFlow(
            name=name,
            source=Source(connection=files, table=name, watermark_columns=watermark),
            destination=Destination(
                connection=self.connection,
                table=table,
                load_type=load_type,
                merge_keys=keys,
                configure=dict(settings or {}),
            ),
            transform=Transform(schema_hints=_hints(hints), **transform),
        )

    def out_of(
        self,
        table: str | None = "orders",
        *,
        query: Any = None,
        watermark: Any = (),
        hints: Mapping[str, str] | None = None,
        source_filter: str | None = None,
        load_type: str = "append",
        keys: Any = (),
        read_options: Mapping[str, Any] | None = None,
    ) -> DataFlow:
        """Declare a flow from a collection, or a query, to `out/orders`."""
        lake = Connection(name="lake", format="delta", configure={"base_path": str(self.project.destination_root)})
        return DataFlow(
            name="read",
            source=Source(
                connection=self.connection,
                table=None if query else table,
                query=json.dumps(query) if isinstance(query, dict) else query,
                watermark_columns=watermark,
                filter_expression=source_filter,
                configure={"read_options": dict(read_options or {})},
            ),
            destination=Destination(connection=lake, table="orders", load_type=load_type, merge_keys=keys),
            transform=Transform(schema_hints=_hints(hints)),
        )

    def give(self, columns: Any, name: str = "load", file: str = "rows.parquet") -> None:
        """Put rows where a flow reads them."""
        self.project.parquet(f"{name}/{file}", columns)

    def load(self, flow: DataFlow) -> Any:
        return self.project.load(flow)

    def fail(self, flow: DataFlow) -> Any:
        """Run a flow, which must fail and change nothing."""
        before = self.everything()
        (unit,) = self.project.run(flow).units
        assert unit.status == "failed"
        assert self.everything() == before
        assert unit.error is not None
        return unit.error

    def everything(self) -> dict[str, Any]:
        names = [name for name in self.database.list_collection_names() if name != LOADS or self.records()]
        return {name: list(self.database[name].find()) for name in sorted(names)}

    def records(self) -> list[Any]:
        return list(self.database[LOADS].find())

    def rows(self, table: str = "orders", *columns: str) -> list[Any]:
        """Return the documents as tuples of these columns, sorted."""
        found = [tuple(document.get(column) for column in columns) for document in self.database[table].find()]
        return sorted(found, key=lambda row: [(value is not None, value) for value in row])

    def hidden(self) -> list[str]:
        """Return the collections that a load has left beside."""
        return [name for name in self.database.list_collection_names() if name.startswith(STAGED)]


def _hints(hints: Mapping[str, str] | None) -> list[dict[str, str]]:
    return [{"column_name": name, "data_type": dtype} for name, dtype in (hints or {}).items()]


@pytest.fixture
def shop(tmp_path: Path, mongodb_url: str) -> Iterator[Shop]:
    """A project with an empty database."""
    shop = Shop(tmp_path, mongodb_url)
    yield shop
    shop.client.close()


@pytest.fixture
def small_steps(monkeypatch: pytest.MonkeyPatch) -> None:
    """Let three rows be more than a transaction takes."""
    monkeypatch.setattr(mongodb_load, "_MOST_DOCUMENTS", 2)


class TestLoadTypes:
    """Each way to load, in one transaction or in several."""

    def test_append_adds_rows(self, shop: Shop) -> None:
        flow = shop.into(watermark="id")
        shop.give({"id": [1, 2]})
        shop.load(flow)
        shop.give({"id": [2, 3]}, file="more.parquet")
        assert shop.load(flow).rows_out == 1
        assert shop.rows("orders", "id") == [(1,), (2,), (3,)]
        assert shop.hidden() == []

    def test_a_tie_is_neither_lost_nor_doubled(self, shop: Shop) -> None:
        flow = shop.into(watermark="at")
        shop.give({"at": [1, 5], "v": ["a", "b"]})
        shop.load(flow)
        shop.give({"at": [5, 5, 6], "v": ["b", "c", "d"]}, file="more.parquet")
        shop.load(flow)
        assert shop.rows("orders", "at", "v") == [(1, "a"), (5, "b"), (5, "c"), (6, "d")]

    def test_overwrite_replaces_all_rows_in_one_step(self, shop: Shop) -> None:
        flow = shop.into(load_type="overwrite")
        shop.give({"id": [1, 2]})
        shop.load(flow)
        shop.database["orders"].create_index("other", unique=False, name="theirs")
        shop.give({"id": [3]})
        shop.load(flow)
        assert shop.rows("orders", "id") == [(3,)]
        assert "theirs" in shop.database["orders"].index_information()
        assert shop.hidden() == []

    @pytest.mark.parametrize("load_type", ["merge_upsert", "merge_overwrite"])
    def test_merges_replace_rows_by_key(self, shop: Shop, load_type: str) -> None:
        flow = shop.into(load_type=load_type, keys="id")
        shop.give({"id": [1, 2, None], "v": ["a", "b", "n"]})
        shop.load(flow)
        shop.give({"id": [2, 3, None], "v": ["B", "c", "N"]})
        shop.load(flow)
        assert shop.rows("orders", "id", "v") == [(None, "N"), (1, "a"), (2, "B"), (3, "c")]

    @pytest.mark.usefixtures("small_steps")
    def test_a_merge_that_no_transaction_takes(self, shop: Shop) -> None:
        flow = shop.into(load_type="merge_upsert", keys="id")
        shop.give({"id": list(range(20)), "v": ["old"] * 20})
        shop.load(flow)
        shop.give({"id": list(range(10, 30)), "v": ["new"] * 20})
        shop.load(flow)
        assert shop.rows("orders", "id", "v") == [(n, "old" if n < 10 else "new") for n in range(30)]
        assert shop.hidden() == []

    def test_merge_delete_removes_rows_that_are_deleted_at_the_source(self, shop: Shop) -> None:
        flow = shop.into(load_type="merge_delete", keys="id")
        flow = flow.model_copy(
            update={"source": flow.source.model_copy(update={"cdc": _cdc(operation_column="op", sequence_by=["n"])})}
        )
        shop.give({"id": [1, 2, 3], "op": ["I", "I", "I"], "n": [1, 2, 3]})
        shop.load(flow)
        shop.give({"id": [2, 3, 4], "op": ["D", "U", "I"], "n": [4, 5, 6]})
        shop.load(flow)
        assert shop.rows("orders", "id", "n") == [(1, 1), (3, 5), (4, 6)]

    def test_snapshot_mirrors_the_source(self, shop: Shop) -> None:
        flow = shop.into(load_type="snapshot", keys=["a", "b"])
        shop.give({"a": [1, 1, None], "b": ["x", None, None], "v": [1.5, 2.5, 3.5]})
        shop.load(flow)
        kept = {document["v"]: document["_id"] for document in shop.database["orders"].find()}
        shop.give({"a": [1, None, 2], "b": [None, None, "z"], "v": [2.5, 9.0, 4.0]})
        shop.load(flow)
        assert shop.rows("orders", "a", "b", "v") == [(None, None, 9.0), (1, None, 2.5), (2, "z", 4.0)]
        assert shop.database["orders"].find_one({"v": 2.5})["_id"] == kept[2.5]  # type: ignore[index]

    def test_scd2_keeps_history(self, shop: Shop) -> None:
        flow = shop.into(load_type="scd2", keys="id", settings={"scd2_effective_column": "at"})
        day = [dt.datetime(2024, 1, n, tzinfo=UTC) for n in range(1, 9)]
        shop.give({"id": [1, 2], "v": ["a", "x"], "at": [day[0], day[0]]})
        shop.load(flow)
        shop.give({"id": [1, 2], "v": ["b", "x"], "at": [day[3], day[3]]})
        shop.load(flow)
        shop.give({"id": [1], "v": ["late"], "at": [day[1]]})
        shop.load(flow)
        found = shop.rows("orders", "id", "v", "__is_current", "__valid_from")
        assert found == [
            (1, "a", False, day[0]),
            (1, "b", True, day[3]),
            (1, "late", False, day[1]),
            (2, "x", True, day[0]),
        ]

    def test_replace_by_watermark_replaces_the_tail(self, shop: Shop) -> None:
        flow = shop.into(watermark="id", settings={"replace_by_watermark": True})
        shop.give({"id": [1, 2, 3], "v": ["a", "b", "c"]})
        shop.load(flow)
        shop.give({"id": [3, 4], "v": ["C", "d"]}, file="more.parquet")
        shop.give({"id": [1, 2, 3], "v": ["a", "b", "C2"]})
        shop.load(flow)
        assert shop.rows("orders", "id", "v") == [(1, "a"), (2, "b"), (3, "C"), (3, "C2"), (4, "d")]

    def test_a_load_of_no_rows_makes_the_collection(self, shop: Shop) -> None:
        shop.give(pl.DataFrame({"id": pl.Series([], dtype=pl.Int64)}))
        shop.load(shop.into(load_type="merge_upsert", keys="id"))
        assert "orders" in shop.database.list_collection_names()
        assert shop.rows("orders", "id") == []

    def test_new_columns_come_to_the_table(self, shop: Shop) -> None:
        flow = shop.into(load_type="merge_upsert", keys="id")
        shop.give(pl.DataFrame({"id": [1, 2], "v": pl.Series([1, 2], dtype=pl.Int16)}))
        shop.load(flow)
        shop.give(pl.DataFrame({"id": [2], "new": ["x"], "v": [2**40]}))
        shop.load(flow)
        assert shop.rows("orders", "id", "v", "new") == [(1, 1, None), (2, 2**40, "x")]
        shop.give({"id": [1, 2], "v": [1, 2**40], "new": [None, "x"]})
        assert shop.load(shop.into(load_type="snapshot", keys="id")).rows_updated == 0


def _cdc(**fields: Any) -> Any:
    from tidegate.models.source import ChangeData

    return ChangeData(**fields)


class TestValues:
    """What goes in comes out."""

    ROWS: Mapping[str, Any] = {
        "id": pl.Series([1, 2], dtype=pl.Int64),
        "small": pl.Series([-128, None], dtype=pl.Int8),
        "large": pl.Series([2**63 - 1, -(2**63)], dtype=pl.Int64),
        "unsigned": pl.Series([2**64 - 1, 0], dtype=pl.UInt64),
        "single": pl.Series([0.1, float("nan")], dtype=pl.Float32),
        "double": pl.Series([0.1, float("-inf")]),
        "money": pl.Series([Decimal("12345678901234567890.123456789012"), None], dtype=pl.Decimal(38, 12)),
        "flag": [True, None],
        "text": ["日本 🦀\0", ""],
        "raw": [b"\0\xff", None],
        "day": [dt.date(1, 1, 1), dt.date(9999, 12, 31)],
        "hour": [dt.time(23, 59, 59, 999_999), dt.time(0)],
        "moment": [dt.datetime(1901, 1, 1, 0, 0, 0, 1), dt.datetime(2024, 1, 1)],  # noqa: DTZ001
        "instant": [dt.datetime(2024, 1, 1, 0, 0, 0, 123_456, tzinfo=UTC), None],
        "list": [[1, None], []],
        "struct": [{"a": 1, "b": {"c": ["x"]}}, {"a": None, "b": None}],
    }

    def test_every_value_comes_back_as_it_was(self, shop: Shop) -> None:
        """A merge reads all rows back; were one of them another, it would count as changed."""
        shop.give(pl.DataFrame(self.ROWS))
        flow = shop.into(load_type="snapshot", keys="id")
        shop.load(flow)
        first = shop.everything()["orders"]
        assert first[0]["instant"] == dt.datetime(2024, 1, 1, 0, 0, 0, 123_000, tzinfo=UTC)
        assert first[0]["money"] == Decimal128("12345678901234567890.123456789012")
        assert first[0]["list"] == [1, None]
        shop.load(flow)
        assert repr(shop.everything()["orders"]) == repr(first)
        table = MongoTable(flow, None)  # type: ignore[arg-type]
        from tidegate.destinations.selection import AllRows

        scratch = shop.project.root / "scratch"
        (file,) = table.candidates(table.snapshot(), AllRows(), scratch=str(scratch))
        found = pl.read_parquet(file.path).sort("id").drop(SYSTEM_COLUMNS)
        expected = pl.DataFrame(self.ROWS).with_columns(pl.col("unsigned").cast(pl.Decimal(20, 0)))
        assert found.to_dicts().__repr__() == expected.to_dicts().__repr__()

    def test_keys_of_times_are_told_apart_by_the_microsecond(self, shop: Shop) -> None:
        at = [dt.datetime(2024, 1, 1, 0, 0, 0, micro, tzinfo=UTC) for micro in (0, 1, 999)]
        flow = shop.into(load_type="merge_upsert", keys="at")
        shop.give({"at": at, "v": [0, 1, 2]})
        shop.load(flow)
        shop.give({"at": [at[0], at[2]], "v": [10, 12]})
        shop.load(flow)
        assert sorted(value for (value,) in shop.rows("orders", "v")) == [1, 10, 12]

    def test_long_texts_are_kept(self, shop: Shop) -> None:
        flow = shop.into(load_type="merge_upsert", keys="id")
        shop.give({"id": [1, 2], "text": ["x" * 10_000_000, "y" * 10_000_000]})
        shop.load(flow)
        shop.give({"id": [2, 3], "text": ["z" * 10_000_000, "é" * 5_000_000]})
        shop.load(flow)
        assert [text[0] + str(len(text)) for _, text in shop.rows("orders", "id", "text")] == [
            "x10000000",
            "z10000000",
            "é5000000",
        ]

    @pytest.mark.parametrize("rows_before", [0, 1])
    def test_a_document_that_is_too_large_is_refused(self, shop: Shop, rows_before: int) -> None:
        flow = shop.into()
        if rows_before:
            shop.give({"id": [1], "text": ["x"]})
            shop.load(flow)
        shop.give({"id": [2], "text": ["x" * 17_000_000]}, file="more.parquet")
        error = shop.fail(flow)
        assert error.code == "TG756"
        assert "17,000," in error.message
        assert shop.hidden() == []

    def test_a_decimal_with_too_many_digits_is_refused(self, shop: Shop) -> None:
        shop.give(pl.DataFrame({"d": pl.Series([Decimal("1" * 38)], dtype=pl.Decimal(38, 0))}))
        error = shop.fail(shop.into())
        assert error.code == "TG756"
        assert "'d'" in error.message

    def test_a_name_that_no_field_has_is_refused(self, shop: Shop) -> None:
        shop.give({"__a.b": [1]})
        (unit,) = shop.project.run(shop.into()).units
        assert unit.error
        assert unit.error.code == "TG756"

    def test_a_row_that_breaks_a_unique_index_is_refused(self, shop: Shop) -> None:
        shop.database["orders"].create_index("v", unique=True)
        flow = shop.into()
        shop.give({"v": [1, 2]})
        shop.load(flow)
        shop.give({"v": [3, 2]}, file="more.parquet")
        error = shop.fail(shop.into(watermark=()))
        assert error.code == "TG756"
        assert "duplicate key" in error.message

    def test_texts_are_keys_by_their_letters_whatever_the_collation(self, shop: Shop) -> None:
        shop.database.create_collection("orders", collation={"locale": "en", "strength": 1})
        flow = shop.into(load_type="merge_upsert", keys="k")
        shop.give({"k": ["a", "A", "é"], "v": [1, 2, 3]})
        shop.load(flow)
        shop.give({"k": ["A", "e"], "v": [20, 4]})
        shop.load(flow)
        assert shop.rows("orders", "k", "v") == [("A", 20), ("a", 1), ("e", 4), ("é", 3)]


class TestForeignCollections:
    """Collections that others have filled."""

    def test_its_documents_stay(self, shop: Shop) -> None:
        shop.database["orders"].insert_many([{"id": 1, "v": "a"}, {"_id": "own", "id": 2, "v": "b", "extra": [1]}])
        shop.give({"id": [2, 3], "v": ["B", "c"]})
        shop.load(shop.into(load_type="merge_upsert", keys="id"))
        assert shop.rows("orders", "id", "v", "extra") == [(1, "a", None), (2, "B", [1]), (3, "c", None)]
        assert shop.database["orders"].find_one({"_id": "own"})["v"] == "B"  # type: ignore[index]

    def test_what_a_load_could_not_write_back_is_refused(self, shop: Shop) -> None:
        shop.database["orders"].insert_one({"id": 1, "ref": ObjectId()})
        shop.give({"id": [1]})
        error = shop.fail(shop.into())
        assert error.code == "TG402"
        assert "ObjectId" in error.message

    def test_a_view_is_refused(self, shop: Shop) -> None:
        shop.database.create_collection("orders", viewOn="others", pipeline=[])
        shop.give({"id": [1]})
        (unit,) = shop.project.run(shop.into()).units
        assert unit.error
        assert unit.error.code == "TG402"

    def test_a_collection_that_was_dropped_is_no_surprise(self, shop: Shop) -> None:
        flow = shop.into(watermark="id")
        shop.give({"id": [1]})
        shop.load(flow)
        shop.database["orders"].drop()
        assert shop.fail(flow).code == "TG506"
        shop.project.forget_state()
        shop.load(flow)
        assert shop.rows("orders", "id") == [(1,)]

    def test_a_collection_that_others_dropped_and_made_is_noticed(self, shop: Shop) -> None:
        flow = shop.into(watermark="id")
        shop.give({"id": [1, 2]})
        shop.load(flow)
        shop.database["orders"].drop()
        shop.database["orders"].insert_one({"id": 9})
        shop.give({"id": [3]}, file="more.parquet")
        assert shop.fail(flow).code == "TG506"
        shop.project.forget_state()
        shop.load(flow)
        assert shop.rows("orders", "id") == [(1,), (2,), (3,), (9,)]
        assert shop.load(flow).rows_out == 0

    def test_a_collection_that_is_replaced_stays_the_same_table(self, shop: Shop) -> None:
        """A load that replaces all rows makes it anew, too."""
        flow = shop.into(load_type="overwrite", watermark="id")
        for number in range(3):
            shop.give({"id": [number]}, file=f"{number}.parquet")
            shop.load(flow)
        assert len(shop.records()) == 2

    def test_a_collection_that_another_program_makes_during_the_first_load(self, shop: Shop, once_before: Any) -> None:
        """Its documents are not dropped; the load waits beside it."""
        flow = shop.into(watermark="id")
        shop.give({"id": [1, 2]})
        once_before(Loader, "publish", lambda: shop.database["orders"].insert_one({"theirs": 1}))
        shop.project.run(flow)  # it is committed, and waits
        error = shop.project.run(flow).units[0].error
        assert error is not None
        assert (error.code, "another program" in error.message) == ("TG402", True)
        assert shop.database["orders"].count_documents({"theirs": 1}) == 1
        shop.database["orders"].rename("theirs")
        shop.project.run(flow)
        assert shop.rows("orders", "id") == [(1,), (2,)]
        assert shop.database["theirs"].count_documents({}) == 1


KILLED = """
import os, signal, sys
from pathlib import Path
from tests.behaviour.test_mongodb import Shop
from tidegate.destinations import mongodb_load
from tidegate.destinations.mongodb_load import Loader

root, url, options, method, calls = Path(sys.argv[1]), sys.argv[2], eval(sys.argv[3]), sys.argv[4], int(sys.argv[5])
mongodb_load._MOST_DOCUMENTS = 2
original = getattr(Loader, method)

def dying(*args):
    global calls
    calls -= 1
    if calls < 0:
        os.kill(os.getpid(), signal.SIGKILL)
    return original(*args)

setattr(Loader, method, dying)
shop = Shop(root, url)
shop.project.run(shop.into(**options))
"""


class TestDeath:
    """A process that is killed leaves a load that is whole, or none."""

    @staticmethod
    def kill(shop: Shop, options: dict[str, Any], method: str, calls: int) -> None:
        """Run a load in a process that kills itself at some call of a loader's method."""
        arguments = [str(shop.project.root), shop.url, repr(options), method, str(calls)]
        root = Path(__file__).parents[2]
        ended = subprocess.run([sys.executable, "-c", KILLED, *arguments], cwd=root, capture_output=True, check=False)
        assert ended.returncode == -9, ended.stderr.decode()

    @pytest.fixture(autouse=True)
    def _short_transactions(self, shop: Shop) -> None:
        """Let the server end the transactions of killed processes after seconds, not after a minute."""
        shop.client.admin.command("setParameter", 1, transactionLifetimeLimitSeconds=5)

    @pytest.mark.parametrize(
        ("method", "calls"), [("transaction", 0), ("transaction", 3), ("carry_out", 2), ("publish", 0)]
    )
    def test_in_a_large_merge(self, shop: Shop, method: str, calls: int) -> None:
        options = {"load_type": "merge_upsert", "keys": "id"}
        flow = shop.into(**options)
        shop.give({"id": list(range(10)), "v": [0] * 10})
        shop.load(flow)
        shop.give({"id": list(range(5, 15)), "v": [1] * 10})
        self.kill(shop, options, method, calls)
        shop.load(flow)
        assert shop.rows("orders", "id", "v") == [(n, int(n >= 5)) for n in range(15)]
        assert shop.hidden() == []

    def test_within_the_transaction_of_a_small_load(self, shop: Shop) -> None:
        """It stays open at the server for a while; the next load waits for its end."""
        flow = shop.into(watermark="id")
        shop.give({"id": [1]})
        shop.load(flow)
        shop.give({"id": [2]}, file="more.parquet")
        self.kill(shop, {"watermark": "id"}, "carry_out", 0)
        shop.load(flow)
        assert shop.rows("orders", "id") == [(1,), (2,)]

    @pytest.mark.parametrize("calls", [1, 4])
    def test_in_a_large_append(self, shop: Shop, calls: int) -> None:
        flow = shop.into(watermark="id")
        shop.give({"id": list(range(5))})
        shop.load(flow)
        shop.give({"id": list(range(5, 15))}, file="more.parquet")
        self.kill(shop, {"watermark": "id"}, "transaction", calls)
        shop.load(flow)
        assert shop.rows("orders", "id") == [(n,) for n in range(15)]
        assert shop.hidden() == []

    @pytest.mark.parametrize("method", ["transaction", "publish", "_rename", "drop"])
    @pytest.mark.parametrize("load_type", ["append", "overwrite"])
    def test_before_a_table_is_put_in_place(self, shop: Shop, load_type: str, method: str) -> None:
        options = {"load_type": load_type, "watermark": "id" if load_type == "append" else ()}
        flow = shop.into(**options)
        if load_type == "overwrite":
            shop.give({"id": [0]})
            shop.load(flow)
        shop.give({"id": [1, 2, 3]})
        self.kill(shop, options, method, 0)
        shop.load(flow)
        assert shop.rows("orders", "id") == [(1,), (2,), (3,)]
        assert shop.hidden() == []

    @pytest.mark.usefixtures("small_steps")
    def test_a_state_that_is_lost_doubles_nothing(self, shop: Shop) -> None:
        flow = shop.into(watermark="id")
        shop.give({"id": [1, 2, 3]})
        shop.load(flow)
        shop.give({"id": [4, 5, 6, 7]}, file="more.parquet")
        older = shop.project.copy_state()
        shop.load(flow)
        shop.project.restore_state(older)
        shop.load(flow)
        assert shop.rows("orders", "id") == [(n,) for n in range(1, 8)]


class TestOthers:
    """Several writers of one collection."""

    @pytest.mark.usefixtures("small_steps")
    def test_operations_are_carried_out_once_whoever_does_it(self, shop: Shop) -> None:
        """Three processes open the table at once while a load is pending."""
        flow = shop.into()
        shop.give({"id": [1]})
        shop.load(flow)
        place = MongoPlace(shop.connection)
        loader = Loader(place, "orders")
        staged = f"{STAGED}tg-test-00000001-x"
        counting = ({"q": {"id": 1}, "u": {"$inc": {"count": 1}}} for _ in range(60))
        assert loader.small_or_staged(counting, staged) is None
        pending = {"load": staged, "rename": False, "next": 0}
        shop.database[LOADS].update_one({"_id": loader.record_id}, {"$set": {"pending": pending}})
        others = [Loader(MongoPlace(shop.connection), "orders") for _ in range(3)]
        threads = [threading.Thread(target=other.publish, args=(pending,)) for other in others]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        assert shop.rows("orders", "count") == [(60,)]
        assert shop.hidden() == []

    @pytest.mark.parametrize("steps", [None, 2])
    def test_of_two_commits_on_one_snapshot_one_gets_in(
        self, shop: Shop, steps: int | None, monkeypatch: pytest.MonkeyPatch, once_before: Any
    ) -> None:
        """The other finds the table moved on, and starts over."""
        if steps:
            monkeypatch.setattr(mongodb_load, "_MOST_DOCUMENTS", steps)
        first, other = shop.into(load_type="merge_upsert", keys="id"), shop.into(name="other", watermark="id")
        shop.give({"id": [0]})
        shop.load(first)
        shop.give({"id": [1, 2, 3, 4]})
        shop.give({"id": [5, 6, 7, 8]}, name="other")
        once_before(MongoTable, "commit", lambda: shop.load(other))
        shop.load(first)
        assert shop.rows("orders", "id") == [(n,) for n in range(9)]
        assert shop.hidden() == []

    def test_two_first_loads_both_get_in(self, shop: Shop, once_before: Any) -> None:
        first, other = shop.into(), shop.into(name="other")
        shop.give({"id": [1]})
        shop.give({"id": [2]}, name="other")
        once_before(MongoTable, "commit", lambda: shop.load(other))
        shop.load(first)
        assert shop.rows("orders", "id") == [(1,), (2,)]

    def test_an_answer_that_is_lost_is_looked_for(self, shop: Shop, monkeypatch: pytest.MonkeyPatch) -> None:
        """The commit happened, and the connection broke: nothing is loaded twice."""
        flow = shop.into(watermark="id")
        shop.give({"id": [1]})
        shop.load(flow)
        shop.give({"id": [2]}, file="more.parquet")
        original = Loader.transaction

        def broken(self: Loader, steps: Any) -> None:
            original(self, steps)
            monkeypatch.undo()
            raise PlaceUnavailableError("it broke", code="TG753")

        monkeypatch.setattr(Loader, "transaction", broken)
        shop.load(flow)
        shop.load(flow)
        assert shop.rows("orders", "id") == [(1,), (2,)]

    def test_a_reader_never_sees_a_hole(self, shop: Shop) -> None:
        flow = shop.into(load_type="overwrite")
        shop.give({"id": list(range(50))})
        shop.load(flow)
        seen, end = set(), threading.Event()

        def look() -> None:
            while not end.is_set():
                with suppress(OperationFailure):  # begun before the rename: asked again, as drivers do
                    seen.add(shop.database["orders"].count_documents({}))

        thread = threading.Thread(target=look)
        thread.start()
        for count in (60, 70):
            shop.give({"id": list(range(count))})
            shop.load(flow)
        end.set()
        thread.join()
        assert seen <= {50, 60, 70}


class TestSource:
    """Collections as a source."""

    def test_values_get_the_types_that_fit_them_all(self, shop: Shop) -> None:
        key, at, code = ObjectId(), dt.datetime(2024, 1, 1, 1, 2, 3, 4000, tzinfo=UTC), uuid.uuid4()
        documents = [
            {"_id": key, "n": 1, "long": 2**40, "double": 1.5, "money": Decimal128("1.50"), "at": at, "flag": True},
            {"n": Int64(2), "double": 2, "money": 7, "text": "日本", "raw": b"\0\xff", "sub": {"a": 1}, "list": [1]},
            {"n": None, "sub": {"b": [{"c": "x"}]}, "list": [2.5, None], "mixed": 5, "other": Timestamp(1, 2)},
            {"mixed": "five", "uuid": Binary.from_uuid(code), "other": Regex("^a"), "sub": None},
            {"mixed": {"a": ObjectId(bytes(12))}, "other": MinKey()},
        ]
        shop.database["orders"].insert_many(documents)
        shop.load(shop.out_of())
        found = pl.read_delta(str(shop.project.destination_root / "orders")).sort("n", "double", nulls_last=True)
        assert found.schema["money"] == pl.Decimal(38, 18)
        assert found.schema["at"] == pl.Datetime("us", "UTC")
        first = found.row(0, named=True)
        assert (first["id"], first["n"], first["long"], first["at"]) == (str(key), 1, 2**40, at)
        assert (first["double"], first["money"], first["flag"]) == (1.5, Decimal("1.5"), True)
        second = found.row(1, named=True)
        assert (second["double"], second["money"], second["raw"]) == (2.0, 7, b"\0\xff")
        assert second["sub"] == {"a": 1, "b": None}
        assert second["list"] == [1.0]
        assert [value for value in found["sub"].to_list() if value and value["b"]] == [{"a": None, "b": [{"c": "x"}]}]
        assert {"5", "five", '{"a": {"$oid": "' + "0" * 24 + '"}}'} <= set(found["mixed"].to_list())
        assert str(code) in found["uuid"].to_list()
        assert '{"$minKey": 1}' in found["other"].to_list()

    def test_a_field_that_comes_late_is_not_lost(self, shop: Shop) -> None:
        shop.database["orders"].insert_many([{"n": n} for n in range(25)] + [{"n": 25, "late": "x"}])
        shop.load(shop.out_of(read_options={"batch_size": 7}))
        assert [value for value in shop.project.frame(shop.out_of())["late"] if value] == ["x"]

    @pytest.mark.parametrize(
        ("first", "then"), [(1, dt.datetime(2024, 1, 1, tzinfo=UTC)), (1, {"a": 1}), (True, 2), (b"x", [1])]
    )
    def test_values_with_no_type_in_common_name_the_document(self, shop: Shop, first: Any, then: Any) -> None:
        shop.database["orders"].insert_many([{"v": first}, {"_id": "odd", "v": then}])
        (unit,) = shop.project.run(shop.out_of()).units
        assert unit.error
        assert unit.error.code == "TG757"
        assert "odd" in unit.error.message
        shop.load(shop.out_of(hints={"v": "string"}))

    @pytest.mark.parametrize("value", [1.5, "x", Decimal128("NaN"), Decimal128("0.5")])
    def test_a_value_of_another_type_than_before_names_the_document(self, shop: Shop, value: Any) -> None:
        shop.database["orders"].insert_one({"n": 1, "v": 1})
        flow = shop.out_of(watermark="n")
        shop.load(flow)
        shop.database["orders"].insert_one({"_id": "odd", "n": 2, "v": value})
        error = shop.project.fail(flow)
        assert error.code == "TG757"
        assert "odd" in error.message

    @pytest.mark.parametrize("watermark", ["at", "n", "_id", "text", "money"])
    def test_only_what_is_new_is_read(self, shop: Shop, watermark: str) -> None:
        start = dt.datetime(2024, 1, 1, tzinfo=UTC)
        rows = [
            {"n": n, "at": start + dt.timedelta(milliseconds=n), "text": f"{n:03}", "money": Decimal128(f"{n}.5")}
            for n in range(10)
        ]
        shop.database["orders"].insert_many(rows[:5])
        flow = shop.out_of(watermark=watermark)
        shop.load(flow)
        tied = dict(rows[4], _id=ObjectId(), extra="tie")
        shop.database["orders"].insert_many([*rows[5:], tied])
        shop.client.get_default_database().command("profile", 2)
        unit = shop.load(flow)
        shop.client.get_default_database().command("profile", 0)
        assert unit.rows_out == 6
        found = shop.project.frame(flow)
        assert sorted(found["n"]) == [0, 1, 2, 3, 4, 4, 5, 6, 7, 8, 9]
        asked = list(shop.database["system.profile"].find({"ns": f"{shop.database.name}.orders", "op": "query"}))
        assert max(one["nreturned"] for one in asked) == 7

    @pytest.mark.parametrize("late", [None, "text", float("nan"), [7, 12], {"a": 1}])
    def test_what_cannot_be_compared_is_no_old_row(self, shop: Shop, late: Any) -> None:
        """A value of another type is an error, and is not passed over; an array of old values only is old."""
        shop.database["orders"].insert_many([{"n": 1, "key": 1}, {"n": 9, "key": 2}])
        flow = shop.out_of(watermark="n")
        shop.load(flow)
        shop.database["orders"].insert_one({"n": late, "key": 3})
        (unit,) = shop.project.run(flow).units
        assert unit.status == ("succeeded" if late is None else "failed")
        assert late is not None or sorted(shop.project.frame(flow)["key"]) == [1, 2, 3]

    @pytest.mark.parametrize(
        ("condition", "kept"),
        [
            ("n > 1 AND text = 'b'", [2]),
            ("n <= 2 OR at >= '2024-01-03T00:00:00Z'", [1, 2, 3]),
            ("n BETWEEN 2 AND 3", [2, 3]),
            ("text IN ('a', 'c')", [1, 3]),
            ("text <> 'a'", [2, 3]),
            ("NOT (n = 1) OR n IS NULL", [2, 3, None]),
            ("at < '2024-01-02T00:00:00.000500Z'", [1, 2]),
            ("at > '2024-01-02T00:00:00Z'", [3]),
        ],
    )
    def test_conditions_keep_the_same_rows_wherever_they_are_decided(
        self, shop: Shop, condition: str, kept: list[int | None]
    ) -> None:
        """The first read knows no types and asks for all; the second lets the server decide."""
        day = dt.datetime(2024, 1, 1, tzinfo=UTC)
        rows = [{"n": n, "text": "abc"[n - 1], "at": day + dt.timedelta(days=n - 1)} for n in (1, 2, 3)]
        shop.database["orders"].insert_many([*rows, {"n": None}])
        flow = shop.out_of(source_filter=condition, load_type="overwrite")
        for _ in range(2):
            shop.load(flow)
            assert shop.project.rows(flow, "n") == sorted(kept, key=lambda n: (n is not None, n))

    @pytest.mark.parametrize(
        "query",
        [
            {"find": "orders", "filter": {"n": {"$gt": 1}}, "projection": {"_id": 0}, "sort": {"n": -1}},
            {"aggregate": "orders", "pipeline": [{"$match": {"n": {"$gt": 1}}}, {"$project": {"_id": 0}}]},
        ],
    )
    def test_queries_are_commands(self, shop: Shop, query: Any) -> None:
        shop.database["orders"].insert_many([{"n": n} for n in (1, 2, 3)])
        flow = shop.out_of(query=query, watermark="n")
        shop.load(flow)
        shop.database["orders"].insert_many([{"n": n} for n in (3, 4)])
        shop.load(flow)
        found = shop.project.frame(flow)
        assert sorted(found["n"]) == [2, 3, 4] or sorted(found["n"]) == [2, 3, 3, 4]

    @pytest.mark.parametrize(
        "query",
        [
            "{",
            "[]",
            '{"filter": {}}',
            '{"find": "a", "pipline": []}',
            '{"aggregate": "a"}',
            '{"aggregate": "a", "pipeline": [{"$out": "b"}]}',
        ],
    )
    def test_what_is_no_command_is_refused(self, shop: Shop, query: str) -> None:
        (unit,) = shop.project.run(shop.out_of(query=query)).units
        assert unit.error
        assert unit.error.code == "TG759"

    def test_a_query_that_the_server_refuses_says_why(self, shop: Shop) -> None:
        (unit,) = shop.project.run(shop.out_of(query={"aggregate": "o", "pipeline": [{"$mtach": {}}]})).units
        assert unit.error
        assert unit.error.code == "TG755"
        assert "$mtach" in unit.error.message

    def test_a_collection_that_is_not_there_gets_a_suggestion(self, shop: Shop) -> None:
        shop.database["orders"].insert_one({"n": 1})
        (unit,) = shop.project.run(shop.out_of("ordres")).units
        assert unit.error
        assert (unit.error.code, unit.error.hint) == ("TG201", "did you mean 'orders'?")

    def test_an_empty_collection_needs_hints(self, shop: Shop) -> None:
        shop.database.create_collection("orders")
        assert shop.project.fail(shop.out_of()).code == "TG758"
        shop.load(shop.out_of(hints={"n": "bigint"}))

    def test_a_read_sees_one_moment(self, shop: Shop, once_before: Any) -> None:
        """What is moved while a read goes on is neither missed nor read twice."""
        shop.database["orders"].insert_many([{"n": n} for n in range(30)])
        from tidegate.sources.mongodb import MongoSource

        once_before(MongoSource, "_add", lambda: shop.database["orders"].update_many({}, {"$inc": {"n": 100}}))
        flow = shop.out_of(read_options={"batch_size": 10})
        shop.load(flow)
        assert sorted(shop.project.frame(flow)["n"]) == list(range(30))

    def test_what_a_load_has_written_is_read_as_it_was(self, shop: Shop) -> None:
        at = dt.datetime(2024, 1, 1, 0, 0, 0, 123_456, tzinfo=UTC)
        shop.give({"n": [1], "at": [at]})
        shop.load(shop.into())
        flow = shop.out_of()
        shop.load(flow)
        frame = shop.project.frame(flow)
        assert frame["at"].to_list() == [at]
        assert "tidegate_us" not in frame.columns


class TestServers:
    """Servers that are not as they should be."""

    def test_a_server_that_does_not_answer_may_later(self, shop: Shop) -> None:
        shop.url = f"mongodb://u:secret@127.0.0.1:{free_port()}/shop?serverSelectionTimeoutMS=200"
        (unit,) = shop.project.run(shop.out_of()).units
        assert unit.error
        assert unit.error.code == "TG750"
        assert "secret" not in unit.error.message

    def test_a_wrong_password_is_refused(self, shop: Shop, mongodb_server: Server) -> None:
        shop.url = f"mongodb://127.0.0.1:{mongodb_server.port}/shop"
        flow = shop.out_of()
        configure = {"url": "mongodb://{username}:{password}@" + f"127.0.0.1:{mongodb_server.port}/shop"}
        connection = Connection(
            name="shop", format="mongodb", configure={**configure, "username": "ada", "password": "p@:/"}
        )
        flow = flow.model_copy(update={"source": flow.source.model_copy(update={"connection": connection})})
        (unit,) = shop.project.run(flow).units
        assert unit.error
        assert unit.error.code == "TG751"

    def test_fields_say_where_it_is(self, shop: Shop, mongodb_server: Server) -> None:
        connection = Connection(
            name="shop",
            format="mongodb",
            configure={"host": "127.0.0.1", "port": mongodb_server.port, "database": shop.database.name},
        )
        shop.database["orders"].insert_one({"n": 1})
        flow = shop.out_of()
        flow = flow.model_copy(update={"source": flow.source.model_copy(update={"connection": connection})})
        shop.load(flow)
        assert shop.project.rows(flow, "n") == [1]

    def test_a_standalone_server_is_read_and_not_loaded_into(self, shop: Shop, tmp_path: Path) -> None:
        program = Path(__file__).parents[2] / "build/mongodb/fiftyone/db/bin/mongod"
        if not program.exists():
            pytest.skip("mongod is not at its usual place")
        port, data = free_port(), tmp_path / "alone"
        data.mkdir()
        command = [program, "--port", str(port), "--bind_ip", "127.0.0.1", "--dbpath", data, "--logpath", data / "log"]
        process = subprocess.Popen([*command, "--wiredTigerCacheSizeGB", "0.25"], stdout=subprocess.DEVNULL)
        try:
            alone = Shop(tmp_path / "project", f"mongodb://127.0.0.1:{port}/shop")
            alone.database["orders"].insert_one({"n": 1})
            assert "no replica set" in alone.load(alone.out_of()).detail
            alone.give({"n": [1]})
            (unit,) = alone.project.run(alone.into("copy")).units
            assert unit.error
            assert unit.error.code == "TG754"
            assert "replSet" in str(unit.error.hint)
            alone.client.close()
        finally:
            process.kill()
            process.wait()
