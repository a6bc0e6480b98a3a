"""`tidegate metadata import`: the dataflows that it proposes hold, load every row, and hold no credentials."""

from __future__ import annotations

import sqlite3
from contextlib import closing

import polars as pl
import pyarrow as pa
import pytest
import yaml
from hypothesis import given
from hypothesis import strategies as st

from tidegate.models import Connection
from tidegate.orchestration.discovery import FoundTable, proposal
from tidegate.orchestration.importing import _lines

LAKE = Connection(name="lake", format="delta", configure={"base_path": "lake"})
FILES = Connection(name="files", format="parquet", configure={"base_path": "files"})
TIME, WHOLE, TEXT = pa.timestamp("us"), pa.int64(), pa.string()


def proposed(columns, key=(), *, name="orders", to=LAKE, **more):
    table = FoundTable(schema=None, name=name, columns=columns, key=tuple(key), **more)
    return proposal(table, name=name, source="shop", destination=to)


def way(*about, **more):
    """Return load type, watermark columns and merge keys."""
    flow = proposed(*about, **more).flow
    return (
        flow["destination"]["load_type"],
        flow["source"].get("watermark_columns", []),
        flow["destination"].get("merge_keys", []),
    )


@pytest.fixture
def shop(tmp_path, monkeypatch):
    """A database of three tables, as a URL, in the working directory."""
    monkeypatch.chdir(tmp_path)
    with closing(sqlite3.connect("shop.db")) as database:
        database.executescript("""
            CREATE TABLE customers (id INTEGER PRIMARY KEY, name TEXT, updated_at TIMESTAMP);
            CREATE TABLE countries (code TEXT PRIMARY KEY, name TEXT);
            CREATE TABLE "visits: all" (page TEXT, visited_on DATE);
            INSERT INTO customers VALUES (1, 'Ada', '2026-03-01 06:00:00'), (2, 'Bo', '2026-03-02 06:00:00');
            INSERT INTO countries VALUES ('AT', 'Austria');
            INSERT INTO "visits: all" VALUES ('/', '2026-03-01');
        """)
    return "sqlite:///shop.db"


class TestHowTablesAreLoaded:
    @pytest.mark.parametrize(
        "column",
        ["updated_at", "UpdatedAt", "last_update", "LastModifiedDate", "modified", "date_changed", "write_date"],
    )
    def test_a_key_and_a_time_of_change_are_merged(self, column):
        columns = {"id": WHOLE, "created_at": TIME, column: TIME}
        assert way(columns, ["id"]) == ("merge_upsert", [column], ["id"])

    def test_a_name_alone_does_not_make_a_time(self):
        assert way({"id": WHOLE, "updated_at": TEXT, "updated_by": TIME}, ["id"]) == ("snapshot", [], ["id"])

    def test_a_row_version_tells_changes(self):
        columns = {"id": WHOLE, "RowVersion": pa.binary(), "updated_at": TIME}
        assert way(columns, ["id"]) == ("merge_upsert", ["RowVersion"], ["id"])

    def test_a_time_of_creation_tells_no_changes(self):
        columns = {"id": WHOLE, "created_at": TIME}
        assert way(columns, ["id"]) == ("snapshot", [], ["id"])
        assert "append by watermark_columns: [created_at]" in proposed(columns, ["id"]).reasons[1]

    def test_rows_without_a_key_are_appended_by_their_time_of_creation(self):
        columns = {"page": TEXT, "created_at": TIME}
        assert way(columns) == ("append", ["created_at"], [])
        assert "If rows change later, use load_type: overwrite" in proposed(columns).reasons[0]

    @pytest.mark.parametrize("name", ["order_events", "audit_log", "history"])
    def test_numbered_events_are_appended_by_number(self, name):
        assert way({"id": WHOLE, "what": TEXT}, ["id"], name=name) == ("append", ["id"], [])
        timed = {"id": WHOLE, "what": TEXT, "logged_at": TIME}
        assert way(timed, ["id"], name=name) == ("append", ["logged_at"], [])

    def test_a_key_alone_reads_all_rows_because_changes_cannot_be_seen(self):
        assert way({"id": WHOLE, "name": TEXT}, ["id"]) == ("snapshot", [], ["id"])

    @pytest.mark.parametrize(
        "columns", [{"x": WHOLE}, {"x": WHOLE, "updated_at": TIME}, {"created_at": TIME, "updated_at": TIME}]
    )
    def test_without_a_key_all_rows_are_replaced(self, columns):
        assert way(columns) == ("overwrite", [], [])
        assert "merge_keys" in proposed(columns).reasons[0]

    def test_files_get_no_merges(self):
        assert way({"id": WHOLE, "updated_at": TIME}, ["id"], to=FILES) == ("overwrite", [], [])
        assert way({"created_at": TIME}, to=FILES) == ("append", ["created_at"], [])

    def test_numbers_of_any_length_get_a_type(self):
        one = proposed({"id": WHOLE, "amount": TEXT}, ["id"], long_numbers=frozenset({"amount"}))
        assert one.flow["transform"] == {
            "schema_hints": [{"column_name": "amount", "data_type": "decimal(38, 10)"}],
        }

    @given(st.text(min_size=1), st.text(min_size=1))
    def test_any_names_are_read_back_as_they_are(self, table, column):
        one = proposed({column: WHOLE}, [column], name=table)
        text = "\n".join(_lines([], [one]))
        assert yaml.safe_load(text)["dataflows"] == [one.flow]


