"""Platforms: object stores do what the local file system does."""

from __future__ import annotations

import glob
import gzip
import io
import os
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from obstore.store import MemoryStore

from tidegate.errors import ConfigurationError, PlaceUnavailableError, PlatformError
from tidegate.models import Connection
from tidegate.platforms import BasePlatform, platform_of
from tidegate.platforms.azure import AzurePlatform
from tidegate.platforms.gcs import GCSPlatform
from tidegate.platforms.local import LOCAL, LocalPlatform
from tidegate.platforms.object_store import ObjectStorePlatform
from tidegate.platforms.s3 import S3Platform
from tidegate.platforms.store_failures import store_failure


class MemoryPlatform(S3Platform):
    """A bucket in memory."""

    def connect(self) -> Any:
        return MemoryStore()


@pytest.fixture(params=["local", "object store"])
def place(request: pytest.FixtureRequest, tmp_path: Path) -> tuple[BasePlatform, str]:
    """A platform, and a folder of it in which nothing is."""
    if request.param == "local":
        return LocalPlatform(), str(tmp_path)
    return MemoryPlatform("s3://bucket", {}), "s3://bucket/lake"


class TestEveryPlatform:
    """What holds of files here and of objects there."""

    def test_a_file_is_created_once(self, place: tuple[BasePlatform, str]) -> None:
        platform, root = place
        assert platform.put_if_absent(f"{root}/a/b.json", b"first")
        assert not platform.put_if_absent(f"{root}/a/b.json", b"second")
        assert platform.read(f"{root}/a/b.json") == b"first"

    def test_one_of_many_threads_creates_a_file(self, place: tuple[BasePlatform, str]) -> None:
        platform, root = place
        with ThreadPoolExecutor(8) as pool:
            created = list(pool.map(lambda n: platform.put_if_absent(f"{root}/x", b"%d" % n), range(16)))
        assert sum(created) == 1
        assert platform.read(f"{root}/x") == b"%d" % created.index(True)

    def test_what_is_not_there_is_nothing(self, place: tuple[BasePlatform, str]) -> None:
        platform, root = place
        assert platform.file(f"{root}/no") is None
        assert not platform.is_folder(f"{root}/no")
        assert platform.names_in(f"{root}/no") == []
        assert platform.files_matching(f"{root}/no/*.csv") == []
        platform.remove(f"{root}/no")
        with pytest.raises(PlatformError):
            platform.read(f"{root}/no")
        with pytest.raises(PlatformError):
            platform.open(f"{root}/no")

    def test_a_folder_that_is_made_is_there_until_it_is_removed(self, place: tuple[BasePlatform, str]) -> None:
        platform, root = place
        platform.make_folder(f"{root}/a/b")
        assert platform.is_folder(f"{root}/a/b")
        assert platform.names_in(f"{root}/a") == ["b"]
        assert platform.names_in(f"{root}/a/b") == []
        platform.remove(f"{root}/a/b")
        assert not platform.is_folder(f"{root}/a/b")

    def test_a_folder_is_no_file_and_no_folder_of_a_longer_name(self, place: tuple[BasePlatform, str]) -> None:
        platform, root = place
        platform.put_if_absent(f"{root}/orders/1.csv", b"1")
        assert platform.file(f"{root}/orders") is None
        assert platform.is_folder(f"{root}/orders")
        assert not platform.is_folder(f"{root}/order")

    def test_a_move_replaces_its_target(self, place: tuple[BasePlatform, str]) -> None:
        platform, root = place
        platform.put_if_absent(f"{root}/from", b"new")
        platform.put_if_absent(f"{root}/deep/to", b"old")
        platform.move(f"{root}/from", f"{root}/deep/to")
        assert platform.read(f"{root}/deep/to") == b"new"
        assert platform.file(f"{root}/from") is None
        with pytest.raises(PlatformError):
            platform.move(f"{root}/from", f"{root}/deep/to")

    def test_removal_takes_all_below_and_nothing_beside(self, place: tuple[BasePlatform, str]) -> None:
        platform, root = place
        for name in ("a/1", "a/b/2", "a/_h/3", "ab"):
            platform.put_if_absent(f"{root}/{name}", b"x")
        platform.remove(f"{root}/a")
        assert platform.names_in(root) == ["ab"]

    def test_names_of_any_letters_are_kept(self, place: tuple[BasePlatform, str]) -> None:
        platform, root = place
        path = f"{root}/day=2013-01-01 10%3A00/ü#? [a] ~&+.csv"
        platform.put_if_absent(path, b"x")
        assert [file.path for file in platform.files_below(root)] == [path]
        found = platform.file(path)
        assert found is not None
        assert found == platform.files_below(root)[0]
        platform.remove(path)
        assert platform.files_below(root) == []

    def test_parts_of_a_file_are_read(self, place: tuple[BasePlatform, str]) -> None:
        platform, root = place
        content = os.urandom(3_000_000)
        platform.put_if_absent(f"{root}/x", content)
        with platform.open(f"{root}/x") as file:
            assert file.seek(-10, io.SEEK_END) == len(content) - 10
            assert file.read() == content[-10:]
            assert file.read(1) == b""
            file.seek(5)
            assert file.read(7) == content[5:12]
            assert file.tell() == 12
            file.seek(0)
            assert file.read() == content

    def test_a_compressed_file_is_read_on_the_way(self, place: tuple[BasePlatform, str]) -> None:
        platform, root = place
        platform.put_if_absent(f"{root}/x.gz", gzip.compress(b"line\n" * 1000))
        with platform.open(f"{root}/x.gz") as file, gzip.open(file) as text:
            assert sum(1 for _ in text) == 1000


