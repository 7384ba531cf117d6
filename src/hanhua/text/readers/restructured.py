"""reStructuredText to the text that a reader sees; the counterpart of ``markup.py``.

Directives give their text (a note its words, a figure its caption, a function its signature and
description), roles the words that they show. What Sphinx puts in from elsewhere (tables of
contents, included files, titles behind labels) is not there to be kept.
"""

from __future__ import annotations

import re
from collections.abc import Iterator

from hanhua.text.readers.restructured_inline import Names, clean_paragraph, find_names

_DROPPED = frozenset(
    "image raw include literalinclude toctree index contents module currentmodule py:module "
    "py:currentmodule highlight highlightlang sectionauthor moduleauthor codeauthor meta role "
    "default-role tabularcolumns rst-class class sectnum header footer target-notes "
    "bibliography autosummary autoclass automodule autofunction automethod autodata autoexception "
    "kernel-doc kernel-include kernel-figure kernel-render video youtube audio raw-html restyle "
    "default-domain title local tags".split()
)
_CODE = frozenset(
    "code code-block sourcecode parsed-literal prompt doctest testcode testoutput testsetup "
    "testcleanup ipython productionlist graphviz digraph mermaid uml plantuml aafig "
    "jupyter-execute code-cell highlight-block tikz".split()
)
_ARGUMENT_IS_NO_TEXT = frozenset(
    "figure only ifconfig container tab-set grid list-table flat-table versionadded "
    "versionchanged deprecated versionremoved deprecated-removed availability "
    "kernel-feat tabs hlist glossary compound sidebar-left todolist".split()
)
_EXPLICIT = re.compile(r"([ \t]*)\.\.(?:[ \t]+(.*))?$")
_DIRECTIVE = re.compile(r"(?:\|[^|\n]+\|[ \t]+)?([\w+.-]+(?::[\w+.-]+)*)[ \t]?::(?:[ \t]+(.*))?$")
_TARGET = re.compile(r"_(?:`[^`]+`|(?![ _])[^:\n]*(?:\\:[^:\n]*)*):(?:\s|$)|__(?:[ \t:]|$)")
_FOOTNOTE = re.compile(r"\[(?:[#*]|[\w.#-]+)\](?:[ \t]|$)")
_OPTION = re.compile(r"[ \t]*:[\w-]+:(?:[ \t]|$)")
_LIST_ITEM = re.compile(r" *(?:[-*+•]|(?:\d{1,3}|[A-Za-z#])[.)]|\(\w{1,3}\)) +(?=\S)")
_HIDDEN_FIELD = re.compile(r":(?:orphan|tocdepth|nocomments|nosearch|date|nottranslated):")
_ANONYMOUS = re.compile(r"__[ \t]+\S+$")
_VERSION = re.compile(r"[\d.]+(?:[ab]|rc)?\d*(?:[ \t]+|$)")


def clean_rst(text: str, keep_code: bool = True) -> str:
    """Reduce reStructuredText to its text.

    Pure. Code blocks and literals are never touched.

    Args:
        text: a document.
        keep_code: whether code blocks and literal blocks stay.

    Returns:
        The text, still with the marks of sections, lists, tables and emphasis.
    """
    lines = text.replace("\r\n", "\n").removeprefix("\ufeff").expandtabs(8).split("\n")
    names = find_names(lines)
    out: list[str] = []
    for block in _blocks(lines, names, keep_code):
        if block.strip() or (out and out[-1].strip()):
            out.append(block)
    return "\n".join(out).strip("\n")


def _indent(line: str) -> int:
    return len(line) - len(line.lstrip(" "))


