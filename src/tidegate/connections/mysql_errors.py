"""What MySQL, MariaDB and their driver complain of, in our words."""

from __future__ import annotations

from pymysql import err
from pymysql.constants import CR, ER

from tidegate.connections.failures import Failure
from tidegate.errors import PlatformError, first_line

_CLIENT_ERRORS = range(2000, 3000)
_TLS_FAILED = CR.CR_SSL_CONNECTION_ERROR
_UNAVAILABLE = frozenset({
    ER.CON_COUNT_ERROR,
    ER.SERVER_SHUTDOWN,
    ER.NORMAL_SHUTDOWN,
    ER.SHUTDOWN_COMPLETE,
    ER.ABORTING_CONNECTION,
    ER.NET_READ_ERROR,
    ER.NET_READ_INTERRUPTED,
    ER.NET_ERROR_ON_WRITE,
    ER.NET_WRITE_INTERRUPTED,
    ER.NEW_ABORTING_CONNECTION,
    1927,  # MariaDB: connection was killed
    4031,  # MySQL: disconnected because of inactivity
})  # fmt: skip
_REFUSED = frozenset({
    ER.DBACCESS_DENIED_ERROR,
    ER.ACCESS_DENIED_ERROR,
    ER.BAD_DB_ERROR,
    ER.HOST_IS_BLOCKED,
    ER.HOST_NOT_PRIVILEGED,
    ER.NOT_SUPPORTED_AUTH_MODE,
    1698,  # access denied without a password
    1862,  # expired password
    3159,  # TLS is required
    3955,  # locked account
})  # fmt: skip
_UNDONE = frozenset({ER.LOCK_WAIT_TIMEOUT, ER.LOCK_DEADLOCK, 1020, 3572, 4125})
"""Lock wait, deadlock; of MariaDB, a row changed since the snapshot; lock not available."""
_VALUES = frozenset({
    ER.BAD_NULL_ERROR,
    ER.WARN_NULL_TO_NOTNULL,
    ER.WARN_DATA_OUT_OF_RANGE,
    ER.WARN_DATA_TRUNCATED,
    ER.TRUNCATED_WRONG_VALUE,
    ER.TRUNCATED_WRONG_VALUE_FOR_FIELD,
    ER.DATA_TOO_LONG,
    ER.ILLEGAL_VALUE_FOR_TYPE,
})  # fmt: skip
_RIGHTS = frozenset({1142, 1143, 1227, 1370})


def translated(error: Exception, place: str, *, connecting: bool = False, committing: bool = False) -> PlatformError:
    """Return the error for a statement or a connection that failed.

    Args:
        error: Of the driver.
        place: The database.
        connecting: No connection was made.
        committing: The statement was a COMMIT.
    """
    number, cause = _read(error)
    kind, hint = Failure.STATEMENT, None
    if number in _UNDONE:
        kind = Failure.UNDONE
    elif number in _REFUSED or number == _TLS_FAILED or (connecting and not _is_lost(number, error)):
        kind = Failure.REFUSED
    elif _is_lost(number, error):
        kind = Failure.IN_DOUBT if committing else Failure.UNAVAILABLE
    elif number in _VALUES:
        kind = Failure.VALUE
    elif number == ER.NET_PACKET_TOO_LARGE:
        hint = "a row is larger than the server's max_allowed_packet: make that larger"
    elif number in _RIGHTS:
        hint = "grant the user of the connection the right to it"
    return kind.at(place, cause, number=number, hint=hint)


def _is_lost(number: int, error: Exception) -> bool:
    lost = number in _UNAVAILABLE or number in _CLIENT_ERRORS or isinstance(error, OSError)
    return lost or (isinstance(error, err.InterfaceError) and number == 0)


def _read(error: Exception) -> tuple[int, str]:
    """Return number and text of an error."""
    if isinstance(error, err.MySQLError) and error.args and isinstance(error.args[0], int):
        text = str(error.args[1]) if len(error.args) > 1 else ""
        return error.args[0], (text.strip() or "the connection is closed").splitlines()[0]
    return 0, first_line(error)