class TestFromSQLite:
    def test_what_is_printed_holds_and_loads_every_row(self, shop, tmp_path, tidegate):
        answer = tidegate("metadata", "import", shop, "--to", "./lake")
        assert answer.code == 0
        (tmp_path / "tidegate.yaml").write_text(answer.out)
        assert tidegate("check").out == "No findings: the metadata hold.\n"
        assert tidegate("run").code == 0
        heights = {name: pl.read_delta(f"lake/{name}").height for name in ("customers", "countries", "visits_all")}
        assert heights == {"customers": 2, "countries": 1, "visits_all": 1}

    def test_a_file_is_written_once(self, shop, tmp_path, tidegate):
        arguments = ("metadata", "import", shop, "--to", "./lake", "--out", "tidegate.yaml")
        answer = tidegate(*arguments)
        assert (answer.code, "Wrote tidegate.yaml: 3 dataflows" in answer.out) == (0, True)
        first = (tmp_path / "tidegate.yaml").read_text()
        answer = tidegate(*arguments)
        assert (answer.code, "TG145" in answer.err) == (2, True)
        assert tidegate(*arguments, "--force").code == 0
        assert (tmp_path / "tidegate.yaml").read_text() == first

    def test_what_is_loaded_already_is_left_alone(self, shop, tidegate):
        tidegate("metadata", "import", shop, "--to", "./lake", "--tables", "cust*", "--out", "tidegate.yaml")
        answer = tidegate("metadata", "import", shop, "--to", "lake", "-o", "json")
        assert answer.json["known"] == {"customers": "customers"}
        assert answer.json["flows"] == ["countries", "visits_all"]
        assert "connections:" not in answer.json["yaml"]
        answer = tidegate("metadata", "import", "shop", "--to", "lake", "--out", "dataflows/rest.yaml")
        assert (answer.code, tidegate("check").code) == (0, 0)
        answer = tidegate("metadata", "import", "shop", "--to", "lake")
        assert (answer.code, answer.out, "nothing to import" in answer.err) == (0, "", True)

    def test_a_name_that_is_taken_gets_that_of_the_connection(self, shop, tmp_path, tidegate):
        (tmp_path / "tidegate.yaml").write_text(
            "connections:\n  - {name: files, format: csv, configure: {base_path: .}}\n"
            "  - {name: lake, format: delta, configure: {base_path: lake}}\ndataflows:\n  - name: customers\n"
            "    source: {connection_name: files, table: x}\n"
            "    destination: {connection_name: lake, table: customers}\n"
        )
        answer = tidegate("metadata", "import", shop, "--to", "lake", "--tables", "customers", "-o", "json")
        assert answer.json["flows"] == ["shop_customers"]

    def test_what_is_not_there_is_said(self, shop, tidegate):
        tidegate("metadata", "import", shop, "--to", "./lake", "--out", "tidegate.yaml")
        for arguments, code in {
            ("shpo", "--to", "lake"): "TG104",
            ("shop", "--to", "laek"): "TG104",
            ("lake", "--to", "lake"): "TG767",
            ("shop", "--to", "lake", "--tables", "nothing*"): "TG766",
        }.items():
            answer = tidegate("metadata", "import", *arguments)
            assert (answer.code, code in answer.err) == (2, True), answer.err


