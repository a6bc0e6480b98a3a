"""Value rules: what is written at the source is put in order before it is converted."""

from __future__ import annotations

from datetime import UTC, date, datetime
from decimal import Decimal
from typing import Any

import polars as pl
import pytest

from tests.behaviour.project import Project
from tidegate.errors import ConfigurationError
from tidegate.models import ReplayConfig
from tidegate.orchestration.replay_rules import column_of


def rule(operation: str, columns: str = "x", **parameters: Any) -> dict[str, Any]:
    """Return a value rule as metadata declares it."""
    return {"operation": operation, "columns": columns, **parameters}


def shaped(project: Project, values: Any, *rules: dict[str, Any], **options: Any) -> list[Any]:
    """Load one column from Parquet through the rules, and return it in the order of the rows."""
    frame = pl.DataFrame({"id": range(len(values)), "x": values})
    project.parquet("events.parquet", frame)
    flow = project.flow(format="parquet", value_rules=rules, **options)
    project.load(flow)
    result = project.frame(flow).sort("id")
    assert options or result.schema["x"] in {frame.schema["x"], pl.String}
    return result["x"].to_list()


class TestText:
    def test_trim_takes_every_kind_of_space(self, project: Project) -> None:
        """Tabs and line ends too; what is inside stays."""
        assert shaped(project, [" a b\t", "\r\nc\u3000", "", "\u00a0", None], rule("trim")) == [
            "a b",
            "c",
            "",
            "",
            None,
        ]

    @pytest.mark.parametrize(("mode", "values"), [("lower", ["ådá", "ss", None]), ("upper", ["ÅDÁ", "SS", None])])
    def test_case_is_that_of_unicode(self, project: Project, mode: str, values: list[str | None]) -> None:
        """Letters of every script."""
        assert shaped(project, ["Ådá", "sS", None], rule("case", mode=mode)) == values

    @pytest.mark.parametrize(
        ("pattern", "replacement", "text", "expected"),
        [
            ("[0-9]+", "#", "a12b3", "a#b#"),
            ("([a-z]+)@([a-z]+)", "$2 at $1", "ada@home, ben@work", "home at ada, work at ben"),
            ("x", "$$1\\n$$", "axb", "a$1\\nb$".replace("\\nb$", "\\n$b")),
            ("[,.]", None, "1,234.5", "12345"),
            ("(?i)STREET", "st", "High street", "High st"),
            ("a", "[$0]", "banana", "b[a]n[a]n[a]"),
            ("^ *$", "none", "   ", "none"),
            ("'", '"', "it's", 'it"s'),
        ],
    )
    def test_every_match_is_replaced(
        self, project: Project, pattern: str, replacement: str | None, text: str, expected: str
    ) -> None:
        """Groups are $1 to $9, the match is $0, a dollar is $$, a backslash itself."""
        one = rule("regex_replace", pattern=pattern, replacement=replacement)
        assert shaped(project, [text, None], one) == [expected, None]

    def test_empty_text_becomes_null_and_blanks_do_not(self, project: Project) -> None:
        """Trim first, to mean blanks too. A column of numbers has no empty text."""
        assert shaped(project, ["", " ", "a"], rule("empty_to_null")) == [None, " ", "a"]
        assert shaped(Project(project.root / "2"), [1, None], rule("empty_to_null")) == [1, None]

    @pytest.mark.parametrize(
        "operation", [rule("trim"), rule("case", mode="upper"), rule("regex_replace", pattern="a")]
    )
    def test_only_text_is_text(self, project: Project, operation: dict[str, Any]) -> None:
        """The column and its type are named."""
        project.csv("events.csv", "x", "1")
        error = project.fail(project.flow(value_rules=[operation]))
        what = f"value rule {operation['operation']} does not work on column 'x', which is bigint"
        assert (error.code, error.message) == ("TG307", what)

    def test_dictionaries_of_text_are_text(self, project: Project) -> None:
        """However Parquet keeps it."""
        values = pl.Series([" a", None, " a"]).cast(pl.Categorical)
        rules = [rule("trim"), rule("map", mapping={"a": "b"}), rule("fill_null", value="c")]
        assert shaped(project, values, *rules) == ["b", "c", "b"]


