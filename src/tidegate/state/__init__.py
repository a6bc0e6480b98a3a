"""Where every dataflow stands, and who may move it."""

from tidegate.state.position import Generation, Position, SeenRows
from tidegate.state.sqlite import SQLiteStateStore, state_path_of
from tidegate.state.store import FlowState, Lease, StateStore

__all__ = [
    "FlowState",
    "Generation",
    "Lease",
    "Position",
    "SQLiteStateStore",
    "SeenRows",
    "StateStore",
    "state_path_of",
]
