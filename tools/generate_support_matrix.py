"""Write the support matrix of the documentation from the tests: what no test shows cannot stand there.

``python tools/generate_support_matrix.py`` writes it, ``--check`` fails when it is not as the tests would have it.
Tests are collected, not run: a `supports` marker says what one shows, and `never`, `notyet` and `notimpl` what cannot
be.
"""

from __future__ import annotations

import io
import sys
from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence
from contextlib import redirect_stdout
from dataclasses import dataclass, field
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
PAGE = ROOT / "docs" / "reference" / "support-matrix.md"
_FOLDERS = (
    "tests/behaviour",
    "tests/unit/test_secrets.py",
    "tests/unit/test_secrets_file.py",
    "tests/unit/test_platforms.py",
)
EVIDENCE = ("real", "emulator", "protocol-tested", "contract-tested")
"""How a thing was seen to work, the strongest first."""
TABLES: Mapping[str, str] = {
    "sources": "Sources, by the engine that reads them",
    "load types": "Destinations, by load type",
    "platforms": "Where files and tables may be",
    "secrets": "Secret backends",
}
"""Table of a `supports` marker → its heading."""
_CANNOT = ("never", "notyet", "notimpl")
_HEAD = """\
<!-- Written by tools/generate_support_matrix.py from the tests: change it there. -->

# Support matrix

Each entry is there because a test shows it. What the word says is against what the tests ran:

- **real**: the thing itself, a server or files that another library reads and writes
- **emulator**: somebody else's stand-in for a service: moto for AWS, Azurite for Azure
- **protocol-tested**: a server of our own that speaks the protocol, to the client library that is used
- **contract-tested**: a server of our own that answers as the service documents

`–` means that it cannot be, by nature; the reasons are [below](#what-tests-say-is-not-so). `mariadb` is
`database_type: mysql`. `oracle` is not here: no test has run against a server, or a stand-in for one.
"""


@dataclass(slots=True)
class Found:
    """What the tests say."""

    cells: dict[tuple[str, str, str], set[str]] = field(default_factory=lambda: defaultdict(set))
    """Table, row and column → the evidence for it; empty where a test says that it cannot be."""
    refusals: dict[tuple[str, str], set[str]] = field(default_factory=lambda: defaultdict(set))
    """Marker and reason → what it is about, in words."""


class _Collector:
    """A plugin of pytest that reads the markers of all tests, and runs none."""

    def __init__(self) -> None:
        self.found = Found()
        self.failures: list[str] = []

    def pytest_collectreport(self, report: pytest.CollectReport) -> None:
        """Keep what could not be collected: a page without it would be wrong."""
        if report.failed:
            self.failures.append(report.longreprtext)

    def pytest_collection_finish(self, session: pytest.Session) -> None:
        """Read the markers."""
        for item in session.items:
            self._read(item)

    def _read(self, item: pytest.Item) -> None:
        callspec = getattr(item, "callspec", None)
        parameters: Mapping[str, object] = callspec.params if callspec else {}
        kind, reason = _refusal(item)
        about = str(parameters.get("destination_format", ""))
        for marker in item.iter_markers("supports"):
            table, row, column = (str(part).format(**parameters) for part in marker.args)
            evidence = marker.kwargs["evidence"]
            if table not in TABLES or evidence not in EVIDENCE:
                message = f"{item.nodeid}: no table {table!r}, or no evidence {evidence!r}"
                raise pytest.UsageError(message)
            about = f"{row}: {column}" if table == "load types" else about
            self.found.cells[table, row, column] |= set() if kind else {evidence}
        if kind:
            self.found.refusals[kind, reason].add(about if ":" in about else f"{about}: {_sentence(item)}")


def _refusal(item: pytest.Item) -> tuple[str, str]:
    """Return the marker that says why a test cannot succeed, and its reason; two empty texts for most."""
    for marker in item.iter_markers("xfail"):
        kind, _, reason = str(marker.kwargs.get("reason", "")).partition(": ")
        if kind in _CANNOT:
            return kind, reason
    return "", ""


def _sentence(item: pytest.Item) -> str:
    return getattr(item, "originalname", item.name).removeprefix("test_").replace("_", " ")


