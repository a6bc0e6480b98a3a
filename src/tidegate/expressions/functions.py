"""The functions that an expression may use: one table, read by the check, by suggestions and by the documentation.

A function is in the table only when every engine gives the same value for it. The oracle is DuckDB: a function that
Polars computes otherwise is rewritten until it agrees, or it is not here. :data:`REFUSED` says why for those that
people reach for.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal as OneOf
from typing import cast

from tidegate.expressions.nodes import Kind

Accepts = OneOf["any", "boolean", "text", "number", "integer", "temporal", "unit", "stringable"]
Returns = Kind | OneOf["first", "common"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Function:
    """One function.

    Attributes:
        name: Canonical name.
        meaning: One line: what it gives, and how it treats NULL where that is not plainly "NULL in, NULL out".
        accepts: What each argument must be; the last holds for all that follow.
        least: Least number of arguments.
        most: Greatest number of arguments; None for any.
        returns: Kind of the result, or whose kind it takes.
        aliases: Other names of the same function.
    """

    name: str
    meaning: str
    accepts: tuple[Accepts, ...]
    least: int = 1
    most: int | None = 1
    returns: Returns
    aliases: tuple[str, ...] = ()


def _function(
    name: str,
    accepts: str,
    returns: Returns,
    meaning: str,
    *aliases: str,
    least: int | None = None,
    most: int | None = -1,
) -> Function:
    groups: tuple[Accepts, ...] = cast("tuple[Accepts, ...]", tuple(accepts.split()))
    return Function(
        name=name,
        meaning=meaning,
        accepts=groups,
        least=len(groups) if least is None else least,
        most=len(groups) if most == -1 else most,
        returns=returns,
        aliases=aliases,
    )


FUNCTIONS: tuple[Function, ...] = (
    # choosing
    _function("coalesce", "any", "common", "the first argument that is not NULL", "ifnull", "nvl", most=None),
    _function("nullif", "any any", "first", "NULL when both are equal, else the first"),
    _function("if", "boolean any any", "common", "second when true, third when false or NULL", "iff", least=2),
    _function("greatest", "any", "common", "the greatest argument; NULL is ignored, NaN is greatest", most=None),
    _function("least", "any", "common", "the least argument; NULL is ignored, NaN is greatest", most=None),
    # text
    _function("upper", "text", "text", "upper case by Unicode: 'ß' becomes 'SS'", "ucase"),
    _function("lower", "text", "text", "lower case by Unicode", "lcase"),
    _function("trim", "text text", "text", "without spaces (or the given characters) at both ends", "btrim", least=1),
    _function("ltrim", "text text", "text", "without spaces (or the given characters) at the start", least=1),
    _function("rtrim", "text text", "text", "without spaces (or the given characters) at the end", least=1),
    _function("length", "text", "integer", "number of characters", "len", "char_length", "character_length"),
    _function("substring", "text integer integer", "text", "part from a position, counted from 1", "substr", least=2),
    _function("left", "text integer", "text", "the first n characters; all but the last n when negative"),
    _function("right", "text integer", "text", "the last n characters; all but the first n when negative"),
    _function("concat", "stringable", "text", "joined text; NULL is skipped, whereas || gives NULL", most=None),
    _function("concat_ws", "text stringable", "text", "joined by a separator; NULL is skipped", most=None),
    _function("replace", "text text text", "text", "every occurrence replaced"),
    _function("split_part", "text text integer", "text", "the n-th part, from the end when negative; '' if none"),
    _function("lpad", "text integer text", "text", "filled at the start, or cut, to n characters", least=2),
    _function("rpad", "text integer text", "text", "filled at the end, or cut, to n characters", least=2),
    _function("reverse", "text", "text", "characters in reverse"),
    _function("starts_with", "text text", "boolean", "whether it starts with a prefix", "startswith", "prefix"),
    _function("ends_with", "text text", "boolean", "whether it ends with a suffix", "endswith", "suffix"),
    _function("contains", "text text", "boolean", "whether it holds a text"),
    _function("strpos", "text text", "integer", "position of a text, from 1; 0 when absent", "instr"),
    _function(
        "regexp_like",
        "text text text",
        "boolean",
        "whether a regular expression matches somewhere; flag 'i' ignores case",
        "rlike",
        "regexp_matches",
        least=2,
    ),
    _function(
        "regexp_replace",
        "text text text text",
        "text",
        "every match replaced: the flags must hold 'g'; \\1 is the first group",
        least=3,
    ),
    # numbers
    _function("abs", "number", "first", "absolute value"),
    _function("round", "number integer", "first", "rounded to n decimals, a half away from zero", least=1),
    _function("floor", "number", "first", "the greatest whole number not above it"),
    _function("ceil", "number", "first", "the least whole number not below it", "ceiling"),
    _function("trunc", "number", "first", "without its fraction"),
    _function("power", "number number", "float", "raised to a power, as a float", "pow"),
    _function("sqrt", "number", "float", "square root; NaN below zero"),
    _function("exp", "number", "float", "e to the power of it"),
    _function("ln", "number", "float", "natural logarithm; -inf at zero, NaN below"),
    _function("mod", "number number", "common", "remainder, with the sign of the first; NULL by zero"),
    _function("sign", "number", "integer", "-1, 0 or 1; 0 for NaN", "signum"),
    # dates and times
    _function("year", "temporal", "integer", "year"),
    _function("quarter", "temporal", "integer", "quarter, 1 to 4"),
    _function("month", "temporal", "integer", "month, 1 to 12"),
    _function("week", "temporal", "integer", "ISO week, 1 to 53", "weekofyear"),
    _function("day", "temporal", "integer", "day of the month", "dayofmonth"),
    _function("dayofyear", "temporal", "integer", "day of the year, from 1", "doy"),
    _function("isodow", "temporal", "integer", "ISO day of the week, 1 is Monday, 7 is Sunday"),
    _function("hour", "temporal", "integer", "hour, 0 to 23; 0 for a date"),
    _function("minute", "temporal", "integer", "minute, 0 to 59"),
    _function("second", "temporal", "integer", "whole second, 0 to 59"),
    _function("epoch", "temporal", "float", "seconds since 1970-01-01 UTC, with fraction"),
    _function("date_trunc", "unit temporal", "first", "start of the year ... second, always a timestamp"),
    _function("date", "any", "date", "the date: of a timestamp, or of ISO text", "to_date"),
    _function(
        "to_timestamp",
        "text text",
        "timestamp",
        "text as a timestamp: ISO, or by a format (%Y-%m-%d or yyyy-MM-dd)",
        "strptime",
        least=1,
    ),
    _function("strftime", "temporal text", "text", "as text by a format (%Y-%m-%d or yyyy-MM-dd)", "date_format"),
    _function("date_add", "temporal any", "date", "the date n days later; with an interval, a timestamp"),
    _function("date_sub", "temporal any", "date", "the date n days earlier; with an interval, a timestamp"),
    _function("dateadd", "unit integer temporal", "timestamp", "n units later, as a timestamp", "timestampadd"),
    _function(
        "datediff",
        "any any temporal",
        "integer",
        "(unit, start, end): boundaries of the unit that are crossed, no weeks; (end, start): days",
        "date_diff",
        least=2,
    ),
    _function("current_date", "", "date", "the date of the run, UTC", "curdate", "today"),
    _function("current_timestamp", "", "timestamp_utc", "the instant of the run, the same for every row", "now"),
)

BY_NAME: dict[str, Function] = {name: entry for entry in FUNCTIONS for name in (entry.name, *entry.aliases)}
"""Every accepted name, lower case."""

_WEEKDAY = "counts from Sunday = 0 in DuckDB, Sunday = 1 in Spark, Monday = 0 elsewhere: use isodow (1 is Monday)"
_BASE = "is off in the last digit in Polars, so that floor(log2(8)) may be 2: use ln"
_LOGARITHM = "is the natural logarithm in Spark and MySQL, and base 10 in DuckDB and PostgreSQL: use ln"
_HASH = "hashes differently between engines: declare hash_columns in the transform"
_RANDOM = "gives another value each time a load is repeated"

REFUSED: dict[str, str] = {
    "dayofweek": _WEEKDAY,
    "weekday": _WEEKDAY,
    "dow": _WEEKDAY,
    "log": _LOGARITHM,
    "log10": _BASE,
    "log2": _BASE,
    "initcap": 'splits words differently between engines ("it\'s" becomes "It\'S" in Polars): there is no equal of it',
    "unix_timestamp": "reads session settings: use epoch(x)",
    "from_unixtime": "reads the session's time zone: use timestamp '1970-01-01 00:00:00' + n * interval '1 second'",
    "isnull": "is a test in Spark and a replacement in T-SQL: use x is null, or coalesce",
    "translate": "is not in Polars SQL: use replace",
    "regexp_extract": "is not in Polars SQL: use split_part, substring or regexp_replace",
    "repeat": "is not in Polars SQL: use rpad",
    "last_day": "is not in Polars SQL: use date_sub(date(date_trunc('month', x) + interval '1 month'), 1)",
    "add_months": "differs at the end of a month between engines: use x + interval '1 month'",
    "months_between": "counts fractions in its own way: use datediff('month', a, b)",
    "convert": "has another order of arguments in each database: use cast(x as type)",
    "charindex": "takes its arguments in reverse: use strpos(text, part)",
    "locate": "takes its arguments in reverse: use strpos(text, part)",
    "md5": _HASH,
    "sha1": _HASH,
    "sha2": _HASH,
    "sha256": _HASH,
    "hash": _HASH,
    "xxhash64": _HASH,
    "random": _RANDOM,
    "rand": _RANDOM,
    "uuid": _RANDOM,
    "gen_random_uuid": _RANDOM,
    "getdate": "is a local time without a zone: use current_timestamp",
    "localtime": "is a local time without a zone: use current_timestamp",
    "localtimestamp": "is a local time without a zone: use current_timestamp",
    "octet_length": "counts bytes: use length",
    "make_date": "is not in Polars SQL: use date(concat_ws('-', y, lpad(m, 2, '0'), lpad(d, 2, '0')))",
}
"""Functions that people know and that are left out on purpose: name, and why with what to use instead."""

AGGREGATES = frozenset(
    [
        "sum",
        "count",
        "avg",
        "mean",
        "min",
        "max",
        "median",
        "stddev",
        "stddev_pop",
        "stddev_samp",
        "variance",
        "var_pop",
        "var_samp",
        "any_value",
        "first",
        "last",
        "first_value",
        "last_value",
        "string_agg",
        "group_concat",
        "listagg",
        "array_agg",
        "collect_list",
        "collect_set",
        "list",
        "bool_and",
        "bool_or",
        "approx_count_distinct",
        "count_if",
        "arg_max",
        "arg_min",
        "max_by",
        "min_by",
        "mode",
        "quantile",
        "percentile",
        "corr",
        "covar_pop",
    ]
)
"""Functions over many rows; an expression sees one."""

WINDOWS = frozenset(
    ["row_number", "rank", "dense_rank", "percent_rank", "cume_dist", "ntile", "lag", "lead", "nth_value"]
)
"""Functions over neighbouring rows; an expression sees one."""
