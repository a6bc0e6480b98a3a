"""Transforms: what happens to rows and columns between source and destination."""

from __future__ import annotations

from datetime import UTC, date, datetime
from decimal import Decimal
from typing import Any

import polars as pl
import pytest

from tests.behaviour.project import Project

ZONED = datetime(2024, 1, 31, 22, 30, tzinfo=UTC)
NAIVE = datetime(2024, 1, 31, 22, 30)  # noqa: DTZ001 - a naive column


class TestSchemaHints:
    @pytest.mark.parametrize(
        ("hint", "text", "value"),
        [
            ("string", "007", "007"),
            ("tinyint", "-128", -128),
            ("smallint", "32767", 32767),
            ("int", "-2147483648", -2147483648),
            ("bigint", "9223372036854775807", 2**63 - 1),
            ("float", "1.5", 1.5),
            ("double", "1e-300", 1e-300),
            ("decimal(10,2)", "12345678.90", Decimal("12345678.90")),
            ("decimal(38,0)", "9" * 38, Decimal("9" * 38)),
            ("decimal(38,38)", "0." + "1" * 38, Decimal("0." + "1" * 38)),
            ("date", "2024-01-31", date(2024, 1, 31)),
            ("date", "0001-01-01", date(1, 1, 1)),
            ("date", "9999-12-31", date(9999, 12, 31)),
            ("timestamp", "2024-01-31T22:30:00Z", ZONED),
            ("timestamp", "2024-01-31 23:30:00+01:00", ZONED),
            ("timestamp", "2024-01-31 22:30:00", ZONED),
            ("timestamp_ntz", "2024-01-31 22:30:00", NAIVE),
            ("timestamp_ntz", "1583-10-15 00:00:00.000001", datetime(1583, 10, 15, 0, 0, 0, 1)),  # noqa: DTZ001
            ("boolean", "true", True),
            ("boolean", "No", False),
        ],
    )
    @pytest.mark.parametrize("file_format", ["csv", "jsonl", "parquet"])
    def test_text_becomes_every_type(
        self, project: Project, hint: str, text: str, value: Any, file_format: str
    ) -> None:
        """Text of each format takes the declared type, exactly; NULL stays NULL."""
        if file_format == "csv":
            project.csv("events.csv", "id,x", f"1,{text}", "2,")
        elif file_format == "jsonl":
            project.jsonl("events.jsonl", {"id": 1, "x": text}, {"id": 2, "x": None})
        else:
            project.parquet("events.parquet", {"id": [1, 2], "x": [text, None]})
        flow = project.flow(format=file_format, hints={"x": hint})
        project.load(flow)
        assert project.rows(flow, "id", "x") == [(1, value), (2, None)]

    @pytest.mark.parametrize(
        ("hint", "text"),
        [
            ("tinyint", "128"),
            ("int", "2147483648"),
            ("bigint", "1.5"),
            ("bigint", "1e3"),
            ("decimal(4,2)", "123.45"),
            ("date", "2024-02-30"),
            ("date", "31.01.2024"),
            ("timestamp", "yesterday"),
            ("boolean", "maybe"),
        ],
    )
    @pytest.mark.parametrize("file_format", ["csv", "jsonl", "parquet"])
    def test_a_cast_is_strict(self, project: Project, hint: str, text: str, file_format: str) -> None:
        """A value that does not fit fails the load, with its place; it never becomes NULL."""
        if file_format == "csv":
            project.csv("events.csv", "x", text)
        elif file_format == "jsonl":
            project.jsonl("events.jsonl", {"x": text})
        else:
            project.parquet("events.parquet", {"x": [text]})
        error = project.fail(project.flow(format=file_format, hints={"x": hint}))
        assert (error.code, text in error.message) == ("TG206", True)
        assert error.where == f"{project.source_root}/events.{file_format}, row 1, column x"

    @pytest.mark.parametrize(
        ("dtype", "value", "fits"),
        [
            (pl.Float64, 3.0, True),
            (pl.Float64, 3.5, False),
            (pl.Float64, float("inf"), False),
            (pl.Float64, float("nan"), False),
            (pl.Float64, 1e30, False),
            (pl.Decimal(10, 2), 3.0, True),
            (pl.Decimal(10, 2), 3.5, False),
        ],
        ids=str,
    )
    def test_whole_numbers_become_integers_and_others_do_not(
        self,
        project: Project,
        dtype: Any,
        value: float,
        fits: bool,  # noqa: FBT001
    ) -> None:
        """A declared integer takes 3.0, and refuses 3.5 instead of cutting it off."""
        project.parquet("events.parquet", pl.DataFrame(pl.Series("x", [value, None]).cast(dtype)))
        flow = project.flow(format="parquet", hints={"x": "int"})
        if fits:
            project.load(flow)
            assert project.rows(flow) == [None, 3]
        else:
            assert project.fail(flow).code == "TG206"

    def test_formats(self, project: Project) -> None:
        """A format says how dates and times are written."""
        project.csv("events.csv", "day,at", "31.01.2024,31/01/24 22h30")
        flow = project.flow(
            hints={
                "day": {"data_type": "date", "format": "%d.%m.%Y"},
                "at": {"data_type": "timestamp_ntz", "format": "%d/%m/%y %Hh%M"},
            }
        )
        project.load(flow)
        assert project.rows(flow, "day", "at") == [(date(2024, 1, 31), NAIVE)]

    @pytest.mark.parametrize(
        ("hint", "default", "value"),
        [
            ("int", 7, 7),
            ("string", "none", "none"),
            ("decimal(10,2)", "1.5", Decimal("1.50")),
            ("date", "2024-01-31", date(2024, 1, 31)),
            ("boolean", False, False),
        ],
    )
    def test_a_default_takes_the_place_of_null(self, project: Project, hint: str, default: Any, value: Any) -> None:
        """NULL becomes the declared default, of the declared type."""
        project.jsonl("events.jsonl", {"x": None}, {"x": None})
        flow = project.flow(format="jsonl", hints={"x": {"data_type": hint, "default_value": default}})
        project.load(flow)
        assert project.rows(flow) == [value, value]

    def test_precision_and_scale_of_their_own(self, project: Project) -> None:
        """`precision` and `scale` make a decimal, as other systems declare it."""
        project.csv("events.csv", "x", "1.5")
        flow = project.flow(hints={"x": {"data_type": "decimal", "precision": 12, "scale": 3}})
        project.load(flow)
        assert project.frame(flow).schema["x"] == pl.Decimal(12, 3)

    def test_names_in_any_case(self, project: Project) -> None:
        """A hint finds its column whatever the case."""
        project.csv("events.csv", "Amount", "5")
        flow = project.flow(hints={"AMOUNT": "string"})
        project.load(flow)
        assert project.rows(flow) == ["5"]

    def test_missing_columns(self, project: Project) -> None:
        """A hint for a column that is not there is an error, or not, as the policy says."""
        project.csv("events.csv", "id", "1")
        assert project.fail(project.flow(hints={"idd": "int"})).code == "TG302"
        project.load(project.flow(hints={"idd": "int"}, configure={"missing_column_policy": "ignore"}))

    def test_naive_times_in_a_zone(self, project: Project) -> None:
        """`convert_timestamp_ntz` reads wall time in its zone, summer and winter."""
        at = [datetime(2024, 1, 1, 12), datetime(2024, 7, 1, 12)]  # noqa: DTZ001
        project.parquet("events.parquet", {"at": at})
        flow = project.flow(
            format="parquet", configure={"convert_timestamp_ntz": True, "timestamp_timezone": "Europe/Berlin"}
        )
        project.load(flow)
        assert project.rows(flow) == [datetime(2024, 1, 1, 11, tzinfo=UTC), datetime(2024, 7, 1, 10, tzinfo=UTC)]