class TestFillNull:
    @pytest.mark.parametrize(
        ("dtype", "value", "expected"),
        [
            (pl.String, "-", "-"),
            (pl.String, 0, "0"),
            (pl.String, True, "true"),
            (pl.Int8, 7, 7),
            (pl.Int64, "7", 7),
            (pl.Int64, 7.0, 7),
            (pl.Float64, 1, 1.0),
            (pl.Float32, 0.5, 0.5),
            (pl.Decimal(6, 2), 1.5, Decimal("1.50")),
            (pl.Decimal(6, 2), "1234.56", Decimal("1234.56")),
            (pl.Boolean, False, False),
            (pl.Boolean, "true", True),
            (pl.Date, "2024-01-31", date(2024, 1, 31)),
            (pl.Datetime("us", "UTC"), "2024-01-31T12:00:00+01:00", datetime(2024, 1, 31, 11, tzinfo=UTC)),
            (pl.Datetime("us"), "2024-01-31 12:00:00.000001", datetime(2024, 1, 31, 12, 0, 0, 1)),  # noqa: DTZ001
        ],
        ids=str,
    )
    def test_null_becomes_a_value_of_its_column(self, project: Project, dtype: Any, value: Any, expected: Any) -> None:
        """The column keeps its type."""
        assert shaped(project, pl.Series([None], dtype=dtype), rule("fill_null", value=value)) == [expected]

    @pytest.mark.parametrize(
        ("dtype", "value"),
        [
            (pl.Int8, 128),
            (pl.Int64, 1.5),
            (pl.Int64, "many"),
            (pl.Int64, True),
            (pl.Decimal(4, 2), 1.234),
            (pl.Decimal(4, 2), 123),
            (pl.Boolean, 1),
            (pl.Date, "31.01.2024"),
            (pl.Datetime("us"), "2024-01-31T12:00:00Z"),
            (pl.String, ["a"]),
            (pl.List(pl.Int64), 1),
        ],
        ids=str,
    )
    def test_a_value_is_never_made_to_fit(self, project: Project, dtype: Any, value: Any) -> None:
        """One that its column cannot hold is an error."""
        project.parquet("events.parquet", pl.DataFrame({"x": pl.Series([None], dtype=dtype)}))
        error = project.fail(project.flow(format="parquet", value_rules=[rule("fill_null", value=value)]))
        assert (error.code, repr(value) in error.message, "'x'" in error.message) == ("TG307", True, True)


class TestMap:
    @pytest.mark.parametrize(("on_unmapped", "rest"), [("keep", "c"), ("null", None)])
    def test_values_become_others(self, project: Project, on_unmapped: str, rest: str | None) -> None:
        """All at once: a to b and b to a change places. A value may become NULL; NULL stays NULL."""
        one = rule("map", mapping={"a": "b", "b": "a", "-": None}, on_unmapped=on_unmapped)
        assert shaped(project, ["a", "b", "-", "c", None], one) == ["b", "a", None, rest, None]

    def test_numbers_and_truth_values(self, project: Project) -> None:
        """Keys are text in JSON, and mean values of the column."""
        assert shaped(project, [1, 2, None], rule("map", mapping={"1": 10})) == [10, 2, None]
        other = Project(project.root / "2")
        assert shaped(other, [True, False], rule("map", mapping={"true": False})) == [False, False]

    @pytest.mark.parametrize("mapping", [{"a": 1}, {"1": "a"}, {"1": 1.5}])
    def test_a_mapping_fits_its_column(self, project: Project, mapping: dict[str, Any]) -> None:
        """On both sides."""
        project.csv("events.csv", "x", "1")
        assert project.fail(project.flow(value_rules=[rule("map", mapping=mapping)])).code == "TG307"

    def test_fractions_are_not_mapped(self, project: Project) -> None:
        """Whether two of them are equal is no question to ask."""
        project.csv("events.csv", "x", "1.5")
        assert project.fail(project.flow(value_rules=[rule("map", mapping={"1.5": 2})])).code == "TG307"


