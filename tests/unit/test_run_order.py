"""Which dataflow waits for which, and what starts when."""

from __future__ import annotations

import json
import os
import pty
import subprocess
import sys
import threading
from collections.abc import Sequence
from contextlib import suppress
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.unit.test_orchestration import report
from tidegate.errors import MetadataError
from tidegate.metadata.dependencies import contradicted, dependencies, find_cycle
from tidegate.models import Connection, DataFlow
from tidegate.orchestration.job_distributor import JobDistributor
from tidegate.orchestration.parallel_executor import ParallelExecutor
from tidegate.orchestration.run_order import (
    levels_of,
    limits_of,
    missing_upstreams,
    said_of_missing,
    stage_ranks,
    tasks_of,
)
from tidegate.orchestration.schedule import Ending, Schedule, Task

LANDING = Connection(name="landing", format="csv", configure={"base_path": "/data/landing"})
LAKE = Connection(name="lake", format="delta", configure={"base_path": "/data/lake"})
LAKE_FILES = Connection(name="lake_files", format="parquet", configure={"base_path": "/data/lake"})
TIDEGATE = str(Path(sys.executable).parent / "tidegate")
SHOP = Connection(name="shop", format="sql", database="shop", configure={"database_type": "postgresql"})


def flow(
    name: str,
    *,
    reads: str = "",
    of: Connection = LANDING,
    writes: str = "",
    to: Connection = LAKE,
    query: str | None = None,
    **fields: object,
) -> DataFlow:
    table = None if query else reads or name
    return DataFlow.model_validate(
        {
            "name": name,
            "source": {"connection": of, "table": table, "query": query},
            "destination": {"connection": to, "table": writes or name},
            **fields,
        }
    )


def edges(*flows: DataFlow) -> set[tuple[str, str, str]]:
    names = {one.dataflow_id: one.name for one in flows}
    return {(names[edge.upstream], names[edge.downstream], edge.reason) for edge in dependencies(flows)}


class TestDependencies:
    def test_depends_on_takes_names_and_ids(self) -> None:
        """Both are how a dataflow is called."""
        first, other = flow("a", dataflow_id="id-of-a"), flow("b")
        assert edges(first, other, flow("c", depends_on=["id-of-a", "b"])) == {
            ("a", "c", "declared"),
            ("b", "c", "declared"),
        }

    def test_what_is_not_part_of_the_run_is_not_waited_for(self) -> None:
        """It was run before, or elsewhere."""
        assert edges(flow("c", depends_on=["a"])) == set()

    @pytest.mark.parametrize("reads", ["bronze", "bronze/*.parquet", "bronze/year=2024", "*"])
    def test_reading_a_table_of_another_is_seen(self, reads: str) -> None:
        """The files of a Delta table are Parquet files in its folder."""
        upstream, downstream = flow("a", writes="bronze"), flow("b", reads=reads, of=LAKE_FILES, writes="silver")
        assert edges(upstream, downstream) == {("a", "b", "reads /data/lake/bronze")}

    def test_a_folder_above_is_read_with_what_is_in_it(self) -> None:
        """A glob over all tables waits for each of them."""
        flows = [
            flow("a", writes="raw/a"),
            flow("b", writes="raw/b"),
            flow("c", reads="raw", of=LAKE_FILES, writes="all"),
        ]
        assert {edge[:2] for edge in edges(*flows)} == {("a", "c"), ("b", "c")}

    def test_other_kinds_of_files_in_one_folder_are_not_read(self) -> None:
        """A reader of CSV files does not see a table."""
        csv_in_lake = Connection(name="notes", format="csv", configure={"base_path": "/data/lake"})
        assert edges(flow("a", writes="raw"), flow("b", reads="raw", of=csv_in_lake)) == set()

    def test_a_name_that_only_begins_the_same_is_another_folder(self) -> None:
        """`orders_old` is not inside `orders`."""
        assert edges(flow("a", writes="orders"), flow("b", reads="orders_old", of=LAKE_FILES)) == set()

    def test_a_query_names_the_tables_that_it_reads(self) -> None:
        """Joins and subqueries count, common table expressions are its own."""
        query = "WITH x AS (SELECT * FROM sales.orders) SELECT * FROM x JOIN public.people p ON p.id = x.id"
        flows = [
            flow(
                "orders",
                to=SHOP,
                writes="orders",
                destination={"connection": SHOP, "schema_name": "sales", "table": "orders"},
            ),
            flow("people", to=SHOP, destination={"connection": SHOP, "schema_name": "public", "table": "people"}),
            flow("x", to=SHOP, destination={"connection": SHOP, "table": "x"}),
            flow("report", of=SHOP, query=query, writes="report"),
        ]
        assert {edge[:2] for edge in edges(*flows)} == {("orders", "report"), ("people", "report")}

    def test_a_table_of_a_database_is_read_by_name(self) -> None:
        """Whatever the case."""
        flows = [flow("a", to=SHOP, writes="Orders"), flow("b", of=SHOP, reads="orders", writes="b")]
        assert edges(*flows) == {("a", "b", "reads table:shop.orders")}

    def test_a_dataflow_may_read_what_it_writes(self) -> None:
        """It waits for no other."""
        assert edges(flow("a", reads="x", of=LAKE_FILES, writes="x")) == set()

    def test_a_group_is_a_chain(self) -> None:
        """By execution order, and that is no reason to skip."""
        flows = [flow("b", group_number=1, execution_order=2), flow("a", group_number=1, execution_order=1)]
        (edge,) = dependencies(flows)
        assert (edge.upstream, edge.downstream, edge.is_needed) == (flows[1].dataflow_id, flows[0].dataflow_id, False)