class TestColumns:
    def test_added_columns_build_on_each_other(self, project: Project) -> None:
        """An expression may use a column that was added before it."""
        project.csv("events.csv", "net,rate", "100,2")
        flow = project.flow(
            additional_columns=[
                {"column": "tax", "expression": "net * rate / 10"},
                {"column": "gross", "expression": "net + tax"},
                {"column": "net", "expression": "-net"},
            ]
        )
        project.load(flow)
        assert project.rows(flow, "gross", "net", "tax") == [(120.0, -100, 20.0)]

    def test_select_keeps_system_columns(self, project: Project) -> None:
        """What is selected stays, in that order, and the system columns with it."""
        project.csv("events.csv", "a,b,c", "1,2,3")
        flow = project.flow(select_columns=["C", "a"])
        project.load(flow)
        columns = project.frame(flow, system=True).columns
        assert columns == ["c", "a", "__created_at", "__updated_at", "__updated_by", "__dataflow_run_id"]

    def test_drop_and_rename(self, project: Project) -> None:
        """Columns are dropped, then renamed."""
        project.csv("events.csv", "a,b,c", "1,2,3")
        flow = project.flow(drop_columns=["b"], rename_columns={"c": "Total Amount"})
        project.load(flow)
        assert project.frame(flow).columns == ["a", "total_amount"]

    @pytest.mark.parametrize(
        ("mode", "expected"),
        [
            ("lower", ["orderid", "netprice_eur", "straße", "_"]),
            ("snake", ["order_id", "net_price_eur", "straße", "_"]),
        ],
    )
    def test_names_at_the_destination(self, any_project: Project, mode: str, expected: list[str]) -> None:
        """Names are lower or snake case, without what tables do not take."""
        any_project.csv("events.csv", "OrderID,NetPrice (EUR),Straße,!", "1,2,3,4")
        flow = any_project.flow()
        any_project.load(flow, column_name_mode=mode)
        assert any_project.frame(flow).columns == expected

    def test_two_columns_of_one_name(self, project: Project) -> None:
        """Columns that would take one name are an error that names them both."""
        project.csv("events.csv", "Order ID,order_id", "1,2")
        error = project.fail(project.flow())
        assert (error.code, "Order ID, order_id" in error.message) == ("TG304", True)
        project.load(project.flow(rename_columns={"Order ID": "other"}))

    def test_a_renamed_merge_key(self, project: Project) -> None:
        """Merge keys are found under their old name and their new."""
        for number, key in enumerate(["Order ID", "order_number"]):
            project.csv(f"events/{number}.csv", "Order ID,v", f"1,{number}")
            flow = project.merge(keys=[key], rename_columns={"Order ID": "order_number"})
            project.load(flow)
        assert project.rows(flow, "order_number", "v") == [(1, 1)]

    def test_file_information(self, project: Project) -> None:
        """Name, path and time of the file stand beside each row, and are no part of it when rows are recognised."""
        path = project.csv("events/a.csv", "id,at", "1,1")
        flow = project.flow(read_options={"include_file_info": True}, watermark="at")
        project.load(flow)
        project.more("events/a.csv", "2,1")
        project.load(flow)
        frame = project.frame(flow).sort("id")
        assert frame["id"].to_list() == [1, 2]
        assert frame["__file_name"].to_list() == ["a.csv", "a.csv"]
        assert frame["__file_path"].to_list() == [str(path), str(path)]
        assert frame["__file_modification_time"][1].timestamp() == path.stat().st_mtime

    def test_file_information_can_be_left_out_again(self, project: Project) -> None:
        """An option that is taken back is no missing column."""
        project.csv("events/a.csv", "id", "1")
        project.load(project.flow(read_options={"include_file_info": True}))
        project.csv("events/b.csv", "id", "2")
        flow = project.flow()
        project.load(flow)
        assert project.rows(flow, "id", "__file_name") == [(1, "a.csv"), (2, None)]

    def test_hive_partitions_are_columns(self, project: Project) -> None:
        """Folder names become columns: numbers, dates, text, NULL, with percent signs decoded."""
        project.csv("events/year=2024/code=007/at=a%2Fb/x.csv", "id", "1")
        project.csv("events/year=2025/code=008/at=__HIVE_DEFAULT_PARTITION__/x.csv", "id", "2")
        flow = project.flow(hive=True)
        project.load(flow)
        assert project.rows(flow, "id", "year", "code", "at") == [(1, 2024, "007", "a/b"), (2, 2025, "008", None)]


