"""Reading JSON and YAML with the place of every key and value."""

import json
import math
from pathlib import Path

import pytest
import yaml
from hypothesis import given
from hypothesis import strategies as st

from tidegate.metadata.finding import Findings, Place
from tidegate.metadata.json_reader import read_embedded_json, read_json
from tidegate.metadata.node import Node
from tidegate.metadata.reading import UnreadableError
from tidegate.metadata.yaml_reader import read_yaml

JSON_VALUES = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False) | st.text(),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(), inner, max_size=4),
    max_leaves=20,
)


def at(node: Node, *path: str | int) -> tuple[int, int]:
    """Return line and column of the value at a path."""
    place = node.follow(path)[-1].place
    return place.line, place.column


class TestJson:
    """JSON files."""

    @given(JSON_VALUES, st.sampled_from([None, 2, "\t"]))
    def test_reads_what_the_standard_library_reads(self, value: object, indent: int | str | None) -> None:
        """Every JSON text has the value that `json.loads` gives it, whatever its white space and escapes."""
        text = json.dumps(value, indent=indent)
        assert read_json(text, "f.json", Findings()).plain() == json.loads(text)

    def test_every_value_and_key_has_its_place(self) -> None:
        """Lines and columns count from 1; tabs are one column."""
        node = read_json('{\n\t"a": {"b": [1,\n  "x"]}}', "f.json", Findings())
        assert at(node) == (1, 1)
        assert at(node, "a") == (2, 7)
        assert at(node, "a", "b", 1) == (3, 3)
        assert node.follow(["a"])[-1].key_place == Place("f.json", 2, 2)

    def test_surrogate_pairs_and_tabs_are_valid(self) -> None:
        """Escaped characters beyond the basic plane and tabs between tokens are JSON, though not YAML."""
        assert read_json('{\t"a":\t"\\ud83d\\ude00"}', "f.json", Findings()).plain() == {"a": "😀"}

    def test_big_numbers_keep_all_their_digits(self) -> None:
        """An integer beyond 64 bits is not rounded."""
        assert read_json("[123456789012345678901234567890, 1e400]", "f", Findings()).plain() == [
            123456789012345678901234567890,
            math.inf,
        ]

    def test_a_key_given_twice_is_reported_with_both_places(self) -> None:
        """Which of the two counts would be a guess."""
        findings = Findings()
        read_json('{"a": 1,\n "b": 2, "a": 3}', "f.json", findings)
        (finding,) = findings
        assert (finding.code, str(finding.where)) == ("TG105", "f.json:2:10")
        assert finding.hint == "the first is at f.json:1:2"

    @pytest.mark.parametrize(
        ("text", "place", "cause"),
        [
            ("", "f.json:1:1", "a value is expected"),
            ('{"a": 1,}', "f.json:1:9", "no ',' is allowed before '}'"),
            ("[1 2]", "f.json:1:4", "',' or ']' is expected"),
            ('{"a" 1}', "f.json:1:6", "':' is expected after a key"),
            ("{a: 1}", "f.json:1:2", 'a key in double quotes or "}" is expected'),
            ('{"a": NaN}', "f.json:1:7", "a value is expected, not NaN"),
            ('{"a": True}', "f.json:1:7", "a value is expected, not True"),
            ('["a\nb"]', "f.json:1:2", "a text is not closed, or holds a line break or tab that is not escaped"),
            (r'["\x"]', "f.json:1:2", "a text holds an escape that JSON does not know"),
            ("[01]", "f.json:1:3", "',' or ']' is expected"),
            ("1 2", "f.json:1:3", "nothing more is expected after the value"),
            ("[" * 500, "f.json:1:102", "nested deeper than 100 levels"),
            ("9" * 5000, "f.json:1:1", "a number has too many digits"),
        ],
    )
    def test_what_is_not_json_is_refused_at_its_place(self, text: str, place: str, cause: str) -> None:
        """The message says what is expected, and where."""
        with pytest.raises(UnreadableError) as error:
            read_json(text, "f.json", Findings())
        assert (str(error.value.place), error.value.message) == (place, f"not valid JSON: {cause}")

    def test_json_within_a_file_is_at_the_place_of_its_text(self) -> None:
        """What is inside a text cannot be pointed at more closely."""
        here = Place("f.yaml", 7, 3)
        node = read_embedded_json('{"a": [1]}', here, Findings())
        assert node.plain() == {"a": [1]}
        assert node.follow(["a", 0])[-1].place == here


