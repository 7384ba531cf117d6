"""What stands inside a paragraph of reStructuredText: roles, links, substitutions, literals."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass

_TOKEN = re.compile(
    r"(?P<literal>``(?=\S).{1,2000}?(?<=\S)``(?!`))"
    r"|:(?P<role>[A-Za-z][\w+.-]*(?::[\w+.-]+)*):`(?P<content>(?:[^`\\]|\\.){1,2000})`"
    r"|(?<![`\w])`(?P<suffixed>(?:[^`\\]|\\.){1,2000})`:(?P<behind>[a-z][\w+.-]*(?::[\w+.-]+)*):"
    r"|(?<![`\w])_?`(?P<phrase>(?:[^`\\]|\\.){1,2000})`(?P<link>__?)?(?![`\w])"
    r"|\[(?P<note>[#*]|[\w.#-]+)\]_(?!\w)"
    r"|\|(?P<substitution>[^|\s](?:[^|\n]*[^|\s])?)\|(?P<linked>__?(?!\w))?"
    r"|(?<![\w`])(?P<word>[^\W_](?:[\w.+-]*[^\W_])?)__?(?![\w`])"
    r"|\\(?P<escape>[\s*`|_\\<>:\[\]]|$)",
    re.S,
)
_TITLED = re.compile(r"(.*\S)\s*<[^<>]*>", re.S)
_TARGET = re.compile(r"[ \t]*\.\.[ \t]+_(?:`([^`]+)`|((?:[^:\\\n]|\\.)+)):")
_SUBSTITUTION = re.compile(r"[ \t]*\.\.[ \t]+\|([^|\n]+)\|[ \t]+(replace|unicode|\w+)::[ \t]*(.*)")
_CODE_POINT = re.compile(r"(?:0x|U\+|\\u|&#x)([0-9A-Fa-f]{2,6});?")
_CALLABLE = frozenset("func meth function method".split())
_OBJECT = frozenset(
    "func meth class mod attr exc data obj const member type macro struct enum var".split()
)
_LITERAL = frozenset("math kbd samp code literal command file regexp".split())
_NUMBERED = {"pep": "PEP ", "rfc": "RFC ", "cve": "CVE-", "cwe": "CWE-"}


@dataclass(frozen=True, slots=True)
class Names:
    """What a document defines.

    Args:
        targets: names of links, in lower case, that words with a final ``_`` point to.
        substitutions: what stands for ``|name|``.
    """

    targets: frozenset[str]
    substitutions: dict[str, str]


def find_names(lines: Sequence[str]) -> Names:
    """Collect a document's link targets and substitutions."""
    targets, substitutions = set(), {}
    for line in lines:
        if ".. " not in line:
            continue
        if target := _TARGET.match(line):
            targets.add(" ".join((target[1] or target[2]).split()).lower())
        elif found := _SUBSTITUTION.match(line):
            substitutions[found[1]] = _substitute(found[2], found[3].strip())
    return Names(frozenset(targets), substitutions)


def _substitute(kind: str, value: str) -> str:
    if kind == "replace":
        return value
    if kind != "unicode":
        return ""  # an image, a date
    points = [int(code, 16) for code in _CODE_POINT.findall(value)]
    return "".join(chr(point) for point in points if point < 0x110000)


def clean_paragraph(lines: Sequence[str], names: Names) -> str:
    """One paragraph without the marks of roles, links and substitutions."""
    text = "\n".join(lines)
    if text.rstrip().endswith("::"):
        text = _without_colons(text.rstrip())
    return _TOKEN.sub(lambda match: _seen(match, names), text)


def _without_colons(text: str) -> str:
    """A paragraph before a literal block: ``::`` shows as a colon, alone as nothing."""
    text = text[:-2]
    if not text or text[-1].isspace():
        return text.rstrip()
    return text if text[-1] in ":：" else f"{text}:"


def _seen(match: re.Match[str], names: Names) -> str:
    """What a reader sees of one mark."""
    kind, whole = match.lastgroup, match[0]
    if match["content"] or match["suffixed"]:
        role = match["role"] or match["behind"]
        return _role(role.rpartition(":")[2].lower(), match["content"] or match["suffixed"])
    if match["phrase"]:
        shown = match["link"] or whole.startswith("_")
        return _title(match["phrase"]) if shown else whole
    if match["note"]:
        return "" if match["note"] in "#*" else f"[{match['note']}]"
    if match["substitution"]:
        return names.substitutions.get(match["substitution"], whole)
    if match["word"]:
        return match["word"] if match["word"].lower() in names.targets else whole
    if kind == "escape":
        return match["escape"].strip()
    return whole


def _title(content: str) -> str:
    titled = _TITLED.fullmatch(content)
    return titled[1] if titled else content


def _role(name: str, content: str) -> str:
    """What a role shows: its title, else the last part of a name, else its content."""
    if name in _LITERAL:
        return f"${content}$" if name == "math" else content
    if name in _NUMBERED and content.isdigit():
        return _NUMBERED[name] + content
    if name in ("sup", "superscript"):
        return f"^{content}"  # 10^6, not 106
    if titled := _TITLED.fullmatch(content):
        return titled[1]
    shown = content.removeprefix("!")
    if name in _OBJECT and content.startswith("~"):
        shown = content[1:].rpartition(".")[2]
    return f"{shown}()" if name in _CALLABLE and not shown.endswith(")") else shown
