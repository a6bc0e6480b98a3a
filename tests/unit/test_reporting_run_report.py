"""What a unit's report and a run's result must say."""

from __future__ import annotations

import json
from dataclasses import FrozenInstanceError, fields
from datetime import UTC, datetime, timedelta, timezone
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tidegate.errors import DataFlowError, SourceError
from tidegate.masking import register_secret_values
from tidegate.reporting import ErrorReport, ExecutionResult, UnitReport

START = datetime(2013, 3, 1, 6, 0, tzinfo=UTC)


def report(name: str = "flights", status: str = "succeeded", **values: Any) -> UnitReport:
    given_values: dict[str, Any] = {
        "run_id": "run-1",
        "dataflow_id": f"id-{name}",
        "name": name,
        "status": status,
        "started_at": START,
        "ended_at": START + timedelta(seconds=4),
        **values,
    }
    return UnitReport(**given_values)


class TestErrorReport:
    def test_takes_every_part_of_our_own_errors(self) -> None:
        error = SourceError("no such file", code="TG201", where="tidegate.yaml:61:7", hint="check base_path")

        assert ErrorReport.from_exception(error) == ErrorReport(
            code="TG201", message="no such file", where="tidegate.yaml:61:7", hint="check base_path"
        )

    @pytest.mark.parametrize(
        ("error", "message"),
        [(KeyError("amount"), "KeyError: 'amount'"), (MemoryError(), "MemoryError")],
        ids=["with a text", "without a text"],
    )
    def test_names_the_class_of_a_foreign_error(self, error: Exception, message: str) -> None:
        assert ErrorReport.from_exception(error) == ErrorReport(code="TG001", message=message)

    def test_masks_a_secret_that_was_registered_after_the_error_was_made(self) -> None:
        error = DataFlowError("login failed for hunter-report-1", hint="is hunter-report-1 right?")
        register_secret_values("hunter-report-1")

        described = ErrorReport.from_exception(error)

        assert described.message == "login failed for ***"
        assert described.hint == "is *** right?"


class TestUnitReport:
    def test_is_frozen(self) -> None:
        with pytest.raises(FrozenInstanceError):
            report().rows_in = 3  # type: ignore[misc]

    @pytest.mark.parametrize("name", ["started_at", "ended_at"])
    def test_refuses_a_time_without_zone(self, name: str) -> None:
        with pytest.raises(ValueError, match=f"{name} of unit 'flights' has no time zone"):
            report(**{name: datetime(2013, 3, 1)})  # noqa: DTZ001

    def test_counts_rows_read_each_second(self) -> None:
        assert report(rows_in=10).rows_per_second == 2.5

    def test_has_no_pace_where_rows_or_time_are_not_known(self) -> None:
        assert report(rows_in=None).rows_per_second is None
        assert report(rows_in=10, ended_at=START).rows_per_second is None

    def test_never_lasts_less_than_nothing_when_the_clock_is_set_back(self) -> None:
        assert report(ended_at=START - timedelta(seconds=1)).duration_seconds == 0

    def test_masks_secrets_in_free_texts_but_keeps_its_identity(self) -> None:
        register_secret_values("hunter-report-2")

        made = report(
            source="postgresql://me:hunter-report-2@db/flights",
            detail="lease held by hunter-report-2",
            dataflow_id="hunter-report-2",
        )

        assert made.source == "postgresql://me:***@db/flights"
        assert made.detail == "lease held by ***"
        assert made.dataflow_id == "hunter-report-2"

    def test_writes_times_as_utc(self) -> None:
        tokyo = datetime(2013, 3, 1, 15, 0, tzinfo=timezone(timedelta(hours=9)))

        assert report(started_at=tokyo).to_dict()["started_at"] == "2013-03-01T06:00:00.000000+00:00"

    def test_writes_every_field_and_both_derived_figures(self) -> None:
        names = {field.name for field in fields(UnitReport)}

        assert set(report().to_dict()) == names | {"duration_seconds", "rows_per_second"}

    @given(
        st.builds(
            report,
            st.text(min_size=1),
            st.sampled_from(["succeeded", "failed", "skipped"]),
            rows_in=st.none() | st.integers(0, 2**63),
            position_after=st.none() | st.text(),
            started_at=st.datetimes(timezones=st.just(UTC)),
            error=st.none() | st.builds(ErrorReport, code=st.text(), message=st.text(), where=st.none() | st.text()),
        )
    )
    def test_reads_back_what_it_wrote_as_json(self, original: UnitReport) -> None:
        assert UnitReport.from_dict(json.loads(json.dumps(original.to_dict()))) == original


class TestExecutionResult:
    def test_has_the_fields_of_the_seed_by_position(self) -> None:
        result = ExecutionResult(4, 2, 1, 1, {"planes": "no such file"}, 1.5)

        assert (result.total, result.succeeded, result.failed, result.skipped) == (4, 2, 1, 1)
        assert result.errors == {"planes": "no such file"}
        assert result.duration_seconds == 1.5
        assert result.units == []

    def test_counts_reports(self) -> None:
        failure = ErrorReport(code="TG201", message="no such file")
        result = ExecutionResult.from_units(
            [
                report("flights", ended_at=START + timedelta(seconds=2)),
                report("weather", started_at=START + timedelta(seconds=1)),
                report("planes", "failed", error=failure),
                report("airlines", "skipped", detail="nothing new"),
            ]
        )

        assert (result.total, result.succeeded, result.failed, result.skipped) == (4, 2, 1, 1)
        assert result.errors == {"planes": "no such file"}
        assert result.duration_seconds == 4
        assert result.run_id == "run-1"
        assert [unit.name for unit in result.units] == ["flights", "weather", "planes", "airlines"]
        assert result.success_rate == 50

    def test_takes_what_the_run_knows_better(self) -> None:
        result = ExecutionResult.from_units([report()], run_id="run-2", duration_seconds=9.5)

        assert (result.run_id, result.duration_seconds) == ("run-2", 9.5)

    def test_loses_no_message_when_two_units_share_a_name(self) -> None:
        failures = [report("x", "failed", error=ErrorReport(code="TG1", message=text)) for text in ("a", "b")]

        assert ExecutionResult.from_units(failures).errors == {"x": "a; b"}

    def test_of_no_units_has_succeeded_with_none(self) -> None:
        result = ExecutionResult.from_units([])

        assert result == ExecutionResult()
        assert (result.success_rate, result.exit_code) == (0.0, 0)

    @pytest.mark.parametrize(("status", "code"), [("succeeded", 0), ("skipped", 0), ("failed", 1)])
    def test_exits_with_1_only_when_something_failed(self, status: str, code: int) -> None:
        assert ExecutionResult.from_units([report("a"), report("b", status)]).exit_code == code

    def test_writes_itself_and_its_units_as_json(self) -> None:
        record = json.loads(json.dumps(ExecutionResult.from_units([report()]).to_dict()))

        assert record["success_rate"] == 100
        assert [unit["name"] for unit in record["units"]] == ["flights"]
