"""Masking rules: what must not reach the destination does not, and the rest of the row does."""

from __future__ import annotations

from datetime import UTC, date, datetime
from decimal import Decimal
from typing import Any

import polars as pl
import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.behaviour.project import Project
from tidegate.engines.polars import PolarsEngine
from tidegate.expressions.sql import parse_expression
from tidegate.models.transform import MaskingRule
from tidegate.transformers.masking_rules import _numeric_bucket, _partial  # the algebra is worth its own tests


def rule(operation: str, columns: str = "x", **parameters: Any) -> dict[str, Any]:
    """Return a masking rule as metadata declares it."""
    return {"operation": operation, "columns": columns, **parameters}


def masked(project: Project, values: Any, one: dict[str, Any]) -> list[Any]:
    """Load one column from Parquet through a rule, and return it in the order of the rows, in its own type."""
    frame = pl.DataFrame({"id": range(len(values)), "x": values})
    project.parquet("events.parquet", frame)
    flow = project.flow(format="parquet", masking_rules=[one])
    project.load(flow)
    result = project.frame(flow).sort("id")
    assert result.schema["x"] == (pl.String if frame.schema["x"] == pl.Categorical else frame.schema["x"])
    return result["x"].to_list()


class TestRedact:
    @pytest.mark.parametrize(
        ("values", "value", "expected"),
        [
            (["a", "", None], None, ["***", "***", None]),
            (["a", None], "hidden", ["hidden", None]),
            ([1, None], 0, [0, None]),
            ([1.5, None], -1, [-1.0, None]),
            ([True, None], False, [False, None]),
            ([date(2024, 1, 31), None], "1900-01-01", [date(1900, 1, 1), None]),
            ([Decimal("1.50"), None], "9.99", [Decimal("9.99"), None]),
            (pl.Series(["a", None], dtype=pl.Categorical), "b", ["b", None]),
        ],
        ids=str,
    )
    def test_one_value_for_all(self, project: Project, values: Any, value: Any, expected: list[Any]) -> None:
        """Of the column's own type. NULL stays NULL: it tells nothing."""
        assert masked(project, values, rule("redact", value=value)) == expected

    @pytest.mark.parametrize("value", [None, "x", 1.5])
    def test_the_value_fits_the_column(self, project: Project, value: Any) -> None:
        """A column never becomes text to be redacted."""
        project.csv("events.csv", "x", "1")
        assert project.fail(project.flow(masking_rules=[rule("redact", value=value)])).code == "TG307"


class TestNullify:
    @pytest.mark.parametrize("values", [["a"], [1], [date(2024, 1, 31)], [[1, 2]], [{"a": 1}]], ids=str)
    def test_every_type(self, project: Project, values: list[Any]) -> None:
        """The column stays, in its type."""
        assert masked(project, values, rule("nullify")) == [None]


class TestPartial:
    @pytest.mark.parametrize(
        ("start", "end", "text", "expected"),
        [
            (2, 2, "abcdef", "ab**ef"),
            (0, 4, "4111111111111111", "************1111"),
            (1, 0, "Ærø", "Æ**"),
            (0, 0, "日本", "**"),
            (2, 2, "abcd", "****"),
            (2, 2, "abc", "***"),
            (1, 1, "", ""),
        ],
    )
    def test_characters_at_the_ends_stay(
        self, project: Project, start: int, end: int, text: str, expected: str
    ) -> None:
        """Characters, not bytes. Where nothing would be masked, everything is."""
        one = rule("partial", keep_start=start, keep_end=end)
        assert masked(project, [text, None], one) == [expected, None]

    @pytest.mark.parametrize("mask_char", ["#", "'", "\\", "$", "•", "😀"])
    def test_any_character_masks(self, project: Project, mask_char: str) -> None:
        """Also those that mean something in SQL or in a replacement."""
        assert masked(project, ["abcd"], rule("partial", keep_start=1, mask_char=mask_char)) == ["a" + mask_char * 3]

    @given(st.text(st.characters(exclude_categories=["Cs"]), max_size=12), st.integers(0, 4), st.integers(0, 4))
    def test_it_is_what_it_says(self, text: str, start: int, end: int) -> None:
        """Length and ends stay, nothing else does."""
        one = MaskingRule(operation="partial", columns="x", keep_start=start, keep_end=end)
        hidden = len(text) - start - end
        wanted = text[:start] + "*" * hidden + text[len(text) - end :] if hidden > 0 else "*" * len(text)
        assert evaluated(_partial, one, pl.Series("x", [text])) == [wanted]

    def test_only_text_has_characters(self, project: Project) -> None:
        """The column and its type are named."""
        project.csv("events.csv", "x", "1")
        error = project.fail(project.flow(masking_rules=[rule("partial")]))
        assert error.code == "TG307"
        assert error.message == "masking rule partial does not work on column 'x', which is bigint"


