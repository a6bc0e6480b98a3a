"""A server that speaks TDS 7.4, as SQL Server does, over DuckDB: the protocol is real, the database is not.

It knows what the driver sends for logins, batches, prepared statements and transactions, and the types that tables of
these tests have. Statements are translated from T-SQL by sqlglot. It proves that a client speaks the protocol.
"""

from __future__ import annotations

import asyncio
import datetime as dt
import multiprocessing
import os
import re
import struct
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from decimal import Context, Decimal
from multiprocessing.connection import Connection
from typing import Any

import duckdb
import sqlglot
from sqlglot import exp

_BATCH, _RPC, _RESPONSE, _ATTENTION, _MANAGER, _LOGIN, _PRELOGIN = 1, 3, 4, 6, 14, 16, 18
_COLLATION = bytes.fromhex("0904d00034")
_EXECUTESQL, _PREPARE, _EXECUTE, _PREPEXEC, _UNPREPARE = 10, 11, 12, 13, 15
_DAY_ONE = dt.date(1, 1, 1)
_FIRST_MOMENT = dt.datetime(1, 1, 1)  # noqa: DTZ001 - datetime2 has no zone
_EXACT = Context(prec=60)
_COMMANDS: dict[type, int] = {exp.Insert: 0xC3, exp.Delete: 0xC4, exp.Update: 0xC5}


class TdsError(Exception):
    """An error token: number and text."""


class TdsServer:
    """A server on a free port of the loopback interface, seen from the test.

    It is a process of its own: the driver holds Python's lock while it waits for an answer.
    """

    user, password = "sa", "right"

    def __init__(self) -> None:
        context = multiprocessing.get_context("spawn")
        self._pipe, theirs = context.Pipe()
        self._process = context.Process(target=_serve, args=(theirs, self.user, self.password), daemon=True)
        self._process.start()
        theirs.close()
        self.port: int = self._pipe.recv()

    @property
    def statements(self) -> list[str]:
        """What was sent since this was last asked for."""
        self._pipe.send(None)
        told: list[str] = self._pipe.recv()
        return told

    def fail(self, begin: str, number: int, text: str = "") -> None:
        """Answer statements that begin so with an error; with number 0, hang up on them."""
        self._pipe.send((begin, number, text))
        self._pipe.recv()

    def close(self) -> None:
        """End it."""
        self._pipe.close()
        self._process.kill()
        self._process.join()
        self._process.close()


@contextmanager
def tds_server() -> Iterator[TdsServer]:
    """Run a server."""
    server = TdsServer()
    try:
        yield server
    finally:
        server.close()


def _serve(pipe: Connection, user: str, password: str) -> None:
    asyncio.run(_Server(pipe, user, password).run())


