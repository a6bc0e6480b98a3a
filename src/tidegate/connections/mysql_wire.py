"""Statements on a connection of PyMySQL: prepared and in binary, which is exact and needs no quoting.

PyMySQL connects, authenticates, and speaks in packets. Its cursors only know the text protocol, in which a FLOAT is
rounded to six digits; so what is in the packets of a prepared statement is written and read here (MySQL client/server
protocol: *Prepared Statements*, *Text Protocol*, *LOCAL INFILE Request*).
"""

from __future__ import annotations

import io
import socket
import struct
from array import array
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from typing import Any

import pyarrow as pa
from pymysql import err
from pymysql.connections import Connection
from pymysql.constants import CR
from pymysql.protocol import EOFPacketWrapper, FieldDescriptorPacket, MysqlPacket, OKPacketWrapper

from tidegate.connections.mysql_parameters import execution
from tidegate.connections.mysql_types import Field

_QUERY, _PREPARE, _EXECUTE, _CLOSE = 0x03, 0x16, 0x17, 0x19
_LONGEST_PACKET = 0xFFFFFF
_BLOCK_BYTES = 1 << 18
_BATCH_BYTES = 32 << 20
_ROW = 0x00
"""The first byte of a row; that of the end and of an error is another."""
_DRAINED_ROWS = 1 << 16


@dataclass(frozen=True, slots=True, kw_only=True)
class Done:
    """What a statement without rows did."""

    rows: int
    warnings: int


class Wire(Connection):
    """A connection whose statements are carried out one after the other."""

    # What this builds on, and PyMySQL does not publish.
    _rfile: io.BufferedReader
    _sock: socket.socket
    _local_infile: bool
    _execute_command: Callable[[int, bytes], None]
    _read_packet: Callable[..., Any]
    _force_close: Callable[[], None]
    show_warnings: Callable[[], tuple[tuple[str, int, str], ...]]

    _reading: Result | None = None
    _to_release: int | None = None

    def refuse_files(self) -> None:
        """Send no file that a server asks for of itself; only :meth:`load` answers."""
        self._local_infile = False

    def keep_alive(self, options: Mapping[int, int]) -> None:
        """Set options of the TCP connection."""
        with suppress(OSError):  # a Unix socket has none
            for option, value in options.items():
                self._sock.setsockopt(socket.IPPROTO_TCP, option, value)

    def execute(self, sql: str, parameters: Sequence[Any] = ()) -> Done:
        """Carry out a statement; rows that it gives are not looked at."""
        if parameters:
            outcome = self.select(sql, parameters)
            return outcome if isinstance(outcome, Done) else outcome.drained()
        packet = self._asked(_QUERY, sql.encode())
        if packet.is_ok_packet():
            return _done(packet)
        if packet.is_load_local_packet():
            raise self.lost("the server asked for a file of this machine")
        self._reading = Result(self, self._described(packet.read_length_encoded_integer()))
        return self._reading.drained()

    def describe(self, sql: str) -> list[Field]:
        """Return the columns that a statement would give, without carrying it out."""
        self._to_release, fields, _ = self._prepared(sql)
        return fields

    def select(self, sql: str, parameters: Sequence[Any] = ()) -> Result | Done:
        """Carry out a statement, and return its rows, which are yet to be read."""
        statement, _, wanted = self._prepared(sql)
        try:
            if wanted != len(parameters):
                raise err.ProgrammingError(0, f"the statement has {wanted} parameters, and {len(parameters)} are given")
            packet = self._asked(_EXECUTE, execution(statement, parameters))
            if packet.is_ok_packet():
                return _done(packet)
            self._reading = Result(self, self._described(packet.read_length_encoded_integer()))
            return self._reading
        finally:
            self._to_release = statement  # it is needed until its rows are read

    def load(self, sql: str, chunks: Iterable[bytes]) -> Done:
        """Carry out `LOAD DATA LOCAL INFILE`, and send these bytes for the file that it asks for."""
        packet = self._asked(_QUERY, sql.encode())
        if not packet.is_load_local_packet():
            raise err.InternalError(0, "the server did not ask for the rows")
        try:
            for chunk in chunks:
                for start in range(0, len(chunk), _BLOCK_BYTES):
                    self.write_packet(chunk[start : start + _BLOCK_BYTES])
        except BaseException:
            self._force_close()  # to go on, the server would have to take what it has for all there is
            raise
        self.write_packet(b"")
        return _done(self._read_packet())

    def first_warning(self) -> tuple[int, str]:
        """Return number and text of the first warning of the last statement."""
        _, number, text = self.show_warnings()[0]
        return number, text

    def read_block(self) -> bytes:
        """Return what the server has sent, some bytes at least."""
        try:
            block = self._rfile.read1(_BLOCK_BYTES)
        except OSError as error:
            raise self.lost(str(error)) from error
        if not block:
            raise self.lost("the server closed it")
        return block

    def lost(self, reason: str) -> err.OperationalError:
        """Give the connection up, and return the error for it."""
        self._force_close()
        return err.OperationalError(CR.CR_SERVER_LOST, reason)

    # -- packets --------------------------------------------------------------------------------------------------

    def _asked(self, command: int, payload: bytes) -> Any:
        """Send a command, and return the first packet of the answer."""
        reading, self._reading = self._reading, None
        if reading is not None:
            reading.drained()
        statement, self._to_release = self._to_release, None
        if statement is not None:
            self._execute_command(_CLOSE, struct.pack("<I", statement))  # is not answered
        self._execute_command(command, payload)
        return self._read_packet()

    def _prepared(self, sql: str) -> tuple[int, list[Field], int]:
        """Return a prepared statement: its number, its columns, and how many parameters it wants."""
        packet = self._asked(_PREPARE, sql.encode())
        statement, columns, parameters = struct.unpack_from("<IHH", packet.get_all_data(), 1)
        self._described(parameters)
        return statement, self._described(columns), parameters

    def _described(self, count: int) -> list[Field]:
        packets = [self._read_packet(FieldDescriptorPacket) for _ in range(count)]
        if count:
            self._read_packet()  # the end of the list
        return [
            Field(
                name=packet.name,
                type_code=packet.type_code,
                flags=packet.flags,
                charset=packet.charsetnr,
                length=packet.length,
                scale=packet.scale,
            )
            for packet in packets
        ]


