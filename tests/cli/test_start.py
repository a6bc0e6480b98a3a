"""The console script: it starts fast because it loads little, and it ends well."""

from __future__ import annotations

import subprocess
import sys

import pytest

from tests.cli.conftest import TIDEGATE
from tidegate.cli.application import parser_of
from tidegate.cli.commands import COMMANDS

HEAVY = ("polars", "deltalake", "pydantic", "pyarrow", "sqlglot", "narwhals", "rich", "ruamel", "typer", "duckdb")

LOADED = """
import sys
from tidegate.cli import main
for arguments in {arguments}:
    assert main(arguments) == 0
print("loaded:", *(name for name in {heavy} if name in sys.modules))
"""


class TestStartingIsLight:
    @pytest.mark.parametrize(
        "arguments",
        [
            [["--help"], ["--version"], [], ["help"]],
            [[name, "--help"] for name in COMMANDS],
            [["explain", "TG101"], ["explain"]],
        ],
        ids=["overview", "help of each command", "explain"],
    )
    def test_it_loads_no_heavy_library(self, arguments):
        code = LOADED.format(arguments=arguments, heavy=HEAVY)
        ended = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
        assert (ended.returncode, ended.stderr) == (0, "")
        assert ended.stdout.splitlines()[-1] == "loaded:"

    def test_init_loads_no_heavy_library(self, tmp_path):
        code = LOADED.format(arguments=[["init", str(tmp_path / "new")]], heavy=HEAVY)
        ended = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
        assert ended.stdout.splitlines()[-1] == "loaded:", ended.stderr


class TestHelp:
    def test_the_overview_names_every_command(self, tidegate):
        answer = tidegate("--help")
        assert answer.code == 0
        for command in COMMANDS.values():
            assert f"  {command.name} " in answer.out
            assert command.summary in answer.out

    def test_without_arguments_it_is_the_same(self, tidegate):
        assert tidegate().out == tidegate("--help").out == tidegate("help").out

    @pytest.mark.parametrize("name", COMMANDS)
    def test_every_command_explains_all_its_options(self, name, tidegate):
        answer = tidegate(name, "--help")
        assert answer.code == 0
        assert f"Usage: tidegate {name}" in answer.out
        assert answer.out == tidegate("help", name).out
        assert all(action.help for action in parser_of(name)._actions if action.metavar != "ACTION")

    @pytest.mark.parametrize("width", [80, 100])
    @pytest.mark.parametrize("name", [*COMMANDS, ""])
    def test_it_fits_the_terminal(self, name, width, tidegate, monkeypatch):
        monkeypatch.setenv("COLUMNS", str(width))
        answer = tidegate(*filter(None, [name]), "--help")
        assert max(map(len, answer.out.splitlines())) <= width

    def test_actions_of_state_have_their_own(self, tidegate):
        answer = tidegate("state", "rewind", "--help")
        assert (answer.code, "Usage: tidegate state rewind FLOW" in answer.out) == (0, True)


class TestUsage:
    @pytest.mark.parametrize(
        ("arguments", "message", "hint"),
        [
            (["runn"], "unknown command 'runn'", "did you mean `tidegate run`?"),
            (["--hepl"], "unknown option '--hepl'", "`tidegate --help`"),
            (["run", "--flo", "x"], "unknown option --flo", "did you mean --flow?"),
            (["run", "--max-workers", "0"], "--max-workers: '0' is not a whole number from 1", "`tidegate run --help`"),
            (["run", "--retry-delay", "soon"], "'soon' is not a number of seconds", "`tidegate run --help`"),
            (["run", "--output", "jsn"], "--output/-o: unknown 'jsn'", "did you mean json?"),
            (["run", "--column-names", "camel"], "unknown 'camel'", "one of lower, snake"),
            (["run", "--flow"], "--flow/-f: expected one argument", "`tidegate run --help`"),
            (["run", "a", "b"], "unexpected argument 'b'", "`tidegate run --help`"),
            (["state", "lst"], "ACTION: unknown 'lst'", "did you mean list?"),
            (["state", "set", "orders", "id=1", "--yse"], "unknown option --yse", "did you mean --yes?"),
            (["state", "set", "orders", "id"], "'id' is not COLUMN=VALUE", "for instance"),
            (["runs", "--job", ""], "--job: '' names nothing", "`tidegate runs --help`"),
            (["run", "--job", " "], "--job: ' ' names nothing", "`tidegate run --help`"),
            (["run", "--flow", ""], "--flow/-f: '' names nothing", "`tidegate run --help`"),
            (["plan", "--stage", ","], "--stage/-s: ',' names nothing", "`tidegate plan --help`"),
            (["show", "last", "--flow", ""], "--flow/-f: '' names nothing", "`tidegate show --help`"),
            (["state", "rebuild", "-f", ""], "--flow/-f: '' names nothing", "`tidegate state rebuild --help`"),
            (["maintain", "-c", ""], "--connection/-c: '' names nothing", "`tidegate maintain --help`"),
            (["run", "--job-num", "3"], "--job-num 3 without --job-index", "--job-index 0 to 2"),
        ],
    )
    def test_a_mistake_is_named_and_exits_2(self, arguments, message, hint, tidegate):
        answer = tidegate(*arguments)
        assert (answer.code, answer.out) == (2, "")
        assert answer.err.startswith("error: ")
        assert message in answer.err.splitlines()[0]
        assert hint in answer.err.splitlines()[1]

    def test_a_variable_without_a_value_exits_2(self, project, tidegate):
        answer = tidegate("check", "--var", "landing")
        assert (answer.code, "--var landing is not NAME=VALUE" in answer.err) == (2, True)

    def test_state_alone_shows_its_actions(self, tidegate):
        answer = tidegate("state")
        assert (answer.code, "rebuild" in answer.out) == (2, True)


