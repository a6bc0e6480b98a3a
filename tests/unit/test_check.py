"""Checking metadata: everything that is wrong, in one run, where it is, in plain words."""

import copy
import json
import os
from pathlib import Path
from typing import Any

import pytest
import yaml
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from tidegate import demo
from tidegate.metadata import Finding, check

CONNECTIONS = """
connections:
  - {name: landing, format: csv, configure: {base_path: landing}}
  - {name: lake, format: delta, configure: {base_path: lake}}
"""
LOAD_TYPES = "append, overwrite, full_load, merge_upsert, merge_overwrite, scd2, merge_delete, snapshot"
DEMO = Path(demo.__path__[0]) / "tidegate.yaml"


@pytest.fixture(autouse=True)
def _in_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)


def found(text: str, **options: Any) -> list[Finding]:
    """Check a project of one file."""
    Path("tidegate.yaml").write_text(text, encoding="utf-8")
    return check(".", **options)


def rendered(text: str, **options: Any) -> str:
    """Return what a person reads."""
    return "\n".join(finding.render() for finding in found(text, **options))


def with_parts(source: str = "", destination: str = "", transform: str = "", flow: str = "", **more: str) -> str:
    """Return a project with one dataflow, and something in its parts; each part begins a line of its own."""
    return (
        more.get("connections", CONNECTIONS)
        + "dataflows:\n- name: a\n"
        + (f"  {flow}\n" if flow else "")
        + f"  source: {{connection_name: landing, table: t{', ' * bool(source)}{source}}}\n"
        + f"  transform: {{{transform}}}\n"
        + f"  destination: {{connection_name: {more.get('to', 'lake')}, table: u"
        + f"{', ' * bool(destination)}{destination}}}\n"
        + more.get("sections", "")
    )


def one(text: str, **options: Any) -> tuple[str, str, str | None]:
    """Return code, message and hint of the only finding."""
    findings = found(text, **options)
    assert len(findings) == 1, [finding.render() for finding in findings]
    return findings[0].code, findings[0].message, findings[0].hint


class TestGolden:
    """What a user reads."""

    def test_three_typos_at_once(self) -> None:
        """All three in one run, each once, with place and suggestion; nothing that follows from them (defect 22)."""
        text = """\
connections:
  - {name: landing, format: csv, configure: {base_path: landing}}
  - {name: lake, format: delta, configure: {base_path: lake}}
dataflows:
  - name: orders
    source:
      connection_name: landing
      table: orders
      watermark_colums: [updated_at]
    destination:
      connection_name: lake
      tabel: orders
      load_typ: merge_upsert
      merge_keys: [id]
"""
        assert (
            rendered(text)
            == """\
tidegate.yaml:9:7: TG101 dataflow 'orders': unknown field source.watermark_colums
  hint: did you mean 'watermark_columns'?
tidegate.yaml:12:7: TG101 dataflow 'orders': unknown field destination.tabel
  hint: did you mean 'table'?
tidegate.yaml:13:7: TG101 dataflow 'orders': unknown field destination.load_typ
  hint: did you mean 'load_type'?"""
        )

    def test_three_typos_at_once_in_json(self) -> None:
        """The same in JSON, with tabs."""
        document = {
            "$schema": "x",
            "connections": [{"name": "lake", "format": "delta", "configure": {"base_pth": "lake"}}],
            "dataflows": [
                {
                    "name": "orders",
                    "stge": "bronze",
                    "source": '{"connection_name": "lak"}',
                    "destination": {"connection_name": "lake", "table": "orders"},
                }
            ],
        }
        Path("tidegate.json").write_text(json.dumps(document, indent="\t"))
        assert (
            "\n".join(finding.render() for finding in check("tidegate.json"))
            == """\
tidegate.json:8:5: TG101 connection 'lake': unknown field configure.base_pth
  hint: did you mean 'base_path'?
tidegate.json:15:4: TG101 dataflow 'orders': unknown field stge
  hint: did you mean 'stage'?
tidegate.json:16:14: TG104 dataflow 'orders': source: unknown connection 'lak'
  hint: did you mean 'lake'?"""
        )

    def test_findings_of_all_files_come_in_their_order(self) -> None:
        """One run, several files, one of them unreadable."""
        Path("connections").mkdir()
        Path("dataflows").mkdir()
        Path("connections/lake.yaml").write_text("name: lake\nformat: delt\n")
        Path("dataflows/a.yaml").write_text("name: a\nsource: {connection: nowhere, table: t}\ndestination: 3\n")
        assert [f"{finding.where} {finding.code}" for finding in check(".")] == [
            "connections/lake.yaml:2:9 TG102",
            "dataflows/a.yaml:2:22 TG104",
            "dataflows/a.yaml:3:14 TG102",
        ]
        Path("dataflows/b.yaml").write_text("name: [")  # which might declare what is missed
        assert [finding.code for finding in check(".")] == ["TG102", "TG102", "TG100"]

    def test_the_demo_has_nothing_wrong(self) -> None:
        """The first metadata that a user sees."""
        assert check(DEMO) == []


