"""Small HTTP servers that answer as secret backends document it, where no real one can be had.

What they prove is "contract-tested": the real client library, or our own request, against the documented answers.
"""

from __future__ import annotations

import base64
import json
import threading
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any, Literal
from urllib.parse import parse_qs, urlsplit

Mood = Literal["open", "refusing", "throttling", "down"]

SECRETS = {"db-password": "hunter2-é", "db-user": "lovelace-7"}


@dataclass(frozen=True, slots=True, kw_only=True)
class Request:
    method: str
    path: str
    query: dict[str, str]
    headers: Mapping[str, str]
    body: bytes

    def json(self) -> Any:
        return json.loads(self.body)


@dataclass(frozen=True, slots=True, kw_only=True)
class Answer:
    status: int = 200
    body: Any = None
    headers: Mapping[str, str] = field(default_factory=dict)


@dataclass(slots=True)
class Server:
    """A running server: its mood may be changed, and what it was asked is kept."""

    url: str
    mood: Mood = "open"
    secrets: dict[str, Any] = field(default_factory=lambda: dict(SECRETS))
    asked: list[Request] = field(default_factory=list)


@contextmanager
def serving(answer: Callable[[Server, Request], Answer]) -> Iterator[Server]:
    """Serve on a free port of the loopback interface."""

    class Handler(BaseHTTPRequestHandler):
        def _handle(self) -> None:
            url = urlsplit(self.path)
            request = Request(
                method=self.command,
                path=url.path,
                query={name: values[0] for name, values in parse_qs(url.query).items()},
                headers=self.headers,  # type: ignore[arg-type]
                body=self.rfile.read(int(self.headers.get("Content-Length") or 0)),
            )
            server.asked.append(request)
            answered = answer(server, request)
            body = json.dumps(answered.body).encode()
            self.send_response(answered.status)
            headers = {"Content-Type": "application/json", "Content-Length": str(len(body)), **answered.headers}
            for name, value in headers.items():
                self.send_header(name, value)
            self.end_headers()
            self.wfile.write(body)

        do_GET = do_POST = _handle  # noqa: N815 - named by http.server

        def log_message(self, *_: object) -> None:
            """Say nothing."""

    with ThreadingHTTPServer(("127.0.0.1", 0), Handler) as listener:
        server = Server(f"http://127.0.0.1:{listener.server_port}")
        thread = threading.Thread(target=listener.serve_forever, kwargs={"poll_interval": 0.01})
        thread.start()
        try:
            yield server
        finally:
            listener.shutdown()
            thread.join()


def aws(server: Server, request: Request) -> Answer:
    """AWS JSON 1.1, Secrets Manager and Systems Manager: an error is a `__type`, its status mostly 400."""
    moods = {
        "refusing": (400, "AccessDeniedException", "User: arn:aws:iam::1:user/etl is not authorized"),
        "throttling": (400, "ThrottlingException", "Rate exceeded"),
        "down": (500, "InternalServiceError", "An error occurred on the server side."),
    }
    if server.mood in moods:
        status, kind, message = moods[server.mood]
        return Answer(status=status, body={"__type": kind, "message": message})
    if request.headers["X-Amz-Target"] == "secretsmanager.GetSecretValue":
        name = request.json()["SecretId"]
        if name == "prod/db":
            return Answer(body={"Name": name, "SecretString": json.dumps(server.secrets)})
        return Answer(status=400, body={"__type": "ResourceNotFoundException", "message": "can't find the secret"})
    name = request.json()["Name"].removeprefix("/prod/")
    if name in server.secrets:
        return Answer(body={"Parameter": {"Name": name, "Type": "SecureString", "Value": server.secrets[name]}})
    return Answer(status=400, body={"__type": "ParameterNotFound"})


def azure(server: Server, request: Request) -> Answer:
    """Azure Key Vault 7.x: a challenge first, then `GET /secrets/NAME/VERSION`."""
    if "Authorization" not in request.headers:
        challenge = 'Bearer authorization="https://login.microsoftonline.com/t", resource="https://vault.azure.net"'
        return Answer(status=401, headers={"WWW-Authenticate": challenge})
    moods = {
        "refusing": (403, "Forbidden", "Caller is not authorized to perform action"),
        "throttling": (429, "Throttled", "Request was not processed because too many requests were received."),
        "down": (503, "ServiceUnavailable", "The service is unavailable."),
    }
    name, _, version = request.path.removeprefix("/secrets/").partition("/")
    status, code, message = moods.get(server.mood, (404, "SecretNotFound", f"A secret with {name} was not found"))
    if server.mood == "open" and name in server.secrets and version in {"", "v1"}:
        value = {"value": server.secrets[name], "id": f"https://team.vault.azure.net/secrets/{name}/v1"}
        return Answer(body={**value, "attributes": {"enabled": True}})
    return Answer(status=status, body={"error": {"code": code, "message": message}}, headers={"Retry-After": "0"})


