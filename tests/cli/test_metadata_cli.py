"""`tidegate metadata`, and metadata that are no files wherever a project is asked for."""

from __future__ import annotations

import sqlite3

import pytest


class TestConvert:
    def test_the_copy_runs_as_the_original_does(self, project, tidegate):
        """From YAML to a database: the same flows, and none of them loads again."""
        url = f"sqlite:///{project}/metadata.db?workspace=shop"
        assert tidegate("run").code == 0
        answer = tidegate("metadata", "convert", ".", url)
        assert (answer.code, answer.out.strip()) == (0, f"{url}: 2 connections, 3 dataflows, 0 schema hints")
        answer = tidegate("run", url, "--output", "json", "--flow", "orders,events")
        assert [(unit["status"], unit["rows_out"]) for unit in answer.json["units"]] == [("succeeded", 0)] * 2

    def test_it_answers_in_json(self, project, tidegate):
        answer = tidegate("metadata", "convert", "tidegate.yaml", "copy.xlsx", "-o", "json")
        assert answer.json == {"target": "copy.xlsx", "connections": 2, "dataflows": 3, "schema_hints": 0}

    def test_nothing_is_replaced_unasked(self, project, tidegate):
        arguments = ("metadata", "convert", "tidegate.yaml", "copy.json")
        assert tidegate(*arguments).code == 0
        answer = tidegate(*arguments)
        assert (answer.code, "copy.json is there already" in answer.err) == (2, True)
        assert tidegate(*arguments, "--replace").code == 0

    def test_it_warns_where_relative_paths_mean_another_folder(self, project, tidegate):
        assert tidegate("metadata", "convert", ".", "copy.json").err == ""
        assert "are now relative to the folder of the file" in tidegate("metadata", "convert", ".", "new/copy.json").err

    def test_a_workspace_may_be_an_option(self, project, tidegate):
        assert tidegate("metadata", "convert", ".", "sqlite:///m.db", "-w", "shop").code == 0
        with sqlite3.connect("m.db") as database:
            assert database.execute("SELECT DISTINCT workspace_id FROM dc_framework_dataflows").fetchall() == [
                ("shop",)
            ]
        database.close()

    def test_a_password_is_not_shown(self, project, tidegate):
        answer = tidegate("metadata", "convert", ".", "postgresql://etl:hunter2y@127.0.0.1:1/m")
        assert (answer.code, "hunter2y" in answer.err + answer.out) == (2, False)


class TestTemplate:
    def test_it_is_written_once_and_holds(self, project, tidegate):
        answer = tidegate("metadata", "template", "new/metadata.xlsx")
        assert (answer.code, "tidegate check new/metadata.xlsx" in answer.out) == (0, True)
        assert "No findings" in tidegate("check", "new/metadata.xlsx").out
        answer = tidegate("metadata", "template", "new/metadata.xlsx")
        assert (answer.code, "is there already" in answer.err) == (2, True)
        assert tidegate("metadata", "template", "new/metadata.xlsx", "--replace").code == 0

    def test_a_workbook_is_called_so(self, project, tidegate):
        answer = tidegate("metadata", "template", "metadata.csv")
        assert (answer.code, "metadata.xlsx" in answer.err) == (2, True)


class TestPlaces:
    @pytest.mark.parametrize("place", ["metadata.xlsx", "sqlite:///metadata.db?workspace=w"])
    @pytest.mark.parametrize("command", [["check"], ["plan"], ["run", "-o", "json"], ["status"], ["runs"]])
    def test_every_command_takes_them(self, project, tidegate, place, command):
        tidegate("metadata", "convert", ".", place)
        assert tidegate(*command, place).code == 0

    def test_state_is_beside_who_calls(self, project, tidegate):
        """A database has no folder."""
        tidegate("metadata", "convert", ".", "sqlite:///metadata.db?workspace=w")
        tidegate("run", "sqlite:///metadata.db?workspace=w")
        assert (project / ".tidegate/state.db").exists()
        answer = tidegate("state", "list", "--project", "sqlite:///metadata.db?workspace=w", "-o", "json")
        assert {state["name"] for state in answer.json} >= {"orders", "events"}

    def test_actions_are_listed(self, tidegate):
        answer = tidegate("metadata")
        assert (answer.code, "convert" in answer.out, "template" in answer.out) == (2, True, True)
