"""Variables, the environment, and profiles."""

from pathlib import Path
from typing import Any

import pytest

import tidegate.masking
from tidegate.masking import get_registered_secret_values, mask
from tidegate.metadata import Finding, check
from tidegate.metadata.finding import Findings, Place
from tidegate.metadata.node import node_of
from tidegate.metadata.project import read_project
from tidegate.metadata.substitution import Substitution


@pytest.fixture(autouse=True)
def _clean(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv("TIDEGATE_PROFILE", raising=False)
    monkeypatch.setattr(tidegate.masking, "_values", frozenset())
    monkeypatch.setattr(tidegate.masking, "_written", ())


def substituted(value: Any, variables: dict[str, Any] | None = None, **given: Any) -> tuple[Any, list[Finding]]:
    """Return a value after substitution, and what was found."""
    here = Place("f.yaml", 1, 1)
    node, findings = node_of({"value": value}, here), Findings()
    Substitution(node_of(variables or {}, here), given, findings).apply(node)
    return node.plain()["value"], list(findings)


def project(text: str, **options: Any) -> tuple[Any, list[str]]:
    """Write a project and return its metadata and the codes of what was found."""
    Path("tidegate.yaml").write_text(text, encoding="utf-8")
    found = read_project(Path("tidegate.yaml"), **options)
    return found.metadata, [finding.code for finding in found.findings]


class TestReferences:
    """`${var:name}` and `${env:NAME}`."""

    @pytest.mark.parametrize(
        ("text", "value"),
        [
            ("${var:n}", 7),
            ("${var:flag}", True),
            ("${var:columns}", ["a", "b"]),
            ("n is ${var:n}, ${var:flag}", "n is 7, true"),
            ("${var:path}/x", "/data/7/x"),
            ("${var: n }", 7),
            ("$${var:n}", "${var:n}"),
            ("a $${b} ${var:n}", "a ${b} 7"),
            ("{year}/{month}", "{year}/{month}"),
            ("$1 ${1} ${unrelated}", "$1 ${1} ${unrelated}"),
            (["${var:n}", {"x": "${var:n}"}], [7, {"x": 7}]),
        ],
    )
    def test_a_reference_is_replaced_wherever_it_stands(self, text: Any, value: Any) -> None:
        """A text that is one variable and nothing else takes the variable's type."""
        variables = {"n": 7, "flag": True, "columns": ["a", "b"], "path": "/data/${var:n}"}
        assert substituted(text, variables) == (value, [])

    def test_variables_of_the_caller_win(self) -> None:
        """Also where another variable refers to them, and where the file declares none."""
        assert substituted("${var:b}", {"a": 1, "b": "<${var:a}>"}, a=2) == ("<2>", [])
        assert substituted("${var:new}", None, new="x") == ("x", [])

    def test_the_environment_gives_text_or_the_default(self, monkeypatch: pytest.MonkeyPatch) -> None:
        """A default stands in for a variable that is not set or empty; without one, empty is a value."""
        monkeypatch.setenv("TG_HOST", "db")
        monkeypatch.setenv("TG_EMPTY", "")
        monkeypatch.delenv("TG_NONE", raising=False)
        text = "${env:TG_HOST} ${env:TG_NONE:-a:-b} ${env:TG_EMPTY:-c} [${env:TG_EMPTY}] ${env:TG_NONE:-}"
        assert substituted(text) == ("db a:-b c [] ", [])

    @pytest.mark.parametrize(
        ("text", "message", "hint"),
        [
            ("${var:lak}", "variable 'lak' is not defined", "did you mean 'lake'?"),
            ("${var:zzz}", "variable 'zzz' is not defined", "variables: again, lake, list, loop"),
            ("x${var:list}", "variable 'list' is a list, and cannot be a part of a text", None),
            ("${var:loop}", "variable 'loop' is defined by itself", None),
            (
                "${env:TG_NONE}",
                "environment variable 'TG_NONE' is not set",
                "set TG_NONE, or write ${env:TG_NONE:-default}",
            ),
            (
                "${evn:X}",
                "${evn:X}: unknown kind of reference 'evn'",
                "did you mean 'env'?; $${ stands for the text itself",
            ),
            ("${lake}", "${lake} does not say what it refers to", "write ${var:lake}, or $${lake} for the text itself"),
            (
                "${env:TG_NONE:-${var:lake}}",
                "${env:...: a reference that is not closed, or holds another one",
                "write ${env:NAME:-default} with a plain default",
            ),
            (
                "${var:lake",
                "${var:...: a reference that is not closed, or holds another one",
                "write ${env:NAME:-default} with a plain default",
            ),
        ],
    )
    def test_what_is_not_defined_is_reported(self, text: str, message: str, hint: str | None) -> None:
        """With the names that are known."""
        variables = {"lake": "x", "list": [1], "loop": "${var:again}", "again": "a ${var:loop}"}
        _, findings = substituted(text, variables)
        assert findings[0].code == "TG110"
        assert (message, hint) in [(finding.message, finding.hint) for finding in findings]

    def test_secrets_of_the_environment_are_masked_from_then_on(self, monkeypatch: pytest.MonkeyPatch) -> None:
        """Those that end in a credential, on whatever way; others are shown."""
        for name in ("A", "B", "C", "D"):
            monkeypatch.setenv(f"TG_{name}", f"hidden-{name}")
        variables = {"b": "${env:TG_B}"}
        value = {"password": "${env:TG_A}", "token": "x ${var:b}", "host": "${env:TG_C}", "url": "u:${env:TG_D}@h"}
        substituted(value, variables)
        assert get_registered_secret_values() == {"hidden-A", "hidden-B", "hidden-D"}
        assert mask("hidden-A hidden-C") == "*** hidden-C"


class TestProfiles:
    """Values per environment."""

    TEXT = """
variables: {lake: dev, keep: 1}
connections:
  - {name: lake, format: delta, configure: {base_path: "/${var:lake}", write_options: {compression: zstd}}}
dataflows:
  - {name: a, source: {connection: lake, table: t}, destination: {connection: lake, table: u}, is_active: false}
profiles:
  prod:
    variables: {lake: prod}
    connections:
      lake: {configure: {write_options: {max_rows_per_file: 5}}}
    dataflows:
      - {name: a, description: in production}
  test: {variables: {lake: "${var:nowhere}"}}
"""

    def test_without_a_profile_nothing_is_laid_over(self) -> None:
        """And the values of profiles that are not chosen are not looked at."""
        metadata, codes = project(self.TEXT)
        assert codes == []
        assert metadata.connections[0].configure["base_path"] == "/dev"
        assert metadata.variables == {"lake": "dev", "keep": 1}

    def test_a_profile_is_laid_over_variables_and_named_declarations(self) -> None:
        """Objects merge, everything else is replaced."""
        metadata, codes = project(self.TEXT, profile="prod")
        assert codes == []
        assert metadata.connections[0].configure == {
            "base_path": "/prod",
            "write_options": {"compression": "zstd", "max_rows_per_file": 5},
        }
        assert metadata.dataflows[0].description == "in production"
        assert metadata.variables == {"lake": "prod", "keep": 1}

    def test_the_environment_chooses_when_nobody_else_does(self, monkeypatch: pytest.MonkeyPatch) -> None:
        """An argument wins over `TIDEGATE_PROFILE`, and variables of the caller over the profile's."""
        monkeypatch.setenv("TIDEGATE_PROFILE", "prod")
        assert project(self.TEXT)[0].variables["lake"] == "prod"
        assert project(self.TEXT, profile="test")[1] == ["TG110"]
        assert project(self.TEXT, variables={"lake": "mine"})[0].variables["lake"] == "mine"

    def test_an_unknown_profile_is_an_error(self) -> None:
        """With a suggestion, and where there are no profiles, that."""
        Path("a.yaml").write_text(self.TEXT)
        (finding,) = check("a.yaml", profile="prd")
        assert finding.render() == "a.yaml:8:3: TG111 unknown profile 'prd'\n  hint: did you mean 'prod'?"
        Path("b.yaml").write_text("connections: []")
        (finding,) = check("b.yaml", profile="prd")
        assert (finding.code, finding.hint) == ("TG111", "the metadata declares no profiles")

    def test_the_names_of_all_profiles_are_checked(self) -> None:
        """Also of those that are not chosen."""
        text = "connections: [{name: lake, format: delta, configure: {base_path: /x}}]\n"
        text += "profiles: {a: {conections: {}, connections: {lak: {}}, dataflows: {x: {}}}, b: 3}\n"
        assert project(text)[1] == ["TG101", "TG104", "TG115", "TG102"]

    def test_a_mistake_in_a_profile_is_reported_where_it_is(self) -> None:
        """Not where the declaration is that it is laid over."""
        text = self.TEXT.replace("compression: zstd", "compression: 3").replace("max_rows_per_file: 5", "max_rows: 5")
        Path("a.yaml").write_text(text)
        found = [(str(finding.where), finding.code) for finding in check("a.yaml", profile="prod")]
        assert found == [("a.yaml:4:101", "TG102"), ("a.yaml:11:42", "TG121")]
