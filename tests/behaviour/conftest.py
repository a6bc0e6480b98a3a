"""Fixtures of the behaviour suite: a project in a folder, for one destination or for each of them."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

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


@pytest.fixture
def once_before(monkeypatch: pytest.MonkeyPatch) -> Callable[[Any, str, Callable[[], object]], None]:
    """Do something once, right before a method is called for the first time."""

    def patch(owner: Any, method: str, action: Callable[[], object]) -> None:
        original, done = getattr(owner, method), []

        def wrapped(*args: Any, **options: Any) -> Any:
            if not done:
                done.append(True)
                action()
            return original(*args, **options)

        monkeypatch.setattr(owner, method, wrapped)

    return patch
