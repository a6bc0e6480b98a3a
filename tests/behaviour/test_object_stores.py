"""Sources and destinations in object stores.

S3 and Azure blobs are real servers of their protocols, moto and Azurite; Google Cloud Storage is contract-tested.
"""

from __future__ import annotations

import base64
import hashlib
import hmac
import json
import os
import subprocess
import sys
import threading
import time
import urllib.request
import uuid
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import deltalake
import obstore
import polars as pl
import pytest

from tests.behaviour.project import Project
from tests.gcs_server import BUCKET, gcs_server
from tidegate import Connection, DataFlow, Destination, Source, Transform
from tidegate.platforms import BasePlatform, platform_of
from tidegate.platforms.local import LOCAL
from tidegate.platforms.object_store import ObjectStorePlatform
from tidegate.transformers.system_columns import SYSTEM_COLUMNS

ACCOUNT = "devstoreaccount1"
KEY = "Eby8vdM02xNOcqFlqUwJPLlmEtlCDXJ1OUzFT50uSRZ6IFsuFq2UVErCz4I6tq/K1SZFPTOtr/KBHBeksoGMGw=="
"""The account that every Azurite has."""


@dataclass(frozen=True, kw_only=True)
class Bucket:
    """A bucket or container of a test's own, reached without Tidegate."""

    url: str
    configure: Mapping[str, Any] = field(repr=False)
    options: Mapping[str, str] = field(repr=False)
    """For the libraries that look at what is there."""

    @property
    def store(self) -> Any:
        options = {name: value for name, value in self.options.items() if name != "allow_http"}
        return obstore.store.from_url(self.url, config=options, client_options={"allow_http": True})  # type: ignore[arg-type]

    def put(self, key: str, content: str | bytes) -> None:
        obstore.put(self.store, key, content.encode() if isinstance(content, str) else content)

    def csv(self, key: str, *lines: str) -> None:
        self.put(key, "".join(f"{line}\n" for line in lines))

    def parquet(self, key: str, columns: Mapping[str, Any]) -> None:
        pl.DataFrame(columns).write_parquet(f"{self.url}/{key}", storage_options=dict(self.options))

    def keys(self, prefix: str = "") -> list[str]:
        return sorted(entry["path"] for batch in obstore.list(self.store, prefix or None) for entry in batch)

    def connection(self, name: str, format: str, below: str = "", **more: Any) -> Connection:  # noqa: A002
        path = f"{self.url}/{below}".rstrip("/")
        return Connection(name=name, format=format, configure={**self.configure, "base_path": path, **more})

    def platform(self) -> BasePlatform:
        return platform_of(self.connection("any", "parquet"), LOCAL)

    def delta(self, table: str = "events") -> deltalake.DeltaTable:
        return deltalake.DeltaTable(f"{self.url}/out/{table}", storage_options=dict(self.options))

    def rows(self, flow: DataFlow, *columns: str) -> list[Any]:
        """Return the destination's rows as another reader sees them, sorted."""
        path, kind = str(flow.destination.path), flow.destination.connection.format  # type: ignore[union-attr]
        if kind == "delta":
            arrow = deltalake.DeltaTable(path, storage_options=dict(self.options)).to_pyarrow_table()
            frame = pl.DataFrame(pl.from_arrow(arrow))
        else:
            prefix = path.removeprefix(f"{self.url}/")
            files = [f"{self.url}/{key}" for key in self.keys(prefix) if "_tidegate" not in key]
            read = {"parquet": pl.read_parquet, "csv": pl.read_csv, "jsonl": _read_jsonl}[str(kind)]
            parts = [read(file, storage_options=dict(self.options)) for file in files]  # type: ignore[operator]
            frame = pl.concat(parts, how="diagonal_relaxed") if parts else pl.DataFrame()
        rows = frame.drop(SYSTEM_COLUMNS, strict=False).select(columns or pl.all()).rows()
        return sorted(rows, key=str)


def _read_jsonl(file: str, **options: Any) -> pl.DataFrame:
    return pl.scan_ndjson(file, **options).collect()


