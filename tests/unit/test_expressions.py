"""SQL expressions: what is accepted, what is refused and where, and that every engine gives the oracle's values."""

from __future__ import annotations

import math
import pickle
import subprocess
import sys
from datetime import UTC, date, datetime
from decimal import Decimal

import duckdb
import polars as pl
import pyarrow as pa
import pytest
from hypothesis import given
from hypothesis import strategies as st

from tidegate.errors import MetadataError, TransformError
from tidegate.expressions.functions import AGGREGATES, BY_NAME, FUNCTIONS, REFUSED, WINDOWS
from tidegate.expressions.patterns import portable_pattern, time_format
from tidegate.expressions.sql import bind, parse_expression, render_duckdb, render_polars

SCHEMA = pa.schema(
    {
        "i": pa.int64(),
        "j": pa.int32(),
        "tiny": pa.int8(),
        "f": pa.float64(),
        "g": pa.decimal128(10, 2),
        "s": pa.string(),
        "n": pa.string(),
        "q": pa.string(),
        "u": pa.string(),
        "d": pa.date32(),
        "e": pa.date32(),
        "t": pa.timestamp("us"),
        "v": pa.timestamp("ms"),
        "z": pa.timestamp("us", "UTC"),
        "b": pa.bool_(),
        "Mixed Case": pa.int64(),
    }
)
ROWS = [
    (1, 3, 100, 2.5, "2.35", "Abc", " 12 ", "2024-02-29", "true", date(2024, 2, 29), date(2023, 12, 31), True, 1),
    (-7, -2, -100, -0.125, "-2.45", " héllo\n", "-3", "2023-02-30", "N", date(1969, 12, 31), date(1970, 1, 1), False, 2),
    (0, 0, 0, math.nan, "0.00", "straße-a-b", "x", "2024-01-05 10:11", "maybe", date(2021, 1, 3), None, True, 3),
    (12, 7, 5, -2.5, "1234.50", "", "+7", "2024-03-31T23:59:59.5Z", "1", date(2020, 5, 31), date(2020, 6, 1), None, 4),
    (None, 9, None, 1e300, None, "日本語 é", "", "2024-07-01T00:30:00+02:00", "0", date(2000, 10, 1), date(2024, 8, 9), True, 5),
    (5, None, 1, None, "99.99", None, None, None, None, None, None, None, None),
]
MOMENTS = [
    datetime(2024, 2, 29, 13, 4, 5, 678900),
    datetime(1969, 12, 31, 23, 59, 59),
    datetime(2021, 1, 3),
    datetime(2020, 5, 31, 0, 59, 59, 1),
    datetime(2000, 10, 1, 12),
    None,
]


