"""Values that come from the names of folders: `year=2013/month=2`."""

from __future__ import annotations

from collections.abc import Iterable
from datetime import datetime
from typing import Any

import pyarrow as pa

from tidegate.errors import SourceError
from tidegate.expressions.data_type import describe_type


def partition_type(texts: Iterable[str | None]) -> pa.DataType:
    """Return the type that all of these partition values have: integer, date, or else text."""
    present = [text for text in texts if text is not None]
    for dtype in (pa.int64(), pa.date32()):
        try:
            for text in present:
                _partition_value(text, dtype)
        except ValueError:
            continue
        # 007 is text: as a number it would lose its zeros
        if present and (dtype != pa.int64() or all(str(int(text)) == text for text in present)):
            return dtype
    return pa.string()


def known_partition_value(column: str, text: str | None, dtype: pa.DataType, path: str) -> Any:
    """Return a partition value in its type.

    Raises:
        SourceError: it is none of that type (TG203).
    """
    try:
        return _partition_value(text, dtype)
    except ValueError:
        msg = f"partition {column}={text} is not {describe_type(dtype)}, as it was in earlier loads"
        hint = "rename the folder, or `tidegate state rewind` to take the column as text from the start"
        raise SourceError(msg, {"file": path, "column": column}, code="TG203", where=path, hint=hint) from None


def _partition_value(text: str | None, dtype: pa.DataType) -> Any:
    if text is None or pa.types.is_string(dtype):
        return text
    return int(text) if pa.types.is_integer(dtype) else datetime.strptime(text, "%Y-%m-%d").date()  # noqa: DTZ007
