"""`tidegate doctor`: what it finds, against real servers, and that it leaves nothing behind."""

from __future__ import annotations

import json
import socket
import uuid
from contextlib import contextmanager
from pathlib import Path
from urllib.parse import urlsplit

import deltalake
import obstore
import polars as pl
import pytest

from tests.api_server import Answer, Api
from tests.services import free_port
from tidegate.doctor import BaseProbe, probe_registry
from tidegate.doctor.diagnosis import ok
from tidegate.doctor.folders import try_folder
from tidegate.doctor.network import compared
from tidegate.errors import PlatformError
from tidegate.platforms.local import LocalPlatform


@pytest.fixture
def doctor(tmp_path, monkeypatch, tidegate):
    """Write a project of these connections and dataflows, and examine it; the answer in JSON, and the exit code."""
    monkeypatch.chdir(tmp_path)

    def call(connections, dataflows=(), *options):
        content = {"connections": list(connections), "dataflows": list(dataflows)}
        (tmp_path / "tidegate.json").write_text(json.dumps(content))
        answer = tidegate("doctor", *options, "-o", "json")
        checks = {}
        for check in answer.json["checks"]:
            checks.setdefault((check["subject"], check["check"]), check)
        return answer, checks

    return call


def sql(name, url, **configure):
    return {"name": name, "format": "sql", "configure": {"url": url, **configure}}


def flow(name, source, destination, **load):
    return {"name": name, "source": source, "destination": {"table": name, **destination, **load}}


def lake(tmp_path, name="lake"):
    return {"name": name, "format": "delta", "configure": {"base_path": str(tmp_path / name)}}


@contextmanager
def postgres(url):
    import psycopg

    with psycopg.connect(url, autocommit=True) as connection:
        yield connection


class TestSoundProjects:
    def test_every_check_is_one_line_and_nothing_is_left_behind(self, project, tidegate):
        tidegate("run")
        before = sorted(project.rglob("*"))
        answer = tidegate("doctor")
        assert (answer.code, answer.err) == (0, "")
        assert "lake          reach    ✓ ok    " in answer.out
        assert "room     ✓ ok" in answer.out
        assert answer.out.splitlines()[-1].endswith(" ok")
        assert sorted(project.rglob("*")) == before

    def test_before_the_first_run_nothing_is_made(self, project, tidegate):
        before = sorted(project.rglob("*"))
        answer = tidegate("doctor")
        assert answer.code == 0
        assert "state.db is not there yet: the first run makes it" in answer.out
        assert "3 flows can load; 3 tables will be made by a first load" in answer.out
        assert sorted(project.rglob("*")) == before

    def test_one_connection_may_be_chosen(self, project, tidegate):
        answer = tidegate("doctor", "--connection", "lake", "-o", "json")
        assert {check["subject"] for check in answer.json["checks"]} == {"lake"}

    def test_an_unknown_connection_is_misuse_with_a_suggestion(self, project, tidegate):
        answer = tidegate("doctor", "-c", "lkae")
        assert (answer.code, "did you mean 'lake'?" in answer.err) == (2, True)

    def test_an_inactive_connection_is_left_alone_unless_named(self, doctor):
        gone = {**sql("old", "postgresql://a@127.0.0.1:1/x"), "is_active": False}
        answer, checks = doctor([gone])
        assert (answer.code, ("old", "reach") in checks) == (0, False)
        assert doctor([gone], (), "-c", "old")[0].code == 1

    def test_state_that_was_made_is_read_and_leased(self, project, tidegate):
        tidegate("run")
        checks = tidegate("doctor", "-o", "json").json["checks"]
        found = {check["check"]: check for check in checks if check["subject"] == "state"}
        assert "2 positions" in found["read"]["message"] or "3 positions" in found["read"]["message"]
        assert found["write"]["message"] == "a lease was taken, and let go"


