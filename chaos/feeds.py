"""Sources that grow.

Every increment reaches the second at which the next one begins: rows tie, in `changed_at`, with the newest before them.
Rows are never in the order of time. What comes late is at most `LAG_SECONDS` late.

| feed | an increment | files |
|---|---|---|
| new rows | rows of new ids | new ones |
| late rows | the same; some are older than the newest before | one, replaced |
| changes | updates and new ids; some ids several times, some late, some into another partition | new ones |
| groups | for some ids all rows anew, others or fewer | new ones |
| change data | as changes, and deletes; ids come back | new ones |
| whole picture | all rows: some changed, some gone, some new, some back | one, replaced |
| some partitions | the whole picture of two of four regions | one, replaced |
| corrected tail | all rows; of the lag some corrected, gone, late; earlier ones too, out of reach | one, replaced |
| versions | as changes; some say again what was known | new ones |
| versions and deletes | the same, and deletes | new ones |
"""

from __future__ import annotations

import random
from collections.abc import Callable
from pathlib import Path

import polars as pl

from chaos import oracle
from chaos.cases import LAG_SECONDS, Flow
from chaos.rows import REGIONS, Row, frame, row, time_of

SECONDS = 1000
"""Seconds that an increment spans; its last second is the first one of the next."""
_FILES = 3
"""New files of an increment."""


