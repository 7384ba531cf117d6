"""From what a reader gives to text, by kind: pure functions, so that workers can run them."""

from __future__ import annotations

from collections.abc import Callable, Mapping

from hanhua.text.readers.markup import clean_markdown
from hanhua.text.readers.pages import extract_page
from hanhua.text.readers.read import Record
from hanhua.text.readers.restructured import clean_rst


def _html(text: str, keep_code: bool) -> tuple[str, str]:
    return extract_page(text)


def _markdown(text: str, keep_code: bool) -> tuple[str, str]:
    return clean_markdown(text, keep_code), ""


def _rst(text: str, keep_code: bool) -> tuple[str, str]:
    return clean_rst(text, keep_code), ""


_EXTRACTORS: Mapping[str, Callable[[str, bool], tuple[str, str]]] = {
    "html": _html, "markdown": _markdown, "rst": _rst,
}  # fmt: skip
KINDS = ("text", *_EXTRACTORS)
"""The kinds of a record."""


def extract(record_kind: str, text: str, keep_code: bool = True) -> tuple[str, str]:
    """Take the text out of a record's text.

    Args:
        record_kind: the record's kind, one of KINDS.
        text: the record's text.
        keep_code: whether blocks of code stay in Markdown and reStructuredText.

    Returns:
        (text, ""), or ("", a reason to count by). Text of kind "text" is returned as it is.

    Raises:
        DependencyError: for pages without the ``web`` extra.
        KeyError: for a kind that is none.
    """
    if record_kind == "text":
        return text, ""
    extractor = _EXTRACTORS[record_kind]
    try:
        return extractor(text, keep_code)
    except RecursionError:  # a text that nests more deeply than anybody writes
        return "", "nested_too_deeply"


def extract_record(record: Record, keep_code: bool = True) -> Record:
    """The same for a whole record, whose kind is "text" afterwards.

    Raises:
        DependencyError: for pages without the ``web`` extra.
    """
    if record.text is None or record.kind == "text":
        return record
    text, problem = extract(record.kind, record.text, keep_code)
    if problem:
        return record._replace(text=None, problem=problem, found=record.url, kind="text")
    return record._replace(text=text, kind="text")
