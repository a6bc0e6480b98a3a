"""The errors of the port to databases, in the words that all databases share."""

from __future__ import annotations

from enum import Enum

from tidegate.errors import PlaceUnavailableError, PlatformError


class Failure(Enum):
    """What went wrong: code, class, what is said before the cause, and what to do about it."""

    UNAVAILABLE = (
        "TG720",
        PlaceUnavailableError,
        "the database did not answer",
        "is the server up, and do host and port of the connection say where?",
    )
    REFUSED = (
        "TG721",
        PlatformError,
        "the database refused",
        "check username, password, database and TLS of the connection, and the rights of its user",
    )
    UNDONE = (
        "TG722",
        PlaceUnavailableError,
        "the database undid the transaction because of another one",
        "nothing was changed; run again",
    )
    IN_DOUBT = (
        "TG723",
        PlaceUnavailableError,
        "the connection to the database broke during a commit",
        "run again: the load that may have been committed is found there, and not loaded twice",
    )
    STATEMENT = ("TG724", PlatformError, "the database refused a statement", None)
    VALUE = ("TG725", PlatformError, "the database has no such value", None)

    def at(self, place: str, cause: str, *, number: object = None, hint: str | None = None) -> PlatformError:
        """Return the error.

        Args:
            place: The database, without credentials.
            cause: What its driver says, in one line.
            number: What the server calls it.
            hint: What to do, where more is known than the kind of failure.
        """
        code, kind, said, usual_hint = self.value
        details = {"place": place, "error": number}
        error: PlatformError = kind(f"{said}: {cause}", details, code=code, where=place, hint=hint or usual_hint)
        return error
