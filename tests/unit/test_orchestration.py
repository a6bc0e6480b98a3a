"""Distribution, parallel execution and retries, as the seed documents them."""

from __future__ import annotations

import threading
from datetime import UTC, datetime

import pytest

from tidegate.errors import CommitConflictError, ConfigurationError
from tidegate.models import DataFlow
from tidegate.orchestration.job_distributor import JobDistributor
from tidegate.orchestration.parallel_executor import ParallelExecutor
from tidegate.orchestration.retry_handler import RetryHandler
from tidegate.reporting import UnitReport

NOW = datetime(2026, 1, 1, tzinfo=UTC)


def flow(name: str, group: int | None = None, order: int | None = None, **fields: object) -> DataFlow:
    ends = {"source": {"connection_name": "a", "table": name}, "destination": {"connection_name": "b", "table": name}}
    return DataFlow.model_validate({"name": name, "group_number": group, "execution_order": order, **ends, **fields})


def report(dataflow: DataFlow, status: str = "succeeded") -> UnitReport:
    return UnitReport(
        run_id="r", dataflow_id=dataflow.dataflow_id, name=dataflow.name, status=status, started_at=NOW, ended_at=NOW
    )


class TestJobDistributor:
    def test_every_dataflow_belongs_to_exactly_one_job(self) -> None:
        """The jobs together run all dataflows, none of them twice."""
        flows = [flow(f"f{number}") for number in range(50)]
        shares = [JobDistributor(4, index).filter_dataflows(flows) for index in range(4)]
        assert sorted(one.name for share in shares for one in share) == sorted(one.name for one in flows)
        assert all(shares)

    def test_a_group_goes_to_the_job_of_its_number(self) -> None:
        """`group_number % job_num` keeps a group together."""
        assert JobDistributor(4, 2).should_process(flow("f", group=6))
        assert not JobDistributor(4, 1).should_process(flow("f", group=6))

    def test_groups_are_in_execution_order(self) -> None:
        """Grouped dataflows come sorted, the others under None."""
        flows = [flow("b", 1, 2), flow("a", 1, 1), flow("c")]
        jobs = JobDistributor()
        assert [one.name for one in jobs.get_grouped_dataflows(flows)[1]] == ["a", "b"]
        assert [one.name for one in jobs.get_independent_dataflows(flows)] == ["c"]
        assert set(jobs.group_dataflows(flows)) == {1, None}

    def test_an_index_that_is_no_job_is_refused(self) -> None:
        """Job 4 of 4 would run nothing."""
        with pytest.raises(ConfigurationError, match="not one of the 4 jobs"):
            JobDistributor(4, 4)


class TestParallelExecutor:
    def test_a_group_runs_in_order(self) -> None:
        """A dataflow of a group starts when the one before it has ended."""
        seen: list[str] = []
        flows = [flow(f"f{number}", 1, number) for number in range(5)]

        def process(one: DataFlow) -> UnitReport:
            seen.append(one.name)
            return report(one)

        assert ParallelExecutor(4).execute_with_groups({1: flows}, process).succeeded == 5
        assert seen == [one.name for one in flows]

    def test_independent_dataflows_run_side_by_side(self) -> None:
        """Two that wait for each other both end."""
        together = threading.Barrier(2, timeout=10)

        def process(one: DataFlow) -> UnitReport:
            together.wait()
            return report(one)

        assert ParallelExecutor(2).execute([flow("a"), flow("b")], process).succeeded == 2

    def test_stop_on_error_starts_nothing_more(self) -> None:
        """What comes after the first failure is not in the result."""
        flows = [flow("a"), flow("b"), flow("c")]
        done: list[str] = []
        result = ParallelExecutor(stop_on_error=True).execute_sequential(
            flows,
            lambda one: report(one, "failed" if one.name == "b" else "succeeded"),
            lambda unit: done.append(unit.name),
        )
        assert (result.total, result.failed, done) == (2, 1, ["a", "b"])


class TestRetryHandler:
    def test_only_what_may_pass_is_tried_again(self) -> None:
        """A conflict is retried, a wrong configuration is not."""
        errors = iter([CommitConflictError("busy"), TimeoutError()])

        def work() -> str:
            for error in errors:
                raise error
            return "done"

        handler = RetryHandler(retry_count=2, retry_delay=0)
        assert handler.max_attempts == 3
        assert handler.execute(work) == ("done", 3)

        calls: list[int] = []

        def wrong() -> None:
            calls.append(1)
            raise ConfigurationError("wrong")

        with pytest.raises(ConfigurationError):
            handler.execute(wrong)
        assert len(calls) == 1
