"""Which state store a URL means, and who may say it."""

from __future__ import annotations

import subprocess
import sys
from contextlib import closing
from pathlib import Path

import pytest

from tidegate.errors import MetadataError, TidegateError, WatermarkError
from tidegate.masking import mask
from tidegate.metadata import FileMetadata
from tidegate.orchestration.driver import create_driver
from tidegate.state import SQLiteStateStore, open_state_store

DEFAULT = ".tidegate/state.db"


def opened(url: str | Path | None, root: Path, profile: str | None = None) -> str:
    """Return the file of the store that a URL means, relative to the project folder."""
    with closing(open_state_store(url, root=root, profile=profile)) as store:
        assert isinstance(store, SQLiteStateStore)
        return str(store.path.relative_to(root) if store.path.is_relative_to(root) else store.path)


class TestUrls:
    @pytest.mark.parametrize(
        ("url", "profile", "path"),
        [
            (None, None, DEFAULT),
            (None, "prod", ".tidegate/profiles/prod/state.db"),
            ("a/b.db", None, "a/b.db"),
            (Path("a/b.db"), None, "a/b.db"),
            ("/a/b.db", None, "/a/b.db"),
            ("sqlite:///a/b.db", None, "a/b.db"),
            ("sqlite:////a/b%20c.db", None, "/a/b c.db"),
            ("sqlite:///a/b.db", "prod", "a/profiles/prod/b.db"),
            ("a/b.db", "prod", "a/profiles/prod/b.db"),
            ("./postgres.db", None, "postgres.db"),
            ("my-sqlite.db", None, "my-sqlite.db"),
            ("/data@2026/b.db", None, "/data@2026/b.db"),
            (Path("a@b.db"), None, "a@b.db"),
        ],
    )
    def test_files(self, tmp_path: Path, url: str | Path | None, profile: str | None, path: str) -> None:
        """Relative to the project folder; and those of two profiles are never one."""
        assert opened(url, tmp_path, profile) == path

    @pytest.mark.parametrize(
        "url",
        ["mysql://ada:s3cret99@db/etl", "http://db", "sqlite://", "sqlite:state.db", ":memory:", "sqlite:///:memory:"],
    )
    def test_what_is_no_place_for_state(self, tmp_path: Path, url: str) -> None:
        """It is told before anything is done, without the password."""
        with pytest.raises(WatermarkError) as raised:
            open_state_store(url, root=tmp_path, profile=None)
        assert raised.value.code == "TG511"
        assert raised.value.hint
        assert "s3cret99" not in raised.value.render()

    @pytest.mark.parametrize(
        "typed",
        [
            "postgres//ada:s3cr:et98@db/etl",
            "//ada:s3cr:et98@db/etl",
            "/ada:s3cr:et98@db/etl",
            "ada:s3cr:et98@db/etl",
            "ada@db/etl",
            "db//etl",
            "postgresql/db/etl",
            "Postgres",
            "sqlite/state.db",
            "",
            " ",
        ],
    )
    def test_a_url_that_lacks_a_sign_makes_no_file(self, tmp_path: Path, typed: str) -> None:
        """Its password would be the name of a folder, and its state another one, which is empty."""
        with pytest.raises(WatermarkError) as raised:
            open_state_store(typed, root=tmp_path, profile=None)
        assert (raised.value.code, list(tmp_path.iterdir())) == ("TG511", [])
        assert raised.value.hint
        assert "et98" not in raised.value.render()

    @pytest.mark.parametrize(
        "url", ["postgresql://db:port/etl", "postgresql://db/etl?colour=blue", "postgresql://ada:p4ss77@[::1/etl"]
    )
    def test_what_is_no_url_of_postgresql(self, tmp_path: Path, url: str) -> None:
        """The same error, when it can be told without asking a server."""
        pytest.importorskip("psycopg")
        with pytest.raises(WatermarkError) as raised:
            open_state_store(url, root=tmp_path, profile=None).states()
        assert raised.value.code in {"TG511", "TG501"}
        assert "p4ss77" not in raised.value.render()

    @pytest.mark.parametrize(
        "url", ["postgresql://ada:h%40x0r55@db/etl", "postgres://db/etl?user=ada&password=h%40x0r55"]
    )
    def test_a_password_is_hidden_from_now_on(self, tmp_path: Path, url: str) -> None:
        """Wherever it stands, and however it is written."""
        pytest.importorskip("psycopg")
        open_state_store(url, root=tmp_path, profile=None).close()
        assert mask("h@x0r55 h%40x0r55") == "*** ***"

    def test_a_missing_extra_is_named(self, tmp_path: Path) -> None:
        """With the command that installs it."""
        script = (
            "import pathlib, sys; sys.modules['psycopg'] = None\n"
            "from tidegate.state import open_state_store\n"
            "from tidegate.errors import ConfigurationError\n"
            "try: open_state_store('postgresql://db/etl', root=pathlib.Path(), profile=None)\n"
            "except ConfigurationError as error: print(error.code, error.hint)"
        )
        told = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True).stdout
        assert told == "TG612 pip install 'tidegate[postgres]'\n"


