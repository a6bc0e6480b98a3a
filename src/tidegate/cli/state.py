"""``tidegate state``: positions, looked at and moved by hand."""

from __future__ import annotations

from argparse import Namespace
from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

from tidegate.cli.failure import FAILED, MISUSED, rendered, warn
from tidegate.cli.options import OPTIONS, WHAT, add_metadata, add_output, add_project, listed, metadata_of, naming
from tidegate.cli.parser import Parser, UsageError
from tidegate.cli.table import Cell, Column, compact, tell_table
from tidegate.cli.terminal import note, styled, tell, tell_json

if TYPE_CHECKING:
    from tidegate.models import DataFlow
    from tidegate.orchestration.positions import Move, Target
    from tidegate.platforms import BasePlatform
    from tidegate.state import FlowState, StateStore
    from tidegate.state.store import Origin

USAGE = "ACTION [OPTIONS]"
_ACTIONS = {
    "list": ("", "Show the position of every flow"),
    "get": ("FLOW", "Show all of one position, as JSON"),
    "set": ("FLOW COLUMN=VALUE...", "Say where a flow stands, in the types of its columns"),
    "rewind": ("FLOW [--to VALUE]", "Go back, to the start or to a value, to load rows again"),
    "rebuild": ("[--flow NAME]", "Read every position from the destinations' last commits"),
}
_COLUMNS = (
    Column(title="flow", shrinks_to=18),
    Column(title="load", align=">"),
    Column(title="position", shrinks_to=30),
    Column(title="from", priority=2),
    Column(title="updated (UTC)", style="dim", priority=1),
)
_REBUILT = (
    Column(title="flow", shrinks_to=18),
    Column(title="outcome"),
    Column(title="load", align=">"),
    Column(title="position", shrinks_to=24),
    Column(title="before", style="dim", priority=1, shrinks_to=16),
)
_OUTCOMES = {"restored": "green", "failed": "red", "unchanged": "dim", "never loaded": "dim"}


def configure(parser: Parser) -> None:
    """Set up the command line."""
    actions = parser.add_subparsers(title="Actions", metavar="ACTION", parser_class=Parser)
    executes = {"list": _list, "get": _get, "set": _set, "rewind": _rewind, "rebuild": _rebuild}
    for name, (usage, summary) in _ACTIONS.items():
        about: dict[str, Any] = {"usage": f"{usage} [OPTIONS]".strip(), "summary": f"{summary}.", "help": summary}
        action: Parser = actions.add_parser(name, prog=f"tidegate state {name}", **about)
        if name in {"get", "set", "rewind"}:
            action.option(WHAT, "flow", metavar="FLOW", help="name or id")
        if name == "set":
            text = "of its watermark columns; before the first load with the type: updated_at:timestamp=2026-03-31"
            action.option(WHAT, "values", nargs="+", metavar="COLUMN=VALUE", help=text)
        if name == "rewind":
            action.option(WHAT, "--to", metavar="[COLUMN=]VALUE", help="the start when not given")
        if name == "rebuild":
            action.option(
                WHAT, "--flow", "-f", action="append", type=naming, metavar="NAME", help="only this flow; or several"
            )
        if name in {"set", "rewind"}:
            action.option(OPTIONS, "--yes", "-y", action="store_true", help="even if an append loads rows twice")
        add_project(action)
        add_metadata(action)
        add_output(action)
        action.set_defaults(execute=executes[name], parser=action)
    parser.add_help_option(OPTIONS)
    parser.set_defaults(execute=lambda _: _no_action(parser))


def _no_action(parser: Parser) -> int:
    parser.print_help()
    return MISUSED


# -- looking ------------------------------------------------------------------------------------------------------


def _list(options: Namespace) -> int:
    with _project(options) as (_, store, __):
        states = store.states()
    if options.output == "json":
        tell_json([_record(state) for state in states])
        return 0
    if not states:
        tell("No positions yet: nothing was loaded.")
        return 0
    tell_table(_COLUMNS, [
        (
            state.name,
            f"{state.sequence:,}",
            compact(state.position.render()),
            state.origin,
            state.updated_at.strftime("%Y-%m-%d %H:%M") if state.updated_at else "",
        )
        for state in states
    ])  # fmt: skip
    return 0


def _get(options: Namespace) -> int:
    from tidegate.orchestration.positions import flow_called

    with _project(options) as (flows, store, _):
        flow = flow_called(options.flow, flows)
        state = store.read(flow.dataflow_id)
    if state is None:
        note(f"{flow.name} has no position yet: it never loaded")
        tell_json(None)
        return 0
    tell_json(_record(state))
    return 0


