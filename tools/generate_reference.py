"""Write the reference pages of the documentation from the code, so that they cannot say something else.

``python tools/generate_reference.py`` writes them, ``--check`` fails when one is not as the code would have it. The
build of the documentation writes them too (:mod:`mkdocs_hook`).
"""

from __future__ import annotations

import io
import os
import re
import sys
from collections import defaultdict
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import redirect_stdout
from pathlib import Path
from typing import TYPE_CHECKING, Any, get_args
from unittest.mock import patch

if TYPE_CHECKING:
    from pydantic import BaseModel

REFERENCE = Path(__file__).parents[1] / "docs" / "reference"
_NOTE = "<!-- Written by tools/generate_reference.py from the code: change it there. -->\n\n"
_METADATA = """\
# Metadata fields

A metadata file is YAML or JSON. `tidegate schema -o tidegate.schema.json` writes its JSON Schema, with which editors
complete and check it. Unknown fields are errors. A list of names may also be written as one text, separated by commas.

Fields marked † can be declared, and this version does not run them: `tidegate check` says so
([TG113](error-codes.md#tg113)) when they hold anything but their default.

This version reads {sources}; it writes {destinations}; it runs the load types {load_types}. `full_load` is `overwrite`;
{keyed} need `delta`, `iceberg`, `sql` or `mongodb`.
[Choose a load type](../how-to/choose-a-load-type.md) says which does what.
"""
_OPTIONS = """\
# Options

Options stand in `configure.read_options`, `configure.write_options` and `configure.merge_options` of a connection, or
of a source or destination, which wins. An option that its format does not know is an error
([TG121](error-codes.md#tg121)).
"""
_OPTIONS_END = """\
`include_file_info` adds the columns `__file_name`, `__file_path` and `__file_modification_time`. `compare_columns` are
those that make two versions of a row different, for `scd2` and `snapshot`: all of the source when not given.
`target_file_size` is a rough size in memory, at which a new file is begun; files on disk are smaller.
"""
_VARIABLES = """\
| variable of the environment | what it does |
|---|---|
| `TIDEGATE_PROFILE` | the profile, when `--profile` is not given |
| `TIDEGATE_DEBUG` | shows the traceback of an error that ends a command |
| `NO_COLOR` | no colours |
| `COLUMNS` | the width of what is written, when it is not a terminal |
"""
_RECORD = """\
# The record of runs

With a log path (`tidegate run --log-path FOLDER`, `TIDEGATE_LOG_PATH`, `create_driver(base_log_path=...)`) each run is
kept below that folder:

| path | what it holds |
|---|---|
| `unit_runs/run_date=YYYY-MM-DD/<run id>.parquet` | a row for each unit of work |
| `runs/run_date=YYYY-MM-DD/<run id>.parquet` | a row for the run |
| `events/run_date=YYYY-MM-DD/<run id>.jsonl` | every event, a JSON object a line |

The date is that on which the run began, in UTC. [Look back](../how-to/look-back.md) shows how to read them.

While a run goes on, its units are lines of `unit_runs/run_date=.../.<run id>.jsonl`, which readers of `**/*.parquet` do
not see; each is written before the next unit is told. The Parquet files are made when the run ends. What a killed run
leaves becomes Parquet with the next run that has this log path.

Names and types are stable. New columns may be added; every column can be NULL.
"""
_PYTHON = """\
# Python API

These names are public: `from tidegate import create_driver`. Whatever else can be imported may change without notice.
"""
_ABOUT: Mapping[str, Mapping[str, str]] = {
    "Metadata": {
        "connections": "Where data is, and in which format.",
        "dataflows": "What is loaded, and where to.",
        "schema_hints": "Types of source tables, for all dataflows that read them.",
        "variables": "Values by name, for `${var:name}`.",
    },
    "Connection": {
        "connection_id": "Derived from the name when not given.",
        "connection_type": "Derived from `format` when not given.",
        "format": "`csv`, `json`, `jsonl`, `parquet`, `delta`, ...",
        "is_active": "A dataflow cannot use an inactive connection.",
    },
    "ConnectionSettings": {
        "read_options": "[Options](options.md) of the reader.",
        "write_options": "[Options](options.md) of the writer.",
        "merge_options": "[Options](options.md#merge-options) of merges.",
        "token": "For a REST catalog.",
        "client_id": "For a REST catalog, with `client_secret`.",
        "use_schema_hint": "Whether shared schema hints are used.",
        "use_hive_partitioning": "Whether folders `column=value` become columns.",
    },
    "DataFlow": {
        "dataflow_id": "Derived from the name when not given. Positions are kept by it.",
        "stage": "A name by which dataflows are chosen: `tidegate run --stage`.",
        "group_number": "Dataflows of one group run one after the other.",
        "execution_order": "The place within the group.",
        "is_active": "An inactive dataflow is not run.",
        "tags": "Kept, and not used by this version.",
        "engine": "`polars`.",
    },
    "Source": {
        "connection_name": "The connection that is read; also written `connection`.",
        "schema_name": "Folder between `base_path` and `table`.",
        "table": "File, folder or glob.",
        "watermark_columns": "Columns whose greatest value is the position. Without them each file is loaded once.",
    },
    "SourceSettings": {"read_options": "[Options](options.md) of the reader, over those of the connection."},
    "Transform": {
        "additional_columns": "Columns computed by SQL expressions.",
        "schema_hints": "Types of columns.",
        "select_columns": "The columns that are kept; excludes `drop_columns`.",
        "drop_columns": "The columns that are left out.",
        "rename_columns": "`{old: new}`",
    },
    "TransformSettings": {"timestamp_timezone": "The zone of times that have none."},
    "SchemaHint": {"ordinal_position": "Kept, and not used.", "is_active": "Whether the hint is used."},
    "Destination": {
        "connection_name": "The connection that is written; also written `connection`.",
        "schema_name": "Folder between `base_path` and `table`; in Iceberg the namespace.",
        "table": "The table, or folder of files.",
        "load_type": "How rows become a change of the table.",
        "merge_keys": "Columns that identify a row. Only `append`, `overwrite` and `full_load` do without.",
        "partition_columns": "Names, or `{column, expression}`.",
    },
    "DestinationSettings": {
        "write_options": "[Options](options.md) of the writer, over those of the connection.",
        "merge_options": "[Options](options.md#merge-options) of merges, over those of the connection.",
        "partition_columns": "As `destination.partition_columns`, which wins.",
    },
    "ChangeData": {"operation_column": "Says what happened; it is not written."},
    "RetrySettings": {"retry_count": "Retries of what may pass by itself."},
}
"""What the page says of fields of which their model says nothing; what a model says goes before."""
_ROLE = re.compile(r":\w+:`~?(?:[\w.]*\.)?(\w+)`")


