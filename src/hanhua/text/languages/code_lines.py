"""Program code or prose, line by line, by what code looks like in nearly every language.

A line is code if it has signs that prose does not use (a call, an assignment, a comparison, a
tag), ends where no sentence ends, or begins with a keyword; five plain words in a row speak
against it. Comments and doc strings say nothing. Only texts with many signs are asked (prose has
2 to 6 of 100 visible characters, code 12 to 40), so prose costs no more than a comparison.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass

from hanhua.text.scripts import SYMBOL, Profile

_MIN_SYMBOLS = 0.09
_MIN_LATIN = 0.2
_MAX_CHARS = 8_000
_MOSTLY = 0.5

_KEYWORD = re.compile(
    r"(?:def|class|func|fn|function|struct|enum|interface|trait|impl|namespace|typedef|template"
    r"|extern|static|public|private|protected|async|var|let|const|local|my|our|sub|use|using"
    r"|import|from|package|module|require|include|return|yield|raise|throw|assert|del|await|goto"
    r"|break|continue|pass|if|elif|elsif|else|for|while|try|except|catch|finally|with|switch|case"
    r"|match|then|do|done|fi|esac|end|echo|exit|set|export|print|int|char|void|float|double|long"
    r"|bool|unsigned|SELECT|INSERT|UPDATE|CREATE|FROM|WHERE)\b"
    r"|\#[ ]*(?:include|define|if|ifdef|ifndef|endif|else|undef|pragma|error)\b"
    r"|@[\w.]+|</?[A-Za-z!]|[$&]\w"
)
_SIGN = re.compile(
    r"\w\(|\)(?:;$|:$|[{\[(]|\.\w)|\w\[|\]\[|[\w\])\"' ]=[\w\"'\[({ $&*-]|[!=<>+*/|&-]="
    r"|::|->|=>|&&|\|\||\+\+|</?\w+[ />]|\$[\w{(]|\\n|\w\.\w+\(|['\"]\)|^[\w.\"'-]+: ?[\"'\[{\d]"
    r"|[\w\])],\w|\w_\w|\{\}|%[sd]"
)
_PROSE = re.compile(
    r"\b[A-Za-z]{2,}"
    + ",? [A-Za-z]{2,}" * 4
    + r"|[^\x00-\u024f]{3,},? [^\x00-\u024f]{3}|[一-鿿]{4}"
)
"""Five words in a row, or two in another alphabet, or four Han characters."""
_OPEN_END = frozenset(";{}()[]=\\,:>&|+")
_CLOSING = {"/*": "*/", '"""': '"""', "'''": "'''", "<!--": "-->", "=head": "=cut", "=pod": "=cut"}
_BLOCK = re.compile(r"""r?(/\*|<!--|=head|=pod|\"{3}|'{3})""")
_COMMENT = re.compile(
    r"//|\#(?![ ]*(?:include|define|if|ifdef|ifndef|endif|else|undef|pragma)\b)"
    r"|--[ ]|\*[ /]|\*$|%%|;;|dnl\b"
)


@dataclass(frozen=True, slots=True)
class Parts:
    """A text's code and prose.

    Args:
        code_share: lines of code, of all but comments, in UTF-8 bytes: a Han character weighs
            three letters.
        prose: the text without its lines of code and comments.
    """

    code_share: float
    prose: str

    @property
    def mostly_code(self) -> bool:
        """Whether at least half of the text is code."""
        return self.code_share >= _MOSTLY


def may_be_code(profile: Profile) -> bool:
    """Whether a text has signs and Latin letters enough to be worth a look at its lines."""
    visible = profile.visible
    return (
        profile.kind(SYMBOL) >= _MIN_SYMBOLS * visible
        and profile.of("latin") >= _MIN_LATIN * visible
    )


def is_code(line: str) -> bool:
    """Whether a line, without white space around it, looks like program code."""
    if _PROSE.search(line):
        return False
    end = line[-1] in _OPEN_END
    if len(line) < 3:
        return end
    if _KEYWORD.match(line):
        return end or _SIGN.search(line) is not None or line.count(" ") <= 2
    short = line[-1] == ";" and line.count(" ") <= 3
    return _SIGN.search(line) is not None or short or (end and line[-1] in "{}[(=\\")


def part(text: str) -> Parts:
    """Part a text's first 8,000 characters into code and prose; what follows counts as prose.

    Args:
        text: one document or paragraph.
    """
    sizes = {True: 0, False: 0}
    prose = []
    for line in _without_comments(text[:_MAX_CHARS]):
        code = is_code(line)
        sizes[code] += len(line.encode("utf-8", "surrogatepass"))
        if not code:
            prose.append(line)
    prose.append(text[_MAX_CHARS:])
    return Parts(sizes[True] / max(sum(sizes.values()), 1), "\n".join(prose))


def _without_comments(text: str) -> Iterator[str]:
    """The lines that are neither empty nor comment, stripped."""
    closing = ""
    for raw in text.split("\n"):
        line = raw.strip()
        if closing:
            closing = "" if closing in line else closing
        elif line and line[0].isalnum() and line[0] != "r":
            yield line
        elif line and (block := _BLOCK.match(line)):
            end = _CLOSING[block[1]]
            closing = "" if end in line[block.end() :] else end
        elif line and not _COMMENT.match(line):
            yield line
