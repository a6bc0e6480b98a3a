"""Registered secrets are hidden wherever they turn up."""

import json
import logging
import threading
from collections.abc import Callable, Iterator
from functools import partial
from urllib.parse import quote, quote_plus

import pytest
from hypothesis import assume, given
from hypothesis import strategies as st

from tidegate import masking
from tidegate.errors import TidegateError
from tidegate.masking import get_registered_secret_values, mask, mask_within, register_secret_values
from tidegate.models import Connection
from tidegate.secrets import SecretFilter, install_secret_filter


@pytest.fixture(autouse=True)
def _own_secrets(monkeypatch: pytest.MonkeyPatch) -> None:
    """Forget the secrets that a test registers."""
    monkeypatch.setattr(masking, "_values", frozenset())
    monkeypatch.setattr(masking, "_written", ())


class TestRegistry:
    def test_ignores_empty_values(self) -> None:
        """An empty secret would be found between any two letters."""
        register_secret_values("", "hunter2")
        assert get_registered_secret_values() == {"hunter2"}
        assert mask("abc") == "abc"

    def test_a_snapshot_does_not_grow(self) -> None:
        """What was asked for before is not changed by what comes after."""
        before = get_registered_secret_values()
        register_secret_values("hunter2")
        assert before == frozenset()

    def test_loses_nothing_in_a_race(self) -> None:
        """Sixteen threads register at once, and each value is hidden afterwards."""
        barrier = threading.Barrier(16)

        def register(number: int) -> None:
            barrier.wait()
            for part in range(20):
                register_secret_values(f"secret-{number}-{part}.")

        threads = [threading.Thread(target=register, args=(number,)) for number in range(16)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        expected = {f"secret-{number}-{part}." for number in range(16) for part in range(20)}
        assert get_registered_secret_values() == expected
        assert {mask(value) for value in expected} == {"***"}


class TestMask:
    def test_hides_every_occurrence(self) -> None:
        """Inside of words as well, as a secret has no borders."""
        register_secret_values("hunter2")
        assert mask("a hunter2, xhunter2x") == "a ***, x***x"

    def test_hides_the_longest_first(self) -> None:
        """A secret that contains another leaves no rest."""
        register_secret_values("abc", "abcdef")
        assert mask("abcdef abc") == "*** ***"

    @pytest.mark.parametrize(
        "write", [quote, partial(quote, safe=""), quote_plus, repr, json.dumps, partial(json.dumps, ensure_ascii=False)]
    )
    def test_hides_it_as_others_write_it(self, write: Callable[[str], str]) -> None:
        """A URL, a repr and JSON escape characters; the secret in them is a secret still."""
        secret = "p@ss/ w\"ö\\\n'rd"
        register_secret_values(secret)
        assert mask(write(secret)).strip("'\"") == "***"

    @given(secret=st.text(min_size=1), before=st.text(), after=st.text())
    def test_never_shows_a_secret(self, secret: str, before: str, after: str) -> None:
        """Whatever stands around it, unless the mask itself contains it."""
        masking._values, masking._written = frozenset(), ()
        register_secret_values(secret)
        assume(secret not in masking.MASK)
        assert [part for part in mask(before + secret + after).split(masking.MASK) if secret in part] == []

    def test_reaches_into_containers(self) -> None:
        """Dicts, lists and tuples are masked as copies; other objects stay."""
        register_secret_values("hunter2")
        other = object()
        original = {"a": ["hunter2", ("hunter2", 1)], "b": other, "c": None}
        assert mask_within(original) == {"a": ["***", ("***", 1)], "b": other, "c": None}
        assert original["a"] == ["hunter2", ("hunter2", 1)]


class TestConnection:
    @pytest.fixture
    def connection(self) -> Connection:
        """Return a resolved connection with secrets in many places."""
        connection = Connection(
            name="crm",
            format="sql",
            configure={
                "password": "PASSWORD_KEY",
                "username": "USER_KEY",
                "database": "DATABASE_KEY",
                "url": "postgresql://{user}@host",
                "read_options": {"init": ["set role 'hunter2'"]},
            },
            secrets_ref={"env:": ("password", "username", "database")},
        )
        register_secret_values("hunter2", "theuser", "thedatabase")
        connection.take_secrets({"password": "hunter2", "username": "theuser", "database": "thedatabase"})
        return connection

    def test_shows_no_secret(self, connection: Connection) -> None:
        """Not in `repr`, `str`, dumps or JSON, before and after `settings` was read; code still gets them."""
        for _ in range(2):
            shown = [repr(connection), str(connection), repr(connection.model_dump()), connection.model_dump_json()]
            assert [text for text in shown if any(word in text for word in ("hunter2", "theu", "thed"))] == []
            assert connection.settings.password == "hunter2"
        assert connection.database == connection.settings.database == "thedatabase"

    def test_hides_resolved_fields_where_nothing_is_registered(
        self, connection: Connection, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        """In another process the set is empty; the connection knows which of its fields are secret."""
        monkeypatch.setattr(masking, "_written", ())
        assert connection.model_dump()["configure"]["username"] == "***"

    def test_shows_keys_and_hides_plain_credentials(self) -> None:
        """A key is no secret. A password that was written into the file is."""
        connection = Connection(
            name="crm",
            format="sql",
            configure={"password": "PASSWORD_KEY", "token": "plain"},
            secrets_ref={"env:": ("password",)},
        )
        assert connection.model_dump()["configure"] == {"password": "PASSWORD_KEY", "token": "***"}
        assert "plain" not in repr(connection)


class Account:
    """An object whose text shows a secret."""

    def __str__(self) -> str:
        return "root:hunter2"


class TestLogs:
    @pytest.fixture
    def output(self) -> Iterator[list[str]]:
        """Return what a handler on the root logger writes, below an installed filter."""
        lines: list[str] = []

        class Lines(logging.Handler):
            def emit(self, record: logging.LogRecord) -> None:
                lines.append(self.format(record) + repr(vars(record).get("place")))

        handler = Lines()
        root, ours = logging.getLogger(), logging.getLogger("tidegate")
        before, level = list(ours.handlers), ours.level
        root.addHandler(handler)
        ours.setLevel(logging.DEBUG)
        install_secret_filter()
        register_secret_values("hunter2")
        yield lines
        root.removeHandler(handler)
        ours.handlers[:] = before
        ours.setLevel(level)

    @pytest.mark.parametrize("name", ["tidegate", "tidegate.engines.polars"])
    def test_show_no_secret(self, output: list[str], name: str) -> None:
        """Not in message, arguments of any type, or extra fields; children of the logger included."""
        logger = logging.getLogger(name)
        logger.info("hunter2")
        logger.info("login %s with %r", Account(), {"password": ["hunter2"]}, extra={"place": {"url": "x:hunter2"}})
        logger.info("login %(user)s", {"user": "hunter2"})
        assert output == ["***None", "login root:*** with {'password': ['***']}{'url': 'x:***'}", "login ***None"]

    def test_show_no_secret_in_a_traceback(self, output: list[str]) -> None:
        """Also when the secret was registered after the exception was made, and in its causes."""
        try:
            try:
                raise ValueError("bad password hunter2")
            except ValueError as cause:
                raise TidegateError("cannot log in") from cause
        except TidegateError:
            logging.getLogger("tidegate.x").exception("failed")
        assert "bad password ***" in output[0]
        assert "TidegateError: cannot log in" in output[0]
        assert "hunter2" not in output[0]

    def test_stay_as_they_are_without_a_secret(self, output: list[str]) -> None:
        """Formatting is left to the handler, and an exception stays an object."""
        record = logging.LogRecord("tidegate", logging.INFO, __file__, 1, "%d rows", (7,), None)
        assert SecretFilter().filter(record)
        assert (record.msg, record.args) == ("%d rows", (7,))
        logging.getLogger("tidegate").info("%d rows", 7)
        assert output == ["7 rowsNone"]

    def test_a_bad_format_does_not_stop_the_caller(self) -> None:
        """It is the handler's to report, and shows no secret there either."""
        register_secret_values("hunter2")
        record = logging.LogRecord("tidegate", logging.INFO, __file__, 1, "%d", ("hunter2",), None)
        assert SecretFilter().filter(record)
        assert record.args == ("***",)

    def test_installing_twice_is_once(self, output: list[str]) -> None:
        """The logger gains one handler, before all others."""
        ours = logging.getLogger("tidegate")
        first = list(ours.handlers)
        install_secret_filter()
        assert ours.handlers == first
        assert output == []
