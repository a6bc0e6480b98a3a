"""Fixtures of the behaviour suite: a project in a folder, for one destination or for each of them."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.behaviour.project import Project

DESTINATIONS = ("delta", "iceberg", "parquet", "csv", "jsonl")


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Turn the markers of a destination that cannot into strict xfails: one that starts to work fails its marker."""
    for item in items:
        callspec = getattr(item, "callspec", None)
        destination = callspec.params.get("destination_format") if callspec else None
        for kind in ("notimpl", "notyet", "never"):
            for marker in item.iter_markers(kind):
                if destination in marker.args[0]:
                    item.add_marker(pytest.mark.xfail(reason=f"{kind}: {marker.kwargs['reason']}", strict=True))


@pytest.fixture
def project(tmp_path: Path) -> Project:
    """A project whose destinations are Delta tables."""
    return Project(tmp_path)


@pytest.fixture(params=DESTINATIONS)
def destination_format(request: pytest.FixtureRequest) -> str:
    """Each format of destination."""
    return str(request.param)


@pytest.fixture
def any_project(tmp_path: Path, destination_format: str) -> Project:
    """A project, for each format of destination."""
    return Project(tmp_path, destination_format)
