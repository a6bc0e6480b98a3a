"""The picture of the house is that of the code."""

import re
import subprocess
import sys
from pathlib import Path

from tools import draw_house

ROOT = Path(__file__).parents[2]


def test_every_room_is_in_the_picture_in_the_order_of_the_layers():
    drawn = re.findall(r'data-room="(\w+)"', draw_house.PICTURE.read_text())
    assert set(drawn) == draw_house.rooms_in_source()
    assert drawn == [room for layer in draw_house.layers() for room in layer if room in drawn]


def test_every_folder_and_module_has_its_layer():
    present = {path.stem for path in (ROOT / "src" / "tidegate").iterdir() if path.name[0].isalpha()} - {"py"}
    assert present == draw_house.rooms_in_source()
    assert present <= {room for layer in draw_house.layers() for room in layer}


def test_the_picture_is_drawn_from_the_source_as_it_is():
    assert not draw_house.is_stale(), "run `python tools/draw_house.py`"


def test_a_room_imports_only_rooms_below_it():
    order = draw_house.rooms()
    upwards = [edge for edge in draw_house.imports() if order.index(edge[0]) >= order.index(edge[1])]
    assert upwards == []


def test_imports_that_run_are_told_from_those_for_types():
    """One of each, known from the source: the check would pass if all were found, or none."""
    edges = draw_house.imports()
    assert edges["orchestration", "destinations"] is True
    assert edges["platforms", "models"] is False
    assert ("reporting", "destinations") not in edges


def test_every_file_that_the_pages_name_exists():
    pages = [ROOT / "README.md", ROOT / "CONTRIBUTING.md", *(ROOT / "docs").rglob("*.md")]
    named = {
        name
        for page in pages
        if page.parent.name != "reference"
        for name in re.findall(r"`((?:src|tools|tests|chaos|bench|docs)/[\w./-]+)`", page.read_text())
    }
    assert len(named) > 8
    assert [name for name in sorted(named) if not (ROOT / name).exists()] == []


def test_the_site_builds_without_a_warning_and_loads_nothing_from_elsewhere(tmp_path):
    """Without its hook, which would write the very pages that other tests compare."""
    build = (
        "import sys; from mkdocs.config import load_config; from mkdocs.commands.build import build;"
        "build(load_config('mkdocs.yml', strict=True, hooks=[], site_dir=sys.argv[1]))"
    )
    done = subprocess.run(
        [sys.executable, "-c", build, str(tmp_path)], cwd=ROOT, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stdout + done.stderr
    loads = re.compile(r'<(?:script|link|img|iframe)[^>]+(?:src|href)="(https?:[^"]+)')
    pages = {page.stem: loads.findall(page.read_text()) for page in tmp_path.rglob("*.html")}
    assert "tutorial" in pages
    assert {stem: found for stem, found in pages.items() if found} == {}
