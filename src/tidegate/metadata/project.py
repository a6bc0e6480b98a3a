"""A project's declarations, from files to validated models: the one way that both checking and loading go."""

from __future__ import annotations

import re
from collections import defaultdict
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from tidegate.metadata.declared import Declared
from tidegate.metadata.dependencies import (
    BREAK_THE_CYCLE,
    find_cycle,
    said_of_cycle,
    settled,
)
from tidegate.metadata.document import Document, read_document
from tidegate.metadata.finding import Finding, Findings, suggestion
from tidegate.metadata.node import Node, Step
from tidegate.metadata.not_run import sections_not_run
from tidegate.metadata.option_rules import check_options
from tidegate.metadata.profile import apply_profile
from tidegate.metadata.rules import DeclaredFlow, check_connection, check_flow, check_section, destination_key
from tidegate.metadata.substitution import Substitution
from tidegate.models import (
    Connection,
    DataFlow,
    Destination,
    Metadata,
    QualityRule,
    SchemaHintSection,
    Source,
    Transform,
)
from tidegate.state.opening import hide_password

COMPATIBLE_WITH = ("datacoolie",)
_FILE_URL = re.compile(r"(?P<scheme>sqlite|duckdb):///(?P<path>[^/:{][^:]*)")
"""URL of a database in a file whose path is relative."""


@dataclass(frozen=True, slots=True)
class Project:
    """What a project declares.

    Attributes:
        root: The project folder.
        metadata: The declarations that hold, each dataflow with its connections, and shared schema hints apart.
        findings: What was found, in the order of the files.
    """

    root: Path
    metadata: Metadata
    findings: tuple[Finding, ...]

    @property
    def errors(self) -> tuple[Finding, ...]:
        """The findings that refuse the metadata."""
        return tuple(finding for finding in self.findings if finding.severity == "error")


def read_project(path: Path, *, profile: str | None = None, variables: Mapping[str, Any] | None = None) -> Project:
    """Read and check the metadata of a file or project folder. No data is touched.

    Args:
        path: The file or folder.
        profile: Name of the profile; when None, that of the environment variable ``TIDEGATE_PROFILE``.
        variables: Values that win over the declared variables.
    """
    findings = Findings()
    return project_of(read_document(path, findings), findings, profile=profile, variables=variables)


def project_of(
    document: Document, findings: Findings, *, profile: str | None = None, variables: Mapping[str, Any] | None = None
) -> Project:
    """Check what was read, wherever it is kept. The document is changed, and belongs to the project afterwards.

    Args:
        document: What was read.
        findings: What was found while reading; takes what the check finds.
        profile: As for :func:`read_project`.
        variables: As for :func:`read_project`.
    """
    complete = not findings.has("TG100")
    content = document.content
    apply_profile(content, profile, findings, complete=complete)
    substitution = Substitution(content.value.pop("variables", None), variables or {}, findings, complete=complete)
    substitution.apply(content)
    metadata = _Validation(document, findings, complete=complete).metadata()
    metadata = metadata.model_copy(update={"variables": substitution.variables()})
    if metadata.compat in COMPATIBLE_WITH:
        findings.soften("TG101", "TG121")
    return Project(document.root, metadata, tuple(findings))


