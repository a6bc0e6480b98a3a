"""The probe of the state store. What is not there is not made: the first run makes it."""

from __future__ import annotations

import os
import time
import uuid
from collections.abc import Iterator
from pathlib import Path

from tidegate.doctor.diagnosis import Diagnosis, failed, ok, tried, warning
from tidegate.doctor.folders import nearest_folder
from tidegate.doctor.network import compared
from tidegate.errors import PlatformError, TidegateError, WatermarkError
from tidegate.reporting.figures import plural
from tidegate.state import StateStore, open_state_store
from tidegate.state.sql_store import SqlStateStore
from tidegate.state.sqlite import SQLiteStateStore

_MAY_CREATE = "SELECT has_database_privilege(current_database(), 'CREATE') AS may"


def state_diagnoses(url: str | None, *, root: Path, profile: str | None) -> Iterator[Diagnosis]:
    """Yield what is found of the state store at a URL, as :func:`~tidegate.state.open_state_store` takes it."""
    store = open_state_store(url, root=root, profile=profile)
    try:
        if isinstance(store, SqlStateStore) and not store.database.exists():
            yield _of_nothing(store)
            return
        states = store.states()
        yield ok("read", f"{_place(store)}: {plural(len(states), 'position')}")
        yield tried("write", lambda: _leased(store))
        if isinstance(store, SqlStateStore) and not isinstance(store, SQLiteStateStore):
            before = time.time()
            now = store.database.read(lambda session: session.now())
            yield compared(now.timestamp(), before=before, after=time.time())
    finally:
        store.close()


def _of_nothing(store: SqlStateStore) -> Diagnosis:
    said = f"{_place(store)} is not there yet: the first run makes it"
    if isinstance(store, SQLiteStateStore):
        folder = nearest_folder(str(store.path))
        if os.access(folder, os.W_OK | os.X_OK):
            return ok("write", said)
        hint = "let this user write there, or keep state elsewhere: --state, TIDEGATE_STATE"
        return failed("write", PlatformError(f"{folder} cannot be written to", code="TG701", hint=hint))
    try:
        may = store.database.read(lambda session: session.row(_MAY_CREATE))["may"]
    except TidegateError as error:
        return failed("read", error)
    if may:
        return ok("write", said)
    hint = "grant the user CREATE on the database, or make the schema and let the user own it"
    msg = f"{_place(store)} is not there, and the user may not make it"
    return warning("write", WatermarkError(msg, code="TG501", hint=hint))


def _leased(store: StateStore) -> str:
    """Take a lease that nobody else asks for, and let it go, which forgets it."""
    store.release(store.acquire(f"run|doctor {uuid.uuid4().hex}"))
    return "a lease was taken, and let go"


def _place(store: StateStore) -> str:
    return store.database.place if isinstance(store, SqlStateStore) else type(store).__name__
