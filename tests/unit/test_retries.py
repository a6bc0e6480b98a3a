"""Retries: which failures may pass, how long is waited, and what is told of it; cancellation and timeouts."""

from __future__ import annotations

import threading
import time
from collections.abc import Iterator

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tidegate.errors import (
    CommitConflictError,
    ConfigurationError,
    DataFlowError,
    EngineError,
    LeaseHeldError,
    MetadataError,
    PlaceUnavailableError,
    SecretUnavailableError,
    SourceError,
)
from tidegate.orchestration.cancellation import Cancellation
from tidegate.orchestration.retry_handler import RETRYABLE_STATUS_CODES, RetryHandler, RetryPolicy, is_transient


class AnswerError(Exception):
    """What an HTTP client raises: a status code of its own."""

    def __init__(self, status_code: int) -> None:
        super().__init__(f"status {status_code}")
        self.status_code = status_code


class ResponseError(Exception):
    """What other HTTP clients raise: a response with the status code."""

    def __init__(self, status_code: int) -> None:
        super().__init__("no")
        self.response = AnswerError(status_code)


class ReadTimeout(Exception):  # noqa: N818 - named as HTTP clients do
    """No built-in timeout, but called one."""


class BusyError(Exception):
    """A client's own error."""


class VeryBusyError(BusyError):
    """One below it."""


class TestWhatMayPass:
    @pytest.mark.parametrize(
        "error",
        [TimeoutError(), ReadTimeout(), ConnectionError(), ConnectionResetError(), BrokenPipeError()],
        ids=lambda error: type(error).__name__,
    )
    def test_timeouts_and_lost_connections(self, error: Exception) -> None:
        """The built-in ones too, and their subclasses (defect 34)."""
        assert is_transient(error)

    @pytest.mark.parametrize(
        "error",
        [
            CommitConflictError("busy"),
            LeaseHeldError("held"),
            PlaceUnavailableError("gone"),
            SecretUnavailableError("-"),
        ],
        ids=lambda error: type(error).__name__,
    )
    def test_what_our_errors_say_of_themselves(self, error: Exception) -> None:
        """The class decides."""
        assert is_transient(error)

    @pytest.mark.parametrize(
        "error",
        [ConfigurationError("-"), MetadataError("-"), SourceError("-"), EngineError("-"), DataFlowError("-"),
         ValueError("-"), KeyError("-"), ZeroDivisionError(), OSError("-")],
        ids=lambda error: type(error).__name__,
    )  # fmt: skip
    def test_what_is_wrong_stays_wrong(self, error: Exception) -> None:
        """A configuration least of all (defect 26)."""
        assert not is_transient(error)

    @pytest.mark.parametrize("kind", [AnswerError, ResponseError])
    @pytest.mark.parametrize("code", [*sorted(RETRYABLE_STATUS_CODES), 400, 401, 403, 404, 409, 501, 505])
    def test_status_codes(self, kind: type[Exception], code: int) -> None:
        """ "Later" is tried again, "no" is not."""
        assert is_transient(kind(code)) == (code in {408, 425, 429, 500, 502, 503, 504})

    def test_a_policy_may_have_status_codes_of_its_own(self) -> None:
        """A client that answers 409 when it is busy."""
        policy = RetryPolicy(retryable_status_codes=frozenset({409}))
        assert policy.classify(AnswerError(409)) == "transient"
        assert policy.classify(AnswerError(503)) == "permanent"

    def test_named_classes_stand_for_all_below_them(self) -> None:
        """By name: the library need not be installed."""
        policy = RetryPolicy(retryable_exceptions=frozenset({"BusyError"}))
        assert policy.classify(VeryBusyError()) == "transient"
        assert policy.classify(ValueError()) == "permanent"
        assert RetryPolicy().classify(VeryBusyError()) == "permanent"


