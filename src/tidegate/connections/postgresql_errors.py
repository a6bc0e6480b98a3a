"""What PostgreSQL and its drivers complain of, in our words."""

from __future__ import annotations

import psycopg

from tidegate.connections.exact import READ_OTHERWISE
from tidegate.errors import PlaceUnavailableError, PlatformError, first_line

_UNDONE = ("40", "55P03")
"""SQLSTATE of a transaction that the server undid because of another: serialization, deadlock, lock not available."""
_UNAVAILABLE = ("08", "53300", "57P")
"""Of a connection that broke, too many connections, a server that stops or starts."""
_REFUSED = ("28", "3D")
"""Of a user or database that is not accepted."""
_NO_VALUE = "22"
"""Of values that a type does not have."""
_NO_RIGHT = "42501"
_BUSY = ("starting up", "shutting down", "too many clients", "connection slots", "in recovery")
"""What a server says that will answer later: libpq keeps the SQLSTATE of a failed connection to itself."""
_ANSWERS = ("FATAL:", "SSL", "certificate", "authentication", "password supplied", "invalid connection option")
"""What is in the message when asking again does not help."""


def not_connected(error: Exception, place: str) -> PlatformError:
    """Return the error for a connection that was not made."""
    lines = [line.strip() for line in str(error).splitlines() if line.strip()] or [first_line(error)]
    cause = lines[0].rpartition("failed: ")[2] or lines[0]
    details = {"place": place}
    if any(word in str(error) for word in _ANSWERS) and not any(word in str(error) for word in _BUSY):
        hint = "check username, password and database of the connection, and `sslmode` in its url"
        return PlatformError(f"the database refused: {cause}", details, code="TG721", where=place, hint=hint)
    hint = "is the server up, and do host and port of the connection say where?"
    return PlaceUnavailableError(f"the database did not answer: {cause}", details, code="TG720", where=place, hint=hint)


def translated(error: Exception, place: str, *, broken: bool, inserting: bool = False) -> PlatformError:
    """Return the error for a statement that failed.

    Args:
        error: Of psycopg, or of the ADBC driver.
        place: The database.
        broken: The connection is no more.
        inserting: It was an insert, so a value that a type does not have is one of ours.
    """
    state: str = getattr(error, "sqlstate", None) or ""
    cause, details = _cause(error), {"place": place, "sqlstate": state}
    if state.startswith(_UNDONE):
        msg = f"the database undid the transaction because of another one: {cause}"
        return PlaceUnavailableError(msg, details, code="TG722", where=place, hint="nothing was changed; run again")
    if state.startswith(_UNAVAILABLE) or (broken and not state):
        msg = f"the connection to the database broke: {cause}"
        return PlaceUnavailableError(msg, details, code="TG720", where=place, hint="run again when the server is up")
    if state.startswith(_REFUSED):
        return PlatformError(f"the database refused: {cause}", details, code="TG721", where=place)
    if isinstance(error, psycopg.DataError) and not state:  # psycopg itself cannot read it
        return PlatformError(
            f"a value cannot be read: {cause}", details, code="TG725", where=place, hint=READ_OTHERWISE
        )
    if inserting and state.startswith(_NO_VALUE):
        return PlatformError(f"the database has no such value: {cause}", details, code="TG725", where=place)
    hint = "grant the user of the connection the right to it" if state == _NO_RIGHT else None
    return PlatformError(f"the database refused a statement: {cause}", details, code="TG724", where=place, hint=hint)


def in_doubt(error: Exception, place: str) -> PlatformError:
    """Return the error for a connection that broke during a commit."""
    msg = f"the connection to the database broke during a commit: {_cause(error)}"
    hint = "run again: the load that may have been committed is found there, and not loaded twice"
    return PlaceUnavailableError(msg, {"place": place}, code="TG723", where=place, hint=hint)


def _cause(error: Exception) -> str:
    """Return what the server says, in one line, and where it points to."""
    if isinstance(error, psycopg.Error) and error.diag.message_primary:
        lines = [error.diag.message_primary, error.diag.message_detail or "", error.diag.context or ""]
        return "; ".join(line.splitlines()[0] for line in lines if line)
    text = str(error).partition("ERROR:")[2] or str(error)
    return (text.strip() or type(error).__name__).splitlines()[0].strip()
