"""Substitution: ``${env:NAME}``, ``${env:NAME:-default}`` and ``${var:name}`` inside any text."""

from __future__ import annotations

import os
import re
from collections.abc import Mapping
from typing import Any

from tidegate.masking import register_secret_values
from tidegate.metadata.finding import Findings, Place, suggestion
from tidegate.metadata.node import Node, node_of
from tidegate.models.connection import CREDENTIAL_FIELDS

_REFERENCE = re.compile(
    r"(?P<escape>\$\$\{)"
    r"|\$\{(?P<kind>[A-Za-z_]\w*):(?P<body>[^{}$]*)\}"
    r"|\$\{(?P<bare>[A-Za-z_]\w*)\}"
    r"|(?P<broken>\$\{(?:env|var):)"
)
_DEFAULT = ":-"
_SECRET_FIELDS = CREDENTIAL_FIELDS | {"url"}  # a database URL holds its password


class Substitution:
    """The variables of one run, and what is known of the environment.

    Args:
        declared: The `variables` section, with the profile laid over it. Its values may refer to one another.
        given: Variables of the caller; they win over the declared ones.
        findings: Takes TG110 for what is not defined.
        complete: Whether all files could be read; if not, nothing is said about unknown variables.
    """

    def __init__(
        self, declared: Node | None, given: Mapping[str, Any], findings: Findings, *, complete: bool = True
    ) -> None:
        caller = Place("variables of the caller")
        self._nodes = {
            **(declared.fields if declared else {}),
            **{name: node_of(value, caller) for name, value in given.items()},
        }
        self._findings = findings
        self._complete = complete
        self._resolved: dict[str, tuple[Node, frozenset[str]] | None] = {}

    def apply(self, node: Node) -> None:
        """Replace every reference below `node`, in place.

        A text that is one variable and nothing else takes the variable's type. Values of the environment that end in a
        credential are registered as secrets.
        """
        self._resolve(node)

    def variables(self) -> dict[str, Any]:
        """Return the values of all variables that are defined."""
        values = {name: self._variable(name, node.place) for name, node in self._nodes.items()}
        return {name: found[0].plain() for name, found in values.items() if found}

    def _resolve(self, node: Node) -> frozenset[str]:
        """Replace the references of `node`; return the values that came from the environment."""
        if isinstance(node.value, str):
            return self._resolve_text(node) if "${" in node.value else frozenset()
        taken: frozenset[str] = frozenset()
        for key, field in node.fields.items():
            values = self._resolve(field)
            if values and key in _SECRET_FIELDS:
                register_secret_values(*values)
            taken |= values
        for item in node.items:
            taken |= self._resolve(item)
        return taken

    def _resolve_text(self, node: Node) -> frozenset[str]:
        text, place = node.value, node.place
        node.text_column = 0  # what stands in the file is not the text any more
        whole = _REFERENCE.fullmatch(text)
        if whole and whole["kind"] == "var":
            found = self._variable(whole["body"].strip(), place)
            if found is None:
                return frozenset()
            node.value = found[0].copy().value
            return found[1]
        taken: set[str] = set()
        node.value = _REFERENCE.sub(lambda match: self._replacement(match, place, taken), text)
        return frozenset(taken)

    def _replacement(self, match: re.Match[str], place: Place, taken: set[str]) -> str:
        if match["escape"]:
            return "${"
        if match["broken"]:
            message = f"{match['broken']}...: a reference that is not closed, or holds another one"
            self._findings.add("TG110", place, message, hint="write ${env:NAME:-default} with a plain default")
        elif match["bare"]:
            if match["bare"] in self._nodes:
                hint = f"write ${{var:{match['bare']}}}, or $${{{match['bare']}}} for the text itself"
                self._findings.add("TG110", place, f"{match[0]} does not say what it refers to", hint=hint)
        elif match["kind"] == "env":
            return self._environment(match, place, taken)
        elif match["kind"] == "var":
            return self._text_of_variable(match, place, taken)
        else:
            near = suggestion(match["kind"], ("env", "var"), otherwise="kinds")
            message = f"{match[0]}: unknown kind of reference {match['kind']!r}"
            self._findings.add("TG110", place, message, hint=f"{near}; $${{ stands for the text itself")
        return match[0]

    def _environment(self, match: re.Match[str], place: Place, taken: set[str]) -> str:
        name, has_default, default = match["body"].partition(_DEFAULT)
        value = os.environ.get(name.strip())
        if value or (value is not None and not has_default):
            taken.add(value)
            return value
        if has_default:
            return str(default)
        hint = f"set {name.strip()}, or write ${{env:{name.strip()}:-default}}"
        self._findings.add("TG110", place, f"environment variable {name.strip()!r} is not set", hint=hint)
        return match[0]

    def _text_of_variable(self, match: re.Match[str], place: Place, taken: set[str]) -> str:
        found = self._variable(match["body"].strip(), place)
        if found is None:
            return match[0]
        value = found[0].value
        taken |= found[1]
        if isinstance(value, dict | list):
            kind = "an object" if isinstance(value, dict) else "a list"
            message = f"variable {match['body'].strip()!r} is {kind}, and cannot be a part of a text"
            self._findings.add("TG110", place, message)
            return match[0]
        if isinstance(value, bool) or value is None:
            return {True: "true", False: "false", None: ""}[value]
        return str(value)

    def _variable(self, name: str, place: Place) -> tuple[Node, frozenset[str]] | None:
        """Return a variable's value and what of it came from the environment; None when it is not defined."""
        if name not in self._nodes:
            if self._complete:
                hint = suggestion(name, sorted(self._nodes), otherwise="variables") or "there are no variables"
                self._findings.add("TG110", place, f"variable {name!r} is not defined", hint=hint)
            return None
        if name not in self._resolved:
            self._resolved[name] = None  # being resolved: a variable that leads back here is defined by itself
            node = self._nodes[name].copy()
            taken = self._resolve(node)
            self._resolved[name] = (node, taken)
        elif self._resolved[name] is None:
            self._findings.add("TG110", place, f"variable {name!r} is defined by itself")
        return self._resolved[name]
