"""Run a page of the documentation: write its files, type its commands, compare what they answer.

A page tells its reader what to save and what to type, and this does the same, in an empty folder:

- a fenced block with a title, ``yaml title="tidegate.yaml"``, is saved under that name;
- in a ``console`` block, every line that begins with ``$ `` is typed, and the lines below it are the answer. There, a
  line ``...`` stands for any lines, and ``...`` within a line for any text; times and speeds are not compared.
- a command succeeds, unless the next one is ``echo $?``.

``python tools/run_docs.py [--update] PAGE...`` shows where pages are wrong; with ``--update`` it writes in what the
commands answered, except where the page has ``...``.
"""

from __future__ import annotations

import os
import re
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

HOME = "/home/ada"
"""What pages show for the folder that they run in."""

_FENCE = re.compile(r"^(?P<indent> *)(?P<fence>`{3,})(?P<info>[^`]*)$")
_TITLE = re.compile(r'title="([^"]+)"')
_DURATION = re.compile(r"\b\d+(\.\d+)?\s?(ms|s|min)\b")
_RATE = re.compile(r"[\d,.]+[kM]?\s+<time>")


@dataclass(frozen=True, slots=True)
class Block:
    """A fenced block of a page. `line` is the number of its first line inside, from 1."""

    language: str
    title: str | None
    lines: list[str]
    line: int


@dataclass(frozen=True, slots=True)
class Answer:
    """One command of a page: what the page says it answers, and what it did."""

    line: int
    command: str
    expected: list[str]
    actual: list[str]
    failed: bool

    @property
    def agrees(self) -> bool:
        """Whether the page tells the truth."""
        pattern = "".join(
            r"(?:.*\n)*" if line.strip() == "..." else ".*".join(map(re.escape, _even(line).split("..."))) + r"\n"
            for line in self.expected
        )
        return not self.failed and bool(re.fullmatch(pattern, "".join(f"{_even(line)}\n" for line in self.actual)))

    def __str__(self) -> str:
        expected, actual = "\n".join(self.expected), "\n".join(self.actual)
        return f"line {self.line}: $ {self.command}\n--- the page says\n{expected}\n--- the answer\n{actual}"


def blocks(text: str) -> Iterator[Block]:
    """Yield the fenced blocks of a page, without their indentation."""
    lines = iter(enumerate(text.splitlines(), start=1))
    for number, line in lines:
        if start := _FENCE.match(line):
            end, indent = start["indent"] + start["fence"], len(start["indent"])
            content = []
            for _, inner in lines:
                if inner.rstrip() == end:
                    break
                content.append(inner[indent:])
            language, _, about = start["info"].strip().partition(" ")
            title = _TITLE.search(about)
            yield Block(language, title[1] if title else None, content, number + 1)


def run_page(page: Path, folder: Path) -> list[Answer]:
    """Do in `folder` what the page says, and return its commands with their answers."""
    answers: list[Answer] = []
    here, code = folder, 0
    for block in blocks(page.read_text(encoding="utf-8")):
        if block.title:
            file = here / block.title
            file.parent.mkdir(parents=True, exist_ok=True)
            file.write_text("".join(f"{line}\n" for line in block.lines), encoding="utf-8")
        elif block.language == "console":
            commands = list(_commands(block))
            for number, (line, command, expected) in enumerate(commands):
                if command.startswith("cd "):
                    here /= command.removeprefix("cd ")
                    continue
                code, actual = _typed(command, here, code, folder)
                is_asked = number + 1 < len(commands) and commands[number + 1][1] == "echo $?"
                answers.append(Answer(line, command, expected, actual, failed=code != 0 and not is_asked))
    return answers


def _commands(block: Block) -> Iterator[tuple[int, str, list[str]]]:
    starts = [index for index, line in enumerate(block.lines) if line.startswith("$ ")]
    for start, end in zip(starts, [*starts[1:], len(block.lines)], strict=True):
        rest = block.lines[start + 1 : end]
        typed = [block.lines[start][2:]]
        while rest and rest[0].startswith("> "):
            typed.append(rest.pop(0)[2:])
        yield block.line + start, "\n".join(typed), rest


def _typed(command: str, here: Path, code: int, folder: Path) -> tuple[int, list[str]]:
    environment = {name: value for name, value in os.environ.items() if not name.startswith("TIDEGATE_")}
    environment |= {"COLUMNS": "100", "NO_COLOR": "1", "PATH": f"{Path(sys.executable).parent}:{os.environ['PATH']}"}
    done = subprocess.run(
        ["/bin/bash", "-c", f"(exit {code})\n{command}"],
        cwd=here, env=environment, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.STDOUT,
        text=True, check=False,
    )  # fmt: skip
    lines = done.stdout.replace(str(folder), HOME).splitlines()
    return done.returncode, [line.rstrip() for line in lines if not line.startswith('{"event"')]


def _even(line: str) -> str:
    text = _DURATION.sub("<time>", line)
    text = _RATE.sub("<time>", text) if "succeeded" in text else text
    return " ".join(text.split())


def _update(page: Path, answers: list[Answer]) -> None:
    lines = page.read_text(encoding="utf-8").splitlines()
    for answer in reversed(answers):
        if not (answer.agrees or answer.failed) and not any("..." in line for line in answer.expected):
            start = answer.line + answer.command.count("\n")
            lines[start : start + len(answer.expected)] = answer.actual
    page.write_text("".join(f"{line}\n" for line in lines), encoding="utf-8")


def main(arguments: list[str]) -> int:
    """Run pages, and return 1 when one of them is wrong."""
    wrong = 0
    for name in arguments:
        if name.startswith("--"):
            continue
        with tempfile.TemporaryDirectory() as folder:
            answers = run_page(Path(name), Path(folder).resolve())
        for answer in (answer for answer in answers if not answer.agrees):
            wrong += 1
            print(f"{name}, {answer}\n")
        if "--update" in arguments:
            _update(Path(name), answers)
    return 1 if wrong else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
