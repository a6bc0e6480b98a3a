"""Every page that shows commands is typed as it stands, in an empty folder, through the real `tidegate`."""

from pathlib import Path

import pytest

from tools.run_docs import blocks, run_page

ROOT = Path(__file__).parents[2]
PAGES = [
    ROOT / "README.md",
    *sorted((ROOT / "docs").glob("tutorial*.md")),
    *sorted((ROOT / "docs/how-to").glob("*.md")),
]


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.stem)
def test_commands_answer_what_the_page_says(page, tmp_path):
    wrong = [answer for answer in run_page(page, tmp_path.resolve()) if not answer.agrees]
    assert not wrong, "\n\n".join(map(str, wrong)) + f"\n\n`python tools/run_docs.py --update {page}` when it is right"


def test_the_pages_show_commands():
    """A page whose blocks were not found would pass, so the number of commands is counted."""
    typed = {
        page.stem: sum(line.startswith("$ ") for block in blocks(page.read_text()) for line in block.lines)
        for page in PAGES
    }
    assert typed.pop("index") == 0
    assert min(typed.values()) >= 2, typed


class TestThePages:
    """What `run_page` finds in a page, and what it lets pass."""

    def _answers(self, folder, page):
        (folder / "page.md").write_text(page)
        return run_page(folder / "page.md", folder)

    def test_a_titled_block_is_saved(self, tmp_path):
        page = '```text title="a/b.txt"\nhello\n```\n\n```console\n$ cat a/b.txt\nhello\n```\n'
        assert [answer.agrees for answer in self._answers(tmp_path, page)] == [True]

    def test_another_answer_is_found(self, tmp_path):
        (answer,) = self._answers(tmp_path, "```console\n$ echo one\ntwo\n```\n")
        assert not answer.agrees

    def test_a_line_too_many_is_found(self, tmp_path):
        (answer,) = self._answers(tmp_path, "```console\n$ printf 'one\\ntwo\\n'\none\n```\n")
        assert not answer.agrees

    def test_a_failure_is_found_unless_the_page_asks_for_the_code(self, tmp_path):
        (unasked,) = self._answers(tmp_path, "```console\n$ false\n```\n")
        assert not unasked.agrees
        asked = self._answers(tmp_path, "```console\n$ (exit 3)\n$ echo $?\n3\n```\n")
        assert [answer.agrees for answer in asked] == [True, True]

    def test_dots_stand_for_anything(self, tmp_path):
        page = "```console\n$ printf 'one\\ntwo\\nthree 3\\n'\n...\nthree ...\n```\n"
        assert [answer.agrees for answer in self._answers(tmp_path, page)] == [True]

    def test_times_are_not_compared(self, tmp_path):
        (answer,) = self._answers(tmp_path, "```console\n$ echo 'took 1.25s'\ntook 0.31s\n```\n")
        assert answer.agrees