class Result:
    """The rows of a statement, read as the server sends them."""

    def __init__(self, wire: Wire, fields: list[Field]) -> None:
        self.fields = fields
        self._wire = wire
        self._held = bytearray()
        self._place = 0  # where the first packet that is not cut begins
        self._open = True

    def rows(self, batch_rows: int) -> Iterator[pa.Array]:
        """Yield the packets of the rows, at most so many at a time; behind each are a few bytes that are not its own.

        Packets are cut in the bytes as they came: no row is copied by itself.
        """
        while self._open:
            starts = self._cut(batch_rows)
            held, self._held, self._place = bytes(memoryview(self._held)[: self._place]), self._held[self._place :], 0
            if starts:
                yield _packets(held, starts)

    def drained(self) -> Done:
        """Read to the end, and keep nothing."""
        return Done(rows=sum(len(batch) for batch in self.rows(_DRAINED_ROWS)), warnings=0)

    def _cut(self, batch_rows: int) -> array[int]:
        """Return where rows begin in what is held; they end at `_place`."""
        starts = array("q")
        header = struct.Struct("<I").unpack_from
        while len(starts) < batch_rows and self._place < _BATCH_BYTES:
            held, place, end = self._held, self._place, len(self._held)
            size = end
            for _ in range(batch_rows - len(starts)):
                if place + 4 >= end:
                    break
                size = header(held, place)[0] & _LONGEST_PACKET
                if place + 4 + size > end or held[place + 4] != _ROW or size == _LONGEST_PACKET:
                    break
                starts.append(place + 4)
                place += 4 + size
            else:
                self._place = place
                break
            self._place = place
            if place + 4 < end and place + 4 + size <= end:  # a whole packet, of another kind
                if held[place + 4] != _ROW:
                    self._end(bytes(held[place + 4 : place + 4 + size]))
                    break
                if self._pass_long():
                    starts.append(place + 4)
                    continue
            try:
                self._held += self._wire.read_block()
            except err.MySQLError:
                self._open = False
                raise
        return starts

    def _pass_long(self) -> bool:
        """Pass a row that comes in several packets, once all are here; the headers within it are taken out."""
        behind, size, headers = self._place, _LONGEST_PACKET, []
        while size == _LONGEST_PACKET:
            if len(self._held) < behind + 4:
                return False
            size = int.from_bytes(self._held[behind : behind + 3], "little")
            headers.append(behind)
            behind += 4 + size
        if len(self._held) < behind:
            return False
        for place in reversed(headers[1:]):
            del self._held[place : place + 4]
        self._place = behind - 4 * len(headers[1:])
        return True

    def _end(self, packet: bytes) -> None:
        self._open = False
        last = MysqlPacket(packet, self._wire.encoding)
        last.check_error()
        if EOFPacketWrapper(last).has_next:
            raise self._wire.lost("the statement has several results")


def _packets(held: bytes, starts: array[int]) -> pa.Array:
    offsets = pa.py_buffer(array("q", [*starts, len(held)]))
    return pa.LargeBinaryArray.from_buffers(pa.large_binary(), len(starts), [None, offsets, pa.py_buffer(held)])


def _done(packet: MysqlPacket) -> Done:
    ok = OKPacketWrapper(packet)
    return Done(rows=ok.affected_rows, warnings=ok.warning_count)
