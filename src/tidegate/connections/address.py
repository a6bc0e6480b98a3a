"""The address of a database server, as a connection gives it: by fields, or by a URL with placeholders."""

from __future__ import annotations

import os
import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from urllib.parse import parse_qsl, quote, unquote, urlsplit

from tidegate.errors import ConfigurationError
from tidegate.masking import register_secret_values
from tidegate.models import Connection

_KINDS = {"postgres": "postgresql", "mariadb": "mysql", "sqlserver": "mssql"}
_PLACEHOLDER = re.compile(r"\{(\w+)\}")
_FIELDS = {"user": "username", "dbname": "database", "server": "host"}
"""Other names of fields in placeholders."""
IN_MOTHERDUCK = ("md:", "motherduck:")
"""How names of DuckDB databases begin that are no files."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Address:
    """Where a database is, and as whom to log in. Values are plain text, no longer URL-quoted.

    Attributes:
        options: What the URL says behind ``?``, for the driver.
    """

    host: str
    port: int
    database: str
    username: str | None = None
    password: str | None = field(default=None, repr=False)
    options: Mapping[str, str] = field(default_factory=dict, repr=False)

    @property
    def place(self) -> str:
        """The address without credentials."""
        return f"{self.host}:{self.port}/{self.database}"


def scheme_of(url: str) -> str:
    """Return the kind of database that a URL names.

    >>> [scheme_of(url) for url in ("postgres://h/d", "mysql+pymysql://h/d", "jdbc:sqlserver://h/d")]
    ['postgresql', 'mysql', 'mssql']
    """
    scheme = url.removeprefix("jdbc:").partition(":")[0].partition("+")[0].lower()
    return _KINDS.get(scheme, scheme)


def filled(connection: Connection) -> str | None:
    """Return the URL of a connection, with the placeholders filled from its other fields, quoted; None without a URL.

    Raises:
        ConfigurationError: a placeholder names no field that is given (TG726).
    """
    settings = connection.settings

    def value(match: re.Match[str]) -> str:
        name = _FIELDS.get(match[1], match[1])
        given = connection.database if name == "database" else getattr(settings, name, None)
        if not isinstance(given, str | int) or isinstance(given, bool):
            msg = f"the url of connection {connection.name!r} has a placeholder {match[0]}, and configure no {name!r}"
            raise ConfigurationError(msg, code="TG726", hint=f"configure.{name}: <value>, or write it into the url")
        return quote(str(given), safe="")

    return None if settings.url is None else _PLACEHOLDER.sub(value, settings.url)


def address_of(connection: Connection, *, port: int) -> Address:
    """Return the address of the server that a connection declares. What the URL leaves out, fields say.

    Args:
        connection: With its secrets resolved.
        port: Where such servers listen unless told otherwise.

    Raises:
        ConfigurationError: TG726, when the URL cannot be read, or there is neither host nor URL, or no database.
    """
    settings = connection.settings
    url = filled(connection)
    try:
        parts = urlsplit((url or "").removeprefix("jdbc:"))
        address = Address(
            host=unquote(parts.hostname or "") or settings.host or "",
            port=parts.port or settings.port or port,
            database=unquote(parts.path.removeprefix("/")) or connection.database or "",
            username=_given(parts.username) or settings.username,
            password=_given(parts.password) or settings.password,
            options=dict(parse_qsl(parts.query)),
        )
    except ValueError:  # its message may hold what stands before the @
        msg = f"the url of connection {connection.name!r} cannot be read"
        hint = "for instance postgresql://{username}:{password}@host:5432/database"
        raise ConfigurationError(msg, code="TG726", hint=hint) from None
    for name in ("host", "database"):
        if not getattr(address, name):
            msg = f"connection {connection.name!r} says no {name}"
            raise ConfigurationError(msg, code="TG726", hint=f"configure.{name}: <{name}>, or a url that has it")
    return address


def _given(text: str | None) -> str | None:
    return unquote(text) if text else None


def file_of(connection: Connection) -> str:
    """Return the path of a database that is a file: `database`, below `base_path` when it is relative; or a URL's path.

    A token in it is hidden from logs and errors from now on.

    Raises:
        ConfigurationError: it has no path, or is in memory, where no other session would find it (TG726).
    """
    settings = connection.settings
    url = filled(connection)
    named = unquote(urlsplit(url).path.removeprefix("/")) if url else connection.database
    path = os.path.join(settings.base_path or "", named or "")  # noqa: PTH118 - a path is text
    if not path or path.endswith(":memory:"):
        msg = f"connection {connection.name!r} says no file of its database"
        raise ConfigurationError(msg, code="TG726", hint="configure.database: <path of the file>")
    options = parse_qsl(path[len(without_options(path)) + 1 :])
    register_secret_values(*(value for name, value in options if "token" in name.lower()))
    return path


def without_options(path: str) -> str:
    """Return the path of a database as people may see it: options of MotherDuck, of which one is a token, are left out.

    >>> without_options("md:shop?motherduck_token=abc"), without_options("/data/what?.duckdb")
    ('md:shop', '/data/what?.duckdb')
    """
    return path.partition("?")[0] if path.startswith(IN_MOTHERDUCK) else path
