"""``tidegate replay``: load a range of history again, in windows."""

from __future__ import annotations

import re
import shlex
import sys
from argparse import Namespace
from collections.abc import Iterable, Sequence
from typing import TYPE_CHECKING, Any

from tidegate.cli.options import (
    add_allowed_functions,
    add_choice_of_flows,
    add_metadata,
    add_output,
    add_path,
    listed,
    metadata_of,
)
from tidegate.cli.parser import UsageError
from tidegate.cli.run import HOW, RUN_OPTIONS, config_of, show_result
from tidegate.cli.table import Column, tell_table
from tidegate.cli.terminal import tell, tell_json

if TYPE_CHECKING:
    from tidegate.cli.parser import Parser
    from tidegate.models import ReplayConfig
    from tidegate.orchestration.driver import Driver
    from tidegate.orchestration.replays import ReplayPlan
    from tidegate.reporting import ExecutionResult, UnitReport

USAGE = "[PATH] --from START --to END [OPTIONS]"
_RANGE = "Range"
_MOST_SHOWN = 24
_SIZE_CODES = ("TG620", "TG622", "TG625", "TG626")
_SIZE = re.compile(r"(?P<count>\d*)\s*(?P<unit>[a-z]+)")
_UNITS = {
    "years": ("y", "year", "years"),
    "months": ("mo", "mon", "month", "months"),
    "weeks": ("w", "week", "weeks"),
    "days": ("d", "day", "days"),
    "hours": ("h", "hour", "hours"),
    "minutes": ("min", "minute", "minutes"),
}
_UNIT_OF = {word: unit for unit, words in _UNITS.items() for word in words}


def configure(parser: Parser) -> None:
    """Set up the command line."""
    add_path(parser)
    add_choice_of_flows(parser)
    for names, about in _OPTIONS.items():
        parser.option(_RANGE, *names.split(), **about)
    parser.option(HOW, "--dry-run", action="store_true", help="say which windows would be loaded, and change nothing")
    for name, about in RUN_OPTIONS.items():
        parser.option(HOW, name, **about)
    add_allowed_functions(parser, HOW)
    add_metadata(parser)
    add_output(parser, default=None)
    parser.set_defaults(execute=_replay)


def chunk_of(text: str) -> dict[str, Any]:
    """Return how a text cuts a range, as fields of a replay.

    >>> chunk_of("3mo"), chunk_of("10000"), chunk_of("weekdays")
    ({'chunk_interval': {'months': 3}}, {'chunk_interval': {'step': 10000}}, {'calendar': 'weekdays'})
    """
    if text.isdecimal():
        return {"chunk_interval": {"step": int(text)}}
    size = _SIZE.fullmatch(text.strip())
    if size and size["unit"] in _UNIT_OF:
        return {"chunk_interval": {_UNIT_OF[size["unit"]]: int(size["count"] or 1)}}
    return {"calendar": text}


def _replay(options: Namespace) -> int:
    from tidegate.cli.watch import Watch
    from tidegate.models import ReplayConfig
    from tidegate.orchestration.driver import create_driver
    from tidegate.reporting import progress_sink

    if options.resume and options.restart:
        raise UsageError(
            "--resume and --restart exclude each other", "--resume loads what is left, --restart all of it"
        )
    config = ReplayConfig(
        start=options.start,
        end=options.end,
        **(chunk_of(options.by) if options.by else {}),
        chunk_column=options.column,
        direction="backward" if options.backward else "forward",
        parallel=options.parallel,
        save_watermark=options.save_watermark,
        resume=not options.restart,
        replace=options.replace,
        append_again=options.yes,
    )
    _check_size(config)
    watch = Watch(progress_sink(), go_on=f"go on with: {_resuming(sys.argv[1:])}")
    metadata, driving = metadata_of(options), config_of(options)
    try:
        with create_driver(metadata_provider=metadata, sinks=[watch], **driving) as driver:
            if options.dry_run:
                return _show_plans(_plans(driver, options, config), options.output)
            if not options.resume and config.resume:
                _refuse_to_guess(driver, options, config)
            with watch:
                result = driver.run_replay(
                    replay=config,
                    column_name_mode=options.column_names,
                    stage=listed(options.stage),
                    names=listed(options.flow),
                )
    except KeyboardInterrupt:
        if not watch.has_started:
            raise
        _show(watch.result(), options.output, exit_code=watch.exit_code)
        watch.say_how_to_go_on()
        return watch.exit_code
    _show(result, options.output, exit_code=result.exit_code)
    return result.exit_code


def _check_size(config: ReplayConfig) -> None:
    """Refuse a range that cannot be cut as `--by` says, before anything is asked of the project."""
    from tidegate.errors import ConfigurationError
    from tidegate.orchestration.replay import windows_of

    try:
        next(windows_of(config), None)
    except ConfigurationError as error:
        hint = error.hint
        if error.code in _SIZE_CODES:
            hint = "--by takes 1y, 3mo, 1w, 1d, 6h or 30min for times, 10000 for numbers, or a calendar: weekdays"
        raise ConfigurationError(error.message, code=error.code, hint=hint) from error


