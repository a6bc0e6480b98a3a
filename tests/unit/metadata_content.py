"""Projects to keep in every way: one that has everything, and whatever hypothesis thinks of."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from hypothesis import strategies as st

from tidegate.metadata import open_metadata

RICH = """
variables: {base: landing, days: 2, code: "007", digits: "12345678901234567890", options: {delimiter: ";"}, none: null}
state: ${env:TIDEGATE_TEST_STATE:-state/x.db}
compat: datacoolie
connections:
  - name: landing
    connection_id: c-1
    format: csv
    configure: {base_path: "${var:base}", read_options: "${var:options}", use_schema_hint: true}
  - name: secret
    format: sql
    configure: {host: db, port: 5432, database: shop, database_type: postgresql, password: KEY}
    secrets_ref: {"env:": [password]}
    is_active: false
  - {name: "lake, \\"of\\" {all}", connection_id: c-2, format: delta, configure: {base_path: lake}}
dataflows:
  - name: orders
    description: "two\\nlines, ${env:TIDEGATE_TEST_NONE:-and a default}"
    stage: bronze
    group_number: ${var:days}
    execution_order: 1
    is_active: ${env:TIDEGATE_TEST_ACTIVE:-true}
    timeout: 90.5
    retry: {retry_count: 2, retryable_exceptions: "TimeoutError, OSError"}
    depends_on: [customers]
    tags: "a, b"
    source:
      connection: landing
      schema_name: sales
      table: orders
      watermark_columns: [updated_at, "a, comma"]
      filter_expression: '"amount" > 0 AND "flag"'
      watermark_lag: 2h
      cdc: {operation_column: op, delete_values: [D]}
      configure: {read_options: {delimiter: ","}}
    transform:
      filter_expression: '"flag"'
      additional_columns: [{column: total, expression: amount * 2}]
      schema_hints: [{column_name: amount, data_type: "decimal(18,2)", default_value: "2"}]
      rename_columns: {a: b}
      select_columns: "[odd], amount"
    destination:
      connection_name: 'lake, "of" {all}'
      table: orders
      load_type: merge_delete
      merge_keys: [id]
      partition_columns: [day, {column: month, expression: month(updated_at)}]
  - name: customers
    dataflow_id: d-2
    source: '{"connection_name": "landing", "table": "customers"}'
    destination: {connection_name: 'lake, "of" {all}', table: customers, load_type: full_load}
schema_hints:
  - connection_name: landing
    table_name: orders
    hints:
      - {column_name: a, data_type: int, default_value: 2, precision: 3}
      - {column_name: b, data_type: string, default_value: "", is_active: false}
      - {column_name: c, data_type: double, default_value: 0.30000000000000004, ordinal_position: 1}
      - {column_name: d, data_type: bigint, default_value: 12345678901234567}
      - {column_name: e, data_type: string, default_value: "12345678901234567"}
      - {column_name: f, data_type: string, default_value: "[1"}
      - {column_name: g, data_type: string, default_value: '{"a": 1}'}
      - {column_name: h, data_type: string, default_value: true}
  - {connection_name: landing, table_name: orders, hints: [{column_name: x, data_type: date, format: "%d.%m.%Y"}]}
  - {connection_id: c-1, schema_name: sales, table_name: customers, hints: []}
profiles:
  prod: {variables: {base: s3://bucket/landing}, dataflows: {orders: {stage: gold}}}
"""
"""No value of it is a default, and it has each way of writing that there is."""

_LETTERS = st.characters(codec="utf-8", exclude_categories=["Cs", "Cc"]) | st.sampled_from("\n\r\t\"'\\,[]{}: #=$%")
_TEXT = st.text(_LETTERS, max_size=12).map(lambda text: text.replace("${", "$$"))
_NUMBERLIKE = ["007", "1e3", "0o7", "12.50", "NaN", "-", "9" * 16]
_WORDS = st.sampled_from(
    [
        '""',
        '"a"',
        '"',
        "true",
        "null",
        "=1+1",
        "[a]",
        "{a}",
        " a ",
        "~",
        "_x0041_",
        "\ufeff",
        "\x01",
        "\\",
        *_NUMBERLIKE,
    ]
)
_ANY_TEXT = _TEXT | _WORDS
_NAME = st.text('abcxyz_-. ,["{é', min_size=1, max_size=6)
_SCALAR = st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False) | _ANY_TEXT
_JSON = st.recursive(_SCALAR, lambda inner: st.lists(inner, max_size=2) | st.dictionaries(_ANY_TEXT, inner, max_size=2))


@st.composite
def contents(draw: st.DrawFn) -> dict[str, Any]:
    """Projects whose metadata hold: odd texts and values wherever a field takes them."""
    names = draw(st.lists(_NAME, min_size=2, max_size=3, unique=True))
    connections = [
        {
            "name": name,
            "format": "delta" if index else "csv",
            "configure": {"base_path": f"/x/{index}", "scope": draw(_ANY_TEXT)},
        }
        for index, name in enumerate(names)
    ]
    dataflows = [
        {
            "name": name,
            "dataflow_id": f"d-{number}",
            "description": draw(_ANY_TEXT),
            "stage": draw(st.none() | _ANY_TEXT),
            "group_number": draw(st.none() | st.integers(-9, 9)),
            "timeout": draw(st.integers(1, 9) | st.sampled_from(["30m", "90", "1.50h"])),
            "source": {"connection_name": names[0], "table": f"t{number}", "watermark_columns": draw(_names())},
            "transform": {"drop_columns": draw(_names())},
            "destination": {"connection_name": names[1], "table": f"u{number}"},
        }
        for number, name in enumerate(draw(st.lists(_NAME, max_size=2, unique=True)))
    ]
    hints = [
        {
            "connection_name": draw(st.sampled_from(names)),
            "table_name": draw(st.sampled_from(["a", "b"])),
            "hints": [
                {"column_name": column, "data_type": "string", "default_value": draw(_SCALAR)}
                for column in draw(st.lists(_NAME, max_size=3, unique=True))
            ],
        }
        for _ in range(draw(st.integers(0, 3)))
    ]
    variables = draw(st.dictionaries(st.sampled_from("abc"), _JSON, max_size=3))
    return {"connections": connections, "dataflows": dataflows, "schema_hints": hints, "variables": variables}


def _names() -> st.SearchStrategy[Any]:
    return st.lists(_NAME.map(str.strip).filter(bool), max_size=3, unique=True)


def written(content: object, path: Path) -> Path:
    """Write a project as a file: text as YAML, data as JSON, which any text survives."""
    file = path.with_suffix(".yaml" if isinstance(content, str) else ".json")
    file.write_text(content if isinstance(content, str) else json.dumps(content))
    return file


def declared(place: str | Path) -> Any:
    """Return what is declared at a place as data, less the workspace, and paths relative to where they are from."""
    provider = open_metadata(place)
    data = json.loads(provider.load().model_dump_json().replace(f"{provider.root.absolute()}/", ""))
    for item in [*data["connections"], *data["dataflows"]]:
        item["workspace_id"] = None
    return data
