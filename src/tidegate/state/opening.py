"""Which state store a URL means."""

from __future__ import annotations

import re
from pathlib import Path
from urllib.parse import parse_qs, unquote, urlsplit

from tidegate.errors import ConfigurationError, WatermarkError
from tidegate.masking import register_secret_values
from tidegate.state.sqlite import SQLiteStateStore, path_for_profile, state_path_of
from tidegate.state.store import StateStore

ENVIRONMENT_VARIABLE = "TIDEGATE_STATE"
_SCHEME = re.compile(r"(?P<scheme>[A-Za-z][A-Za-z0-9+.-]+):(?P<rest>.*)", re.DOTALL)  # C:\state.db has none
_MISWRITTEN = re.compile(r"(?i:postgres|sqlite)|.*//|(?![/~]|\.\.?/).*@|.*:.*@", re.DOTALL)
"""A URL that lacks a sign or two would be a path, and the password in it the name of a folder."""
_PASSWORD = re.compile(r":(.+)@", re.DOTALL)


def open_state_store(url: str | Path | None, *, root: Path, profile: str | None) -> StateStore:
    """Return the state store of a project. Nothing is created, and no server asked, until it is used.

    Args:
        url: ``postgresql://user@host/database``, ``sqlite:///path`` or a path, relative to the project folder; when
            None, `.tidegate/state.db` there. A password in it is hidden from logs and errors from now on. A text that
            was more likely meant to be a URL is refused; a :class:`~pathlib.Path` is one, whatever its name.
        root: The project folder.
        profile: The environment, whose state is kept apart from that of others; None when there is none.

    Raises:
        WatermarkError: the URL means no state store (TG511).
        ConfigurationError: what it needs is not installed (TG612).
    """
    if url is None:
        return SQLiteStateStore(state_path_of(root, profile))
    if isinstance(url, Path) or not is_url(url):
        return _in_file(str(url), root, profile)
    hide_password(url)
    scheme, _, rest = url.partition(":")
    match scheme.lower():
        case "sqlite":
            if not (path := re.fullmatch("///(.+)", rest)):
                raise _no_store(url, "a SQLite file is sqlite:///path, or sqlite:////absolute/path")
            return _in_file(unquote(path[1]), root, profile)
        case "postgresql" | "postgres":
            return _in_postgresql(url, profile)
        case _:
            raise _no_store(url, "state is kept in postgresql://user@host/database, or in sqlite:///path")


def is_url(text: str) -> bool:
    """Tell whether a text says a URL; else it says a path.

    Raises:
        WatermarkError: it is empty, or neither of the two (TG511).

    >>> is_url("postgresql://db/etl"), is_url("state.db"), is_url("C:/state.db")
    (True, False, False)
    """
    if not text.strip():
        raise _no_store(text, "leave it out, or unset it, for .tidegate/state.db in the project folder")
    if _SCHEME.fullmatch(text):
        return True
    if _MISWRITTEN.match(text):
        register_secret_values(*_PASSWORD.findall(text))
        raise _no_store(text, "a URL is postgresql://user@host/database or sqlite:///path; a path may begin with ./")
    return False


def hide_password(url: str) -> None:
    """Register the password of a URL as a secret, wherever it stands in it."""
    try:
        parts = urlsplit(url)
        passwords = [parts.password or "", *parse_qs(parts.query).get("password", [])]
    except ValueError:  # not a URL that can be taken apart: hide it all
        passwords = [url]
    register_secret_values(*passwords, *map(unquote, passwords))


def _in_file(path: str, root: Path, profile: str | None) -> StateStore:
    if path == ":memory:":
        raise _no_store(path, "state in memory is forgotten when the process ends; give the path of a file")
    return SQLiteStateStore(path_for_profile(root.absolute() / Path(path).expanduser(), profile))


def _in_postgresql(url: str, profile: str | None) -> StateStore:
    try:
        from tidegate.state.postgresql import PostgreSQLStateStore
    except ImportError as error:
        msg = f"state in PostgreSQL needs an extra that is not installed: {error}"
        raise ConfigurationError(msg, code="TG612", hint="pip install 'tidegate[postgres]'") from error
    return PostgreSQLStateStore(url, profile=profile)


def _no_store(url: str, hint: str) -> WatermarkError:
    return WatermarkError(f"{url!r} is no place for state", code="TG511", hint=hint)
