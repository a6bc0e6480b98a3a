"""Iceberg: which commits count, over snapshots that go on, are undone, and expire; values in metadata; types."""

from __future__ import annotations

import uuid
from datetime import UTC, date, datetime
from decimal import Decimal
from typing import Any

import pyarrow as pa
import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st
from pyiceberg.conversions import to_bytes
from pyiceberg.partitioning import UNPARTITIONED_PARTITION_SPEC
from pyiceberg.schema import Schema
from pyiceberg.table.metadata import TableMetadata, new_table_metadata
from pyiceberg.table.snapshots import Operation, Snapshot, Summary
from pyiceberg.table.sorting import UNSORTED_SORT_ORDER
from pyiceberg.table.update import (
    AddSnapshotUpdate,
    RemoveSnapshotsUpdate,
    SetPropertiesUpdate,
    SetSnapshotRefUpdate,
    update_table_metadata,
)
from pyiceberg.types import (
    BinaryType,
    DateType,
    DecimalType,
    DoubleType,
    FloatType,
    IcebergType,
    IntegerType,
    LongType,
    NestedField,
    StringType,
    TimestampType,
    TimestamptzType,
)

from tidegate.destinations.commit import Commit
from tidegate.destinations.iceberg_history import TableHistory, property_of
from tidegate.destinations.iceberg_schema import arrow_columns, field_ids, new_schema
from tidegate.destinations.iceberg_values import bound, text_of_value, value_from_text
from tidegate.destinations.table_types import iceberg_type, iceberg_united
from tidegate.errors import DestinationError
from tidegate.state import Position


class Story:
    """A table's metadata, changed step by step as catalogs change it."""

    def __init__(self) -> None:
        schema = Schema(NestedField(1, "id", LongType()))
        self.metadata: TableMetadata = new_table_metadata(
            schema, UNPARTITIONED_PARTITION_SPEC, UNSORTED_SORT_ORDER, "/lake/t", {}, uuid.UUID(int=7)
        )
        self.ours: set[int] = set()
        self.lines: dict[int, list[int]] = {0: []}
        """Version → all versions that it goes back to: the oracle."""
        self.guessed = False
        """Whether a commit of ours found no snapshot of ours to go on from: then all before it counts."""

    @property
    def history(self) -> TableHistory:
        return TableHistory(self.metadata, "/lake/t")

    def commit(self, flow: str | None) -> int:
        """Commit as a flow, or as another writer."""
        version, before = self.metadata.next_sequence_number(), self.history.version
        current = self.metadata.current_snapshot()
        about: dict[str, str] = {}
        if flow:
            kept = [snapshot.sequence_number for snapshot in self.history._reachable()]
            self.guessed |= bool(kept) and 1 not in kept and not any(version in self.ours for version in kept)
            self.ours.add(version)
            sequence = self.history.sequence(flow) + 1
            position = Position(columns={"id": str(version)})
            commit = Commit(dataflow_id=flow, name=flow, sequence=sequence, run_id="r", load_id=f"{flow}-{version}",
                            load_type="append", source="/in", position=position)  # fmt: skip
            about = self.history.summary(commit, version)
            self._apply(SetPropertiesUpdate(updates=property_of(commit, version)))
        snapshot = Snapshot(
            snapshot_id=1000 + version,
            parent_snapshot_id=current.snapshot_id if current else None,
            sequence_number=version,
            manifest_list="none",
            summary=Summary(Operation.APPEND, **about),
        )
        self._apply(AddSnapshotUpdate(snapshot=snapshot), self._to(snapshot.snapshot_id))
        self.lines[version] = [*self.lines[before], version]
        return version

    def roll_back(self, to: int) -> None:
        """Take the table back to a version that is kept."""
        if self.metadata.snapshot_by_id(1000 + to) is not None:
            self._apply(self._to(1000 + to))

    def expire(self, version: int) -> None:
        """Remove a snapshot, unless it is the current one."""
        if version != self.history.version and self.metadata.snapshot_by_id(1000 + version) is not None:
            self._apply(RemoveSnapshotsUpdate(snapshot_ids=[1000 + version]))

    def _to(self, snapshot_id: int) -> SetSnapshotRefUpdate:
        return SetSnapshotRefUpdate(ref_name="main", type="branch", snapshot_id=snapshot_id)

    def _apply(self, *updates: Any) -> None:
        self.metadata = update_table_metadata(self.metadata, updates)


