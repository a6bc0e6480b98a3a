"""Reads YAML 1.2 (core schema) with the place of every key and value.

PyYAML composes the nodes, in C where it can (twenty times as fast as ruamel.yaml's round-trip types). What a plain
scalar means follows YAML 1.2, so that ``on`` and ``no`` are text, and so is a date.
"""

from __future__ import annotations

import re
from typing import Any

import yaml
from yaml.composer import Composer
from yaml.parser import Parser
from yaml.reader import Reader, ReaderError
from yaml.resolver import BaseResolver
from yaml.scanner import Scanner

from tidegate.metadata.finding import Findings, Place
from tidegate.metadata.node import Node
from tidegate.metadata.reading import MAX_DEPTH, UnreadableError, report_duplicate_key

_TAG = "tag:yaml.org,2002:"
_MAX_NODES = 2_000_000  # aliases of aliases can grow without bound
_WORDS: dict[str, bool | None] = {
    **dict.fromkeys(("", "~", "null", "Null", "NULL")),
    **dict.fromkeys(("true", "True", "TRUE"), True),
    **dict.fromkeys(("false", "False", "FALSE"), False),
}


class _Core(BaseResolver):
    """The tags of YAML 1.2's core schema (section 10.3.2)."""


for _tag, _pattern, _first in (
    ("null", r"~|null|Null|NULL|", ["~", "n", "N", ""]),
    ("bool", r"true|True|TRUE|false|False|FALSE", list("tTfF")),
    ("int", r"[-+]?[0-9]+|0o[0-7]+|0x[0-9a-fA-F]+", list("-+0123456789")),
    (
        "float",
        r"[-+]?(\.[0-9]+|[0-9]+(\.[0-9]*)?)([eE][-+]?[0-9]+)?|[-+]?\.(inf|Inf|INF)|\.(nan|NaN|NAN)",
        list("-+.0123456789"),
    ),
):
    _Core.add_implicit_resolver(_TAG + _tag, re.compile(rf"^(?:{_pattern})$"), _first)

_Loader: Any

if hasattr(yaml, "CSafeLoader"):
    from yaml.cyaml import CParser  # type: ignore[attr-defined]

    class _CLoader(CParser, _Core):
        def __init__(self, text: str) -> None:
            CParser.__init__(self, text)
            _Core.__init__(self)

    _Loader = _CLoader
else:  # a platform for which PyYAML has no wheel

    class _PythonLoader(Reader, Scanner, Parser, Composer, _Core):
        def __init__(self, text: str) -> None:
            Reader.__init__(self, text)
            Scanner.__init__(self)
            Parser.__init__(self)
            Composer.__init__(self)
            _Core.__init__(self)

    _Loader = _PythonLoader


def read_yaml(text: str, file: str, findings: Findings) -> Node:
    """Return the value that a YAML file holds; null for an empty file.

    Args:
        text: The content of the file.
        file: Its name, as places show it.
        findings: Takes duplicate keys.

    Raises:
        UnreadableError: The text is not YAML, or uses what metadata has no place for (own tags, several documents).
    """
    try:
        root = _Loader(text).get_single_node()
    except yaml.MarkedYAMLError as error:
        mark = error.problem_mark or error.context_mark
        place = Place(file, mark.line + 1, mark.column + 1) if mark else Place(file)
        context = f", {error.context}" if error.context else ""
        raise UnreadableError(f"not valid YAML: {error.problem}{context}", place) from None
    except ReaderError as error:
        before = text[: error.position]
        place = Place(file, before.count("\n") + 1, error.position - before.rfind("\n"))
        raise UnreadableError("not valid YAML: a character that is not allowed", place) from None
    except RecursionError:
        raise UnreadableError(f"nested deeper than {MAX_DEPTH} levels", Place(file)) from None
    if root is None:
        return Node(None, Place(file, 1, 1))
    return _Converter(file, findings).convert(root, 0)


class _Converter:
    """Turns composed nodes into ours. An alias becomes a copy of what it names."""

    def __init__(self, file: str, findings: Findings) -> None:
        self._file = file
        self._findings = findings
        self._count = 0

    def convert(self, node: yaml.Node, depth: int) -> Node:
        self._count += 1
        if depth > MAX_DEPTH or self._count > _MAX_NODES:
            raise UnreadableError("nested too deeply, or an alias that contains itself", self._place(node))
        if isinstance(node, yaml.MappingNode):
            return Node(self._object(node, depth), self._place(node))
        if isinstance(node, yaml.SequenceNode):
            items = [self.convert(item, depth + 1) for item in node.value]
            for index, item in enumerate(items):
                item.index = index
            return Node(items, self._place(node))
        if isinstance(node, yaml.ScalarNode):
            return self._scalar(node)
        raise UnreadableError(f"{node.tag!r} has no meaning here", self._place(node))

    def _object(self, node: yaml.MappingNode, depth: int) -> dict[str, Node]:
        fields: dict[str, Node] = {}
        merged: list[yaml.Node] = []
        for key, value in node.value:
            if not isinstance(key, yaml.ScalarNode):
                raise UnreadableError("a key must be text", self._place(key))
            if key.value == "<<" and not key.style:
                merged.extend(value.value if isinstance(value, yaml.SequenceNode) else [value])
                continue
            field = self.convert(value, depth + 1)
            field.key_place = self._place(key)
            if key.value in fields:
                first = fields[key.value].key_place or field.key_place
                report_duplicate_key(self._findings, key.value, first, field.key_place)
            fields[key.value] = field
        for source in merged:
            if not isinstance(source, yaml.MappingNode):
                raise UnreadableError("'<<' merges objects only", self._place(source))
            fields = {**self._object(source, depth + 1), **fields}
        return fields

    def _scalar(self, node: yaml.ScalarNode) -> Node:
        place = self._place(node)
        if not node.tag.startswith(_TAG):
            raise UnreadableError(f"the tag {node.tag!r} has no meaning here", place)
        match node.tag.removeprefix(_TAG):
            case "str":
                return Node(node.value, place, text_column=_text_column(node))
            case "null" | "bool" if node.value in _WORDS:
                return Node(_WORDS[node.value], place)
            case "int" | "float" as kind:
                return Node(self._number(kind, node.value, place), place)
            case other:
                raise UnreadableError(f"{node.value!r} is not a {other}", place)

    @staticmethod
    def _number(kind: str, text: str, place: Place) -> float:
        try:
            if kind == "float":
                return float(text.replace(".inf", "inf").replace(".Inf", "inf").replace(".INF", "inf").lstrip("+"))
            if text.startswith(("0x", "0o")):
                return int(text, 0)
            return int(text)
        except ValueError:
            if text.lower() == ".nan":
                return float("nan")
            raise UnreadableError(f"not a number: {text[:40]}", place) from None

    def _place(self, node: yaml.Node) -> Place:
        return Place(self._file, node.start_mark.line + 1, node.start_mark.column + 1)


def _text_column(node: yaml.ScalarNode) -> int:
    """The column at which the text begins, or 0 when it does not stand on one line as it is."""
    quotes = 1 if node.style in {"'", '"'} else 0
    start, end = node.start_mark, node.end_mark
    stands_as_it_is = start.line == end.line and end.column - start.column == len(node.value) + 2 * quotes
    return start.column + 1 + quotes if stands_as_it_is else 0