class TestFields:
    """Unknown, missing and unfit fields."""

    @pytest.mark.parametrize(
        ("text", "message", "hint"),
        [
            (
                with_parts(transform="filter_expresion: a"),
                "transform.filter_expresion",
                "did you mean 'filter_expression'?",
            ),
            (
                with_parts(transform="schema_hints: [{column_name: a, data_type: int, activ: 1}]"),
                "transform.schema_hints[0].activ",
                None,
            ),
            (
                with_parts(source="configure: {read_option: {}}"),
                "source.configure.read_option",
                "did you mean 'read_options'?",
            ),
            (with_parts(flow="watermark_columns: [a]"), "watermark_columns", "watermark_columns belongs to source"),
            (with_parts(source="load_type: append"), "source.load_type", "load_type belongs to destination"),
            (with_parts(flow="retry: {retry_counts: 1}"), "retry.retry_counts", "did you mean 'retry_count'?"),
        ],
    )
    def test_unknown_fields_are_refused_at_any_depth(self, text: str, message: str, hint: str | None) -> None:
        """With the field that is meant, or the part that the field belongs to."""
        code, said, advice = one(text)
        assert (code, said) == ("TG101", f"dataflow 'a': unknown field {message}")
        assert hint is None or advice == hint

    def test_metadata_of_datacoolie_may_have_more_fields(self) -> None:
        """Then they are warnings, and left out; what is wrong stays wrong."""
        text = with_parts(
            source="extra: 1, configure: {read_options: {inferSchema: 'true', sep: ;}}", destination="load_type: x"
        )
        findings = found(text + "more: 1\ncompat: datacoolie\n")
        assert [(finding.code, finding.severity) for finding in findings] == [
            ("TG101", "warning"),
            ("TG121", "warning"),
            ("TG102", "error"),
            ("TG101", "warning"),
        ]
        assert (
            findings[0]
            .render()
            .startswith("tidegate.yaml:7:48: TG101 warning: dataflow 'a': unknown field source.extra")
        )

    def test_what_is_left_out_is_really_left_out(self) -> None:
        """Readers never see an option that they do not know."""
        from tidegate.metadata import FileMetadata

        found(with_parts(source="configure: {read_options: {inferSchema: 'true', sep: ;}}") + "compat: datacoolie\n")
        (dataflow,) = FileMetadata(".").load().dataflows
        assert dataflow.source.read_options == {"sep": ";"}

    @pytest.mark.parametrize(
        ("text", "message", "hint"),
        [
            (with_parts(flow="group_number: 1.5"), "group_number must be a whole number, not 1.5", None),
            (with_parts(flow="is_active: maybe"), "is_active must be true or false, not 'maybe'", None),
            (with_parts(flow="stage: 2024"), "stage must be text, not 2024", 'put it in quotes: "2024"'),
            (with_parts(flow="timeout: [1]"), "timeout must be text or a number, not a list", None),
            (with_parts(flow="retry: {retry_count: -1}"), "retry.retry_count must be at least 0, not -1", None),
            (with_parts(flow="retry: often"), "retry must be an object: fields and values, not 'often'", None),
            (
                with_parts(transform="rename_columns: [a]"),
                "transform.rename_columns must be an object: names and values, not a list",
                None,
            ),
            (with_parts(transform="schema_hints: a"), "transform.schema_hints must be a list, not 'a'", None),
            (
                with_parts(destination="load_type: mege_upsert"),
                f"destination.load_type must be one of {LOAD_TYPES}, not 'mege_upsert'",
                "did you mean 'merge_upsert'?",
            ),
            (
                with_parts(source="configure: '{x'"),
                "source.configure must be an object, or the JSON text of one, not the value given",
                "not an object, and not JSON text: Expecting property name enclosed in double quotes at character 1",
            ),
            (with_parts(destination="merge_keys: [a, b, a]"), "destination.merge_keys names 'a' twice", None),
            (with_parts(source="watermark_columns: 'a,a'"), "source.watermark_columns names 'a' twice", None),
            (
                with_parts(destination="partition_columns: [a, {column: a}]"),
                "destination.partition_columns names 'a' twice",
                None,
            ),
            (
                with_parts(
                    transform="schema_hints: [{column_name: a, data_type: int}, {column_name: a, data_type: int}]"
                ),
                "transform.schema_hints names 'a' twice",
                None,
            ),
        ],
    )
    def test_unfit_values_are_said_in_plain_words(self, text: str, message: str, hint: str | None) -> None:
        """What is wanted, what was found; never a word of pydantic's."""
        assert one(text) == ("TG102", f"dataflow 'a': {message}", hint)

    def test_credentials_are_never_shown(self) -> None:
        """Not even when they are what is wrong."""
        text = "connections: [{name: a, format: sql, configure: {password: 12345678, host: 12}}]"
        assert rendered(text) == (
            "tidegate.yaml:1:60: TG102 connection 'a': configure.password must be text, not the value given\n"
            "tidegate.yaml:1:76: TG102 connection 'a': configure.host must be text, not 12\n"
            '  hint: put it in quotes: "12"'
        )

    def test_missing_fields_are_named(self) -> None:
        """Also those that only some formats need."""
        text = (
            CONNECTIONS
            + "  - {name: x}\n"
            + (
                "dataflows:\n"
                "  - {name: a, source: {connection: landing}, destination: {connection: lake}}\n"
                "  - {source: {table: t}, destination: {connection: lake, table: t}}\n"
                "schema_hints: [{table_name: t, hints: [{column_name: a}]}]\n"
            )
        )
        assert [(finding.where.line, finding.code, finding.message) for finding in found(text)] == [
            (5, "TG103", "connection 'x': format is missing"),
            (7, "TG103", "dataflow 'a': source.table is missing"),
            (7, "TG103", "dataflow 'a': destination.table is missing"),
            (8, "TG103", "dataflow no. 2: name is missing"),
            (8, "TG103", "dataflow no. 2: source.connection_name is missing"),
            (9, "TG103", "schema hints of 't': connection_name (or connection_id) is missing"),
            (9, "TG103", "schema hints of 't': hints[0].data_type is missing"),
        ]

    def test_positions_are_those_of_the_file(self) -> None:
        """Also when items before were refused."""
        text = with_parts(transform="additional_columns: [{column: a}, {column: b, expression: '1 +'}]")
        assert [finding.message.split(":")[1] for finding in found(text)] == [
            " transform.additional_columns[0].expression is missing",
            " transform.additional_columns[1].expression",
        ]


