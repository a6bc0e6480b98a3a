"""A metadata service in memory, held to the contract in docs/reference: what it is asked, and what it answers."""

from __future__ import annotations

import json
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs, unquote, urlsplit

import yaml
from jsonschema import Draft202012Validator

CONTRACT = yaml.safe_load((Path(__file__).parents[2] / "docs/reference/metadata-api.yaml").read_text())
_BODIES = {"metadata": "Metadata", "watermarks": "Watermark"}
_ANSWERS = {
    "connections": "Connections",
    "dataflows": "Dataflows",
    "schema-hints": "SchemaHintSections",
    "settings": "Settings",
    "watermarks": "StoredWatermark",
}


def refusals(schema: str, value: Any) -> list[str]:
    """Return what of the contract a value breaks."""
    whole = {"$ref": f"#/components/schemas/{schema}", "components": CONTRACT["components"]}
    return [error.message for error in Draft202012Validator(whole).iter_errors(value)]


@dataclass
class Service:
    """What the service keeps, and what it was asked."""

    url: str
    key: str | None = None
    page: int = 2
    plain_lists: bool = False
    workspaces: dict[str, dict[str, Any]] = field(default_factory=dict)
    watermarks: dict[str, list[Any]] = field(default_factory=dict)
    """Dataflow → its watermarks, the newest last."""
    faults: list[tuple[int, dict[str, str], str]] = field(default_factory=list)
    """What is answered first, whatever is asked: status, headers, body."""
    asked: list[tuple[str, str]] = field(default_factory=list)
    broken: list[str] = field(default_factory=list)
    """Where client or service broke the contract."""
    before_put: Any = None

    def answer(self, method: str, target: str, headers: Any, body: bytes) -> tuple[int, dict[str, str], Any]:
        """Answer one request."""
        self.asked.append((method, target))
        if self.faults:
            return self.faults.pop(0)
        if self.key and headers.get("X-API-Key") != self.key:
            return 401, {}, None
        parts = urlsplit(target)
        _, _, workspace, kind, *rest = parts.path.split("/")
        if method == "PUT":
            said = json.loads(body)
            self.broken += refusals(_BODIES[kind], said)
            if kind == "watermarks":
                return self._put_watermark(unquote(rest[0]), said, headers)
            if headers.get("If-None-Match") == "*" and workspace in self.workspaces:
                return 412, {}, None
            self.workspaces[workspace] = said
            return 204, {}, None
        status, about, found = self._found(unquote(workspace), kind, rest, parse_qs(parts.query))
        if status == 200:
            self.broken += refusals(_ANSWERS[kind], found)
        return status, about, json.dumps(found)

    def _found(self, workspace: str, kind: str, rest: list[str], query: Any) -> tuple[int, dict[str, str], Any]:
        if kind == "watermarks":
            known = self.watermarks.get(unquote(rest[0]))
            return (200, {"ETag": f'"{len(known)}"'}, known[-1]) if known else (404, {}, None)
        content = self.workspaces.get(workspace)
        if content is None or (kind == "settings" and "settings" not in content):
            return 404, {}, None
        if kind == "settings":
            return 200, {}, content["settings"]
        items = content.get(kind.replace("-", "_"), [])
        if self.plain_lists:
            return 200, {}, items
        start = int(query.get("from", ["0"])[0])
        size = min(self.page, int(query["page_size"][0]))
        more = start + size < len(items)
        after = f"?page_size={size}&from={start + size}" if more else None
        return 200, {}, {"items": items[start : start + size], "next": after}

    def _put_watermark(self, dataflow: str, said: Any, headers: Any) -> tuple[int, dict[str, str], Any]:
        if self.before_put:
            self.before_put()
        known = self.watermarks.setdefault(dataflow, [])
        unchanged = headers.get("If-Match") == f'"{len(known)}"' if known else headers.get("If-None-Match") == "*"
        if not unchanged:
            return 412, {}, None
        known.append(said)
        return 204, {}, None


@contextmanager
def serving(**about: Any) -> Iterator[Service]:
    """Serve on a free port, for the length of a block."""

    class Handler(BaseHTTPRequestHandler):
        def _handle(self) -> None:
            body = self.rfile.read(int(self.headers.get("Content-Length") or 0))
            status, headers, answer = service.answer(self.command, self.path, self.headers, body)
            content = (answer or "").encode()
            self.send_response(status)
            for name, value in {**headers, "Content-Length": str(len(content))}.items():
                self.send_header(name, value)
            self.end_headers()
            self.wfile.write(content)

        do_GET = do_PUT = _handle  # noqa: N815 - names of the base class

        def log_message(self, *_: Any) -> None:
            pass

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    service = Service(url=f"http://127.0.0.1:{server.server_port}", **about)
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
    thread.start()
    try:
        yield service
    finally:
        server.shutdown()
        server.server_close()
        thread.join()
