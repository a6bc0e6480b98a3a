"""Setting a damaged state store aside, so that a new one can be built from what the destinations say."""

from __future__ import annotations

import sqlite3
from contextlib import closing
from datetime import UTC, datetime
from pathlib import Path

from tidegate.errors import WatermarkError
from tidegate.state.sqlite import SQLiteStateStore
from tidegate.state.store import StateStore

_COMPANIONS = ("", "-wal", "-shm", "-journal")


def set_aside_if_damaged(store: StateStore) -> tuple[str, Path] | None:
    """Set the file of a state store aside when it is damaged; return what was wrong with it, and its new name.

    A store that is no file is left as it is: a server repairs itself, and a damaged position is written anew.

    Raises:
        WatermarkError: as :func:`damage_of` and :func:`set_aside`.
    """
    if not isinstance(store, SQLiteStateStore) or not (damage := damage_of(store.path)):
        return None
    return damage, set_aside(store.path)


def damage_of(path: Path) -> str | None:
    """Return what is wrong with the state store at this path; None when it is sound, or does not exist.

    Raises:
        WatermarkError: it cannot be opened (TG501), is of a newer Tidegate (TG505), or of something else (TG513): not
            ours to replace.
    """
    if not path.exists():
        return None
    try:
        with closing(sqlite3.connect(path)) as connection:
            (verdict,) = connection.execute("PRAGMA quick_check(1)").fetchone()
        if verdict != "ok":
            return str(verdict)
    except sqlite3.OperationalError as error:  # locked, or not ours to open: no damage
        msg = f"the state store {path} cannot be opened: {error}"
        raise WatermarkError(msg, code="TG501", hint="is it a file that this user may read and write?") from error
    except sqlite3.DatabaseError as error:
        return str(error)
    store = SQLiteStateStore(path)
    try:
        store.states()
        store.last_reports()
    except WatermarkError as error:
        if error.code in ("TG505", "TG513"):
            raise
        return error.message
    finally:
        store.close()
    return None


def set_aside(path: Path) -> Path:
    """Rename a state store, and what SQLite keeps beside it; return its new name.

    Raises:
        WatermarkError: it cannot be renamed (TG501).
    """
    stamp = datetime.now(UTC).strftime("%Y%m%dT%H%M%S")
    aside = path.with_name(f"{path.name}.damaged-{stamp}")
    number = 1
    while aside.exists():
        number += 1
        aside = path.with_name(f"{path.name}.damaged-{stamp}-{number}")
    try:
        for companion in _COMPANIONS:
            there = path.with_name(path.name + companion)
            if there.exists():
                there.rename(aside.with_name(aside.name + companion))
    except OSError as error:
        msg = f"the damaged state store {path} cannot be set aside: {error.strerror or error}"
        hint = "rename it by hand, then run `tidegate state rebuild` again"
        raise WatermarkError(msg, code="TG501", hint=hint) from error
    return aside
