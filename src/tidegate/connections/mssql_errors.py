"""What SQL Server and its driver complain of, in our words."""

from __future__ import annotations

from mssql_python import exceptions

from tidegate.connections.failures import Failure
from tidegate.errors import PlatformError, first_line

_LOST = frozenset({
    "Client unable to establish connection",
    "Connection not open",
    "Connection failure during transaction",
    "Communication link failure",
    "Connection timeout expired",
    "Timeout expired",
    "Disconnect error",
    "Cannot use a closed connection",
})  # fmt: skip
"""What the driver says in place of the SQLSTATEs 08001, 08003, 08007, 08S01, HYT01, HYT00 and 01002."""
_UNDONE = ("deadlock", "Snapshot isolation transaction aborted", "Lock request time out")
_TLS = ("SSL Provider", "certificate", "TLS")
_SNAPSHOT = "snapshot isolation is not allowed"


def translated(error: Exception, place: str, *, connecting: bool = False, committing: bool = False) -> PlatformError:
    """Return the error for a statement or a connection that failed.

    Args:
        error: Of the driver.
        place: The database.
        connecting: No connection was made.
        committing: The statement was a COMMIT.
    """
    said, cause = getattr(error, "driver_error", ""), _cause(error)
    kind, hint = Failure.STATEMENT, None
    if said == "Serialization failure" or any(word in cause for word in _UNDONE):
        kind = Failure.UNDONE
    elif connecting and any(word in cause for word in _TLS):
        kind, hint = Failure.REFUSED, "put the server's certificate in place, or ?TrustServerCertificate=yes in the url"
    elif is_lost(error):
        kind = Failure.IN_DOUBT if committing else Failure.UNAVAILABLE
    elif connecting or said == "Invalid authorization specification":
        kind = Failure.REFUSED
    elif isinstance(error, exceptions.DataError):
        kind = Failure.VALUE
    elif _SNAPSHOT in cause:
        hint = "once, as its administrator: ALTER DATABASE ... SET ALLOW_SNAPSHOT_ISOLATION ON"
    return kind.at(place, cause, number=said or None, hint=hint)


def is_lost(error: Exception) -> bool:
    """Tell whether the connection broke, or was never made."""
    return getattr(error, "driver_error", "") in _LOST or isinstance(error, exceptions.InterfaceError)


def _cause(error: Exception) -> str:
    """Return what the server says, in one line, without the names of drivers in front."""
    if isinstance(error, exceptions.ConnectionStringParseError):
        return "; ".join(error.errors)
    text = str(getattr(error, "ddbc_error", "") or error)
    return first_line(Exception(text.rpartition("][")[2].partition("]")[2] or text))