class TestReferences:
    """Names that lead somewhere."""

    def test_names_and_ids_are_given_once(self) -> None:
        """The hint says where the first one is."""
        text = """\
connections:
  - {name: lake, connection_id: x, format: delta, configure: {base_path: lake}}
  - {name: lake, format: delta, configure: {base_path: lake}}
  - {name: other, connection_id: x, format: delta, configure: {base_path: lake}}
dataflows:
  - {name: a, source: {connection: lake, table: t}, destination: {connection: lake, table: t}, is_active: false}
  - {name: a, source: {connection: lake, table: t}, destination: {connection: lake, table: t}, is_active: false}
"""
        assert (
            rendered(text)
            == """\
tidegate.yaml:3:12: TG105 two connections have the name 'lake'
  hint: the first is at tidegate.yaml:2:12
tidegate.yaml:4:34: TG105 two connections have the connection_id 'x'
  hint: the first is at tidegate.yaml:2:33
tidegate.yaml:7:12: TG105 two dataflows have the name 'a'
  hint: the first is at tidegate.yaml:6:12"""
        )

    def test_a_broken_connection_is_not_an_unknown_one(self) -> None:
        """One mistake, one finding."""
        text = "connections:\n- {name: lake, format: delta, configure: {base_path: x}, secrets_ref: 3}\n"
        text += "- {name: b, connection_type: 3}\n"
        text += "dataflows: [{name: a, source: {connection: b, table: t}, destination: {connection: lake, table: t}}]"
        assert [finding.code for finding in found(text)] == ["TG102", "TG102"]

    def test_connection_is_connection_name(self) -> None:
        """But not both, and not a connection written in place."""
        assert one(with_parts(source="connection: landing"))[0] == "TG116"
        text = with_parts().replace("connection_name: landing", "connection: {name: x, format: csv}")
        assert one(text)[:2] == ("TG102", "dataflow 'a': source.connection_name must be text, not an object")

    def test_schema_hints_name_a_connection_that_is_there(self) -> None:
        """By name or by id."""
        sections = "schema_hints: [{connection_name: landin, table_name: t}, {connection_id: x, table_name: t}]\n"
        messages = [finding.message for finding in found(with_parts(sections=sections))]
        assert messages == [
            "schema hints of 't': unknown connection 'landin'",
            "schema hints of 't': unknown connection_id 'x'",
        ]

    def test_an_inactive_connection_is_not_used(self) -> None:
        """By an active dataflow."""
        connections = CONNECTIONS.replace("base_path: landing}", "base_path: landing}, is_active: false")
        assert one(with_parts(connections=connections))[:2] == (
            "TG117",
            "dataflow 'a': source: connection 'landing' is inactive",
        )
        assert found(with_parts(connections=connections, flow="is_active: false")) == []

    def test_two_dataflows_into_one_destination_are_noted(self) -> None:
        """It is not an error; inactive ones do not count."""
        text = with_parts() + with_parts().split("dataflows:\n")[1].replace("name: a", "name: b").replace(
            "table: u", "table: U"
        )
        (finding,) = found(text)
        assert (finding.code, finding.severity, finding.where.line) == ("TG112", "note", 13)
        assert finding.message == "dataflow 'b': writes into the destination of dataflow 'a' too"
        assert found(text.replace("- name: b", "- name: b\n  is_active: false")) == []


