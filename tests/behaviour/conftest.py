"""Fixtures of the behaviour suite: a project in a folder, for one destination or for each of them."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from tests.behaviour.places import PLACES, Place, PlaceOf, mariadb_at, mongodb_at, postgresql_at
from tests.behaviour.project import Project

DESTINATIONS = ("delta", "iceberg", "parquet", "csv", "jsonl", "sqlite", "postgresql")
SERVERS = {"postgresql": "postgres_url", "mariadb": "mariadb_url"}
"""Kind of database → fixture of the URL of an empty one."""


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
def any_project(tmp_path: Path, destination_format: str, request: pytest.FixtureRequest) -> Project:
    """A project, for each format of destination."""
    return project_for(request, tmp_path, destination_format)


def project_for(request: pytest.FixtureRequest, root: Path, destination_format: str) -> Project:
    """Return a project whose destinations have this format, or are in a database of this kind."""
    server = SERVERS.get(destination_format)
    return Project(root, destination_format, url=request.getfixturevalue(server) if server else None)


@pytest.fixture(scope="session")
def place_of(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> PlaceOf:
    """Return the place of a kind; all tests of a worker share it."""
    places: dict[str, Place] = {}
    root = tmp_path_factory.mktemp("places")

    def made(kind: str) -> Place:
        match kind:
            case "postgresql":
                return postgresql_at(request.getfixturevalue("postgres_server").port)
            case "mariadb":
                return mariadb_at(request.getfixturevalue("mariadb_server").port)
            case "mongodb":
                return mongodb_at(request.getfixturevalue("mongodb_server").port)
            case _:
                (root / kind).mkdir()
                return PLACES[kind](root / kind)

    def place(kind: str) -> Place:
        if kind not in places:
            places[kind] = made(kind)
        return places[kind]

    return place


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
