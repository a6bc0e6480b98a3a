"""``tidegate run``: load what is new."""

from __future__ import annotations

import argparse
import sys
from argparse import Namespace
from typing import TYPE_CHECKING, Any

from tidegate.cli.options import (
    add_allowed_functions,
    add_choice_of_flows,
    add_metadata,
    add_output,
    add_path,
    listed,
    metadata_of,
    naming,
)
from tidegate.cli.parser import UsageError
from tidegate.cli.terminal import tell_json

if TYPE_CHECKING:
    from tidegate.cli.parser import Parser
    from tidegate.reporting import ExecutionResult

USAGE = "[PATH] [OPTIONS]"
HOW = "How"
_CONFIG = (
    "max_workers",
    "stop_on_error",
    "job_id",
    "job_num",
    "job_index",
    "distribution",
    "retry_count",
    "retry_delay",
)


def configure(parser: Parser) -> None:
    """Set up the command line."""
    add_path(parser)
    add_choice_of_flows(parser)
    parser.option(HOW, "--dry-run", action="store_true", help="plan, and change nothing: `tidegate plan`")
    for name, about in RUN_OPTIONS.items():
        parser.option(HOW, name, **about)
    add_allowed_functions(parser, HOW)
    add_metadata(parser)
    add_output(parser, default=None)
    parser.set_defaults(execute=_run)


def _run(options: Namespace) -> int:
    config = config_of(options)
    if options.dry_run:
        from tidegate.cli.plan import show_plan

        options.output = options.output or "table"
        return show_plan(options, config)

    from tidegate.cli.watch import Watch
    from tidegate.orchestration.driver import create_driver
    from tidegate.reporting import progress_sink

    watch = Watch(progress_sink())
    try:
        with create_driver(metadata_provider=metadata_of(options), sinks=[watch], **config) as driver, watch:
            result = driver.run(
                listed(options.stage), column_name_mode=options.column_names, names=listed(options.flow)
            )
    except KeyboardInterrupt:
        if not watch.has_started:
            raise
        show_result(watch.result(), options.output, exit_code=watch.exit_code)
        watch.say_how_to_go_on()
        return watch.exit_code
    show_result(result, options.output, exit_code=result.exit_code)
    return result.exit_code


def config_of(options: Namespace) -> dict[str, Any]:
    """Return the options of a run, as far as they are given, and where its record goes.

    Raises:
        UsageError: this is one of several jobs, and nobody said which.
    """
    if (options.job_num or 1) > 1 and options.job_index is None:
        hint = f"give each job its own: --job-index 0 to {options.job_num - 1}"
        raise UsageError(f"--job-num {options.job_num} without --job-index", hint)
    given = {name: getattr(options, name) for name in _CONFIG if getattr(options, name) is not None}
    return {**given, **allowed_functions(options), "base_log_path": options.log_path}


def allowed_functions(options: Namespace) -> dict[str, list[str]]:
    """Return which functions may be called, as an option of a run, if it is given."""
    prefixes = listed(options.allowed_function_prefixes)
    return {"allowed_function_prefixes": prefixes} if prefixes else {}


def show_result(result: ExecutionResult, output: str | None, *, exit_code: int) -> None:
    """Write the result to stdout, unless the live table on this very terminal has shown it."""
    if output == "json":
        tell_json({**result.to_dict(), "exit_code": exit_code})
    elif output == "table" or not (sys.stdout.isatty() and sys.stderr.isatty()):
        from tidegate.reporting.console import print_result

        print_result(result)


def _whole(text: str, least: int) -> int:
    if not text.isdecimal() or int(text) < least:
        raise argparse.ArgumentTypeError(f"{text!r} is not a whole number from {least}")
    return int(text)


def _count(text: str) -> int:
    return _whole(text, 1)


def _number(text: str) -> int:
    return _whole(text, 0)


def _seconds(text: str) -> float:
    try:
        seconds = float(text)
    except ValueError:
        seconds = -1.0
    if not 0 <= seconds < float("inf"):
        raise argparse.ArgumentTypeError(f"{text!r} is not a number of seconds")
    return seconds


RUN_OPTIONS: dict[str, dict[str, Any]] = {
    "--max-workers": {"type": _count, "metavar": "N", "help": "flows that run at the same time; default 8"},
    "--stop-on-error": {
        "action": "store_true",
        "default": None,
        "help": "start nothing new after the first failure",
    },
    "--retry-count": {"type": _number, "metavar": "N", "help": "retries of what may pass by itself; default 0"},
    "--retry-delay": {"type": _seconds, "metavar": "SECONDS", "help": "wait before the first retry; default 5"},
    "--column-names": {
        "choices": ("lower", "snake"),
        "default": "lower",
        "help": "how the table has OrderID: orderid, or order_id",
    },
    "--job": {
        "dest": "job_id",
        "type": naming,
        "metavar": "ID",
        "help": "what the processes of one job have in common",
    },
    "--job-num": {"type": _count, "metavar": "N", "help": "number of jobs that share the flows"},
    "--job-index": {"type": _number, "metavar": "I", "help": "which of them this is, from 0"},
    "--distribution": {
        "choices": ("hash", "balanced"),
        "help": "how flows are shared out: by group and id, or evenly with what belongs together",
    },
    "--log-path": {"metavar": "FOLDER", "help": "keep a record there, in Parquet and JSON lines; $TIDEGATE_LOG_PATH"},
}
