"""Iceberg catalogs: the one of its own, declared ones, and what is said when one is missing.

The REST catalog stands on a small server of this file: PyIceberg's own client talks HTTP to it, and it keeps tables in
PyIceberg's SQL catalog. No REST catalog server can be had as a Python package.
"""

from __future__ import annotations

import json
import subprocess
import sys
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pytest
from pyiceberg.catalog.rest import CreateTableRequest
from pyiceberg.catalog.sql import SqlCatalog
from pyiceberg.exceptions import CommitFailedException, NoSuchNamespaceError, NoSuchTableError, TableAlreadyExistsError
from pyiceberg.table import CommitTableRequest, Table

from tests.behaviour.project import Project, tree
from tidegate import Connection, DataFlow, Destination


@pytest.fixture
def project(tmp_path: Path) -> Project:
    """A project whose destinations are Iceberg tables."""
    return Project(tmp_path, "iceberg")


class RestServer:
    """The part of the REST catalog protocol that loads use, over a SQL catalog."""

    def __init__(self, folder: Path) -> None:
        folder.mkdir()
        self.catalog = SqlCatalog("served", uri=f"sqlite:///{folder}/served.db", warehouse=f"file://{folder}")
        self.commits = 0
        self.fail_after_commit = 0
        """Commits whose answer is an error of the server, though they got in."""
        server = self
        lock = threading.Lock()

        class Handler(BaseHTTPRequestHandler):
            def do_GET(self) -> None:
                self._answer()

            def do_HEAD(self) -> None:
                self._answer()

            def do_POST(self) -> None:
                self._answer()

            def log_message(self, *_: Any) -> None:
                """Nothing is logged."""

            def _answer(self) -> None:
                assert self.headers["Authorization"] == "Bearer s3cret"
                body = self.rfile.read(int(self.headers.get("Content-Length", 0)))
                with lock:
                    status, answer = server.answer(self.command, self.path.split("?")[0].split("/")[2:], body)
                data = json.dumps(answer).encode() if isinstance(answer, dict) else answer
                self.send_response(status)
                self.send_header("Content-Length", str(len(data)))
                self.end_headers()
                if self.command != "HEAD":
                    self.wfile.write(data)

        self.http = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        threading.Thread(target=self.http.serve_forever, daemon=True).start()

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.http.server_address[1]}"

    def answer(self, method: str, path: list[str], body: bytes) -> tuple[int, Any]:
        """Return status and content."""
        try:
            match method, path:
                case "GET", ["config"]:
                    return 200, {"defaults": {}, "overrides": {}}
                case "GET" | "HEAD", ["namespaces", name]:
                    return 200, {"namespace": [name], "properties": self.catalog.load_namespace_properties(name)}
                case "POST", ["namespaces"]:
                    self.catalog.create_namespace(tuple(json.loads(body)["namespace"]))
                    return 200, json.loads(body)
                case "GET", ["namespaces", name, "tables", table]:
                    return 200, _loaded(self.catalog.load_table((name, table)))
                case "POST", ["namespaces", name, "tables"]:
                    return 200, self._staged(name, CreateTableRequest(**{"location": None, **json.loads(body)}))
                case "POST", ["namespaces", name, "tables", table]:
                    return self._committed((name, table), CommitTableRequest.model_validate_json(body))
        except (NoSuchTableError, NoSuchNamespaceError) as error:
            return _error(404, error)
        except (CommitFailedException, TableAlreadyExistsError) as error:
            return _error(409, error)
        raise AssertionError((method, path))

    def _staged(self, namespace: str, request: CreateTableRequest) -> bytes:
        assert request.stage_create
        transaction = self.catalog.create_table_transaction(
            (namespace, request.name),
            request.table_schema,
            request.location,
            request.partition_spec,  # type: ignore[arg-type]  # always sent
            properties={},
        )
        return b'{"metadata":%s,"config":{}}' % transaction.table_metadata.model_dump_json().encode()

    def _committed(self, identifier: tuple[str, str], request: CommitTableRequest) -> tuple[int, Any]:
        self.commits += 1
        named = Table(identifier, None, "", None, self.catalog)  # type: ignore[arg-type]  # only its name is looked at
        self.catalog.commit_table(named, request.requirements, request.updates)
        if self.fail_after_commit >= self.commits:
            return _error(504, TimeoutError("the answer was lost"))
        return 200, _loaded(self.catalog.load_table(identifier))


def _loaded(table: Table) -> bytes:
    metadata = table.metadata.model_dump_json().encode()
    return b'{"metadata-location":%s,"metadata":%s,"config":{}}' % (
        json.dumps(table.metadata_location).encode(),
        metadata,
    )


