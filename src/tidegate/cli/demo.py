"""``tidegate demo``: New York's flights, loaded three times."""

from __future__ import annotations

import shutil
import sys
import tempfile
from argparse import Namespace
from pathlib import Path
from textwrap import fill
from typing import TYPE_CHECKING

from tidegate.cli.failure import FAILED, warn
from tidegate.cli.files import FLIGHTS, flights_files, write_files
from tidegate.cli.options import OPTIONS, WHAT
from tidegate.cli.steps import as_typed, step_into, tell_steps
from tidegate.cli.table import compact
from tidegate.cli.terminal import columns, styled, tell
from tidegate.errors import ConfigurationError

if TYPE_CHECKING:
    from tidegate.cli.parser import Parser
    from tidegate.reporting import ExecutionResult

USAGE = "[DIR]"
_FOLDER = "tidegate-demo"
_MARK = "# written by `tidegate demo`, which starts this folder afresh\n*\n"
_BRONZE = ("flights", "weather", "planes", "airports", "airlines")
_TABLES = (*(f"bronze/{table}" for table in _BRONZE), "silver/flight_delays")
_ARRIVALS = "arrivals/"
_WIDEST = 100
_TABLE_WITH_POSITIONS = 96
_CHAPTERS = (
    "January has landed. Six flows load it for the first time: Parquet, CSV, JSON and JSON lines become Delta tables.",
    (
        "February arrives in the same folders: flights, weather, and corrections of planes. Files that were loaded are "
        "skipped, new rows are added, a corrected plane replaces the row that it corrects."
    ),
    (
        "Nothing arrives. Nothing is loaded twice. Airports and airlines are short lists that are replaced as a whole: "
        "these two are read every time."
    ),
)


def configure(parser: Parser) -> None:
    """Set up the command line."""
    parser.option(WHAT, "folder", nargs="?", type=Path, metavar="DIR", help=f"where to; ./{_FOLDER} when not given")
    parser.add_help_option(OPTIONS)
    parser.set_defaults(execute=_demo)


def _demo(options: Namespace) -> int:
    folder = _prepared(options.folder)
    tell(styled("New York's flights of January and February 2013", "bold"))
    tell(f"Real data (ORIGIN.md: whose, and which corrections are invented), real tables, in\n{folder}")

    from tidegate.cli.demo_proof import counts, show_proof

    counted = []
    for number, text in enumerate(_CHAPTERS, start=1):
        if number == 2:  # noqa: PLR2004 - the second chapter is what February brings
            write_files(folder, _february())
        tell(f"\n{styled(f'Run {number}', 'bold', 'cyan')}")
        tell(fill(text, min(columns(), _WIDEST)))
        tell()
        result = _run(folder)
        if result.failed:
            return FAILED
        counted.append(counts(folder, _TABLES))
    tell(f"\n{styled('The proof', 'bold', 'cyan')}")
    proven = show_proof(folder, counted)
    tell(f"\n{styled('What to try next', 'bold', 'cyan')}")
    _tell_next(folder)
    return 0 if proven else FAILED


def _run(folder: Path) -> ExecutionResult:
    from tidegate.orchestration.driver import create_driver
    from tidegate.reporting.console import ConsoleSink, print_result

    on_terminal = sys.stdout.isatty()
    sinks = [ConsoleSink(sys.stdout)] if on_terminal else []
    with create_driver(metadata_provider=folder, sinks=sinks) as driver:
        result = driver.run()
    if not on_terminal:
        print_result(result)
    elif columns() < _TABLE_WITH_POSITIONS:
        _tell_positions(result)
    return result


def _tell_positions(result: ExecutionResult) -> None:
    """Write where the flows stand, for terminals that are too narrow for the table to say it."""
    standing: dict[str, list[str]] = {}
    for unit in result.units:
        if unit.position_after and "=" in unit.position_after:
            standing.setdefault(compact(unit.position_after), []).append(unit.name)
    width = max(map(len, standing), default=0) + 2
    tell(f"\n{styled('where they stand', 'dim')}")
    for position, names in standing.items():
        tell(f"{position:<{width}}{styled(', '.join(names), 'dim')}")


def _tell_next(folder: Path) -> None:
    program = as_typed(folder)
    tell_steps(
        [
            *step_into(folder),
            (f"{program} status", "where each flow stands"),
            (f"{program} plan --flow flights", "what a run would do, step by step"),
            (f"{program} state rewind planes", "forget what was read of the planes,"),
            (f"{program} run --flow planes", "load them again: no plane is doubled"),
            (f"{program} run --output json", "the same for programs"),
            (f"{program} init ../my-project", "a project of your own"),
        ]
    )


# -- the folder ---------------------------------------------------------------------------------------------------


def _prepared(asked: Path | None) -> Path:
    """Return the folder with the project in it as it was before the first run."""
    folder = (asked or Path(_FOLDER)).resolve()
    if folder.exists():
        if not folder.is_dir() or (any(folder.iterdir()) and not _is_ours(folder)):
            message = f"{folder} is there already, and was not made by `tidegate demo`"
            raise ConfigurationError(message, hint="give another folder: `tidegate demo DIR`")
        _clear(folder)
    elif asked is None:
        folder = _writable(folder)
    write_files(folder, flights_files())
    (folder / ".gitignore").write_text(_MARK, encoding="utf-8")
    for place in _february():
        (folder / place).unlink(missing_ok=True)
    return folder


def _writable(folder: Path) -> Path:
    try:
        folder.mkdir()
    except OSError:
        return Path(tempfile.mkdtemp(prefix=f"{_FOLDER}-"))
    return folder


def _is_ours(folder: Path) -> bool:
    mark = folder / ".gitignore"
    return mark.is_file() and mark.read_text(encoding="utf-8", errors="replace") == _MARK


def _clear(folder: Path) -> None:
    """Remove what an earlier demo made: the tables and their positions. A changed metadata file is kept beside."""
    declared = folder / "tidegate.yaml"
    if declared.exists() and declared.read_bytes() != (FLIGHTS / "tidegate.yaml").read_bytes():
        kept = declared.with_name("tidegate.yaml.changed")
        declared.replace(kept)
        warn(f"tidegate.yaml was changed: it is now {kept.name}")
    for made in (".tidegate", *(f"lake/{table}" for table in _TABLES)):
        shutil.rmtree(folder / made, ignore_errors=True)


def _february() -> dict[str, Path]:
    """Return what February brings: place in the project → where it comes from."""
    files = flights_files().items()
    return {f"landing/{place.removeprefix(_ARRIVALS)}": file for place, file in files if place.startswith(_ARRIVALS)}