class Source:
    """The growing source of one flow: what Tidegate reads, and what it must come to.

    Args:
        flow: The dataflow.
        folder: What Tidegate reads.
        rows: Rows of the first increment.
        seed: The same seed, flow and number give the same increments.
    """

    def __init__(self, *, flow: Flow, folder: Path, rows: int, seed: int) -> None:
        self.flow = flow
        self._folder = folder
        self._rows = rows
        self._chance = random.Random(f"{flow.name}:{seed}")
        self._latest: dict[int, Row] = {}
        """The last change of each id, deleted or not."""
        self._gone: list[int] = []
        self._known = 0
        """Ids that were ever given."""
        self._oracle = oracle.Oracle(flow)

    def arrive(self, number: int) -> None:
        """Let increment `number`, counted from 0, arrive; whole files appear, never parts of one."""
        rows = self._increment(number)
        self._oracle.take(rows, number * SECONDS)
        self._folder.mkdir(parents=True, exist_ok=True)
        if self.flow.strategy.feed in _OF_ONE_FILE:
            self._write(rows, "all.parquet")
            return
        for part in range(_FILES):
            self._write(rows[part::_FILES], f"{number:04d}-{part}.parquet")

    def expected(self, number: int) -> pl.DataFrame:
        """Return the rows that the table must hold once increment `number` is in."""
        return self._oracle.tables[number]

    def _write(self, rows: list[Row], name: str) -> None:
        """Write the file elsewhere and move it into place, as a careful producer does."""
        draft = self._folder / f".{name}"
        frame(rows, with_operation="cdc" in self.flow.strategy.source).write_parquet(draft, row_group_size=300)
        draft.replace(self._folder / name)

    # ---- rows

    def _new_keys(self, count: int) -> list[int]:
        serials = range(self._known, self._known + count)
        self._known += count
        return [serial * self.flow.shards + self.flow.shard for serial in serials]

    def _fresh(self, number: int, count: int) -> list[Row]:
        """Return rows of new ids that span the increment, both ends included."""
        keys = self._new_keys(count)
        rows = [
            row(key, second := number * SECONDS + place * SECONDS // (count - 1), _revision(second, number))
            for place, key in enumerate(keys)
        ]
        self._remember(rows)
        return rows

    def _remember(self, rows: list[Row]) -> None:
        for each in rows:
            known = self._latest.get(each.id)
            if known is None or known.changed_at <= each.changed_at:
                self._latest[each.id] = each

    def _shuffled(self, rows: list[Row]) -> list[Row]:
        self._chance.shuffle(rows)
        return rows

    def _second(self, number: int) -> int:
        return self._chance.randint(number * SECONDS, (number + 1) * SECONDS)

    def _late_second(self, number: int) -> int:
        return self._chance.randint(number * SECONDS - LAG_SECONDS, number * SECONDS)

    # ---- feeds: the rows of an increment

    def _increment(self, number: int) -> list[Row]:
        feeds: dict[str, Callable[[int], list[Row]]] = {
            "new rows": self._new_rows,
            "late rows": self._late_rows,
            "changes": self._changes,
            "groups": self._groups,
            "change data": self._change_data,
            "whole picture": self._whole_picture,
            "some partitions": self._some_partitions,
            "corrected tail": self._corrected_tail,
            "versions": self._versions,
            "versions and deletes": self._versions_and_deletes,
        }
        return feeds[self.flow.strategy.feed](number)

    def _new_rows(self, number: int) -> list[Row]:
        return self._shuffled(self._fresh(number, self._rows))

    def _late_rows(self, number: int) -> list[Row]:
        rows = self._fresh(number, self._rows)
        if number:
            late = [(key, self._late_second(number)) for key in self._new_keys(self._rows // 20)]
            rows += [row(key, second, _revision(second, number)) for key, second in late]
            self._remember(rows)
        return self._shuffled([*self._latest.values()])

    def _changes(self, number: int) -> list[Row]:
        rows = self._fresh(number, self._rows if not number else self._rows // 10)
        taken = {(each.id, each.changed_at) for each in rows}
        for key, second in self._changed(number):
            if (key, time_of(second)) not in taken:
                revision = _revision(second, number)
                rows.append(row(key, second, revision, region=self._chance.choice([key, key, revision])))
        self._remember(rows)
        return self._shuffled(rows)

    def _changed(self, number: int) -> list[tuple[int, int]]:
        """Return which ids change, and when: some several times, some late, none twice in one second."""
        known = sorted(self._latest)
        if number:  # changes cluster: some files of the table are touched and others are not
            begin = self._chance.randrange(len(known))
            clustered = known[begin : begin + self._rows]
        else:
            clustered = known
        count = min(len(clustered), self._rows // 4)
        times = [(key, self._second(number)) for key in self._chance.sample(clustered, count)]
        times += [(key, self._second(number)) for key in self._chance.choices(clustered, k=count // 3)]
        if number:
            times += [(key, self._late_second(number)) for key in self._chance.sample(clustered, count // 4)]
        return sorted(set(times))

    def _groups(self, number: int) -> list[Row]:
        rows = self._fresh(number, self._rows // 4)
        known = sorted(self._latest)
        again = self._chance.sample(known[: -len(rows)], self._rows // 8) if number else []
        keys = [*(each.id for each in rows), *again]
        for key in keys:
            regions = self._chance.sample(range(len(REGIONS)), self._chance.randint(1, 3))
            others = [region for region in regions if key in again or region != key % len(REGIONS)]
            second = self._second(number)
            rows += [row(key, second, _revision(second, number), region=region) for region in others]
        self._remember(rows)
        return self._shuffled(rows)

    def _change_data(self, number: int) -> list[Row]:
        return [each._replace(operation=self._chance.choice("DIIIUUUU")) for each in self._changes(number)]

    def _whole_picture(self, number: int) -> list[Row]:
        gone = self._chance.sample(sorted(self._latest), len(self._latest) // 10)
        back = self._chance.sample(self._gone, len(self._gone) // 2)
        for key in gone:
            del self._latest[key]
        changed = self._chance.sample(sorted(self._latest), len(self._latest) // 4)
        for key in (*changed, *back):
            second = self._second(number)
            revision = _revision(second, number)
            self._latest[key] = row(key, second, revision, region=self._chance.choice([key, revision]))
        self._gone = [*gone, *(key for key in self._gone if key not in set(back))]
        self._fresh(number, self._rows if not number else self._rows // 8)
        return self._shuffled(list(self._latest.values()))

    def _some_partitions(self, number: int) -> list[Row]:
        rows = self._whole_picture(number)
        regions = self._chance.sample(REGIONS, 2 if number else len(REGIONS))
        return [each for each in rows if each.region in regions]

    def _corrected_tail(self, number: int) -> list[Row]:
        begin = time_of(number * SECONDS - LAG_SECONDS)
        for key, known in list(self._latest.items()):
            lot = self._chance.random()
            if known.changed_at >= begin and lot < 0.2:
                del self._latest[key]
            elif lot < (0.4 if known.changed_at >= begin else 0.02):
                corrected = row(key, 0, known.revision + 1)
                self._latest[key] = corrected._replace(changed_at=known.changed_at)
        self._fresh(number, self._rows if not number else self._rows // 3)
        if number:
            late = [(key, self._late_second(number)) for key in self._new_keys(self._rows // 40)]
            self._remember([row(key, second, _revision(second, number)) for key, second in late])
        return self._shuffled(list(self._latest.values()))

    def _versions(self, number: int) -> list[Row]:
        known = dict(self._latest)
        return [
            known[each.id]._replace(changed_at=each.changed_at)
            if each.id in known and self._chance.random() < 0.25
            else each
            for each in self._changes(number)
        ]

    def _versions_and_deletes(self, number: int) -> list[Row]:
        return [each._replace(operation=self._chance.choice("DUUUUUUU")) for each in self._versions(number)]


def _revision(second: int, number: int) -> int:
    """Return a number that orders the changes of an id as their time does, and where that ties as they arrived."""
    return second * 10 + number


_OF_ONE_FILE = frozenset({"late rows", "whole picture", "some partitions", "corrected tail"})