class TestErrors:
    def test_our_error_has_code_place_and_hint_and_no_traceback(self, tmp_path, tidegate):
        answer = tidegate("run", tmp_path / "none.yaml")
        assert answer.code == 2
        assert answer.err.splitlines() == [
            "error TG100: no such file",
            f"  at {tmp_path / 'none.yaml'}",
            "  hint: give the path of a metadata file or project folder",
        ]

    def test_an_unexpected_one_is_one_line_and_says_how_to_see_more(self, tidegate, monkeypatch):
        monkeypatch.setattr("tidegate.catalogue.explain", lambda _: 1 / 0)
        answer = tidegate("explain", "TG101")
        assert answer.code == 1
        assert answer.err.splitlines() == [
            "error: ZeroDivisionError: division by zero",
            "  hint: this is a fault of Tidegate; TIDEGATE_DEBUG=1 shows where it happened",
        ]

    def test_in_json_it_is_on_stdout_too(self, tmp_path, tidegate):
        path = tmp_path / "none.yaml"
        answer = tidegate("run", path, "--output=json")
        assert answer.json == {
            "error": {
                "code": "TG100",
                "message": "no such file",
                "where": str(path),
                "hint": "give the path of a metadata file or project folder",
            },
            "exit_code": 2,
        }
        assert answer.err.startswith("error TG100: no such file")
        assert tidegate("run", path).out == ""

    @pytest.mark.parametrize("output", [["-o", "json"], ["-ojson"], ["--output", "json"]])
    def test_so_is_a_command_line_that_cannot_be_understood(self, output, tidegate):
        answer = tidegate("status", "--flo", "x", *output)
        error = {"code": None, "message": "unknown option --flo", "where": None, "hint": "did you mean --flow?"}
        assert (answer.code, answer.json) == (2, {"error": error, "exit_code": 2})

    def test_an_output_that_is_a_file_is_no_format(self, tidegate):
        assert tidegate("schema", "-o", "json", "--what").out == ""

    def test_an_unexpected_one_in_json(self, tidegate, monkeypatch):
        monkeypatch.setattr("tidegate.catalogue.explain", lambda _: 1 / 0)
        answer = tidegate("explain", "TG101", "-o", "json")
        assert (answer.json["error"]["code"], answer.json["exit_code"]) == ("TG001", 1)

    def test_a_place_that_is_none_for_state_exits_2(self, project, tidegate):
        answer = tidegate("status", "--state", "mysql://db/etl")
        assert (answer.code, "error TG511" in answer.err) == (2, True)

    def test_debug_shows_the_traceback(self, tidegate, monkeypatch):
        monkeypatch.setattr("tidegate.catalogue.explain", lambda _: 1 / 0)
        monkeypatch.setenv("TIDEGATE_DEBUG", "1")
        assert "Traceback" in tidegate("explain", "TG101").err

    def test_an_interrupt_exits_130(self, tidegate, monkeypatch):
        def interrupt(_):
            raise KeyboardInterrupt

        monkeypatch.setattr("tidegate.catalogue.explain", interrupt)
        answer = tidegate("explain", "TG101")
        assert (answer.code, answer.err) == (130, "interrupted\n")


class TestTheScript:
    def test_it_is_installed_and_has_a_version(self, console_script):
        from tidegate import __version__

        ended = console_script("--version")
        assert (ended.returncode, ended.stdout, ended.stderr) == (0, f"tidegate {__version__}\n", "")

    def test_a_reader_that_goes_away_is_no_error(self, project):
        command = f"'{TIDEGATE}' schema | head -1; echo ${{PIPESTATUS[0]}}"
        ended = subprocess.run(["bash", "-c", command], capture_output=True, text=True, check=False)
        assert (ended.stdout.splitlines(), ended.stderr) == (["{", "0"], "")

    def test_a_closed_stdout_is_no_error(self):
        ended = subprocess.run(["bash", "-c", f"'{TIDEGATE}' --help >&-"], capture_output=True, text=True, check=False)
        assert (ended.returncode, ended.stderr) == (0, "")

    def test_a_terminal_that_knows_only_ascii_gets_question_marks(self, project, console_script):
        (project / "landing/orders/1.csv").unlink()
        ended = console_script("run", "-f", "shops", env={"PYTHONIOENCODING": "ascii"})
        assert ended.returncode == 0
        assert ended.stdout.isascii()
