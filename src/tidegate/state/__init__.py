"""Where every dataflow stands, who may move it, and which units of work are done."""

from tidegate.state.ledger import Decision, Ledger
from tidegate.state.opening import open_state_store
from tidegate.state.position import Generation, Position, SeenRows
from tidegate.state.sqlite import SQLiteStateStore, state_path_of
from tidegate.state.store import FlowState, Lease, Replay, RunRecord, StateStore, UnitMark, UnitRecord

__all__ = [
    "Decision",
    "FlowState",
    "Generation",
    "Lease",
    "Ledger",
    "Position",
    "Replay",
    "RunRecord",
    "SQLiteStateStore",
    "SeenRows",
    "StateStore",
    "UnitMark",
    "UnitRecord",
    "open_state_store",
    "state_path_of",
]