def s3_bucket(address: str) -> Bucket:
    """Create a bucket."""
    import boto3

    name = f"lake-{uuid.uuid4().hex}"
    keys = {"aws_access_key_id": "key", "aws_secret_access_key": "secret"}
    boto3.client("s3", endpoint_url=address, region_name="us-east-1", **keys).create_bucket(Bucket=name)
    here = {"endpoint_url": address, "allow_http": "true"}
    return Bucket(
        url=f"s3://{name}",
        configure={**keys, "aws_region": "us-east-1", "storage_options": here},
        options={**keys, "aws_region": "us-east-1", **here},
    )


def azure_container(address: str) -> Bucket:
    """Create a container, with a signed request."""
    name = f"lake-{uuid.uuid4().hex}"
    date, version = datetime.now(UTC).strftime("%a, %d %b %Y %H:%M:%S GMT"), "2021-08-06"
    headers = f"x-ms-date:{date}\nx-ms-version:{version}"
    signed = "PUT" + "\n" * 12 + f"{headers}\n/{ACCOUNT}/{ACCOUNT}/{name}\nrestype:container"
    signature = base64.b64encode(hmac.new(base64.b64decode(KEY), signed.encode(), hashlib.sha256).digest()).decode()
    request = urllib.request.Request(  # noqa: S310 - of this machine
        f"{address}/{name}?restype=container",
        method="PUT",
        headers={
            "x-ms-date": date,
            "x-ms-version": version,
            "Authorization": f"SharedKey {ACCOUNT}:{signature}",
            "Content-Length": "0",
        },
    )
    urllib.request.urlopen(request).close()  # noqa: S310
    # Azurite lacks `startFrom` of List Blobs: without `use_emulator`, delta-rs takes all entries of a log for new ones
    here = {"endpoint": address, "allow_http": "true", "use_emulator": "true"}
    return Bucket(
        url=f"az://{name}",
        configure={"account_name": ACCOUNT, "account_key": KEY, "storage_options": here},
        options={"account_name": ACCOUNT, "account_key": KEY, **here},
    )


def gcs_bucket(address: str) -> Bucket:
    """Return the bucket, for an account that needs no token."""
    account = {"client_email": "", "private_key": "", "private_key_id": ""}
    key = json.dumps({"gcs_base_url": address, "disable_oauth": True, **account})
    here = {"google_service_account_key": key, "allow_http": "true"}
    return Bucket(url=f"gs://{BUCKET}", configure={"storage_options": here}, options=here)


_EVIDENCE = {"s3": "emulator", "azure": "emulator", "gcs": "contract-tested"}


@pytest.fixture(
    params=[
        pytest.param(name, marks=pytest.mark.supports("platforms", name, "read and write", evidence=evidence))
        for name, evidence in _EVIDENCE.items()
    ]
)
def bucket(request: pytest.FixtureRequest) -> Iterator[Bucket]:
    """A bucket in each kind of store."""
    match request.param:
        case "s3":
            yield s3_bucket(request.getfixturevalue("moto_url"))
        case "azure":
            yield azure_container(request.getfixturevalue("azurite_url"))
        case _:
            with gcs_server() as address:
                yield gcs_bucket(address)


@pytest.fixture
def s3(moto_url: str) -> Bucket:
    """A bucket of S3."""
    return s3_bucket(moto_url)


def flow_of(
    source: Connection,
    destination: Connection,
    *,
    load_type: str = "append",
    keys: Sequence[str] = (),
    watermark: Sequence[str] = (),
    partitions: Sequence[str] = (),
    table: str = "events",
    settings: Mapping[str, Any] | None = None,
    **options: Any,
) -> DataFlow:
    """Declare a flow between two connections."""
    return DataFlow(
        name=f"load_{table}_{destination.format}",
        source=Source(connection=source, table="events", watermark_columns=watermark),
        destination=Destination(
            connection=destination,
            table=table,
            load_type=load_type,
            merge_keys=keys,
            partition_columns=partitions,
            configure=dict(settings or {}),
        ),
        transform=Transform(**options),
    )


