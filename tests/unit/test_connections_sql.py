"""How connections to databases say where they are, and how SQL is written for each."""

from __future__ import annotations

from decimal import Decimal
from typing import Any

import pyarrow as pa
import pytest

from tests.behaviour.databases import connected
from tidegate.connections.duckdb_types import DuckDBDialect
from tidegate.connections.parameters import with_parameters
from tidegate.connections.postgresql_dialect import PIECES as POSTGRESQL
from tidegate.connections.postgresql_dialect import PostgreSQLDialect
from tidegate.connections.postgresql_errors import not_connected
from tidegate.connections.sqlite_values import PIECES as SQLITE
from tidegate.connections.sqlite_values import SQLiteDialect, decimal_in_order, declared_type
from tidegate.errors import ConfigurationError
from tidegate.masking import mask


class TestAddresses:
    """How a connection says where its database is."""

    def test_placeholders_are_filled_and_quoted(self) -> None:
        """A password may have any letter."""
        database = connected(
            url="postgresql://{username}:{password}@{host}:5433/{database}?sslmode=disable",
            username="me@here",
            password="p:/@?#[]{host} ",
            host="db",
            database="shop",
        )
        assert database.place() == "db:5433/shop"
        address = database.address  # type: ignore[attr-defined]
        assert (address.username, address.password) == ("me@here", "p:/@?#[]{host} ")
        assert "p:/" not in repr(address)

    @pytest.mark.parametrize(
        ("configure", "says"),
        [
            ({}, "database_type of connection 'shop' is not said"),
            ({"url": "http://host/x"}, "database_type of connection 'shop' is 'http'"),
            ({"database_type": "postgresql", "database": "x"}, "says no host"),
            ({"database_type": "postgresql", "host": "x"}, "says no database"),
            ({"url": "postgresql://{username}@h/d"}, "placeholder {username}"),
            ({"url": "postgresql://user:secret@h:port/d"}, "cannot be read"),
            ({"database_type": "sqlite"}, "says no file"),
            ({"url": "sqlite://"}, "says no file"),
            ({"database_type": "duckdb", "database": ":memory:"}, "says no file"),
        ],
    )
    def test_an_address_that_is_none_is_told(self, configure: dict[str, Any], says: str) -> None:
        """Without what may be secret of it."""
        with pytest.raises(ConfigurationError) as caught:
            connected(**configure).place()
        assert says in caught.value.message
        assert caught.value.code == "TG726"
        assert "secret" not in caught.value.render()

    @pytest.mark.parametrize("scheme", ["postgresql", "postgres", "postgresql+psycopg", "jdbc:postgresql"])
    def test_a_url_as_others_write_it_is_understood(self, scheme: str) -> None:
        """The driver that it names is not ours."""
        database = connected(url=f"{scheme}://me@db/shop")
        assert (database.kind, database.place()) == ("postgresql", "db:5432/shop")

    def test_fields_say_what_the_url_leaves_out(self) -> None:
        """And the other way round nothing is needed."""
        database = connected(url="postgresql://db/shop", username="me", port=5433)
        assert database.place() == "db:5433/shop"
        assert database.address.username == "me"  # type: ignore[attr-defined]

    def test_a_token_is_no_part_of_a_place(self) -> None:
        """And is hidden wherever else it shows."""
        database = connected(database_type="duckdb", database="md:shop?motherduck_token=hunter2-token")
        assert database.place() == "md:shop"
        assert mask("hunter2-token") == "***"

    def test_a_file_is_below_the_base_path(self) -> None:
        """Unless its path is absolute."""
        assert connected(database_type="sqlite", base_path="/data", database="shop.db").place() == "/data/shop.db"
        assert connected(database_type="sqlite", base_path="/data", database="/x/shop.db").place() == "/x/shop.db"
        assert connected(url="sqlite:////x/shop.db").place() == "/x/shop.db"


