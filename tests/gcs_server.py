"""A small server of Google Cloud Storage's XML API: contract-tested, as no real one can be had on this machine.

Source of the rules: Cloud Storage documentation, "XML API". It keeps objects in memory, creates them on condition of
`x-goog-if-generation-match: 0`, and lists, copies and removes them.
"""

from __future__ import annotations

import hashlib
import itertools
import subprocess
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from email.utils import formatdate
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any
from urllib.parse import parse_qs, unquote, urlsplit
from xml.sax.saxutils import escape

BUCKET = "lake"


@dataclass(frozen=True, slots=True, kw_only=True)
class _Object:
    content: bytes
    generation: int
    at: float

    @property
    def headers(self) -> dict[str, str]:
        return {
            "ETag": f'"{hashlib.md5(self.content).hexdigest()}"',  # noqa: S324 - as the store has it
            "x-goog-generation": str(self.generation),
            "Last-Modified": formatdate(self.at, usegmt=True),
        }


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    wbufsize = 65_536  # an answer is one packet
    objects: dict[str, _Object]
    lock: threading.Lock
    generations: Iterator[int]

    def _answer(self, status: int, body: bytes = b"", headers: dict[str, str] | None = None) -> None:
        self.send_response(status)
        for name, value in {"Content-Length": str(len(body)), **(headers or {})}.items():
            self.send_header(name, value)
        self.end_headers()
        if self.command != "HEAD":
            self.wfile.write(body)

    @property
    def _key(self) -> str:
        return unquote(urlsplit(self.path).path).lstrip("/").partition("/")[2]

    def parse_request(self) -> bool:
        """Refuse what is not of the bucket."""
        if not super().parse_request():
            return False
        is_there = unquote(urlsplit(self.path).path).lstrip("/").partition("/")[0] == BUCKET
        if not is_there:
            self.close_connection = True
            self._answer(404, b"<Error><Code>NoSuchBucket</Code></Error>")
        return is_there

    def do_GET(self) -> None:
        found = self.objects.get(self._key)
        if not self._key:
            self._list({name: values[0] for name, values in parse_qs(urlsplit(self.path).query).items()})
        elif found is None:
            self._answer(404, b"<Error><Code>NoSuchKey</Code></Error>")
        elif span := self.headers.get("Range"):
            first, _, last = span.removeprefix("bytes=").partition("-")
            start = int(first) if first else max(len(found.content) - int(last), 0)
            end = int(last) + 1 if first and last else len(found.content)
            part = found.content[start:end]
            about = f"bytes {start}-{start + len(part) - 1}/{len(found.content)}"
            self._answer(206, part, {**found.headers, "Content-Range": about})
        else:
            self._answer(200, found.content, found.headers)

    def do_HEAD(self) -> None:
        found = self.objects.get(self._key)
        self._answer(404) if found is None else self._answer(
            200, b"", {**found.headers, "Content-Length": str(len(found.content))}
        )

    def do_PUT(self) -> None:
        content = self.rfile.read(int(self.headers.get("Content-Length") or 0))
        with self.lock:
            if self.headers.get("x-goog-if-generation-match") == "0" and self._key in self.objects:
                self._answer(412, b"<Error><Code>PreconditionFailed</Code></Error>")
                return
            if source := self.headers.get("x-goog-copy-source"):
                there = self.objects.get(unquote(source).lstrip("/").partition("/")[2])
                if there is None:
                    self._answer(404, b"<Error><Code>NoSuchKey</Code></Error>")
                    return
                content = there.content
            number = next(self.generations)
            made = self.objects[self._key] = _Object(content=content, generation=number, at=1_700_000_000 + number)
        self._answer(200, b"", made.headers)

    def do_DELETE(self) -> None:
        with self.lock:
            there = self.objects.pop(self._key, None)
        self._answer(404 if there is None else 204)

    def _list(self, query: dict[str, str]) -> None:
        prefix, delimiter = query.get("prefix", ""), query.get("delimiter")
        after = query.get("start-after", "")
        contents, folders = [], set()
        for key, made in sorted(self.objects.items()):
            rest = key.removeprefix(prefix)
            if not key.startswith(prefix) or key <= after:
                continue
            if delimiter and delimiter in rest:
                folders.add(prefix + rest.partition(delimiter)[0] + delimiter)
                continue
            contents.append(
                f"<Contents><Key>{escape(key)}</Key><Size>{len(made.content)}</Size>"
                f"<LastModified>{datetime.fromtimestamp(made.at, UTC):%Y-%m-%dT%H:%M:%S.250Z}</LastModified>"
                f"<ETag>{escape(made.headers['ETag'])}</ETag></Contents>"
            )
        common = (f"<CommonPrefixes><Prefix>{escape(folder)}</Prefix></CommonPrefixes>" for folder in sorted(folders))
        self._answer(200, f"<ListBucketResult>{''.join(contents)}{''.join(common)}</ListBucketResult>".encode())

    def log_message(self, *_: Any) -> None:
        """Say nothing."""


@contextmanager
def gcs_server() -> Iterator[str]:
    """Serve one empty bucket, `BUCKET`, and give the server's address.

    It is a process of its own: some calls of delta-rs hold Python's lock while they wait for an answer.
    """
    with subprocess.Popen([sys.executable, __file__], stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        try:
            yield f"http://127.0.0.1:{process.stdout.readline().strip()}"
        finally:
            process.kill()


def _serve() -> None:
    about = {"objects": {}, "lock": threading.Lock(), "generations": itertools.count(1)}
    with ThreadingHTTPServer(("127.0.0.1", 0), type("Handler", (_Handler,), about)) as server:
        sys.stdout.write(f"{server.server_port}\n")
        sys.stdout.flush()
        server.serve_forever()


if __name__ == "__main__":
    _serve()
