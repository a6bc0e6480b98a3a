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
import sys
import tempfile
import time
from collections.abc import Callable, Iterator, Sequence
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
    end_with: int = signal.SIGKILL


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
    return _shared(session_folder, "postgres", _start_postgres_in)


def shared_mariadb(session_folder: Path) -> Server:
    """Return the MariaDB server of this test session; user `root` has no password. As :func:`shared_postgres`."""
    return _shared(session_folder, "mariadb", _start_mariadb_in)


def shared_mongodb(session_folder: Path) -> Server:
    """Return the MongoDB server of this test session, a replica set of one node. As :func:`shared_postgres`."""
    return _shared(session_folder, "mongodb", _start_mongodb_in)


def shared_moto(session_folder: Path) -> Server:
    """Return the AWS server of this test session (S3 and more); any credentials do. As :func:`shared_postgres`."""
    return _shared(session_folder, "moto", _start_moto_in)


def shared_azurite(session_folder: Path) -> Server:
    """Return the Azure blob server of this test session, with the well-known account. As :func:`shared_postgres`."""
    return _shared(session_folder, "azurite", _start_azurite_in)


def end_servers(session_folder: Path) -> None:
    """End all servers of a session."""
    for about in session_folder.glob("*.server"):
        server = Server(**json.loads(about.read_text()))
        with suppress(ProcessLookupError):
            os.kill(server.pid, server.end_with)  # at once: nothing in it is kept
        while _lives(server.pid):
            time.sleep(0.01)
        shutil.rmtree(server.folder, ignore_errors=True)
        about.unlink()


def free_port() -> int:
    """Return a port of the loopback interface on which nothing listens."""
    with socket.create_server(("127.0.0.1", 0)) as listener:
        return int(listener.getsockname()[1])


def _shared(session_folder: Path, name: str, start_in: Callable[[Path], Server]) -> Server:
    """Return the server of that name, started by the first worker that asks."""
    with _locked(session_folder / "services.lock"):
        about = session_folder / f"{name}.server"
        if about.exists():
            return Server(**json.loads(about.read_text()))
        folder = Path(tempfile.mkdtemp(prefix=f"tidegate-{name}-"))
        try:
            server = start_in(folder)
        except BaseException:
            shutil.rmtree(folder, ignore_errors=True)
            raise
        about.write_text(json.dumps(asdict(server)))
        return server


def _start_postgres_in(folder: Path) -> Server:
    programs = _postgres_programs()
    data, log = folder / "data", folder / "log"
    user = _unprivileged_user("postgres")
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
    return Server(pid=pid, port=port, folder=str(folder), end_with=signal.SIGQUIT)  # killed, it leaves shared memory


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


def _start_mariadb_in(folder: Path) -> Server:
    server = _program("mariadbd", Path("/usr/sbin"), Path("/usr/libexec"))
    data, log = folder / "data", folder / "log"
    user = _unprivileged_user("mysql")
    if user:
        shutil.chown(folder, user)
    install = [_program("mariadb-install-db"), "--no-defaults", f"--datadir={data}"]
    options = ["--auth-root-authentication-method=normal", "--skip-test-db", "--skip-name-resolve"]
    made = subprocess.run([*install, *options], capture_output=True, text=True, user=user, cwd=folder, check=False)
    if made.returncode:
        raise UnavailableError(made.stderr.strip() or made.stdout.strip())
    port = free_port()
    settings = {
        "datadir": data,
        "port": port,
        "bind-address": "127.0.0.1",
        "socket": folder / "socket",
        "pid-file": folder / "pid",
        "innodb-buffer-pool-size": "64M",
        "innodb-flush-log-at-trx-commit": 0,
        "max-connections": 200,
        "max-allowed-packet": "64M",
        "character-set-server": "utf8mb4",
        "default-time-zone": "+05:00",  # not that of the sessions: nothing may rely on it
    }
    command = [server, "--no-defaults", *(f"--{name}={value}" for name, value in settings.items())]
    pid = _daemon(command, port=port, log=log, user=user)
    return Server(pid=pid, port=port, folder=str(folder))


def _start_mongodb_in(folder: Path) -> Server:
    from pymongo import MongoClient

    program = _program("mongod", Path(__file__).parents[1] / "build/mongodb/fiftyone/db/bin")
    port = free_port()
    data = folder / "data"
    data.mkdir()
    place = ["--port", str(port), "--bind_ip", "127.0.0.1", "--dbpath", data, "--logpath", folder / "mongod.log"]
    small = ["--replSet", "rs0", "--wiredTigerCacheSizeGB", "0.25", "--oplogSize", "64"]
    pid = _daemon([program, *place, *small], port=port, log=folder / "log")
    member = {"_id": 0, "host": f"127.0.0.1:{port}"}
    replica_set = {"_id": "rs0", "members": [member], "settings": {"electionTimeoutMillis": 2000}}
    with MongoClient("127.0.0.1", port, directConnection=True) as client:
        client.admin.command("replSetInitiate", replica_set)
        while not client.admin.command("hello")["isWritablePrimary"]:
            time.sleep(0.02)
    return Server(pid=pid, port=port, folder=str(folder))


def _start_moto_in(folder: Path) -> Server:
    port = free_port()
    command = [_program("moto_server", Path(sys.executable).parent), "-H", "127.0.0.1", "-p", str(port)]
    pid = _daemon(command, port=port, log=folder / "log")
    return Server(pid=pid, port=port, folder=str(folder))


def _start_azurite_in(folder: Path) -> Server:
    script = Path(__file__).parents[1] / "build/azurite/node_modules/azurite/dist/src/blob/main.js"
    if not script.exists():
        raise UnavailableError("azurite is not installed; tools/install_services.sh installs it")
    port = free_port()
    options = ["--silent", "--location", folder / "data", "--blobPort", str(port)]
    command = [_program("node"), script, *options, "--skipApiVersionCheck", "--disableTelemetry"]
    pid = _daemon(command, port=port, log=folder / "log")
    return Server(pid=pid, port=port, folder=str(folder))


def _daemon(command: Sequence[str | Path], *, port: int, log: Path, user: str | None = None) -> int:
    """Start a server that stays in the foreground, wait until it listens, and return its process id."""
    with log.open("wb") as output:
        streams = {"stdin": subprocess.DEVNULL, "stdout": output, "stderr": output}
        # A session of its own: Ctrl-C is for the tests, which end it.
        process = subprocess.Popen(command, **streams, user=user, cwd=log.parent, start_new_session=True)
    for _ in range(3000):
        with suppress(OSError), socket.create_connection(("127.0.0.1", port)):
            process.returncode = 0  # it outlives this worker: Popen must not miss its end
            return process.pid
        if process.poll() is not None:
            break
        time.sleep(0.02)
    process.kill()
    raise UnavailableError(f"it did not start: {log.read_text(errors='replace')[-2000:]}")


def _program(name: str, *folders: Path) -> str:
    """Return the path of a program, of the search path or one of these folders."""
    path = os.pathsep.join([os.environ.get("PATH", os.defpath), *map(str, folders)])
    found = shutil.which(name, path=path)
    if not found:
        raise UnavailableError(f"{name} is not installed; tools/install_services.sh installs it")
    return found


def _unprivileged_user(preferred: str) -> str | None:
    """Return whom servers run as that refuse to run as root; None when we are not root."""
    if os.geteuid() != 0:
        return None
    for name in (preferred, "nobody"):
        with suppress(KeyError):
            return pwd.getpwnam(name).pw_name
    raise UnavailableError(f"it does not run as root, and there is no user {preferred} or nobody")


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