class TestFolders:
    def test_a_folder_that_is_read_and_not_there(self, doctor, tmp_path):
        landing = {"name": "landing", "format": "csv", "configure": {"base_path": "landnig"}}
        orders = flow("orders", {"connection_name": "landing", "table": "o"}, {"connection_name": "lake"})
        answer, checks = doctor([landing, lake(tmp_path)], [orders])
        assert (answer.code, checks["landing", "reach"]["code"]) == (1, "TG762")

    def test_a_table_that_another_flow_writes_is_waited_for(self, doctor, tmp_path):
        (tmp_path / "landing").mkdir()
        (tmp_path / "landing/o.csv").write_text("id\n1\n")
        landing = {"name": "landing", "format": "csv", "configure": {"base_path": "landing"}}
        bronze = flow("bronze", {"connection_name": "landing", "table": "o.csv"}, {"connection_name": "lake"})
        silver = flow("silver", {"connection_name": "lake", "table": "bronze"}, {"connection_name": "lake"})
        answer, checks = doctor([landing, lake(tmp_path)], [bronze, silver])
        assert answer.code == 0
        assert checks["lake", "read"]["message"] == "1 flow can read; 1 table will be made by a first load"

    def test_a_folder_that_takes_no_files(self, doctor):
        place = {"name": "lake", "format": "delta", "configure": {"base_path": "/proc/lake"}}
        orders = flow("orders", {"connection_name": "lake", "table": "x"}, {"connection_name": "lake"})
        answer, checks = doctor([place], [orders])
        assert (answer.code, checks["lake", "write"]["status"]) == (1, "failed")

    def test_a_delta_table_with_features_that_are_not_written(self, doctor, tmp_path):
        path = str(tmp_path / "lake/orders")
        pl.DataFrame({"id": [1]}).write_delta(path)
        deltalake.DeltaTable(path).alter.add_constraint({"positive": "id > 0"})
        landing = {"name": "landing", "format": "csv", "configure": {"base_path": "."}}
        orders = flow("orders", {"connection_name": "landing", "table": "o.csv"}, {"connection_name": "lake"})
        (tmp_path / "o.csv").write_text("id\n1\n")
        answer, checks = doctor([landing, lake(tmp_path)], [orders])
        assert (answer.code, checks["lake", "load"]["code"]) == (1, "TG407")
        assert checks["lake", "load"]["message"].startswith("orders: the table uses Delta features")

    def test_a_store_that_makes_a_file_twice_is_found_out(self, tmp_path):
        class Forgetful(LocalPlatform):
            def put_if_absent(self, path, data):
                Path(path).write_bytes(data)
                return True

        with pytest.raises(PlatformError) as caught:
            try_folder(Forgetful(), str(tmp_path))
        assert caught.value.code == "TG763"
        assert list(tmp_path.iterdir()) == []


class TestObjectStores:
    @pytest.fixture
    def bucket(self, moto_url):
        name = f"doctor-{uuid.uuid4().hex[:8]}"
        import boto3

        keys = {"aws_access_key_id": "a", "aws_secret_access_key": "b", "region_name": "us-east-1"}
        boto3.client("s3", endpoint_url=moto_url, **keys).create_bucket(Bucket=name)
        configure = {
            "aws_access_key_id": "a",
            "aws_secret_access_key": "b",
            "aws_region": "us-east-1",
            "storage_options": {"endpoint_url": moto_url, "allow_http": "true"},
        }
        store = obstore.store.from_url(
            f"s3://{name}",
            config={
                "aws_access_key_id": "a",
                "aws_secret_access_key": "b",
                "aws_region": "us-east-1",
                "endpoint_url": moto_url,
            },
            client_options={"allow_http": True},
        )
        return name, configure, store

    def test_a_destination_takes_objects_once_and_is_left_empty(self, doctor, bucket):
        name, configure, store = bucket
        place = {"name": "lake", "format": "delta", "configure": {"base_path": f"s3://{name}/bronze", **configure}}
        orders = flow("orders", {"connection_name": "lake", "table": "o"}, {"connection_name": "lake"})
        _, checks = doctor([place], [orders])
        for check in ("reach", "write", "clock"):
            assert checks["lake", check]["status"] == "ok", checks["lake", check]
        assert "room" not in {check for _, check in checks}
        assert [entry for batch in obstore.list(store) for entry in batch] == []

    def test_a_source_tells_its_clock_without_being_written_to(self, doctor, bucket):
        name, configure, store = bucket
        obstore.put(store, "in/o.csv", b"id\n1\n")
        place = {"name": "landing", "format": "csv", "configure": {"base_path": f"s3://{name}/in", **configure}}
        orders = flow("o", {"connection_name": "landing", "table": "o.csv"}, {"connection_name": "lake"})
        other = {"name": "lake", "format": "delta", "configure": {"base_path": "lake"}}
        answer, checks = doctor([place, other], [orders])
        assert answer.code == 0, answer.out
        assert checks["landing", "clock"]["status"] == "ok"
        assert ("landing", "write") not in checks

    def test_a_bucket_that_is_not_there(self, doctor, bucket):
        _, configure, _ = bucket
        place = {"name": "lake", "format": "delta", "configure": {"base_path": "s3://no-such-bucket/x", **configure}}
        answer, checks = doctor([place])
        assert (answer.code, checks["lake", "reach"]["code"]) == (1, "TG703")