class _Server:
    """The server in its process."""

    def __init__(self, pipe: Connection, user: str, password: str) -> None:
        self._pipe, self.user, self.password = pipe, user, password
        self._failures: list[tuple[str, int, str]] = []
        self._statements: list[str] = []
        self.database = duckdb.connect(":memory:")

    async def run(self) -> None:
        server = await asyncio.start_server(self._talk, "127.0.0.1", 0)
        asyncio.get_running_loop().add_reader(self._pipe.fileno(), self._told)
        self._pipe.send(server.sockets[0].getsockname()[1])
        await server.serve_forever()

    def take(self, sql: str) -> None:
        """Note a statement, and fail where it shall."""
        self._statements.append(sql)
        for begin, number, text in self._failures:
            if sql.startswith(begin):
                raise TdsError(number, text) if number else ConnectionResetError

    def _told(self) -> None:
        try:
            order = self._pipe.recv()
        except EOFError:
            os._exit(0)
        if order:
            self._failures.append(order)
        self._pipe.send(self._statements)
        self._statements = []

    async def _talk(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        talk = _Talk(self, reader, writer)
        try:
            await talk.run()
        except (asyncio.IncompleteReadError, ConnectionError):
            pass
        finally:
            talk.close()
            writer.close()


class _Talk:
    """One connection."""

    def __init__(self, server: _Server, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self._server, self._reader, self._writer = server, reader, writer
        self._cursor = server.database.cursor()
        self._cursor.execute("SET TimeZone = 'UTC'")
        self._prepared: list[tuple[str, str]] = []
        self._open = False  # a transaction

    def close(self) -> None:
        self._cursor.close()

    async def run(self) -> None:
        while True:
            kind, payload = await self._message()
            if kind == _PRELOGIN:
                await self._send(_prelogin())
            elif kind == _LOGIN:
                await self._send(self._login(payload))
            elif kind == _ATTENTION:
                await self._send(_done(0xFD, 0x20))
            elif kind == _MANAGER:
                await self._send(self._answered(self._manage, payload))
            elif kind == _BATCH:
                (size,) = struct.unpack_from("<I", payload)
                sql = payload[size:].decode("utf-16-le")
                await self._send(self._answered(self._run, sql, {}, 0xFD))
            elif kind == _RPC:
                await self._send(self._calls(payload))

    async def _message(self) -> tuple[int, bytes]:
        payload = b""
        while True:
            kind, status, size = struct.unpack(">BBH4x", await self._reader.readexactly(8))
            payload += await self._reader.readexactly(size - 8)
            if status & 1:
                return kind, payload

    async def _send(self, payload: bytes) -> None:
        for start in range(0, max(len(payload), 1), 4088):
            part = payload[start : start + 4088]
            last = start + 4088 >= len(payload)
            self._writer.write(struct.pack(">BBHHBB", _RESPONSE, last, len(part) + 8, 0, 1, 0) + part)
        await self._writer.drain()

    # -- logins ---------------------------------------------------------------------------------------------------

    def _login(self, payload: bytes) -> bytes:
        def field(index: int) -> bytes:
            place, size = struct.unpack_from("<HH", payload, 36 + 4 * index)
            return payload[place : place + 2 * size]

        user = field(1).decode("utf-16-le")
        password = bytes(((byte ^ 0xA5) << 4 & 0xF0) | ((byte ^ 0xA5) >> 4) for byte in field(2)).decode("utf-16-le")
        database = field(8).decode("utf-16-le") or "master"
        if (user, password) != (self._server.user, self._server.password):
            return _error(18456, f"Login failed for user '{user}'.", 14) + _done(0xFD, 2)
        if database == "nowhere":
            return _error(4060, f'Cannot open database "{database}" requested by the login.', 11) + _done(0xFD, 2)
        name = "Microsoft SQL Server".encode("utf-16-le")
        ack = struct.pack("<BIB", 1, 0x04000074, len(name) // 2) + name + bytes([16, 0, 0x10, 0])
        return (
            _environment(1, database, "master")
            + _environment(4, "4096", "4096")
            + struct.pack("<BBBB", 0xE3, 8, 0, 7)[:1] + struct.pack("<HBB", 8, 7, 5) + _COLLATION + b"\0"
            + b"\xad" + struct.pack("<H", len(ack)) + ack
            + _done(0xFD)
        )  # fmt: skip

    # -- statements -----------------------------------------------------------------------------------------------

    def _answered(self, work: Callable[..., bytearray], *about: Any) -> bytearray:
        try:
            return work(*about)
        except TdsError as error:
            return bytearray(_error(error.args[0], error.args[1])) + _done(0xFD, 2)
        except duckdb.Error as error:
            number = {
                duckdb.CatalogException: 208, duckdb.ParserException: 102, duckdb.BinderException: 207,
                duckdb.ConstraintException: 2627, duckdb.ConversionException: 245,
                duckdb.TransactionException: 1205,
            }.get(type(error), 50000)  # fmt: skip
            return bytearray(_error(number, str(error).splitlines()[0])) + _done(0xFD, 2)

    def _manage(self, payload: bytes) -> bytes:
        (size,) = struct.unpack_from("<I", payload)
        (kind,) = struct.unpack_from("<H", payload, size)
        word = {5: "BEGIN", 7: "COMMIT", 8: "ROLLBACK"}[kind]
        self._server.take(word)
        return self._transact(word)

    def _transact(self, word: str, done: int = 0xFD) -> bytearray:
        if (word == "BEGIN") != self._open:
            self._cursor.execute(word)
            self._open = word == "BEGIN"
        return _done(done)

    def _calls(self, payload: bytes) -> bytes:
        """Carry out the calls of one message: an array of parameters comes as so many calls."""
        reader = _Reader(payload)
        reader.place = reader.number("<I")
        answers = []
        while reader.place < len(payload):
            answers.append(self._answered(self._call, reader))
        for answer in answers[:-1]:  # more is to come
            status = len(answer) - 12
            answer[status] |= 1
        return b"".join(answers)

    def _call(self, reader: _Reader) -> bytearray:
        size = reader.number("<H")
        procedure = reader.number("<H") if size == 0xFFFF else reader.take(2 * size).decode("utf-16-le")
        reader.take(2)
        values = []
        while not reader.at_end():
            reader.take(2 * reader.number("<B") + 1)  # its name, and whether it is returned
            values.append(reader.typed())
        if procedure in {_EXECUTESQL, "sp_executesql"}:
            return self._run(values[0], _named(values[1] if len(values) > 1 else "", values[2:]), 0xFE)
        if procedure in {_PREPEXEC, _PREPARE, "sp_prepexec"}:
            _, declared, sql = values[:3]
            self._prepared.append((sql, declared))
            answer = b"" if procedure == _PREPARE else self._run(sql, _named(declared, values[3:]), 0xFF)
            handle = struct.pack("<BHBBIHBBBi", 0xAC, 0, 0, 1, 0, 0, 0x26, 4, 4, len(self._prepared))
            return bytearray(answer + handle + b"\x79\0\0\0\0" + _done(0xFE))
        if procedure in {_EXECUTE, "sp_execute"}:
            sql, declared = self._prepared[values[0] - 1]
            return self._run(sql, _named(declared, values[1:]), 0xFE)
        if procedure in {_UNPREPARE, "sp_unprepare"}:
            return bytearray(b"\x79\0\0\0\0" + _done(0xFE))
        raise TdsError(2812, f"Could not find stored procedure '{procedure}'.")

    def _run(self, sql: str, values: dict[str, Any], done: int) -> bytearray:
        self._server.take(sql)
        upper = " ".join(sql.upper().split()).rstrip(";")
        if found := re.fullmatch(
            r"(BEGIN|COMMIT|ROLLBACK) TRAN(SACTION)?|IF @@TRANCOUNT > 0 (\w+) TRAN(SACTION)?", upper
        ):
            return self._transact(found[1] or found[3], done)
        if upper.startswith(("SET ", "USE ")):
            return _done(done)
        if "DM_EXEC_DESCRIBE_FIRST_RESULT_SET" in upper:
            return self._describe(next(iter(values.values())), done)
        if "FROM SYS.OBJECTS" in upper:
            sql = f"SELECT {', '.join(['NULL'] * 7)} WHERE 1 = 0"  # DuckDB has no such catalogue: nothing is known
        answer = _done(done)
        for statement in sqlglot.parse(sql, read="tsql"):
            if statement is not None:
                answer = self._statement(statement, values, done)
        return answer

    def _statement(self, statement: exp.Expression, values: dict[str, Any], done: int) -> bytearray:
        text, used = _translated(statement)
        self._cursor.execute(text, {name: values[name] for name in used})
        if isinstance(statement, exp.Insert | exp.Update | exp.Delete):
            return _done(done, 0x10, self._cursor.fetchall()[0][0], _COMMANDS[type(statement)])
        if not self._cursor.description or not isinstance(statement, exp.Query):
            return _done(done)
        types = [_Type.of(str(column[1])) for column in self._cursor.description]
        names = [column[0] for column in self._cursor.description]
        answer = bytearray(b"\x81" + struct.pack("<H", len(types)))
        for name, kind in zip(names, types, strict=True):
            encoded = name.encode("utf-16-le")
            answer += struct.pack("<IH", 0, 9) + kind.head + bytes([len(encoded) // 2]) + encoded
        rows = 0
        while batch := self._cursor.fetchmany(1000):
            rows += len(batch)
            for row in batch:
                answer += b"\xd1" + b"".join(kind.write(value) for kind, value in zip(types, row, strict=True))
        return answer + _done(done, 0x10, rows)

    def _describe(self, sql: str, done: int) -> bytearray:
        """`sys.dm_exec_describe_first_result_set`: names, types in words, an error instead of columns."""
        (statement,) = sqlglot.parse(sql, read="tsql")
        assert statement is not None
        try:
            text, used = _translated(statement)
            self._cursor.execute(f"DESCRIBE {text}", dict.fromkeys(used))
            found = [(name, _Type.of(kind).words, None) for name, kind, *_ in self._cursor.fetchall()]
        except duckdb.Error as error:
            found = [(None, None, str(error).splitlines()[0])]
        columns = [_Type.of("VARCHAR")] * 3
        answer = bytearray(b"\x81" + struct.pack("<H", 3))
        for name in ("name", "system_type_name", "error_message"):
            answer += struct.pack("<IH", 0, 9) + columns[0].head + bytes([len(name)]) + name.encode("utf-16-le")
        for row in found:
            answer += b"\xd1" + b"".join(kind.write(value) for kind, value in zip(columns, row, strict=True))
        return answer + _done(done, 0x10, len(found))


def _named(declared: str | None, values: list[Any]) -> dict[str, Any]:
    return dict(zip(re.findall(r"@(\w+)\s", declared or ""), values, strict=True))


def _translated(statement: exp.Expression) -> tuple[str, set[str]]:  # noqa: C901 - a case for each construct
    """Return a statement for DuckDB, and the names of its parameters."""

    def change(node: exp.Expression) -> exp.Expression:
        if isinstance(node, exp.Exists) and isinstance(node.this, exp.Intersect):  # a NULL-safe equality
            return exp.NullSafeEQ(this=node.this.left.expressions[0], expression=node.this.right.expressions[0])
        if isinstance(node, exp.Collate) or (isinstance(node, exp.Ordered) and node.find_ancestor(exp.PrimaryKey)):
            return node.this
        if isinstance(node, exp.ColumnDef):
            node.set("constraints", [])
        if isinstance(node, exp.AlterColumn):
            node.set("allow_null", None)
        if isinstance(node, exp.DataType) and node.is_type("bit"):
            return exp.DataType.build("boolean")
        if isinstance(node, exp.DataType) and node.is_type("float") and node.expressions:
            return exp.DataType.build("double")
        if isinstance(node, exp.DataType) and not node.is_type("decimal"):  # lengths, and digits of seconds
            node.set("expressions", None)
        if isinstance(node, exp.Update) and (source := node.args.get("from_") or node.args.get("from")):
            target = source.this
            if target.alias == node.this.name and target.args.get("joins"):
                (join,) = target.args["joins"]
                target.set("joins", None)
                node.set("this", target.copy())
                node.set("from_", exp.From(this=join.this))
                node.set("where", exp.Where(this=join.args["on"]))
        return node

    changed = statement.transform(change)
    if isinstance(changed, exp.Delete) and changed.args.get("tables"):
        changed.set("tables", None)
    return changed.sql("duckdb"), {parameter.name for parameter in changed.find_all(exp.Parameter)}


class _Type:
    """A type of TDS: how a column of it is announced, how values are written, and its name."""

    def __init__(self, words: str, head: bytes, write: Callable[[Any], bytes]) -> None:
        self.words, self.head, self._write = words, head, write

    def write(self, value: Any) -> bytes:
        if value is not None:
            return self._write(value)
        return b"\xff" * 8 if self.head[-2:] == b"\xff\xff" or self.head[:1] == b"\xe7" else b"\0"

    @classmethod
    def of(cls, kind: str) -> _Type:
        if kind in _INTEGERS:
            form, words = _INTEGERS[kind]
            size = struct.calcsize(form)
            return cls(words, bytes([0x26, size]), lambda value: bytes([size]) + struct.pack(form, value))
        if kind.startswith("DECIMAL") or kind in {"HUGEINT", "UBIGINT"}:
            precision, scale = map(int, re.findall(r"\d+", kind)) if "(" in kind else (38, 0)
            return cls(
                f"decimal({precision},{scale})",
                bytes([0x6C, 17, precision, scale]),
                lambda value: _number(value, scale),
            )
        return _TYPES[kind]


_INTEGERS = {
    "TINYINT": ("<h", "smallint"), "UTINYINT": ("<B", "tinyint"), "SMALLINT": ("<h", "smallint"),
    "INTEGER": ("<i", "int"), "BIGINT": ("<q", "bigint"), "UINTEGER": ("<q", "bigint"), "USMALLINT": ("<i", "int"),
}  # fmt: skip


def _number(value: Any, scale: int) -> bytes:
    scaled = int(Decimal(value).scaleb(scale, _EXACT))
    return b"\x11" + bytes([scaled >= 0]) + abs(scaled).to_bytes(16, "little")


def _plp(content: bytes) -> bytes:
    body = struct.pack("<I", len(content)) + content if content else b""
    return struct.pack("<Q", len(content)) + body + b"\0\0\0\0"


def _micros(value: dt.time | dt.datetime) -> bytes:
    total = ((value.hour * 60 + value.minute) * 60 + value.second) * 1_000_000 + value.microsecond
    return total.to_bytes(5, "little")


def _days(value: dt.date) -> bytes:
    return (value.toordinal() - 1).to_bytes(3, "little")


def _date_of(value: dt.datetime) -> dt.date:
    return value.date()


_TYPES = {
    "BOOLEAN": _Type("bit", b"\x68\x01", lambda value: bytes([1, value])),
    "FLOAT": _Type("real", b"\x6d\x04", lambda value: b"\x04" + struct.pack("<f", value)),
    "DOUBLE": _Type("float", b"\x6d\x08", lambda value: b"\x08" + struct.pack("<d", value)),
    "VARCHAR": _Type("nvarchar(max)", b"\xe7\xff\xff" + _COLLATION, lambda value: _plp(str(value).encode("utf-16-le"))),
    "BLOB": _Type("varbinary(max)", b"\xa5\xff\xff", _plp),
    "DATE": _Type("date", b"\x28", lambda value: b"\x03" + _days(value)),
    "TIME": _Type("time(6)", b"\x29\x06", lambda value: b"\x05" + _micros(value)),
    "TIMESTAMP": _Type("datetime2(6)", b"\x2a\x06", lambda value: b"\x08" + _micros(value) + _days(_date_of(value))),
    "TIMESTAMP WITH TIME ZONE": _Type(
        "datetimeoffset(6)",
        b"\x2b\x06",
        lambda value: b"\x0a" + _micros(value.astimezone(dt.UTC)) + _days(value.astimezone(dt.UTC).date()) + b"\0\0",
    ),
    "UUID": _Type("uniqueidentifier", b"\x24\x10", lambda value: b"\x10" + value.bytes_le),
    '"NULL"': _Type("int", b"\x26\x04", lambda _: b"\0"),
}


class _Reader:
    """Parameters of a remote procedure call."""

    def __init__(self, payload: bytes) -> None:
        self._payload, self.place = payload, 0

    def take(self, size: int) -> bytes:
        taken = self._payload[self.place : self.place + size]
        self.place += size
        return taken

    def number(self, form: str) -> int:
        (value,) = struct.unpack(form, self.take(struct.calcsize(form)))
        return int(value)

    def at_end(self) -> bool:
        """Tell whether a call ends here: with the message, or with a mark, which is passed."""
        if self.place < len(self._payload) and self._payload[self.place] in {0x80, 0xFF, 0xFE}:
            self.place += 1
            return True
        return self.place >= len(self._payload)

    def typed(self) -> Any:  # noqa: C901, PLR0911 - a case for each form of type
        kind = self.number("<B")
        if kind in {0xE7, 0xEF, 0xA7, 0xAF, 0xA5, 0xAD}:
            size = self.number("<H")
            if kind not in {0xA5, 0xAD}:
                self.take(5)
            content = self._long() if size == 0xFFFF else self._short("<H", 0xFFFF)
            return _decoded(kind, content)
        if kind in {0x63, 0x22, 0x23}:  # ntext, image, text
            self.take(4 if kind == 0x22 else 9)
            return _decoded({0x63: 0xE7, 0x23: 0xA7, 0x22: 0xA5}[kind], self._short("<I", 0xFFFFFFFF))
        if kind in {0x6C, 0x6A}:
            _, _, scale = self.take(3)
            content = self._short("<B", 0)
            if content is None:
                return None
            value = Decimal(int.from_bytes(content[1:], "little")).scaleb(-scale, _EXACT)
            return value if content[0] else value.copy_negate()
        if kind in {0x29, 0x2A, 0x2B}:
            scale = self.number("<B")
            return self._time(kind, scale, self._short("<B", 0))
        if kind == 0x28:
            content = self._short("<B", 0)
            return None if content is None else _DAY_ONE + dt.timedelta(int.from_bytes(content, "little"))
        if kind in {0x26, 0x68, 0x6D, 0x24}:
            self.take(1)
            content = self._short("<B", 0)
            if content is None:
                return None
            if kind == 0x68:
                return bool(content[0])
            if kind == 0x6D:
                return struct.unpack("<f" if len(content) == 4 else "<d", content)[0]
            return int.from_bytes(content, "little", signed=len(content) > 1)
        raise TdsError(8009, f"The incoming tabular data stream has a type {kind:#x} that this server does not know.")

    def _short(self, form: str, null: int) -> bytes | None:
        size = self.number(form)
        return None if size == null else self.take(size)

    def _long(self) -> bytes | None:
        if self.number("<Q") == 0xFFFFFFFFFFFFFFFF:
            return None
        content = b""
        while size := self.number("<I"):
            content += self.take(size)
        return content

    def _time(self, kind: int, scale: int, content: bytes | None) -> Any:
        if content is None:
            return None
        behind = {0x29: 0, 0x2A: 3, 0x2B: 5}[kind]
        ticks = int.from_bytes(content[: len(content) - behind], "little")
        at = dt.timedelta(microseconds=ticks * 10**6 // 10**scale)
        rest = content[len(content) - behind :]
        if not rest:
            return (_FIRST_MOMENT + at).time()
        moment = _FIRST_MOMENT + dt.timedelta(int.from_bytes(rest[:3], "little")) + at
        return moment if kind == 0x2A else moment.replace(tzinfo=dt.UTC)


def _decoded(kind: int, content: bytes | None) -> Any:
    if content is None or kind in {0xA5, 0xAD}:
        return content
    return content.decode("utf-16-le" if kind in {0xE7, 0xEF} else "cp1252")


def _prelogin() -> bytes:
    version, encryption = b"\x10\x00\x10\x00\x00\x00", b"\x02"  # no encryption
    head = struct.pack(">BHHBHHB", 0, 11, len(version), 1, 11 + len(version), 1, 0xFF)
    return head + version + encryption


def _environment(kind: int, new: str, old: str) -> bytes:
    body = bytes([kind])
    for text in (new, old):
        body += bytes([len(text)]) + text.encode("utf-16-le")
    return b"\xe3" + struct.pack("<H", len(body)) + body


def _error(number: int, text: str, severity: int = 16) -> bytes:
    encoded = text.encode("utf-16-le")
    body = struct.pack("<iBBH", number, 1, severity, len(encoded) // 2) + encoded + b"\0\0" + struct.pack("<i", 1)
    return b"\xaa" + struct.pack("<H", len(body)) + body


def _done(kind: int, status: int = 0, rows: int = 0, command: int = 0xC1) -> bytearray:
    return bytearray(struct.pack("<BHHQ", kind, status, command, rows))
