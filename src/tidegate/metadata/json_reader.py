r"""Reads JSON (RFC 8259) with the place of every key and value.

The YAML reader cannot stand in: it refuses tabs between tokens and ``\ud83d\ude00``-style pairs.
"""

from __future__ import annotations

import json
import re
from bisect import bisect_right
from collections.abc import Callable

from tidegate.metadata.finding import Findings, Place
from tidegate.metadata.node import Node
from tidegate.metadata.reading import MAX_DEPTH, UnreadableError, report_duplicate_key

_BLANK = re.compile(r"[ \t\r\n]*")
_NUMBER = re.compile(r"-?(?:0|[1-9]\d*)(\.\d+)?([eE][-+]?\d+)?", re.ASCII)
_STRING = re.compile(r'"[^"\\\x00-\x1f]*(?:\\.[^"\\\x00-\x1f]*)*"')
_WORD = re.compile(r"[\w.+-]+")
_CONSTANTS = {"true": True, "false": False, "null": None}


def read_json(text: str, file: str, findings: Findings) -> Node:
    """Return the value that a JSON file holds.

    Args:
        text: The content of the file.
        file: Its name, as places show it.
        findings: Takes duplicate keys.

    Raises:
        UnreadableError: The text is not JSON.
    """
    line_starts = [0, *(match.end() for match in re.finditer("\n", text))]

    def place_of(offset: int) -> Place:
        line = bisect_right(line_starts, offset)
        return Place(file, line, offset - line_starts[line - 1] + 1)

    return _Reader(text, place_of, findings).document()


def read_embedded_json(text: str, place: Place, findings: Findings) -> Node:
    """Return the value of a JSON text within a file; everything in it is at the place of the text.

    Raises:
        UnreadableError: The text is not JSON.
    """
    root = _Reader(text, lambda _: place, findings).document()
    root.place = place
    return root


class _Reader:
    """A recursive descent over one text. `_at` is where it stands."""

    def __init__(self, text: str, place_of: Callable[[int], Place], findings: Findings) -> None:
        self._text = text
        self._place_of = place_of
        self._findings = findings
        self._at = 0

    def document(self) -> Node:
        node = self._value(depth=0)
        self._skip_blanks()
        if self._at < len(self._text):
            raise self._error("nothing more is expected after the value")
        return node

    def _value(self, depth: int) -> Node:
        if depth > MAX_DEPTH:
            raise self._error(f"nested deeper than {MAX_DEPTH} levels")
        self._skip_blanks()
        start = self._at
        match self._text[start : start + 1]:
            case "{":
                return Node(self._object(depth), self._place_of(start))
            case "[":
                return Node(self._list(depth), self._place_of(start))
            case '"':
                return self._string_node(start)
            case _:
                return Node(self._scalar(), self._place_of(start))

    def _string_node(self, start: int) -> Node:
        value = self._string()
        place = self._place_of(start)
        stands_as_it_is = self._at - start == len(value) + 2
        return Node(value, place, text_column=place.column + 1 if stands_as_it_is else 0)

    def _object(self, depth: int) -> dict[str, Node]:
        self._at += 1
        fields: dict[str, Node] = {}
        while not self._ends("}", is_first=not fields):
            key_place = self._place_of(self._at)
            if self._text[self._at : self._at + 1] != '"':
                raise self._error('a key in double quotes or "}" is expected')
            key = self._string()
            self._skip_blanks()
            if self._text[self._at : self._at + 1] != ":":
                raise self._error("':' is expected after a key")
            self._at += 1
            node = self._value(depth + 1)
            node.key_place = key_place
            if key in fields:
                report_duplicate_key(self._findings, key, fields[key].key_place or key_place, key_place)
            fields[key] = node
        return fields

    def _list(self, depth: int) -> list[Node]:
        self._at += 1
        items: list[Node] = []
        while not self._ends("]", is_first=not items):
            node = self._value(depth + 1)
            node.index = len(items)
            items.append(node)
        return items

    def _ends(self, bracket: str, *, is_first: bool) -> bool:
        """Step over what stands between two members; return whether it was the closing bracket."""
        self._skip_blanks()
        sign = self._text[self._at : self._at + 1]
        if sign == bracket:
            self._at += 1
            return True
        if is_first:
            return False
        if sign != ",":
            raise self._error(f"',' or '{bracket}' is expected")
        self._at += 1
        self._skip_blanks()
        if self._text[self._at : self._at + 1] == bracket:
            raise self._error(f"no ',' is allowed before '{bracket}'")
        return False

    def _string(self) -> str:
        match = _STRING.match(self._text, self._at)
        if match is None:
            raise self._error("a text is not closed, or holds a line break or tab that is not escaped")
        if "\\" in match[0]:
            try:
                value = str(json.loads(match[0]))
            except json.JSONDecodeError:
                raise self._error("a text holds an escape that JSON does not know") from None
        else:
            value = match[0][1:-1]
        self._at = match.end()
        return value

    def _scalar(self) -> float | bool | None:
        if number := _NUMBER.match(self._text, self._at):
            try:
                value = float(number[0]) if number[1] or number[2] else int(number[0])
            except ValueError:
                raise self._error("a number has too many digits") from None
            self._at = number.end()
            return value
        word = _WORD.match(self._text, self._at)
        if word and word[0] in _CONSTANTS:
            self._at = word.end()
            return _CONSTANTS[word[0]]
        raise self._error("a value is expected" + (f", not {word[0]}" if word else ""))

    def _skip_blanks(self) -> None:
        blank = _BLANK.match(self._text, self._at)
        self._at = blank.end() if blank else self._at

    def _error(self, message: str) -> UnreadableError:
        return UnreadableError(f"not valid JSON: {message}", self._place_of(min(self._at, len(self._text))))
