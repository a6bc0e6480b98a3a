"""Quality rules: what must hold of the rows before they are committed."""

from __future__ import annotations

from typing import Literal

from tidegate.models.base import Declaration, Name, Names


class QualityRule(Declaration):
    """A condition on the rows of a batch, and what follows when it does not hold."""

    name: Name
    expression: str | None = None
    """SQL condition that every row must meet."""
    not_null: Names = ()
    unique: Names = ()
    severity: Literal["warn", "reject", "fail"] = "fail"
