"""Partition values in folder names, as Hive writes them: `year=2013/region=__HIVE_DEFAULT_PARTITION__/`."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import PurePosixPath
from urllib.parse import quote, unquote

_NULL = "__HIVE_DEFAULT_PARTITION__"


def partition_folder(values: Mapping[str, str | None]) -> PurePosixPath:
    """Return the folder of a partition; values are text, None is NULL.

    >>> str(partition_folder({"day": "2013-01-01 10:00:00", "region": None}))
    'day=2013-01-01 10%3A00%3A00/region=__HIVE_DEFAULT_PARTITION__'
    """
    return PurePosixPath(*(f"{quote(column, safe='')}={_folder(text)}" for column, text in values.items()))


def partition_values(path: str) -> dict[str, str | None]:
    """Return the partition values in a path below a table's folder; its last part is the file.

    >>> partition_values("day=2013-01-01 10%3A00%3A00/region=__HIVE_DEFAULT_PARTITION__/part.csv")
    {'day': '2013-01-01 10:00:00', 'region': None}
    """
    pairs = (folder.partition("=") for folder in path.split("/")[:-1] if "=" in folder)
    return {unquote(column): None if text == _NULL else unquote(text) for column, _, text in pairs}


def _folder(text: str | None) -> str:
    return _NULL if text is None else quote(text, safe=" ")
