"""Retries with exponential backoff, for failures that may pass."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import Any, TypeVar

from tidegate.errors import TidegateError

T = TypeVar("T")


class RetryHandler:
    """Calls a function until it succeeds, fails for good, or has used up its attempts.

    Only transient failures are retried (:attr:`TidegateError.transient`, and the built-in timeout and connection
    errors): what is wrong with a configuration is wrong the second time too.

    Args:
        retry_count: Greatest number of retries; 0 for none.
        retry_delay: Seconds before the first retry.
        backoff_multiplier: Factor by which each further delay grows.
        max_delay: Greatest delay in seconds.
    """

    def __init__(
        self,
        retry_count: int = 0,
        retry_delay: float = 5.0,
        backoff_multiplier: float = 2.0,
        max_delay: float = 60.0,
    ) -> None:
        self.retry_count = retry_count
        self.retry_delay = retry_delay
        self.backoff_multiplier = backoff_multiplier
        self.max_delay = max_delay

    @property
    def max_attempts(self) -> int:
        """Total attempts: the first one and the retries."""
        return 1 + self.retry_count

    def compute_delay(self, attempt: int) -> float:
        """Return the seconds to wait before retry number `attempt`, counted from 0.

        >>> [RetryHandler(3, 2.0, max_delay=5.0).compute_delay(attempt) for attempt in range(3)]
        [2.0, 4.0, 5.0]
        """
        return float(min(self.retry_delay * self.backoff_multiplier**attempt, self.max_delay))

    def execute(self, func: Callable[..., T], *args: Any, **kwargs: Any) -> tuple[T, int]:
        """Call `func`, and return its result with the number of attempts that it took.

        Raises:
            Exception: the last one, once attempts are used up or retrying makes no sense. It has the number of
                attempts in its attribute `attempts`.
        """
        attempt = 0
        while True:
            try:
                return func(*args, **kwargs), attempt + 1
            except Exception as error:
                if attempt >= self.retry_count or not is_transient(error):
                    error.attempts = attempt + 1  # type: ignore[attr-defined]
                    raise
                time.sleep(self.compute_delay(attempt))
                attempt += 1


def is_transient(error: BaseException) -> bool:
    """Tell whether the failure may pass by itself."""
    if isinstance(error, TidegateError):
        return error.transient
    return isinstance(error, TimeoutError | ConnectionError)