class TestCycles:
    def test_a_cycle_is_shown_with_its_reasons(self) -> None:
        """Each step says why."""
        flows = [flow("a", depends_on="b", writes="a"), flow("b", depends_on="a", writes="b")]
        with pytest.raises(MetadataError, match=r"wait for each other") as caught:
            tasks_of(flows)
        assert caught.value.code == "TG131"
        assert "a (declared)" in caught.value.message
        assert "b (declared)" in caught.value.message

    def test_a_dataflow_does_not_wait_for_itself(self) -> None:
        with pytest.raises(MetadataError, match=r"a dataflow waits for itself: a → a \(declared\)") as caught:
            tasks_of([flow("a", depends_on=["a"])])
        assert caught.value.code == "TG131"

    def test_what_is_inferred_gives_way_to_what_is_declared(self) -> None:
        """A dataflow may read what one that needs it has written the last time."""
        flows = [flow("a", reads="b", of=LAKE_FILES, writes="a"), flow("b", depends_on="a", writes="b")]
        assert edges(*flows) == {("a", "b", "declared")}
        assert [edge.reason for edge in contradicted(flows)] == ["reads /data/lake/b"]

    def test_of_two_that_read_each_other_the_first_runs_first(self) -> None:
        """By stage, and then as they are declared."""
        one = flow("one", reads="y", of=LAKE_FILES, writes="x", stage="s1")
        other = flow("other", reads="x", of=LAKE_FILES, writes="y", stage="s2")
        assert edges(one, other) == {("one", "other", "reads /data/lake/x")}
        assert [task.key for task in tasks_of([one, other])][:2] == [one.dataflow_id, other.dataflow_id]

    def test_an_order_against_a_dependency_is_a_cycle(self) -> None:
        """A group that runs the reader first contradicts itself."""
        flows = [
            flow("reader", group_number=1, execution_order=1, depends_on="writer"),
            flow("writer", group_number=1, execution_order=2),
        ]
        with pytest.raises(MetadataError, match="execution_order in group 1"):
            tasks_of(flows)


