"""What is written for Oracle, and which types are read. No server can be had: nothing here was run against one."""

from __future__ import annotations

import pyarrow as pa
import pytest

oracledb = pytest.importorskip("oracledb")

from tests.services import free_port  # noqa: E402
from tidegate.connections import database_of  # noqa: E402
from tidegate.connections.oracle import in_utc, translated  # noqa: E402
from tidegate.connections.oracle_dialect import OracleDialect, arrow_type  # noqa: E402
from tidegate.errors import PlaceUnavailableError, TidegateError  # noqa: E402
from tidegate.models import Connection  # noqa: E402

DIALECT = OracleDialect()
UTC = pa.timestamp("us", "UTC")


class TestStatements:
    def test_they_are_those_of_oracle(self) -> None:
        assert DIALECT.quoted("SHOP", 'odd "name') == '"SHOP"."odd ""name"'
        assert DIALECT.placeholder(0) == ":1"
        assert DIALECT.temporary_table("new", {"k": pa.string(), "n": pa.int64()}, keys=["k"]) == (
            'CREATE PRIVATE TEMPORARY TABLE "ORA$PTT_new" ("k" VARCHAR2(255 CHAR), "n" NUMBER(19))'
            " ON COMMIT PRESERVE DEFINITION"
        )
        assert DIALECT.update_from('"t"', '"s"', DIALECT.same("t.k", "s.k"), {"n": "s.n"}) == (
            'MERGE INTO "t" t USING "s" s ON (DECODE(t.k, s.k, 1, 0) = 1) WHEN MATCHED THEN UPDATE SET t."n" = s.n'
        )
        assert DIALECT.delete_from('"t"', '"s"', "t.k = s.k") == (
            'DELETE FROM "t" t WHERE EXISTS (SELECT 1 FROM "s" s WHERE t.k = s.k)'
        )
        assert DIALECT.add_column('"t"', "c", pa.decimal128(20, 5)) == 'ALTER TABLE "t" ADD ("c" NUMBER(20,5))'
        assert DIALECT.widen('"t"', "c", UTC) == ['ALTER TABLE "t" MODIFY ("c" TIMESTAMP(6) WITH TIME ZONE)']

    def test_zoned_times_are_read_in_utc(self) -> None:
        assert in_utc(DIALECT, "SELECT 1 FROM t", {"a": pa.string()}) == "SELECT 1 FROM t"
        assert in_utc(DIALECT, "SELECT a, b FROM t", {"A": pa.string(), "B": UTC}) == (
            'SELECT "A", SYS_EXTRACT_UTC("B") AS "B" FROM (\nSELECT a, b FROM t\n)'
        )


class TestTypes:
    @pytest.mark.parametrize(
        ("name", "precision", "scale", "dtype"),
        [
            ("DB_TYPE_NUMBER", 10, 2, pa.decimal128(10, 2)),
            ("DB_TYPE_NUMBER", 3, 5, pa.decimal128(5, 5)),
            ("DB_TYPE_NUMBER", 5, -2, pa.decimal128(7, 0)),
            ("DB_TYPE_NUMBER", 38, 0, pa.decimal128(38, 0)),
            ("DB_TYPE_NUMBER", 0, -127, pa.string()),
            ("DB_TYPE_NUMBER", 126, -127, pa.string()),
            ("DB_TYPE_NUMBER", 38, -84, pa.string()),
            ("DB_TYPE_BINARY_DOUBLE", None, None, pa.float64()),
            ("DB_TYPE_DATE", None, None, pa.timestamp("us")),
            ("DB_TYPE_TIMESTAMP_TZ", None, None, UTC),
            ("DB_TYPE_CLOB", None, None, pa.string()),
            ("DB_TYPE_INTERVAL_DS", None, None, pa.string()),
            ("DB_TYPE_RAW", None, None, pa.binary()),
        ],
    )
    def test_they_are_read_without_loss(
        self, name: str, precision: int | None, scale: int | None, dtype: pa.DataType
    ) -> None:
        assert arrow_type(name, precision, scale) == dtype

    def test_what_is_stored_comes_back_as(self) -> None:
        stored = {
            pa.bool_(): pa.decimal128(1, 0),
            pa.int8(): pa.decimal128(5, 0),
            pa.int64(): pa.decimal128(19, 0),
            pa.uint64(): pa.decimal128(20, 0),
            pa.date32(): pa.timestamp("us"),
            UTC: UTC,
        }
        assert {dtype: DIALECT.storable(dtype) for dtype in stored} == stored
        assert DIALECT.storable(pa.list_(pa.int8())) is None


class TestErrors:
    @pytest.mark.parametrize(
        ("number", "how", "code"),
        [
            (942, {}, "TG724"),
            (1017, {"connecting": True}, "TG721"),
            (12541, {"connecting": True}, "TG720"),
            (3113, {}, "TG720"),
            (3113, {"committing": True}, "TG723"),
            (60, {}, "TG722"),
            (1438, {}, "TG725"),
        ],
    )
    def test_each_has_its_code(self, number: int, how: dict[str, bool], code: str) -> None:
        class About:
            def __init__(self) -> None:
                self.code = number

            def __str__(self) -> str:
                return f"ORA-{number:05}: said"

        error: TidegateError = translated(oracledb.DatabaseError(About()), "db:1521/shop", **how)
        assert error.code == code
        assert f"ORA-{number:05}" in error.message

    def test_nobody_listens(self) -> None:
        url = f"oracle://scott:tiger-secret@127.0.0.1:{free_port()}/shop"
        nobody = database_of(Connection(name="shop", format="sql", configure={"url": url, "timeout": 3}))
        with pytest.raises(PlaceUnavailableError) as caught, nobody.session():
            pass
        assert caught.value.code == "TG720"
        assert "tiger-secret" not in caught.value.render()