class TestFilters:
    def test_null_is_not_true(self, project: Project) -> None:
        """A condition over NULL keeps no row, at the source and after."""
        project.csv("events.csv", "id,n", "1,5", "2,", "3,1")
        for name, option in (("early", "source_filter"), ("late", "filter_expression")):
            flow = project.flow(name, source="events", **{option: "n > 2"})
            report = project.load(flow)
            assert project.rows(flow, "id") == [1]
            assert report.rows_in == (1 if name == "early" else 3)

    def test_a_filter_sees_added_columns(self, project: Project) -> None:
        """Columns are added before rows are left out."""
        project.csv("events.csv", "n", "1", "2")
        flow = project.flow(additional_columns=[{"column": "m", "expression": "n * 10"}], filter_expression="m = 20")
        project.load(flow)
        assert project.rows(flow, "n") == [2]

    def test_all_rows_left_out(self, any_project: Project) -> None:
        """A load without rows makes the destination, and moves the position."""
        any_project.csv("events.csv", "n", "1")
        flow = any_project.flow(filter_expression="n > 5", watermark="n")
        report = any_project.load(flow)
        assert (report.rows_in, report.rows_out, report.position_after) == (1, 0, "n=1")
        assert any_project.load(flow).detail == "nothing new"

    @pytest.mark.parametrize(
        ("expression", "code"), [("id >", "TG108"), ("nope = 1", "TG301"), ("frob(id) = 1", "TG109")]
    )
    def test_expressions_that_do_not_hold(self, project: Project, expression: str, code: str) -> None:
        """A bad expression fails before a row is read, with its own code."""
        project.csv("events.csv", "id", "1")
        assert project.fail(project.flow(filter_expression=expression)).code == code


