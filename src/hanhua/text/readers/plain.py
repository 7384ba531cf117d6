"""Readers of files that are text as they stand: txt, Markdown, reStructuredText and HTML."""

from __future__ import annotations

from hanhua.text.readers.lines import plain, text_lists, whole_text
from hanhua.text.readers.pages import decode_page
from hanhua.text.readers.values import Broken, Page, Task, Values


def read_txt(task: Task) -> Values:
    """A file as one text, or every line of it; empty ones are passed over.

    Raises:
        InputError: when the file cannot be opened, is damaged, or of no known encoding.
    """
    if task.options.txt == "line":
        yield from _lines(task)
        return
    found = whole_text(task)
    if plain(found).strip():
        yield f"{task.path.name}:1", found


def _lines(task: Task) -> Values:
    name, number = task.path.name, 0
    for lines in text_lists(task):
        for line in lines:
            number += 1
            if not isinstance(line, str) or line.strip():
                yield f"{name}:{number}", line


def read_html(task: Task) -> Values:
    """A file as one page.

    Raises:
        InputError: when the file cannot be opened or is damaged.
    """
    with task.opened() as opened:
        data = opened.stream.read()
    if data.strip():
        html = decode_page(data)
        yield f"{task.path.name}:1", html if isinstance(html, Broken) else Page(html)