def _error(status: int, error: Exception) -> tuple[int, dict[str, Any]]:
    return status, {"error": {"message": str(error), "type": type(error).__name__, "code": status}}


@pytest.fixture
def server(tmp_path: Path) -> Iterator[RestServer]:
    """A REST catalog."""
    server = RestServer(tmp_path / "served")
    yield server
    server.http.shutdown()
    server.http.server_close()
    server.catalog.close()


def into(flow: DataFlow, connection: Connection, schema_name: str | None = None) -> DataFlow:
    """Return the flow with another destination."""
    destination = Destination(
        connection=connection,
        table="events",
        schema_name=schema_name,
        load_type=flow.destination.load_type,
        merge_keys=flow.destination.merge_keys,
    )
    return flow.model_copy(update={"destination": destination})


class TestRest:
    def connection(self, server: RestServer, **settings: Any) -> Connection:
        """Declare the server's catalog."""
        configure = {"catalog_type": "rest", "url": server.url, "token": "s3cret", "database": "sales", **settings}
        return Connection(name="rest", format="iceberg", configure=configure)

    @pytest.mark.parametrize("load_type", ["append", "merge_upsert", "overwrite"])
    def test_loads(self, project: Project, server: RestServer, load_type: str) -> None:
        """Tables are created and loaded through a REST catalog, in the place that it gives them."""
        keys = ["id"] if load_type == "merge_upsert" else []
        flow = into(project.flow(load_type=load_type, keys=keys), self.connection(server))
        project.csv("events/a.csv", "id,x", "1,a", "2,b")
        project.load(flow)
        project.csv("events/b.csv", "id,x,y", "2,B,new", "3,c,new")
        project.load(flow)
        table = server.catalog.load_table("sales.events")
        rows = [tuple(row.values())[:2] for row in table.scan().to_arrow().sort_by("id").to_pylist()]
        expected = {"merge_upsert": [(1, "a"), (2, "B"), (3, "c")]}
        assert sorted(rows) == expected.get(load_type, [(1, "a"), (2, "B"), (2, "b"), (3, "c")])
        assert server.commits == 2
        assert table.location() == f"file://{project.root}/served/sales/events"

    def test_a_lost_answer(self, project: Project, server: RestServer, monkeypatch: pytest.MonkeyPatch) -> None:
        """A gateway that times out after the commit got in: the rows are there once."""
        monkeypatch.setattr("tidegate.destinations.iceberg._WAITS_SECONDS", (0.01,))
        flow = into(project.flow(), self.connection(server))
        server.fail_after_commit = 2
        for name in ("a", "b"):
            project.csv(f"events/{name}.csv", "id", str(ord(name)))
            assert project.load(flow).rows_out == 1
        assert sorted(server.catalog.load_table("sales.events").scan().to_arrow()["id"].to_pylist()) == [97, 98]
        assert server.commits == 2

    def test_nobody_answers(self, project: Project, server: RestServer) -> None:
        """A catalog that cannot be reached is named."""
        server.http.shutdown()
        server.http.server_close()
        project.csv("events/a.csv", "id", "1")
        (unit,) = project.run(into(project.flow(), self.connection(server))).units
        assert unit.error is not None
        assert (unit.error.code, "'default' cannot be reached" in unit.error.message) == ("TG401", True)

    def test_the_token_is_not_shown(self, server: RestServer) -> None:
        """Credentials are masked where a connection is shown, among further properties too."""
        connection = self.connection(server, catalog_properties={"s3.secret-access-key": "hidden", "s3.region": "eu"})
        assert "s3cret" not in f"{connection!r}{connection.model_dump_json()}"
        assert "hidden" not in f"{connection!r}{connection.model_dump_json()}"
        assert "eu" in connection.model_dump_json()


