"""What stands inside a paragraph of Markdown: links, images, tags, comments, code, formulas."""

from __future__ import annotations

import html
import re
from collections.abc import Callable

_VOID = "br|hr|img|input|source|wbr"
_PAIRED = (
    "a|abbr|article|aside|audio|b|big|blockquote|button|center|cite|dd|details|dfn|div|dl|dt|em|"
    "figcaption|figure|font|footer|h[1-6]|header|i|ins|kbd|label|li|main|mark|nav|ol|p|picture|"
    "rb|rt|ruby|section|small|span|strong|summary|table|tbody|td|tfoot|th|thead|tr|tt|u|ul|video"
)
"""Not sup, sub, del and s: 10<sup>6</sup> without them is another number."""
_TOKEN = re.compile(
    r"(?P<escape>\\[!-/:-@\[-`{-~])"
    r"|(?P<code>(?<!`)(?P<ticks>`+)(?!`).{1,2000}?(?<!`)(?P=ticks)(?!`))"
    r"|(?P<math>\$\$.{1,2000}?\$\$|(?<![\w$])\$(?=[^\s$])[^$\n]{0,400}?(?<=\S)\$(?![\d$]))"
    r"|(?P<comment><!--.{0,2000}?-->|\{/\*.{0,2000}?\*/\})"
    r"|(?P<raw><(?P<rawname>pre|code)\b[^<>]*>.{0,5000}?</(?P=rawname)>|<(?:https?|ftp|mailto):[^\s<>]*>)"
    r"|(?P<unseen><(?P<unseenname>script|style|svg|iframe|rp)\b[^<>]*>.{0,5000}?</(?P=unseenname)>)"
    rf"|(?P<tag></?(?P<name>{_VOID}|{_PAIRED})"
    r"(?P<attributes>(?:\s+[\w:@.-]+(?:\s*=\s*(?:\"[^\"]*\"|'[^']*'|[^\s\"'<>]+))?)*)\s*/?>)"
    r"|(?P<entity>&(?:#\d{1,7}|#x[0-9a-f]{1,6}|[a-z]{2,8});)|(?P<image>!\[)|(?P<link>\[)",
    re.S | re.I,
)
_BEGIN = re.compile(r"[\\`$<!\[{&]")
"""What a token can begin with: looking for that first is much faster than trying everywhere."""
_KINDS = ("escape", "code", "math", "comment", "raw", "unseen", "tag", "entity",
          "image", "link")  # fmt: skip
_TARGET = re.compile(
    r"\(\s*(<[^<>\n]*>|[^\s()<>]*(?:\([^\s()]*\)[^\s()]*)*)"
    r"(?:\s+(?:\"[^\"]*\"|'[^']*'|\([^()]*\)))?\s*\)"
)
_LABEL = re.compile(r"\[([^\[\]\n]*)\]")
_ATTRIBUTES = re.compile(r"\{(?:[:#.][^{}\n]{0,200}|[^{}\n]{0,100}=[^{}\n]{0,100})\}")
_ANCHOR = re.compile(r"^([ \t]*#{1,6}[ \t].*?)[ \t]*\{#[^{}\s]+\}[ \t]*$", re.M)
_ONLY_MARKS = re.compile(r"[ \t]*(?:>[ \t]*)*(?:(?:[-*+]|\d{1,3}[.)]|#{1,6})[ \t]*)?$")
_URL = re.compile(r"[a-z][a-z0-9+.-]{1,20}:|[#/]|\.{1,2}/", re.I)
_FILE = re.compile(r"\.(?:md|mdx|html?|png|jpe?g|gif|svg|webp|pdf|rst|txt|zip)(?:[#?].*)?$", re.I)
_NAME = re.compile(r"(?!\d+$)[\w.-]{3,}|$", re.A)
_LONGEST_TEXT = 2000
_DEEPEST = 8


def label_key(text: str) -> str:
    """The label of a link target as labels are compared."""
    return " ".join(text.split()).casefold()


def is_target(target: str) -> bool:
    """Whether this can be nothing but a link's target: an address, a path, a file."""
    if target.startswith("<") and target.endswith(">"):
        return True
    if (target.isascii() and _URL.match(target)) or _FILE.search(target):
        return True
    if target.startswith(("http://", "https://", "/", "./", "../", "#")):
        return True
    return target.isascii() and any(mark in target for mark in "/.#?")


