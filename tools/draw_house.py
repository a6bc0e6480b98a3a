"""Draw the house: the rooms of the package in import order, and who imports whom, as the code has it.

``python tools/draw_house.py`` writes docs/house.svg; ``--check`` fails when the picture is not that of the code. The
order is that of the layers in pyproject.toml, which import-linter enforces; the imports are read from the source.
"""

from __future__ import annotations

import ast
import sys
import tomllib
from collections.abc import Iterator, Mapping
from html import escape
from pathlib import Path

ROOT = Path(__file__).parents[1]
PACKAGE = ROOT / "src" / "tidegate"
PICTURE = ROOT / "docs" / "house.svg"

_ROW, _TOP, _NAME, _ABOUT, _CELL = 26, 120, 24, 150, 22
_NO_ROOMS = {"__init__", "__main__", "py", "__pycache__"}
_STYLE = """
  text { font: 13px sans-serif; fill: #263238 }
  .name { font: bold 13px monospace }
  .paper { fill: #ffffff } .floor { fill: #e0f2f1 } .line { stroke: #b2dfdb }
  .about { fill: #546e7a } .runs { fill: #00796b } .types { fill: none; stroke: #00796b }
  @media (prefers-color-scheme: dark) {
    text { fill: #eceff1 }
    .paper { fill: #1e2129 } .floor { fill: #25343a } .line { stroke: #37474f }
    .about { fill: #b0bec5 } .runs { fill: #4db6ac } .types { stroke: #4db6ac }
  }
"""


def rooms_in_source() -> set[str]:
    """Return the rooms that the package has: folders and modules."""
    names = {path.stem for path in PACKAGE.iterdir() if path.suffix == ".py" or (path / "__init__.py").is_file()}
    return (names - _NO_ROOMS) | {path.name for path in PACKAGE.iterdir() if path.name == "demo"}


def layers() -> list[list[str]]:
    """Return the layers of import-linter's contract, highest first, as declared; rooms that may not exist too."""
    contracts = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["tool"]["importlinter"][
        "contracts"
    ]
    declared = next(contract["layers"] for contract in contracts if contract["id"] == "house")
    return [[room.strip(" ()") for room in layer.split("|")] for layer in declared]


def rooms() -> list[str]:
    """Return the rooms that there are, highest first."""
    present = rooms_in_source()
    return [room for layer in layers() for room in layer if room in present]


def imports() -> dict[tuple[str, str], bool]:
    """Return who imports whom: (room, other room) to whether it does so when it runs, and not only for types."""
    found: dict[tuple[str, str], bool] = {}
    known = rooms_in_source()
    for room in known:
        folder = PACKAGE / room
        for file in sorted(folder.rglob("*.py")) if folder.is_dir() else [PACKAGE / f"{room}.py"]:
            tree = ast.parse(file.read_text(encoding="utf-8"))
            for module, runs in _imported(tree, runs=True):
                package, _, inner = module.partition(".")
                other = inner.partition(".")[0]
                if package == "tidegate" and other in known - {room}:
                    found[room, other] = found.get((room, other), False) or runs
    return found


def _imported(node: ast.AST, *, runs: bool) -> Iterator[tuple[str, bool]]:
    for child in ast.iter_child_nodes(node):
        for_types = isinstance(child, ast.If) and "TYPE_CHECKING" in ast.dump(child.test)
        if isinstance(child, ast.Import):
            yield from ((name.name, runs) for name in child.names)
        elif isinstance(child, ast.ImportFrom) and child.module == "tidegate":
            yield from ((f"tidegate.{name.name}", runs) for name in child.names)
        elif isinstance(child, ast.ImportFrom) and child.module:
            yield child.module, runs
        else:
            yield from _imported(child, runs=runs and not for_types)