class TestOwnCatalog:
    def test_a_plan_creates_nothing(self, project: Project) -> None:
        """Neither catalog nor folder."""
        project.csv("events.csv", "id", "1")
        assert project.plan(project.flow())
        assert tree(project.destination_root) == {}

    @pytest.mark.parametrize("name", ["a b#c?d%20é", "x'y"])
    def test_odd_folders(self, tmp_path: Path, name: str) -> None:
        """A base path may hold what a URL may not."""
        project = Project(tmp_path, "iceberg")
        project.destination_root = tmp_path / name
        project.csv("events.csv", "id", "1")
        flow = project.merge()
        project.load(flow)
        project.csv("events.csv", "id", "1", "2")
        project.load(flow)
        catalog = SqlCatalog(
            "default",
            uri="sqlite://",
            warehouse=str(project.destination_root),
        )
        catalog.create_namespace("other")
        (newest,) = sorted((project.destination_root / "events/metadata").glob("00001-*.json"))
        table = catalog.register_table("other.events", str(newest))
        assert sorted(table.scan().to_arrow()["id"].to_pylist()) == [1, 2]
        catalog.close()

    def test_namespaces_are_apart(self, project: Project) -> None:
        """One table name in two namespaces is two tables, in two folders; a schema goes before a database."""
        project.csv("events.csv", "id", "1")
        base_path = str(project.destination_root)
        for database, schema_name in ((None, None), ("db", None), ("db", "s")):
            connection = Connection(
                name="lake", format="iceberg", database=database, configure={"base_path": base_path}
            )
            flow = into(project.flow(name=f"{database}.{schema_name}"), connection, schema_name)
            assert project.load(flow).rows_out == 1
        folders = {str(file.relative_to(base_path).parent) for file in Path(base_path).rglob("*.parquet")}
        assert folders == {"events/data", "db/events/data", "s/events/data"}

    def test_keys_of_destinations(self, tmp_path: Path) -> None:
        """Tables are one destination only in one catalog and namespace."""

        def key(table: str = "t", database: str | None = None, **configure: Any) -> str:
            connection = Connection(name="lake", format="iceberg", database=database, configure=configure)
            return Destination(connection=connection, table=table).destination_key

        assert key(base_path="/a") == key("T", base_path="/a")
        different = [
            key(base_path="/a"),
            key(base_path="/b"),
            key(base_path="/a", database="d"),
            key(base_path="/b", database="d"),
            key(url="http://x", catalog_type="rest"),
            key(url="http://y", catalog_type="rest"),
            key(url="http://y", catalog_type="rest", catalog="c"),
            key(catalog_properties={"uri": "http://z"}),
        ]
        assert len(set(different)) == len(different)

    def test_a_catalog_that_is_not_declared(self, project: Project) -> None:
        """A connection that names a catalog nobody knows is told what is missing."""
        project.csv("events.csv", "id", "1")
        connection = Connection(name="lake", format="iceberg", configure={"catalog_type": "rest"})
        (unit,) = project.run(into(project.flow(), connection)).units
        assert unit.error is not None
        assert (unit.error.code, "URI missing" in unit.error.message) == ("TG119", True)

    def test_a_catalog_of_pyicebergs_configuration(self, project: Project, monkeypatch: pytest.MonkeyPatch) -> None:
        """A catalog that PyIceberg's own configuration names is used under that name."""
        script = (
            "import sys; from pathlib import Path; from tests.behaviour.project import Project;"
            "from tests.behaviour.test_iceberg_catalogs import into; from tidegate import Connection;"
            "project = Project(Path(sys.argv[1]), 'iceberg'); project.csv('events.csv', 'id', '1');"
            "project.load(into(project.flow(), Connection(name='c', format='iceberg', catalog='company')))"
        )
        company = project.root / "company"
        company.mkdir()
        monkeypatch.setenv("PYICEBERG_CATALOG__COMPANY__URI", f"sqlite:///{company}/c.db")
        monkeypatch.setenv("PYICEBERG_CATALOG__COMPANY__WAREHOUSE", str(company))
        subprocess.run([sys.executable, "-c", script, str(project.root)], check=True, cwd=Path(__file__).parents[2])
        catalog = SqlCatalog("company", uri=f"sqlite:///{company}/c.db", warehouse=str(company))
        assert catalog.load_table("default.events").scan().to_arrow()["id"].to_pylist() == [1]
        catalog.close()


def test_nothing_else_loads_pyiceberg() -> None:
    """Reading metadata and loading Delta tables cost no import of PyIceberg or SQLAlchemy."""
    script = (
        "import sys, tidegate, tidegate.cli.application, tidegate.destinations.delta, tidegate.orchestration.runner;"
        "sys.exit(str({'pyiceberg', 'sqlalchemy'} & set(sys.modules)) if 'pyiceberg' in sys.modules else 0)"
    )
    subprocess.run([sys.executable, "-c", script], check=True)


def test_without_the_extra() -> None:
    """What to install is said."""
    script = (
        "import sys; sys.modules['pyiceberg'] = None\n"
        "from tidegate.destinations import table_registry\n"
        "try:\n    table_registry.load('iceberg')\n"
        "except Exception as error:\n    print(error.code, error.hint)"
    )
    done = subprocess.run([sys.executable, "-c", script], check=True, capture_output=True, text=True)
    assert done.stdout == "TG612 pip install 'tidegate[iceberg]'\n"