class TestOrder:
    def test_by_order_then_as_listed(self, project: Project) -> None:
        """A smaller order runs first, wherever it is listed."""
        rules = [
            rule("fill_null", value="none"),
            rule("empty_to_null", order=20),
            rule("trim", order=10),
            rule("case", mode="upper"),
        ]
        assert shaped(project, [" a ", "  ", None], *rules) == ["A", "NONE", "NONE"]
        plan = project.plan(project.flow("other", source="events.parquet", format="parquet", value_rules=rules))
        assert plan["steps"][1] == {"step": "shape", "text": "trim x, empty_to_null x, fill_null x, case x"}

    @pytest.mark.parametrize("rows", [["1,5", "2,n/a", '3," 7 "'], ["1,5", "2,", "3,7"]], ids=["text", "numbers"])
    def test_rules_come_before_the_conversion(self, project: Project, rows: list[str]) -> None:
        """They see what is written, whether it looks like numbers in this file or not."""
        project.csv("events.csv", "id,Qty", *rows)
        rules = [rule("trim", "QTY"), rule("map", "qty", mapping={"n/a": None}), rule("fill_null", "qty", value=0)]
        flow = project.flow(value_rules=rules, hints={"qty": "int"})
        project.load(flow)
        assert project.rows(flow, "id", "qty") == [(1, 5), (2, 0), (3, 7)]

    def test_a_value_that_still_does_not_convert(self, project: Project) -> None:
        """It is shown as the rules left it; another row, which they mended, is not blamed."""
        project.csv("events.csv", "id,x", "1,n/a", "2,abc!")
        rules = [rule("map", mapping={"n/a": None}), rule("regex_replace", pattern="!")]
        error = project.fail(project.flow(value_rules=rules, hints={"x": "int"}))
        assert (error.code, '"abc"' in error.message, error.where) == ("TG206", True, "column x")


class TestColumns:
    def test_a_missing_column_is_an_error_or_not(self, project: Project) -> None:
        """As the policy says; nothing is written."""
        project.csv("events.csv", "id", "1")
        error = project.fail(project.flow(value_rules=[rule("trim", "nmae")]))
        assert (error.code, "'nmae'" in error.message) == ("TG302", True)
        flow = project.flow(value_rules=[rule("trim", "nmae")], configure={"missing_column_policy": "ignore"})
        project.load(flow)
        assert project.rows(flow) == [1]

    @pytest.mark.parametrize(
        "transform",
        [
            {"value_rules": [rule("trim", "b")]},
            {"masking_rules": [{"operation": "nullify", "columns": "b"}]},
            {"hash_columns": [{"target_column": "h", "columns": ["a", "b"]}]},
            {"drop_columns": ["b"]},
            {"select_columns": ["a", "b"]},
            {"rename_columns": {"b": "c"}},
        ],
        ids=lambda transform: next(iter(transform)),
    )
    def test_a_column_that_the_source_no_longer_has(self, project: Project, transform: dict[str, Any]) -> None:
        """The schema policy decided about it; no step asks for it again."""
        flow = project.flow(settings={"schema_policy": "evolve"}, **transform)
        project.csv("events/1.csv", "a,b", "1,x")
        project.load(flow)
        project.csv("events/2.csv", "a", "2")
        project.load(flow)
        assert project.rows(flow, "a") == [1, 2]

    def test_names_that_sql_would_misread(self, project: Project) -> None:
        """Quotes, spaces and words of SQL are names like others."""
        project.jsonl("events.jsonl", {'the "best"': " a ", "select": " b "})
        rules = [rule("trim", 'the "best"'), rule("trim", "select")]
        flow = project.flow(format="jsonl", value_rules=rules)
        project.load(flow)
        assert project.rows(flow) == [("b", "a")]

    def test_the_watermark_is_not_changed(self, project: Project) -> None:
        """Files are passed over by what the source has; also where a range is cut (TG309)."""
        project.csv("events.csv", "id,at", "1,1")
        assert (
            project.fail(project.flow(watermark="at", value_rules=[rule("fill_null", "AT", value=0)])).code == "TG309"
        )

    def test_a_range_is_not_cut_by_what_is_changed(self, project: Project) -> None:
        """A file of which no value lies in a window is not read, so that its values must be those of the source."""
        flow = project.flow(value_rules=[rule("fill_null", "day", value="2024-01-01")])
        range_ = ReplayConfig(start="2024-01-01", end="2024-02-01", chunk_column="Day")
        with pytest.raises(ConfigurationError, match="changes 'Day'") as caught:
            column_of(flow, range_)
        assert caught.value.code == "TG309"
