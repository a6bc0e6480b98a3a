"""Files and folders of a project."""

import json
from pathlib import Path

import pytest

from tidegate.metadata.document import read_document
from tidegate.metadata.finding import Findings


@pytest.fixture(autouse=True)
def _in_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)


def read(files: dict[str, str], path: str = ".") -> tuple[dict, list[str]]:
    """Write files, read them, and return the sections and the findings."""
    for name, text in files.items():
        Path(name).parent.mkdir(parents=True, exist_ok=True)
        Path(name).write_text(text, encoding="utf-8")
    findings = Findings()
    document = read_document(Path(path), findings)
    return document.content.plain(), [f"{finding.where} {finding.code}" for finding in findings]


class TestLookup:
    """Which files belong to a project."""

    def test_the_project_file_is_the_project(self) -> None:
        """With a `tidegate.yaml`, other files of the folder are none of Tidegate's business."""
        content, findings = read({"tidegate.yaml": "variables: {a: 1}", "compose.yaml": "services: {}"})
        assert (content, findings) == ({"variables": {"a": 1}}, [])

    @pytest.mark.parametrize("name", ["tidegate.yml", "tidegate.json"])
    def test_the_project_file_may_be_any_of_three(self, name: str) -> None:
        """JSON is YAML enough for both to take it."""
        assert read({name: '{"variables": {"a": 1}}', "other.yaml": "b: 1"})[0] == {"variables": {"a": 1}}

    def test_two_project_files_are_an_error(self) -> None:
        """One of them would be passed over in silence."""
        _, findings = read({"tidegate.yaml": "variables: {}", "tidegate.json": "{}"})
        assert findings == ["tidegate.json TG100"]

    def test_without_a_project_file_all_metadata_files_are_read(self) -> None:
        """In the order of their names; what is hidden is left out."""
        content, findings = read(
            {
                "b.yml": "dataflows: [{name: two}]",
                "a.json": '{"dataflows": [{"name": "one"}]}',
                ".hidden.yaml": "dataflows: [{name: no}]",
                ".tidegate/x.yaml": "dataflows: [{name: no}]",
                "notes.txt": "dataflows: [{name: no}]",
                "nested/x.yaml": "dataflows: [{name: no}]",
            }
        )
        assert (content, findings) == ({"dataflows": [{"name": "one"}, {"name": "two"}]}, [])

    def test_folders_named_as_a_section_are_read_with_all_below(self) -> None:
        """Next to the project file, too."""
        content, findings = read(
            {
                "tidegate.yaml": "variables: {}",
                "connections/lake.yaml": "name: lake",
                "dataflows/bronze/orders.yaml": "- {name: orders}\n- {name: lines}",
                "dataflows/silver.json": '{"dataflows": [{"name": "silver"}]}',
                "schema_hints/orders.yaml": "{table_name: orders}",
                "dataflows/.old/x.yaml": "name: no",
            }
        )
        assert findings == []
        assert content == {
            "variables": {},
            "connections": [{"name": "lake"}],
            "dataflows": [{"name": "orders"}, {"name": "lines"}, {"name": "silver"}],
            "schema_hints": [{"table_name": "orders"}],
        }

    @pytest.mark.parametrize("name", ["dataflows.yaml", "dataflow.yaml", "sales.dataflows.yaml"])
    def test_a_file_named_as_a_section_holds_its_list(self, name: str) -> None:
        """Or one of its items, or a whole document."""
        one = {"dataflows": [{"name": "orders", "quality": []}]}
        assert read({name: "[{name: orders, quality: []}]"}) == (one, [])
        assert read({name: "{name: orders, quality: []}"}) == (one, [])
        assert read({name: "dataflows: [{name: orders, quality: []}]"}) == (one, [])

    def test_a_hidden_folder_above_the_project_hides_nothing(self) -> None:
        """Only what is hidden inside the project is left out."""
        content, _ = read({".work/project/a.yaml": "variables: {a: 1}"}, ".work/project")
        assert content == {"variables": {"a": 1}}


class TestUnreadable:
    """Files that cannot be read."""

    def test_all_of_them_are_reported_in_one_run(self) -> None:
        """And those that can be read are read."""
        Path("latin.yaml").write_bytes(b"a: \xe9")
        content, findings = read(
            {"bad.yaml": "a: [", "bad.json": "{", "list.yaml": "[1]", "good.yaml": "variables: {}"}
        )
        assert content == {"variables": {}}
        assert findings == ["bad.json:1:2 TG100", "bad.yaml:2:1 TG100", "latin.yaml TG100", "list.yaml:1:1 TG100"]

    @pytest.mark.parametrize("path", ["missing.yaml", "empty"])
    def test_nothing_to_read_is_an_error(self, path: str) -> None:
        """A path that leads nowhere is not an empty project."""
        Path("empty").mkdir()
        assert read({}, path)[1] == [f"{path} TG100"]

    def test_empty_files_and_sections_are_no_error(self) -> None:
        """Nothing is declared, and nothing is wrong; a byte order mark is not content."""
        assert read({"a.yaml": "", "b.yaml": "\ufeffconnections:\ndataflows: []"}) == ({"dataflows": []}, [])


class TestSections:
    """The sections of a file."""

    def test_unknown_and_misshapen_sections_are_reported(self) -> None:
        """A section that should be a list is one."""
        text = "conections: []\ndataflows: {name: x}\nvariables: [a]\n$schema: x\n"
        content, findings = read({"tidegate.yaml": text})
        assert content == {}
        assert findings == ["tidegate.yaml:1:1 TG101", "tidegate.yaml:2:12 TG102", "tidegate.yaml:3:12 TG102"]

    def test_a_variable_given_in_two_files_is_reported(self) -> None:
        """Other variables of the two files are put together."""
        content, findings = read({"a.yaml": "variables: {x: 1, y: 2}", "b.yaml": "variables: {x: 3, z: 4}"})
        assert findings == ["b.yaml:1:13 TG105"]
        assert content["variables"] == {"x": 3, "y": 2, "z": 4}

    def test_objects_written_as_json_text_become_objects(self) -> None:
        """As database and spreadsheet metadata hold them, also one within the other."""
        text = json.dumps({"configure": json.dumps({"page_size": 1})})
        content, _ = read({"tidegate.yaml": f"dataflows: [{{name: a, source: '{text}', configure: '{{broken'}}]"})
        assert content["dataflows"] == [
            {"name": "a", "source": {"configure": {"page_size": 1}}, "configure": "{broken"}
        ]
