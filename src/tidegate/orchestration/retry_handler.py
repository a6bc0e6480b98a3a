"""Retries with exponential backoff, for failures that may pass."""

from __future__ import annotations

import random
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from typing import Any, Literal, Self, TypeVar

from tidegate.errors import TidegateError

T = TypeVar("T")
FailureKind = Literal["transient", "timeout", "permanent"]

RETRYABLE_STATUS_CODES = frozenset({408, 425, 429, 500, 502, 503, 504})
"""HTTP status codes that say "later" rather than "no" (RFC 9110, RFC 8470, RFC 6585)."""


@dataclass(frozen=True, slots=True, kw_only=True)
class RetryEvent:
    """What a policy decided about one failure."""

    attempt: int
    """Which attempt failed, from 1."""
    kind: FailureKind
    error: str
    """Class and message of the failure."""
    delay_seconds: float | None = None
    """How long is waited before the next attempt; None when this was the last."""


@dataclass(frozen=True, slots=True, kw_only=True)
class RetryPolicy:
    """How often and when something that failed is tried again.

    Only failures that may pass are: what is wrong with a configuration is wrong the second time too. Those are
    transient errors of ours (:attr:`TidegateError.transient`), the built-in timeout and connection errors, errors
    with one of the status codes, and those of the named classes.

    Args:
        max_attempts: Attempts in all, the first one included.
        initial_delay_seconds: Wait before the second attempt.
        backoff_multiplier: Factor by which each further wait grows.
        max_delay_seconds: Longest wait.
        jitter_ratio: How far a wait may be off its length, by chance, so that many do not come back at once: 0.1 for
            a tenth more or less.
        deadline_seconds: No attempt begins later than this after the first; None for no deadline.
        retryable_status_codes: HTTP status codes that are tried again.
        retryable_exceptions: Names of further exception classes that are; a base class stands for all below it.
    """

    max_attempts: int = 1
    initial_delay_seconds: float = 5.0
    backoff_multiplier: float = 2.0
    max_delay_seconds: float = 60.0
    jitter_ratio: float = 0.0
    deadline_seconds: float | None = None
    retryable_status_codes: frozenset[int] = RETRYABLE_STATUS_CODES
    retryable_exceptions: frozenset[str] = field(default_factory=frozenset)

    def classify(self, error: BaseException) -> FailureKind:
        """Tell whether a failure may pass by itself, and whether it is a timeout."""
        names = {base.__name__ for base in type(error).__mro__}
        if isinstance(error, TimeoutError) or any("Timeout" in name for name in names):
            return "timeout"
        if isinstance(error, TidegateError):
            may_pass = error.transient
        else:
            may_pass = isinstance(error, ConnectionError) or status_code_of(error) in self.retryable_status_codes
        return "transient" if may_pass or names & self.retryable_exceptions else "permanent"

    def delay_seconds(self, retry: int) -> float:
        """Return the wait before retry number `retry`, counted from 0, without jitter.

        Example:
            >>> policy = RetryPolicy(initial_delay_seconds=2.0, max_delay_seconds=5.0)
            >>> print(*(policy.delay_seconds(retry) for retry in range(3)))
            2.0 4.0 5.0
        """
        try:
            delay = self.initial_delay_seconds * self.backoff_multiplier**retry
        except OverflowError:
            delay = self.max_delay_seconds
        return float(min(delay, self.max_delay_seconds))

    def attempts(self, *, wait: Callable[[float], None] = time.sleep) -> Iterator[Attempt]:
        """Yield attempts until one succeeds or there is no other; each is a context in which to try.

        Example:
            >>> for attempt in RetryPolicy(max_attempts=3, initial_delay_seconds=0.0).attempts():
            ...     with attempt:
            ...         if attempt.number < 2:
            ...             raise ConnectionError("not yet")
            >>> attempt.number
            2
        """
        started = time.monotonic()
        number = 1
        while True:
            attempt = Attempt(self, number, started)
            yield attempt
            if attempt.event is None or attempt.event.delay_seconds is None:
                return
            wait(attempt.event.delay_seconds)
            number += 1

    def decide(self, error: BaseException, attempt: int, elapsed_seconds: float = 0.0) -> RetryEvent:
        """Return what follows from the failure of an attempt, counted from 1."""
        kind = self.classify(error)
        delay: float | None = None
        if kind != "permanent" and attempt < self.max_attempts:
            spread = random.uniform(-self.jitter_ratio, self.jitter_ratio)  # noqa: S311 - jitter
            delay = max(0.0, self.delay_seconds(attempt - 1) * (1.0 + spread))
            if self.deadline_seconds is not None and elapsed_seconds + delay > self.deadline_seconds:
                delay = None
        text = f"{type(error).__name__}: {error}" if str(error) else type(error).__name__
        return RetryEvent(attempt=attempt, kind=kind, error=text, delay_seconds=delay)


