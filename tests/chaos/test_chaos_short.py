"""The chaos harness itself: it passes on a sound Tidegate, and it notices each kind of damage."""

from __future__ import annotations

import json
import subprocess
import sys
from dataclasses import replace

import deltalake
import polars as pl
import pytest

from chaos import foreign
from chaos.compare import differences
from chaos.failpoints import on_the_way_of
from chaos.feeds import Source
from chaos.matrix import CASES
from chaos.project import Project
from tidegate import create_driver
from tidegate.destinations import table_registry


def chaos(*arguments: object) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", "chaos", *map(str, arguments)]
    return subprocess.run(command, capture_output=True, text=True, timeout=250, check=False)


class TestRun:
    """`python -m chaos` on one case each of Delta, Iceberg and plain files."""

    @pytest.mark.parametrize("case", ["merge-upsert-partitioned-delta", "scd2-iceberg", "append-parquet"])
    def test_killed_runs_leave_the_rows_of_an_undisturbed_one(self, case, tmp_path):
        report, folder = tmp_path / "report.md", tmp_path / "folder"
        folder.mkdir()
        ended = chaos(
            "--short", "--case", case, "--kills", "2", "--seed", "7", "--folder", folder, "--markdown", report
        )
        assert ended.returncode == 0, ended.stdout + ended.stderr
        assert " ok" in ended.stdout
        assert f"| {case} |" in report.read_text()
        assert not list(folder.iterdir()), "what passed is not kept"

    def test_the_result_can_be_had_as_json(self, tmp_path):
        case = ["--case", "append-csv", "--kills", "1", "--seed", "7", "--folder", tmp_path]
        ended = chaos("--short", *case, "--output", "json")
        result = json.loads(ended.stdout)
        assert result["ok"], ended.stdout
        assert result["seed"] == 7
        assert [each["case"] for each in result["cases"]] == ["append-csv"]

    def test_every_failpoint_names_a_function_that_exists(self):
        code = "from chaos.failpoints import COMPACTION, FAILPOINTS, arm\nfor name in FAILPOINTS: arm(name, 1_000_000)"
        ended = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
        assert ended.returncode == 0, ended.stderr

    @pytest.mark.parametrize("case", [case for case in CASES.values() if case.sweeps], ids=lambda case: case.name)
    def test_every_strategy_and_destination_has_at_least_twelve_failpoints(self, case):
        assert len(on_the_way_of(case.flows)) >= 12

    def test_every_load_type_of_every_destination_has_a_case(self):
        cased = {(flow.format, flow.strategy.load_type) for case in CASES.values() for flow in case.flows}
        served = {"mongodb"}  # it needs a server: tests/behaviour/test_mongodb.py kills its loads at every step
        for name in set(table_registry.list_plugins()) - served:
            load_types = table_registry.load(name).load_types - {"full_load"}  # another name of overwrite
            assert {(name, load_type) for load_type in load_types} <= cased

    def test_a_seed_repeats_the_sources(self, tmp_path):
        flow = CASES["scd2-delta"].flows[0]
        for name in ("first", "second"):
            source = Source(flow=flow, folder=tmp_path / name, rows=200, seed=3)
            for number in range(3):
                source.arrive(number)
        for file in sorted((tmp_path / "first").iterdir()):
            assert pl.read_parquet(file).equals(pl.read_parquet(tmp_path / "second" / file.name))


@pytest.fixture
def loaded(request, tmp_path):
    """One increment, loaded by two projects of the case that the test names; and the check of their equality."""
    case = replace(CASES[request.param], rows=1_000)
    folders = [tmp_path / "calm", tmp_path / "disturbed"]
    projects = [Project(case=case, root=root, lake=root / "lake", sources=tmp_path / "sources") for root in folders]
    flow = case.flows[0]
    source = Source(flow=flow, folder=tmp_path / "sources" / flow.name, rows=case.rows, seed=1)
    for project in projects:
        project.create()
    for number in range(2):
        source.arrive(number)
        for project in projects:
            with create_driver(metadata_provider=project.metadata) as driver:
                assert driver.run().failed == 0

    def found() -> list[str]:
        return list(differences(projects[0], projects[1:], {flow.name: source}, 1))

    assert found() == []
    return projects[1], projects[1].table(flow), found