class TestLoadTypes:
    """What is loaded from a bucket into a bucket."""

    @pytest.mark.parametrize("to", ["delta", "parquet", "csv", "jsonl"])
    def test_appends_add_what_is_new_and_only_that(self, project: Project, bucket: Bucket, to: str) -> None:
        flow = flow_of(bucket.connection("in", "csv", "in"), bucket.connection("out", to, "out"))
        bucket.csv("in/events/1.csv", "id,name", "1,a", "2,b")
        assert project.load(flow).rows_out == 2
        assert project.load(flow).rows_out in {0, None}
        bucket.csv("in/events/2.csv", "id,name", "3,c")
        unit = project.load(flow)
        assert (unit.rows_out, unit.files_skipped) == (1, 1)
        assert bucket.rows(flow, "id", "name") == [(1, "a"), (2, "b"), (3, "c")]

    @pytest.mark.parametrize("to", ["delta", "parquet", "csv", "jsonl"])
    def test_an_overwrite_replaces_all_rows(self, project: Project, bucket: Bucket, to: str) -> None:
        flow = flow_of(bucket.connection("in", "csv", "in"), bucket.connection("out", to, "out"), load_type="overwrite")
        bucket.csv("in/events/1.csv", "id", "1", "2")
        project.load(flow)
        bucket.csv("in/events/1.csv", "id", "7")
        project.load(flow)
        assert bucket.rows(flow, "id") == [(7,)]

    @pytest.mark.parametrize("load_type", ["merge_upsert", "merge_overwrite", "snapshot", "scd2"])
    def test_rows_of_a_table_are_replaced_by_key(self, project: Project, bucket: Bucket, load_type: str) -> None:
        flow = flow_of(
            bucket.connection("in", "parquet", "in"),
            bucket.connection("out", "delta", "out"),
            load_type=load_type,
            keys=["id"],
            partitions=["region"],
        )
        bucket.parquet("in/events/1.parquet", {"id": [1, 2], "region": ["a b", "x:%"], "value": [10, 20]})
        project.load(flow)
        bucket.parquet("in/events/1.parquet", {"id": [2, 3], "region": ["x:%", None], "value": [21, 30]})
        project.load(flow)
        rows = bucket.rows(flow, "id", "value")
        if load_type == "scd2":
            assert rows == [(1, 10), (2, 20), (2, 21), (3, 30)]
        else:
            assert rows == [*([] if load_type == "snapshot" else [(1, 10)]), (2, 21), (3, 30)]

    def test_a_watermark_reads_on_and_files_are_passed_over_by_their_statistics(
        self, project: Project, bucket: Bucket
    ) -> None:
        source = bucket.connection("in", "parquet", "in")
        flow = flow_of(source, bucket.connection("out", "delta", "out"), watermark=["n"])
        bucket.parquet("in/events/1.parquet", {"n": [1, 2], "name": ["a", "b"]})
        project.load(flow)
        bucket.parquet("in/events/0.parquet", {"n": [0], "name": ["late"]})
        bucket.parquet("in/events/2.parquet", {"n": [2, 2, 3], "name": ["b", "c", "d"]})
        unit = project.load(flow)
        assert (unit.files_read, unit.rows_out) == (1, 2)
        assert bucket.rows(flow) == [(1, "a"), (2, "b"), (2, "c"), (3, "d")]

    @pytest.mark.parametrize("format_name", ["csv", "json", "jsonl", "parquet"])
    def test_each_format_is_read(self, project: Project, bucket: Bucket, format_name: str) -> None:
        rows = [{"id": 1, "name": "ä"}, {"id": 2, "name": None}]
        frame = pl.DataFrame(rows)
        match format_name:
            case "csv":
                bucket.put("in/events/1.csv", frame.write_csv())
            case "json":
                bucket.put("in/events/1.json", json.dumps(rows))
            case "jsonl":
                bucket.put("in/events/1.jsonl", frame.write_ndjson())
            case _:
                bucket.parquet("in/events/1.parquet", frame.to_dict(as_series=False))
        flow = flow_of(bucket.connection("in", format_name, "in"), bucket.connection("out", "delta", "out"))
        project.load(flow)
        assert bucket.rows(flow, "id", "name") == [(1, "ä"), (2, None)]

    def test_a_glob_and_folders_that_are_partitions(self, project: Project, bucket: Bucket) -> None:
        bucket.csv("in/events/year=2024/a.csv", "id", "1")
        bucket.csv("in/events/year=2025/b.csv", "id", "2")
        bucket.csv("in/events/year=2025/_c.csv", "id", "3")
        source = bucket.connection("in", "csv", "in", use_hive_partitioning=True)
        flow = flow_of(source, bucket.connection("out", "delta", "out"))
        flow = flow.model_copy(update={"source": flow.source.model_copy(update={"table": "events/year=*/*.csv"})})
        project.load(flow)
        assert bucket.rows(flow, "id", "year") == [(1, 2024), (2, 2025)]

    def test_new_and_wider_columns_are_one_commit(self, project: Project, bucket: Bucket) -> None:
        flow = flow_of(bucket.connection("in", "csv", "in"), bucket.connection("out", "delta", "out"))
        bucket.csv("in/events/1.csv", "id", "1")
        project.load(flow)
        bucket.csv("in/events/2.csv", "id,name", "2,b")
        flow = flow.model_copy(
            update={"destination": flow.destination.model_copy(update={"configure": {"schema_policy": "evolve"}})}
        )
        project.load(flow)
        assert bucket.rows(flow, "id", "name") == [(1, None), (2, "b")]
        assert bucket.delta().version() == 1

    def test_source_and_destination_may_live_in_different_places(self, project: Project, bucket: Bucket) -> None:
        project.csv("events/1.csv", "id", "1")
        here = Connection(name="here", format="csv", configure={"base_path": str(project.source_root)})
        up = flow_of(here, bucket.connection("out", "delta", "out"))
        project.load(up)
        assert bucket.rows(up) == [(1,)]
        bucket.csv("in/events/1.csv", "id", "5")
        lake = Connection(name="lake", format="delta", configure={"base_path": str(project.destination_root)})
        down = flow_of(bucket.connection("in", "csv", "in"), lake, table="down")
        project.load(down)
        assert project.frame(down).rows() == [(5,)]