def _refuse_to_guess(driver: Driver, options: Namespace, config: ReplayConfig) -> None:
    """Refuse to go on with an earlier replay of the range, or to load it again, unasked."""
    earlier = driver.earlier_replays(config, stage=listed(options.stage), names=listed(options.flow))
    for flow, replay, counts in earlier:
        written = counts.get("written", 0)
        windows = f"{written:,} window{'s' if written != 1 else ''}"
        if replay.status == "done":
            message = f"this range of {flow.name} was replayed before" + (f", in {windows}" if written else "")
        else:
            message = f"a replay of this range of {flow.name} stopped after {windows}"
        raise UsageError(message, "--resume loads what is left, --restart all of it again")


def _plans(driver: Driver, options: Namespace, config: ReplayConfig) -> list[ReplayPlan]:
    return driver.plan_replay(replay=config, stage=listed(options.stage), names=listed(options.flow))


def _show_plans(plans: Sequence[ReplayPlan], output: str | None) -> int:
    if output == "json":
        tell_json([_record(plan) for plan in plans])
        return 0
    columns = [
        Column(title="flow"),
        Column(title="column"),
        Column(title="windows", align=">"),
        Column(title="done", align=">"),
        Column(title="first to load"),
        Column(title="last to load"),
        Column(title="each one"),
    ]
    rows = [
        [
            plan.flow.name,
            plan.column,
            f"{plan.windows:,}",
            f"{plan.done:,}",
            str(plan.first or ""),
            str(plan.last or ""),
            plan.strategy,
        ]
        for plan in plans
    ]
    tell_table(columns, rows)
    return 0


def _record(plan: ReplayPlan) -> dict[str, Any]:
    return {
        "name": plan.flow.name,
        "dataflow_id": plan.flow.dataflow_id,
        "column": plan.column,
        "strategy": plan.strategy,
        "windows": plan.windows,
        "planned": plan.windows - plan.done,
        "checkpoint": plan.done,
        "first": str(plan.first) if plan.first else None,
        "last": str(plan.last) if plan.last else None,
    }


def _show(result: ExecutionResult, output: str | None, *, exit_code: int) -> None:
    """Write the result: every window while they are few, else one line a dataflow."""
    if output == "json" or len(result.units) <= _MOST_SHOWN:
        show_result(result, output, exit_code=exit_code)
        return
    columns = [
        Column(title="flow"),
        Column(title="windows", align=">"),
        Column(title="failed", align=">"),
        Column(title="rows in", align=">"),
        Column(title="rows out", align=">"),
        Column(title="first"),
        Column(title="last"),
    ]
    flows: dict[str, list[UnitReport]] = {}
    for unit in result.units:
        flows.setdefault(unit.name.rpartition(" ")[0] or unit.name, []).append(unit)
    tell_table(columns, [[name, *_figures(units)] for name, units in flows.items()])
    tell()
    interrupted = "interrupted: " if result.interrupted else ""
    done = result.skipped - sum(unit.status == "skipped" and not unit.window for unit in result.units)
    tell(f"{interrupted}{result.succeeded:,} windows loaded, {done:,} done before, {result.failed:,} failed")
    for name, message in result.errors.items():
        tell(f"{name}: {message}")


def _figures(units: Sequence[UnitReport]) -> Iterable[str]:
    windows = sorted("--".join(unit.window) for unit in units if unit.window)
    yield f"{len(windows):,}"
    yield f"{sum(unit.status == 'failed' for unit in units):,}"
    yield f"{sum(unit.rows_in or 0 for unit in units):,}"
    yield f"{sum(unit.rows_out or 0 for unit in units):,}"
    yield from (windows[0], windows[-1]) if windows else ("", "")


def _resuming(arguments: Sequence[str]) -> str:
    """Return the command that goes on: this one, with `--resume`."""
    kept = [word for word in arguments if word not in {"--resume", "--restart"}]
    return shlex.join(["tidegate", *kept, "--resume"])


_OPTIONS: dict[str, dict[str, Any]] = {
    "--from": {
        "dest": "start",
        "required": True,
        "metavar": "START",
        "help": "first moment, day or number of the range",
    },
    "--to": {"dest": "end", "required": True, "metavar": "END", "help": "the first one that is not part of it"},
    "--by": {
        "metavar": "SIZE",
        "help": "size of the windows: 1mo, 1w, 6h, 10000, or a calendar such as weekdays; default: one window",
    },
    "--column": {"metavar": "NAME", "help": "the column that the range is over; default: the first watermark column"},
    "--resume": {"action": "store_true", "help": "load only what an earlier replay of this range has left"},
    "--restart": {"action": "store_true", "help": "load all of it again"},
    "--parallel": {
        "type": RUN_OPTIONS["--max-workers"]["type"],
        "default": 1,
        "metavar": "N",
        "help": "windows of one flow at the same time",
    },
    "--backward": {"action": "store_true", "help": "the newest window first"},
    "--replace": {"action": "store_true", "help": "replace the rows of each window, for flows that append"},
    "--yes": {"action": "store_true", "help": "append although rows of the range may be in the table already"},
    "--save-watermark": {
        "action": "store_true",
        "help": "move the position along: for a first load in windows, never beside other loads",
    },
}
