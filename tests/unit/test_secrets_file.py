"""Secrets in files: folders of them, and files with several fields."""

import os
import traceback
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tidegate import masking
from tidegate.errors import ConfigurationError, PlatformError, TidegateError
from tidegate.secrets import registered_resolver
from tidegate.secrets.document import json_fields
from tidegate.secrets.file import FileSecretProvider


@pytest.fixture(autouse=True)
def _own_secrets(monkeypatch: pytest.MonkeyPatch) -> None:
    """Forget the secrets that a test registers."""
    monkeypatch.setattr(masking, "_values", frozenset())
    monkeypatch.setattr(masking, "_written", ())


def read(key: str, place: Path) -> str:
    resolver = registered_resolver("file")
    assert resolver is not None
    return resolver.resolve(key, str(place))


def failure(key: str, place: Path) -> TidegateError:
    """Return the error of a question, which shows nothing of `hunter2`."""
    with pytest.raises(TidegateError) as caught:
        read(key, place)
    assert "hunter2" not in "".join(traceback.format_exception(caught.value)) + caught.value.render()
    return caught.value


@pytest.mark.supports("secrets", "file", "fetch", evidence="real")
class TestFolder:
    @pytest.mark.parametrize(
        ("content", "secret"),
        [
            (b"hunter2", "hunter2"),
            (b"hunter2\n", "hunter2"),
            (b"hunter2\r\n", "hunter2"),
            (b"two\nlines\n\n", "two\nlines\n"),
            (b" spaces ", " spaces "),
            ("\ufeffgrüße\n".encode(), "grüße"),
        ],
    )
    def test_a_file_is_a_secret_without_its_last_newline(self, tmp_path: Path, content: bytes, secret: str) -> None:
        (tmp_path / "password").write_bytes(content)
        assert read("password", tmp_path) == secret

    def test_what_it_hands_out_is_hidden(self, tmp_path: Path) -> None:
        (tmp_path / "password").write_text("hunter2\n")
        read("password", tmp_path)
        assert masking.mask("hunter2") == "***"

    def test_links_within_the_folder_are_followed(self, tmp_path: Path) -> None:
        """Kubernetes mounts `password -> ..data/password`, and `..data` -> a folder with a date."""
        mounted = tmp_path / "mounted"
        (mounted / "..2026_01_01").mkdir(parents=True)
        (mounted / "..2026_01_01" / "password").write_text("hunter2")
        (mounted / "..data").symlink_to("..2026_01_01")
        (mounted / "password").symlink_to("..data/password")
        (tmp_path / "link").symlink_to(mounted)
        assert read("password", mounted) == read("password", tmp_path / "link") == "hunter2"

    @pytest.mark.parametrize("key", ["../outside", "sub/../../outside", "{absolute}", "link"])
    def test_a_key_does_not_lead_out_of_the_folder(self, tmp_path: Path, key: str) -> None:
        folder = tmp_path / "folder"
        (folder / "sub").mkdir(parents=True)
        (tmp_path / "outside").write_text("hunter2")
        (folder / "link").symlink_to(tmp_path / "outside")
        error = failure(key.format(absolute=tmp_path / "outside"), folder)
        assert (type(error), error.code) == (PlatformError, "TG606")
        assert "is outside that folder" in error.message

    def test_a_folder_within_may_be_named(self, tmp_path: Path) -> None:
        (tmp_path / "db").mkdir()
        (tmp_path / "db" / "password").write_text("hunter2")
        assert read("db/password", tmp_path) == "hunter2"

    def test_a_missing_file_is_named_with_one_like_it(self, tmp_path: Path) -> None:
        (tmp_path / "password").write_text("hunter2")
        error = failure("pasword", tmp_path)
        assert (type(error), error.code) == (ConfigurationError, "TG605")
        assert str(error) == f"file 'pasword' in {str(tmp_path)!r} does not exist"
        assert "did you mean 'password'?" in str(error.hint)

    def test_a_missing_folder_is_named_in_full(self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.chdir(tmp_path)
        error = failure("password", Path("nowhere"))
        assert str(error) == f"file {str(tmp_path / 'nowhere')!r} does not exist"

    def test_a_file_that_may_not_be_read(self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        """The error of the system, as tests may run as root, who may read everything."""
        (tmp_path / "password").write_text("hunter2")

        def refuse(path: Path) -> bytes:
            raise PermissionError(13, "Permission denied", str(path))

        monkeypatch.setattr(Path, "read_bytes", refuse)
        error = failure("password", tmp_path)
        assert (error.code, error.hint) == ("TG606", "let the user that runs Tidegate read it")

    def test_bytes_that_are_no_text_are_refused_unseen(self, tmp_path: Path) -> None:
        (tmp_path / "key").write_bytes(b"hunter2\xff")
        assert "is not UTF-8 text" in failure("key", tmp_path).message

    def test_a_change_is_seen_at_once(self, tmp_path: Path) -> None:
        for value in ("old", "new"):
            (tmp_path / "password").write_text(value)
            assert read("password", tmp_path) == value


class TestOneFile:
    ENV = """
# the warehouse
PASSWORD=hunter2  # not part of it
export USER = ada
QUOTED="with # and = and 'quotes' "  # a comment
LITERAL='$HOME "x" \\n'
HASH=a#b
EMPTY=
"""

    def test_an_env_file(self, tmp_path: Path) -> None:
        (tmp_path / ".env").write_text(self.ENV)
        keys = ["PASSWORD", "USER", "QUOTED", "LITERAL", "HASH", "EMPTY"]
        found = FileSecretProvider().get_secrets(keys, str(tmp_path / ".env"))
        assert list(found.values()) == ["hunter2", "ada", "with # and = and 'quotes' ", '$HOME "x" \\n', "a#b", ""]

    @pytest.mark.parametrize(
        ("name", "text"),
        [
            ("secrets.json", '{"password": "hunter2", "port": 5432, "pin": "0123", "rate": 1.10, "ssl": true}'),
            ("secrets.yaml", "password: hunter2\nport: 5432\npin: 0123\nrate: 1.10\nssl: true\n"),
        ],
    )
    def test_values_are_the_text_that_is_written(self, tmp_path: Path, name: str, text: str) -> None:
        """A PIN that begins with a zero is no octal number."""
        (tmp_path / name).write_text(text)
        found = FileSecretProvider().get_secrets(["password", "port", "pin", "rate", "ssl"], str(tmp_path / name))
        assert list(found.values()) == ["hunter2", "5432", "0123", "1.10", "true"]

    @pytest.mark.parametrize(
        ("name", "text"),
        [
            ("secrets.json", '{"password": "hunter2"'),
            ("secrets.json", '["hunter2"]'),
            ("secrets.yaml", "password: hunter2: x"),
            ("secrets.yaml", "hunter2"),
            (".env", "PASSWORD hunter2"),
            (".env", 'PASSWORD="hunter2\nmore"'),
            (".env", "PASSWORD='hunter2' x"),
        ],
    )
    def test_a_broken_file_is_refused_unseen(self, tmp_path: Path, name: str, text: str) -> None:
        (tmp_path / name).write_text(text)
        error = failure("password", tmp_path / name)
        assert (type(error), error.code) == (PlatformError, "TG606")
        assert "is not what its name says" in error.message

    def test_a_missing_field_is_named_with_one_like_it(self, tmp_path: Path) -> None:
        (tmp_path / ".env").write_text("PASSWORD=hunter2")
        error = failure("PASWORD", tmp_path / ".env")
        assert error.code == "TG605"
        assert "has no field 'PASWORD'" in error.message
        assert "did you mean 'PASSWORD'?" in str(error.hint)

    def test_null_is_none(self, tmp_path: Path) -> None:
        (tmp_path / "s.json").write_text('{"password": null}')
        assert failure("password", tmp_path / "s.json").code == "TG605"

    def test_an_object_is_no_text(self, tmp_path: Path) -> None:
        (tmp_path / "s.json").write_text('{"db": {"password": "hunter2"}}')
        assert "holds no text in its field 'db'" in failure("db", tmp_path / "s.json").message

    def test_yaml_makes_no_objects(self, tmp_path: Path) -> None:
        (tmp_path / "s.yaml").write_text("password: !!python/object/apply:os.getcwd []\n")
        assert os.getcwd() not in failure("password", tmp_path / "s.yaml").render()  # noqa: PTH109


class TestJson:
    @given(st.dictionaries(st.text(), st.text()))
    def test_texts_come_back_as_they_are(self, fields: dict[str, str]) -> None:
        import json

        assert json_fields(json.dumps(fields)) == fields

    @given(st.integers())
    def test_numbers_come_back_as_they_are_written(self, number: int) -> None:
        assert json_fields(f'{{"n": {number}}}') == {"n": str(number)}

    @pytest.mark.parametrize("text", ["", "hunter2", "[1]", '"x"', "5"])
    def test_anything_else_is_no_object(self, text: str) -> None:
        assert json_fields(text) is None


class TestUnknownPrefix:
    def test_it_is_told_that_it_is_none(self) -> None:
        """A misspelled prefix goes to the environment, as any source without one."""
        from tidegate.secrets import EnvSecretProvider

        with pytest.raises(ConfigurationError) as caught:
            EnvSecretProvider().get_secret("password", "aws-smm:prod/db")
        assert "'aws-smm' is no known prefix" in str(caught.value.hint)