class TestPostgreSQL:
    def test_a_sound_database_tells_version_and_clock(self, doctor, postgres_url):
        with postgres(postgres_url) as session:
            session.execute("CREATE TABLE orders (id int GENERATED ALWAYS AS IDENTITY PRIMARY KEY, x int)")
        orders = flow("copy", {"connection_name": "pg", "table": "orders"}, {"connection_name": "pg"})
        again = flow("orders", {"connection_name": "pg", "table": "orders"}, {"connection_name": "pg"})
        again["destination"] |= {"load_type": "merge_upsert", "merge_keys": ["id"]}
        answer, checks = doctor([sql("pg", postgres_url)], [orders, again])
        assert answer.code == 0, answer.out
        assert "PostgreSQL" in checks["pg", "version"]["message"]
        assert "psycopg" in checks["pg", "version"]["message"]
        assert checks["pg", "clock"]["message"] == "agrees with this machine's"
        assert checks["pg", "write"]["message"] == "2 flows can load"
        with postgres(postgres_url) as session:
            tables = session.execute("SELECT count(*) FROM pg_tables WHERE schemaname = 'public'").fetchone()
        assert tables == (1,)

    def test_missing_rights_are_told_by_flow(self, doctor, postgres_url):
        user = f"reader_{uuid.uuid4().hex[:8]}"
        with postgres(postgres_url) as session:
            session.execute("CREATE TABLE mine (id int PRIMARY KEY, x int)")
            session.execute("CREATE TABLE secret (id int)")
            session.execute("REVOKE CREATE ON SCHEMA public FROM PUBLIC")
            session.execute(f"CREATE USER {user}")
            session.execute(f"GRANT SELECT, INSERT ON mine TO {user}")
        try:
            url = postgres_url.replace("postgres@", f"{user}@")
            pg = {"connection_name": "pg"}
            flows = [
                flow("may_not_read", {**pg, "table": "secret"}, {"connection_name": "lake"}),
                flow("gone", {**pg, "table": "gone"}, {"connection_name": "lake"}),
                flow("mine", {**pg, "table": "mine"}, pg, load_type="merge_upsert", merge_keys=["id"]),
            ]
            local = {"name": "lake", "format": "delta", "configure": {"base_path": "lake"}}
            answer, _ = doctor([sql("pg", url), local], flows)
            said = [check for check in answer.json["checks"] if check["status"] == "failed"]
            assert [(check["check"], check["code"]) for check in said] == [
                ("read", "TG724"),
                ("read", "TG762"),
                ("write", "TG724"),
                ("write", "TG724"),
            ]
            assert "may_not_read: " in said[0]["message"]
            assert "mine: the database refused a statement: permission denied for table mine" in said[2]["message"]
            assert "permission denied for schema public" in said[3]["message"]
        finally:
            with postgres(postgres_url) as session:
                session.execute(f"DROP OWNED BY {user}")
                session.execute(f"DROP USER {user}")

    def test_a_user_who_is_not_known(self, doctor, postgres_url):
        answer, checks = doctor([sql("pg", postgres_url.replace("postgres@", "nobody_here@"))])
        assert (answer.code, checks["pg", "sign in"]["code"]) == (1, "TG721")

    def test_a_port_where_nothing_listens(self, doctor):
        answer, checks = doctor([sql("pg", f"postgresql://a@127.0.0.1:{free_port()}/x")])
        assert (answer.code, checks["pg", "reach"]["code"]) == (1, "TG760")

    def test_a_server_that_never_answers_does_not_hold_up_the_rest(self, doctor, project):
        with socket.create_server(("127.0.0.1", 0)) as mute:
            place = sql("pg", f"postgresql://a@127.0.0.1:{mute.getsockname()[1]}/x", timeout=4)
            (project / "tidegate.yaml").unlink()
            answer, checks = doctor([place, lake(project)], (), "--timeout", "1")
        assert (answer.code, checks["pg", "time"]["code"]) == (1, "TG765")
        assert checks["pg", "reach"]["status"] == "ok"

    def test_state_is_looked_at_and_not_made(self, project, tidegate, postgres_url):
        answer = tidegate("doctor", "--state", postgres_url, "-o", "json")
        state = [check for check in answer.json["checks"] if check["subject"] == "state"]
        assert [(check["check"], check["status"]) for check in state] == [("write", "ok")]
        with postgres(postgres_url) as session:
            assert session.execute("SELECT count(*) FROM pg_namespace WHERE nspname = 'tidegate'").fetchone() == (0,)
        tidegate("run", "--state", postgres_url)
        answer = tidegate("doctor", "--state", postgres_url, "-o", "json")
        state = [check["check"] for check in answer.json["checks"] if check["subject"] == "state"]
        assert state == ["read", "write", "clock"]
        with postgres(postgres_url) as session:
            leases = session.execute("SELECT count(*) FROM tidegate.leases WHERE key LIKE '%doctor%'").fetchone()
        assert leases == (0,)


