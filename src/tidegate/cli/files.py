"""Writing the files of a project, without ever replacing one that is there."""

from __future__ import annotations

import shutil
from collections.abc import Mapping
from pathlib import Path

from tidegate.errors import ConfigurationError

_NAMED = 8

QUICKSTART = Path(__file__).parent / "quickstart"
FLIGHTS = Path(__file__).parents[1] / "demo"


def quickstart_files() -> dict[str, Path]:
    """Return the files of the quickstart project: place in the project → where it comes from."""
    files = _below(QUICKSTART)
    return {**{place: file for place, file in files.items() if place != "gitignore"}, ".gitignore": files["gitignore"]}


def flights_files() -> dict[str, Path]:
    """Return the files of the flights project, in the same way."""
    return {
        "tidegate.yaml": FLIGHTS / "tidegate.yaml",
        ".gitignore": QUICKSTART / "gitignore",
        **_below(FLIGHTS / "data"),
    }


def year_files() -> dict[str, Path]:
    """Return the files of the project with a year of flights, in the same way."""
    return {**_below(FLIGHTS / "year"), ".gitignore": QUICKSTART / "gitignore"}


def refuse_to_replace(folder: Path, files: Mapping[str, Path]) -> None:
    """Do nothing when none of the files is there.

    Raises:
        ConfigurationError: some are, or the folder is a file.
    """
    if folder.exists() and not folder.is_dir():
        raise ConfigurationError(f"{folder} is a file, not a folder", hint="give another folder")
    present = [place for place in files if (folder / place).exists()]
    if present:
        more = f" and {len(present) - _NAMED} more" if len(present) > _NAMED else ""
        raise ConfigurationError(
            f"{folder} has {len(present)} of the files already: {', '.join(present[:_NAMED])}{more}",
            hint="nothing was written; give another folder, or move them away",
        )


def write_files(folder: Path, files: Mapping[str, Path]) -> None:
    """Copy the files into the folder.

    Raises:
        ConfigurationError: it cannot be written.
    """
    try:
        for place, source in files.items():
            target = folder / place
            target.parent.mkdir(parents=True, exist_ok=True)
            shutil.copyfile(source, target)
    except OSError as error:
        message = f"{error.filename2 or error.filename or folder} cannot be written: {error.strerror}"
        raise ConfigurationError(message, hint="give a folder that this user may write to") from error


def _below(folder: Path) -> dict[str, Path]:
    return {
        file.relative_to(folder).as_posix(): file
        for file in sorted(folder.rglob("*"))
        if file.is_file() and "__pycache__" not in file.parts
    }