class TestYaml:
    """YAML files."""

    @given(JSON_VALUES)
    def test_reads_what_was_written(self, value: object) -> None:
        """Data written as YAML 1.1 by PyYAML, all texts quoted, come back as they were."""
        text = yaml.safe_dump(value, allow_unicode=True, default_style='"', width=1000)
        assert read_yaml(text, "f.yaml", Findings()).plain() == _plain_keys(value)

    @pytest.mark.parametrize(
        ("text", "value"),
        [
            ("on", "on"),
            ("no", "no"),
            ("Yes", "Yes"),
            ("true", True),
            ("FALSE", False),
            ("~", None),
            ("", None),
            ("null", None),
            ("12", 12),
            ("-0o14", "-0o14"),
            ("0o14", 12),
            ("0x1F", 31),
            ("012", 12),
            ("1_000", "1_000"),
            ("12:30:45", "12:30:45"),
            ("1e3", 1000.0),
            (".5", 0.5),
            ("+1.", 1.0),
            (".inf", math.inf),
            ("-.INF", -math.inf),
            ("2024-01-01", "2024-01-01"),
            ("'12'", "12"),
            ("!!str 12", "12"),
            ("=", "="),
            ("<<", "<<"),
        ],
    )
    def test_a_plain_scalar_means_what_yaml_1_2_says(self, text: str, value: object) -> None:
        """`on` and `no` are text, and so are dates and base-60 numbers."""
        found = read_yaml(f"a: {text}\n", "f.yaml", Findings()).plain()["a"]
        assert found == value
        assert type(found) is type(value)

    def test_not_a_number_is_a_number(self) -> None:
        """`.nan` is read as a float."""
        assert math.isnan(read_yaml(".NaN", "f.yaml", Findings()).plain())

    def test_every_value_and_key_has_its_place(self) -> None:
        """Lines and columns count from 1, in characters."""
        node = read_yaml("a:\n  - ä: {b: 1}\n    c: x\n", "f.yaml", Findings())
        assert at(node, "a", 0, "ä", "b") == (2, 12)
        assert at(node, "a", 0, "c") == (3, 8)
        assert node.follow(["a", 0, "c"])[-1].key_place == Place("f.yaml", 3, 5)

    def test_text_that_stands_as_it_is_can_be_pointed_into(self) -> None:
        """Quotes are stepped over; text with escapes or over several lines has no column of its own."""
        node = read_yaml("a: x > 1\nb: 'x'\nc: \"\\tx\"\nd: >-\n  x\ne: 'it''s'\n", "f.yaml", Findings())
        columns = {key: field.text_column for key, field in node.fields.items()}
        assert columns == {"a": 4, "b": 5, "c": 0, "d": 0, "e": 0}

    def test_an_alias_is_a_copy_and_a_merge_key_gives_way(self) -> None:
        """What an object says itself wins over what `<<` brings; changing a copy changes nothing else."""
        text = "base: &base {a: 1, b: 2}\nnext:\n  <<: *base\n  b: 3\nlast: *base\n"
        node = read_yaml(text, "f.yaml", Findings())
        assert node.plain() == {"base": {"a": 1, "b": 2}, "next": {"a": 1, "b": 3}, "last": {"a": 1, "b": 2}}
        node.remove(["base", "a"])
        assert node.plain()["last"] == {"a": 1, "b": 2}

    def test_a_key_given_twice_is_reported_with_both_places(self) -> None:
        """The same as in JSON."""
        findings = Findings()
        read_yaml("a: 1\nb: 2\na: 3\n", "f.yaml", findings)
        (finding,) = findings
        assert (finding.code, str(finding.where)) == ("TG105", "f.yaml:3:1")
        assert finding.hint == "the first is at f.yaml:1:1"

    @pytest.mark.parametrize(
        ("text", "place", "cause"),
        [
            ("a: [1\nb: 2", "f.yaml:2:2", "not valid YAML"),
            ("a:\n\t- 1", "f.yaml:2:1", "not valid YAML"),
            ("a: 1\n---\nb: 2", "f.yaml:2:1", "not valid YAML"),
            ("a: !secret x", "f.yaml:1:4", "the tag '!secret' has no meaning here"),
            ("a: !!int x", "f.yaml:1:4", "not a number: x"),
            ("a: !!bool x", "f.yaml:1:4", "'x' is not a bool"),
            ("? [1]\n: 2", "f.yaml:1:3", "a key must be text"),
            ("a: &a [*a]", "f.yaml:1:4", "an alias that contains itself"),
            ("a: {<<: 3}", "f.yaml:1:9", "'<<' merges objects only"),
            ("a: \x07", "f.yaml:1:4", "not valid YAML"),
            ("a: *b", "f.yaml:1:4", "not valid YAML"),
        ],
    )
    def test_what_cannot_be_read_is_refused_at_its_place(self, text: str, place: str, cause: str) -> None:
        """No tag constructs an object, and no alias runs forever."""
        with pytest.raises(UnreadableError) as error:
            read_yaml(text, "f.yaml", Findings())
        assert cause in error.value.message
        assert str(error.value.place) == place

    def test_aliases_of_aliases_are_bounded(self) -> None:
        """A few lines cannot fill the memory."""
        lines = ["a0: &a0 [x, x, x, x, x, x, x, x, x, x]"]
        lines += [f"a{n}: &a{n} [{', '.join([f'*a{n - 1}'] * 10)}]" for n in range(1, 12)]
        with pytest.raises(UnreadableError):
            read_yaml("\n".join(lines), "f.yaml", Findings())

    def test_both_parsers_agree(self, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
        """Where PyYAML has no C parser, the same nodes come out at the same places."""
        import importlib
        import sys

        import tidegate.metadata.yaml_reader as with_c

        text = "a:\n  - {b: on, 'c': \"d\"}\n  - 1.5\n<<: {e: ~}\n"
        monkeypatch.delattr(yaml, "CSafeLoader")
        monkeypatch.delitem(sys.modules, "tidegate.metadata.yaml_reader")
        without_c = importlib.import_module("tidegate.metadata.yaml_reader")
        assert without_c._Loader is not with_c._Loader
        nodes = [reader.read_yaml(text, "f.yaml", Findings()) for reader in (with_c, without_c)]
        assert nodes[0].plain() == nodes[1].plain()
        assert at(nodes[0], "a", 0, "c") == at(nodes[1], "a", 0, "c")
        monkeypatch.setitem(sys.modules, "tidegate.metadata.yaml_reader", with_c)


def _plain_keys(value: object) -> object:
    if isinstance(value, dict):
        return {str(key): _plain_keys(item) for key, item in value.items()}
    return [_plain_keys(item) for item in value] if isinstance(value, list) else value
