"""Fail when a module is over 600 lines; name the modules over 400.

A module that long holds more than one thing: split it where its docstring says "and".

Usage: python tools/module_size.py [FOLDER ...]
"""

import sys
from pathlib import Path

TOO_LONG = 600
SMELL = 400


def line_counts(folders: list[Path]) -> list[tuple[int, Path]]:
    """Return the line count and path of every module under the folders, longest first.

    Raises:
        FileNotFoundError: A folder does not exist or holds no module, so nothing would be checked.
    """
    counts: list[tuple[int, Path]] = []
    for folder in folders:
        modules = sorted(folder.rglob("*.py"))
        if not modules:
            message = f"no Python module under {folder}"
            raise FileNotFoundError(message)
        counts.extend((len(module.read_text(encoding="utf-8").splitlines()), module) for module in modules)
    return sorted(counts, key=lambda entry: (-entry[0], entry[1]))


def main(arguments: list[str]) -> int:
    """Print the long modules; return 1 when one is over the limit, else 0."""
    counts = line_counts([Path(argument) for argument in arguments or ["src"]])
    too_long = [entry for entry in counts if entry[0] > TOO_LONG]
    smells = [entry for entry in counts if SMELL < entry[0] <= TOO_LONG]
    for lines, module in too_long:
        print(f"error: {module}: {lines} lines, over {TOO_LONG}: split it")
    for lines, module in smells:
        print(f"warning: {module}: {lines} lines, over {SMELL}")
    return 1 if too_long else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