class _Validation:
    """One pass over all sections, connections first, as the others refer to them."""

    def __init__(self, document: Document, findings: Findings, *, complete: bool) -> None:
        self._root = document.root
        self._content = document.content
        self._findings = findings
        self._complete = complete
        self._compat = self._content.text("compat")
        self._connections: dict[str, Connection] = {}
        self._broken: set[str] = set()  # declared, but refused: reported once, and not as unknown

    def metadata(self) -> Metadata:
        if "compat" in self._content.fields and self._compat not in COMPATIBLE_WITH:
            hint = f"the only value is {COMPATIBLE_WITH[0]}"
            self._findings.add("TG102", self._content.fields["compat"].place, "unknown value of compat", hint=hint)
        self._report_sections_not_run()
        self._report_duplicates("connections", "connection_id")
        self._report_duplicates("dataflows", "dataflow_id")
        for declared in self._declared("connections", "connection"):
            self._validate_connection(declared)
        flows = [self._validate_flow(declared) for declared in self._declared("dataflows", "dataflow")]
        for flow in flows:
            check_flow(flow)
        self._report_shared_destinations(flows)
        self._report_dependencies(flows)
        sections = [self._validate_section(declared) for declared in self._declared("schema_hints", "schema hints of")]
        return Metadata(
            connections=tuple(self._connections.values()),
            dataflows=tuple(flow.dataflow for flow in flows if flow.dataflow),
            schema_hints=tuple(section for section in sections if section),
            state=self._place_of_state(),
            compat=self._compat,
        )

    def _place_of_state(self) -> str | None:
        node = self._content.fields.get("state")
        if node is None or isinstance(node.value, str):
            place = node.value if node else None
            hide_password(place or "")
            return place
        self._findings.add("TG102", node.place, "state must be text", hint="a URL such as postgresql://..., or a path")
        return None

    def _items(self, section: str) -> list[Node]:
        return self._content.fields[section].items if section in self._content.fields else []

    def _declared(self, section: str, kind: str) -> Iterator[Declared]:
        for position, node in enumerate(self._items(section), start=1):
            name = node.text("name") or node.text("table_name")
            label = f"{kind} {name!r}" if name else f"{kind} no. {position}"
            yield Declared(node, label, self._findings)

    # -- connections ---------------------------------------------------------------------------------------------

    def _validate_connection(self, declared: Declared) -> None:
        name, format_name = declared.node.text("name"), declared.node.text("format")
        check_options(declared, ("configure",), format_name.lower() if format_name else None)
        connection = declared.validate(Connection, self._resolve_paths)
        if connection is None:
            self._broken |= {name} if name else set()
            return
        check_connection(declared, connection)
        self._connections.setdefault(connection.name, connection)

    def _resolve_paths(self, data: dict[str, Any]) -> None:
        """Let paths begin at the project folder, but for those that are keys of secrets."""
        configure, secret = data.get("configure"), data.get("secrets_ref")
        if not isinstance(configure, dict):
            return
        keys = {field for fields in secret.values() for field in fields} if isinstance(secret, dict) else set()
        in_file = configure.get("database_type") in {"sqlite", "duckdb"} and "base_path" not in configure
        places = [(configure, "base_path"), *([(configure, "database"), (data, "database")] if in_file else [])]
        for holder, field in places:
            path = holder.get(field)
            if field not in keys and isinstance(path, str) and path and not path.startswith(":"):
                holder[field] = resolved_path(self._root, path)
        url = configure.get("url")
        if isinstance(url, str) and (found := _FILE_URL.fullmatch(url)) and "url" not in keys:
            configure["url"] = f"{found['scheme']}:///{resolved_path(self._root, found['path'])}"

    # -- dataflows -----------------------------------------------------------------------------------------------

    def _validate_flow(self, declared: Declared) -> DeclaredFlow:
        for part in ("source", "destination"):
            self._name_connection(declared, part)
            connection = self._connections.get(_name_at(declared, part, "connection_name") or "")
            check_options(declared, (part, "configure"), connection.format if connection else None)
        self._read_query(declared)
        dataflow = declared.validate(DataFlow, self._complete_flow)
        if dataflow:
            source, destination, transform = dataflow.source, dataflow.destination, dataflow.transform
            return DeclaredFlow(
                declared=declared, dataflow=dataflow, source=source, destination=destination, transform=transform
            )
        return DeclaredFlow(
            declared=declared,
            dataflow=None,
            source=declared.validate_part(Source, "source", self._complete_part),
            destination=declared.validate_part(Destination, "destination", self._complete_part),
            transform=declared.validate_part(Transform, "transform"),
        )

    def _name_connection(self, declared: Declared, part: str) -> None:
        """Report an unknown connection, and let `connection` be `connection_name`."""
        node = declared.node.child(part)
        if node is None:
            return
        if "connection" in node.fields and "connection_name" in node.fields:
            message = f"{part}: connection and connection_name are the same field"
            declared.report("TG116", message, part, "connection", hint="keep one of them")
            declared.refuse([(part, "connection")])
        elif "connection" in node.fields:
            node.value = {
                ("connection_name" if key == "connection" else key): field for key, field in node.fields.items()
            }
        name = node.text("connection_name")
        if name and self._is_unknown(name):
            hint = suggestion(name, self._names(), otherwise="connections") or "there are no connections"
            declared.report("TG104", f"{part}: unknown connection {name!r}", part, "connection_name", hint=hint)

    def _is_unknown(self, name: str) -> bool:
        return self._complete and name not in self._connections and name not in self._broken

    def _names(self) -> list[str]:
        return [*self._connections, *sorted(self._broken)]

    def _complete_flow(self, data: dict[str, Any]) -> None:
        for part in ("source", "destination"):
            if isinstance(data.get(part), dict):
                self._complete_part(data[part])

    def _complete_part(self, data: dict[str, Any]) -> None:
        """Attach the connection that a source or destination names."""
        name = data.get("connection_name")
        if isinstance(name, str) and name in self._connections:
            data["connection"] = self._connections[name]

    def _read_query(self, declared: Declared) -> None:
        """Put the text of a `.sql` file where its path is written."""
        nodes = declared.node.follow(("source", "query"))
        query = nodes[-1].value if len(nodes) > len(("source", "query")) else None
        if not isinstance(query, str) or "\n" in query.strip() or not query.strip().lower().endswith(".sql"):
            return
        path = resolved_path(self._root, query.strip())
        try:
            nodes[-1].value = Path(path).read_text(encoding="utf-8")
            nodes[-1].text_column = 0
        except (OSError, UnicodeDecodeError) as error:
            cause = error.strerror if isinstance(error, OSError) else "it is not UTF-8"
            hint = f"it is looked for at {path}: a relative path begins at the metadata file's folder"
            declared.report(
                "TG226", f"source.query: {query.strip()} cannot be read: {cause}", "source", "query", hint=hint
            )

    # -- schema hints --------------------------------------------------------------------------------------------

    def _validate_section(self, declared: Declared) -> SchemaHintSection | None:
        section = declared.validate(SchemaHintSection)
        if section is None:
            return None
        connection = self._connections.get(section.connection_name or "")
        if section.connection_name and self._is_unknown(section.connection_name):
            hint = suggestion(section.connection_name, self._names(), otherwise="connections")
            message = f"unknown connection {section.connection_name!r}"
            declared.report("TG104", message, "connection_name", hint=hint)
        elif section.connection_id:
            by_id = {known.connection_id: known for known in self._connections.values()}
            connection = connection or by_id.get(section.connection_id)
            if connection is None and self._complete and not self._broken:
                message = f"unknown connection_id {section.connection_id!r}"
                declared.report("TG104", message, "connection_id", hint=suggestion(section.connection_id, by_id))
        check_section(declared, section, connection)
        return section

    # -- the whole -----------------------------------------------------------------------------------------------

    def _report_sections_not_run(self) -> None:
        for field in sections_not_run(self._content.fields):
            node = self._content.fields[field.path[0]]
            message = f"{field.what}: declared, but this version of Tidegate does not run it"
            self._findings.add("TG113", node.key_place or node.place, message, hint=field.hint)
        for declared in self._declared("quality", "quality rule"):
            declared.validate(QualityRule)

    def _report_duplicates(self, section: str, id_field: str) -> None:
        """Report names and ids that two declarations of a section share."""
        for field in ("name", id_field):
            first: dict[str, Node] = {}
            for item in self._items(section):
                node, value = item.fields.get(field), item.text(field)
                if node is None or not value:
                    continue
                if value in first:
                    message = f"two {section} have the {field} {value!r}"
                    self._findings.add("TG105", node.place, message, hint=f"the first is at {first[value].place}")
                first.setdefault(value, node)

    def _report_shared_destinations(self, flows: list[DeclaredFlow]) -> None:
        """Note dataflows that write into one destination: allowed, and worth knowing."""
        writers: dict[str, list[DeclaredFlow]] = defaultdict(list)
        for flow in flows:
            if flow.is_active and flow.destination and (key := destination_key(flow.destination)):
                writers[key].append(flow)
        for first, *others in writers.values():
            for flow in others:
                message = f"writes into the destination of {first.declared.label} too"
                hint = "they take turns; if this is not meant, change destination.table of one of them"
                flow.declared.report("TG112", message, "destination", "table", hint=hint, severity="note")

    def _report_dependencies(self, flows: list[DeclaredFlow]) -> None:
        """Report what `depends_on` names and is not waited for, and dataflows that wait for each other."""
        known = {flow.dataflow.dataflow_id: flow for flow in flows if flow.dataflow}
        dataflows = [flow.dataflow for flow in known.values() if flow.dataflow]
        names = {name for flow in flows for name in (flow.declared.node.text("name"), *_ids(flow)) if name}
        inactive = {name for one in dataflows if not one.is_active for name in (one.name, one.dataflow_id)}
        for flow in known.values():
            for index, name in enumerate(flow.dataflow.depends_on if flow.dataflow else ()):
                place = ("depends_on", index)
                if name not in names:
                    hint = suggestion(name, [one.name for one in dataflows], otherwise="dataflows")
                    flow.declared.report("TG130", f"depends_on: unknown dataflow {name!r}", *place, hint=hint)
                elif name in inactive and flow.is_active:
                    message = f"depends_on: dataflow {name!r} is inactive, and not waited for"
                    hint = "activate it, or remove it from depends_on"
                    flow.declared.report("TG117", message, *place, hint=hint, severity="note")
        active = [dataflow for dataflow in dataflows if dataflow.is_active]
        edges, left_out = settled(active)
        if cycle := find_cycle(active, edges):
            declared = known[cycle[0].downstream].declared
            declared.report("TG131", said_of_cycle(active, cycle), "depends_on", hint=BREAK_THE_CYCLE)
        for edge in left_out:
            declared, upstream = known[edge.downstream].declared, known[edge.upstream].declared.label
            message = f"{edge.reason}, which {upstream} writes, and does not run after it: that waits for this one"
            hint = "it reads what was written the last time; declare depends_on to turn the order around"
            declared.report("TG133", message, "source", hint=hint, severity="note")


def _ids(flow: DeclaredFlow) -> list[str]:
    return [flow.dataflow.dataflow_id] if flow.dataflow else []


def resolved_path(root: Path, path: str) -> str:
    """Return a path relative to the project folder as an absolute one; URLs and absolute paths as they are."""
    if "://" in path or path.startswith("/"):
        return path
    expanded = Path(path).expanduser()
    return str(expanded if expanded.is_absolute() else root.absolute() / expanded)


def _name_at(declared: Declared, *path: Step) -> str | None:
    nodes = declared.node.follow(path)
    value = nodes[-1].value if len(nodes) > len(path) else None
    return value if isinstance(value, str) else None