_NAMES = st.sampled_from(["a", "b", "ab", "_h", ".h", "a.csv", "b.csv"])
_PATHS = st.lists(_NAMES, min_size=1, max_size=4).map("/".join)
_PATTERNS = st.lists(st.sampled_from(["a", "*", "**", "?", "*.csv", "[ab]", "_h", "a*"]), min_size=1, max_size=4)
_GLOBS = _PATTERNS.map("/".join).filter(glob.has_magic)


class TestSameAsLocal:
    """Any tree of files looks the same on both."""

    @given(paths=st.lists(_PATHS, max_size=8, unique=True), looked_at=_PATHS, pattern=_GLOBS)
    @settings(max_examples=150, deadline=None)
    def test_listing_looking_and_matching_agree(
        self, tmp_path_factory: pytest.TempPathFactory, paths: list[str], looked_at: str, pattern: str
    ) -> None:
        folder = str(tmp_path_factory.mktemp("tree"))
        store = MemoryPlatform("s3://bucket", {})
        for path in ["z/z", *_that_fit(paths)]:
            for platform, root in ((LOCAL, folder), (store, "s3://bucket/lake")):
                platform.put_if_absent(f"{root}/{path}", path.encode())

        def seen(platform: BasePlatform, root: str) -> Iterator[Any]:
            at = f"{root}/{looked_at}"
            if platform.is_folder(root):
                yield [(file.path.removeprefix(root), file.size) for file in platform.files_below(root)]
            yield [file.path.removeprefix(root) for file in platform.files_matching(f"{root}/{pattern}")]
            yield platform.names_in(at), platform.is_folder(at), (platform.file(at) or 0) and platform.read(at)
            platform.remove(at)
            yield [file.path.removeprefix(root) for file in platform.files_below(root)]

        assert list(seen(LOCAL, folder)) == list(seen(store, "s3://bucket/lake"))


def _that_fit(paths: list[str]) -> list[str]:
    """Return paths of which none is both a file and a folder."""
    kept: list[str] = []
    for path in paths:
        if not any(one == path or f"{one}/".startswith(f"{path}/") or f"{path}/".startswith(f"{one}/") for one in kept):
            kept.append(path)
    return kept


