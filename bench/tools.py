"""Other tools that are measured: each in an environment of its own, installed when it is first asked for."""

from __future__ import annotations

import shutil
import subprocess
import sys
from typing import TYPE_CHECKING

from bench.measure import REPOSITORY

if TYPE_CHECKING:
    from collections.abc import Callable

DLT = ("dlt[deltalake,filesystem,sql-database]==1.31.0", "connectorx==0.4.6", "psycopg2-binary", "pymysql", "pandas")
"""Pinned to the version of `chaos/peers`."""


def python_of(side: str, tell: Callable[[str], None]) -> str:
    """The interpreter that a side runs in."""
    if not side.startswith("dlt"):
        return sys.executable
    folder = REPOSITORY / "build" / "peers" / "dlt-databases"
    python, ready = folder / "bin" / "python", folder / ".ready"
    if not ready.exists() or ready.read_text() != "\n".join(DLT):
        tell(f"installing {' '.join(DLT)} into {folder}")
        shutil.rmtree(folder, ignore_errors=True)
        subprocess.run([sys.executable, "-m", "venv", folder], check=True)
        install = [python, "-m", "pip", "--quiet", "--disable-pip-version-check", "install"]
        subprocess.run([*install, *DLT], check=True)
        ready.write_text("\n".join(DLT))
    return str(python)
