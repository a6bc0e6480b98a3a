"""Failures of object stores in our words, whichever library tells them.

obstore, Polars and delta-rs all reach stores through Rust's `object_store`, and all hand on its text.
"""

from __future__ import annotations

import re

from tidegate.errors import PlaceUnavailableError, PlatformError

_COLOUR = re.compile(r"\x1b\[\d*m")
_STATUS = re.compile(r"status code\W*(\d{3})\b")
_NAMED = re.compile(r"Object at location (.+?) not found|for path (.+?): |Error performing \w+ (https?://[^\s?]+)")
_CODE = re.compile(r"<Code>(\w+)</Code>")
_NO_BUCKET = ("NoSuchBucket", "ContainerNotFound", "The specified bucket does not exist")
_DENIED = (
    "AccessDenied",
    "Forbidden",
    "InvalidAccessKeyId",
    "SignatureDoesNotMatch",
    "Unauthenticated",
    "Unauthorized",
    "lacked the necessary privileges",
    "valid authentication credentials",
)
_NOT_REACHED = (
    "HTTP error",
    "InternalError",
    "ServerBusy",
    "ServiceUnavailable",
    "SlowDown",
    "Too Many Requests",
    "connection closed",
    "error sending request",
    "operation timed out",
)
_OF_A_STORE = re.compile(r"Generic (S3|MicrosoftAzure|GCS) error|object-store error|Error performing \w+ https?://")
_FAULTS_OF_THE_STORE = 500


def is_of_store(error: BaseException) -> bool:
    """Tell whether a library's error comes from an object store."""
    return bool(_OF_A_STORE.search(str(error)))


def store_failure(error: BaseException, path: str | None = None, *, action: str = "reach") -> PlatformError:
    """Return a failure of an object store as one of ours.

    Args:
        error: What the library raised.
        path: What was to be reached; without it, what the error says.
        action: What was to be done with it: one verb.
    """
    text = _COLOUR.sub("", str(error))
    path = path or _named(text)
    where = {"path": path, "action": action}
    bucket = "/".join(path.split("/")[:3])
    status = int(found.group(1)) if (found := _STATUS.search(text)) else 0
    cause = _cause(text, status) or type(error).__name__
    if _says(text, _NO_BUCKET):
        hint = "create it, or correct base_path; Tidegate creates no buckets"
        return PlatformError(f"there is no bucket or container {bucket}", where, code="TG703", hint=hint)
    if status in {401, 403} or isinstance(error, PermissionError) or _says(text, _DENIED):
        msg = f"the store refused to {action} {path}: {cause}"
        hint = f"check the connection's credentials, and that they may list, read, write and delete in {bucket}"
        return PlatformError(msg, where, hint=hint)
    if status >= _FAULTS_OF_THE_STORE or status == 429 or _says(text, _NOT_REACHED):  # noqa: PLR2004 - too many requests
        hint = "run again; if it lasts, check endpoint and region, and that the store can be reached from this machine"
        return PlaceUnavailableError(f"the store did not {action} {path}: {cause}", where, hint=hint)
    if isinstance(error, FileNotFoundError):
        return PlatformError(f"there is no object {path}", where, hint="was it removed meanwhile? run again")
    msg = f"the store could not {action} {path}: {cause}"
    return PlatformError(msg, where, hint="check base_path and the connection's settings")


def _named(text: str) -> str:
    found = _NAMED.search(text)
    return next(filter(None, found.groups())) if found else "the store"


def _says(text: str, words: tuple[str, ...]) -> bool:
    return any(word in text for word in words)


def _cause(text: str, status: int) -> str:
    """Return what matters of a text that quotes requests, answers and Rust's own structures."""
    if code := _CODE.search(text):
        return f"{code.group(1)} ({status})" if status else code.group(1)
    if status:
        return f"status {status}"
    line = text.strip().partition("\n")[0]
    return re.sub(r"Error performing (\w+) \S+ in \S+?s,? ?", r"\1 ", line)[:200]
