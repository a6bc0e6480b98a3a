"""Real servers for tests: started once a session, shared by its workers, and ended by pid when it ends."""

from __future__ import annotations

import fcntl
import json
import os
import pwd
import shutil
import signal
import socket
import subprocess
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import NoReturn

import pytest


@dataclass(frozen=True, slots=True, kw_only=True)
class Server:
    """A running server."""

    pid: int
    port: int
    folder: str
    """What it keeps on disk; removed with it."""


class UnavailableError(Exception):
    """A server that cannot be had on this machine."""


def unavailable(service: str, error: UnavailableError) -> NoReturn:
    """Skip the test with its reason; fail it where servers are required."""
    reason = f"{service}: {error}"
    if os.environ.get("TIDEGATE_REQUIRE_SERVICES") == "1":
        pytest.fail(reason)
    pytest.skip(reason)


def shared_postgres(session_folder: Path) -> Server:
    """Return the PostgreSQL server of this test session, and start it if no other worker has.

    Args:
        session_folder: A folder that all workers of the session have in common.

    Raises:
        UnavailableError: it is not installed, or does not start.
    """
    with _locked(session_folder / "services.lock"):
        about = session_folder / "postgres.server"
        if about.exists():
            return Server(**json.loads(about.read_text()))
        server = _start_postgres()
        about.write_text(json.dumps(asdict(server)))
        return server


def end_servers(session_folder: Path) -> None:
    """End all servers of a session."""
    for about in session_folder.glob("*.server"):
        server = Server(**json.loads(about.read_text()))
        with suppress(ProcessLookupError):
            os.kill(server.pid, signal.SIGQUIT)  # at once: nothing in it is kept
        while _lives(server.pid):
            time.sleep(0.01)
        shutil.rmtree(server.folder, ignore_errors=True)
        about.unlink()


def free_port() -> int:
    """Return a port of the loopback interface on which nothing listens."""
    with socket.create_server(("127.0.0.1", 0)) as listener:
        return int(listener.getsockname()[1])


def _start_postgres() -> Server:
    programs = _postgres_programs()
    folder = Path(tempfile.mkdtemp(prefix="tidegate-postgres-"))
    try:
        return _start_postgres_in(folder, programs)
    except BaseException:
        shutil.rmtree(folder, ignore_errors=True)
        raise


def _start_postgres_in(folder: Path, programs: Path) -> Server:
    data, log = folder / "data", folder / "log"
    user = _unprivileged_user()
    if user:
        shutil.chown(folder, user)
    # Another order of text than that of code points, as servers have it: statements must not rely on it.
    collation = ["--locale-provider=icu", "--icu-locale=en-US"] if _major_version(programs) >= 15 else []
    command = [programs / "initdb", "-D", data, "-A", "trust", "-U", "postgres", "-E", "UTF8", "--no-sync"]
    made = subprocess.run(
        [*command, "--locale=C.UTF-8", *collation], capture_output=True, text=True, user=user, cwd=folder, check=False
    )
    if made.returncode:
        raise UnavailableError(made.stderr.strip() or made.stdout.strip())
    port = free_port()
    settings = {
        "port": port,
        "listen_addresses": "127.0.0.1",
        "unix_socket_directories": folder,
        "fsync": "off",
        "full_page_writes": "off",
        "shared_buffers": "32MB",
        "max_connections": "200",
        "wal_level": "logical",
    }
    options = " ".join(f"-c {name}={value}" for name, value in settings.items())
    start = [programs / "pg_ctl", "start", "-D", data, "-w", "-t", "60", "-l", log, "-o", options]
    with (folder / "started").open("wb") as output:  # a file: the server inherits it, and would hold a pipe open
        started = subprocess.run(start, stdout=output, stderr=output, user=user, cwd=folder, check=False)
    if started.returncode:
        raise UnavailableError(f"it did not start: {log.read_text(errors='replace')[-2000:]}")
    pid = int((data / "postmaster.pid").read_text().splitlines()[0])
    return Server(pid=pid, port=port, folder=str(folder))


def _postgres_programs() -> Path:
    """Return the folder of the newest PostgreSQL."""
    found = sorted(Path("/usr/lib/postgresql").glob("*/bin/initdb"), key=lambda path: int(path.parts[-3]))
    if not found and (on_path := shutil.which("initdb")):
        found = [Path(on_path).resolve()]
    if not found:
        raise UnavailableError("not installed; tools/install_services.sh installs it")
    return found[-1].parent


def _major_version(programs: Path) -> int:
    told = subprocess.run([programs / "postgres", "--version"], capture_output=True, text=True, check=True).stdout
    return int(told.split()[2].partition(".")[0])


def _unprivileged_user() -> str | None:
    """Return whom servers run as that refuse to run as root; None when we are not root."""
    if os.geteuid() != 0:
        return None
    for name in ("postgres", "nobody"):
        with suppress(KeyError):
            return pwd.getpwnam(name).pw_name
    raise UnavailableError("it does not run as root, and there is no user postgres or nobody")


def _lives(pid: int) -> bool:
    """Tell whether the process runs; one that ended, and that nobody has waited for, does not."""
    try:
        os.kill(pid, 0)
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except OSError:
        return False


@contextmanager
def _locked(path: Path) -> Iterator[None]:
    with path.open("w") as file:
        fcntl.flock(file, fcntl.LOCK_EX)
        yield
