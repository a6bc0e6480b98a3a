"""Fixtures of every suite: real servers."""

from __future__ import annotations

import uuid
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.services import Server, UnavailableError, end_servers, shared_postgres, unavailable


def pytest_sessionfinish(session: pytest.Session) -> None:
    """End the servers, once all workers are done."""
    if not hasattr(session.config, "workerinput"):
        end_servers(session.config._tmp_path_factory.getbasetemp())  # type: ignore[attr-defined]


@pytest.fixture(scope="session")
def session_folder(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder that all workers of this session share."""
    own = tmp_path_factory.getbasetemp()
    return own.parent if hasattr(request.config, "workerinput") else own


@pytest.fixture(scope="session")
def postgres_server(session_folder: Path) -> Server:
    """A PostgreSQL server, one for all workers."""
    pytest.importorskip("psycopg", reason="psycopg is not installed")
    try:
        return shared_postgres(session_folder)
    except UnavailableError as error:
        unavailable("PostgreSQL", error)


@pytest.fixture
def postgres_url(postgres_server: Server) -> Iterator[str]:
    """The URL of an empty database of this test's own."""
    import psycopg

    name = f"test_{uuid.uuid4().hex}"
    server = f"postgresql://postgres@127.0.0.1:{postgres_server.port}"
    with psycopg.connect(f"{server}/postgres", autocommit=True) as connection:
        connection.execute(f"CREATE DATABASE {name}")
        yield f"{server}/{name}"
        connection.execute(f"DROP DATABASE {name} WITH (FORCE)")