STEPS = st.lists(
    st.one_of(
        st.tuples(st.just("commit"), st.sampled_from(["a", "b", "a", "b", None])),
        st.tuples(st.just("roll_back"), st.integers(1, 12)),
        st.tuples(st.just("expire"), st.integers(1, 12)),
    ),
    max_size=25,
)


class TestLine:
    @settings(deadline=None)
    @given(steps=STEPS)
    def test_what_was_undone_is_told_from_what_expired(self, steps: list[tuple[str, Any]]) -> None:
        """Whatever happened: after a commit of ours, each version of the past is known to count or not."""
        story = Story()
        story.commit("a")
        for step, what in steps:
            getattr(story, step)(what)
        story.commit("a")
        assume(not story.guessed)
        line = story.lines[story.history.version]
        for version in story.lines:
            assert story.history.contains(version) == (version == 0 or version in line), (version, line)

    @settings(deadline=None)
    @given(steps=STEPS)
    def test_the_last_commit_is_one_that_counts(self, steps: list[tuple[str, Any]]) -> None:
        """The position is that of the flow's newest commit on the line, or it is said that it is not kept."""
        story = Story()
        commits: dict[str, list[int]] = {"a": [], "b": []}
        for step, what in [("commit", "a"), *steps]:
            made = getattr(story, step)(what)
            if step == "commit" and what:
                commits[what].append(made)
        story.commit("b")
        assume(not story.guessed)
        line = story.lines[story.history.version]
        counting = [version for version in commits["a"] if version in line]
        try:
            last = story.history.last_commit("a")
        except DestinationError as error:
            if error.code != "TG408":
                raise
            return
        assert last is not None
        assert last.sequence == len(commits["a"])
        expected = Position(columns={"id": str(counting[-1])}) if counting else Position()
        assert last.position == expected

    def test_a_line_stays_short(self) -> None:
        """However often a table is taken back, the record of its line does not grow for ever."""
        story = Story()
        story.commit("a")
        for _ in range(150):
            version = story.history.version
            story.commit("a")
            story.roll_back(version)
            story.commit("a")
        snapshot = story.metadata.current_snapshot()
        assert snapshot is not None
        assert snapshot.summary is not None
        assert len((snapshot.summary["tidegate.line"] or "").split(",")) == 64
        recent = list(range(story.history.version - 20, story.history.version + 1))
        line = story.lines[story.history.version]
        assert [story.history.contains(version) for version in recent] == [version in line for version in recent]


class TestValues:
    @pytest.mark.parametrize(
        ("kind", "value"),
        [
            (IntegerType(), -7),
            (LongType(), 2**40),
            (FloatType(), 0.5),
            (DoubleType(), -1.5),
            (DecimalType(9, 2), Decimal("-12.30")),
            (DateType(), date(1969, 12, 31)),
            (TimestampType(), datetime(1969, 12, 31, 23, 59, 59, 999999)),  # noqa: DTZ001 - without a zone
            (TimestamptzType(), datetime(2024, 1, 1, 0, 0, 0, 1, tzinfo=UTC)),
            (StringType(), "zoë"),
        ],
    )
    def test_bounds_and_partitions_are_python_values(self, kind: IcebergType, value: Any) -> None:
        """A bound is the value that was bounded; a partition value is the same after it was text."""
        assert bound(kind, to_bytes(kind, value)) == value  # type: ignore[arg-type]
        text = text_of_value(kind, value_from_text(kind, str(value)))
        assert text is not None
        assert value_from_text(kind, text) == value_from_text(kind, str(value))

    @pytest.mark.parametrize(
        ("kind", "data"),
        [
            (StringType(), "é".encode()[:1]),
            (DoubleType(), to_bytes(DoubleType(), float("nan"))),
            (TimestampType(), to_bytes(LongType(), 2**62)),
            (BinaryType(), b"x"),
            (LongType(), None),
        ],
    )
    def test_what_cannot_be_compared_with_is_no_bound(self, kind: IcebergType, data: bytes | None) -> None:
        """Text cut within a letter, NaN, years that Python does not have, bytes: the file is looked into."""
        assert bound(kind, data) is None

    def test_a_bound_of_a_column_that_grew(self) -> None:
        """Files from before have the shorter bound."""
        assert bound(LongType(), to_bytes(IntegerType(), 7)) == 7
        assert bound(DoubleType(), to_bytes(FloatType(), 0.5)) == 0.5