class TestLoads:
    """What goes together."""

    @pytest.mark.parametrize("load_type", ["merge_upsert", "merge_overwrite", "scd2", "merge_delete", "snapshot"])
    def test_keyed_loads_need_keys(self, load_type: str) -> None:
        """Every load type that finds rows by key; found before anything is read (defect 23)."""
        without = {finding.code for finding in found(with_parts(destination=f"load_type: {load_type}"))}
        with_keys = {
            finding.code for finding in found(with_parts(destination=f"load_type: {load_type}, merge_keys: a"))
        }
        assert without - with_keys == {"TG106"}

    @pytest.mark.parametrize(
        ("source", "destination", "message"),
        [
            ("cdc: {operation_column: op}", "load_type: merge_upsert, merge_keys: a", "source.cdc does not go with"),
            ("", "load_type: merge_delete, merge_keys: a", "load_type merge_delete needs source.cdc"),
            ("", "load_type: append, configure: {delete_mode: soft}", "delete_mode soft does not go with"),
            ("", "load_type: scd2, merge_keys: a, configure: {delete_mode: soft}", "delete_mode soft does not go with"),
            ("", "configure: {scd2_effective_column: a}", "scd2_effective_column does not go with"),
            ("", "configure: {merge_options: {compare_columns: [a]}}", "compare_columns does not go with"),
            ("", "configure: {replace_by_watermark: true}", "replace_by_watermark needs one watermark column"),
            (
                "watermark_columns: a",
                "load_type: overwrite, configure: {replace_by_watermark: true}",
                "replace_by_watermark does not go with load_type overwrite",
            ),
            (
                "",
                "load_type: overwrite, configure: {write_options: {partitionOverwriteMode: dynamic}}",
                "partition_overwrite_mode dynamic needs partition_columns",
            ),
        ],
    )
    def test_a_setting_without_effect_is_refused(self, source: str, destination: str, message: str) -> None:
        """A promise that would not be kept."""
        codes = {finding.code: finding.message for finding in found(with_parts(source=source, destination=destination))}
        assert message in codes["TG122"]

    def test_a_window_needs_no_keys(self) -> None:
        """`merge_overwrite` by watermark replaces a window, not keys."""
        destination = "load_type: merge_overwrite, configure: {replace_by_watermark: true}"
        assert found(with_parts(source="watermark_columns: a", destination=destination)) == []

    @pytest.mark.parametrize("format_name", ["csv", "json", "jsonl", "parquet", "avro", "excel"])
    def test_plain_files_are_not_merged_into(self, format_name: str) -> None:
        """There is no atomic commit that replaces some of their rows."""
        connections = CONNECTIONS + f"  - {{name: out, format: {format_name}, configure: {{base_path: out}}}}\n"
        text = with_parts(connections=connections, to="out", destination="load_type: merge_upsert, merge_keys: [id]")
        assert "TG107" in [finding.code for finding in found(text)]

    @pytest.mark.parametrize("format_name", ["api", "function", "excel", "avro"])
    def test_some_formats_are_never_written(self, format_name: str) -> None:
        """Which is said once, and not also as something that is yet to come."""
        connections = CONNECTIONS + f"  - {{name: out, format: {format_name}, configure: {{base_path: out}}}}\n"
        code, message, _ = one(with_parts(connections=connections, to="out"))
        assert (code, message) == (
            "TG107",
            f"dataflow 'a': a connection of format {format_name} cannot be a destination",
        )

    @pytest.mark.parametrize(
        ("text", "message"),
        [
            (with_parts(source="query: select 1"), "source: table and query exclude each other"),
            (
                with_parts(transform="select_columns: a, drop_columns: b"),
                "transform: select_columns and drop_columns exclude each other",
            ),
            (
                with_parts(destination="partition_columns: [a], configure: {partition_columns: [b]}"),
                "destination: partition_columns and configure.partition_columns exclude each other",
            ),
            (
                with_parts(source="configure: {backward_days: 1, backward: {days: 1}}"),
                "source.configure: backward and backward_days exclude each other",
            ),
            (
                with_parts(source="configure: {read_options: {sep: ',', delimiter: ;}}"),
                "source.configure.read_options: sep and delimiter are the same option",
            ),
        ],
    )
    def test_options_that_exclude_each_other(self, text: str, message: str) -> None:
        """Which of them counts is not guessed."""
        assert ("TG116", f"dataflow 'a': {message}") in [(finding.code, finding.message) for finding in found(text)]

    def test_a_base_path_is_needed(self) -> None:
        """By files and tables, not by databases; nobody asks it of an inactive connection."""
        text = (
            "connections: [{name: a, format: csv}, {name: b, format: sql}, {name: c, format: delta, is_active: false}]"
        )
        assert one(text)[:2] == ("TG119", "connection 'a': a connection of format csv needs configure.base_path")

    @pytest.mark.parametrize("lag", ["2h", "30 min", "90s", "3d", "1w", "5", "0.5", "'7'"])
    def test_a_lag_is_a_duration_or_a_number(self, lag: str) -> None:
        """In the units of the watermark column."""
        assert found(with_parts(source=f"watermark_columns: [x], watermark_lag: {lag}")) == []

    @pytest.mark.parametrize("lag", ["2 fortnights", "-1", "'-2'", ".inf", "h", "'1h 30m'"])
    def test_other_lags_are_refused(self, lag: str) -> None:
        """Before anything is read."""
        assert one(with_parts(source=f"watermark_columns: [x], watermark_lag: {lag}"))[0] == "TG120"

    def test_a_lag_needs_watermark_columns(self) -> None:
        """Without them it would do nothing."""
        assert one(with_parts(source="watermark_lag: 2h"))[0] == "TG120"