def purpose(room: str) -> str:
    """Return the first sentence of a room's docstring, without the room's own name before it."""
    file = PACKAGE / room / "__init__.py" if (PACKAGE / room).is_dir() else PACKAGE / f"{room}.py"
    if not file.exists():
        return "The sample project"
    text = ast.get_docstring(ast.parse(file.read_text(encoding="utf-8"))) or ""
    sentence = text.split("\n")[0].partition(". ")[0].replace("`", "").rstrip(".:")
    name, _, rest = sentence.partition(": ")
    sentence = rest if name.lower() == room else sentence
    return sentence[0].upper() + sentence[1:]


def picture() -> str:
    """Return the picture as SVG."""
    floors, edges = rooms(), imports()
    about = {room: purpose(room) for room in floors}
    left = _ABOUT + 7 * max(map(len, about.values())) + 20
    width, height = left + _CELL * len(floors) + 50, _TOP + _ROW * len(floors) + 60
    parts = [
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {width} {height}" role="img">',
        "<title>The rooms of Tidegate in import order</title>",
        f"<style>{_STYLE}</style>",
        f'<rect class="paper" width="{width}" height="{height}"/>',
        f'<path class="floor" d="M 10 {_TOP - 6} L {left / 2:.0f} {_TOP - 60} L {left - 10} {_TOP - 6} Z"/>',
    ]
    for column, room in enumerate(floors):
        x = left + _CELL * column + _CELL // 2
        parts.append(f'<text transform="translate({x + 4} {_TOP - 12}) rotate(-60)" class="about">{room}</text>')
    for row, room in enumerate(floors):
        y = _TOP + _ROW * row
        parts.append(f'<rect class="floor" x="10" y="{y}" width="{left - 20}" height="{_ROW - 3}" data-room="{room}"/>')
        parts.append(f'<text class="name" x="{_NAME}" y="{y + 16}">{room}</text>')
        parts.append(f'<text class="about" x="{_ABOUT}" y="{y + 16}">{escape(about[room])}</text>')
        middle = y + _ROW // 2 - 1
        parts.append(f'<line class="line" x1="{left}" y1="{middle}" x2="{width - 50}" y2="{middle}"/>')
        parts += _dots(row, floors, edges, x=left, y=middle)
    y = height - 30
    parts.append(f'<circle class="runs" cx="{_NAME}" cy="{y}" r="6"/>')
    parts.append(f'<text x="{_NAME + 14}" y="{y + 4}">the room on the left imports the room above the dot</text>')
    parts.append(f'<circle class="types" cx="{_NAME + 420}" cy="{y}" r="5"/>')
    parts.append(f'<text x="{_NAME + 434}" y="{y + 4}">for type annotations only</text>')
    return "\n".join([*parts, "</svg>", ""])


def _dots(row: int, floors: list[str], edges: Mapping[tuple[str, str], bool], *, x: int, y: int) -> Iterator[str]:
    room = floors[row]
    for column, other in enumerate(floors):
        at = x + _CELL * column + _CELL // 2
        if column == row:
            yield f'<rect class="floor" x="{at - 8}" y="{y - 8}" width="16" height="16"/>'
        elif (room, other) in edges:
            kind, radius = ("runs", 6) if edges[room, other] else ("types", 5)
            yield f'<circle class="{kind}" cx="{at}" cy="{y}" r="{radius}" data-import="{room} {other}"/>'


def is_stale() -> bool:
    """Tell whether the picture is not that of the code."""
    return not PICTURE.exists() or PICTURE.read_text(encoding="utf-8") != picture()


def write() -> None:
    """Draw the picture, when it has changed."""
    if is_stale():
        PICTURE.write_text(picture(), encoding="utf-8")


def main(arguments: list[str]) -> int:
    """Draw the picture, or check it."""
    if "--check" not in arguments:
        write()
        return 0
    if is_stale():
        print(f"{PICTURE} is not the house that the code builds: run `python tools/draw_house.py`")
    return int(is_stale())


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