class TestFromServers:
    def test_postgresql(self, postgres_url, tmp_path, monkeypatch, tidegate):
        """Two schemas with one table name; a number of any length; a password that goes nowhere."""
        import psycopg

        monkeypatch.chdir(tmp_path)
        with psycopg.connect(postgres_url, autocommit=True) as session:
            session.execute("CREATE SCHEMA sales")
            for schema in ("public", "sales"):
                session.execute(
                    f"CREATE TABLE {schema}.orders (id int PRIMARY KEY, amount numeric, updated_at timestamptz)"
                )
                session.execute(f"INSERT INTO {schema}.orders VALUES (1, 12.5, now()), (2, 7, now())")
        url = postgres_url.replace("postgres@", "postgres:hunter2seen@") + "?application_name=x&password=hunter2seen"
        answer = tidegate("metadata", "import", url, "--to", "./lake", "--out", "tidegate.yaml")
        assert answer.code == 0, answer.err
        text = (tmp_path / "tidegate.yaml").read_text()
        assert "hunter2seen" not in text + answer.out + answer.err
        metadata = yaml.safe_load(text)
        database, variable = metadata["connections"][0], metadata["connections"][0]["configure"]["password"]
        assert database["secrets_ref"] == {"env:": ["password"]}
        assert variable in answer.err
        assert [flow["name"] for flow in metadata["dataflows"]] == ["public_orders", "sales_orders"]
        assert tidegate("check").code == 0
        monkeypatch.setenv(variable, "any: the server trusts everyone")
        assert tidegate("run").code == 0
        assert pl.read_delta("lake/sales_orders")["amount"].to_list() == [
            pl.Series([12.5]).cast(pl.Decimal(38, 10))[0],
            7,
        ]

    def test_one_schema_of_it(self, postgres_url, tmp_path, monkeypatch, tidegate):
        import psycopg

        monkeypatch.chdir(tmp_path)
        with psycopg.connect(postgres_url, autocommit=True) as session:
            session.execute("CREATE SCHEMA sales")
            session.execute("CREATE TABLE sales.a (id int)")
            session.execute("CREATE TABLE public.b (id int)")
        answer = tidegate("metadata", "import", postgres_url, "--to", "./lake", "--schema", "sales", "-o", "json")
        assert answer.json["flows"] == ["a"]

    def test_mariadb(self, mariadb_url, tmp_path, monkeypatch, tidegate):
        from urllib.parse import urlsplit

        import pymysql

        monkeypatch.chdir(tmp_path)
        address = urlsplit(mariadb_url)
        connection = pymysql.connect(
            host=address.hostname, port=address.port, user="root", database=address.path[1:], autocommit=True
        )
        with connection, connection.cursor() as cursor:
            cursor.execute("CREATE TABLE orders (id int PRIMARY KEY, updated_at timestamp)")
            cursor.execute("INSERT INTO orders VALUES (1, now())")
        assert tidegate("metadata", "import", mariadb_url, "--to", "./lake", "--out", "tidegate.yaml").code == 0
        assert tidegate("check").code == 0
        assert tidegate("run").code == 0
        assert pl.read_delta("lake/orders").height == 1