class TestDamageIsNoticed:
    """A harness that cannot fail proves nothing."""

    @pytest.mark.parametrize("loaded", ["append-delta"], indirect=True)
    def test_a_row_that_is_there_twice(self, loaded):
        _, table, found = loaded
        rows = pl.read_delta(str(table)).head(1)
        rows.write_delta(str(table), mode="append")
        assert any("0 lost, 1 too many" in text for text in found())

    @pytest.mark.parametrize("loaded", ["append-delta"], indirect=True)
    def test_an_active_file_that_is_gone(self, loaded):
        _, table, found = loaded
        next(table.glob("*.parquet")).unlink()
        with pytest.raises(FileNotFoundError):
            found()

    @pytest.mark.parametrize("loaded", ["append-parquet"], indirect=True)
    def test_a_file_that_was_lost(self, loaded):
        _, table, found = loaded
        next(table.glob("*.parquet")).unlink()
        texts = found()
        assert any(" lost, 0 too many" in text for text in texts)
        assert any("committed, but absent" in text for text in texts)

    @pytest.mark.parametrize("loaded", ["append-partitioned-jsonl"], indirect=True)
    def test_a_file_that_no_load_wrote(self, loaded):
        _, table, found = loaded
        original = next(table.glob("*/*.jsonl"))
        (original.parent / "copy.jsonl").write_bytes(original.read_bytes())
        assert any("visible, but in no load" in text for text in found())

    @pytest.mark.parametrize("loaded", ["merge-upsert-delta"], indirect=True)
    def test_a_sequence_that_the_state_store_does_not_know(self, loaded):
        project, table, found = loaded
        flow = project.case.flows[0]
        state = project.state(flow)
        properties = deltalake.CommitProperties(
            app_transactions=[deltalake.Transaction(state.dataflow_id, state.sequence + 1)]
        )
        deltalake.write_deltalake(
            str(table), pl.read_delta(str(table)).clear().to_arrow(), mode="append", commit_properties=properties
        )
        assert any("in the state store, 3 in the destination" in text for text in found())

    @pytest.mark.parametrize("loaded", ["scd2-delta"], indirect=True)
    def test_a_version_that_ends_too_late(self, loaded):
        _, table, found = loaded
        rows = pl.read_delta(str(table)).with_columns(pl.col("__valid_to").dt.offset_by("1s"))
        rows.write_delta(str(table), mode="overwrite")
        assert any(" lost, " in text for text in found())

    @pytest.mark.parametrize("loaded", ["merge-delete-soft-delta"], indirect=True)
    def test_a_row_whose_mark_of_deletion_was_lost(self, loaded):
        _, table, found = loaded
        rows = pl.read_delta(str(table))
        unmarked = rows.with_columns(pl.lit(None, rows.schema["__deleted_at"]).alias("__deleted_at"))
        unmarked.write_delta(str(table), mode="overwrite")
        assert any(" lost, " in text for text in found())

    @pytest.mark.parametrize("loaded", ["append-iceberg"], indirect=True)
    def test_a_row_that_is_twice_in_an_iceberg_table(self, loaded):
        _, table, found = loaded
        opened = foreign.open_iceberg(table)
        opened.append(opened.scan(limit=1).to_arrow())
        assert any("0 lost, 1 too many" in text for text in found())

    @pytest.mark.parametrize("loaded", ["append-iceberg"], indirect=True)
    def test_a_file_that_an_iceberg_table_lists_and_that_is_gone(self, loaded):
        _, table, found = loaded
        next(table.rglob("*.parquet")).unlink()
        with pytest.raises(FileNotFoundError):
            found()

    @pytest.mark.parametrize("loaded", ["append-delta"], indirect=True)
    def test_a_position_that_was_never_stored(self, loaded):
        project, _, found = loaded
        project.state_file.unlink()
        assert any("has no position" in text for text in found())
