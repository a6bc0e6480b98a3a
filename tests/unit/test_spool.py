"""Rows that are kept until all of them are there."""

from __future__ import annotations

from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tidegate.sources.spool import Spool


@given(st.lists(st.binary() | st.lists(st.integers())))
def test_all_parts_come_back_in_order_as_often_as_is_asked_for(parts: list[object]) -> None:
    spool = Spool[object](None)
    for part in parts:
        spool.add(part)
    assert list(spool) == parts
    assert list(spool) == parts


def test_iterations_do_not_disturb_each_other_nor_what_is_added() -> None:
    """A frame may read its source twice at the same time."""
    spool = Spool[int](None)
    for number in range(3):
        spool.add(number)
    pairs = []
    for one in spool:
        if one == 0:
            spool.add(3)
        pairs += [(one, other) for other in spool]
    assert pairs == [(one, other) for one in range(4) for other in range(4)]


def test_many_are_kept_in_the_folder_and_leave_nothing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path / "not there"))
    monkeypatch.setattr("tidegate.sources.spool._IN_MEMORY_BYTES", 10)
    spool = Spool[str](str(tmp_path / "run" / "source"))
    spool.add("x" * 100)
    assert list(spool) == ["x" * 100]
    assert list((tmp_path / "run" / "source").iterdir()) == []  # a killed process leaves no file either
    spool.close()