class TestDeduplicate:
    def test_null_never_wins(self, project: Project) -> None:
        """The row whose ordering column is NULL loses, whatever its place (defect 10)."""
        for number, order in enumerate((["1,a,", "1,b,5"], ["1,b,5", "1,a,"])):
            project.csv(f"t{number}.csv", "id,v,at", *order)
            flow = project.flow(f"t{number}", deduplicate_columns=["id"], latest_data_columns=["at"])
            project.load(flow)
            assert project.rows(flow, "v") == ["b"]

    def test_not_a_number_loses_too(self, project: Project) -> None:
        """NaN orders nothing."""
        project.parquet("events.parquet", {"id": [1, 1], "v": ["a", "b"], "at": [float("nan"), 1.0]})
        flow = project.flow(format="parquet", deduplicate_columns=["id"], latest_data_columns=["at"])
        project.load(flow)
        assert project.rows(flow, "v") == ["b"]

    def test_ties_give_the_last_row_read(self, project: Project) -> None:
        """Among equals the later row stays; NULL only beats nothing."""
        project.csv("events.csv", "id,v,at", "1,a,5", "1,b,5", "2,c,", "2,d,")
        flow = project.flow(deduplicate_columns=["id"], latest_data_columns=["at"], hints={"at": "int"})
        project.load(flow)
        assert project.rows(flow, "id", "v") == [(1, "b"), (2, "d")]

    def test_by_rank_keeps_all_that_tie(self, project: Project) -> None:
        """`deduplicate_by_rank` keeps every latest row."""
        project.csv("events.csv", "id,v,at", "1,a,5", "1,b,5", "1,c,4")
        flow = project.flow(
            deduplicate_columns=["id"], latest_data_columns=["at"], configure={"deduplicate_by_rank": True}
        )
        project.load(flow)
        assert project.rows(flow, "v") == ["a", "b"]

    def test_several_ordering_columns(self, project: Project) -> None:
        """Compared one after the other."""
        project.csv("events.csv", "id,v,day,hour", "1,a,2,1", "1,b,2,3", "1,c,1,9")
        flow = project.flow(deduplicate_columns=["id"], latest_data_columns=["day", "hour"])
        project.load(flow)
        assert project.rows(flow, "v") == ["b"]

    def test_null_keys_are_one_key(self, project: Project) -> None:
        """Rows without a key are deduplicated like others."""
        project.csv("events.csv", "id,v,at", ",a,1", ",b,2")
        flow = project.flow(deduplicate_columns=["id"], latest_data_columns=["at"], hints={"id": "int"})
        project.load(flow)
        assert project.rows(flow, "v") == ["b"]

    def test_merge_keys_and_watermark_serve(self, project: Project) -> None:
        """A merge with a watermark needs no further declaration: the latest row of a key wins."""
        project.csv("events.csv", "id,v,at", "1,old,1", "1,new,2")
        flow = project.merge(watermark="at")
        project.load(flow)
        assert project.rows(flow, "v") == ["new"]