class TestObjects:
    """What objects have and files do not."""

    def test_an_object_that_marks_a_folder_is_no_file(self) -> None:
        platform = MemoryPlatform("s3://bucket", {})
        for key in ("lake", "lake/orders", "lake/orders/1.csv"):  # as ADLS and consoles make them
            platform.put_if_absent(f"s3://bucket/{key}", b"" if key != "lake/orders/1.csv" else b"x")
        assert platform.file("s3://bucket/lake/orders") is None
        assert [file.path for file in platform.files_below("s3://bucket/lake")] == ["s3://bucket/lake/orders/1.csv"]

    def test_a_bucket_itself_can_be_the_folder(self) -> None:
        platform = MemoryPlatform("s3://bucket", {})
        platform.put_if_absent("s3://bucket/1.csv", b"x")
        assert platform.is_folder("s3://bucket")
        assert platform.names_in("s3://bucket") == ["1.csv"]
        assert [file.path for file in platform.files_matching("s3://bucket/*.csv")] == ["s3://bucket/1.csv"]

    def test_more_objects_than_a_listing_returns_at_once(self) -> None:
        platform = MemoryPlatform("s3://bucket", {})
        for number in range(2500):
            platform.put_if_absent(f"s3://bucket/a/{number:05d}", b"x")
        assert len(platform.files_below("s3://bucket/a")) == 2500
        platform.remove("s3://bucket/a")
        assert platform.names_in("s3://bucket") == []

    def test_two_that_reach_a_bucket_alike_are_equal(self) -> None:
        one, other = S3Platform("s3://bucket", {"aws_region": "x"}), S3Platform("s3://bucket", {"aws_region": "x"})
        assert one == other
        assert hash(one) == hash(other)
        assert one != S3Platform("s3://bucket", {})
        assert one != LOCAL


class TestChoice:
    """Which platform a connection has."""

    @staticmethod
    def of(base_path: str | None, **configure: Any) -> BasePlatform:
        settings = {**configure, **({"base_path": base_path} if base_path else {})}
        return platform_of(Connection(name="lake", format="parquet", configure=settings), LOCAL)

    @pytest.mark.parametrize("path", [None, "/data/lake", "lake"])
    def test_a_path_without_a_scheme_is_of_this_machine(self, path: str | None) -> None:
        assert self.of(path) is LOCAL

    @pytest.mark.parametrize(
        ("path", "kind", "root"),
        [
            ("s3://bucket/lake/bronze", S3Platform, "s3://bucket"),
            ("s3a://bucket", S3Platform, "s3a://bucket"),
            ("az://lake/bronze", AzurePlatform, "az://lake"),
            (
                "abfss://lake@account.dfs.core.windows.net/bronze",
                AzurePlatform,
                "abfss://lake@account.dfs.core.windows.net",
            ),
            (
                "abfss://sales@onelake.dfs.fabric.microsoft.com/eu.Lakehouse/Files/in",
                AzurePlatform,
                "abfss://sales@onelake.dfs.fabric.microsoft.com",
            ),
            ("gs://bucket/lake", GCSPlatform, "gs://bucket"),
        ],
    )
    def test_a_scheme_names_its_platform(self, path: str, kind: type, root: str) -> None:
        platform = self.of(path)
        assert isinstance(platform, kind)
        assert isinstance(platform, ObjectStorePlatform)
        assert platform.root == root

    def test_a_path_of_databricks_says_what_to_write(self) -> None:
        with pytest.raises(ConfigurationError, match="Databricks") as caught:
            self.of("dbfs:/Volumes/main/bronze/in")
        assert caught.value.code == "TG704"

    def test_an_unknown_scheme_is_refused_with_those_there_are(self) -> None:
        with pytest.raises(ConfigurationError, match=r"no platform for ftp://") as caught:
            self.of("ftp://server/lake")
        assert caught.value.code == "TG704"
        assert "s3://" in str(caught.value.hint)

    def test_fields_of_the_connection_become_options_and_storage_options_go_before(self) -> None:
        keys = {"aws_access_key_id": "id", "aws_secret_access_key": "secret", "aws_region": "eu-west-1"}
        platform = self.of("s3://b/x", **keys, storage_options={"allow_http": True, "aws_region": "eu-north-1"})
        assert platform.storage_options == {**keys, "aws_region": "eu-north-1", "allow_http": "true"}

    def test_onelake_and_adls_are_told_apart_by_their_hosts(self) -> None:
        onelake = self.of("abfss://ws@onelake.dfs.fabric.microsoft.com/a.Lakehouse/Files", token="t")
        adls = self.of("abfss://lake@account.dfs.core.windows.net/a", account_key="Zm9v")
        assert isinstance(onelake, AzurePlatform)
        assert isinstance(adls, AzurePlatform)
        assert onelake.connect().config["use_fabric_endpoint"] == "true"
        assert adls.connect().config["account_name"] == "account"
        assert "use_fabric_endpoint" not in adls.connect().config

    @pytest.mark.parametrize("wrong", [{"storage_options": {"endpoint_ulr": "x"}}, {}])
    def test_wrong_and_missing_options_are_named(self, wrong: dict[str, Any]) -> None:
        with pytest.raises(ConfigurationError, match=r"endpoint_ulr|[Aa]ccount") as caught:
            self.of("az://lake", **wrong).names_in("az://lake")
        assert caught.value.code == "TG705"

    def test_credentials_are_hidden_wherever_they_stand(self) -> None:
        hidden = {
            "storage_options": {"azure_storage_account_key": "seekrit", "aws_secret_access_key": "seekrit"},
            "account_key": "seekrit",
            "sas_token": "seekrit",
        }
        connection = Connection(name="lake", format="delta", configure={**hidden, "base_path": "az://lake"})
        assert "seekrit" not in repr(connection)
        assert "seekrit" not in connection.model_dump_json()
        assert "seekrit" not in repr(connection.settings)


