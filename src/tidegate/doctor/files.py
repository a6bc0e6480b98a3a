"""Probes of folders and buckets: of files, and of Delta and Iceberg tables."""

from __future__ import annotations

import shutil
from collections.abc import Callable, Iterator
from typing import TYPE_CHECKING

from tidegate.destinations import table_registry
from tidegate.doctor.diagnosis import Diagnosis, failed, ok, warning
from tidegate.doctor.folders import nearest_folder, try_folder
from tidegate.doctor.network import clock_of_http, compared
from tidegate.doctor.probe import BaseProbe, named
from tidegate.errors import PlatformError, TidegateError
from tidegate.models.destination import physical_key
from tidegate.platforms import BasePlatform, platform_of
from tidegate.platforms.local import LOCAL
from tidegate.reporting.figures import plural
from tidegate.sources import source_registry
from tidegate.sources.kinds import is_query_over_tables
from tidegate.state import Position

if TYPE_CHECKING:
    from tidegate.models import DataFlow

_LEAST_FREE_BYTES = 2**30
_NOTHING_THERE = frozenset({"TG201", "TG202"})


class FileProbe(BaseProbe):
    """Looks at the `base_path` of a connection, and at what dataflows read and write there."""

    def diagnoses(self) -> Iterator[Diagnosis]:
        """Yield what is found."""
        platform = platform_of(self.connection, LOCAL)
        if path := self.connection.settings.base_path:
            is_local = "://" not in path
            reached = self._reach(platform, path, is_local=is_local)
            yield reached
            if reached.status == "failed":
                return
            if self.use.writes:
                yield from _writing(platform, nearest_folder(path) if is_local else path, is_local=is_local)
            elif not is_local and (clock := clock_of_http(_endpoint(path, platform))):
                yield clock
        yield from self._each("read", self.use.reads, lambda flow: _read(flow, platform))
        yield from self._each("load", self.use.writes, lambda flow: _look(flow, platform))

    def _reach(self, platform: BasePlatform, path: str, *, is_local: bool) -> Diagnosis:
        try:
            is_there = platform.is_folder(path)
        except TidegateError as error:
            return failed("reach", error)
        if is_there:
            return ok("reach", path)
        if not is_local:
            return ok("reach", f"{path}, in which nothing is yet")
        if not self.use.writes:
            hint = "is base_path of the connection right, and is what it is on mounted?"
            return failed("reach", PlatformError(f"there is no folder {path}", code="TG762", hint=hint))
        return ok("reach", f"{path}, which the first load makes")

    def _each(self, check: str, flows: tuple[DataFlow, ...], look: Callable[[DataFlow], bool]) -> Iterator[Diagnosis]:
        """Yield what comes of a look at each dataflow's table; it returns whether that is there."""
        refused, awaited = 0, 0
        for flow in flows:
            try:
                awaited += not look(flow)
            except TidegateError as error:
                if check == "read" and error.code in _NOTHING_THERE and self._is_awaited(flow):
                    awaited += 1
                    continue
                refused += 1
                yield (warning if error.transient else failed)(check, named(flow, error))
        if flows and not refused:
            later = f"; {plural(awaited, 'table')} will be made by a first load" if awaited else ""
            yield ok(check, f"{plural(len(flows), 'flow')} can {check}{later}")

    def _is_awaited(self, flow: DataFlow) -> bool:
        table = flow.source.table
        return bool(table) and physical_key(self.connection, flow.source.schema_name, table or "") in self.use.written


def _writing(platform: BasePlatform, folder: str, *, is_local: bool) -> Iterator[Diagnosis]:
    try:
        tried_folder = try_folder(platform, folder)
    except TidegateError as error:
        yield failed("write", error)
        return
    yield ok("write", tried_folder.said)
    seen = tried_folder
    yield compared(seen.modified, before=seen.before, after=seen.after, resolution=0.0 if is_local else 1.0)
    if is_local:
        yield _room(folder)


def _room(folder: str) -> Diagnosis:
    free = shutil.disk_usage(folder).free
    said = f"{free / 2**30:,.1f} GiB free"
    if free >= _LEAST_FREE_BYTES:
        return ok("room", said)
    hint = "`tidegate maintain` removes files that no reader needs; a load writes new files before old ones go"
    return warning("room", PlatformError(f"only {said} in {folder}", code="TG764", hint=hint))


def _read(flow: DataFlow, platform: BasePlatform) -> bool:
    kind = "query" if is_query_over_tables(flow.source) else flow.source.connection.format  # type: ignore[union-attr]
    source_registry.load(kind or "")(flow, platform).plan(Position(), scope="all")
    return True


def _look(flow: DataFlow, platform: BasePlatform) -> bool:
    connection = flow.destination.connection
    table = table_registry.load((connection.format if connection else None) or "")(flow, platform)
    return table.snapshot().version is not None


def _endpoint(path: str, platform: BasePlatform) -> str:
    """Return the address of the store of a path; empty where it is not known."""
    options = platform.storage_options
    scheme, _, rest = path.partition("://")
    if declared := next((value for name, value in options.items() if "endpoint" in name), None):
        return declared
    if scheme.startswith("s3"):
        region = options.get("aws_region") or options.get("region")
        return f"https://s3.{region}.amazonaws.com" if region else "https://s3.amazonaws.com"
    if scheme == "gs":
        return "https://storage.googleapis.com"
    host = rest.partition("/")[0].partition("@")[2]
    account = options.get("azure_storage_account_name")
    return f"https://{host}" if host else f"https://{account}.blob.core.windows.net" if account else ""