class TestTypes:
    @pytest.mark.parametrize(
        ("found", "stored"),
        [
            (pa.int8(), pa.int32()),
            (pa.uint16(), pa.int32()),
            (pa.uint32(), pa.int64()),
            (pa.uint64(), pa.decimal128(20, 0)),
            (pa.float16(), pa.float32()),
            (pa.time64("ns"), pa.time64("us")),
            (pa.timestamp("ns", "Europe/Oslo"), pa.timestamp("us", "UTC")),
            (pa.large_list(pa.struct([("a", pa.int16())])), pa.list_(pa.struct([("a", pa.int32())]))),
            (pa.null(), pa.string()),
            (pa.large_binary(), pa.binary()),
            (pa.date64(), pa.date32()),
        ],
    )
    def test_each_type_has_one_that_holds_it(self, found: pa.DataType, stored: pa.DataType) -> None:
        """And that one is Iceberg's own: it comes back from a schema as it went in."""
        assert iceberg_type("c", found, "t") == stored
        assert arrow_columns(new_schema({"c": found})) == {"c": stored}

    @pytest.mark.parametrize(
        "found", [pa.duration("us"), pa.decimal256(40, 2), pa.map_(pa.string(), pa.int8()), pa.struct([])]
    )
    def test_a_type_that_iceberg_does_not_have(self, found: pa.DataType) -> None:
        """Refused, with the column."""
        with pytest.raises(DestinationError, match="column 'c'"):
            iceberg_type("c", found, "t")

    @pytest.mark.parametrize(
        ("there", "came", "united"),
        [
            (pa.int32(), pa.int64(), pa.int64()),
            (pa.int64(), pa.int32(), pa.int64()),
            (pa.float32(), pa.float64(), pa.float64()),
            (pa.decimal128(10, 2), pa.decimal128(12, 1), pa.decimal128(13, 2)),
            (pa.decimal128(10, 2), pa.decimal128(12, 3), None),
            (pa.int32(), pa.string(), None),
            (pa.date32(), pa.timestamp("us"), None),
            (pa.list_(pa.int32()), pa.list_(pa.int64()), pa.list_(pa.int64())),
            (
                pa.struct([("a", pa.int32()), ("b", pa.string())]),
                pa.struct([("c", pa.bool_()), ("a", pa.int64())]),
                pa.struct([("a", pa.int64()), ("b", pa.string()), ("c", pa.bool_())]),
            ),
        ],
    )
    def test_what_grows_without_a_rewrite(
        self, there: pa.DataType, came: pa.DataType, united: pa.DataType | None
    ) -> None:
        """Just what Iceberg's specification lets grow."""
        assert iceberg_united(came, there) == united

    def test_every_field_has_an_id(self) -> None:
        """Those within others too, and no id twice."""
        ids = field_ids(
            new_schema({"s": pa.struct([("l", pa.list_(pa.struct([("x", pa.int32())])))]), "t": pa.bool_()})
        )
        inner = ids["s"].inner["l"].inner["element"].inner["x"]
        numbers = [ids["s"], ids["t"], ids["s"].inner["l"], ids["s"].inner["l"].inner["element"], inner]
        assert sorted(item.number for item in numbers) == [1, 2, 3, 4, 5]