class TestLoss:
    """Not one row lost or doubled, whoever writes at the same time and whatever dies."""

    def test_one_of_two_processes_creates_a_file(self, bucket: Bucket, tmp_path: Path) -> None:
        start = tmp_path / "start"
        arguments = [json.dumps(dict(bucket.configure)), bucket.url, str(start)]
        racers = [_spawned(_RACE, *arguments, str(number)) for number in range(2)]
        for racer in racers:
            assert racer.stdout is not None
            assert racer.stdout.readline() == "ready\n"
        start.touch()
        won = [json.loads(racer.communicate(timeout=60)[0]) for racer in racers]
        assert [sum(both) for both in zip(*won, strict=True)] == [1] * 20
        for number, key in enumerate(bucket.keys("race")):
            assert bytes(obstore.get(bucket.store, key).bytes()) == (b"0" if won[0][number] else b"1")

    @pytest.mark.parametrize("to", ["delta", "parquet"])
    def test_a_load_that_is_killed_leaves_nothing_and_the_next_is_whole(
        self, project: Project, bucket: Bucket, to: str
    ) -> None:
        source, destination = bucket.connection("in", "csv", "in"), bucket.connection("out", to, "out")
        flow = flow_of(source, destination)
        bucket.csv("in/events/1.csv", "id", "1", "2")
        project.load(flow)
        bucket.csv("in/events/2.csv", "id", "3")
        about = {"in": _declared(source), "out": _declared(destination)}
        process = _spawned(_PAUSED, str(project.root), json.dumps(about))
        assert process.stdout is not None
        assert process.stdout.readline() == "ready\n"  # its files are written
        written = [key for key in bucket.keys("out") if "/tg-" in key]
        assert len(written) > 1
        process.kill()
        process.communicate()
        assert bucket.rows(flow) == [(1,), (2,)]
        project.load(flow)
        assert bucket.rows(flow) == [(1,), (2,), (3,)]
        project.load(flow)
        assert bucket.rows(flow) == [(1,), (2,), (3,)]

    @pytest.mark.parametrize("to", ["delta", "parquet"])
    def test_loads_that_are_killed_at_any_time_lose_and_double_nothing(
        self, project: Project, s3: Bucket, to: str
    ) -> None:
        source, destination = s3.connection("in", "parquet", "in"), s3.connection("out", to, "out")
        flow = flow_of(source, destination)
        about = {"in": _declared(source), "out": _declared(destination)}
        rows = 0
        for round_ in range(6):
            s3.parquet(f"in/events/{round_}.parquet", {"id": list(range(rows, rows + 20_000))})
            rows += 20_000
            process = _spawned(_PLAIN, str(project.root), json.dumps(about))
            assert process.stdout is not None
            assert process.stdout.readline() == "ready\n"
            time.sleep(0.03 * round_)
            process.kill()
            process.communicate()
            there = s3.rows(flow) if to == "parquet" or s3.keys("out/events/_delta_log") else []
            assert len(there) == len(set(there))
            assert len(there) % 20_000 == 0
        project.load(flow)
        assert sorted(s3.rows(flow)) == [(number,) for number in range(rows)]

    def test_a_load_that_lost_its_state_after_the_commit_is_not_loaded_again(
        self, project: Project, bucket: Bucket
    ) -> None:
        flow = flow_of(bucket.connection("in", "csv", "in"), bucket.connection("out", "delta", "out"))
        bucket.csv("in/events/1.csv", "id", "1")
        project.load(flow)
        project.forget_state()
        project.load(flow)
        assert bucket.rows(flow) == [(1,)]

    @pytest.mark.parametrize("to", ["delta", "parquet"])
    def test_two_writers_of_one_table_lose_no_row(self, project: Project, s3: Bucket, tmp_path: Path, to: str) -> None:
        flows = []
        for number in range(2):
            s3.csv(f"in{number}/events/1.csv", "id", str(number))
            source, destination = s3.connection("in", "csv", f"in{number}"), s3.connection("out", to, "out")
            flow = flow_of(source, destination).model_copy(update={"name": f"f{number}", "dataflow_id": f"f{number}"})
            flows.append(flow)
        projects = [Project(tmp_path / str(number)) for number in range(2)]  # a state store each: no locks in common
        for round_ in range(3):
            threads = [
                threading.Thread(target=one.run, args=(flow,)) for one, flow in zip(projects, flows, strict=True)
            ]
            for thread in threads:
                thread.start()
            for thread in threads:
                thread.join()
            for number in range(2):
                s3.csv(f"in{number}/events/r{round_}.csv", "id", str(10 * round_ + 10 + number))
        assert s3.rows(flows[0]) == sorted([(0,), (1,), (10,), (11,), (20,), (21,)], key=str)

    @pytest.mark.parametrize("to", ["delta", "parquet"])
    def test_a_commit_whose_answer_was_lost_is_in_once(
        self, project: Project, s3: Bucket, monkeypatch: pytest.MonkeyPatch, to: str
    ) -> None:
        flow = flow_of(s3.connection("in", "csv", "in"), s3.connection("out", to, "out"))
        s3.csv("in/events/1.csv", "id", "1")
        project.load(flow)
        s3.csv("in/events/2.csv", "id,name", "2,b")  # a column more: the entry of a Delta log is written by us
        put = ObjectStorePlatform.put_if_absent
        told: list[str] = []

        def tried_twice(platform: ObjectStorePlatform, path: str, data: bytes) -> bool:
            told.append(path)
            return put(platform, path, data) and put(platform, path, data)

        monkeypatch.setattr(ObjectStorePlatform, "put_if_absent", tried_twice)
        assert project.load(flow).rows_out == 1
        assert told
        assert s3.rows(flow, "id", "name") == [(1, None), (2, "b")]

    def test_a_changed_object_of_the_same_size_in_the_same_second_is_seen(
        self, project: Project, bucket: Bucket
    ) -> None:
        flow = flow_of(
            bucket.connection("in", "csv", "in"),
            bucket.connection("out", "delta", "out"),
            load_type="merge_upsert",
            keys=["id"],
        )
        for value in range(5):
            bucket.csv("in/events/1.csv", "id,value", f"1,{value}")
            project.load(flow)
            assert bucket.rows(flow, "value") == [(value,)]

    def test_a_failed_load_leaves_no_object(self, project: Project, bucket: Bucket) -> None:
        bucket.csv("in/events/1.csv", "id,at", *(f"{n},2024-01-01" for n in range(5000)), "x,never")
        flow = flow_of(
            bucket.connection("in", "csv", "in"),
            bucket.connection("out", "delta", "out"),
            schema_hints=[{"column_name": "at", "data_type": "date"}],
        )
        (unit,) = project.run(flow).units
        assert unit.error is not None
        assert unit.error.code == "TG206"
        assert "row 5001" in str(unit.error.where)
        assert bucket.url in str(unit.error.where)
        assert bucket.keys("out") == []


