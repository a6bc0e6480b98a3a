"""The hook of the documentation's build: pages that are written from the code are brought up to date before it."""

from __future__ import annotations

import re
from typing import Any

import draw_house
import generate_reference

_ROLE = re.compile(r":\w+:<code>~?(?:[\w.]*\.)?(\w+)</code>")


def on_pre_build(**_: Any) -> None:
    """Write the reference pages and the picture of the house. Files that are as they should be are not touched."""
    generate_reference.write()
    draw_house.write()


def on_page_content(html: str, **_: Any) -> str:
    """Show what docstrings refer to, ``:class:`~tidegate.models.RunConfig```, by its name."""
    return _ROLE.sub(r"<code>\1</code>", html)
