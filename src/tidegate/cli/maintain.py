"""``tidegate maintain``: merge small files, and remove those that no reader needs."""

from __future__ import annotations

import argparse
import os
import re
import sys
from argparse import Namespace
from typing import TYPE_CHECKING

from tidegate.cli.options import add_metadata, add_output, add_path, listed, metadata_of, naming
from tidegate.cli.terminal import tell, tell_json

if TYPE_CHECKING:
    from tidegate.cli.parser import Parser
    from tidegate.reporting import ExecutionResult

USAGE = "[PATH] [OPTIONS]"
_WHAT, _HOW = "What", "How"
_DURATION = re.compile(r"(?P<number>\d+)(?P<unit>[hd]?)")
_STYLES = {"succeeded": "green", "failed": "red", "skipped": "yellow"}


def configure(parser: Parser) -> None:
    """Set up the command line."""
    add_path(parser)
    about = "only tables of this connection; commas or repeat for several"
    parser.option(_WHAT, "--connection", "-c", action="append", type=naming, metavar="NAME", help=about)
    parser.option(_HOW, "--no-compact", action="store_true", help="leave small files as they are")
    parser.option(_HOW, "--no-cleanup", action="store_true", help="remove no files")
    about = "how long what was replaced can still be read, 7d or 168h; default 7d"
    parser.option(_HOW, "--retention", type=_hours, metavar="TIME", help=about)
    parser.option(_HOW, "--dry-run", action="store_true", help="say what would be done, and change nothing")
    add_metadata(parser)
    add_output(parser, default=None)
    parser.set_defaults(execute=_maintain)


def _maintain(options: Namespace) -> int:
    from tidegate.cli.watch import Watch
    from tidegate.orchestration.driver import create_driver
    from tidegate.reporting import progress_sink

    config = {} if options.retention is None else {"retention_hours": options.retention}
    watch = Watch(progress_sink(), go_on="maintain again: what was merged or removed stays so")
    try:
        with (
            create_driver(
                metadata_provider=metadata_of(options), sinks=[watch], dry_run=options.dry_run, **config
            ) as driver,
            watch,
        ):
            root = str(driver.root)
            result = driver.run_maintenance(
                listed(options.connection), do_compact=not options.no_compact, do_cleanup=not options.no_cleanup
            )
    except KeyboardInterrupt:
        if not watch.has_started:
            raise
        _show(watch.result(), options, root, exit_code=watch.exit_code)
        watch.say_how_to_go_on()
        return watch.exit_code
    _show(result, options, root, exit_code=result.exit_code)
    return result.exit_code


def _show(result: ExecutionResult, options: Namespace, root: str, *, exit_code: int) -> None:
    """Write the result to stdout, unless the live table on this very terminal has shown it."""
    if options.output == "json":
        tell_json({**result.to_dict(), "exit_code": exit_code})
    elif options.output == "table" or not (sys.stdout.isatty() and sys.stderr.isatty()):
        _tell_result(result, root, is_dry=options.dry_run)


def _tell_result(result: ExecutionResult, root: str, *, is_dry: bool) -> None:
    from tidegate.cli.table import Cell, Column, tell_table
    from tidegate.orchestration.maintenance import NOTHING_ELIGIBLE, byte_size
    from tidegate.reporting.figures import plural, spanned

    if not result.units:
        tell(f"{NOTHING_ELIGIBLE[0].upper()}{NOTHING_ELIGIBLE[1:]}.")
        return
    columns = (
        Column(title="table", shrinks_to=18),
        Column(title="status"),
        Column(title="took", align=">", priority=2),
        Column(title="what", shrinks_to=24),
    )
    rows = [
        (
            unit.destination.removeprefix(f"{root}{os.sep}"),
            Cell(unit.status, _STYLES[unit.status]),
            spanned(unit.duration_seconds),
            f"{unit.error.code} {unit.error.message}" if unit.error else unit.detail or "",
        )
        for unit in result.units
    ]
    tell_table(columns, rows)
    files = sum(unit.files_removed or 0 for unit in result.units)
    freed = byte_size(sum(unit.bytes_freed or 0 for unit in result.units))
    verb = "would be removed, and" if is_dry else "removed,"
    interrupted = ", interrupted" if result.interrupted else ""
    tell(f"\n{plural(result.total, 'table')}{interrupted}: {plural(files, 'file')} {verb} {freed} freed.")


def _hours(text: str) -> int:
    found = _DURATION.fullmatch(text.strip())
    if found is None:
        raise argparse.ArgumentTypeError(f"{text!r} is not a number of hours or days, such as 168h or 7d")
    return int(found["number"]) * (24 if found["unit"] == "d" else 1)