class TestWhoSaysIt:
    """The caller, else the environment, else the metadata."""

    def test_the_order(self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        """Each wins over the next, and a profile over what stands beside it."""
        (tmp_path / "tidegate.yaml").write_text("state: declared.db\nprofiles: {prod: {state: prod.db}, test: {}}\n")
        monkeypatch.delenv("TIDEGATE_STATE", raising=False)
        assert FileMetadata(tmp_path).state_url == "declared.db"
        assert FileMetadata(tmp_path, profile="prod").state_url == "prod.db"
        assert FileMetadata(tmp_path, profile="test").state_url == "declared.db"
        monkeypatch.setenv("TIDEGATE_STATE", "environment.db")
        assert FileMetadata(tmp_path, profile="prod").state_url == "environment.db"
        assert FileMetadata(tmp_path, state="caller.db").state_url == "caller.db"

    @pytest.mark.parametrize("by", ["caller", "environment", "metadata"])
    def test_an_empty_text_is_not_nothing(self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, by: str) -> None:
        """A variable that is empty by mistake does not move state to where nobody looks for it."""
        (tmp_path / "tidegate.yaml").write_text(f"state: {'' if by == 'metadata' else 'declared.db'!r}\n")
        monkeypatch.delenv("TIDEGATE_STATE", raising=False)
        if by == "environment":
            monkeypatch.setenv("TIDEGATE_STATE", "")
        metadata = FileMetadata(tmp_path, state="" if by == "caller" else None)
        with pytest.raises(WatermarkError, match="no place"):
            open_state_store(metadata.state_url, root=tmp_path, profile=None)
        with pytest.raises(WatermarkError, match="no place"):
            create_driver(metadata_provider=metadata)

    def test_an_empty_text_given_to_the_driver_is_refused(self, tmp_path: Path) -> None:
        """As by every other way."""
        (tmp_path / "tidegate.yaml").write_text("state: declared.db\n")
        with pytest.raises(WatermarkError, match="no place"):
            create_driver(metadata_provider=tmp_path, state="")

    def test_nobody(self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        """Then it is where it always was."""
        (tmp_path / "tidegate.yaml").write_text("state:\nconnections: []\n")
        monkeypatch.delenv("TIDEGATE_STATE", raising=False)
        assert FileMetadata(tmp_path).state_url is None

    def test_references_are_resolved_and_the_password_is_not_shown(
        self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        """As in all of the metadata."""
        monkeypatch.delenv("TIDEGATE_STATE", raising=False)
        monkeypatch.setenv("STATE_PASSWORD", "w0rd-of-state")
        text = "variables: {host: db}\nstate: 'postgresql://ada:${env:STATE_PASSWORD}@${var:host}/etl'\n"
        (tmp_path / "tidegate.yaml").write_text(text)
        metadata = FileMetadata(tmp_path)
        assert metadata.state_url == "postgresql://ada:w0rd-of-state@db/etl"
        assert "w0rd-of-state" not in repr(metadata.read())
        assert "w0rd-of-state" not in TidegateError("w0rd-of-state").render()

    def test_what_is_no_text_is_refused(self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        """Where it stands."""
        monkeypatch.delenv("TIDEGATE_STATE", raising=False)
        (tmp_path / "tidegate.yaml").write_text("connections: []\nstate: {url: x}\n")
        with pytest.raises(MetadataError, match="state must be text") as raised:
            _ = FileMetadata(tmp_path).state_url
        assert (raised.value.code, str(raised.value.where).endswith("tidegate.yaml:2:8")) == ("TG102", True)
