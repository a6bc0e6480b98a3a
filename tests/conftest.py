"""Fixtures of every suite: real servers."""

from __future__ import annotations

import uuid
from collections.abc import Iterator
from pathlib import Path

import pytest
from hypothesis import settings

from tests.services import (
    Server,
    UnavailableError,
    end_servers,
    shared_azurite,
    shared_mariadb,
    shared_mongodb,
    shared_moto,
    shared_postgres,
    unavailable,
)

settings.register_profile("tidegate", deadline=None)  # no test is timed
settings.load_profile("tidegate")


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


@pytest.fixture(scope="session")
def mariadb_server(session_folder: Path) -> Server:
    """A MariaDB server, one for all workers."""
    pytest.importorskip("pymysql", reason="pymysql is not installed")
    try:
        return shared_mariadb(session_folder)
    except UnavailableError as error:
        unavailable("MariaDB", error)


@pytest.fixture
def mariadb_url(mariadb_server: Server) -> Iterator[str]:
    """The URL of an empty database of this test's own."""
    import pymysql

    name = f"test_{uuid.uuid4().hex}"
    with pymysql.connect(host="127.0.0.1", port=mariadb_server.port, user="root", autocommit=True) as connection:
        connection.query(f"CREATE DATABASE {name}")
        yield f"mysql://root@127.0.0.1:{mariadb_server.port}/{name}"
        connection.query(f"DROP DATABASE {name}")


@pytest.fixture(scope="session")
def mongodb_server(session_folder: Path) -> Server:
    """A MongoDB server, a replica set of one node, one for all workers."""
    pytest.importorskip("pymongo", reason="pymongo is not installed")
    try:
        return shared_mongodb(session_folder)
    except UnavailableError as error:
        unavailable("MongoDB", error)


@pytest.fixture
def mongodb_url(mongodb_server: Server) -> Iterator[str]:
    """The URL of an empty database of this test's own."""
    from pymongo import MongoClient

    name = f"test_{uuid.uuid4().hex}"
    with MongoClient(f"mongodb://127.0.0.1:{mongodb_server.port}/?replicaSet=rs0") as client:
        yield f"mongodb://127.0.0.1:{mongodb_server.port}/{name}?replicaSet=rs0"
        client.drop_database(name)


@pytest.fixture(scope="session")
def moto_url(session_folder: Path) -> str:
    """The address of an AWS server, one for all workers: S3 and more, with any credentials."""
    try:
        return f"http://127.0.0.1:{shared_moto(session_folder).port}"
    except UnavailableError as error:
        unavailable("moto", error)


@pytest.fixture(scope="session")
def azurite_url(session_folder: Path) -> Iterator[str]:
    """The address of an Azure blob server's well-known account, one for all workers."""
    try:
        address = f"http://127.0.0.1:{shared_azurite(session_folder).port}"
    except UnavailableError as error:
        unavailable("Azurite", error)
    with pytest.MonkeyPatch.context() as environment:
        environment.setenv("AZURITE_BLOB_STORAGE_URL", address)  # where `use_emulator` looks for it
        yield f"{address}/devstoreaccount1"
