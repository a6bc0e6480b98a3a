"""Profiles: values of one environment, laid over the rest."""

from __future__ import annotations

import os
from collections.abc import Iterator

from tidegate.metadata.finding import Findings, Place, suggestion
from tidegate.metadata.node import Node, overlay

ENVIRONMENT_VARIABLE = "TIDEGATE_PROFILE"
_PARTS = ("variables", "connections", "dataflows", "state")
_UNKNOWN_NAME = {"connections": "TG104", "dataflows": "TG115"}


def apply_profile(content: Node, profile: str | None, findings: Findings, *, complete: bool) -> None:
    """Lay the chosen profile over the variables, the connections and dataflows it names, and the place of state.

    The names of all profiles are checked, not only of the chosen one.

    Args:
        content: The sections of the project; changed in place, and left without `profiles`.
        profile: Name of the profile; when None, the value of ``TIDEGATE_PROFILE``; when that is not set, none.
        findings: Takes TG101, TG102 for parts that a profile cannot have, TG104 and TG115 for unknown names, and TG111
            for an unknown profile.
        complete: Whether all files could be read; if not, nothing is said about unknown names.
    """
    profiles = content.value.pop("profiles", None) or Node({}, content.place)
    chosen = profile or os.environ.get(ENVIRONMENT_VARIABLE) or None
    if chosen and chosen not in profiles.fields and complete:
        hint = suggestion(chosen, profiles.fields, otherwise="profiles") or "the metadata declares no profiles"
        where = Place(content.place.file) if not profiles.fields else profiles.place
        findings.add("TG111", where, f"unknown profile {chosen!r}", hint=hint)
    for name, node in profiles.fields.items():
        _apply(content, name, node, findings, is_chosen=name == chosen, complete=complete)


def _apply(content: Node, name: str, profile: Node, findings: Findings, *, is_chosen: bool, complete: bool) -> None:
    if profile.value is not None and not isinstance(profile.value, dict):
        findings.add("TG102", profile.place, f"profile {name!r} must be an object", hint=f"parts: {', '.join(_PARTS)}")
    for part, node in profile.fields.items():
        if part not in _PARTS:
            hint = suggestion(part, _PARTS, otherwise="parts of a profile")
            findings.add("TG101", node.key_place or node.place, f"profile {name!r}: unknown field {part}", hint=hint)
        elif part == "variables":
            if is_chosen:
                content.value[part] = overlay(content.fields.get(part) or Node({}, node.place), node)
        elif part == "state":
            if is_chosen:
                content.value[part] = node
        else:
            _apply_to_items(content, part, node, findings, label=name, is_chosen=is_chosen, complete=complete)


def _apply_to_items(
    content: Node, section: str, node: Node, findings: Findings, *, label: str, is_chosen: bool, complete: bool
) -> None:
    items = content.fields[section].items if section in content.fields else []
    by_name = {item.text("name"): position for position, item in enumerate(items)}
    for name, above in _named(node):
        if name in by_name:
            if is_chosen:
                position = by_name[name]
                items[position] = overlay(items[position], above)
        elif complete:
            hint = suggestion(name, (known for known in by_name if known), otherwise=section)
            message = f"profile {label!r}: unknown {section[:-1]} {name!r}"
            findings.add(_UNKNOWN_NAME[section], above.key_place or above.place, message, hint=hint)


def _named(node: Node) -> Iterator[tuple[str, Node]]:
    """Yield the items of a part by name: an object by name, or a list of objects that have one."""
    yield from node.fields.items()
    for item in node.items:
        if name := item.text("name"):
            yield name, item