class TestNumericBucket:
    @pytest.mark.parametrize(
        ("values", "size", "expected"),
        [
            ([0, 9, 10, -1, -10, None], 10, [0, 0, 10, -10, -10, None]),
            (pl.Series([127, -100], dtype=pl.Int8), 50, [100, -100]),
            ([2**62 + 3], 1000, [(2**62 + 3) // 1000 * 1000]),
            ([0.75, -0.1, float("inf")], 0.5, [0.5, -0.5, float("inf")]),
            ([Decimal("0.30"), Decimal("-0.01"), None], 0.1, [Decimal("0.30"), Decimal("-0.10"), None]),
            ([Decimal("1234.56")], 1000, [Decimal("1000.00")]),
        ],
        ids=str,
    )
    def test_numbers_become_the_lower_bound(
        self, project: Project, values: Any, size: float, expected: list[Any]
    ) -> None:
        """Below zero too; decimals exactly."""
        assert masked(project, values, rule("numeric_bucket", bucket_size=size)) == expected

    @given(st.integers(-(10**12), 10**12), st.integers(1, 10**6))
    def test_a_number_lies_in_its_bucket(self, number: int, size: int) -> None:
        """A multiple of the size, not above the number, and the greatest such."""
        one = MaskingRule(operation="numeric_bucket", columns="x", bucket_size=size)
        assert evaluated(_numeric_bucket, one, pl.Series("x", [number])) == [number // size * size]

    def test_a_bucket_fits_the_column(self, project: Project) -> None:
        """Halves are no values of a column of whole numbers."""
        project.csv("events.csv", "x", "1")
        assert project.fail(project.flow(masking_rules=[rule("numeric_bucket", bucket_size=0.5)])).code == "TG307"


class TestDateTruncate:
    @pytest.mark.parametrize(
        ("unit", "day"),
        [
            ("year", date(2024, 1, 1)),
            ("quarter", date(2024, 4, 1)),
            ("month", date(2024, 5, 1)),
            ("week", date(2024, 5, 13)),
            ("day", date(2024, 5, 17)),
        ],
    )
    def test_dates_and_times(self, project: Project, unit: str, day: date) -> None:
        """The start of the unit, in the column's own type; weeks begin on Monday."""
        one = rule("date_truncate", unit=unit)
        assert masked(project, [date(2024, 5, 17), None], one) == [day, None]
        moment, start = datetime(2024, 5, 17, 10, 11, tzinfo=UTC), datetime(day.year, day.month, day.day, tzinfo=UTC)
        assert masked(Project(project.root / "2"), [moment], one) == [start]

    def test_a_date_has_no_hours(self, project: Project) -> None:
        """Nothing would be hidden."""
        project.csv("events.csv", "x", "2024-05-17")
        flow = project.flow(masking_rules=[rule("date_truncate", unit="hour")], hints={"x": "date"})
        assert project.fail(flow).code == "TG307"


class TestPlace:
    def test_names_are_those_before_renaming(self, project: Project) -> None:
        """In any case; computed columns can be masked, and hashes see what is masked later."""
        project.csv("events.csv", "Mail,v", "ada@home,1")
        flow = project.flow(
            additional_columns=[{"column": "domain", "expression": "split_part(mail, '@', 2)"}],
            hash_columns=[{"target_column": "key", "columns": "mail"}],
            masking_rules=[rule("redact", "MAIL"), rule("partial", "domain", keep_start=1)],
            rename_columns={"Mail": "contact"},
        )
        project.load(flow)
        assert project.rows(flow, "contact", "domain") == [("***", "h***")]
        assert len(project.rows(flow, "key")[0]) == 64

    @pytest.mark.parametrize("name", ["Order ID", "order id"])
    @pytest.mark.parametrize("key", ["Order ID", "order_id", "number"])
    def test_a_merge_key_is_not_masked(self, project: Project, name: str, key: str) -> None:
        """Under none of its names: that of the source, the new one, the destination's."""
        project.csv("events.csv", "Order ID,v", "1,a")
        renamed = {"Order ID": "number"} if key == "number" else {}
        flow = project.merge(keys=key, masking_rules=[rule("nullify", name)], rename_columns=renamed)
        assert project.fail(flow).code == "TG308"

    def test_a_partition_column_is_not_masked(self, project: Project) -> None:
        """Nor a system column."""
        project.csv("events.csv", "id,day", "1,2024")
        assert project.fail(project.flow(partitions=["day"], masking_rules=[rule("nullify", "Day")])).code == "TG308"
        assert project.fail(project.flow(masking_rules=[rule("nullify", "__updated_at")])).code == "TG308"

    def test_a_missing_column_is_an_error_or_not(self, project: Project) -> None:
        """A misspelled name lets nothing through."""
        project.csv("events.csv", "mail", "a@b")
        assert project.fail(project.flow(masking_rules=[rule("nullify", "mial")])).code == "TG302"
        project.load(
            project.flow(masking_rules=[rule("nullify", "mial")], configure={"missing_column_policy": "ignore"})
        )

    def test_a_masked_watermark_still_tells_what_is_new(self, project: Project) -> None:
        """The position is read before; rows that tie with it are neither lost nor doubled."""
        flow = project.flow(watermark="at", masking_rules=[rule("numeric_bucket", "at", bucket_size=10)])
        project.csv("events/1.csv", "id,at", "1,11", "2,12")
        project.load(flow)
        project.csv("events/1.csv", "id,at", "1,11", "2,12", "3,12", "4,13")
        project.load(flow)
        assert project.rows(flow, "id", "at") == [(1, 10), (2, 10), (3, 10), (4, 10)]

    def test_a_window_is_not_replaced_by_masked_values(self, project: Project) -> None:
        """Other rows than those that were read would go."""
        project.csv("events.csv", "id,at", "1,11")
        flow = project.flow(
            load_type="append",
            watermark="at",
            settings={"replace_by_watermark": True},
            masking_rules=[rule("nullify", "at")],
        )
        assert project.fail(flow).code == "TG306"


def evaluated(sql: Any, one: MaskingRule, values: pl.Series) -> list[Any]:
    """Compute a rule over one column, without a load."""
    import narwhals as nw

    engine = PolarsEngine()
    frame = nw.from_native(values.to_frame().lazy())
    expression = parse_expression(sql(one, "x", engine.schema(frame)["x"]))
    return engine.with_columns(frame, {"x": expression}).collect().to_native()["x"].to_list()
