"""What a source does: plan a read, open it, and say where it ended."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Literal

from tidegate.registry import PluginRegistry
from tidegate.state import Position
from tidegate.state.watermark import Value

if TYPE_CHECKING:
    import pyarrow as pa

    from tidegate.engines.base import BaseEngine, Frame
    from tidegate.engines.meter import Cursor, Reading
    from tidegate.models import DataFlow
    from tidegate.platforms import BasePlatform
    from tidegate.timegrid import Window


@dataclass(frozen=True, slots=True, kw_only=True)
class ColumnWindow:
    """A window over the values of one column of a source, as it is called there."""

    column: str
    window: Window

    @property
    def texts(self) -> tuple[str, str]:
        """Both bounds as text, ISO 8601 for times."""
        lower, _, upper = str(self.window).partition("--")
        return lower, upper


ReadScope = Literal["new", "window", "all"]
"""How much of a source a load needs."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ReadPlan:
    """What a read will do, known before it starts. Kinds of sources add their own fields."""

    place: str
    """What is read, as people write it."""
    position: Position
    """Where the read starts; the empty position for all of the source."""
    starts: Mapping[str, Value] = field(default_factory=dict)
    """Watermark column → value from which rows may be new."""
    nothing_new: str | None = None
    """Why there is nothing to read, when there is not."""
    notes: tuple[str, ...] = ()

    def describe(self) -> dict[str, Any]:
        """Return what the plan prints, as label → value."""
        return {"read": self.place, "from": self.position.render()}


@dataclass(frozen=True, slots=True, kw_only=True)
class OpenRead:
    """A read that can run: its frame, and the types in which columns come."""

    frame: Frame
    columns: Mapping[str, pa.DataType]
    cursor: Cursor
    """From where rows are read, and by what they are recognised."""
    notes: tuple[str, ...] = ()
    """What a user should know of these rows."""


class BaseSource(ABC):
    """One source of one dataflow."""

    def __init__(self, flow: DataFlow, platform: BasePlatform) -> None:
        self.flow = flow
        self.platform = platform
        self.check: Callable[[], None] = lambda: None
        """Asked now and then while a read takes long: it raises when the read is no longer wanted."""
        self.scratch: str | None = None
        """A folder for rows that a read keeps on disk, made when it is needed; its owner removes it. None for the
        system's folder for temporary files."""

    @property
    @abstractmethod
    def place(self) -> str:
        """What is read, as people write it, without credentials. A position counts for one place."""

    @abstractmethod
    def plan(self, position: Position, *, scope: ReadScope, window: ColumnWindow | None = None) -> ReadPlan:
        """Fix what will be read, without reading rows.

        Args:
            position: Where the dataflow stands.
            scope: `new` for what was not read before; `window` for all from the position on, also what was read
                before; `all` for all of the source: the position then only serves for types.
            window: What a replay reads: what surely holds nothing of it may be left out. With `window` there is
                something to open all the same, with `all` the plan may say that there is nothing.

        Raises:
            SourceError: there is nothing at the place, or it cannot be read as it is.
        """

    @abstractmethod
    def open(self, plan: ReadPlan, engine: BaseEngine) -> OpenRead:
        """Return the planned rows as a frame that has not run yet."""

    @abstractmethod
    def finish(self, plan: ReadPlan, opened: OpenRead, reading: Reading) -> Position:
        """Return the position after the read, once it has run.

        Raises:
            SourceError: the source changed while it was read (TG207); the read does not count.
        """

    def explain(
        self, error: Exception, plan: ReadPlan, opened: OpenRead, *, narrowed: Mapping[str, pa.DataType]
    ) -> Exception:
        """Return a better error for a failure while the frame ran: which file, which row. Called after failures.

        Args:
            error: What the engine raised.
            plan: The read.
            opened: The read that ran.
            narrowed: Columns of the source → types of the destination that their values must fit, where narrower.
        """
        return error


source_registry: PluginRegistry[BaseSource] = PluginRegistry("tidegate.sources", BaseSource)
for _format in ("csv", "json", "jsonl", "parquet", "avro", "excel"):
    source_registry.register_lazy(_format, "tidegate.sources.files:FileSource")
source_registry.register_lazy("sql", "tidegate.sources.database:DatabaseSource")
source_registry.register_lazy("api", "tidegate.sources.api:ApiSource")
source_registry.register_lazy("mongodb", "tidegate.sources.mongodb:MongoSource [mongodb]")
source_registry.register_lazy("delta", "tidegate.sources.delta:DeltaSource")
source_registry.register_lazy("iceberg", "tidegate.sources.iceberg:IcebergSource [iceberg]")
source_registry.register_lazy("function", "tidegate.sources.function:FunctionSource")
source_registry.register_lazy("query", "tidegate.sources.query:QuerySource [duckdb]")
