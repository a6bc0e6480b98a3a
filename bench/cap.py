"""A memory cap for a measured process, as strong as the machine allows, and the words for what was used."""

from __future__ import annotations

import os
import shutil
import subprocess
from dataclasses import dataclass
from pathlib import Path

CGROUP_VARIABLE = "TIDEGATE_BENCH_CGROUP"
"""Names a cgroup v2 folder that was delegated to us and holds no process; we never pick one ourselves."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Cap:
    """How a limit of `mib` is kept."""

    mib: int
    prefix: tuple[str, ...]
    """The command that starts the measured process under the limit; empty where nothing enforces it."""
    how: str

    def broken_by(self, peak_mib: float) -> bool:
        """Whether a process with this peak went over the limit."""
        return peak_mib > self.mib


def memory_cap(mib: int) -> Cap:
    """The strongest limit to be had: systemd's scope, a delegated cgroup, or the check of the peak afterwards."""
    folder = os.environ.get(CGROUP_VARIABLE)
    if folder and (scope := _delegated(Path(folder), mib)):
        return Cap(mib=mib, prefix=scope, how=f"cgroup v2 {folder}, memory.max {mib} MiB")
    scope = ("systemd-run", "--quiet", "--scope", "-p", f"MemoryMax={mib}M", "-p", "MemorySwapMax=0", "--")
    if Path("/run/systemd/system").is_dir() and shutil.which("systemd-run") and _runs((*scope, "true")):
        return Cap(mib=mib, prefix=scope, how=f"systemd scope, MemoryMax {mib} MiB")
    return Cap(mib=mib, prefix=(), how=f"not enforced here: peak resident size compared with {mib} MiB afterwards")


def _delegated(parent: Path, mib: int) -> tuple[str, ...] | None:
    """A command that runs another inside a limited child group of `parent`, or None when it cannot be made."""
    group = parent / "tidegate-bench"
    try:
        if "memory" not in (parent / "cgroup.subtree_control").read_text().split():
            (parent / "cgroup.subtree_control").write_text("+memory")
        group.mkdir(exist_ok=True)
        (group / "memory.max").write_text(str(mib * 2**20))
    except OSError:
        return None
    return ("sh", "-c", f'echo $$ > "{group}/cgroup.procs" && exec "$@"', "sh")


def _runs(command: tuple[str, ...]) -> bool:
    """Whether `command` ends well."""
    return subprocess.run(command, capture_output=True, check=False, timeout=20).returncode == 0
