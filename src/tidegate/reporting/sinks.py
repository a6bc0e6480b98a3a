"""Which sinks keep the record of a run, besides the one that shows it: as options and the environment say."""

from __future__ import annotations

import os
from pathlib import Path

from tidegate.errors import ConfigurationError
from tidegate.reporting.events import Sink

LOG_PATH_VARIABLE = "TIDEGATE_LOG_PATH"
_LINEAGE_VARIABLES = ("OPENLINEAGE_URL", "OPENLINEAGE_CONFIG", "OPENLINEAGE__TRANSPORT__TYPE")
_LINEAGE_FILES = (Path("openlineage.yml"), Path("~/.openlineage/openlineage.yml"))


def configured_sinks(log_path: str | Path | None = None, lineage: bool | None = None) -> list[Sink]:  # noqa: FBT001
    """Return the sinks that keep the record.

    Args:
        log_path: Folder of the Parquet record and the event files; `TIDEGATE_LOG_PATH` when not given, and no record
            without either.
        lineage: Whether lineage is sent to OpenLineage; when not given, whether the environment names a server.

    Raises:
        ConfigurationError: lineage is asked for and nothing says where it goes (TG640), or its extra is not installed
            (TG612); the log path is no local folder (TG642).
    """
    sinks: list[Sink] = []
    if place := log_path or os.environ.get(LOG_PATH_VARIABLE):
        from tidegate.reporting.jsonl import EventFileSink
        from tidegate.reporting.parquet import ParquetSink

        folder = _folder(place)
        sinks += [ParquetSink(folder), EventFileSink(folder)]
    is_named = any(os.environ.get(name) for name in _LINEAGE_VARIABLES)
    if lineage or (lineage is None and is_named):
        sinks.append(_lineage_sink(is_named=is_named))
    return sinks


def _folder(place: str | Path) -> Path:
    if "://" in str(place):
        hint = "give a folder of this machine, and copy or mount it from there"
        raise ConfigurationError(f"the log path {place} is no local folder", code="TG642", hint=hint)
    return Path(place).expanduser().absolute()


def _lineage_sink(*, is_named: bool) -> Sink:
    config = os.environ.get("OPENLINEAGE_CONFIG")
    if config and not Path(config).is_file():  # the client would go on without it
        hint = "correct OPENLINEAGE_CONFIG, or unset it"
        raise ConfigurationError(f"OPENLINEAGE_CONFIG names no file: {config}", code="TG640", hint=hint)
    if not is_named and not any(file.expanduser().is_file() for file in _LINEAGE_FILES):
        hint = "set OPENLINEAGE_URL=http://localhost:5000, or OPENLINEAGE_CONFIG=openlineage.yml"
        raise ConfigurationError("lineage is asked for, and no server is named", code="TG640", hint=hint)
    try:
        from tidegate.reporting.openlineage import OpenLineageSink
    except ModuleNotFoundError as error:
        hint = "pip install 'tidegate[openlineage]'; without it, unset OPENLINEAGE_URL and OPENLINEAGE_CONFIG"
        raise ConfigurationError("openlineage-python is not installed", code="TG612", hint=hint) from error
    try:
        return OpenLineageSink()
    except Exception as error:
        cause = " ".join(f"{type(error).__name__}: {error}".split())
        hint = "see the settings of the OpenLineage Python client"
        raise ConfigurationError(f"OpenLineage is not set up: {cause}", code="TG640", hint=hint) from error