def _table(headings: tuple[str, ...], rows: Sequence[tuple[str, ...]]) -> str:
    lines = [headings, tuple("---" for _ in headings), *rows]
    return "\n".join(f"| {' | '.join(cell.replace('|', '&#124;') for cell in line)} |" for line in lines) + "\n"


def _text(description: str) -> str:
    return " ".join(_ROLE.sub(r"`\1`", description).split())


# -- metadata fields ----------------------------------------------------------------------------------------------


def _sections() -> Iterator[tuple[str, str, type[BaseModel], frozenset[str]]]:
    """Yield heading, place in a file, model, and the fields that this version does not run."""
    from tidegate import models
    from tidegate.metadata import not_run
    from tidegate.models.connection import LookBack

    nothing: frozenset[str] = frozenset()
    yield "The whole", "the file", models.Metadata, not_run._SECTIONS  # noqa: SLF001 - the tables of what is not run
    yield "Connection", "`connections[]`", models.Connection, nothing
    yield "Connection settings", "`connections[].configure`", models.ConnectionSettings, nothing
    yield "Dataflow", "`dataflows[]`", models.DataFlow, not_run._DATAFLOW  # noqa: SLF001
    yield "Source", "`dataflows[].source`", models.Source, nothing
    yield "Source settings", "`dataflows[].source.configure`", models.SourceSettings, nothing
    yield "Change data", "`dataflows[].source.cdc`", models.ChangeData, nothing
    yield "Transform", "`dataflows[].transform`", models.Transform, nothing
    yield "Transform settings", "`dataflows[].transform.configure`", models.TransformSettings, nothing
    yield "Schema hint", "`transform.schema_hints[]`, `schema_hints[].hints[]`", models.SchemaHint, nothing
    yield "Shared schema hints", "`schema_hints[]`", models.SchemaHintSection, nothing
    yield "Additional column", "`transform.additional_columns[]`", models.AdditionalColumn, nothing
    yield "Destination", "`dataflows[].destination`", models.Destination, nothing
    yield "Destination settings", "`dataflows[].destination.configure`", models.DestinationSettings, nothing
    yield "Partition column", "`destination.partition_columns[]`", models.PartitionColumn, nothing
    yield "Retries", "`dataflows[].retry`", models.RetrySettings, nothing
    yield "Value rule", "`transform.value_rules[]`", models.ValueRule, nothing
    yield "Hash column", "`transform.hash_columns[]`", models.HashColumn, nothing
    yield "Masking rule", "`transform.masking_rules[]`", models.MaskingRule, nothing
    yield "Look-back", "`configure.backward`", LookBack, nothing
    quality = models.QualityRule
    yield "Quality rule", "`quality[]`, `dataflows[].quality[]`", quality, frozenset(quality.model_fields)


