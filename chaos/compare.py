"""Whether a disturbed project holds exactly what an undisturbed one does, and both what the oracle says."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from itertools import groupby
from pathlib import Path

import polars as pl

from chaos import tables
from chaos.cases import Flow
from chaos.feeds import Source
from chaos.project import Project


def differences(
    calm: Project, disturbed: Sequence[Project], sources: Mapping[str, Source], number: int
) -> Iterator[str]:
    """Yield every difference after increment `number`: rows, soundness, sequence, position."""
    by_table = sorted(calm.case.flows, key=lambda flow: flow.destination)
    for name, group in groupby(by_table, key=lambda flow: flow.destination):
        flows = list(group)
        wanted = pl.concat([sources[flow.name].expected(number) for flow in flows])
        for project, what in ((calm, "undisturbed"), (disturbed[0], "disturbed")):
            found = tables.read_rows(project.table(flows[0]), flows[0])
            yield from (f"{name}, {what}: {text}" for text in _row_differences(found, wanted))
            yield from (f"{name}, {what}: {text}" for text in tables.faults(project.table(flows[0]), flows[0]))
        for flow in flows:
            for project in disturbed:
                compare = _replay_differences if calm.case.replays else _state_differences
                yield from (f"{flow.name}: {text}" for text in compare(flow, calm, project))


def count_rows(path: Path, flow: Flow) -> int:
    """Rows that a reader finds."""
    return tables.read_rows(path, flow).height


def _row_differences(found: pl.DataFrame, wanted: pl.DataFrame) -> Iterator[str]:
    """Compare as multisets, in all columns: those of the source, and those of history."""
    columns = wanted.columns
    if found.sort(columns).equals(wanted.sort(columns)):
        return
    lost, extra = _surplus(wanted, found), _surplus(found, wanted)
    yield f"{found.height} rows, expected {wanted.height}: {lost.height} lost, {extra.height} too many"
    yield from (f"  lost, for instance: {_text(row)}" for row in lost.sort("id").head(3).rows())
    yield from (f"  too many, for instance: {_text(row)}" for row in extra.sort("id").head(3).rows())


def _surplus(rows: pl.DataFrame, others: pl.DataFrame) -> pl.DataFrame:
    """Rows that occur more often than among the others: a difference of multisets."""
    columns = rows.columns
    numbered, against = (
        frame.with_columns(pl.int_range(pl.len()).over(columns).alias("occurrence")) for frame in (rows, others)
    )
    return numbered.join(against, on=[*columns, "occurrence"], how="anti", nulls_equal=True).drop("occurrence")


def _text(row: tuple[object, ...]) -> str:
    return ", ".join(str(value) for value in row)


def _replay_differences(flow: Flow, _: Project, disturbed: Project) -> Iterator[str]:
    if disturbed.state(flow) is not None:
        yield "the replay has moved the position"
    twice = [window for window, commits in tables.windows_of(disturbed.table(flow), flow).items() if commits > 1]
    yield from (f"window {window} was committed more than once" for window in twice)


def _state_differences(flow: Flow, calm: Project, disturbed: Project) -> Iterator[str]:
    wanted, found = calm.state(flow), disturbed.state(flow)
    if wanted is None or found is None:
        yield f"the state store has no position (undisturbed: {wanted is not None}, disturbed: {found is not None})"
        return
    if found.position.to_data() != wanted.position.to_data():
        yield f"position {found.position.render()}, undisturbed {wanted.position.render()}"
    committed = tables.sequence_of(disturbed.table(flow), flow)
    if committed != found.sequence:
        yield f"sequence {found.sequence} in the state store, {committed} in the destination"
    if found.sequence != wanted.sequence and not (flow.strategy.reloads and found.sequence > wanted.sequence):
        yield f"sequence {found.sequence}, undisturbed {wanted.sequence}"