def collected() -> Found:
    """Return what the tests say.

    Raises:
        SystemExit: some tests cannot be collected.
    """
    collector, output = _Collector(), io.StringIO()
    folders = [str(ROOT / folder) for folder in _FOLDERS]
    options = ["--collect-only", "-q", "-p", "no:cacheprovider", "-p", "no:xdist", "--rootdir", str(ROOT)]
    with redirect_stdout(output):
        code = pytest.main([*options, "-c", str(ROOT / "pyproject.toml"), *folders], plugins=[collector])
    if code:
        sys.exit("tests cannot be collected:\n" + ("\n".join(collector.failures) or output.getvalue()[-4000:]))
    return collector.found


def page() -> str:
    """Return the page."""
    found = collected()
    parts = [_HEAD]
    for table, heading in TABLES.items():
        cells = {(row, column): words for (of, row, column), words in found.cells.items() if of == table}
        parts.append(f"## {heading}\n\n{_matrix(cells)}")
    parts += [_types(), _values(), _refusals(found)]
    return "\n".join(parts)


def _matrix(cells: Mapping[tuple[str, str], set[str]]) -> str:
    rows = sorted({row for row, _ in cells})
    columns = list(dict.fromkeys(column for _, column in cells))
    lines = [[f"`{row}`", *(_cell(cells.get((row, column))) for column in columns)] for row in rows]
    return _table(["", *(f"`{column}`" if column else "" for column in columns)], lines)


def _cell(evidence: set[str] | None) -> str:
    if evidence is None:
        return ""
    return min(evidence, key=EVIDENCE.index) if evidence else "–"


def _types() -> str:
    from tests.behaviour.every_type import CANNOT, COLUMNS, KEPT_AS
    from tests.behaviour.places import PLACES
    from tidegate.expressions.data_type import describe_type

    lines = []
    for name, column in COLUMNS.items():
        if name == "id":
            continue
        kept = [KEPT_AS.get(kind, {}).get(name, "✓") if name not in CANNOT.get(kind, {}) else "–" for kind in PLACES]
        lines.append([f"`{describe_type(column.arrow)}`", *kept])
    why = "".join(f"- `{kind}`: {reason}\n" for kind, names in CANNOT.items() for reason in names.values())
    return (
        "## Types, by destination\n\nEvery value of the type is kept, in the type itself (✓), in another one, or it is "
        "refused before a row is written (–). Loads of 20,000 rows from and into all of these kinds show it.\n\n"
        f"{_table(['', *(f'`{kind}`' for kind in PLACES)], lines)}\n{why}"
    )


def _values() -> str:
    from tests.behaviour.every_type import CANNOT_SINGLE, NO_SIGN_OF_ZERO

    lines = [[f"`{kind}`", value, "refused", why] for kind, of in CANNOT_SINGLE.items() for value, why in of.items()]
    lines += [[f"`{kind}`", "a minus before zero", "kept as zero", why] for kind, why in NO_SIGN_OF_ZERO.items()]
    return f"## Values that a kind of place lacks\n\n{_table(['', 'value', '', 'why'], lines)}"


def _refusals(found: Found) -> str:
    words = {"never": "Never", "notyet": "Not yet: it waits for somebody else", "notimpl": "Not yet: Tidegate could"}
    parts = ["## What tests say is not so\n"]
    for kind in _CANNOT:
        reasons = {reason: about for (of, reason), about in sorted(found.refusals.items()) if of == kind}
        if reasons:
            lines = [[reason, "<br>".join(_grouped(about))] for reason, about in reasons.items()]
            parts.append(f"### {words[kind]}\n\n{_table(['why', 'what'], lines)}")
    return "\n".join(parts)


def _grouped(about: set[str]) -> Iterator[str]:
    """Yield what a reason is about, once for the kinds of places that have it in common."""
    kinds: dict[str, list[str]] = defaultdict(list)
    for line in sorted(about):
        kind, _, what = line.partition(": ")
        kinds[what].append(kind)
    yield from (f"{', '.join(of)}: {what}" for what, of in kinds.items())


def _table(headings: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    lines = [headings, ["---"] * len(headings), *rows]
    return "\n".join(f"| {' | '.join(cell.replace('|', '&#124;') for cell in line)} |" for line in lines) + "\n"


def main(arguments: list[str]) -> int:
    """Write the page, or check it."""
    sys.path.insert(0, str(ROOT))
    text = page()
    if PAGE.exists() and PAGE.read_text(encoding="utf-8") == text:
        return 0
    if "--check" in arguments:
        print(f"{PAGE} is behind the tests: run `python tools/generate_support_matrix.py`")
        return 1
    PAGE.write_text(text, encoding="utf-8")
    print(f"wrote {PAGE}")
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
