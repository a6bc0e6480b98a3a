"""Metadata kept by a web service; `docs/reference/metadata-api.yaml` is what it has to answer."""

from __future__ import annotations

import json
import os
from collections.abc import Mapping
from http import HTTPStatus
from pathlib import Path
from typing import TYPE_CHECKING, Any
from urllib.parse import quote

from tidegate.errors import MetadataError
from tidegate.metadata.api_client import MetadataClient, json_of
from tidegate.metadata.checked import CheckedMetadata
from tidegate.metadata.document import Document, expand_json_text
from tidegate.metadata.finding import Findings, Place
from tidegate.metadata.node import Node
from tidegate.metadata.rows import MODELS, SETTINGS, name_connections
from tidegate.models import Metadata
from tidegate.state.opening import hide_password
from tidegate.state.watermark import Value, Watermark, encode_value, watermark_from_json

if TYPE_CHECKING:
    import httpx2

API_KEY_VARIABLE = "TIDEGATE_METADATA_API_KEY"
_WORKSPACES = "/workspaces/"
_ATTEMPTS = 5


class ApiMetadata(CheckedMetadata):
    """The declarations of one workspace of a metadata service.

    Args:
        url: ``https://host/api/workspaces/NAME``; or without the last two, and a `workspace`.
        workspace: The workspace, where the URL does not say.
        api_key: Sent as `X-API-Key`; when None, the value of ``TIDEGATE_METADATA_API_KEY``.
        timeout: Seconds a request may take.
        profile: Name of the profile; when None, that of the environment variable ``TIDEGATE_PROFILE``.
        variables: Values that win over the declared variables.
        state: Where state is kept, over what the environment or the metadata say.

    Raises:
        MetadataError: Nothing says which workspace (TG144).
    """

    root = Path()

    def __init__(
        self,
        url: str,
        *,
        workspace: str | None = None,
        api_key: str | None = None,
        timeout: float = 30.0,
        profile: str | None = None,
        variables: Mapping[str, Any] | None = None,
        state: str | None = None,
    ) -> None:
        super().__init__(profile=profile, variables=variables, state=state)
        hide_password(url)
        if _WORKSPACES not in url:
            if workspace is None:
                hint = f"{url.rstrip('/')}{_WORKSPACES}NAME"
                raise MetadataError("the URL of the metadata service names no workspace", code="TG144", hint=hint)
            url = f"{url.rstrip('/')}{_WORKSPACES}{quote(workspace, safe='')}"
        api_key = api_key or os.environ.get(API_KEY_VARIABLE) or None
        self.client = MetadataClient(url, api_key=api_key, timeout=timeout)

    # -- declarations ---------------------------------------------------------------------------------------------

    def document(self, findings: Findings) -> Document:
        """Read the workspace from the service.

        Raises:
            MetadataError: The service does not know the workspace (TG141), did not answer (TG146), or not as agreed
                (TG142).
        """
        content: dict[str, Node] = {}
        for section in MODELS:
            items = [
                _located(item, url, f"{pointer}/{index}")
                for url, page, pointer in self.client.pages(section.replace("_", "-"))
                for index, item in enumerate(page)
            ]
            for index, item in enumerate(items):
                item.index = index
            if items:
                content[section] = Node(items, items[0].place)
        content |= self._settings()
        if not content:
            message = "there are no metadata in this workspace"
            raise MetadataError(message, code="TG141", where=str(self.client.url), hint="is its name right?")
        name_connections(content)
        document = Document(self.root, Node(content, Place(str(self.client.url))))
        expand_json_text(document.content, findings)
        return document

    def write(self, content: Mapping[str, Any], metadata: Metadata, *, replace: bool = False) -> None:
        """Write declarations into the workspace, in one request.

        Args:
            content: The sections as they are declared, without places.
            metadata: What they come to; a service keeps what was declared.
            replace: Whether they take the place of what the workspace has.

        Raises:
            MetadataError: The workspace has metadata and `replace` is false (TG145); else as :meth:`document`.
        """
        body = {section: content[section] for section in MODELS if content.get(section)}
        body["settings"] = {name: content[name] for name in SETTINGS if content.get(name) is not None}
        headers = {} if replace else {"If-None-Match": "*"}
        answer = self.client.request("PUT", "/metadata", body=body, headers=headers)
        if answer.status_code in {HTTPStatus.CONFLICT, HTTPStatus.PRECONDITION_FAILED}:
            message = "the workspace has metadata already"
            hint = "`--replace` puts these in their place"
            raise MetadataError(message, code="TG145", where=str(self.client.url), hint=hint)
        _require_found(answer)

    def _settings(self) -> dict[str, Node]:
        answer = self.client.request("GET", "/settings")
        if answer.status_code == HTTPStatus.NOT_FOUND:  # a service that keeps none
            return {}
        return _located(json_of(answer), str(answer.url), "").fields

    # -- watermarks -----------------------------------------------------------------------------------------------

    @property
    def keeps_watermarks(self) -> bool:
        """True: the contract has watermarks."""
        return True

    def read_watermark(self, dataflow_id: str) -> dict[str, Value] | None:
        """Return the watermark of a dataflow; None when there is none.

        Raises:
            WatermarkError: What is there is not one (TG504).
            MetadataError: As :meth:`document`.
        """
        found, _ = self._watermark(dataflow_id)
        return found

    def write_watermark(self, dataflow_id: str, watermark: Watermark) -> None:
        """Store the watermark of a dataflow, on condition that no other was stored since; else try again.

        Raises:
            MetadataError: Others changed it again and again (TG143); else as :meth:`document`.
        """
        body = {column: encode_value(value) for column, value in watermark.items()}
        for _ in range(_ATTEMPTS):
            known, headers = self._watermark(dataflow_id)
            if known == watermark:
                return
            answer = self.client.request("PUT", _place_of(dataflow_id), body=body, headers=headers)
            if answer.status_code != HTTPStatus.PRECONDITION_FAILED:
                _require_found(answer)
                return
        message = f"the watermark of dataflow {dataflow_id} was changed by others {_ATTEMPTS} times in a row"
        where = f"{self.client.url}{_place_of(dataflow_id)}"
        raise MetadataError(message, code="TG143", where=where, hint="does another system write it, too?")

    def _watermark(self, dataflow_id: str) -> tuple[dict[str, Value] | None, dict[str, str]]:
        """Return the watermark, and the condition under which it may be replaced."""
        answer = self.client.request("GET", _place_of(dataflow_id))
        if answer.status_code == HTTPStatus.NOT_FOUND:
            return None, {"If-None-Match": "*"}
        said = json_of(answer)
        condition = {"If-Match": answer.headers["ETag"]} if "ETag" in answer.headers else {}
        if said is None:
            return None, condition
        return watermark_from_json(said if isinstance(said, str) else json.dumps(said)), condition


def _place_of(dataflow_id: str) -> str:
    return f"/watermarks/{quote(dataflow_id, safe='')}"


def _located(value: Any, url: str, pointer: str) -> Node:
    """Return data as nodes, each with its JSON pointer (RFC 6901)."""
    place = Place(f"{url}#{pointer}")
    if isinstance(value, dict):
        fields = {}
        for key, item in value.items():
            step = str(key).replace("~", "~0").replace("/", "~1")
            fields[str(key)] = _located(item, url, f"{pointer}/{step}")
            fields[str(key)].key_place = fields[str(key)].place
        return Node(fields, place)
    if isinstance(value, list):
        items = [_located(item, url, f"{pointer}/{index}") for index, item in enumerate(value)]
        for index, item in enumerate(items):
            item.index = index
        return Node(items, place)
    return Node(value, place)


def _require_found(answer: httpx2.Response) -> None:
    """Refuse an answer that says that there is no such thing to write to."""
    if not answer.is_success:
        message = f"the metadata service answered {answer.status_code} {answer.reason_phrase}"
        raise MetadataError(message, code="TG142", where=str(answer.url), hint="is it read-only, or the URL wrong?")