def _record(state: FlowState) -> dict[str, Any]:
    from tidegate.state.watermark import encode_value

    position = state.position
    return {
        "name": state.name,
        "dataflow_id": state.dataflow_id,
        "sequence": state.sequence,
        "origin": state.origin,
        "run_id": state.run_id,
        "updated_at": state.updated_at.isoformat() if state.updated_at else None,
        "position": position.render(),
        "watermark": {column: encode_value(value) for column, value in position.watermark.items()},
        "remembered_rows": sum(generation.hashes.total() for generation in position.seen_rows.generations),
        "remembered_files": len(position.seen_files),
        "columns": dict(position.columns),
    }


# -- moving -------------------------------------------------------------------------------------------------------


def _set(options: Namespace) -> int:
    from tidegate.orchestration.positions import at_values

    values = dict(_assignment(text) for text in options.values)
    return _move(options, lambda flow: at_values(flow, values), "set")


def _rewind(options: Namespace) -> int:
    from tidegate.orchestration.positions import at_start, back_to, only_watermark_column

    def target(flow: DataFlow) -> Target:
        if options.to is None:
            return at_start
        if "=" in options.to:
            return back_to(flow, dict([_assignment(options.to)]))
        return back_to(flow, {only_watermark_column(flow): options.to})

    return _move(options, target, "rewound")


def _assignment(text: str) -> tuple[str, str]:
    column, equals, value = text.partition("=")
    if not (equals and column.strip() and value.strip()):
        raise UsageError(f"{text!r} is not COLUMN=VALUE", "for instance updated_at=2026-03-31T06:00:00Z")
    return column.strip(), value


def _move(options: Namespace, target: Any, origin: Origin) -> int:
    from tidegate.orchestration.positions import doubles, flow_called, move, skips

    with _project(options) as (flows, store, platform):
        flow = flow_called(options.flow, flows)
        moved = move(flow, target(flow), store=store, platform=platform, origin=origin, may_double=options.yes)
    if options.output == "json":
        tell_json({"before": _record(moved.before), "after": _record(moved.after)})
    else:
        _tell_move(moved)
    if doubles(flow, moved.before, moved.after.position):
        warn(f"{flow.name} appends: rows that the next run reads again will be in the table twice")
    elif skips(moved.before, moved.after):
        warn("the position went forward: rows between the two are not loaded unless their files come again")
    return 0


def _tell_move(moved: Move) -> None:
    before, after = compact(moved.before.position.render()), compact(moved.after.position.render())
    tell(f"{styled(moved.flow.name, 'bold')}  {before} {styled('->', 'dim')} {styled(after, 'green')}")
    tell(f"The next run reads from there, and commits load {moved.after.sequence + 1} if it finds rows.")


# -- rebuilding ---------------------------------------------------------------------------------------------------


def _rebuild(options: Namespace) -> int:
    from tidegate.orchestration.positions import flow_called
    from tidegate.orchestration.rebuild import rebuild, undeclared_commits
    from tidegate.state.repair import set_aside_if_damaged

    names = listed(options.flow)
    metadata = metadata_of(options)
    flows = metadata.get_dataflows(active_only=False)  # before anything is moved: they may not hold
    chosen = [flow_called(name, flows) for name in names] if names else flows
    with _project(options) as (_, store, platform):
        aside = None
        if set_aside := set_aside_if_damaged(store):
            damage, aside = set_aside
            warn(f"the state store was damaged ({damage})", f"it is now {aside}")
            chosen = flows  # all of them were in it
        results = list(rebuild(chosen, store=store, platform=platform))
        undeclared = undeclared_commits(flows, platform) if not names else []
    failed = [result for result in results if result.outcome == "failed"]
    if options.output == "json":
        tell_json(
            {
                "set_aside": str(aside) if aside else None,
                "flows": [
                    {
                        "name": result.name,
                        "outcome": result.outcome,
                        "before": _record(result.before) if result.before else None,
                        "after": _record(result.after) if result.after else None,
                        "error": result.error.render() if result.error else None,
                    }
                    for result in results
                ],
                "undeclared": [commit.to_data() for commit in undeclared],
            }
        )
    else:
        tell_table(_REBUILT, [
            (
                result.name,
                Cell(result.outcome, _OUTCOMES[result.outcome]),
                str(result.after.sequence) if result.after else "",
                compact(result.after.position.render()) if result.after else "",
                compact(result.before.position.render()) if result.before and result.outcome == "restored" else "",
            )
            for result in results
        ])  # fmt: skip
    for commit in undeclared:
        note(f"{commit.name}: committed load {commit.sequence} here, and is not declared in the metadata")
    for result in failed:
        assert result.error is not None  # noqa: S101 - that is what failed means
        note(f"{result.name}: {rendered(result.error)}")
    return FAILED if failed else 0


@contextmanager
def _project(options: Namespace) -> Iterator[tuple[list[DataFlow], StateStore, BasePlatform]]:
    """Open a project: its dataflows, inactive ones too, its state store and the platform."""
    from tidegate.cli.project import state_store
    from tidegate.platforms import platform_registry

    metadata = metadata_of(options)
    flows = metadata.get_dataflows(active_only=False)
    with state_store(metadata) as store:
        yield flows, store, platform_registry.get("local")