class Inline:
    """Cleans paragraphs.

    Args:
        labels: of the link targets that stand elsewhere in the document.
        closed: names, in lower case, of tags that are closed somewhere in it.
    """

    def __init__(self, labels: set[str], closed: set[str]) -> None:
        self._labels, self._closed = labels, closed
        self._depth = 0
        self._readers: dict[str, Callable[[str, re.Match[str]], tuple[str, int]]] = {
            "link": self._link, "image": self._image, "tag": self._tag,
            "entity": _entity,
        }  # fmt: skip

    def clean(self, text: str) -> str:
        """One paragraph without what a reader does not see."""
        found = _ANCHOR.sub(r"\1", self._run(text))
        if found == text:
            return text
        lines = (line.rstrip() for line in found.split("\n"))
        return "\n".join(line for line in lines if not _ONLY_MARKS.match(line))

    def _run(self, text: str) -> str:
        parts, done, place = [], 0, 0
        while begin := _BEGIN.search(text, place):
            match = _TOKEN.match(text, begin.start())
            if not match:
                place = begin.end()
                continue
            parts.append(text[done : match.start()])
            kind = next(kind for kind in _KINDS if match[kind])
            if reader := self._readers.get(kind):
                found, place = reader(text, match)
            else:
                found, place = "" if kind in ("comment", "unseen") else match[0], match.end()
            parts.append(found)
            done = place
        return "".join((*parts, text[done:]))

    def _tag(self, text: str, match: re.Match[str]) -> tuple[str, int]:
        """A tag goes if it has attributes or a partner; else it may be what the text is about."""
        name, attributes = match["name"].lower(), match["attributes"]
        if name in ("br", "hr"):
            return " ", match.end()
        if name == "rt" and name in self._closed:  # a gloss, above the line where it is shown
            return "）" if match[0].startswith("</") else "（", match.end()
        if name == "wbr" or "=" in attributes or (not attributes.strip() and name in self._closed):
            return " " if name in ("td", "th", "li") else "", match.end()
        return match[0], match.end()

    def _link(self, text: str, match: re.Match[str]) -> tuple[str, int]:
        close = _closing(text, match.start())
        inner = text[match.end() : close]
        if close < 0 or inner.startswith("^"):
            return match[0], match.end()
        before = text[match.start() - 1 : match.start()] if match.start() else ""
        end = self._target_end(text, close + 1, inner, before)
        if end < 0 and not self._is_label(inner):
            return match[0], match.end()
        self._depth += 1
        seen = self._run(inner) if self._depth < _DEEPEST else inner
        self._depth -= 1
        return seen if seen.strip() else "", max(end, close + 1)

    def _is_label(self, inner: str) -> bool:
        """Whether brackets alone are a link; [1] and [A] are kept, they are marks of their own."""
        return len(inner.strip()) > 1 and not inner.isdigit() and label_key(inner) in self._labels

    def _image(self, text: str, match: re.Match[str]) -> tuple[str, int]:
        close = _closing(text, match.end() - 1)
        inner = text[match.end() : close]
        end = self._target_end(text, close + 1, inner, "") if close >= 0 else -1
        if end < 0 and close >= 0 and label_key(inner) in self._labels:
            end = close + 1
        return ("", end) if end >= 0 else ("!", match.start() + 1)

    def _target_end(self, text: str, place: int, inner: str, before: str) -> int:
        """Where the target behind a link's text ends; -1 if there is none."""
        end = -1
        if target := _TARGET.match(text, place):
            is_code = before.isascii() and before.isalnum()  # dp[i](j)
            if is_target(target[1]) or (_NAME.fullmatch(target[1]) and not is_code):
                end = target.end()
        elif label := _LABEL.match(text, place):
            numbers = inner.strip().isdigit() and label[1].isdigit()  # [1][2]
            if not numbers and label_key(label[1] or inner) in self._labels:
                end = label.end()
        attributes = _ATTRIBUTES.match(text, end) if end >= 0 else None
        return attributes.end() if attributes else end


def _entity(text: str, match: re.Match[str]) -> tuple[str, int]:
    return html.unescape(match[0]).replace("\xa0", " "), match.end()


def _closing(text: str, place: int) -> int:
    """Where the bracket that opens here closes; -1 if it does not."""
    depth, end = 0, text.rfind("]", place, place + _LONGEST_TEXT) + 1
    while place < end:
        character = text[place]
        if character == "\\":
            place += 1
        elif character == "`" and (code := _TOKEN.match(text, place)) and code["code"]:
            place = code.end() - 1
        elif character == "[":
            depth += 1
        elif character == "]":
            depth -= 1
            if not depth:
                return place
        place += 1
    return -1
