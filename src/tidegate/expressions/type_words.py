"""The words for types in SQL dialects, Arrow and Polars, and what each of them means in which type system.

A *family* is a word's meaning without its parameters: ``varchar`` and ``text`` are both ``string``. Most words mean the
same everywhere; :data:`OVERRIDES` holds those that do not.
"""

from __future__ import annotations

SYSTEMS: dict[str, str] = {
    **dict.fromkeys(("spark", "databricks", "delta", "fabric", "hive"), "spark"),
    **dict.fromkeys(("postgres", "postgresql", "redshift"), "postgres"),
    **dict.fromkeys(("mysql", "mariadb"), "mysql"),
    **dict.fromkeys(("tsql", "mssql", "sqlserver"), "tsql"),
    **dict.fromkeys(("ansi", "sql", "trino", "presto", "sqlite"), "ansi"),
    **dict.fromkeys(("arrow", "pyarrow", "polars"), "arrow"),
    **{name: name for name in ("duckdb", "iceberg", "snowflake", "bigquery", "oracle")},
}
"""Accepted names of type systems, and the one whose rules apply."""

_FAMILIES = {
    "string": (
        "string|str|text|varchar|nvarchar|char|nchar|character|character varying|national character varying|bpchar|"
        "clob|nclob|ntext|tinytext|mediumtext|longtext|varchar2|nvarchar2|uuid|uniqueidentifier|json|jsonb|xml|"
        "utf8|large_utf8|large_string|string_view"
    ),
    "tinyint": "tinyint|byte|int1|i8|tinyint signed",
    "smallint": "smallint|short|int2|int16|i16|smallserial|smallint signed",
    "int": "int|integer|int4|int32|i32|mediumint|serial|int signed|integer signed",
    "bigint": "bigint|long|int64|i64|bigserial|bigint signed",
    "utinyint": "utinyint|uint8|u8|tinyint unsigned",
    "usmallint": "usmallint|uint16|u16|smallint unsigned",
    "uint": "uint|uinteger|uint32|u32|int unsigned|integer unsigned|mediumint unsigned",
    "ubigint": "ubigint|uint64|u64|bigint unsigned",
    "hugeint": "hugeint|int128|i128",
    "float": "float|real|float4|float32|f32",
    "double": "double|double precision|float8|float64|f64|double unsigned",
    "decimal": "decimal|numeric|dec|number|decimal128|bignumeric|bigdecimal|decimal unsigned",
    "money": "money",
    "smallmoney": "smallmoney",
    "boolean": "boolean|bool",
    "bit": "bit",
    "date": "date|date32",
    "timestamp": "timestamp_tz|timestamptz|timestamp_ltz|timestamp with time zone|timestamp with local time zone|"
    "datetimeoffset|timestamp",
    "timestamp_ntz": "timestamp_ntz|timestampntz|timestamp without time zone|datetime|datetime2|smalldatetime",
    "arrow_timestamp": "",
    "time": "time|time without time zone|time64",
    "binary": "binary|varbinary|blob|bytes|bytea|tinyblob|mediumblob|longblob|image|rowversion|raw|binary varying|"
    "large_binary|long raw",
    "array": "array|list|large_list",
    "struct": "struct|row",
    "map": "map",
}

WORDS: dict[str, str] = {word: family for family, words in _FAMILIES.items() for word in words.split("|") if word}
"""What a word means where its system says nothing else."""

OVERRIDES: dict[str, dict[str, str]] = {
    "postgres": {"timestamp": "timestamp_ntz", "float": "double", "int8": "bigint"},
    "mysql": {"real": "double"},
    "tsql": {"timestamp": "binary", "tinyint": "smallint", "float": "double"},
    "ansi": {"timestamp": "timestamp_ntz", "float": "double"},
    "arrow": {"timestamp": "arrow_timestamp", "datetime": "arrow_timestamp", "int8": "tinyint"},
    "duckdb": {"timestamp": "timestamp_ntz", "int8": "bigint"},
    "iceberg": {"timestamp": "timestamp_ntz"},
    "snowflake": {
        "timestamp": "timestamp_ntz",
        "float": "double",
        "real": "double",
        **dict.fromkeys(("tinyint", "byteint", "smallint", "int", "integer"), "bigint"),
    },
    "bigquery": {"int": "bigint", "integer": "bigint", "smallint": "bigint", "tinyint": "bigint"},
    "oracle": {
        "timestamp": "timestamp_ntz",
        "date": "timestamp_ntz",
        "float": "double",
        "integer": "decimal",
    },
}
"""Words that mean something else in a type system."""

DECIMAL_DEFAULTS: dict[str, tuple[int, int]] = {
    "spark": (10, 0),
    "mysql": (10, 0),
    "tsql": (18, 0),
    "duckdb": (18, 3),
    "snowflake": (38, 0),
    "bigquery": (38, 9),
}
"""Precision and scale of a bare ``decimal``."""

DECIMAL_DEFAULT = (38, 18)
"""That of systems whose bare ``decimal`` has no limit, and of no system at all: it keeps every usual fraction."""

AMBIGUOUS: dict[str, str] = {
    "int8": "it is 8 bits in Arrow and Polars, and 8 bytes in PostgreSQL and DuckDB: write tinyint or bigint",
    "time with time zone": "no destination keeps a zone with a time: use time, or timestamp",
    "timetz": "no destination keeps a zone with a time: use time, or timestamp",
    "interval": "no destination keeps intervals: use bigint and say the unit in the column's name",
    "duration": "no destination keeps durations: use bigint and say the unit in the column's name",
    "variant": "it has no columns' type: use string",
    "object": "it has no columns' type: use string",
}
"""Words that are known and refused: why, and what to write."""
