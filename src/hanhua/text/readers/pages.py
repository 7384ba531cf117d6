"""Web pages: their encoding, and the text in them that is not menu, advertisement or comment.

Reading a page is fast and happens where files are read; taking its text out is slow (some tens
of pages a second and core) and is a pure function, so that it can run in other processes.
"""

from __future__ import annotations

import codecs
import importlib
import importlib.util
import logging
import re
from functools import cache
from typing import Any

from hanhua.core.errors import DependencyError, InputError
from hanhua.text.readers.encoding import find_encoding, widest
from hanhua.text.readers.values import Broken

MOST_PAGE_CHARS = 5_000_000
"""A larger page is a dump of data, and can keep a parser busy for minutes."""
_HEAD_BYTES = 4096
_DECLARED = re.compile(
    rb"""<meta[^>]{0,200}?charset\s*=\s*["']?\s*([\w.:-]+)|<\?xml[^>]{0,100}?encoding=["']([\w.:-]+)""",
    re.I,
)
_IN_HEADER = re.compile(r"""charset\s*=\s*["']?\s*([\w.:-]+)""", re.I)
_XML = re.compile(r"^\s*<\?xml[^>]*\?>")
_NAMES = {
    "x-gbk": "gb18030", "gb_2312-80": "gb18030", "gb2312-80": "gb18030", "csgb2312": "gb18030",
    "big5-hkscs": "big5hkscs", "x-x-big5": "big5hkscs", "cn-big5": "big5hkscs",
    "x-sjis": "cp932", "windows-31j": "cp932", "ks_c_5601-1987": "cp949", "x-euc-jp": "euc_jp",
}  # fmt: skip
_BOMS = ((codecs.BOM_UTF8, "utf-8-sig"), (codecs.BOM_UTF16_LE, "utf-16"),
         (codecs.BOM_UTF16_BE, "utf-16"))  # fmt: skip
_MOST_WRONG = 0.02


def decode_page(data: bytes, content_type: str = "") -> str | Broken:
    """A page as text.

    A byte order mark decides, then UTF-8 if the bytes are that; then what the server said, what
    the page says, and what the bytes look like, the first that decodes nearly all of it. Latin-1
    is what servers say when they do not know, so it is tried last.

    Args:
        data: the page.
        content_type: what the server said it was.

    Returns:
        The text, or Broken when no encoding fits.
    """
    for mark, name in _BOMS:
        if data.startswith(mark):
            return data.decode(name, "replace")
    try:
        return data.decode("utf-8")
    except UnicodeDecodeError:
        pass
    declared = [name for name in _declared(data, content_type) if name != "cp1252"]
    for name in declared:
        text = data.decode(name, "replace")
        if text.count("\ufffd") <= _MOST_WRONG * (len(text) - len(text.encode("ascii", "ignore"))):
            return text
    try:
        return data.decode(widest(find_encoding(data)), "replace")
    except InputError as error:
        return Broken("broken_encoding", f"{content_type or 'no encoding declared'}: {error.found}")


def _declared(data: bytes, content_type: str) -> list[str]:
    """The codecs that the server and the page name, if Python has them."""
    said = [match[1] for match in _IN_HEADER.finditer(content_type)]
    for match in _DECLARED.finditer(data[:_HEAD_BYTES]):
        said.append((match[1] or match[2]).decode("ascii"))
    found = []
    for name in said:
        try:
            found.append(widest(_NAMES.get(name.lower(), name)))
        except LookupError:
            continue
    return list(dict.fromkeys(found))


@cache
def check_extractor() -> None:
    """Make sure that pages can be turned into text, before a run begins.

    Raises:
        DependencyError: without the ``web`` extra.
    """
    if importlib.util.find_spec("trafilatura") is None:
        raise DependencyError(
            "Web pages need a package that is not installed.", found="no trafilatura",
            fix='pip install "hanhua[web]"',
        )  # fmt: skip


def extract_page(html: str) -> tuple[str, str]:
    """The main text of a page: its article with tables, without comments, links and images.

    Pure, and slow: 20 to 40 milliseconds for a page of 80 kB.

    Args:
        html: the page.

    Returns:
        (text, ""), or ("", a reason to count by): "page_too_large", "no_main_text" or
        "broken_page".

    Raises:
        DependencyError: without the ``web`` extra.
    """
    if len(html) > MOST_PAGE_CHARS:
        return "", "page_too_large"
    extract = _extractor()
    try:
        text = extract(
            _XML.sub("", html), include_comments=False, include_tables=True, include_links=False,
            include_images=False, include_formatting=False, output_format="txt",
        )  # fmt: skip
    except Exception:  # whatever a damaged page does to five libraries, it costs that page
        return "", "broken_page"
    return (text, "") if text and text.strip() else ("", "no_main_text")


@cache
def _extractor() -> Any:
    check_extractor()
    trafilatura: Any = importlib.import_module("trafilatura")
    for name in ("trafilatura", "htmldate", "courlan", "justext"):
        logging.getLogger(name).setLevel(logging.CRITICAL)
    return trafilatura.extract