class Attempt:
    """One attempt: a context that keeps a failure to itself when there will be another attempt."""

    def __init__(self, policy: RetryPolicy, number: int, started: float) -> None:
        self.number = number
        self.event: RetryEvent | None = None
        self._policy = policy
        self._started = started

    def __enter__(self) -> Self:
        return self

    def __exit__(self, _: object, error: BaseException | None, __: object) -> bool:
        if not isinstance(error, Exception):
            return False
        self.event = self._policy.decide(error, self.number, time.monotonic() - self._started)
        return self.event.delay_seconds is not None


class RetryHandler:
    """Calls a function until it succeeds, fails for good, or has used up its attempts: a :class:`RetryPolicy` in short.

    Args:
        retry_count: Greatest number of retries; 0 for none.
        retry_delay: Seconds before the first retry.
        backoff_multiplier: Factor by which each further delay grows.
        max_delay: Greatest delay in seconds.
        policy: A whole policy, instead of the four.
        wait: How to wait some seconds.
    """

    def __init__(
        self,
        retry_count: int = 0,
        retry_delay: float = 5.0,
        backoff_multiplier: float = 2.0,
        max_delay: float = 60.0,
        *,
        policy: RetryPolicy | None = None,
        wait: Callable[[float], None] = time.sleep,
    ) -> None:
        self.policy = policy or RetryPolicy(
            max_attempts=1 + retry_count,
            initial_delay_seconds=retry_delay,
            backoff_multiplier=backoff_multiplier,
            max_delay_seconds=max_delay,
        )
        self.events: list[RetryEvent] = []
        """What was decided about each failure of the last call."""
        self._wait = wait

    @property
    def max_attempts(self) -> int:
        """Total attempts: the first one and the retries."""
        return self.policy.max_attempts

    def compute_delay(self, attempt: int) -> float:
        """Return the seconds to wait before retry number `attempt`, counted from 0.

        >>> print(*(RetryHandler(3, 2.0, max_delay=5.0).compute_delay(attempt) for attempt in range(3)))
        2.0 4.0 5.0
        """
        return self.policy.delay_seconds(attempt)

    def execute(self, func: Callable[..., T], *args: Any, **kwargs: Any) -> tuple[T, int]:
        """Call `func`, and return its result with the number of attempts that it took.

        Raises:
            Exception: the last one, once attempts are used up or retrying makes no sense. It has the number of
                attempts in its attribute `attempts`.
        """
        self.events = []
        for attempt in self.policy.attempts(wait=self._wait):
            try:
                with attempt:
                    return func(*args, **kwargs), attempt.number
            except Exception as error:
                error.attempts = attempt.number  # type: ignore[attr-defined]
                raise
            finally:
                self.events += [attempt.event] if attempt.event else []
        raise AssertionError("the last attempt returns or raises")


def status_code_of(error: BaseException) -> int | None:
    """Return the HTTP status code that an error of a client library carries: its own, or that of its response."""
    for carrier in (error, getattr(error, "response", None)):
        for name in ("status_code", "status", "code"):
            code = getattr(carrier, name, None)
            if isinstance(code, int):
                return code
    return None


def is_transient(error: BaseException) -> bool:
    """Tell whether the failure may pass by itself."""
    return RetryPolicy().classify(error) != "permanent"
