"""Declarations as they are written: plain values, each with its place in its file."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from tidegate.metadata.finding import Place

Step = str | int
Path = tuple[Step, ...]


@dataclass(slots=True, eq=False)
class Node:
    """A value of a metadata file.

    Attributes:
        value: A scalar, or the nodes of an object or a list.
        place: Where the value begins.
        key_place: Where its key stands, when it is a field of an object.
        index: Its place in its list, counted from 0, when it is an item of one.
        text_column: The column at which its text begins, when the text stands on one line as it is; else 0.
    """

    value: Any
    place: Place
    key_place: Place | None = None
    index: int = 0
    text_column: int = 0

    @property
    def fields(self) -> dict[str, Node]:
        """The fields of an object; none for anything else."""
        return self.value if isinstance(self.value, dict) else {}

    @property
    def items(self) -> list[Node]:
        """The items of a list; none for anything else."""
        return self.value if isinstance(self.value, list) else []

    def text(self, field: str) -> str | None:
        """Return the text of a field, or None when there is none."""
        node = self.fields.get(field)
        return node.value if node is not None and isinstance(node.value, str) else None

    def plain(self) -> Any:
        """Return the value without its places."""
        if isinstance(self.value, dict):
            return {key: node.plain() for key, node in self.value.items()}
        if isinstance(self.value, list):
            return [node.plain() for node in self.value]
        return self.value

    def copy(self) -> Node:
        """Return a deep copy, to change without changing this one."""
        value = self.value
        if isinstance(value, dict):
            value = {key: node.copy() for key, node in value.items()}
        elif isinstance(value, list):
            value = [node.copy() for node in value]
        return Node(value, self.place, self.key_place, self.index, self.text_column)

    def child(self, step: Step) -> Node | None:
        """Return a field or an item, or None when there is none."""
        if isinstance(self.value, dict):
            return self.value.get(step)
        if isinstance(self.value, list) and isinstance(step, int) and step < len(self.value):
            item: Node = self.value[step]
            return item
        return None

    def follow(self, path: Sequence[Step]) -> list[Node]:
        """Return the nodes on the way along `path`, this one first, as far as they exist."""
        nodes = [self]
        for step in path:
            child = nodes[-1].child(step)
            if child is None:
                break
            nodes.append(child)
        return nodes

    def remove(self, path: Sequence[Step]) -> bool:
        """Remove the field or item at `path`; return whether it was there."""
        nodes = self.follow(path)
        if not path or len(nodes) <= len(path):
            return False
        del nodes[-2].value[path[-1]]
        return True


def node_of(value: Any, place: Place) -> Node:
    """Return plain data as nodes that are all at one place."""
    if isinstance(value, dict):
        value = {str(key): node_of(item, place) for key, item in value.items()}
        for field in value.values():
            field.key_place = place
    elif isinstance(value, list | tuple):
        value = [node_of(item, place) for item in value]
        for index, item in enumerate(value):
            item.index = index
    return Node(value, place)


def overlay(base: Node, above: Node) -> Node:
    """Return `base` with the values of `above` laid over it: objects merge, everything else is replaced."""
    if not (isinstance(base.value, dict) and isinstance(above.value, dict)):
        return above
    merged = dict(base.value)
    for key, node in above.value.items():
        merged[key] = overlay(merged[key], node) if key in merged else node
    return Node(merged, base.place, base.key_place, base.index)