class TestOtherDatabases:
    def test_mariadb_drops_the_table_that_it_cannot_undo(self, doctor, mariadb_url):
        import pymysql

        address = urlsplit(mariadb_url)
        new = flow("orders", {"connection_name": "my", "query": "SELECT 1 AS id"}, {"connection_name": "my"})
        answer, checks = doctor([sql("my", mariadb_url)], [new])
        assert answer.code == 0, answer.out
        assert "MariaDB" in checks["my", "version"]["message"]
        assert checks["my", "clock"]["status"] == "ok"
        connection = pymysql.connect(
            host=address.hostname, port=address.port, user="root", database=address.path.removeprefix("/")
        )
        with connection, connection.cursor() as cursor:
            assert cursor.execute("SHOW TABLES") == 0

    def test_mariadb_wants_values_for_columns_without_a_default(self, doctor, mariadb_url):
        import pymysql

        address = urlsplit(mariadb_url)
        new = flow("orders", {"connection_name": "my", "query": "SELECT 1 AS id"}, {"connection_name": "my"})
        connection = pymysql.connect(
            host=address.hostname, port=address.port, user="root", database=address.path.removeprefix("/")
        )
        with connection, connection.cursor() as cursor:
            cursor.execute("CREATE TABLE orders (id int NOT NULL, name varchar(9) NOT NULL)")
        answer, _ = doctor([sql("my", mariadb_url)], [new])
        assert answer.code == 0, answer.out

    def test_a_sqlite_file_is_not_made(self, doctor, tmp_path):
        shop = {"name": "shop", "format": "sql"}
        shop["configure"] = {"database_type": "sqlite", "base_path": str(tmp_path), "database": "shop.db"}
        answer, checks = doctor([shop])
        assert (answer.code, checks["shop", "reach"]["code"]) == (1, "TG762")
        orders = flow("orders", {"connection_name": "shop", "query": "SELECT 1 AS id"}, {"connection_name": "shop"})
        assert doctor([shop], [orders])[0].code == 0
        assert not (tmp_path / "shop.db").exists()

    def test_a_mongodb_replica_set(self, doctor, mongodb_url):
        place = {"name": "docs", "format": "mongodb", "configure": {"url": mongodb_url}}
        answer, checks = doctor([place])
        assert answer.code == 0, answer.out
        assert checks["docs", "transactions"]["message"] == "replica set rs0"
        assert checks["docs", "clock"]["status"] == "ok"


