"""Secrets in files: a folder with one file a secret, or one `.json`, `.yaml` or `.env` file with all of them."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import yaml

from tidegate.secrets.document import Fields, json_fields, text_of
from tidegate.secrets.lookup import Lookup
from tidegate.secrets.provider import BaseSecretProvider

_PERMISSION = "let the user that runs Tidegate read it"


class FileSecretProvider(BaseSecretProvider):
    """Reads files, as Docker, Kubernetes and systemd mount secrets. Nothing is cached unless a time is given.

    A source is a folder, in which the key names a file, or one file, in which it names a field. A relative source
    starts at the working directory.
    """

    def __init__(self, cache_ttl: float = 0, **kwargs: Any) -> None:
        super().__init__(cache_ttl, **kwargs)

    def _fetch_secret(self, key: str, source: str) -> str:
        place = Path(source).absolute()
        lookup = Lookup(what=f"file {str(place)!r}", permission=_PERMISSION)
        if place.is_dir():
            return _file_in(place, key)
        fields = _fields(_read(place, lookup), place.suffix.lower())
        if fields is None:
            problem = "is not what its name says: an object in JSON or YAML, else lines of `NAME=value`"
            raise lookup.unreadable(problem, "correct the file; a value in quotes ends on its own line")
        return text_of(key, fields, lookup)


def _file_in(folder: Path, key: str) -> str:
    """Return what a file says, without the newline at its end."""
    lookup = Lookup(what=f"file {key!r} in {str(folder)!r}", permission=_PERMISSION)
    path = (folder / key).resolve()
    if not path.is_relative_to(folder.resolve()):  # resolved, as Kubernetes mounts links to files in the same folder
        raise lookup.unreadable("is outside that folder", "name a file in the folder, or let the source be its folder")
    if not path.is_file():
        raise lookup.missing(key=key, known=[other.name for other in folder.iterdir()])
    return _read(path, lookup).removesuffix("\n").removesuffix("\r")


def _read(path: Path, lookup: Lookup) -> str:
    try:
        data = path.read_bytes()
    except FileNotFoundError:
        raise lookup.missing() from None
    except PermissionError as error:
        raise lookup.refused(error.strerror or "no permission") from None
    return lookup.decoded(data)


def _fields(text: str, suffix: str) -> Fields | None:
    if suffix == ".json":
        return json_fields(text)
    return _yaml_fields(text) if suffix in {".yaml", ".yml"} else _env_fields(text)


def _yaml_fields(text: str) -> Fields | None:
    try:
        # Every plain scalar stays the text that it is: 0123 and `yes` are passwords here. It makes no objects.
        document = yaml.load(text, Loader=yaml.BaseLoader)  # noqa: S506
    except yaml.YAMLError:  # which quotes the secret: nobody is to see it
        return None
    return document if isinstance(document, dict) else None


def _env_fields(text: str) -> Fields | None:
    fields: dict[str, object] = {}
    for line in map(str.strip, text.split("\n")):
        if line and not line.startswith("#"):
            name, equals, value = line.removeprefix("export ").partition("=")
            plain = _env_value(value.strip())
            if not equals or plain is None:
                return None
            fields[name.strip()] = plain
    return fields


def _env_value(value: str) -> str | None:
    """Return a value without its quotes, in which nothing is replaced; None when they do not end."""
    if value[:1] not in {"'", '"'}:
        return "" if value.startswith("#") else value.partition(" #")[0].rstrip()
    inner, quote, rest = value[1:].partition(value[0])
    return inner if quote and (not rest.strip() or rest.lstrip().startswith("#")) else None