class TestFailures:
    """What a store's errors become."""

    @pytest.mark.parametrize(
        ("text", "code", "words"),
        [
            ("GET http://s/b - status code: 404 Not Found: <Code>NoSuchBucket</Code>", "TG703", "s3://b"),
            ("PUT http://s/b/x - status code: 403 Forbidden: <Code>AccessDenied</Code>", "TG701", "write"),
            ("PUT http://s/b/x - status code: 400 Bad Request: <Code>Odd</Code>", "TG701", "Odd"),
            ("GET http://s/b - status code: 503 Slow: <Code>SlowDown</Code>", "TG702", "SlowDown"),
            ("GET http://s/b - status code: 429 Too Many: ", "TG702", "429"),
            ("HEAD http://s/b/x in 2ms, after 2 retries - HTTP error: error sending", "TG702", "s3://b/x"),
            ("GET\n \x1b[31m↳\x1b[0m status code\n \x1b[31m↳\x1b[0m 500 Oops", "TG702", "500"),
        ],
    )
    def test_the_cause_decides_whether_a_retry_makes_sense(self, text: str, code: str, words: str) -> None:
        failure = store_failure(OSError(f"Error performing {text}"), "s3://b/x", action="write")
        assert failure.code == code
        assert failure.transient == (code == "TG702")
        assert words in failure.message
        assert "\n" not in failure.message

    def test_a_place_that_does_not_answer_may_the_next_time(self) -> None:
        keys = {"aws_access_key_id": "k", "aws_secret_access_key": "s"}
        platform = _Impatient("s3://bucket", {**keys, "endpoint_url": "http://127.0.0.1:9", "allow_http": "true"})
        for attempt in (platform.names_in, platform.file, platform.read, platform.remove, platform.open):
            with pytest.raises(PlaceUnavailableError, match="s3://bucket/x"):
                attempt("s3://bucket/x")


class _Impatient(S3Platform):
    """Gives up at once."""

    def connect(self) -> Any:
        from obstore.store import S3Store

        options = {name: value for name, value in self.storage_options.items() if name != "allow_http"}
        return S3Store("bucket", config=options, client_options={"allow_http": True}, retry_config={"max_retries": 0})  # type: ignore[arg-type]
