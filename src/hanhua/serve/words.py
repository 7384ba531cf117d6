"""A word list that ends an answer and refuses a prompt: found across chunk borders, zh and en.

Characters are compared as NFKC and casefolded, so that full-width and capital letters are found
too. A word that begins or ends with an ASCII letter or digit is found only where no other stands
beside it: "ass" is not found in "class". A word in Han characters is found anywhere.
"""

from __future__ import annotations

import unicodedata
from collections.abc import Iterable
from pathlib import Path

from hanhua.core.errors import ServeError
from hanhua.serve.tally import Refusals

MAX_WORD_CHARS = 100


def _fold(character: str) -> str:
    return unicodedata.normalize("NFKC", character).casefold()


def _plain(text: str) -> bool:
    return text.isascii() and text.isalnum()


class BlockWords:
    """A compiled word list.

    Args:
        words: at least one.
    """

    def __init__(self, words: Iterable[str]) -> None:
        self.refusals = Refusals()
        self.words = frozenset("".join(map(_fold, word)) for word in words)
        self.lengths = sorted({len(word) for word in self.words}, reverse=True)
        self.begun = {word[:size] for word in self.words for size in range(1, len(word))}
        # a word that ends in a letter is sure only when the next character is known
        self.begun |= {word for word in self.words if _plain(word[-1])}

    def find(self, text: str, before: str = "", last: bool = True) -> int | None:
        """Where the first word begins, in characters of the text; None when there is none.

        Args:
            text: what to look through.
            before: the character before it, if any.
            last: whether the text ends here; otherwise a word at its end may be undecided.
        """
        folded, origin = _folded(text)
        left = _fold(before)[-1:]
        for start in range(len(folded)):
            for size in self.lengths:
                word = folded[start : start + size]
                if word in self.words and self._stands_alone(folded, start, len(word), left, last):
                    return origin[start]
        return None

    def _stands_alone(self, folded: str, start: int, size: int, left: str, last: bool) -> bool:
        previous = folded[start - 1] if start else left
        if _plain(folded[start]) and previous and _plain(previous):
            return False
        end = start + size
        if not _plain(folded[end - 1]):
            return True
        return last if end == len(folded) else not _plain(folded[end])

    def undecided(self, text: str) -> int:
        """How many characters at the end of a text may still become a word."""
        folded, origin = _folded(text)
        longest = min(len(folded), self.lengths[0])
        for size in range(longest, 0, -1):
            if folded[len(folded) - size :] in self.begun:
                return len(text) - origin[len(folded) - size]
        return 0


def _folded(text: str) -> tuple[str, list[int]]:
    """The folded text and, for each of its characters, which one of the text it comes from."""
    folded, origin = [], []
    for place, character in enumerate(text):
        for part in _fold(character):
            folded.append(part)
            origin.append(place)
    return "".join(folded), origin


class WordFilter:
    """Lets a stream of text through up to the first blocked word.

    Args:
        words: what to look for.
    """

    def __init__(self, words: BlockWords) -> None:
        self.words = words
        self.blocked = False
        self.held = ""
        self._before = ""

    def push(self, text: str, last: bool = False) -> str:
        """Take text; return what is certainly free of the words so far."""
        if self.blocked:
            return ""
        whole = self.held + text
        found = self.words.find(whole, self._before, last)
        if found is not None:
            self.blocked, self.held = True, ""
            return whole[:found]
        size = 0 if last else self.words.undecided(whole)
        free, self.held = whole[: len(whole) - size], whole[len(whole) - size :]
        self._before = free[-1:] or self._before
        return free


def read_words(path: Path | None) -> BlockWords | None:
    """The word list in a file: one a line, empty lines and # comments aside.

    Raises:
        ServeError: when it cannot be read, holds none, or a word is too long.
    """
    if path is None:
        return None
    try:
        lines = [line.strip() for line in path.read_text(encoding="utf-8-sig").splitlines()]
    except (OSError, UnicodeDecodeError) as error:
        raise ServeError(
            "The word list cannot be read.", where=path, found=error,
            fix="write one word a line into a UTF-8 text file",
        ) from error  # fmt: skip
    words = [line for line in lines if line and not line.startswith("#")]
    if not words:
        raise ServeError("The word list holds no word.", where=path, fix="write one word a line")
    if long := [word for word in words if len(word) > MAX_WORD_CHARS]:
        raise ServeError(
            f"A word of the list is longer than {MAX_WORD_CHARS} characters.", where=path,
            found=long[0][:40], fix="write one word a line",
        )  # fmt: skip
    return BlockWords(words)