class TestExpressions:
    """SQL in metadata."""

    def test_errors_are_placed_within_the_expression(self) -> None:
        """Line and column of the file, quoted or not."""
        text = with_parts(transform="filter_expression: 'a > uper(b)'")
        (finding,) = found(text)
        line = text.splitlines()[finding.where.line - 1]
        assert finding.code == "TG109"
        assert line[finding.where.column - 1 :].startswith("uper(b)")

    @pytest.mark.parametrize(
        "text",
        [
            with_parts(source="filter_expression: 'a >'"),
            with_parts(transform="filter_expression: 'a >'"),
            with_parts(transform="additional_columns: [{column: a, expression: 'a >'}]"),
            with_parts(destination="partition_columns: [{column: a, expression: 'a >'}]"),
            with_parts(destination="configure: {partition_columns: [{column: a, expression: 'a >'}]}"),
        ],
    )
    def test_all_expressions_are_parsed(self, text: str) -> None:
        """Wherever one can stand."""
        assert one(text)[0] == "TG108"

    def test_types_are_known(self) -> None:
        """In a dataflow's own hints and in shared ones."""
        text = with_parts(
            transform="schema_hints: [{column_name: a, data_type: strng}]",
            sections="schema_hints:\n"
            "- {connection_name: landing, table_name: t, hints: [{column_name: a, data_type: nope}]}\n",
        )
        assert [finding.code for finding in found(text)] == ["TG305", "TG305"]


