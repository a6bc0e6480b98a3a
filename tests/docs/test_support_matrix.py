"""The support matrix says what tests show, and no kind of anything is without a test."""

import subprocess
import sys
from importlib.util import find_spec

import pytest

from tidegate.connections.database import database_registry
from tidegate.destinations.strategy import strategy_registry
from tidegate.models.options import READ_OPTIONS, WRITE_OPTIONS
from tidegate.secrets import secret_provider_registry
from tools.generate_support_matrix import PAGE, ROOT, TABLES

SHOWN_AS = {"mysql": "mariadb"}
"""Kind → the server that it is tested with."""
NO_TABLE = {
    "memory": "a provider for tests of one's own",
    "oracle": "no test has run against a server, or against a stand-in for one; the page says so",
    "replace_window": "what a replay makes of another load type",
}
"""What is registered and has no row or column of its own, and why."""
DATABASES = {
    SHOWN_AS.get(name, name) for name in database_registry.list_plugins() if find_spec(f"tidegate.connections.{name}")
} - set(NO_TABLE)


def rows(table):
    """Return the first cells of a table of the page."""
    part = PAGE.read_text().partition(f"## {TABLES[table]}\n")[2].partition("\n## ")[0]
    return {line.split("`")[1] for line in part.splitlines() if line.startswith("| `")}


def test_it_is_what_the_tests_say():
    """In a process of its own: pytest within pytest would share its plugins."""
    done = subprocess.run(
        [sys.executable, "tools/generate_support_matrix.py", "--check"],
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stdout + done.stderr


@pytest.mark.parametrize(
    ("table", "kinds"),
    [
        ("sources", (set(READ_OPTIONS) - {"sql"}) | DATABASES),
        ("load types", (set(WRITE_OPTIONS) - {"sql"}) | DATABASES),
        ("secrets", set(secret_provider_registry.list_plugins()) - set(NO_TABLE)),
    ],
)
def test_no_kind_is_without_a_test(table, kinds):
    assert rows(table) == kinds


def test_no_load_type_is_without_a_test():
    heading = PAGE.read_text().partition(f"## {TABLES['load types']}\n\n")[2].partition("\n")[0]
    assert set(heading.split("`")[1::2]) == set(strategy_registry.list_plugins()) - set(NO_TABLE)
