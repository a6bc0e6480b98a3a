"""The exception tree.

::

    TidegateError
    ├── ConfigurationError      options that contradict each other, a missing extra, an unknown plugin
    ├── MetadataError           declarations that cannot be read or do not hold
    ├── PlatformError           where bytes live: missing paths, refused access
    │   ├── PlaceUnavailableError    a file system or store did not answer         (transient)
    │   └── SecretUnavailableError   a secret backend did not answer               (transient)
    ├── EngineError             the engine (Polars, DuckDB, Spark) failed
    ├── SourceError             reading failed
    ├── TransformError          a transformation failed
    ├── DestinationError        writing failed
    │   └── CommitConflictError   another commit came first                          (transient)
    ├── WatermarkError          positions and state
    │   ├── LeaseHeldError        another process runs the flow                      (transient)
    │   └── StateUnavailableError the state store's server did not answer            (transient)
    ├── PipelineError           a step failed after others finished: carries `partial_result`
    └── DataFlowError           one dataflow failed: carries `dataflow_id` and `stage`

An error is a code, one line of cause, a place, and what to do. ``tidegate explain CODE`` prints the rest. Whether a
retry makes sense is a property of the class (:attr:`TidegateError.transient`), never of the message.
"""

from __future__ import annotations

from typing import Any, ClassVar

from tidegate.masking import mask, mask_within


class TidegateError(Exception):
    """Base of all Tidegate errors.

    Attributes:
        message: What went wrong, in one line. Registered secrets are masked.
        details: Masked context for logs, for instance ``{"file": ..., "row": 17, "column": "amount"}``.
        code: A stable code such as ``TG206``; ``tidegate explain TG206`` says more.
        hint: What to do about it.
        where: The place: ``file:line:column`` of a declaration, or file and row of the data.
    """

    default_code: ClassVar[str] = "TG001"
    transient: ClassVar[bool] = False

    def __init__(
        self,
        message: str,
        details: dict[str, Any] | None = None,
        *,
        code: str | None = None,
        hint: str | None = None,
        where: str | None = None,
    ) -> None:
        self.message = mask(message)
        self.details: dict[str, Any] = mask_within(details or {})
        self.code = code or self.default_code
        self.hint = mask(hint) if hint else None
        self.where = mask(where) if where else None
        super().__init__(self.message)

    def __reduce__(self) -> tuple[Any, ...]:
        """Pickle by attributes, so that keyword-only arguments survive a process boundary."""
        return _restore, (type(self), dict(self.__dict__))

    def render(self) -> str:
        """Return the error as a person reads it: code and cause, place, hint; one line each."""
        lines = [f"{self.code}: {self.message}"]
        if self.where:
            lines.append(f"  at {self.where}")
        if self.hint:
            lines.append(f"  hint: {self.hint}")
        return "\n".join(lines)


class ConfigurationError(TidegateError):
    """Invalid or missing configuration."""

    default_code = "TG601"


class MetadataError(TidegateError):
    """Metadata that cannot be loaded, parsed or validated."""

    default_code = "TG100"


class PlatformError(TidegateError):
    """A failure of the place where bytes live."""

    default_code = "TG701"


class PlaceUnavailableError(PlatformError):
    """A file system or store did not answer in time, or broke the connection; it may answer the next time."""

    default_code = "TG702"
    transient = True


class SecretUnavailableError(PlatformError):
    """A secret backend did not answer; it may the next time."""

    default_code = "TG608"
    transient = True


class EngineError(TidegateError):
    """A failure of the engine that no narrower class describes."""

    default_code = "TG801"


class SourceError(TidegateError):
    """Reading from a source failed."""

    default_code = "TG200"


class TransformError(TidegateError):
    """A transformation step failed."""

    default_code = "TG300"


class DestinationError(TidegateError):
    """Writing to a destination failed."""

    default_code = "TG400"


class CommitConflictError(DestinationError):
    """Another commit reached the destination first; nothing of this load is visible."""

    default_code = "TG404"
    transient = True


class WatermarkError(TidegateError):
    """A position could not be read, written or parsed."""

    default_code = "TG500"


class LeaseHeldError(WatermarkError):
    """Another process holds the lease of the flow."""

    default_code = "TG502"
    transient = True


class StateUnavailableError(WatermarkError):
    """The server of the state store did not answer, or broke the connection; it may answer the next time."""

    default_code = "TG501"
    transient = True


class PipelineError(TidegateError):
    """A pipeline step failed after others had finished.

    Attributes:
        partial_result: What had been collected before the failure.
    """

    default_code = "TG602"

    def __init__(
        self, message: str, partial_result: Any = None, details: dict[str, Any] | None = None, **context: Any
    ) -> None:
        super().__init__(message, details, **context)
        self.partial_result = partial_result


class DataFlowError(TidegateError):
    """A dataflow failed.

    Attributes:
        dataflow_id: Identifier of the failed dataflow.
        stage: Pipeline stage in which it failed.
    """

    default_code = "TG603"

    def __init__(
        self,
        message: str,
        dataflow_id: str | None = None,
        stage: str | None = None,
        details: dict[str, Any] | None = None,
        **context: Any,
    ) -> None:
        super().__init__(message, details, **context)
        self.dataflow_id = dataflow_id
        self.stage = stage


def first_line(error: BaseException) -> str:
    """Return what an error of a library says, in one line."""
    return (str(error).strip() or type(error).__name__).splitlines()[0]


def _restore(cls: type[TidegateError], attributes: dict[str, Any]) -> TidegateError:
    error = cls.__new__(cls)
    Exception.__init__(error, attributes["message"])
    error.__dict__.update(attributes)
    return error