class TestApis:
    def test_what_the_status_says(self, doctor):
        with Api() as api:
            place = {"name": "api", "format": "api", "configure": {"base_url": f"{api.url}/v1"}}
            for status, found in {200: ("reach", "ok"), 404: ("reach", "ok"), 401: ("sign in", "failed")}.items():
                api.answer = lambda _, status=status: Answer(status=status, body={})
                _, checks = doctor([place])
                assert checks["api", found[0]]["status"] == found[1], status
            api.answer = lambda _: Answer(status=403, body={})
            assert doctor([place])[1]["api", "read"]["code"] == "TG241"

    def test_one_that_is_away(self, doctor):
        place = {"name": "api", "format": "api", "configure": {"base_url": f"http://127.0.0.1:{free_port()}"}}
        answer, checks = doctor([place])
        assert (answer.code, checks["api", "reach"]["code"]) == (1, "TG242")


class TestSecrets:
    def test_one_that_is_missing_ends_the_probe(self, doctor):
        place = {**sql("pg", "postgresql://h/d", password="NO_SUCH_ONE"), "secrets_ref": {"env:": ["password"]}}
        answer, checks = doctor([place])
        assert (answer.code, checks["pg", "secrets"]["code"]) == (1, "TG605")
        assert ("pg", "reach") not in checks

    def test_they_are_never_shown(self, doctor, monkeypatch):
        monkeypatch.setenv("PG_SECRET", "hunter2seen")
        place = {
            **sql("pg", "postgresql://a:{password}@127.0.0.1:1/hunter2seen", password="PG_SECRET"),
            "secrets_ref": {"env:": ["password"]},
        }
        answer, checks = doctor([place])
        assert checks["pg", "secrets"]["message"] == "resolved: password"
        assert "hunter2seen" not in answer.out + answer.err


class TestFunctions:
    def test_they_are_imported_and_not_called(self, doctor, tmp_path):
        name = f"jobs_{uuid.uuid4().hex[:8]}"
        (tmp_path / f"{name}.py").write_text("def read(engine, source, start, end):\n    raise SystemExit\n")
        python = {"name": "python", "format": "function"}
        flows = [
            flow(
                called,
                {"connection_name": "python", "python_function": f"{name}.{called}"},
                {"connection_name": "lake"},
            )
            for called in ("read", "raed")
        ]
        answer, _ = doctor([python, lake(tmp_path)], flows)
        found = [check["status"] for check in answer.json["checks"] if check["subject"] == "python"]
        assert (answer.code, found) == (1, ["ok", "failed"])


class TestClocks:
    def test_a_clock_within_seconds_agrees(self):
        assert compared(100.0, before=100.2, after=100.4, resolution=1.0).status == "ok"
        assert compared(103.0, before=100.0, after=100.1).message == "2.9 s apart from this machine's"

    @pytest.mark.parametrize(("server", "which"), [(197.0, "ahead of"), (3.0, "behind")])
    def test_one_that_is_far_off_is_a_warning(self, server, which):
        found = compared(server, before=99.9, after=100.0)
        assert (found.status, found.code, which in found.message) == ("warning", "TG761", True)

    def test_a_slow_answer_is_not_taken_for_a_wrong_clock(self):
        assert compared(110.0, before=100.0, after=120.0).status == "ok"


class TestPlugins:
    def test_a_probe_joins_by_its_name(self, doctor):
        class ApiProbe(BaseProbe):
            def diagnoses(self):
                yield ok("pulse", f"{self.connection.name} lives")

        ours = probe_registry.load("api")
        probe_registry.register("api", ApiProbe)
        try:
            place = {"name": "one", "format": "api", "configure": {"base_url": "http://127.0.0.1:1"}}
            assert doctor([place])[1]["one", "pulse"]["message"] == "one lives"
        finally:
            probe_registry.register("api", ours)