def _blocks(lines: list[str], names: Names, keep_code: bool) -> Iterator[str]:
    """Cleaned paragraphs, literal blocks as they are, and empty lines between them."""
    place = 0
    while place < len(lines):
        line = lines[place]
        explicit = _EXPLICIT.match(line)
        if not line.strip():
            yield ""
            place += 1
        elif explicit:
            end = _body_end(lines, place + 1, len(explicit[1]))
            yield from _explicit(explicit, lines[place + 1 : end], names, keep_code)
            place = end
        elif line.lstrip().startswith(">>>"):
            end = _paragraph_end(lines, place)
            yield "\n".join(lines[place:end]) if keep_code else ""
            place = end
        else:
            end = _paragraph_end(lines, place)
            yield clean_paragraph([x for x in lines[place:end] if not _is_hidden(x)], names)
            place = end
            if lines[end - 1].rstrip().endswith("::"):
                end = _body_end(lines, place, _text_indent(lines[place - 1]))
                yield "\n".join(lines[place:end]) if keep_code else ""
                place = end


def _is_hidden(line: str) -> bool:
    return bool(_HIDDEN_FIELD.match(line) or _ANONYMOUS.match(line))


def _paragraph_end(lines: list[str], place: int) -> int:
    """Where the lines without an empty one between them end; also before a directive."""
    end = place + 1
    while end < len(lines) and lines[end].strip():
        if lines[end - 1].rstrip().endswith("::") and _indent(lines[end]) > _indent(lines[end - 1]):
            break
        if (found := _EXPLICIT.match(lines[end])) and _is_markup(found[2] or ""):
            break
        end += 1
    return end


def _is_markup(rest: str) -> bool:
    return bool(_DIRECTIVE.match(rest) or _TARGET.match(rest) or _FOOTNOTE.match(rest))


def _text_indent(line: str) -> int:
    """Where a line's text begins, behind the mark of a list item."""
    item = _LIST_ITEM.match(line)
    return item.end() if item else _indent(line)


def _body_end(lines: list[str], place: int, indent: int) -> int:
    """Where the lines that are indented deeper than ``indent`` end, empty ones aside."""
    end = last = place
    while end < len(lines) and (not lines[end].strip() or _indent(lines[end]) > indent):
        end += 1
        last = end if lines[end - 1].strip() else last
    return last


def _explicit(
    explicit: re.Match[str], body: list[str], names: Names, keep_code: bool
) -> Iterator[str]:
    """What a reader sees of a directive, a target, a footnote or a comment."""
    indent, rest = explicit[1], explicit[2] or ""
    directive = _DIRECTIVE.match(rest)
    if directive:
        kind = directive[1].lower()
        if rest.startswith("|") or kind in _DROPPED:
            return
        argument, content = (directive[2] or "").strip(), _without_options(body)
        if kind == "math":
            yield "\n".join([indent + argument, *content])
        if kind in _CODE and keep_code:
            yield "\n".join(content).strip("\n")
        if kind in _CODE or kind == "math":
            return
        text = _argument_text(kind, argument)
        yield from _blocks(_under(indent, [text] if text else [], content), names, keep_code)
    elif _FOOTNOTE.match(rest):
        yield from _blocks([indent + rest, *_dedented(body, indent)], names, keep_code)
    # Targets and comments are seen by nobody.


def _argument_text(kind: str, argument: str) -> str:
    """The part of a directive's argument that is text."""
    if kind.startswith(("version", "deprecated")):
        return _VERSION.sub("", argument, count=1)
    return "" if kind in _ARGUMENT_IS_NO_TEXT else argument


def _without_options(body: list[str]) -> list[str]:
    place = 0
    while place < len(body) and _OPTION.match(body[place]):
        deep = _indent(body[place])
        place += 1
        while place < len(body) and body[place].strip() and _indent(body[place]) > deep:
            place += 1
    return body[place:]


def _under(indent: str, first: list[str], content: list[str]) -> list[str]:
    """A directive's text at the directive's own indentation."""
    return [indent + line for line in first] + _dedented(content, indent)


def _dedented(body: list[str], indent: str) -> list[str]:
    depth = min((_indent(line) for line in body if line.strip()), default=0)
    return [indent + line[depth:] if line.strip() else "" for line in body]
