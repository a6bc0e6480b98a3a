"""What `tidegate` offers, and what it costs to import."""

from __future__ import annotations

import inspect
import subprocess
import sys

import pytest

import tidegate

HEAVY = ("polars", "deltalake", "pyarrow", "pydantic", "sqlglot", "narwhals", "rich", "yaml", "duckdb")


class TestNames:
    def test_the_public_names_are_these(self) -> None:
        """A name that comes or goes changes the contract, and this list."""
        assert tidegate.__all__ == [
            "BaseCalendar",
            "ColumnCaseMode",
            "Connection",
            "DataFlow",
            "Destination",
            "Driver",
            "ExecutionResult",
            "FileMetadata",
            "Interval",
            "ReplayConfig",
            "RetryPolicy",
            "RunConfig",
            "SchemaHint",
            "Source",
            "TidegateError",
            "Transform",
            "Window",
            "check",
            "create_driver",
            "__version__",
        ]

    @pytest.mark.parametrize("name", tidegate.__all__)
    def test_every_name_can_be_imported(self, name: str) -> None:
        """Each public name leads to an object."""
        assert getattr(tidegate, name) is not None

    def test_an_unknown_name_is_an_attribute_error(self) -> None:
        """A misspelled name fails as in any module."""
        with pytest.raises(AttributeError, match="no attribute 'Drivr'"):
            _ = tidegate.Drivr

    @pytest.mark.parametrize("method", ["run", "run_dataflow"])
    def test_the_driver_runs_as_the_seed_documents(self, method: str) -> None:
        """`stage`, `dataflows` and `column_name_mode` are the first arguments, in this order."""
        parameters = inspect.signature(getattr(tidegate.Driver, method)).parameters
        assert list(parameters)[:4] == ["self", "stage", "dataflows", "column_name_mode"]

    def test_dataflows_load_as_the_seed_documents(self) -> None:
        """`stage`, `active_only` and `attach_schema_hints` may be given by position."""
        parameters = inspect.signature(tidegate.Driver.load_dataflows).parameters
        assert list(parameters)[:4] == ["self", "stage", "active_only", "attach_schema_hints"]


class TestImport:
    def test_importing_tidegate_loads_no_heavy_library(self) -> None:
        """Names are imported when they are used."""
        code = f"import sys, tidegate; print([name for name in {HEAVY} if name in sys.modules])"
        loaded = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout
        assert loaded.strip() == "[]"