def _table() -> pa.Table:
    columns: dict[str, list] = {name: [] for name in SCHEMA.names}
    for row, moment in zip(ROWS, MOMENTS, strict=True):
        i, j, tiny, f, g, s, n, q, u, d, e, b, mixed = row
        instant = moment.replace(tzinfo=UTC) if moment else None
        coarse = moment.replace(microsecond=moment.microsecond // 1000 * 1000) if moment else None
        decimal = Decimal(g) if g is not None else None
        values = (i, j, tiny, f, decimal, s, n, q, u, d, e, moment, coarse, instant, b, mixed)
        for name, value in zip(SCHEMA.names, values, strict=True):
            columns[name].append(value)
    return pa.table(columns, schema=SCHEMA)


TABLE = _table()
FRAME = pl.from_arrow(TABLE)
TYPES = dict(zip(SCHEMA.names, SCHEMA.types, strict=True))
NOW = datetime(2024, 3, 31, 22, 30, tzinfo=UTC)


@pytest.fixture(scope="module")
def oracle():
    connection = duckdb.connect()
    connection.execute("SET TimeZone = 'UTC'")
    connection.register("rows", TABLE)
    yield connection
    connection.close()


def _plain(value):
    """Equal numbers of different types are one value, and so are two NaN; nothing else is."""
    if isinstance(value, bool) or value is None:
        return ("plain", value)
    if isinstance(value, (int, float, Decimal)):
        return ("number", "nan") if value != value else ("number", float(value) if value == float(value) else value)
    if isinstance(value, datetime):
        return ("instant", value.astimezone(UTC)) if value.tzinfo else ("timestamp", value)
    return (type(value).__name__, value)


def bound(text, dialect=None):
    return bind(parse_expression(text, dialect=dialect), TYPES)


def by_polars(text, dialect=None):
    expression = pl.sql_expr(render_polars(bound(text, dialect), now=NOW))
    series = FRAME.lazy().select(i=pl.col("i"), value=expression).collect(engine="streaming")["value"]
    return [_plain(value) for value in series.to_list()]


def by_duckdb(oracle, sql):
    return [_plain(value) for (value,) in oracle.sql(f"SELECT ({sql}) AS value FROM rows").fetchall()]


SAME = r"""
i + 1 | i - j | j * j | i * 2 - j * 3 | -i | - j | +i | i / 2 | i / 100 | j / 7 | g / 100 | f / 3 | i / 0 | i / j | g / 3 | g / g | f / 0
i % 3 | mod(j, 3) | g % 2 | f % 2 | i * 1.5 | g * g | g + i | g - 0.35 | g * f | 1.0 / 3 | 7 / 2 | 0.1 + 0.2
0.9 + 0.9 | 1e0 + 0.5 | i + NULL | (i + j) * (i - j) | -(2) | - -2 | 2000000000 + 1
i > 0 | i >= j | f > 1 | f = f | g = 2.35 | g <> 2.35 | i < f | i = 1.0 | s = 'Abc' | s < 'b' | s != 'Abc' | s == 'Abc'
i BETWEEN 0 AND 5 | i NOT BETWEEN 0 AND 5 | g BETWEEN 1 AND 2.35 | s BETWEEN 'A' AND 'b' | i BETWEEN NULL AND 5
i IN (1, 2) | i NOT IN (1, 2) | i IN (1, NULL) | i NOT IN (1, NULL) | s IN ('Abc', NULL) | g IN (2.35) | i IN (1.0, 2)
s LIKE 'A%' | s LIKE '%l%' | s LIKE '_bc' | s NOT LIKE '%b%' | s ILIKE 'a%' | s ILIKE '%HÉLLO%' | s LIKE 'A.c' | s LIKE '%'
s IS NULL | s IS NOT NULL | i IS DISTINCT FROM 1 | i IS NOT DISTINCT FROM NULL | f IS NULL | i = NULL | NULL IS NULL
b AND NULL | b OR NULL | NOT b | NULL AND b | NOT NULL | b IS TRUE | b IS NOT TRUE | b IS FALSE | b IS NOT FALSE
b = TRUE | b > FALSE | b AND i > 0 OR s IS NULL | NOT i = 1 OR b | (i = 1) IS TRUE | i > 0 AND j > 0 AND g > 0 AND b
CASE WHEN i > 0 THEN 'p' WHEN i < 0 THEN 'm' ELSE 'z' END | CASE i WHEN 1 THEN 'a' WHEN NULL THEN 'b' END
CASE WHEN b THEN i ELSE f END | CASE WHEN b THEN 1 ELSE 2.5 END | CASE WHEN NULL THEN 1 ELSE 2 END | if(i > 0, 1, 2)
if(NULL, 1, 2) | CASE WHEN b THEN d ELSE DATE '2024-01-01' END | coalesce(i, 0) | coalesce(i, f) | coalesce(g, 0)
coalesce(NULL, i) | ifnull(s, '?') | nullif(i, 1) | nullif(s, 'Abc') | nullif(i, 1.0) | coalesce(t, TIMESTAMP '2024-01-01 00:00:00')
greatest(i, j) | least(i, j) | greatest(i, f) | least(i, f) | greatest(f, 0, i) | least(g, 1) | greatest(s, 'B') | least(d, e)
lower(s) | upper(n) | trim(n) | trim(s) | ltrim(n) | rtrim(n) | trim(BOTH 'A' FROM s) | trim(LEADING 'A' FROM s)
trim(TRAILING 'c' FROM s) | trim(s, 'Ac') | length(s) | length(s) - 5 | substring(s, 2, 2) | substr(s, 2) | substr(s, -2)
substr(s, -2, 1) | substr(s, -9, 8) | substring(s FROM 2 FOR 3) | substr(s, i) | substr(s, i, 2) | substr(s, 1, 0)
substr(s, strpos(s, '-') + 1) | left(s, 2) | right(s, 2) | left(s, -1) | right(s, -1) | left(s, -9) | left(s, i) | right(s, i)
left(s, NULL) | upper(NULL) | length(NULL) | substring(s, NULL)
concat(s, 'x') | concat(s, NULL) | concat(s, i, b, d, g) | concat(i, '-', j) | s || 'x' | s || i | s || g | s || b | s || d | s || t
s || NULL | concat_ws('-', s, 'x', n) | concat_ws('-', i, j) | concat_ws('-', NULL, NULL) | replace(s, 'l', 'L') | replace(s, 'a', n)
replace(s, '', 'x') | replace(s, '.', '!') | split_part(s, '-', 2) | split_part(s, '-', -1) | split_part(s, '-', 9)
split_part(s, n, i) | split_part(s, '', 1) | lpad(s, 7, '*') | rpad(s, 7, '*') | lpad(s, 2, '*') | lpad(s, 4, 'é') | lpad(s, 0, '*')
reverse(s) | starts_with(s, 'A') | starts_with(s, '') | starts_with(s, n) | ends_with(s, 'c') | contains(s, 'l') | contains(s, '.') | strpos(s, '.') | contains(s, n)
strpos(s, 'l') | strpos(s, '') | strpos(s, n) | strpos(s, '語') | position('l' IN s) | instr(s, 'b')
regexp_matches(s, '^[A-Z]') | regexp_matches(s, 'L+', 'i') | regexp_matches(s, '[^\w]') | regexp_matches(n, '^\d+$')
regexp_matches(s, 'o.$') | regexp_matches(s, 'o\s$') | regexp_replace(s, 'l+', '<\0>', 'g') | regexp_replace(s, '(l)', '$1', 'g')
regexp_replace(s, '[a-c]', '', 'g') | regexp_replace(s, 'H(.)', '\1', 'gi') | regexp_replace(n, '[^\d]', '', 'g')
regexp_replace(s, '(.)-(.)', '\2-\1', 'g')
abs(i) | abs(g) | abs(f) | round(f) | round(f, 1) | round(f, 2) | round(f, 0) | round(g) | round(g, 1) | round(i) | round(i, 2)
round(2.5e0) | round(-2.5e0) | round(0.5e0) | round(0.49999999999999994e0) | round(1.005e0, 2) | round(2.675e0, 2) | round(2.345, 2)
round(4503599627370497e0) | round(NULL) | floor(f) | floor(g) | floor(i) | ceil(f) | ceiling(g) | trunc(f) | trunc(g) | trunc(i)
power(i, 2) | power(i, -1) | power(10, 20) | pow(g, 2) | power(f, 0.5) | sqrt(i) | exp(j) | ln(i) | sqrt(g)
sign(i) | sign(g) | sign(f)
year(d) | month(d) | day(d) | quarter(d) | week(d) | dayofyear(d) | isodow(d) | hour(d) | year(t) | hour(t) | minute(t) | second(t)
year(z) | hour(z) | isodow(z) | hour(t) * 60 + minute(t) | year(d) * 10000 + month(d) * 100 + day(d) | EXTRACT(YEAR FROM t)
EXTRACT(doy FROM d) | EXTRACT(epoch FROM t) | date_part('month', d) | epoch(t) | epoch(d) | epoch(z) | second(v) | weekofyear(t)
date_trunc('year', d) | date_trunc('quarter', d) | date_trunc('month', d) | date_trunc('week', d) | date_trunc('day', t)
date_trunc('month', t) | date_trunc('quarter', t) | date_trunc('hour', t) | date_trunc('minute', t) | date_trunc('second', t)
date_trunc('month', z) | date_trunc('hour', z) | date_trunc('hour', d) | date_trunc('second', v) | date_trunc('week', z)
d + INTERVAL '1 day' | d + INTERVAL 1 MONTH | d - INTERVAL '1' YEAR | d + INTERVAL '1 hour' | t + INTERVAL '1 month 2 days 3 hours'
z + INTERVAL '1 month' | t - INTERVAL '-3 days' | d + INTERVAL '1 quarter' | d - INTERVAL '2 weeks' | t + i * INTERVAL '1 hour'
d + INTERVAL (i) DAY | t - 2 * INTERVAL '1 minute' | INTERVAL '1 day' + d | d + 1 | d - 1 | 1 + d | d + j | d - e | t - v > INTERVAL '1 hour'
d - DATE '2024-01-01' | datediff('day', d, e) | datediff('month', d, e) | datediff('quarter', d, e)
datediff('year', d, e) | datediff('hour', t, d) | datediff('minute', t, v) | datediff('second', t, d) | date_diff('day', t, z)
d > '2024-01-01' | t > '2024-01-01' | t BETWEEN '2000-01-01' AND '2024-12-31 23:59:59' | d = '2024-02-29' | d > t | z > t | z > '2021-01-01'
z > TIMESTAMP '2021-01-01 00:00:00' | d IN ('2024-02-29', '2021-01-03') | i > '1' | g < '2.5' | d < TIMESTAMP '2024-02-29 00:00:01'
year(DATE '2024-05-06') | TIMESTAMPTZ '2024-01-01 10:00:00+02:00' = z | d IS DISTINCT FROM e
strftime(d, '%Y-%m') | strftime(t, '%Y%m%d%H%M%S') | strftime(t, '%f') | strftime(t, '%y %j %b %B %a %A %p %I %%') | strftime(z, '%H:%M')
strftime(d, '%d/%m/%Y %H:%M') | strptime('05.01.2024', '%d.%m.%Y') | strptime(' 2024-01-05 10:11:12.5 ', '%Y-%m-%d %H:%M:%S.%f')
strptime('5 Jan 2024', '%d %b %Y')
CAST(i AS VARCHAR) | CAST(g AS VARCHAR) | CAST(b AS VARCHAR) | CAST(d AS VARCHAR) | CAST(t AS VARCHAR) | CAST(i AS DOUBLE) | i::double
CAST(g AS DOUBLE) | CAST(i AS DECIMAL(10,2)) | CAST(g AS DECIMAL(10,1)) | CAST(0.125e0 AS DECIMAL(10,2)) | CAST('12.345' AS DECIMAL(10,2))
CAST('-12.5' AS DECIMAL(10,0)) | CAST(' 7 ' AS INTEGER) | CAST(b AS INTEGER) | CAST(i AS BOOLEAN) | CAST(b AS DECIMAL(3,1)) | CAST(round(g) AS BIGINT)
CAST(floor(g) AS INT) | CAST(trunc(-2.5e0) AS BIGINT) | CAST(d AS TIMESTAMP) | CAST(t AS DATE) | CAST(z AS DATE) | CAST(z AS TIMESTAMP)
CAST(t AS TIMESTAMPTZ) | CAST('2024-01-05' AS DATE) | CAST('2024-01-05 10:11:12' AS TIMESTAMP) | CAST(NULL AS INT)
TRY_CAST(n AS INTEGER) | TRY_CAST(n AS DOUBLE) | TRY_CAST(n AS DECIMAL(10,1)) | TRY_CAST(u AS BOOLEAN) | TRY_CAST(q AS DATE)
TRY_CAST(q AS TIMESTAMP) | TRY_CAST(q AS TIMESTAMPTZ) | TRY_CAST(i AS TINYINT) | TRY_CAST(1000 AS TINYINT) | TRY_CAST(g AS DECIMAL(3,2))
TRY_CAST('2024-13-01' AS DATE) | CAST('yes' AS BOOLEAN) | CAST(coalesce(nullif(trim(n), 'x'), '0') AS VARCHAR)
"Mixed Case" + 1 | `Mixed Case` * 2 | 'it''s' | '' | 1.5 | 1e3 | TRUE | NULL | DATE '2024-01-31' | 'a' || 'b' | coalesce(TRY_CAST(n AS INT), -1)
"""
"""Expressions that DuckDB understands as they stand."""

OTHERWISE = {
    "tiny + tiny": "CAST(tiny AS BIGINT) + tiny",
    "i % j": "i % NULLIF(j, 0)",
    "i % 0": "i % NULLIF(0, 0)",
    "g % 0": "g % NULLIF(0, 0)",
    "nvl(s, '?')": "coalesce(s, '?')",
    "iff(b, 1, 2)": "if(b, 1, 2)",
    "if(b, 1)": "if(b, 1, NULL)",
    "upper(s)": "upper(replace(s, 'ß', 'SS'))",
    "`i` <=> 1": "i IS NOT DISTINCT FROM 1",
    "regexp_like(s, '^A')": "regexp_matches(s, '^A')",
    "s RLIKE '^A'": "regexp_matches(s, '^A')",
    "lpad(s, 7)": "lpad(s, 7, ' ')",
    "rpad(s, i, '.')": "rpad(s, CAST(CASE WHEN i < 0 THEN 0 ELSE i END AS INTEGER), '.')",
    "signum(i)": "sign(i)",
    "startswith(s, 'A')": "starts_with(s, 'A')",
    "extract(isodow FROM d)": "isodow(d)",
    "dayofmonth(t)": "day(t)",
    "epoch(date '1970-01-02')": "86400.0",
    "datediff(d, e)": "date_diff('day', e, d)",
    "datediff(t, d)": "date_diff('day', d, CAST(t AS DATE))",
    "datediff(month, d, e)": "date_diff('month', d, e)",
    "dateadd(month, 1, d)": "d + INTERVAL '1 month'",
    "dateadd(day, i, t)": "t + i * INTERVAL '1 day'",
    "dateadd(hour, -3, z)": "z - INTERVAL '3 hours'",
    "date_add(d, 3)": "d + 3",
    "date_add(t, i)": "CAST(t AS DATE) + CAST(i AS INTEGER)",
    "date_sub(d, j)": "d - j",
    "date_add(d, INTERVAL 1 MONTH)": "d + INTERVAL '1 month'",
    "date(t)": "CAST(t AS DATE)",
    "to_date('2024-05-06')": "DATE '2024-05-06'",
    "to_timestamp('2024-05-06T10:11:12')": "TIMESTAMP '2024-05-06 10:11:12'",
    "to_timestamp('06/05/2024 10:11', 'dd/MM/yyyy HH:mm')": "TIMESTAMP '2024-05-06 10:11:00'",
    "date_format(t, 'yyyy-MM-dd HH:mm:ss')": "strftime(t, '%Y-%m-%d %H:%M:%S')",
    "date_format(d, '%Y')": "strftime(d, '%Y')",
    "current_date": "DATE '2024-03-31'",
    "current_timestamp": "TIMESTAMPTZ '2024-03-31 22:30:00+00:00'",
    "now() > z": "TIMESTAMPTZ '2024-03-31 22:30:00+00:00' > z",
    "current_date - d": "DATE '2024-03-31' - d",
    "len(s)": "length(s)",
    "char_length(s)": "length(s)",
    "ucase(n)": "upper(n)",
}
"""Expressions of other dialects, and what DuckDB calls the same."""

TABLE_OF_CASES = [(text.strip(), text.strip()) for line in SAME.strip().splitlines() for text in line.split(" | ")]
TABLE_OF_CASES += list(OTHERWISE.items())


class TestValues:
    """The oracle is DuckDB, given the expression as it is written."""

    @pytest.mark.parametrize(("text", "sql"), TABLE_OF_CASES)
    def test_polars_gives_the_values_of_the_oracle(self, oracle, text, sql):
        """What `polars.sql_expr` computes from our rendering equals what DuckDB computes from the text."""
        assert by_polars(text) == by_duckdb(oracle, sql)

    @pytest.mark.parametrize(("text", "sql"), TABLE_OF_CASES)
    def test_our_duckdb_rendering_gives_the_values_of_the_oracle(self, oracle, text, sql):
        """The DuckDB engine is given a rendering too, which means what the text means."""
        assert by_duckdb(oracle, render_duckdb(bound(text), now=NOW)) == by_duckdb(oracle, sql)
