"""The reader that polls the tables while they are loaded, and what it must have seen."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from multiprocessing.context import ForkServerProcess
from pathlib import Path
from typing import Any

from chaos.cases import Flow
from chaos.feeds import Source
from chaos.oracle import is_current
from chaos.processes import start_reader, stop
from chaos.project import Project


class Watch:
    """One reader process, from the first increment to the end of a campaign."""

    def __init__(self, project: Project, sources: Mapping[str, Source], file: Path) -> None:
        self._project = project
        self._sources = sources
        self._file = file
        self._reader: ForkServerProcess | None = None
        self.sightings = 0

    def start(self) -> None:
        """Let the reader poll."""
        tables = [(self._project.table(flow), flow) for flow in self._project.case.flows]
        self._reader = start_reader(tables, self._file)

    def end(self, increments: int) -> list[str]:
        """Stop the reader, and return what it saw and should not have."""
        if self._reader is None:
            return []
        stop(self._reader)
        lines = self._file.read_text(encoding="utf-8").split("\n")[:-1] if self._file.exists() else []
        self.sightings = len(lines)
        seen = [json.loads(line) for line in lines]
        return [
            f"a reader of {flow.destination} saw {text}"
            for flow in self._project.case.flows
            for text in self._wrong(flow, [each for each in seen if each["table"] == flow.destination], increments)
        ]

    def _wrong(self, flow: Flow, seen: list[Mapping[str, Any]], increments: int) -> Iterator[str]:
        """Yield sightings that are no increment's table, or lie before an earlier sighting."""
        source = self._sources[flow.name]
        tables = [source.expected(number).filter(is_current(flow)) for number in range(increments)]
        known = [(table.height, table["revision"].sum()) for table in tables]
        at_least = 0
        for each in seen:
            if "failure" in each:
                yield each["failure"]
            elif "file" not in each:
                sight = (each["rows"], each["revisions"])
                later = [number for number, whole in enumerate(known) if whole == sight and number >= at_least]
                if later:
                    at_least = later[0]
                else:
                    yield f"{sight[0]} rows with revisions of {sight[1]} in sum, as no increment after {at_least}"
