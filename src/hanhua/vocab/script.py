"""Which characters belong to the target language alone, and which runs pieces are learnt from.

A new piece must hold a character that the base's language never writes. That is the whole
guarantee that English keeps its ids: no such character in the text, no new piece in its tokens.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from functools import lru_cache
from typing import Literal

from hanhua.core.errors import RecipeError

HAN = (
    "\u2e80-\u2fdf\u3005\u3007\u3021-\u3029\u3400-\u4dbf\u4e00-\u9fff\uf900-\ufaff"
    "\U00020000-\U000323af"
)
KANA = "\u3041-\u3096\u309d-\u309f\u30a1-\u30fa\u30fc-\u30ff\u31f0-\u31ff\uff66-\uff9f"
HANGUL = "\u1100-\u11ff\u3131-\u318e\uac00-\ud7a3"
CJK_MARKS = (
    "\u3001-\u3003\u3008-\u3011\u3014-\u301f\u30fb\ufe30-\ufe4f\uff01-\uff0f\uff1a-\uff20"
    "\uff3b-\uff40\uff5b-\uff65"
)
SHARED_MARKS = "“”‘’—…·"
"""Marks that English writes too: they may lead a piece, never make one."""

Pattern = Literal["punct_letters", "letters_marks", "letters"]

LETTERS = {
    "zh": HAN,
    "ja": HAN + KANA,
    "ko": HANGUL,
    "th": "\u0e01-\u0e3a\u0e40-\u0e4e",
    "ru": "\u0400-\u04ff",
    "el": "\u0370-\u03ff",
    "ar": "\u0620-\u065f\u066e-\u06d3\u06fa-\u06ff",
    "he": "\u05d0-\u05ea",
    "hi": "\u0900-\u0963\u0971-\u097f",
}
"""Target language -> its letters, as the body of a regex class."""
MARKS = {"zh": CJK_MARKS, "ja": CJK_MARKS, "ko": CJK_MARKS}
"""Target language -> its own punctuation."""


@dataclass(frozen=True, slots=True)
class Script:
    """The writing of a target language.

    Args:
        letters: body of a regex class.
        marks: punctuation of this writing alone, the same way; may be empty.
    """

    letters: str
    marks: str = ""

    @property
    def own(self) -> re.Pattern[str]:
        """One character that only the target language writes."""
        return re.compile(f"[{self.letters}{self.marks}]")

    @property
    def letter(self) -> re.Pattern[str]:
        """One letter, without punctuation."""
        return re.compile(f"[{self.letters}]")

    def runs_are(self, pattern: Pattern) -> tuple[bool, bool]:
        """Whether runs may be led by a mark or space, and whether marks make runs of their own."""
        return pattern == "punct_letters", bool(self.marks) and pattern != "letters"

    def leads(self, space: str) -> str:
        """Characters that may lead a run, besides the script's own marks."""
        return space + SHARED_MARKS

    @staticmethod
    @lru_cache(maxsize=16)
    def code_points(body: str) -> tuple[int, ...]:
        """The code points of a regex class body."""
        if not body:
            return ()
        return tuple(
            m.start() for m in re.finditer(f"[{body}]", "".join(map(chr, range(0x110000))))
        )

    def runs(self, space: str, pattern: Pattern = "punct_letters") -> re.Pattern[str]:
        """Stretches of text in which pieces are learnt.

        Args:
            space: how the tokenizer writes a space.
            pattern: ``letters``: of letters alone; ``letters_marks``: marks among themselves too;
                ``punct_letters``: letters may also begin with one mark or space.
        """
        lead, marks = self.runs_are(pattern)
        first = f"[{re.escape(self.leads(space))}{self.marks}]?" if lead else ""
        letters = f"{first}[{self.letters}]+"
        if not marks:
            return re.compile(letters)
        free = f"(?![{self.letters}])" if lead else ""  # the last mark leads what follows
        return re.compile(f"{letters}|[{self.marks}]+{free}")


def script_of(language: str, letters: str | None = None) -> Script:
    """The writing of a language.

    Args:
        language: e.g. "zh"; what follows a hyphen ("zh-TW") is left aside.
        letters: the recipe's own class body, instead of the table's.

    Raises:
        RecipeError: when the language isn't in the table, or the class is no regex.
    """
    code = language.partition("-")[0]
    chosen = letters or LETTERS.get(code)
    if chosen is None:
        raise RecipeError(
            "Nobody has said which letters this language alone writes.", where="vocab.script",
            found=f"target {language!r}",
            fix=f"set vocab.script to a regex class body such as \\u0e01-\\u0e5b, or choose one of "
            f"{', '.join(sorted(LETTERS))}",
        )  # fmt: skip
    script = Script(chosen, MARKS.get(code, ""))
    try:
        own = script.own
    except re.error as error:
        raise RecipeError(
            "This is no regex class body.", where="vocab.script", found=f"{chosen!r}: {error}",
            fix="write ranges such as \\u0e01-\\u0e5b, without brackets",
        ) from error  # fmt: skip
    if any(own.match(chr(code)) for code in range(128)):
        raise RecipeError(
            "The target's letters hold ASCII characters, so English would change.",
            where="vocab.script", found=chosen,
            fix="name only characters that English never writes",
        )  # fmt: skip
    return script
