"""What a case is: one job, done by hand and by Tidegate, in a folder of its own."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar, Protocol

if TYPE_CHECKING:
    from collections.abc import Mapping


class Peer(Protocol):
    """A hand-written way to do the job: read `source`, leave the result in `destination`."""

    def __call__(self, source: Path, destination: Path) -> None: ...


@dataclass(frozen=True, slots=True, kw_only=True)
class Workspace:
    """The folder in which one side does one job once, and how big the job is."""

    folder: Path
    size: int
    """Rows of the source, unless the case counts in something else (`Case.unit`)."""

    @property
    def inbox(self) -> Path:
        """Where sources that arrive during the job are put."""
        return self.folder / "inbox"

    @property
    def lake(self) -> Path:
        """The base path of the destination connection."""
        return self.folder / "lake"

    @property
    def metadata_file(self) -> Path:
        """Tidegate's declarations; its state lies beside them."""
        return self.folder / "tidegate.yaml"


class Case:
    """One job. A subclass says how big it is, what it reads, where the result lies, and who can do it by hand."""

    name: ClassVar[str]
    title: ClassVar[str]
    size: ClassVar[int]
    short_size: ClassVar[int]
    warm_size: ClassVar[int] = 10
    """The size of the unmeasured first job, which loads every library that the job needs."""
    unit: ClassVar[str] = "rows"
    table: ClassVar[str] = "orders"
    destination_format: ClassVar[str] = "delta"
    cap_mib: ClassVar[int | None] = None
    """The memory that each side may use, or no limit."""
    peers: ClassVar[Mapping[str, str]]
    """Name to ``module:function`` of each hand-written way; the first is the fastest and is the yardstick."""

    def source(self, workspace: Workspace) -> Path:
        """The folder that the job reads, generated when it is not in the cache."""
        raise NotImplementedError

    def stage(self, workspace: Workspace) -> None:
        """Lay out what stands before the job begins (not measured)."""
        workspace.lake.mkdir(parents=True)

    def steps(self, workspace: Workspace) -> int:
        """How often the job is run, one after the other, for one measurement."""
        return 1

    def arrive(self, workspace: Workspace, step: int) -> None:
        """Let what `step` is to load arrive."""

    def destination(self, workspace: Workspace) -> Path:
        """What a hand-written way writes to: a table, or a folder of tables."""
        return workspace.lake / self.table

    def tables(self, workspace: Workspace) -> list[Path]:
        """The tables whose content both sides must agree on."""
        return [self.destination(workspace)]

    def rows(self, size: int) -> int:
        """The source rows of a job of this size."""
        return size

    def result_rows(self, size: int) -> int:
        """The rows that a job of this size leaves in its tables, all together."""
        return self.rows(size)

    def metadata(self, workspace: Workspace) -> dict[str, Any]:
        """What a Tidegate user declares for this job."""
        raise NotImplementedError


def declare(
    workspace: Workspace, *, source: Path, formats: tuple[str, str], flows: list[dict[str, Any]]
) -> dict[str, Any]:
    """A whole metadata file: a source and a destination connection of these formats, and the flows between them."""
    reads, writes = formats
    return {
        "connections": [
            {"name": "src", "format": reads, "configure": {"base_path": str(source)}},
            {"name": "lake", "format": writes, "configure": {"base_path": str(workspace.lake)}},
        ],
        "dataflows": flows,
    }


def flow(
    name: str, *, reads: dict[str, Any], writes: dict[str, Any], hints: Mapping[str, str] | None = None
) -> dict[str, Any]:
    """One declared flow from ``src`` to ``lake``; `hints` give the columns of an untyped source their types."""
    declared: dict[str, Any] = {
        "name": name,
        "source": {"connection_name": "src", **reads},
        "destination": {"connection_name": "lake", **writes},
    }
    if hints:
        typed = [{"column_name": column, "data_type": kind} for column, kind in hints.items()]
        declared["transform"] = {"schema_hints": typed}
    return declared