class TestStages:
    def ranks(self, *flows: DataFlow) -> list[tuple[str, ...]]:
        return stage_ranks(flows, dependencies(flows))

    def test_they_come_as_they_appear(self) -> None:
        """Nothing says otherwise."""
        assert self.ranks(flow("a", stage="x"), flow("b", stage="y"), flow("c", stage="x")) == [("x",), ("y",)]

    def test_a_dependency_turns_them_around(self) -> None:
        """The stage that is needed comes first."""
        assert self.ranks(flow("a", stage="gold", depends_on="b"), flow("b", stage="silver")) == [
            ("silver",),
            ("gold",),
        ]

    def test_stages_that_need_each_other_have_no_barrier(self) -> None:
        """A stage may only be a label."""
        flows = [
            flow("a", stage="x"),
            flow("b", stage="y", depends_on="a"),
            flow("c", stage="x", depends_on="b"),
            flow("d", stage="z"),
        ]
        assert self.ranks(*flows) == [("x", "y"), ("z",)]


def run(
    tasks: Sequence[Task[DataFlow]], *, fails: Sequence[str] = (), workers: int = 4, stop_on_error: bool = False
) -> tuple[list[str], dict[str, str]]:
    """Run tasks; return the names in the order in which they began, and the reasons of those that were skipped."""
    began: list[str] = []
    skipped: dict[str, str] = {}

    def skip(one: DataFlow, reason: str) -> object:
        skipped[one.name] = reason
        return report(one, "skipped")

    def process(one: DataFlow) -> object:
        began.append(one.name)
        return report(one, "failed" if one.name in fails else "succeeded")

    ParallelExecutor(workers, stop_on_error).execute_tasks(tasks, process, skipped_fn=skip)
    return began, skipped


class TestOrder:
    """Defects 20 and 21."""

    def test_a_failed_upstream_skips_its_downstream(self) -> None:
        """And what is further down; others run."""
        flows = [flow("a"), flow("b", depends_on="a"), flow("c", depends_on="b"), flow("d")]
        began, skipped = run(tasks_of(flows), fails=["a"])
        assert sorted(began) == ["a", "d"]
        assert skipped == {"b": "upstream a failed", "c": "upstream b was skipped"}

    def test_a_stage_waits_for_the_stages_before_it(self) -> None:
        """Also where nothing depends on anything; a failure is no reason to skip."""
        flows = [flow("y1", stage="x"), flow("y2", stage="x"), flow("z1", stage="y"), flow("z2", stage="y")]
        began, skipped = run(tasks_of(flows), fails=["y1"])
        assert (sorted(began[:2]), sorted(began[2:]), skipped) == (["y1", "y2"], ["z1", "z2"], {})

    def test_a_failure_in_a_group_lets_the_group_go_on(self) -> None:
        """Its order is an order, and no more."""
        flows = [flow("a", group_number=1, execution_order=1), flow("b", group_number=1, execution_order=2)]
        assert run(tasks_of(flows), fails=["a"])[0] == ["a", "b"]

    def test_stop_on_error_starts_nothing_more(self) -> None:
        """Without groups too."""
        flows = [flow(f"f{number}") for number in range(20)]
        began, _ = run(tasks_of(flows), fails=["f3"], workers=1, stop_on_error=True)
        assert began == ["f0", "f1", "f2", "f3"]

    def test_a_connection_takes_as_many_as_it_says(self) -> None:
        """The others wait, and what uses another connection runs meanwhile."""
        small = Connection(name="small", format="csv", configure={"base_path": "/s", "max_concurrency": 2})
        flows = [*(flow(f"s{number}", of=small) for number in range(8)), *(flow(f"o{number}") for number in range(4))]
        running: set[str] = set()
        most: dict[str, int] = {"s": 0, "o": 0}
        lock, together = threading.Lock(), threading.Event()

        def process(one: DataFlow) -> object:
            with lock:
                running.add(one.name)
                for kind, before in most.items():
                    most[kind] = max(before, sum(name.startswith(kind) for name in running))
            together.wait(0.05)
            with lock:
                running.discard(one.name)
            return report(one)

        ParallelExecutor(8).execute_tasks(tasks_of(flows), process, limits=limits_of(flows))
        assert most["s"] == 2
        assert most["o"] > 2

    @given(st.data())
    def test_nothing_begins_before_what_it_waits_for_has_ended(self, data: st.DataObject) -> None:
        """Whatever the graph, the number of workers and the failures; and everything ends."""
        count = data.draw(st.integers(1, 12))
        needs = {
            str(number): {str(before): str(before) for before in data.draw(st.sets(st.integers(0, number - 1)))}
            if number
            else {}
            for number in range(count)
        }
        failing = {str(number) for number in data.draw(st.sets(st.integers(0, count - 1)))}
        limits = {"x": 1, "y": 2}
        uses = st.frozensets(st.sampled_from([*limits, "no limit"]))
        tasks = [Task(key=key, item=key, needs=before, uses=data.draw(uses)) for key, before in needs.items()]
        order = data.draw(st.permutations(tasks))
        ended: dict[str, str] = {}
        wrong: list[str] = []
        places = {used: threading.Semaphore(limit) for used, limit in limits.items()}

        def process(task: Task[str]) -> str:
            taken = [places[used] for used in task.uses & limits.keys()]
            wrong.extend(task.key for place in taken if not place.acquire(blocking=False))
            ending = end(task)
            for place in taken:
                place.release()
            return ending

        def end(task: Task[str]) -> str:
            if any(ended.get(before) != "succeeded" for before in needs[task.key]):
                wrong.append(task.key)
            ended[task.key] = "failed" if task.key in failing else "succeeded"
            return ended[task.key]

        def skip(task: Task[str], _: str) -> None:
            if all(ended.get(before) == "succeeded" for before in needs[task.key]):
                wrong.append(task.key)
            ended[task.key] = "skipped"

        Schedule(order, max_workers=data.draw(st.integers(1, 4)), limits=limits).run(process, skip)
        assert not wrong
        assert set(ended) == set(needs)

    def test_who_waits_for_a_connection_holds_nobody_up_and_keeps_its_turn(self) -> None:
        """What uses another one starts; and of those that wait the first is next."""
        uses = {"a": "x", "b": "x", "c": "y", "d": "x", "e": "no limit"}
        tasks = [Task(key=key, item=key, uses=frozenset({used})) for key, used in uses.items()]
        started: list[str] = []
        others_ran = threading.Event()

        def process(task: Task[str]) -> Ending:
            started.append(task.key)
            if task.key == "e":
                others_ran.set()
            return "succeeded" if task.key != "a" or others_ran.wait(30) else "failed"

        Schedule(tasks, max_workers=2, limits={"x": 1, "y": 1}).run(process, lambda *_: None)
        assert started == ["a", "c", "e", "b", "d"]