def metadata_page() -> str:
    """Every field that a metadata file may have."""
    from tidegate.metadata.not_run import DESTINATION_FORMATS, SOURCE_FORMATS
    from tidegate.models.destination import KEYED_LOAD_TYPES, LoadType

    load_types = get_args(LoadType)
    sections = list(_sections())
    anchors = {model.__name__: heading.lower().replace(" ", "-") for heading, _, model, _ in sections}
    parts = [
        _METADATA.format(
            sources=_listed(SOURCE_FORMATS),
            destinations=_listed(DESTINATION_FORMATS),
            load_types=_listed(load_types),
            keyed=_listed(tuple(name for name in load_types if name in KEYED_LOAD_TYPES)),
        )
    ]
    for heading, place, model, unrun in sections:
        about = _text((model.__doc__ or "").split("\n\n")[0])
        parts.append(f"## {heading}\n\n{place}: {about[0].lower() + about[1:]}\n\n{_fields(model, unrun, anchors)}")
    return "\n".join(parts)


def _fields(model: type[BaseModel], unrun: frozenset[str], anchors: Mapping[str, str]) -> str:
    schema = model.model_json_schema()
    required = schema.get("required", [])
    rows = []
    for name, field in schema["properties"].items():
        default = "**required**" if name in required else _default(field.get("default"))
        description = _text(field.get("description") or _ABOUT.get(model.__name__, {}).get(name, ""))
        if name == "configure" and f"{model.__name__}Settings" in anchors:
            kind, description = f"[object](#{anchors[f'{model.__name__}Settings']})", ""
        else:
            kind = _type(field, anchors)
        rows.append((f"`{name}`{' †' if name in unrun else ''}", kind, default, description))
    return _table(("field", "type", "default", ""), rows)


def _default(value: Any) -> str:
    if value is None or value in ("", [], {}):
        return ""
    return f"`{str(value).lower() if isinstance(value, bool) else value}`"


def _type(field: Mapping[str, Any], anchors: Mapping[str, str]) -> str:
    if "$ref" in field:
        name = field["$ref"].rpartition("/")[2]
        return f"[object](#{anchors[name]})" if name in anchors else "object"
    if "anyOf" in field:
        kinds = [_type(choice, anchors) for choice in field["anyOf"] if choice != {"type": "null"}]
        return " or ".join(dict.fromkeys(kinds))
    if "enum" in field:
        return ", ".join(f"`{value}`" for value in field["enum"])
    if field.get("type") == "array":
        item = _type(field["items"], anchors)
        return "names" if item == "text" else f"list of {item.replace('[object]', '[objects]')}"
    kind: str = field.get("type", "any")
    return {"string": "text", "integer": "whole number", "boolean": "true or false"}.get(kind, kind)


def _listed(names: tuple[str, ...]) -> str:
    return ", ".join(f"`{name}`" for name in names)


# -- codes, options, functions ------------------------------------------------------------------------------------

_GROUPS = {
    "TG0": "General",
    "TG1": "Metadata",
    "TG2": "Reading",
    "TG3": "Transforming",
    "TG4": "Writing",
    "TG5": "State",
    "TG6": "Configuration, secrets, plugins",
    "TG7": "Files and folders",
    "TG8": "Engine",
}


def error_page() -> str:
    """Every code of the catalogue."""
    from tidegate.catalogue import explanations

    parts = ["# Error codes\n\n`tidegate explain CODE` prints the same.\n"]
    group = None
    for entry in explanations().values():
        if _GROUPS[entry.code[:3]] != group:
            group = _GROUPS[entry.code[:3]]
            parts.append(f"## {group}\n")
        parts.append(
            f"### {entry.code} {entry.title} {{#{entry.code.lower()}}}\n\n**What.** {entry.what}\n\n"
            f"**Why.** {entry.why}\n\n```text\n{entry.example}\n```\n\n**What to do.** {entry.fix}\n"
        )
    return "\n".join(parts)


def options_page() -> str:
    """Every option of reading, writing and merging."""
    from tidegate.models.options import MERGE_OPTIONS, READ_OPTIONS, WRITE_OPTIONS

    parts = [_OPTIONS]
    merging = dict.fromkeys(("delta", "iceberg"), MERGE_OPTIONS)
    for heading, table in (("Read", READ_OPTIONS), ("Write", WRITE_OPTIONS), ("Merge", merging)):
        formats: dict[str, list[str]] = defaultdict(list)
        known = {}
        for format_name, by_spelling in table.items():
            for option in {option.name: option for option in by_spelling.values()}.values():
                formats[option.name].append(format_name)
                known[option.name] = option
        rows = [
            (f"`{name}`", _listed(option.spellings), option.wanted, ", ".join(formats[name]))
            for name, option in known.items()
        ]
        parts.append(f"## {heading} options\n\n{_table(('option', 'also written', 'value', 'formats'), rows)}")
    parts.append(_OPTIONS_END)
    return "\n".join(parts)