class TestWaiting:
    @given(retry=st.integers(0, 5_000), first=st.floats(0, 100), factor=st.floats(1, 100), most=st.floats(0, 1_000))
    def test_a_wait_never_exceeds_the_longest_nor_shrinks(
        self, retry: int, first: float, factor: float, most: float
    ) -> None:
        """However often it is tried."""
        policy = RetryPolicy(initial_delay_seconds=first, backoff_multiplier=factor, max_delay_seconds=most)
        assert 0 <= policy.delay_seconds(retry) <= policy.delay_seconds(retry + 1) <= most

    @given(ratio=st.floats(0, 1), attempt=st.integers(1, 9))
    def test_jitter_stays_within_its_ratio(self, ratio: float, attempt: int) -> None:
        """So that many do not come back at once."""
        policy = RetryPolicy(max_attempts=10, jitter_ratio=ratio)
        delay = policy.decide(TimeoutError(), attempt).delay_seconds
        exact = policy.delay_seconds(attempt - 1)
        assert delay is not None
        assert exact * (1 - ratio) - 1e-9 <= delay <= exact * (1 + ratio) + 1e-9

    def test_jitter_differs(self) -> None:
        """Or it would be none."""
        policy = RetryPolicy(max_attempts=2, jitter_ratio=0.5)
        assert len({policy.decide(TimeoutError(), 1).delay_seconds for _ in range(20)}) > 1

    def test_no_attempt_begins_after_the_deadline(self) -> None:
        """A wait that would end after it is not begun."""
        policy = RetryPolicy(max_attempts=9, initial_delay_seconds=5, deadline_seconds=12)
        assert policy.decide(TimeoutError(), 1, elapsed_seconds=7).delay_seconds == 5
        assert policy.decide(TimeoutError(), 1, elapsed_seconds=7.1).delay_seconds is None


class TestHandler:
    def test_it_tells_what_was_decided_about_each_failure(self) -> None:
        """The last event has no delay: there is no other attempt."""
        errors = iter([TimeoutError("slow"), ConnectionError(), ConfigurationError("wrong")])

        def work() -> None:
            raise next(errors)

        waits: list[float] = []
        handler = RetryHandler(retry_count=5, retry_delay=1, wait=waits.append)
        with pytest.raises(ConfigurationError) as caught:
            handler.execute(work)
        assert [(event.attempt, event.kind, event.delay_seconds) for event in handler.events] == [
            (1, "timeout", 1.0), (2, "transient", 2.0), (3, "permanent", None),
        ]  # fmt: skip
        assert handler.events[0].error == "TimeoutError: slow"
        assert waits == [1.0, 2.0]
        assert caught.value.attempts == 3  # type: ignore[attr-defined]

    def test_attempts_are_used_up(self) -> None:
        """The last failure is raised."""
        calls: list[int] = []

        def work() -> None:
            calls.append(len(calls))
            raise TimeoutError(len(calls))

        with pytest.raises(TimeoutError, match="3"):
            RetryHandler(retry_count=2, retry_delay=0).execute(work)
        assert calls == [0, 1, 2]

    def test_events_are_those_of_the_last_call(self) -> None:
        """A handler can be used again."""
        errors: Iterator[Exception] = iter([TimeoutError()])

        def work() -> str:
            for error in errors:
                raise error
            return "done"

        handler = RetryHandler(retry_count=1, retry_delay=0)
        assert handler.execute(work) == ("done", 2)
        assert handler.execute(work) == ("done", 1)
        assert handler.events == []

    def test_an_interrupt_is_not_retried(self) -> None:
        """Ctrl-C is no failure."""

        def work() -> None:
            raise KeyboardInterrupt

        with pytest.raises(KeyboardInterrupt):
            RetryHandler(retry_count=5, retry_delay=0).execute(work)


class TestCancellation:
    def test_nothing_ends_what_is_wanted(self) -> None:
        """Without a limit, work may take as long as it takes."""
        cancellation = Cancellation()
        cancellation.check()
        cancellation.wait(0.0)
        assert cancellation.is_wanted

    def test_a_timeout_ends_it(self) -> None:
        """TG614; never to be retried."""
        cancellation = Cancellation(0.0)
        assert not cancellation.is_wanted
        with pytest.raises(DataFlowError) as caught:
            cancellation.check()
        assert (caught.value.code, is_transient(caught.value)) == ("TG614", False)

    def test_cancelling_ends_it_and_what_is_part_of_it(self) -> None:
        """A run that is cancelled ends its dataflows (TG615), not the other way round."""
        run = Cancellation()
        one, other = Cancellation(parent=run), Cancellation(parent=run)
        one.cancel()
        assert (one.is_wanted, other.is_wanted, run.is_wanted) == (False, True, True)
        run.cancel()
        with pytest.raises(DataFlowError) as caught:
            other.check()
        assert caught.value.code == "TG615"

    def test_waiting_ends_when_the_work_is_cancelled(self) -> None:
        """A retry in a minute is no reason to stay."""
        run = Cancellation()
        waiting = Cancellation(parent=run)
        threading.Timer(0.05, run.cancel).start()
        began = time.monotonic()
        with pytest.raises(DataFlowError):
            waiting.wait(60)
        assert time.monotonic() - began < 30

    def test_waiting_ends_when_the_time_is_over(self) -> None:
        """The time of a dataflow includes its retries."""
        with pytest.raises(DataFlowError) as caught:
            Cancellation(0.05).wait(60)
        assert caught.value.code == "TG614"