def gcp(server: Server, request: Request) -> Answer:
    """Google Secret Manager v1, REST: `GET /v1/projects/P/secrets/S/versions/V:access`."""
    moods = {
        "refusing": (403, "PERMISSION_DENIED"),
        "throttling": (429, "RESOURCE_EXHAUSTED"),
        "down": (503, "UNAVAILABLE"),
    }
    status, name = moods.get(server.mood, (404, "NOT_FOUND"))
    _, _, _, project, _, secret, _, version = request.path.removesuffix(":access").split("/")
    value = server.secrets.get(secret if version == "latest" else f"{secret}@{version}")
    if server.mood == "open" and value is not None and project == "acme":
        data = value if isinstance(value, bytes) else value.encode()
        return Answer(body={"name": request.path, "payload": {"data": base64.b64encode(data).decode()}})
    return Answer(status=status, body={"error": {"code": status, "message": f"told {name}", "status": name}})


def databricks(server: Server, request: Request) -> Answer:
    """Databricks Secrets API 2.0; a value travels as base64."""
    if "secrets" not in request.path:  # what the client asks a workspace about itself
        return Answer(status=404, body={"error_code": "ENDPOINT_NOT_FOUND", "message": "no such endpoint"})
    moods = {
        "refusing": (403, "PERMISSION_DENIED", "does not have READ permission on scope"),
        "throttling": (429, "REQUEST_LIMIT_EXCEEDED", "slow down"),
        "down": (503, "TEMPORARILY_UNAVAILABLE", "come back"),
    }
    if server.mood in moods:
        status, code, message = moods[server.mood]
        return Answer(status=status, body={"error_code": code, "message": message}, headers={"Retry-After": "1"})
    if request.query["scope"] == "etl" and request.path.endswith("/secrets/list"):
        return Answer(body={"secrets": [{"key": key} for key in server.secrets]})
    value = server.secrets.get(request.query.get("key", "")) if request.query["scope"] == "etl" else None
    if value is None:
        return Answer(status=404, body={"error_code": "RESOURCE_DOES_NOT_EXIST", "message": "no such secret"})
    data = value if isinstance(value, bytes) else value.encode()
    return Answer(body={"key": request.query["key"], "value": base64.b64encode(data).decode()})


def vault(server: Server, request: Request) -> Answer:
    """Vault's KV version 2 at `kv/`, and an AppRole login; `s.root` and what the login gave are valid tokens."""
    moods = {"down": (503, "Vault is sealed"), "throttling": (429, "request path: rate limit quota exceeded")}
    if server.mood in moods:
        status, message = moods[server.mood]
        return Answer(status=status, body={"errors": [message]})
    if request.path == "/v1/auth/approle/login":
        if request.json() != {"role_id": "etl", "secret_id": "the-secret-id"}:
            return Answer(status=400, body={"errors": ["invalid role or secret ID"]})
        server.secrets["valid"] = token = f"s.login-{len(server.asked)}"
        return Answer(body={"auth": {"client_token": token, "lease_duration": 60}})
    token = request.headers.get("X-Vault-Token")
    if server.mood == "refusing" or not token or token not in {"s.root", server.secrets.get("valid")}:
        return Answer(status=403, body={"errors": ["1 error occurred:\n\t* permission denied\n\n"]})
    if request.path == "/v1/kv/data/gone":
        about = {"deletion_time": "2026-01-01T00:00:00Z", "destroyed": False, "version": 3}
        return Answer(status=404, body={"data": {"data": None, "metadata": about}})
    if request.path == "/v1/kv/data/app/db":
        fields = {key: value for key, value in server.secrets.items() if key != "valid"}
        return Answer(body={"data": {"data": fields, "metadata": {"version": 1}}})
    if request.path == "/v1/old/data/app":
        return Answer(body={"data": {"password": "of version 1"}})
    return Answer(status=404, body={"errors": []})
