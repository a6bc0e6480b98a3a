"""What a run does around its loads: recovery, secrets, profiles, dry runs, reports."""

from __future__ import annotations

import shutil
from pathlib import Path

import polars as pl
import pytest
from deltalake import DeltaTable

from tidegate import Connection, DataFlow, Destination, FileMetadata, Source, create_driver
from tidegate.reporting import ExecutionResult
from tidegate.state import SQLiteStateStore, state_path_of

PROJECT = """
variables: {lake: lake}
profiles:
  prod: {variables: {lake: lake-prod}}
connections:
  - {name: landing, format: csv, configure: {base_path: in}}
  - {name: lake, format: delta, configure: {base_path: "${var:lake}"}}
dataflows:
  - name: orders
    source: {connection_name: landing, table: orders, watermark_columns: [id]}
    destination: {connection_name: lake, table: orders}
"""


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """A project with one dataflow and two rows."""
    (tmp_path / "in/orders").mkdir(parents=True)
    (tmp_path / "in/orders/1.csv").write_text("id\n1\n2\n")
    (tmp_path / "tidegate.yaml").write_text(PROJECT)
    return tmp_path


def load(folder: Path, profile: str | None = None, **options: object) -> ExecutionResult:
    with create_driver(metadata_provider=folder, profile=profile, **options) as driver:
        return driver.run()


def ids(folder: Path, lake: str = "lake") -> list[int]:
    return sorted(pl.read_delta(str(folder / lake / "orders"))["id"])


class TestRestore:
    def test_a_restored_table_is_noticed_and_rebuilt_from(self, folder: Path) -> None:
        """RESTORE keeps the sequence in the log; going on from the stored position would leave a gap."""
        load(folder)
        (folder / "in/orders/2.csv").write_text("id\n3\n")
        load(folder)
        DeltaTable(str(folder / "lake/orders")).restore(0)
        result = load(folder)
        assert result.units[0].error is not None
        assert result.units[0].error.code == "TG506"
        assert ids(folder) == [1, 2]

        from tidegate.orchestration.rebuild import rebuild
        from tidegate.platforms.local import LocalPlatform

        store = SQLiteStateStore(state_path_of(folder, None))
        list(rebuild(FileMetadata(folder).get_dataflows(), store=store, platform=LocalPlatform()))
        store.close()
        assert load(folder).failed == 0
        assert ids(folder) == [1, 2, 3]


class TestRecovery:
    def test_the_position_of_a_namesake_is_not_taken_over(self, folder: Path, tmp_path: Path) -> None:
        """Two projects with a dataflow of one name and one table do not skip each other's rows."""
        load(folder)
        other = tmp_path / "other"
        (other / "in/orders").mkdir(parents=True)
        (other / "in/orders/1.csv").write_text("id\n1\n")
        (other / "tidegate.yaml").write_text(PROJECT.replace("lake: lake}", f"lake: {folder}/lake}}"))
        error = load(other).units[0].error
        assert error is not None
        assert error.code == "TG412"
        assert ids(folder) == [1, 2]


class TestProfiles:
    def test_each_profile_has_its_own_state(self, folder: Path) -> None:
        """An environment does not move the position of another."""
        load(folder)
        assert load(folder, "prod").units[0].rows_out == 2
        assert load(folder).units[0].rows_out == 0
        assert ids(folder) == ids(folder, "lake-prod") == [1, 2]


class TestSecrets:
    def test_a_missing_secret_fails_only_its_dataflow(self, folder: Path) -> None:
        """The other dataflows of the run are loaded."""
        landing = Connection(name="landing", format="csv", configure={"base_path": str(folder / "in")})
        secret = landing.model_copy(
            update={
                "name": "secret",
                "connection_id": "secret",
                "configure": {**landing.configure, "password": "NOWHERE"},
                "secrets_ref": {"env:TIDEGATE_TEST_": ("password",)},
            }
        )
        lake = Connection(name="lake", format="delta", configure={"base_path": str(folder / "lake")})
        flows = [
            DataFlow(
                name=connection.name,
                source=Source(connection_name=connection.name, connection=connection, table="orders"),
                destination=Destination(connection_name="lake", connection=lake, table=connection.name),
            )
            for connection in (landing, secret)
        ]
        with create_driver(root=folder) as driver:
            result = driver.run(dataflows=flows)
        assert [unit.status for unit in result.units] == ["succeeded", "failed"]
        assert result.units[1].error is not None
        assert result.units[1].error.code == "TG605"


class TestDryRun:
    def test_a_dry_run_says_what_it_would_do_and_does_nothing(self, folder: Path) -> None:
        """No table, no lease, no position."""
        result = load(folder, dry_run=True)
        assert (result.skipped, result.failed) == (1, 0)
        assert "1 of 1 file" in (result.units[0].detail or "")
        assert not (folder / "lake").exists()
        assert not (folder / ".tidegate").exists()


class TestReports:
    def test_dataflows_of_one_name_are_reported_each(self, folder: Path) -> None:
        """A failure is not hidden behind a namesake's success."""
        flow = FileMetadata(folder).get_dataflows()[0]
        lost = flow.model_copy(update={"dataflow_id": "lost", "source": flow.source.model_copy(update={"table": "no"})})
        with create_driver(root=folder) as driver:
            result = driver.run(dataflows=[flow, lost])
        assert [unit.status for unit in result.units] == ["succeeded", "failed"]
        assert result.exit_code == 1

    def test_a_lost_state_store_is_recovered_from_the_table(self, folder: Path) -> None:
        """Nothing is loaded twice."""
        load(folder)
        shutil.rmtree(folder / ".tidegate")
        unit = load(folder).units[0]
        assert (unit.status, unit.rows_out, unit.detail) == ("succeeded", 0, "recovered load 1; nothing new")
        assert ids(folder) == [1, 2]
