"""What readers of raw files take and give: a small vocabulary that all of them share.

Readers give plain values, so that texts, questions and conversations can be read alike. Three
wrappers say what a plain value cannot: that one is broken, was mended, or is a web page.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, TypeAlias

from hanhua.text.readers.streams import Opened, open_bytes


@dataclass(frozen=True, slots=True)
class Broken:
    """A value that cannot be read: a reason to count by, and what was found."""

    reason: str
    found: str = ""


@dataclass(frozen=True, slots=True)
class Mended:
    """A value that could be read after all: what was done to it, a word to count by."""

    value: Any
    note: str


@dataclass(frozen=True, slots=True)
class Page:
    """A web page, decoded but with all its markup.

    Args:
        html: the page.
        url: where it was, if that is known.
    """

    html: str
    url: str = ""


@dataclass(frozen=True, slots=True)
class ReadOptions:
    """How to read a file.

    Args:
        text_field: the field or column with the text, ``a.b`` for one inside another; None looks
            for the usual names.
        txt: whether a txt file is one value ("file") or every line is ("line").
        encoding: a Python codec, or "auto".
        columns: the only columns needed of a Parquet file; None reads all.
        kind: what the texts are: "text", "markdown", "rst" or "html"; "auto" goes by the file's
            name.
        mend: whether to read a line that is not in its file's encoding but clearly in another
            one; it comes as Mended. Else it is Broken.
    """

    text_field: str | None = None
    txt: str = "file"
    encoding: str = "auto"
    columns: frozenset[str] | None = None
    kind: str = "auto"
    mend: bool = False


@dataclass(frozen=True, slots=True)
class Task:
    """One file to read.

    Args:
        path: the file.
        options: how.
        tell: takes the bytes on disk consumed so far.
        left: what was found wrong with the file as a whole, to be given last.
    """

    path: Path
    options: ReadOptions
    tell: Callable[[int], None]
    left: list[tuple[str, Broken]] = field(default_factory=list)

    @contextmanager
    def opened(self) -> Iterator[Opened]:
        """Open the file; what stands behind its packed data is counted.

        Raises:
            InputError: when it cannot be opened, is damaged or was cut off.
        """
        with open_bytes(self.path) as opened:
            yield opened
            if opened.garbage:
                broken = Broken("trailing_garbage", opened.garbage)
                self.left.append((f"{self.path.name}:end", broken))


Values: TypeAlias = Iterator[tuple[str, Any]]
"""(``name:line``, a string, mapping, other JSON value, Page, Mended or Broken); ``name:row`` for
tables of rows."""