def functions_page() -> str:
    """Every function of an expression, and those that are left out on purpose."""
    from tidegate.expressions.functions import AGGREGATES, FUNCTIONS, REFUSED, WINDOWS

    rows = [
        (
            ", ".join(f"`{name}`" for name in (function.name, *function.aliases)),
            ", ".join(function.accepts) + (", ..." if function.most is None else ""),
            str(function.least) if function.least == function.most else f"{function.least} to {function.most or 'any'}",
            {"first": "as its first", "common": "as all of them"}.get(function.returns, function.returns),
            function.meaning,
        )
        for function in FUNCTIONS
    ]
    refused = [(f"`{name}`", why) for name, why in sorted(REFUSED.items())]
    return (
        "# SQL functions\n\nAn expression may use these functions. Each gives the same value on every engine. NULL in, "
        "NULL out, unless the text says otherwise.\n\n"
        + _table(("function", "arguments", "how many", "gives", ""), rows)
        + "\n## Left out on purpose\n\nEngines disagree about these.\n\n"
        + _table(("function", "why, and what to use"), refused)
        + "\n## One row at a time\n\nAn expression sees one row. There are no aggregates "
        + f"({_listed(tuple(sorted(AGGREGATES)))}) and no window functions ({_listed(tuple(sorted(WINDOWS)))}).\n"
    )


def record_page() -> str:
    """Every column of the record of runs."""
    from tidegate.reporting.record import TABLES

    parts = [_RECORD]
    for name, columns in TABLES.items():
        rows = [(f"`{column.name}`", column.type, column.about) for column in columns]
        parts.append(f"## {name}\n\n{_table(('column', 'type', ''), rows)}")
    return "\n".join(parts)


# -- command line and Python --------------------------------------------------------------------------------------


def cli_page() -> str:
    """The help of every command."""
    from tidegate.cli.commands import COMMANDS
    from tidegate.cli.state import _ACTIONS

    parts = [f"# Command line\n\n```text\n{_help('--help')}\n```\n\n{_VARIABLES}"]
    for name in COMMANDS:
        parts.append(f"## tidegate {name} {{#{name}}}\n\n```text\n{_help(name, '--help')}\n```\n")
        if name == "state":
            parts += [
                f"### tidegate state {action} {{#state-{action}}}\n\n```text\n{_help(name, action, '--help')}\n```\n"
                for action in _ACTIONS
            ]
    return "\n".join(parts)


def _help(*arguments: str) -> str:
    from tidegate.cli import main

    output = io.StringIO()
    with patch.dict(os.environ, {"COLUMNS": "100", "NO_COLOR": "1"}), redirect_stdout(output):
        main(arguments)
    return "\n".join(line.rstrip() for line in output.getvalue().strip().splitlines())


def python_page() -> str:
    """The public names, for mkdocstrings to describe."""
    import tidegate

    homes = tidegate._HOMES  # noqa: SLF001 - where the public names live
    order = ["create_driver", "Driver", "ExecutionResult", "check", "FileMetadata"]
    names = [*order, *sorted(set(homes) - set(order))]
    parts = [_PYTHON]
    parts += [f"::: {_defined_in(getattr(tidegate, name), homes[name])}.{name}\n" for name in names]
    return "\n".join(parts)


def _defined_in(thing: Any, home: str) -> str:
    return str(getattr(thing, "__module__", home))


PAGES: Mapping[str, Callable[[], str]] = {
    "metadata.md": metadata_page,
    "error-codes.md": error_page,
    "options.md": options_page,
    "functions.md": functions_page,
    "record.md": record_page,
    "cli.md": cli_page,
    "python-api.md": python_page,
}
"""Page to what writes it."""


def stale() -> dict[Path, str]:
    """Return the pages that are not as the code would have them, with the text that they should have."""
    wanted = {REFERENCE / name: _NOTE + page() for name, page in PAGES.items()}
    return {
        path: text for path, text in wanted.items() if not path.exists() or path.read_text(encoding="utf-8") != text
    }


def write() -> list[Path]:
    """Bring the pages up to date, and return those that were changed."""
    REFERENCE.mkdir(parents=True, exist_ok=True)
    changed = stale()
    for path, text in changed.items():
        path.write_text(text, encoding="utf-8")
    return list(changed)


def main(arguments: list[str]) -> int:
    """Write the pages, or check them."""
    if "--check" in arguments:
        behind = list(stale())
        for path in behind:
            print(f"{path} is behind the code: run `python tools/generate_reference.py`")
        return 1 if behind else 0
    for path in write():
        print(f"wrote {path}")
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
