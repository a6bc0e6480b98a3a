"""The catalogue of codes."""

import re
import subprocess
import sys
from pathlib import Path

import pytest

import tidegate
from tidegate.catalogue import explain, explanations
from tidegate.errors import ConfigurationError

SOURCES = Path(tidegate.__file__).parent
COMPLETE = ("TG1",)
"""Families of codes that are written up in full. The other rooms join when their catalogue files are complete."""


def used_codes() -> set[str]:
    """Return every code that stands in the source code."""
    found = (re.findall(r"\"(TG\d{3})\"", path.read_text(encoding="utf-8")) for path in SOURCES.rglob("*.py"))
    return {code for codes in found for code in codes}


class TestCompleteness:
    """Codes and explanations."""

    def test_every_code_is_explained(self) -> None:
        """`tidegate explain` has an answer to every code that a user can meet."""
        used = {code for code in used_codes() if code.startswith(COMPLETE)}
        assert used - explanations().keys() == set()

    def test_every_explanation_is_of_a_code(self) -> None:
        """What is no longer raised is no longer explained."""
        explained = {code for code in explanations() if code.startswith(COMPLETE)}
        assert explained - used_codes() == set()

    @pytest.mark.parametrize("code", explanations())
    def test_every_explanation_says_everything(self, code: str) -> None:
        """What, why, an example, and what to do; in sentences."""
        entry = explanations()[code]
        assert all((entry.title, entry.what, entry.why, entry.example, entry.fix))
        assert not entry.title.endswith(".")
        assert entry.what.endswith(".")


class TestExplain:
    """Asking for one code."""

    @pytest.mark.parametrize("code", ["TG101", "tg101", " 101 ", "TG-101", "tg 101"])
    def test_a_code_is_found_however_it_is_written(self, code: str) -> None:
        """People copy codes, and people type them."""
        assert explain(code).title == "Unknown field"

    def test_an_unknown_code_gets_a_suggestion(self) -> None:
        """The closest codes, best first."""
        with pytest.raises(ConfigurationError, match="there is no code 'TG1011'") as caught:
            explain("TG1011")
        assert str(caught.value.hint).startswith("did you mean TG101")

    def test_nonsense_gets_the_list(self) -> None:
        """There is nothing close to it."""
        with pytest.raises(ConfigurationError) as caught:
            explain("hello")
        assert "TG100, TG101" in str(caught.value.hint)

    def test_nothing_heavy_is_imported(self) -> None:
        """An explanation is there in an instant."""
        code = (
            "import sys, tidegate.catalogue as c; c.explain('TG101'); print({'pydantic', 'polars'} & set(sys.modules))"
        )
        done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
        assert done.stdout.strip() == "set()"
