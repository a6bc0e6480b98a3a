"""What every error of the tree promises."""

import copy
import pickle

import pytest

from tidegate import errors, masking
from tidegate.errors import (
    CommitConflictError,
    DataFlowError,
    DestinationError,
    PipelineError,
    PlatformError,
    SecretUnavailableError,
    TidegateError,
)


def tree(cls: type[TidegateError]) -> list[type[TidegateError]]:
    return [cls, *(leaf for child in cls.__subclasses__() for leaf in tree(child))]


ALL = [cls for cls in tree(TidegateError) if cls.__module__ == errors.__name__]


@pytest.fixture(autouse=True)
def _own_secrets(monkeypatch: pytest.MonkeyPatch) -> None:
    """Forget the secrets that a test registers."""
    monkeypatch.setattr(masking, "_values", frozenset())
    monkeypatch.setattr(masking, "_written", ())


@pytest.mark.parametrize("cls", ALL)
class TestEveryError:
    def test_survives_a_process_boundary(self, cls: type[TidegateError]) -> None:
        """A worker's error arrives with its class, message, details, code, hint, place and notes."""
        error = cls("it broke", details={"row": 17}, code="TG999", hint="mend it", where="a.yaml:3:1")
        error.add_note("seen by worker 4")
        arrived = pickle.loads(pickle.dumps(error))  # noqa: S301 - our own bytes
        assert type(arrived) is cls
        assert vars(arrived) == vars(error)
        assert arrived.args == ("it broke",)
        assert arrived.render() == "TG999: it broke\n  at a.yaml:3:1\n  hint: mend it"

    def test_can_be_copied(self, cls: type[TidegateError]) -> None:
        """A copy is equal in all attributes, and not the same object."""
        error = cls("it broke", details={"row": 17})
        assert vars(copy.copy(error)) == vars(error)
        assert copy.copy(error) is not error

    def test_has_a_code_of_its_own(self, cls: type[TidegateError]) -> None:
        """No two classes share a default code, so `tidegate explain` is never ambiguous."""
        assert [other for other in ALL if other.default_code == cls.default_code] == [cls]

    def test_stands_in_the_drawn_tree(self, cls: type[TidegateError]) -> None:
        """The module docstring draws every class."""
        assert cls.__name__ in (errors.__doc__ or "")

    def test_takes_message_and_details_as_the_seed_does(self, cls: type[TidegateError]) -> None:
        """`message` comes first, `details` is optional and never None."""
        assert str(cls("it broke")) == cls("it broke").message == "it broke"
        assert cls("it broke").details == {}


class TestExtraAttributes:
    def test_pipeline_error_carries_what_was_done(self) -> None:
        """The partial result survives pickling."""
        error = PipelineError("write failed", ("read", 10), {"step": 2})
        arrived = pickle.loads(pickle.dumps(error))  # noqa: S301 - our own bytes
        assert arrived.partial_result == ("read", 10)
        assert arrived.details == {"step": 2}

    def test_dataflow_error_names_flow_and_stage(self) -> None:
        """Both survive pickling."""
        error = DataFlowError("failed", "flow-1", "bronze", {"attempt": 3}, hint="retry")
        arrived = pickle.loads(pickle.dumps(error))  # noqa: S301 - our own bytes
        assert (arrived.dataflow_id, arrived.stage, arrived.hint) == ("flow-1", "bronze", "retry")


class TestTransience:
    def test_is_decided_by_the_class(self) -> None:
        """A conflict is worth another attempt, its parent is not."""
        assert CommitConflictError("x").transient
        assert not DestinationError("x").transient

    def test_a_silent_secret_backend_is_transient(self) -> None:
        """An unreachable vault may answer the next time; a refusal stays."""
        assert SecretUnavailableError("x").transient
        assert not PlatformError("x").transient


class TestSecretsInErrors:
    def test_no_part_shows_a_registered_secret(self) -> None:
        """Message, details, hint, place, `str`, `repr` and the rendered text are masked, the pickle too."""
        masking.register_secret_values("hunter2")
        error = TidegateError(
            "login root:hunter2 failed",
            {"url": "db://root:hunter2@host", "tried": [{"password": "hunter2"}], "row": 1},
            hint="is hunter2 right?",
            where="hunter2.yaml:1",
        )
        shown = [str(error), repr(error), error.render(), repr(error.details), repr(pickle.dumps(error))]
        assert [text for text in shown if "hunter2" in text] == []
        assert error.details == {"url": "db://root:***@host", "tried": [{"password": "***"}], "row": 1}

    def test_the_callers_details_stay_as_they_were(self) -> None:
        """Masking makes a copy."""
        masking.register_secret_values("hunter2")
        details = {"password": "hunter2"}
        TidegateError("x", details)
        assert details == {"password": "hunter2"}
