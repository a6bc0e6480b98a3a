"""The tools, what each of them supports, and the environment that each is installed in."""

from __future__ import annotations

import shutil
import subprocess
import sys
import tempfile
from collections.abc import Callable
from dataclasses import dataclass
from importlib.metadata import version
from pathlib import Path
from typing import Literal

from chaos.peers.feed import Strategy

Destination = Literal["delta", "parquet", "duckdb"]

_ENVIRONMENTS = Path(__file__).resolve().parents[2] / "build" / "peers"
_REFUSED = 2
"""Exit code of a check that finds something wrong in the metadata."""
_DRIVERS = Path(__file__).with_name("drivers")


@dataclass(frozen=True, slots=True, kw_only=True)
class Load:
    """How one tool fills one table."""

    tool: str
    destination: Destination
    strategy: Strategy

    @property
    def name(self) -> str:
        return f"{self.tool}-{self.destination}-{self.strategy}"

    @property
    def watched(self) -> bool:
        """Whether a reader can watch: while a process writes a DuckDB database, no other one can open it."""
        return self.destination != "duckdb"

    def table(self, work: Path) -> Path:
        """The table, below the folder of a run; a file for DuckDB."""
        if self.destination == "duckdb":
            return work / "lake.duckdb"
        return work / "lake" / ("sales" if self.tool == "dlt" else "") / "orders"


@dataclass(frozen=True, slots=True, kw_only=True)
class Tool:
    """A tool, its requirements, and its loads in the order of the table."""

    name: str
    requirements: tuple[str, ...] = ()
    """What to install, the tool itself first and pinned; none for Tidegate, which runs where this runs."""
    loads: tuple[tuple[Destination, Strategy], ...]

    @property
    def python(self) -> Path:
        """The interpreter that has the tool."""
        return self._environment / "bin" / "python" if self.requirements else Path(sys.executable)

    @property
    def version(self) -> str:
        return self.requirements[0].partition("==")[2] if self.requirements else version(self.name)

    @property
    def _environment(self) -> Path:
        return _ENVIRONMENTS / self.name

    @property
    def command(self) -> list[str]:
        """The command line of the process that forks one process for each load."""
        return [str(self.python), str(_DRIVERS / f"{self.name}_load.py")]

    def prepare(self, tell: Callable[[str], None]) -> None:
        """Install the tool, unless it is; again when its requirements changed."""
        if not self.requirements:
            return
        wanted = "\n".join(self.requirements)
        ready = self._environment / ".ready"
        if ready.exists() and ready.read_text(encoding="utf-8") == wanted:
            return
        tell(f"installing {' '.join(self.requirements)} into {self._environment}")
        shutil.rmtree(self._environment, ignore_errors=True)
        subprocess.run([sys.executable, "-m", "venv", str(self._environment)], check=True)
        subprocess.run(
            [str(self.python), "-m", "pip", "--quiet", "--disable-pip-version-check", "install", *self.requirements],
            check=True,
        )
        ready.write_text(wanted, encoding="utf-8")

    def runs(self, load: Load) -> bool:
        """Whether this version runs such a load; a version of Tidegate is asked, of the others it is known."""
        if self.requirements:
            return True
        with tempfile.TemporaryDirectory() as folder:
            command = [*self.command, "check", load.destination, load.strategy, folder]
            done = subprocess.run(command, check=False, capture_output=True, text=True)
        if done.returncode not in {0, _REFUSED}:
            message = f"the check of {load.name} failed: {done.stderr}"
            raise RuntimeError(message)
        return done.returncode == 0

    def libraries(self) -> dict[str, str]:
        """Versions of the libraries that write the tables."""
        script = (
            "from importlib.metadata import distributions as d\n"
            "for x in sorted((x.name.lower(), x.version) for x in d()): print(*x)"
        )
        lines = subprocess.run([str(self.python), "-c", script], check=True, capture_output=True, text=True).stdout
        found = dict(line.split() for line in lines.splitlines())
        return {name: found[name] for name in ("deltalake", "duckdb", "polars", "pyarrow") if name in found}


_FILES: tuple[tuple[Destination, Strategy], ...] = (("parquet", "append"), ("parquet", "overwrite"))
_DELTA: tuple[tuple[Destination, Strategy], ...] = (
    ("delta", "append"),
    ("delta", "merge"),
    ("delta", "scd2"),
    ("delta", "overwrite"),
)
_DUCKDB: tuple[tuple[Destination, Strategy], ...] = (
    ("duckdb", "append"),
    ("duckdb", "merge"),
    ("duckdb", "scd2"),
    ("duckdb", "overwrite"),
)
_ALL = (
    Tool(name="tidegate", loads=(*_DELTA, *_FILES)),
    Tool(
        name="dlt",
        # pandas: dlt computes the row versions of scd2 with it.
        requirements=("dlt[deltalake,duckdb,filesystem]==1.31.0", "pandas"),
        loads=(*(each for each in _DELTA if each[1] != "scd2"), *_FILES, *_DUCKDB),
    ),
    Tool(name="datacoolie", requirements=("datacoolie[polars-delta]==0.2.0",), loads=(*_DELTA, *_FILES)),
)
TOOLS = {tool.name: tool for tool in _ALL}
"""All tools, in the order of the table."""
