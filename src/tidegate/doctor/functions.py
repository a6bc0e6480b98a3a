"""Probes of Python functions: they are imported, and not called."""

from __future__ import annotations

from collections.abc import Iterator

from tidegate.doctor.diagnosis import Diagnosis, tried
from tidegate.doctor.probe import BaseProbe
from tidegate.sources.function_calls import callable_as, function_called


class FunctionProbe(BaseProbe):
    """Looks for the functions that dataflows call."""

    def diagnoses(self) -> Iterator[Diagnosis]:
        """Yield what is found."""
        for name in dict.fromkeys(flow.source.python_function or "" for flow in self.use.reads):
            yield tried("import", lambda name=name: _found(name))  # type: ignore[misc]


def _found(name: str) -> str:
    callable_as(function_called(name), name)
    return name
