"""One declaration in the making: validated by its model, with every refusal said in plain words and its place.

What is refused is removed and the rest validated again, so that one mistake does not hide another.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from typing import TYPE_CHECKING, Any, TypeVar

from pydantic import BaseModel, ValidationError

from tidegate.metadata.finding import Findings, Severity, closest, suggestion
from tidegate.metadata.node import Node, Path
from tidegate.metadata.wording import OBJECT_OR_ITS_TEXT, dotted, home_of, model_at, shown, wanted
from tidegate.models import DataFlow
from tidegate.models.connection import CREDENTIAL_FIELDS

if TYPE_CHECKING:
    from pydantic_core import ErrorDetails

M = TypeVar("M", bound=BaseModel)

Complete = Callable[[dict[str, Any]], None]
"""Adds to the plain data of a declaration what is not written in it, such as the connection that a name means."""

_MAX_PASSES = 10


class Declared:
    """A declaration: its node, what it is called, and what was refused of it.

    Args:
        node: What is written. Refused parts are removed from it.
        label: How messages call it, for instance ``dataflow 'flights'``.
        findings: Takes what is found.
    """

    def __init__(self, node: Node, label: str, findings: Findings) -> None:
        self.node = node
        self.label = label
        self._findings = findings
        self._refused: list[Path] = []

    def report(
        self, code: str, message: str, *path: str | int, hint: str | None = None, severity: Severity = "error"
    ) -> None:
        """Add a finding at the value that `path` leads to, or as near to it as there is something written.

        Nothing is said of a part that was refused before, or is misspelled: it is reported already.
        """
        if not self.is_refused(*path):
            where = self.node.follow(path)[-1].place
            self._findings.add(code, where, f"{self.label}: {message}", hint=hint, severity=severity)

    def report_text(
        self, code: str, message: str, path: Path, *, line: int, column: int, hint: str | None = None
    ) -> None:
        """Add a finding at a line and column (from 1) within a text, where the text stands in its file as it is."""
        node = self.node.follow(path)[-1]
        where = node.place
        if node.text_column and line == 1:
            where = where._replace(column=node.text_column + column - 1)
        self._findings.add(code, where, f"{self.label}: {self.name(path)}: {message}", hint=hint)

    def report_unknown(self, code: str, what: str, path: Path, known: Iterable[str], hint: str | None) -> None:
        """Add a finding at a key that is not one of the known ones. Nothing more is said of the one that it means."""
        node = self.node.follow(path)[-1]
        message = f"{self.label}: unknown {what} {self.name(path)}"
        self._findings.add(code, node.key_place or node.place, message, hint=hint)
        if meant := closest(str(path[-1]), known):
            self._refused.append((*path[:-1], meant))

    def name(self, path: Path) -> str:
        """Return what the value at `path` is called in messages."""
        return dotted(self.node, path)

    def is_refused(self, *path: str | int) -> bool:
        """Tell whether something was written at `path`, or was meant to be, and is reported already."""
        return any(path[: len(refused)] == refused for refused in self._refused)

    def refuse(self, paths: Iterable[Path]) -> bool:
        """Remove what was refused; return whether any of it was there."""
        removed = False
        for path in sorted(set(paths), key=_in_order, reverse=True):  # last first: positions stay right
            node = self.node.follow(path)[-1]
            if self.node.remove(path):
                removed = True
                if isinstance(path[-1], str):
                    self._refused.append(path)
                elif not node.fields:
                    self._refused.append(path[:-1])
        return removed

    def validate(self, model: type[M], complete: Complete | None = None) -> M | None:
        """Return the declaration without what is refused of it; None when nothing can be made of the rest."""
        for _ in range(_MAX_PASSES):
            try:
                return model.model_validate(_completed(self.node, complete))
            except ValidationError as error:
                refused = self._translate(model, error.errors(include_url=False))
            if not self.refuse(refused):
                return None
        return None

    def validate_part(self, model: type[M], part: str, complete: Complete | None = None) -> M | None:
        """Return one part of a declaration whose whole is broken; None when the part is, too."""
        node = self.node.child(part)
        try:
            return model.model_validate(_completed(node, complete)) if node else None
        except ValidationError:
            return None

    def _translate(self, model: type[BaseModel], errors: Sequence[ErrorDetails]) -> list[Path]:
        """Report errors; return what is to be removed."""
        refused: list[Path] = []
        values: dict[Path, list[tuple[str, str | None]]] = {}
        for error in sorted(errors, key=lambda error: error["type"] != "extra_forbidden"):
            location, kind = tuple(error["loc"]), error["type"]
            path = location[: len(self.node.follow(location)) - 1]  # as far as it is written
            if kind == "missing":
                self._report_missing(model, location)
                if len(location) > 1 and isinstance(location[-2], int):
                    refused.append(location[:-1])
                continue
            if kind == "extra_forbidden":
                self._report_unknown_field(model, path)
            elif kind.startswith("TG"):  # a rule of ours, see `broken_rule`
                path = self._report_rule(error, path)
            else:
                values.setdefault(path, []).append(wanted(error))
            refused.append(path)
        for path, choices in values.items():
            self._report_value(path, choices)
        return refused

    def _report_unknown_field(self, model: type[BaseModel], path: Path) -> None:
        field = str(path[-1])
        owner = model_at(model, path[:-1])
        known = list(owner.model_fields) if owner else []
        hint = suggestion(field, known, otherwise="fields")
        if model is DataFlow and not closest(field, known) and (home := home_of(field, path[:-1])):
            hint = f"{field} belongs to {home}"
        self.report_unknown("TG101", "field", path, known, hint)

    def _report_missing(self, model: type[BaseModel], path: Path) -> None:
        owner = model_at(model, path[:-1])
        field = owner.model_fields.get(str(path[-1])) if owner else None
        self.report("TG103", f"{self.name(path)} is missing", *path, hint=field.description if field else None)

    def _report_rule(self, error: ErrorDetails, owner: Path) -> Path:
        field = error.get("ctx", {}).get("field")
        path = (*owner, field) if field else owner
        name = self.name(owner)
        self.report(error["type"], f"{name}: {error['msg']}" if name else error["msg"], *path)
        return path

    def _report_value(self, path: Path, choices: list[tuple[str, str | None]]) -> None:
        value = self.node.follow(path)[-1].value
        taken = " or ".join(dict.fromkeys(choice for choice, _ in choices))
        hint = next((hint for _, hint in choices if hint), None)
        if taken == OBJECT_OR_ITS_TEXT or any(step in CREDENTIAL_FIELDS for step in path):
            found = "the value given"  # which may be, or hold, a credential
        else:
            found = shown(value)
            if taken == "text" and isinstance(value, int | float):
                hint = f'put it in quotes: "{found}"'
        self.report("TG102", f"{self.name(path)} must be {taken}, not {found}".lstrip(), *path, hint=hint)


def _completed(node: Node, complete: Complete | None) -> Any:
    data = node.plain()
    if complete and isinstance(data, dict):
        complete(data)
    return data


def _in_order(path: Path) -> list[tuple[int, str]]:
    return [(step, "") if isinstance(step, int) else (-1, step) for step in path]