class TestCredentials:
    """Who reads and writes, when the connection does not say it."""

    @pytest.mark.parametrize("kept_in", ["environment", "profile"])
    def test_the_credentials_of_the_machine_serve(
        self, project: Project, s3: Bucket, monkeypatch: pytest.MonkeyPatch, tmp_path: Path, kept_in: str
    ) -> None:
        keys = {"aws_access_key_id": "mine", "aws_secret_access_key": "secret"}
        if kept_in == "environment":
            for name, value in keys.items():
                monkeypatch.setenv(name.upper(), value)
        else:
            lines = ["[lake]", *(f"{name} = {value}" for name, value in keys.items())]
            (tmp_path / "credentials").write_text("\n".join(lines))
            monkeypatch.setenv("AWS_SHARED_CREDENTIALS_FILE", str(tmp_path / "credentials"))
            monkeypatch.setenv("AWS_PROFILE", "lake")
        anonymous = Bucket(
            url=s3.url,
            configure={name: value for name, value in s3.configure.items() if name not in keys},
            options=s3.options,
        )
        s3.csv("in/events/1.csv", "id", "1")
        flow = flow_of(anonymous.connection("in", "csv", "in"), anonymous.connection("out", "delta", "out"))
        project.load(flow)
        assert s3.rows(flow) == [(1,)]

    def test_none_at_all_say_what_to_do(self, project: Project, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setenv("AWS_EC2_METADATA_DISABLED", "true")
        for name in ("AWS_ACCESS_KEY_ID", "AWS_PROFILE"):
            monkeypatch.delenv(name, raising=False)
        monkeypatch.setenv("AWS_SHARED_CREDENTIALS_FILE", "/nowhere")
        place = Connection(name="in", format="csv", configure={"base_path": "s3://lake/in"})
        error = _failure(project, flow_of(place, place))
        assert error.code == "TG701"
        assert "no AWS credentials" in error.message
        assert "AWS_PROFILE" in str(error.hint)


class TestUpkeep:
    """Maintenance of tables in a bucket."""

    def test_files_are_compacted_and_removed(self, project: Project, bucket: Bucket) -> None:
        from tidegate import create_driver

        flow = flow_of(bucket.connection("in", "csv", "in"), bucket.connection("out", "delta", "out"))
        for number in range(4):
            bucket.csv(f"in/events/{number}.csv", "id", str(number))
            project.load(flow)
        with create_driver(root=project.root, retention_hours=0) as driver:
            result = driver.run_maintenance(dataflows=[flow])
        assert result.exit_code == 0
        assert bucket.rows(flow) == [(0,), (1,), (2,), (3,)]
        assert len(bucket.delta().file_uris()) == 1


class TestErrors:
    """What a user reads."""

    @pytest.mark.parametrize("end", ["in", "out"])
    def test_a_bucket_that_is_not_there(self, project: Project, bucket: Bucket, end: str) -> None:
        bucket.csv("in/events/1.csv", "id", "1")
        gone = Bucket(url=f"{bucket.url}-gone", configure=bucket.configure, options=bucket.options)
        ends = {"in": bucket.connection("in", "csv", "in"), "out": bucket.connection("out", "delta", "out")}
        ends[end] = gone.connection(end, "csv" if end == "in" else "delta", end)
        error = _failure(project, flow_of(ends["in"], ends["out"]))
        assert error.code == "TG703"
        assert gone.url in error.message

    def test_a_source_that_is_not_there(self, project: Project, bucket: Bucket) -> None:
        bucket.csv("in/evens/1.csv", "id", "1")
        flow = flow_of(bucket.connection("in", "csv", "in"), bucket.connection("out", "delta", "out"))
        error = _failure(project, flow)
        assert error.code == "TG201"
        assert "evens" in error.message

    def test_a_key_that_is_wrong(self, project: Project, azurite_url: str) -> None:
        bucket = azure_container(azurite_url)
        bucket.csv("in/events/1.csv", "id", "1")
        options = {"endpoint": azurite_url, "allow_http": True}
        wrong = bucket.connection("out", "delta", "out", account_key="Zm9vYmFy", storage_options=options)
        error = _failure(project, flow_of(bucket.connection("in", "csv", "in"), wrong))
        assert error.code == "TG701"
        assert "refused" in error.message
        assert "Zm9vYmFy" not in f"{error}"

    def test_something_else_in_the_place_of_a_table(self, project: Project, bucket: Bucket) -> None:
        bucket.csv("in/events/1.csv", "id", "1")
        bucket.csv("out/events/other.csv", "id", "1")
        for to in ("delta", "parquet"):
            flow = flow_of(bucket.connection("in", "csv", "in"), bucket.connection("out", to, "out"))
            assert _failure(project, flow).code == "TG402"
        bucket.csv("out/one", "id")
        flow = flow_of(bucket.connection("in", "csv", "in"), bucket.connection("out", "delta", "out"), table="one")
        assert _failure(project, flow).code == "TG402"


def _failure(project: Project, flow: DataFlow) -> Any:
    (unit,) = project.run(flow).units
    assert unit.status == "failed"
    return unit.error


def _declared(connection: Connection) -> dict[str, Any]:
    return {"name": connection.name, "format": connection.format, "configure": connection.configure}


def _spawned(script: str, *arguments: str) -> subprocess.Popen[str]:
    command = [sys.executable, "-c", script, *arguments]
    environment = {**os.environ, "PYTHONPATH": str(Path(__file__).parents[2])}
    return subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, env=environment)


