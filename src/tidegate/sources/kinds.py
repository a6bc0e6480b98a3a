"""Which kind of source a declaration asks for, and whether its function may be called."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from tidegate.errors import ConfigurationError

if TYPE_CHECKING:
    from tidegate.models import Source

_WITH_TABLES = frozenset({"file", "lakehouse"})


def is_query_over_tables(source: Source) -> bool:
    """Tell whether a source is a SQL query over the tables of a connection that has no SQL of its own."""
    return bool(source.query) and source.connection is not None and source.connection.connection_type in _WITH_TABLES


def refuse_other_functions(source: Source, prefixes: Sequence[str]) -> None:
    """Refuse a Python function whose name begins with none of the prefixes, before anything of it is imported.

    Args:
        source: What is read.
        prefixes: Whole components of dotted names: `jobs` allows `jobs.orders.read`, not `jobs_old.read`. Empty allows
            all.

    Raises:
        ConfigurationError: it is not allowed (TG222).
    """
    name = source.python_function
    if not name or not prefixes or any(f"{name}.".startswith(f"{prefix.rstrip('.')}.") for prefix in prefixes):
        return
    msg = f"the function {name} is not among those that this run may call"
    hint = f"allowed are {', '.join(prefixes)}: --allow-functions (allowed_function_prefixes)"
    raise ConfigurationError(msg, {"function": name}, code="TG222", where=name, hint=hint)