class TestOptions:
    """Read and write options."""

    @pytest.mark.parametrize(
        ("text", "message", "hint"),
        [
            (
                with_parts(source="configure: {read_options: {delimeter: ;}}"),
                "dataflow 'a': unknown option source.configure.read_options.delimeter",
                "did you mean 'delimiter'?",
            ),
            (
                with_parts(destination="configure: {write_options: {codec: zstd}}"),
                "dataflow 'a': unknown option destination.configure.write_options.codec",
                (
                    "options of delta: compression, max_rows_per_file, target_file_size, partition_overwrite_mode, "
                    "partitionOverwriteMode"
                ),
            ),
            (
                with_parts(
                    connections=CONNECTIONS.replace("base_path: landing", "base_path: landing, read_options: {x: 1}")
                ),
                "connection 'landing': unknown option configure.read_options.x",
                None,
            ),
        ],
    )
    def test_a_format_knows_its_options(self, text: str, message: str, hint: str | None) -> None:
        """Those of the connection, and those of its source or destination."""
        code, said, advice = one(text)
        assert (code, said) == ("TG121", message)
        assert hint is None or advice == hint

    def test_values_are_checked_before_a_file_is_opened(self) -> None:
        """In the words of the option."""
        text = with_parts(source="configure: {read_options: {sep: ';;', header: 'true', infer_schema_length: null}}")
        assert one(text)[:2] == ("TG102", "dataflow 'a': source.configure.read_options.sep must be one character")


