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
    (
        -7,
        -2,
        -100,
        -0.125,
        "-2.45",
        " héllo\n",
        "-3",
        "2023-02-30",
        "N",
        date(1969, 12, 31),
        date(1970, 1, 1),
        False,
        2,
    ),
    (0, 0, 0, math.nan, "0.00", "straße-a-b", "x", "2024-01-05 10:11", "maybe", date(2021, 1, 3), None, True, 3),
    (12, 7, 5, -2.5, "1234.50", "", "+7", "2024-03-31T23:59:59.5Z", "1", date(2020, 5, 31), date(2020, 6, 1), None, 4),
    (
        None,
        9,
        None,
        1e300,
        None,
        "日本語 é",
        "",
        "2024-07-01T00:30:00+02:00",
        "0",
        date(2000, 10, 1),
        date(2024, 8, 9),
        True,
        5,
    ),
    (5, None, 1, None, "99.99", None, None, None, None, None, None, None, None),
]
MOMENTS = [
    datetime.fromisoformat(text) if text else None
    for text in (
        "2024-02-29T13:04:05.678900",
        "1969-12-31T23:59:59",
        "2021-01-03T00:00:00",
        "2020-05-31T00:59:59.000001",
        "2000-10-01T12:00:00",
        None,
    )
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
        return ("number", "nan") if math.isnan(value) else ("number", float(value) if value == float(value) else value)
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
i + 1 | i - j | j * j | i * 2 - j * 3 | -i | - j | +i | i / 2 | i / 100 | j / 7 | g / 100 | f / 3 | i / 0
i / j | g / 3 | g / g | f / 0 | i % 3 | mod(j, 3) | g % 2 | f % 2 | i * 1.5 | g * g | g + i | g - 0.35 | g * f
1.0 / 3 | 7 / 2 | 0.1 + 0.2 | 0.9 + 0.9 | 1e0 + 0.5 | i + NULL | (i + j) * (i - j) | -(2) | - -2
2000000000 + 1 | i > 0 | i >= j | f > 1 | f = f | g = 2.35 | g <> 2.35 | i < f | i = 1.0 | s = 'Abc' | s < 'b'
s != 'Abc' | s == 'Abc' | i BETWEEN 0 AND 5 | i NOT BETWEEN 0 AND 5 | g BETWEEN 1 AND 2.35
s BETWEEN 'A' AND 'b' | i BETWEEN NULL AND 5 | i IN (1, 2) | i NOT IN (1, 2) | i IN (1, NULL)
i NOT IN (1, NULL) | s IN ('Abc', NULL) | g IN (2.35) | i IN (1.0, 2) | s LIKE 'A%' | s LIKE '%l%'
s LIKE '_bc' | s NOT LIKE '%b%' | s ILIKE 'a%' | s ILIKE '%HÉLLO%' | s LIKE 'A.c' | s LIKE '%' | s IS NULL
s IS NOT NULL | i IS DISTINCT FROM 1 | i IS NOT DISTINCT FROM NULL | f IS NULL | i = NULL | NULL IS NULL
b AND NULL | b OR NULL | NOT b | NULL AND b | NOT NULL | b IS TRUE | b IS NOT TRUE | b IS FALSE | b IS NOT FALSE
b = TRUE | b > FALSE | b AND i > 0 OR s IS NULL | NOT i = 1 OR b | (i = 1) IS TRUE
i > 0 AND j > 0 AND g > 0 AND b | CASE WHEN i > 0 THEN 'p' WHEN i < 0 THEN 'm' ELSE 'z' END
CASE i WHEN 1 THEN 'a' WHEN NULL THEN 'b' END | CASE WHEN b THEN i ELSE f END | CASE WHEN b THEN 1 ELSE 2.5 END
CASE WHEN NULL THEN 1 ELSE 2 END | if(i > 0, 1, 2) | if(NULL, 1, 2)
CASE WHEN b THEN d ELSE DATE '2024-01-01' END | coalesce(i, 0) | coalesce(i, f) | coalesce(g, 0)
coalesce(NULL, i) | ifnull(s, '?') | nullif(i, 1) | nullif(s, 'Abc') | nullif(i, 1.0)
coalesce(t, TIMESTAMP '2024-01-01 00:00:00') | greatest(i, j) | least(i, j) | greatest(i, f) | least(i, f)
greatest(f, 0, i) | least(g, 1) | greatest(s, 'B') | least(d, e) | lower(s) | upper(n) | trim(n) | trim(s)
ltrim(n) | rtrim(n) | trim(BOTH 'A' FROM s) | trim(LEADING 'A' FROM s) | trim(TRAILING 'c' FROM s)
trim(s, 'Ac') | length(s) | length(s) - 5 | substring(s, 2, 2) | substr(s, 2) | substr(s, -2) | substr(s, -2, 1)
substr(s, -9, 8) | substring(s FROM 2 FOR 3) | substr(s, i) | substr(s, i, 2) | substr(s, 1, 0)
substr(s, strpos(s, '-') + 1) | left(s, 2) | right(s, 2) | left(s, -1) | right(s, -1) | left(s, -9) | left(s, i)
right(s, i) | left(s, NULL) | upper(NULL) | length(NULL) | substring(s, NULL) | concat(s, 'x') | concat(s, NULL)
concat(s, i, b, d, g) | concat(i, '-', j) | s || 'x' | s || i | s || g | s || b | s || d | s || t | s || NULL
concat_ws('-', s, 'x', n) | concat_ws('-', i, j) | concat_ws('-', NULL, NULL) | replace(s, 'l', 'L')
replace(s, 'a', n) | replace(s, '', 'x') | replace(s, '.', '!') | split_part(s, '-', 2) | split_part(s, '-', -1)
split_part(s, '-', 9) | split_part(s, n, i) | split_part(s, '', 1) | lpad(s, 7, '*') | rpad(s, 7, '*')
lpad(s, 2, '*') | lpad(s, 4, 'é') | lpad(s, 0, '*') | reverse(s) | starts_with(s, 'A') | starts_with(s, '')
starts_with(s, n) | ends_with(s, 'c') | contains(s, 'l') | contains(s, '.') | strpos(s, '.') | contains(s, n)
strpos(s, 'l') | strpos(s, '') | strpos(s, n) | strpos(s, '語') | position('l' IN s) | instr(s, 'b')
regexp_matches(s, '^[A-Z]') | regexp_matches(s, 'L+', 'i') | regexp_matches(s, '[^\w]')
regexp_matches(n, '^\d+$') | regexp_matches(s, 'o.$') | regexp_matches(s, 'o\s$')
regexp_replace(s, 'l+', '<\0>', 'g') | regexp_replace(s, '(l)', '$1', 'g') | regexp_replace(s, '[a-c]', '', 'g')
regexp_replace(s, 'H(.)', '\1', 'gi') | regexp_replace(n, '[^\d]', '', 'g')
regexp_replace(s, '(.)-(.)', '\2-\1', 'g') | abs(i) | abs(g) | abs(f) | round(f) | round(f, 1) | round(f, 2)
round(f, 0) | round(g) | round(g, 1) | round(i) | round(i, 2) | round(2.5e0) | round(-2.5e0) | round(0.5e0)
round(0.49999999999999994e0) | round(1.005e0, 2) | round(2.675e0, 2) | round(2.345, 2)
round(4503599627370497e0) | round(NULL) | floor(f) | floor(g) | floor(i) | ceil(f) | ceiling(g) | trunc(f)
trunc(g) | trunc(i) | power(i, 2) | power(i, -1) | power(10, 20) | pow(g, 2) | power(f, 0.5) | sqrt(i) | exp(j)
ln(i) | sqrt(g) | sign(i) | sign(g) | sign(f) | year(d) | month(d) | day(d) | quarter(d) | week(d)
dayofyear(d) | isodow(d) | hour(d) | year(t) | hour(t) | minute(t) | second(t) | year(z) | hour(z) | isodow(z)
hour(t) * 60 + minute(t) | year(d) * 10000 + month(d) * 100 + day(d) | EXTRACT(YEAR FROM t)
EXTRACT(doy FROM d) | EXTRACT(epoch FROM t) | date_part('month', d) | epoch(t) | epoch(d) | epoch(z) | second(v)
weekofyear(t) | date_trunc('year', d) | date_trunc('quarter', d) | date_trunc('month', d)
date_trunc('week', d) | date_trunc('day', t) | date_trunc('month', t) | date_trunc('quarter', t)
date_trunc('hour', t) | date_trunc('minute', t) | date_trunc('second', t) | date_trunc('month', z)
date_trunc('hour', z) | date_trunc('hour', d) | date_trunc('second', v) | date_trunc('week', z)
d + INTERVAL '1 day' | d + INTERVAL 1 MONTH | d - INTERVAL '1' YEAR | d + INTERVAL '1 hour'
t + INTERVAL '1 month 2 days 3 hours' | z + INTERVAL '1 month' | t - INTERVAL '-3 days'
d + INTERVAL '1 quarter' | d - INTERVAL '2 weeks' | t + i * INTERVAL '1 hour' | d + INTERVAL (i) DAY
t - 2 * INTERVAL '1 minute' | INTERVAL '1 day' + d | d + 1 | d - 1 | 1 + d | d + j | d - e
t - v > INTERVAL '1 hour' | d - DATE '2024-01-01' | datediff('day', d, e) | datediff('month', d, e)
datediff('quarter', d, e) | datediff('year', d, e) | datediff('hour', t, d) | datediff('minute', t, v)
datediff('second', t, d) | date_diff('day', t, z) | d > '2024-01-01' | t > '2024-01-01'
t BETWEEN '2000-01-01' AND '2024-12-31 23:59:59' | d = '2024-02-29' | d > t | z > t | z > '2021-01-01'
z > TIMESTAMP '2021-01-01 00:00:00' | d IN ('2024-02-29', '2021-01-03') | i > '1' | g < '2.5'
d < TIMESTAMP '2024-02-29 00:00:01' | year(DATE '2024-05-06') | TIMESTAMPTZ '2024-01-01 10:00:00+02:00' = z
d IS DISTINCT FROM e | strftime(d, '%Y-%m') | strftime(t, '%Y%m%d%H%M%S') | strftime(t, '%f')
strftime(t, '%y %j %b %B %a %A %p %I %%') | strftime(z, '%H:%M') | strftime(d, '%d/%m/%Y %H:%M')
strptime('05.01.2024', '%d.%m.%Y') | strptime(' 2024-01-05 10:11:12.5 ', '%Y-%m-%d %H:%M:%S.%f')
strptime('5 Jan 2024', '%d %b %Y') | CAST(i AS VARCHAR) | CAST(g AS VARCHAR) | CAST(b AS VARCHAR)
CAST(d AS VARCHAR) | CAST(t AS VARCHAR) | CAST(i AS DOUBLE) | i::double | CAST(g AS DOUBLE)
CAST(i AS DECIMAL(10,2)) | CAST(g AS DECIMAL(10,1)) | CAST(0.125e0 AS DECIMAL(10,2))
CAST('12.345' AS DECIMAL(10,2)) | CAST('-12.5' AS DECIMAL(10,0)) | CAST(' 7 ' AS INTEGER) | CAST(b AS INTEGER)
CAST(i AS BOOLEAN) | CAST(b AS DECIMAL(3,1)) | CAST(round(g) AS BIGINT) | CAST(floor(g) AS INT)
CAST(trunc(-2.5e0) AS BIGINT) | CAST(d AS TIMESTAMP) | CAST(t AS DATE) | CAST(z AS DATE) | CAST(z AS TIMESTAMP)
CAST(t AS TIMESTAMPTZ) | CAST('2024-01-05' AS DATE) | CAST('2024-01-05 10:11:12' AS TIMESTAMP)
CAST(NULL AS INT) | TRY_CAST(n AS INTEGER) | TRY_CAST(n AS DOUBLE) | TRY_CAST(n AS DECIMAL(10,1))
TRY_CAST(u AS BOOLEAN) | TRY_CAST(q AS DATE) | TRY_CAST(q AS TIMESTAMP) | TRY_CAST(q AS TIMESTAMPTZ)
TRY_CAST(i AS TINYINT) | TRY_CAST(1000 AS TINYINT) | TRY_CAST(g AS DECIMAL(3,2))
TRY_CAST('2024-13-01' AS DATE) | CAST('yes' AS BOOLEAN) | CAST(coalesce(nullif(trim(n), 'x'), '0') AS VARCHAR)
"Mixed Case" + 1 | `Mixed Case` * 2 | 'it''s' | '' | 1.5 | 1e3 | TRUE | NULL | DATE '2024-01-31' | 'a' || 'b'
coalesce(TRY_CAST(n AS INT), -1)
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

    @pytest.mark.parametrize("name", [entry.name for entry in FUNCTIONS])
    def test_every_known_function_is_in_the_table_of_cases(self, name):
        """No function is offered that has not been compared with the oracle."""
        used = {function for text, _ in TABLE_OF_CASES for function in parse_expression(text).functions}
        rewritten = {"if", "date_add", "date_sub", "dateadd"}
        assert name in used | rewritten

    @pytest.mark.parametrize(
        ("text", "values"),
        [
            ("upper(s)", ["ABC", " HÉLLO\n", "STRASSE-A-B", "", "日本語 É", None]),
            ("left(s, 20)", ["Abc", " héllo\n", "straße-a-b", "", "日本語 é", None]),
            ("right(s, 20)", ["Abc", " héllo\n", "straße-a-b", "", "日本語 é", None]),
            ("regexp_like(n, '^\\d')", [False, False, False, False, False, None]),
            ("hour(t) * 60", [780, 1380, 0, 0, 720, None]),
            ("concat(s, NULL) || NULL", [None] * 6),
            ("try_cast(n as int)", [12, -3, None, 7, None, None]),
        ],
    )
    def test_values_that_a_person_would_write_down(self, text, values):
        """A few cases stand on their own, without an oracle."""
        assert by_polars(text) == [_plain(value) for value in values]


FLOATS = st.floats(-1e12, 1e12) | st.integers(-(10**9), 10**9).map(lambda number: number / 8)


def _one(values, dtype, text, types=None):
    schema = types or {"x": dtype}
    frame = pl.from_arrow(pa.table({"x": pa.array(values, dtype)}))
    expression = bind(parse_expression(text), schema)
    ours = frame.lazy().select(pl.col("x"), y=pl.sql_expr(render_polars(expression))).collect(engine="streaming")["y"]
    with duckdb.connect() as connection:
        connection.register("rows", pa.table({"x": pa.array(values, dtype)}))
        theirs = [row[0] for row in connection.sql(f"SELECT {text} FROM rows").fetchall()]
    return [_plain(value) for value in ours.to_list()], [_plain(value) for value in theirs]


class TestNumbers:
    @given(values=st.lists(st.none() | FLOATS, min_size=1, max_size=20), digits=st.integers(0, 4))
    def test_rounding_takes_a_half_away_from_zero_for_any_float(self, values, digits):
        ours, theirs = _one(values, pa.float64(), f"round(x, {digits})")
        assert ours == theirs

    @given(values=st.lists(st.none() | FLOATS, min_size=1, max_size=20), divisor=st.sampled_from(["3", "100", "0.7"]))
    def test_division_by_a_constant_is_division(self, values, divisor):
        """Polars multiplies by the reciprocal, which is off in the last digit."""
        ours, theirs = _one(values, pa.float64(), f"x / {divisor}")
        assert ours == theirs

    @given(values=st.lists(st.decimals(-99999, 99999, places=4), min_size=1, max_size=20), digits=st.integers(0, 4))
    def test_decimals_round_a_half_away_from_zero(self, values, digits):
        ours, theirs = _one(values, pa.decimal128(12, 4), f"round(x, {digits})")
        assert ours == theirs

    @pytest.mark.parametrize("text", ["i + 9223372036854775807", "i * 9223372036854775807", "9223372036854775807 + 1"])
    def test_an_overflow_is_an_error_and_no_other_number(self, text):
        with pytest.raises(pl.exceptions.PolarsError):
            by_polars(text)

    def test_the_least_integer_has_no_absolute_value(self):
        with pytest.raises(pl.exceptions.PolarsError):
            by_polars("abs(-9223372036854775808)")

    def test_narrow_integers_do_not_wrap_around(self):
        assert by_polars("tiny + tiny")[0] == ("number", 200.0)

    def test_single_precision_computes_in_double_precision(self):
        frame = pl.from_arrow(pa.table({"r": pa.array([1.1], pa.float32())}))
        expression = bind(parse_expression("r * 3"), {"r": pa.float32()})
        assert frame.select(pl.sql_expr(render_polars(expression))).item() == frame["r"].cast(pl.Float64)[0] * 3

    @pytest.mark.parametrize(
        "text", ["CAST(n AS INTEGER)", "CAST(u AS BOOLEAN)", "CAST(q AS DATE)", "CAST(q AS TIMESTAMP)"]
    )
    def test_a_strict_cast_fails_on_what_it_cannot_read(self, text):
        with pytest.raises(pl.exceptions.PolarsError):
            by_polars(text)


class TestParsing:
    def test_says_which_columns_and_functions_are_used_in_order_and_once(self):
        parsed = parse_expression('coalesce("Order Date", b) > `c d` and UPPER(a) = upper(b)')
        assert parsed.columns == ("Order Date", "b", "c d", "a")
        assert parsed.functions == ("coalesce", "upper")

    def test_equal_texts_are_parsed_once(self):
        assert parse_expression("a + 1") is parse_expression("a + 1")

    def test_can_be_pickled_and_hashed(self):
        parsed = parse_expression("a + interval '1 day' > date '2024-01-01'")
        assert pickle.loads(pickle.dumps(parsed)) == parsed  # noqa: S301 - our own
        assert hash(parsed) == hash(pickle.loads(pickle.dumps(parsed)))  # noqa: S301 - our own

    def test_double_quotes_are_text_in_the_dialects_where_they_are(self):
        assert parse_expression('a = "x"').columns == ("a", "x")
        assert parse_expression('a = "x"', dialect="spark").columns == ("a",)
        assert parse_expression('a = "x"', dialect="mysql").columns == ("a",)

    def test_backslash_escapes_are_read_where_the_dialect_has_them(self):
        assert by_polars("'it\\'s'", dialect="spark")[0] == ("str", "it's")

    def test_a_cast_to_timestamp_is_an_instant_in_spark(self):
        assert by_polars("cast(t as timestamp)", dialect="spark")[0][0] == "instant"
        assert by_polars("cast(t as timestamp)")[0][0] == "timestamp"

    def test_a_column_may_be_named_like_a_keyword(self):
        for name in ("comment", "date", "order", "end", "update", "left"):
            assert parse_expression(f"{name} = 1").columns == (name,)

    def test_long_chains_are_not_deep(self):
        text = " or ".join(f"i = {number}" for number in range(2000))
        assert by_polars(text)[0] == ("plain", True)

    def test_deep_nesting_is_refused_and_does_not_crash(self):
        for text in ("(" * 3000 + "i" + ")" * 3000, "upper(" * 400 + "s" + ")" * 400, "i" + " + 1" * 3000):
            with pytest.raises(MetadataError) as caught:
                parse_expression(text)
            assert caught.value.code == "TG108"

    def test_text_that_grows_too_long_when_rendered_is_refused(self):
        text = "strpos(s || " * 12 + "s" + ", s)" * 12
        with pytest.raises(MetadataError) as caught:
            render_polars(bound(text))
        assert caught.value.code == "TG109"

    @pytest.mark.parametrize(
        ("text", "line", "column", "words"),
        [
            ("1 +", 1, 3, "an operand is missing at the end"),
            ("a, b", 1, 2, "one expression"),
            ("a +\n  b c", 2, 5, "near 'c'"),
            ("coalesce(a,,b)", 1, 11, "lacks a value after ','"),
            ("(a", 1, 2, "')' is expected"),
            ("a + 'abc", 1, 5, "quote that is not closed"),
            ("a; b", 1, 2, "one expression is expected, not several"),
            ("SELECT a FROM t", 1, 1, "a statement (SELECT ...)"),
            ("DROP TABLE t", 1, 1, "a statement (DROP ...)"),
            ("a as b", 1, 3, "AS is not part"),
            ("1 + sum(a)", 1, 5, "sum() computes over many"),
            ("row_number() over (order by a)", None, None, "looks at many"),
            ("count(*)", 1, 1, "count() computes over many"),
            ("(select 1)", None, None, "holds a query"),
            ("a in (select b from t)", None, None, "holds a query"),
            ("", None, None, "empty"),
            ("  -- nothing", None, None, "empty"),
            ("t.a", None, None, "a column of a table: t.a"),
            ("*", 1, 1, "not one value"),
            ("date '2024-02-30'", None, None, "'2024-02-30' is not a date"),
            ("interval '3 fortnights'", None, None, "interval that cannot be read"),
            ("9223372036854775808", None, None, "does not fit a bigint"),
            ("a in ()", None, None, "empty IN ()"),
        ],
    )
    def test_what_is_no_scalar_expression_is_refused_with_its_place(self, text, line, column, words):
        with pytest.raises(MetadataError) as caught:
            parse_expression(text)
        assert caught.value.code == "TG108"
        assert words in caught.value.message
        assert (caught.value.details.get("line"), caught.value.details.get("column")) == (line, column)

    @pytest.mark.parametrize(
        ("text", "words", "hint"),
        [
            ("uper(a)", "function uper is unknown (line 1, column 1", "did you mean upper"),
            ("1 +\n xyzzy(a)", "line 2, column 2", "tidegate explain TG109"),
            ("left(a)", "left takes 2 arguments, not 1", "left:"),
            ("round(a, 1, 2)", "round takes 1 to 2 arguments, not 3", "round:"),
            ("dayofweek(d)", "counts from Sunday = 0 in DuckDB", ""),
            ("extract(dow from d)", "counts from Sunday = 0 in DuckDB", ""),
            ("log(a)", "base 10 in DuckDB", ""),
            ("a // b", "integer division differs", "floor(a / b)"),
            ("a ^ 2", "a power in some dialects", "power"),
            ("a like b", "a pattern in quotes", "starts_with"),
            ("a like 'x!%' escape '!'", "ESCAPE", "contains"),
            ("a like '\\%'", "a backslash differently", "contains"),
            ("regexp_replace(a, 'b', 'c')", "only the first in DuckDB", "'g'"),
            ("regexp_replace(a, 'b', '\\x', 'g')", "backslash before", ""),
            ("regexp_like(a, '(?=b)')", "engines read differently", "classes"),
            ("regexp_like(a, '\\bword')", "engines read differently", "classes"),
            ("regexp_like(a, '(')", "does not compile", ""),
            ("regexp_like(a, b)", "must be a text in quotes, not b", ""),
            ("replace(a, b, 'c')", "must be a text in quotes, not b", ""),
            ("substring(a, 0, 2)", "none in DuckDB", "start at 1"),
            ("substring(a, 1, -2)", "from 0 to", ""),
            ("round(a, -1)", "from 0 to 18", ""),
            ("lpad(a, 5, 'xy')", "one character", ""),
            ("lpad(a, 5, '')", "one character", ""),
            ("datediff('week', a, b)", "from Monday, from Sunday", "/ 7"),
            ("date_trunc('decade', a)", "takes a unit first", "year, quarter"),
            ("strftime(a, '%U')", "'%U', which engines write differently", "%Y"),
            ("strptime(a, '%y')", "'%y', which engines read differently", "%Y"),
            ("strptime(a, '%H')", "no minutes", "%M"),
            ("strptime(a, '%d.%m.')", "no year", "%Y"),
            ("date_format(a, 'ww')", "'ww', which is not known", "yyyy"),
            ("a[1]", "not available", ""),
            ("a -> 'b'", "not available", ""),
            ("random()", "each time a load is repeated", ""),
        ],
    )
    def test_what_engines_compute_differently_is_refused_by_name(self, text, words, hint):
        with pytest.raises(MetadataError) as caught:
            parse_expression(text)
        assert caught.value.code == "TG109"
        assert words in caught.value.message
        assert hint in (caught.value.hint or "")

    @pytest.mark.parametrize("name", sorted(REFUSED))
    def test_a_function_left_out_on_purpose_says_why(self, name):
        with pytest.raises(MetadataError) as caught:
            parse_expression(f"1 + {name}(a, b)" if name != "random" else "1 + random()")
        assert caught.value.code == "TG109"
        assert REFUSED[name] in caught.value.message or "local" in REFUSED[name]

    def test_no_name_is_both_known_and_refused(self):
        assert not set(BY_NAME) & (set(REFUSED) | AGGREGATES | WINDOWS)

    def test_an_unknown_type_in_a_cast_is_told_as_one(self):
        with pytest.raises(MetadataError) as caught:
            parse_expression("cast(a as strng)")
        assert (caught.value.code, "`string`" in caught.value.hint) == ("TG305", True)

    def test_an_unknown_dialect_is_refused(self):
        with pytest.raises(MetadataError, match="dialect 'klingon' is unknown"):
            parse_expression("a", dialect="klingon")

    @given(text=st.text(alphabet="ab1 ()+-*/',\"`.%;<>=!|&[]{}$@#~^:?\n", max_size=25))
    def test_any_text_parses_or_is_refused_as_metadata(self, text):
        """Nothing but a MetadataError leaves the parser."""
        try:
            parsed = parse_expression(text)
        except MetadataError as error:
            outcome = error.code
        else:
            outcome = parsed.text
        assert outcome in {text, "TG108", "TG109", "TG305"}


class TestBinding:
    def test_names_match_exactly_before_they_match_without_case(self):
        expression = bind(parse_expression("A + a"), {"a": pa.int64(), "A": pa.int64()})
        assert expression.columns == ("A", "a")

    def test_references_take_the_spelling_of_the_columns(self):
        expression = bind(parse_expression("upper(ORDER_name)"), ["id", "Order_Name"])
        assert expression.columns == ("Order_Name",)
        assert render_polars(expression) == 'UPPER("Order_Name")'

    def test_names_are_quoted_whatever_they_hold(self):
        name = 'a"b `c` d'
        frame = pl.DataFrame({name: ["x"]})
        expression = bind(parse_expression('upper("a""b `c` d")'), [name])
        assert frame.select(pl.sql_expr(render_polars(expression)).alias("v")).item() == "X"

    def test_an_unknown_column_is_named_with_the_closest_and_the_list(self):
        with pytest.raises(TransformError) as caught:
            bind(parse_expression("amout > 0"), ["order_id", "Amount"])
        assert caught.value.code == "TG301"
        assert "'amout' does not exist" in caught.value.message
        assert caught.value.hint == "did you mean `Amount`? columns: order_id, Amount"
        assert caught.value.details["columns"] == ["order_id", "Amount"]

    def test_a_name_that_fits_two_columns_is_refused(self):
        with pytest.raises(TransformError, match="fits several columns: Amount, AMOUNT") as caught:
            bind(parse_expression("amount"), ["Amount", "AMOUNT"])
        assert caught.value.code == "TG301"

    @pytest.mark.parametrize(
        ("text", "words"),
        [
            ("s > 1", "mixes text and an integer"),
            ("s + 'x'", "computes with text"),
            ("upper(i)", "upper takes text, and i is an integer"),
            ("length(f)", "length takes text"),
            ("s || f", "|| takes text, and f is a float"),
            ("b + 1", "takes a number, and b is a boolean"),
            ("i AND b", "and takes a boolean, and i is an integer"),
            ("CASE WHEN i THEN 1 END", "case takes a boolean"),
            ("coalesce(s, i)", "mixes text and an integer"),
            ("CASE WHEN b THEN s ELSE i END", "mixes text and an integer"),
            ("year(s)", "year takes a temporal, and s is text"),
            ("d > 'soon'", "'soon' is compared with a date, and is none"),
            ("d > '2024-01-01 10:00:00'", "is compared with a date, and is none"),
            ("i > 'x'", "'x' is compared with an integer, and is none"),
            ("CAST(f AS INT)", "a float is not converted to int in one way"),
            ("CAST(g AS BIGINT)", "a decimal is not converted to bigint in one way"),
            ("CAST(f AS VARCHAR)", "a float is not converted to string in one way"),
            ("CAST(z AS VARCHAR)", "a timestamp with a zone is not converted to string in one way"),
            ("CAST(i AS DATE)", "an integer is not converted to date in one way"),
            ("CAST(d AS INT)", "a date is not converted to int in one way"),
            ("CAST(s AS BLOB)", "text is not converted to binary in one way"),
            ("CAST(s AS INT[])", "do not convert to array<int>"),
            ("d + i * INTERVAL '1 month'", "a fixed number of months"),
            ("d + d", "has no one meaning for a date and a date"),
            ("t + 1", "has no one meaning for a timestamp and an integer"),
            ("i + INTERVAL '1 day'", "not done with an interval"),
        ],
    )
    def test_types_that_do_not_fit_are_refused_when_they_are_known(self, text, words):
        with pytest.raises(MetadataError) as caught:
            bound(text)
        assert caught.value.code == "TG109"
        assert words in caught.value.message
        assert caught.value.details["expression"] == text

    @pytest.mark.parametrize("text", ["a + b", "round(a)", "cast(a as int)", "date_trunc('day', a)", "a % 2", "-a"])
    def test_what_depends_on_types_is_not_rendered_without_them(self, text):
        """Names alone are enough to check columns, and not enough to compute."""
        expression = bind(parse_expression(text), ["a", "b"])
        for render in (render_polars, render_duckdb):
            if render is render_polars or "cast" in text or "%" in text or "round" in text:
                with pytest.raises(MetadataError, match="type of a, which is not known"):
                    render(expression)

    def test_what_does_not_depend_on_types_is_rendered_without_them(self):
        expression = bind(parse_expression("upper(a) = 'X' and b is not null"), ["a", "b"])
        assert render_polars(expression) == """((UPPER("a") = 'X') AND (NOT ("b" IS NULL)))"""

    def test_a_timestamp_in_another_zone_than_utc_is_refused_by_date_functions(self):
        """Its fields are those of a wall clock that the engines do not share."""
        with pytest.raises(MetadataError, match="value of another type"):
            bind(parse_expression("hour(x)"), {"x": pa.timestamp("us", "Europe/Paris")})


class TestPortability:
    @pytest.mark.parametrize(
        ("pattern", "portable"),
        [
            (r"\d+", "[0-9]+"),
            (r"[\w-]", "[0-9A-Za-z_-]"),
            (r"\S", r"[^\t\n\f\r ]"),
            (r"a\.b", r"a\.b"),
            ("[^a]", "[^a]"),
        ],
    )
    def test_classes_are_spelled_out_as_ascii(self, pattern, portable):
        assert portable_pattern(pattern) == portable

    @pytest.mark.parametrize(
        "pattern", [r"\b", r"(?<!a)b", r"(a)\1", "[a&&b]", "[[a]", r"\pL", "[]a]", r"[\W]", r"a\Z"]
    )
    def test_what_engines_do_not_share_is_refused(self, pattern):
        with pytest.raises(MetadataError) as caught:
            portable_pattern(pattern)
        assert caught.value.code == "TG109"

    def test_java_formats_are_translated(self):
        assert time_format("yyyy-MM-dd'T'HH:mm:ss", reading=True) == "%Y-%m-%dT%H:%M:%S"


class TestLightness:
    def test_reading_the_room_loads_neither_sqlglot_nor_polars(self):
        """`import tidegate` and `tidegate --help` stay fast; sqlglot comes with the first expression, polars never."""
        code = (
            "import sys, tidegate.expressions.sql as sql; before = set(sys.modules);"
            "expression = sql.bind(sql.parse_expression('a + 1'), ['a']);"
            "print(*(name in before for name in ('sqlglot', 'polars', 'pyarrow', 'duckdb')),"
            "'sqlglot' in sys.modules, 'polars' in sys.modules)"
        )
        done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
        assert done.stdout.split() == ["False"] * 4 + ["True", "False"]