class TestStagesAndDependencies:
    def test_a_dataflow_without_a_stage_hands_on_what_it_waits_for(self) -> None:
        """Else a stage would wait for what waits for it, and nothing would run."""
        flows = [flow("b", stage="s1", depends_on="x"), flow("x", depends_on="a"), flow("a", stage="s2")]
        assert stage_ranks(flows, dependencies(flows)) == [("s2",), ("s1",)]
        assert run(tasks_of(flows))[0] == ["a", "x", "b"]

    def test_tasks_that_wait_for_each_other_are_an_error(self) -> None:
        """Never a run that ends well and did nothing."""
        tasks = [Task(key="a", item="a", after=frozenset("b")), Task(key="b", item="b", after=frozenset("a"))]
        with pytest.raises(RuntimeError, match="wait for each other: a, b"):
            Schedule(tasks, max_workers=1).run(lambda _: "succeeded", lambda *_: None)


class TestJobs:
    """Defect 27, and jobs whose dataflows need each other."""

    def test_groups_with_multiples_of_the_number_meet_in_one_job(self) -> None:
        """By the rule that metadata was written for; `balanced` shares them out."""
        flows = [flow(f"f{number}", group_number=number * 4) for number in range(8)]
        sizes = [len(JobDistributor(4, index).filter_dataflows(flows)) for index in range(4)]
        assert sizes == [8, 0, 0, 0]
        balanced = [JobDistributor(4, index, distribution="balanced").filter_dataflows(flows) for index in range(4)]
        assert [len(share) for share in balanced] == [2, 2, 2, 2]

    def test_balanced_keeps_together_what_belongs_together(self) -> None:
        """Dependencies, groups, and writers of one table; all jobs together run everything once."""
        flows = [
            flow("a"),
            flow("b", depends_on="a"),
            flow("c", group_number=1),
            flow("d", group_number=1),
            flow("e", writes="one"),
            flow("f", writes="one"),
            flow("g"),
            flow("h"),
        ]
        shares = [
            {one.name for one in JobDistributor(3, index, distribution="balanced").filter_dataflows(flows)}
            for index in range(3)
        ]
        assert sorted(name for share in shares for name in share) == sorted(one.name for one in flows)
        for pair in ({"a", "b"}, {"c", "d"}, {"e", "f"}):
            assert any(pair <= share for share in shares)

    def test_what_another_job_runs_is_known(self) -> None:
        """So that it can be told: of many some by name."""
        flows = [flow("a"), flow("b", depends_on="a")]
        assert missing_upstreams(flows[1:], flows) == {"b": ["a"]}
        assert said_of_missing({"b": ["a"]}) == "1 dataflow does not wait for what another job runs: b needs a"
        assert said_of_missing({f"b{number}": ["a"] for number in range(2000)}).endswith("; and 1,995 more")

    @pytest.mark.parametrize("shown", ["json lines", "table"])
    @pytest.mark.parametrize("distribution", ["hash", "balanced"])
    def test_a_dependency_that_jobs_cut_is_told_on_stderr(self, tmp_path: Path, distribution: str, shown: str) -> None:
        """By the job of the dataflow that does not wait; `balanced` cuts none."""
        connections = [
            {"name": name, "format": "csv", "configure": {"base_path": str(tmp_path / name)}}
            for name in ("landing", "lake")
        ]
        flows = [
            {"name": name, "source": {"connection": "landing", "table": "t"},
             "destination": {"connection": "lake", "table": name}, "depends_on": needs, "group_number": group}
            for group, (name, needs) in enumerate([("one", []), ("two", ["one"])])
        ]  # fmt: skip
        if distribution == "balanced":
            flows = [{**one, "group_number": None} for one in flows]
        (tmp_path / "tidegate.json").write_text(json.dumps({"connections": connections, "dataflows": flows}))
        (tmp_path / "landing/t").mkdir(parents=True)
        (tmp_path / "landing/t/1.csv").write_text("id\n1\n")
        told = [
            _stderr_of(
                *("run", str(tmp_path), "--job-num", "2", "--job-index", str(index), "--distribution", distribution),
                on_terminal=shown == "table",
            )
            for index in (0, 1)
        ]
        message = "1 dataflow does not wait for what another job runs: two needs one"
        assert [message in text for text in told] == [False, distribution == "hash"]
        if distribution == "hash":
            assert "--distribution balanced" in told[1]
            assert '"level": "warning"' in told[1] or "warning" in told[1].split(message)[0]


def _stderr_of(*arguments: str, on_terminal: bool) -> str:
    """Call the command line in a process of its own, and return what it writes to stderr; with a terminal, as words."""
    if not on_terminal:
        return subprocess.run([TIDEGATE, *arguments], capture_output=True, text=True, check=True).stderr
    ours, theirs = pty.openpty()
    environment = {**os.environ, "TERM": "xterm", "NO_COLOR": "1", "COLUMNS": "200"}
    with subprocess.Popen([TIDEGATE, *arguments], stderr=theirs, stdout=subprocess.DEVNULL, env=environment):
        os.close(theirs)
        text = b""
        with suppress(OSError):  # how a terminal says that its last writer has gone
            while more := os.read(ours, 65536):
                text += more
    os.close(ours)
    return text.decode().replace("\r\n", "\n")


def test_levels_count_what_comes_before() -> None:
    """For the drawing."""
    flows = [flow("a"), flow("b", depends_on="a"), flow("c", depends_on=["a", "b"])]
    levels = levels_of(flows, dependencies(flows))
    assert [levels[one.dataflow_id] for one in flows] == [0, 1, 2]
    assert find_cycle(flows, dependencies(flows)) == []