TWO = """
dataflows:
- name: orders
  source: {connection_name: landing, table: t}
  destination: {connection_name: lake, table: a}
- name: totals
  depends_on: [ORDERS]
  source: {connection_name: landing, table: t}
  destination: {connection_name: lake, table: b}
"""


class TestDependencies:
    """Which dataflow runs before which, as far as declarations alone tell."""

    def test_an_unknown_dataflow_is_refused_where_it_is_named(self) -> None:
        """With the closest name."""
        (finding,) = found(CONNECTIONS + TWO.replace("ORDERS", "ordrs"))
        assert (finding.code, finding.hint) == ("TG130", "did you mean 'orders'?")
        assert finding.message == "dataflow 'totals': depends_on: unknown dataflow 'ordrs'"
        assert finding.where.line == CONNECTIONS.count("\n") + 7

    def test_names_and_ids_are_known(self) -> None:
        """Also those of inactive dataflows."""
        assert found(CONNECTIONS + TWO.replace("ORDERS", "orders")) == []
        assert (
            found(
                CONNECTIONS + TWO.replace("ORDERS", "o-1").replace("name: orders", "name: orders\n  dataflow_id: o-1")
            )
            == []
        )

    def test_a_cycle_is_shown(self) -> None:
        """Before any I/O, with each step and its reason."""
        text = CONNECTIONS + TWO.replace("ORDERS", "orders").replace(
            "name: orders", "name: orders\n  depends_on: totals"
        )
        (finding,) = found(text)
        assert finding.code == "TG131"
        assert "dataflows wait for each other: " in finding.message
        assert "orders (declared)" in finding.message
        assert "totals (declared)" in finding.message

    @pytest.mark.parametrize("itself", ["totals", "t-1"])
    def test_a_dataflow_does_not_wait_for_itself(self, itself: str) -> None:
        """By its name or its id; said where it is declared."""
        text = TWO.replace("ORDERS", itself).replace("name: totals", "name: totals\n  dataflow_id: t-1")
        (finding,) = found(CONNECTIONS + text)
        assert finding.code == "TG131"
        assert finding.message == "dataflow 'totals': a dataflow waits for itself: totals → totals (declared)"
        assert finding.where.line == (CONNECTIONS + text).partition("depends_on")[0].count("\n") + 1

    def test_an_inactive_dataflow_is_not_waited_for(self) -> None:
        """A note: it is allowed, and perhaps not meant."""
        text = TWO.replace("ORDERS", "orders").replace("name: orders", "name: orders\n  is_active: false")
        (finding,) = found(CONNECTIONS + text)
        assert (finding.code, finding.severity) == ("TG117", "note")
        assert finding.message == "dataflow 'totals': depends_on: dataflow 'orders' is inactive, and not waited for"
        assert found(CONNECTIONS + text.replace("name: totals", "name: totals\n  is_active: false")) == []

    @pytest.mark.parametrize("timeout", ["soon", "0", "-5", "10 parsecs"])
    def test_a_timeout_is_a_time(self, timeout: str) -> None:
        """Something that a load can take."""
        code, message, hint = one(with_parts(flow=f"timeout: {timeout}"))
        assert code == "TG132"
        assert message.endswith("which is no time that a load can take")
        assert hint == "write seconds, or a number and a unit: 90s, 30min, 2h"

    @pytest.mark.parametrize("timeout", ["90", "0.5", "90s", "30min", "2h"])
    def test_seconds_and_durations_are(self, timeout: str) -> None:
        """In both forms."""
        assert found(with_parts(flow=f"timeout: {timeout}")) == []