_RACE = """
import json, os, sys, time
from tidegate import Connection
from tidegate.platforms import platform_of
from tidegate.platforms.local import LOCAL
configure, url, start, number = sys.argv[1:]
place = Connection(name="race", format="parquet", configure={**json.loads(configure), "base_path": url})
platform = platform_of(place, LOCAL)
platform.names_in(url)
print("ready", flush=True)
while not os.path.exists(start):
    time.sleep(0.0005)
print(json.dumps([platform.put_if_absent(f"{url}/race/{n:02d}", number.encode()) for n in range(20)]))
"""
_PLAIN = """
import json, sys
from pathlib import Path
from tests.behaviour.test_object_stores import flow_of
from tidegate import Connection, create_driver
root, about = Path(sys.argv[1]), json.loads(sys.argv[2])
flow = flow_of(Connection(**about["in"]), Connection(**about["out"]))
with create_driver(root=root) as driver:
    print("ready", flush=True)
    driver.run(dataflows=[flow])
"""
_PAUSED = """
import json, sys
from pathlib import Path
from tests.behaviour.paused_load import PauseBeforeCommit
from tests.behaviour.test_object_stores import flow_of
from tidegate import Connection, create_driver
root, about = Path(sys.argv[1]), json.loads(sys.argv[2])
flow = flow_of(Connection(**about["in"]), Connection(**about["out"]))
with create_driver(root=root, sinks=[PauseBeforeCommit()]) as driver:
    driver.run(dataflows=[flow])
"""
