"""The chaos harness itself: it passes on a sound Tidegate, and it notices each kind of damage."""

from __future__ import annotations

import random
import subprocess
import sys
from dataclasses import replace

import deltalake
import polars as pl
import pytest

from chaos.cases import CASES
from chaos.compare import differences
from chaos.failpoints import FAILPOINTS
from chaos.feeds import Source
from chaos.project import Project
from tidegate import create_driver


def chaos(*arguments: str) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", "chaos", *arguments]
    return subprocess.run(command, capture_output=True, text=True, timeout=250, check=False)


class TestRun:
    """`python -m chaos` on one case each of Delta and plain files."""

    @pytest.mark.parametrize("case", ["merge-delta-partitioned", "append-parquet"])
    def test_killed_runs_leave_the_rows_of_an_undisturbed_one(self, case, tmp_path):
        ended = chaos("--short", "--case", case, "--kills", "3", "--seed", "7", "--folder", str(tmp_path))
        assert ended.returncode == 0, ended.stdout + ended.stderr
        assert " ok" in ended.stdout
        assert not list(tmp_path.iterdir()), "what passed is not kept"

    def test_every_failpoint_names_a_function_that_exists(self):
        code = "from chaos.failpoints import FAILPOINTS, arm\nfor name in FAILPOINTS: arm(name, 1_000_000)"
        ended = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
        assert ended.returncode == 0, ended.stderr
        assert len(FAILPOINTS) >= 12


@pytest.fixture
def loaded(request, tmp_path):
    """One increment, loaded by two projects of the case that the test names; and the check of their equality."""
    case = replace(CASES[request.param], rows=2_000)
    folders = [tmp_path / "calm", tmp_path / "disturbed"]
    projects = [Project(case=case, root=root, lake=root / "lake", sources=tmp_path / "sources") for root in folders]
    flow = case.flows[0]
    source = Source(flow=flow, folder=tmp_path / "sources" / flow.name, kept=tmp_path / "kept", rows=case.rows)
    source.arrive(0, random.Random(1))
    for project in projects:
        project.create()
        with create_driver(metadata_provider=project.metadata) as driver:
            assert driver.run().failed == 0

    def found() -> list[str]:
        return list(differences(projects[0], projects[1:], {flow.name: source}, 0))

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

    @pytest.mark.parametrize("loaded", ["append-jsonl"], indirect=True)
    def test_a_file_that_no_load_wrote(self, loaded):
        _, table, found = loaded
        original = next(table.glob("*/*.jsonl"))
        (original.parent / "copy.jsonl").write_bytes(original.read_bytes())
        assert any("visible, but in no load" in text for text in found())

    @pytest.mark.parametrize("loaded", ["merge-delta"], indirect=True)
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
        assert any("in the state store, 2 in the destination" in text for text in found())

    @pytest.mark.parametrize("loaded", ["append-delta"], indirect=True)
    def test_a_position_that_was_never_stored(self, loaded):
        project, _, found = loaded
        project.state_file.unlink()
        assert any("has no position" in text for text in found())