class TestNotRun:
    """What can be declared, and is not run yet."""

    @pytest.mark.parametrize(
        ("text", "what"),
        [
            (with_parts(source="configure: {endpoint: /x}"), "source.configure.endpoint"),
            (with_parts(flow="processing_mode: streaming"), "processing_mode streaming"),
            (with_parts(flow="engine: spark"), "engine spark"),
            (with_parts(flow="quality: [{name: q, not_null: a}]"), "quality"),
        ],
    )
    def test_it_is_refused_in_an_active_dataflow(self, text: str, what: str) -> None:
        """And let be in an inactive one."""
        message = f"dataflow 'a': {what}: declared, but this version of Tidegate does not run it"
        assert one(text)[:2] == ("TG113", message)
        assert found(text.replace("- name: a", "- name: a\n  is_active: false")) == []

    @pytest.mark.parametrize(
        "text",
        [
            with_parts(flow="quality: []"),
            with_parts(flow="engine: polars"),
            with_parts(destination="configure: {replace_by_watermark: false, delete_mode: hard}"),
            with_parts(source="configure: {backward_days: 0}"),
        ],
    )
    def test_defaults_may_be_written_out(self, text: str) -> None:
        """They change nothing."""
        assert found(text) == []

    @pytest.mark.parametrize(
        ("text", "what"),
        [
            ("triggers: [{cron: '* * * * *'}]", "triggers"),
            ("quality: [{name: q}]", "quality"),
            ("connections: [{name: a, format: delta, catalog: c}]", "connection 'a': catalog"),
            (
                "connections: [{name: a, format: delta, configure: {base_path: x, date_folder_partitions: '{year}'}}]",
                "connection 'a': configure.date_folder_partitions",
            ),
        ],
    )
    def test_so_it_is_elsewhere(self, text: str, what: str) -> None:
        """Sections of the file, fields of a connection."""
        assert one(text)[:2] == ("TG113", f"{what}: declared, but this version of Tidegate does not run it")

    @pytest.mark.parametrize(("source", "destination"), [("csv", "json")])
    def test_formats_that_are_not_read_or_written(self, source: str, destination: str) -> None:
        """As source, or as destination."""
        text = CONNECTIONS + (
            f"  - {{name: x, format: {source}, configure: {{base_path: x}}}}\n"
            f"  - {{name: y, format: {destination}, configure: {{base_path: y}}}}\n"
            "dataflows: [{name: a, source: {connection: x, table: t}, destination: {connection: y, table: t}}]\n"
        )
        assert one(text)[0] == "TG113"


SCALARS = st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.text(max_size=5)
STRANGE = st.recursive(
    SCALARS | st.sampled_from(["${var:x}", "${env:", "{", "[", '{"a": 1}', "a >", "lake", "csv", "1"]),
    lambda inner: st.lists(inner, max_size=2) | st.dictionaries(st.text(max_size=3), inner, max_size=2),
    max_leaves=4,
)


class TestRobustness:
    """Whatever is written, the check says what is wrong with it."""

    @given(data=st.data())
    @settings(max_examples=300, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
    def test_no_value_in_any_place_breaks_it(self, data: st.DataObject) -> None:
        """The demo with strange things in it: findings in plain words, each in the file; never an exception."""
        document = copy.deepcopy(yaml.safe_load(DEMO.read_text()))
        for _ in range(data.draw(st.integers(1, 4))):
            target: Any = document
            while True:
                keys = list(target) if isinstance(target, dict) else list(range(len(target)))
                if not keys:
                    break
                key = data.draw(st.sampled_from(keys))
                if isinstance(target[key], dict | list) and data.draw(st.booleans()):
                    target = target[key]
                    continue
                if isinstance(target, dict) and data.draw(st.booleans()):
                    target[data.draw(st.text(max_size=8))] = target.pop(key)
                else:
                    target[key] = data.draw(STRANGE)
                break
        name = f"{os.getpid()}.json"
        Path(name).write_text(json.dumps(document))
        for finding in check(name):
            assert finding.where.file == name or finding.code == "TG111"
            said = finding.render()
            assert not any(word in said for word in ("pydantic", "Input should", "Value error", "https://"))
