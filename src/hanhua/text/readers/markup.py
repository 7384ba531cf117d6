"""Markdown to the text that a reader sees, as near to it as can be told without guessing.

Headings, lists, tables, emphasis and code stay as they are written: they are sense, and models
are to learn them. What goes is what no reader sees: front matter, comments, link targets, images
and badges, anchors and the tags of layout. Where it is not certain that something is markup
(``a[0][1]``, ``[甲方](以下简称甲方)``, ``<table>`` in prose), it stays.
"""

from __future__ import annotations

import re
from collections.abc import Iterator

from hanhua.text.readers.markup_inline import Inline, is_target, label_key

_FRONT = re.compile(
    r"\A\s*(?:---[ \t]*\n(?=\s*(?:[\w\"'-][^\n:]*:(?:\s|$)|#|- ))"
    r"(?:(?!---|\.\.\.)[^\n]*\n){0,300}(?:---|\.\.\.)[ \t]*(?:\n|\Z)"
    r"|\+\+\+[ \t]*\n(?:(?!\+\+\+)[^\n]*\n){0,300}\+\+\+[ \t]*(?:\n|\Z))"
)
_FENCE = re.compile(r"(?:[ \t]|>|(?:[-*+]|\d{1,9}[.)])[ \t])*(`{3,}(?=[^`]*$)|~{3,})")
_FENCE_END = re.compile(r"[ \t>]*(`{3,}|~{3,})[ \t]*$")
_LIST_ITEM = re.compile(
    r"[ \t>]*(?:[-*+]|\d{1,9}[.)]|\[\^[^\]]+\]:|!!!|\?\?\?\+?|===|:{3,})(?:[ \t]|$)"
)
_DEFINITION = re.compile(
    r" {0,3}\[(?!\^)((?:[^\]\\\n]|\\.)+)\]:[ \t]*(<[^>\n]*>|\S+)"
    r"(?:[ \t]+(?:\"[^\"\n]*\"|'[^'\n]*'|\([^)\n]*\)))?[ \t]*$"
)
_HIDDEN = re.compile(
    r"[ \t]*(?:\[(?:#|//|comment)\]:.*|\[TOC\]|\[toc\]|\[\[_?(?:TOC|toc)_?\]\]|\{:[^}\n]*\}|:{3,}|"
    r"\{\{[<%].*[>%]\}\}|\{%.*%\})[ \t]*$"
)
_COMPONENT = re.compile(r"[ \t]*<(/?)([A-Z][\w.]*)(?:\s[^<>]*)?(/?)>[ \t]*$")
_ADMONITION = re.compile(
    r"([ \t]*)(?:(?:!!!|\?\?\?\+?|===\+?)[ \t]*[\w-]*[ \t]*\"([^\"\n]*)\""
    r"|(?:!!!|\?\?\?\+?)[ \t]+[\w-]+|:{3,}[ \t]*[\w-]+(?:[ \t]+(.*))?)[ \t]*$"
)
_STEP = re.compile(r"<\d+>")
_COMMENT_BEGIN = "<!--"
_MOST_COMMENT_LINES = 1000
_WHOLE_SPANS = re.compile(r"(`+)[^`].{0,2000}?\1|<!--.{0,2000}?-->")
_CLOSING_TAG = re.compile(r"</([\w.]+)\s*>")


def clean_markdown(text: str, keep_code: bool = True) -> str:
    """Reduce Markdown to its text.

    Pure. Code, inline or in blocks, and formulas are never touched.

    Args:
        text: a document.
        keep_code: whether fenced code blocks stay.

    Returns:
        The text, still with the marks of headings, lists, tables and emphasis.
    """
    text = text.replace("\r\n", "\n").removeprefix("\ufeff")
    lines = _FRONT.sub("", text).split("\n")
    blocks = list(_blocks(lines, keep_code))
    prose = _WHOLE_SPANS.sub("", "\n".join(block for verbatim, block in blocks if not verbatim))
    closed = set(_CLOSING_TAG.findall(prose))
    inline = Inline(_labels(prose), {name.lower() for name in closed})
    out: list[str] = []
    for verbatim, block in blocks:
        found = block if verbatim else inline.clean(_visible_lines(block, closed))
        if found.strip() or (out and out[-1].strip()):
            out.append(found if found.strip() else "")
    return "\n".join(out).strip("\n")


def _blocks(lines: list[str], keep_code: bool) -> Iterator[tuple[bool, str]]:
    """Code blocks and empty lines, to be kept as they are, and the paragraphs between them."""
    held: list[str] = []
    in_list, place = False, 0
    while place < len(lines):
        line = lines[place]
        end = _code_end(lines, place, bool(held) or in_list)
        if held and (end > place or not line.strip()):
            yield False, "\n".join(held)
            held = []
        if end > place:
            if keep_code or not _FENCE.match(line):
                yield True, "\n".join(lines[place:end])
            place = end
            continue
        if line.strip():
            comment_end, line = _without_comment(lines, place)
            held.append(line)
            in_list = bool(_LIST_ITEM.match(line)) or (in_list and line[:1] in (" ", "\t"))
            place = comment_end
        else:
            yield True, ""
            place += 1
    if held:
        yield False, "\n".join(held)


def _code_end(lines: list[str], place: int, in_text: bool) -> int:
    """Where the code block that begins here ends; here, if none begins."""
    fence = _FENCE.match(lines[place])
    if fence:
        for end in range(place + 1, len(lines)):
            found = _FENCE_END.match(lines[end])
            if found and found[1].startswith(fence[1]):
                return end + 1
        return len(lines)
    if in_text or not lines[place].startswith(("    ", "\t")) or not lines[place].strip():
        return place
    end = last = place
    while end < len(lines) and (not lines[end].strip() or lines[end].startswith(("    ", "\t"))):
        end += 1
        last = end if lines[end - 1].strip() else last
    return last


def _without_comment(lines: list[str], place: int) -> tuple[int, str]:
    """The next line's place, and this line without a comment that ends on a later one."""
    line = lines[place]
    if _COMMENT_BEGIN not in line:
        return place + 1, line
    begin = _WHOLE_SPANS.sub(lambda m: " " * len(m[0]), line).find(_COMMENT_BEGIN)
    if begin >= 0:
        for end in range(place + 1, min(place + _MOST_COMMENT_LINES, len(lines))):
            if "-->" in lines[end]:
                return end + 1, line[:begin] + lines[end].partition("-->")[2]
    return place + 1, line


def _labels(prose: str) -> set[str]:
    """The labels of link targets that stand on lines of their own."""
    found = (_DEFINITION.match(line) for line in prose.split("\n"))
    return {label_key(match[1]) for match in found if match and is_target(match[2])}


def _visible_lines(block: str, closed: set[str]) -> str:
    """A paragraph without the lines that are nothing but markup."""
    lines = (_visible_line(line, closed) for line in block.split("\n"))
    return "\n".join(line for line in lines if line is not None)


def _visible_line(line: str, closed: set[str]) -> str | None:
    if _HIDDEN.match(line):
        return None
    component = _COMPONENT.match(line)
    if component and (component[1] or component[3] or component[2] in closed):
        return None
    definition = _DEFINITION.match(line)
    if definition and is_target(definition[2]):
        return None
    admonition = _ADMONITION.match(line)
    if admonition:
        title = _STEP.sub("", admonition[2] or admonition[3] or "")
        return admonition[1] + title if title else None
    return line
