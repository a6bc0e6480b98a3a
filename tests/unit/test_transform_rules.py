"""Value rules, hash columns and masking rules in `check`: all that is known before a row is read, with its place."""

from __future__ import annotations

import re
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tidegate.errors import MetadataError
from tidegate.expressions.patterns import replacing_rule
from tidegate.metadata import check

PROJECT = """\
connections:
  - {{name: landing, format: csv, configure: {{base_path: landing}}}}
  - {{name: lake, format: delta, configure: {{base_path: lake}}}}
dataflows:
  - name: a
    source: {{connection_name: landing, table: t, watermark_columns: [At]}}
    destination:
      {{connection_name: lake, table: t, load_type: merge_upsert, merge_keys: [id], partition_columns: [day]}}
    transform:
      rename_columns: {{number: id, date: day}}
      {transform}
"""


def found(tmp_path: Path, transform: str) -> list[tuple[str, str, str]]:
    """Return of all that is wrong the code, what stands at its place, and message and hint."""
    text = PROJECT.format(transform=transform)
    (tmp_path / "tidegate.yaml").write_text(text)
    found = []
    for one in check(tmp_path):
        line, column = map(int, str(one.where).split(":")[-2:])
        found.append((one.code, text.splitlines()[line - 1][column - 1 :], f"{one.message} {one.hint}"))
    return found


class TestRules:
    @pytest.mark.parametrize(
        "transform",
        [
            "value_rules: [{operation: trim, columns: 'a, b', order: 5}, {operation: case, columns: a, mode: upper}]",
            "value_rules: [{operation: fill_null, columns: a, value: 0}]",
            "value_rules: [{operation: fill_null, columns: a, value: false}]",
            "value_rules: [{operation: map, columns: a, mapping: {1: x, yes: null}, on_unmapped: 'null'}]",
            "value_rules: [{operation: map, columns: a, mapping: '{\"x\": null}'}]",
            "value_rules: [{operation: regex_replace, columns: a, pattern: '[0-9]+'}]",
            "value_rules: [{operation: trim, columns: a, on_unmapped: keep, pattern: null}]",
            "hash_columns: [{target_column: h, columns: [a, b]}]",
            "masking_rules: [{operation: redact, columns: a}, {operation: nullify, columns: [b, c]}]",
            "masking_rules: [{operation: partial, columns: a, keep_end: 4}, {operation: redact, columns: At}]",
            "masking_rules: [{operation: numeric_bucket, columns: a, bucket_size: 0.5}]",
        ],
    )
    def test_these_hold(self, tmp_path: Path, transform: str) -> None:
        """Also with defaults written out, and with keys of a mapping that YAML takes for numbers."""
        assert found(tmp_path, transform) == []

    @pytest.mark.parametrize(
        ("transform", "code", "there", "message"),
        [
            ("value_rules: [{operation: trimm, columns: a}]", "TG102", "trimm", "did you mean 'trim'?"),
            ("value_rules: [{operation: case, columns: a}]", "TG103", "{operation: case", "case needs mode"),
            (
                "value_rules: [{operation: regex_replace, columns: a}]",
                "TG103",
                "{operation: regex",
                "regex_replace needs pattern",
            ),
            ("value_rules: [{operation: fill_null, columns: a}]", "TG103", "{operation: fill", "fill_null needs value"),
            ("value_rules: [{operation: map, columns: a}]", "TG103", "{operation: map", "map needs mapping"),
            ("value_rules: [{operation: trim, columns: []}]", "TG103", "[]", "columns is empty"),
            ("value_rules: [{operation: trim, columns: a, mode: lower}]", "TG116", "lower", "trim takes no mode"),
            ("value_rules: [{operation: trim, columns: [b, AT]}]", "TG309", "[b, AT]", "the watermark column 'AT'"),
            ("hash_columns: [{target_column: h, columns: []}]", "TG103", "[]", "columns is empty"),
            ("hash_columns: [{target_column: h, columns: a, algorithm: md5}]", "TG102", "md5", "sha256, xxhash64"),
            (
                "hash_columns: [{target_column: h, columns: a}, {target_column: H, columns: b}]",
                "TG116",
                "H, ",
                "two hash columns are called 'h'",
            ),
            (
                "masking_rules: [{operation: numeric_bucket, columns: a}]",
                "TG103",
                "{operation: num",
                "needs bucket_size",
            ),
            ("masking_rules: [{operation: date_truncate, columns: a}]", "TG103", "{operation: date", "needs unit"),
            (
                "masking_rules: [{operation: partial, columns: a, mask_char: '**'}]",
                "TG102",
                "'**'",
                "not one character",
            ),
            ("masking_rules: [{operation: nullify, columns: a, value: x}]", "TG116", "x}", "nullify takes no value"),
            (
                "masking_rules: [{operation: nullify, columns: a}, {operation: redact, columns: A}]",
                "TG116",
                "A}",
                "column 'A' has two masking rules",
            ),
            ("masking_rules: [{operation: nullify, columns: ID}]", "TG308", "ID", "'ID' is a merge key"),
            ("masking_rules: [{operation: nullify, columns: Number}]", "TG308", "Number", "'Number' is a merge key"),
            ("masking_rules: [{operation: nullify, columns: date}]", "TG308", "date", "'date' is a partition column"),
            ("masking_rules: [{operation: nullify, columns: __x}]", "TG308", "__x", "is a system column"),
        ],
    )
    def test_these_do_not(self, tmp_path: Path, transform: str, code: str, there: str, message: str) -> None:
        """Each is one finding, at its place, in plain words."""
        [(found_code, at, text)] = found(tmp_path, transform)
        assert (found_code, at.startswith(there), message in text) == (code, True, True)


class TestPatterns:
    @pytest.mark.parametrize(
        ("pattern", "instead"),
        [
            (r"\d+", "write [0-9]"),
            (r"[\w]", "write [0-9A-Za-z_]"),
            (r"a\s", r"write [ \t\r\n]"),
            (r"\bx", "write the characters around the word"),
            ("a(?=b)", "use classes, groups"),
            (r"(a)\1", "use classes, groups"),
            ("a++", r"no + after a quantifier"),
            ("a{,3}", r"write \{ for a brace"),
            ("[a", "does not compile"),
            ("b*", "let it match at least one character"),
        ],
    )
    def test_what_engines_do_not_share_is_refused(self, tmp_path: Path, pattern: str, instead: str) -> None:
        """With what to write instead, where it stands."""
        rule = f"value_rules: [{{operation: regex_replace, columns: a, pattern: '{pattern}', replacement: x}}]"
        [(code, at, text)] = found(tmp_path, rule)
        assert (code, at.startswith(f"'{pattern}'"), instead in text) == ("TG109", True, True)

    @pytest.mark.parametrize("replacement", ["$2", "$12", "$x", "cost: 5$", "\\1", "${1}"])
    def test_a_replacement_means_one_thing(self, replacement: str) -> None:
        """A dollar is a group that is there, or written twice."""
        with pytest.raises(MetadataError, match="replacement"):
            replacing_rule("(a)", replacement)

    @given(st.text(max_size=8))
    def test_any_text_can_be_a_replacement(self, text: str) -> None:
        """With its dollars doubled it stands for itself, unless it looks like a group of other engines."""
        if re.search(r"\\[0-9]", text):
            return
        pattern, rewritten = replacing_rule("a", text.replace("$", "$$"))
        assert re.sub(pattern, rewritten, "a") == text