class TestDialects:
    """SQL as each database wants it."""

    @pytest.mark.parametrize("dialect", [PostgreSQLDialect(), SQLiteDialect(), DuckDBDialect()])
    def test_names_are_quoted(self, dialect: Any) -> None:
        """Whatever is in them."""
        assert dialect.quoted("a b", 'c"d') == '"a b"."c""d"'
        assert dialect.quoted(None, "t") == dialect.quoted("", "t") == '"t"'

    def test_statements_read_well(self) -> None:
        """With `t` the table that is changed, and `s` where the changes come from."""
        dialect = PostgreSQLDialect()
        on = dialect.same('t."id"', 's."id"')
        assert dialect.update_from('"t"', '"c"', on, {"n": 's."n"'}) == (
            'UPDATE "t" AS t SET "n" = s."n" FROM "c" AS s WHERE t."id" IS NOT DISTINCT FROM s."id"'
        )
        columns = {"id": pa.uint64(), "at": pa.timestamp("us", "UTC")}
        assert dialect.create_table('"t"', columns) == 'CREATE TABLE "t" ("id" numeric(20,0), "at" timestamptz)'

    @pytest.mark.parametrize(
        ("declared", "dtype"),
        [
            ("int", pa.int64()),
            ("UNSIGNED BIG INT", pa.int64()),
            ("nvarchar(100)", pa.string()),
            ("double precision", pa.float64()),
            ("decimal(10, 2)", pa.decimal128(10, 2)),
            ("NUMERIC(10)", pa.decimal128(10, 0)),
            ("DECIMAL_TEXT(38,10)", pa.decimal128(38, 10)),
            ("decimal(50,2)", pa.string()),
            ("TIMESTAMP(6)", pa.timestamp("us")),
            ("numeric", None),
            ("json", None),
            ("", None),
        ],
    )
    def test_declared_types_of_sqlite_are_understood(self, declared: str, dtype: pa.DataType | None) -> None:
        """By SQLite's own rules where ours say nothing."""
        assert declared_type(declared) == dtype


class TestParameters:
    """Parameters that are written into SQL."""

    @pytest.mark.parametrize(
        "text",
        [
            "'$1'",
            "'it''s $1'",
            r"E'\'$1'",
            '"a$1"',
            "$$ $1 $$",
            "$tag$ $1 $$ $tag$",
            "a$1",
            "-- $1",
            "/* $1 */",
            "1",
        ],
    )
    def test_what_is_no_placeholder_of_postgresql_stays(self, text: str) -> None:
        """In texts, names and comments; what follows is one."""
        assert with_parameters(f"{text}\n$1", ["7"], POSTGRESQL) == f"{text}\n7"

    def test_placeholders_are_numbered(self) -> None:
        """In any order, and more than once; values are not read again."""
        assert with_parameters("$2 $1 $2 $10", ["$2", *"bcdefghij"], POSTGRESQL) == "b $2 b j"
        assert with_parameters("?2 `?1` [?1] ?1", ["a", "?1"], SQLITE) == "?1 `?1` [?1] a"

    def test_decimals_are_in_order_as_text(self) -> None:
        """SQLite has no others that are exact."""
        numbers = ["-1e30", "-2", "-1.5", "0", "0.004", "0.01", "1.5", 2, 10.5, "1e30"]
        texts = [decimal_in_order(number, 3) for number in numbers]
        assert texts == sorted(texts)
        assert decimal_in_order(None, 3) is None
        assert decimal_in_order(1.5, 3) == decimal_in_order(Decimal("1.50"), 3)


class TestRefusals:
    """What libpq says when there is no connection."""

    @pytest.mark.parametrize(
        ("message", "code"),
        [
            (
                'connection to server at "db", port 5432 failed: FATAL:  password authentication failed for user "x"',
                "TG721",
            ),
            ('connection to server at "db", port 5432 failed: fe_sendauth: no password supplied', "TG721"),
            ("connection failed: SSL error: certificate verify failed", "TG721"),
            ('connection to server at "db", port 5432 failed: FATAL:  the database system is starting up', "TG720"),
            ("connection failed: FATAL:  sorry, too many clients already", "TG720"),
            ("connection failed: Connection refused\n\tIs the server running?", "TG720"),
            ("could not translate host name", "TG720"),
            ("", "TG720"),
        ],
    )
    def test_it_is_asked_again_where_that_helps(self, message: str, code: str) -> None:
        """A wrong password stays wrong."""
        error = not_connected(OSError(message), "db:5432/shop")
        assert (error.code, error.transient) == (code, code == "TG720")
        assert "\n" not in error.message
