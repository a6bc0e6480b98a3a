"""The rules over read, write and merge options: which a format knows, and which values they take."""

from __future__ import annotations

from collections.abc import Mapping

from tidegate.metadata.declared import Declared
from tidegate.metadata.finding import suggestion
from tidegate.metadata.node import Path
from tidegate.models.options import MERGE_OPTIONS, READ_OPTIONS, WRITE_OPTIONS, Option


def check_options(declared: Declared, path: Path, format_name: str | None) -> None:
    """Report options that a format does not know (TG121), bad values (TG102), and two that say one thing (TG116).

    Runs before the declaration is validated, and removes what it refuses.

    Args:
        declared: A connection or a dataflow.
        path: Where its `configure` is.
        format_name: Format of the connection. Nothing is said of a format that this version does not read or write.
    """
    known_formats = {
        "read_options": READ_OPTIONS,
        "write_options": WRITE_OPTIONS,
        "merge_options": dict.fromkeys(WRITE_OPTIONS, MERGE_OPTIONS),
    }
    for field, table in known_formats.items():
        if known := table.get(format_name or ""):
            _check(declared, (*path, field), known, f"options of {format_name}")


def _check(declared: Declared, path: Path, known: Mapping[str, Option], otherwise: str) -> None:
    node = declared.node.follow(path)
    options = node[-1].fields if len(node) > len(path) else {}
    given: dict[str, str] = {}
    refused: list[Path] = []
    for key, value in options.items():
        here = (*path, key)
        option = known.get(key)
        if option is None:
            hint = suggestion(key, known, otherwise=otherwise)
            declared.report_unknown("TG121", "option", here, known, hint)
        elif not _takes(option, value.plain()):
            declared.report("TG102", f"{declared.name(here)} must be {option.wanted}", *here)
        elif option.name in given:
            message = f"{declared.name(path)}: {given[option.name]} and {key} are the same option"
            declared.report("TG116", message, *here, hint=f"keep one of them, best as {option.name}")
        else:
            given[option.name] = key
            continue
        refused.append(here)
    declared.refuse(refused)


def _takes(option: Option, value: object) -> bool:
    try:
        option.read(value)
    except ValueError:
        return False
    return True
