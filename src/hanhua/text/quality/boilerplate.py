"""Removes lines of boilerplate: navigation, share buttons, copyright, credits, log-ins, menus.

Only lines that evidently are such: short, and as a whole of a known form, or in a run of very
short lines of which menus are made. C4 keeps only lines that end in punctuation (Raffel et al.
2020, https://arxiv.org/abs/1910.10683, section 2.2), which costs a text its headings, verse,
lists and code; these rules leave all of them.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache

from hanhua.text.quality.beginnings import Likely, likely_lines
from hanhua.text.quality.boilerplate_forms import EN, STRONG, WEAK, ZH
from hanhua.text.quality.document import base_language
from hanhua.text.quality.thresholds import QualityConfig

_EDGES = " \t|｜·•*-–—_=~#>»›<«‹←→[]【】()（）"
_SPLIT = re.compile(r"\s*[|｜·•/»›>＞丨]\s*|\s{2,}|\t")
_BLANK_LINES = re.compile("\n{3,}")
_SENTENCE = re.compile("[。！？；，,.!?;:：、…]")
_FULL_STOP = re.compile(r"[。！？；，]|[.,;!?](?: |$)")
_MAX_MENU_CHARS = 1_000
_HAN = re.compile("[\u4e00-\u9fff]")
_RESERVED = re.compile("all rights? reserved", re.IGNORECASE)
_HEAD_LINES, _FOOT_LINES = 5, 20
_CODE = "    "
"""Lines that are so far indented are code or quoted output."""
_MENU_CHARS = {True: 8, False: 24}
"""The longest entry of a menu, with and without Han characters."""
_MENU_BEGINS = frozenset(name[:4] for name in STRONG | WEAK)


def clean_lines(text: str, language: str, limits: QualityConfig) -> tuple[str, dict[str, int]]:
    """Remove the lines that are boilerplate.

    Args:
        text: a normalised document.
        language: the code that its source declares; Chinese has its own forms beside the English.
        limits: from the recipe: which kinds to remove, and how long one may be.

    Returns:
        The text without those lines (the same object when there are none), and how many lines went
        by kind.
    """
    forms = _forms(base_language(language), limits.boilerplate_lines)
    likely = likely_lines(text, forms.beginnings, _EDGES)
    if not likely.lines and not likely.reserved:
        return text, {}
    lines = text.split("\n")
    kinds = _kinds(lines, likely, forms, limits)
    if not kinds:
        return text, {}
    kept = "\n".join([line for number, line in enumerate(lines) if number not in kinds])
    return _BLANK_LINES.sub("\n\n", kept).strip(), dict(sorted(Counter(kinds.values()).items()))


def _kinds(
    lines: Sequence[str], likely: Likely, forms: _Forms, limits: QualityConfig
) -> dict[int, str]:
    """Number -> kind, of the lines that are boilerplate."""
    asked, max_chars = limits.boilerplate_lines, limits.max_boilerplate_line_chars
    menus = "menu" in asked
    kinds: dict[int, str] = {}
    strong = 0
    for number in likely.lines:
        line = lines[number]
        if len(line) > max_chars:
            if menus and _is_long_menu(line):
                kinds[number] = "menu"
            continue
        if not line or line.startswith(_CODE):
            continue
        bare = line.strip(_EDGES).lower()
        pattern = forms.pattern_for(bare)
        match = pattern.fullmatch(bare) if pattern else None
        if match:
            kinds[number] = match.lastgroup or ""
        if _begins_menu(bare):
            strong += bare in STRONG
            if not match and menus and _is_menu(bare):
                kinds[number] = "menu"
    if "copyright" in asked:
        _settle_copyright(lines, kinds, max_chars, likely.reserved)
    if menus and strong > 1:
        _mark_menus(lines, kinds, limits.min_menu_lines)
    return kinds


def _begins_menu(bare: str) -> bool:
    """Whether a line may begin with an entry that menus have."""
    return bare[:4] in _MENU_BEGINS or bare[:3] in _MENU_BEGINS or bare[:2] in _MENU_BEGINS


def _is_menu(bare: str) -> bool:
    """Whether a line is a row of menu entries."""
    entries = [entry for entry in _SPLIT.split(bare) if entry]
    if len(entries) < 3 and _HAN.search(bare):
        entries = bare.split(" ")
        return len(entries) >= 4 and _looks_like_menu(entries)
    return len(entries) >= 3 and _looks_like_menu(entries)


def _is_long_menu(line: str) -> bool:
    if len(line) > _MAX_MENU_CHARS or not _begins_menu(line[:24].strip(_EDGES).lower()):
        return False
    return not _FULL_STOP.search(line) and _is_menu(line.strip(_EDGES).lower())


def _looks_like_menu(entries: Sequence[str]) -> bool:
    """Two different entries are unmistakable, and a third of all are known."""
    strong = [entry for entry in entries if entry in STRONG]
    weak = sum(entry in WEAK for entry in entries)
    return len(set(strong)) >= 2 and 3 * (len(strong) + weak) >= len(entries)


def _settle_copyright(
    lines: Sequence[str], kinds: dict[int, str], max_chars: int, reserved: bool
) -> None:
    """Copyright stands in heads and feet; elsewhere it is what a page about licences is made of."""
    edge = [
        *range(min(_HEAD_LINES, len(lines))),
        *range(max(len(lines) - _FOOT_LINES, 0), len(lines)),
    ]
    for number in edge if reserved else ():
        if len(lines[number]) <= max_chars and _RESERVED.search(lines[number]):
            kinds[number] = "copyright"
    for number in [number for number, kind in kinds.items() if kind == "copyright"]:
        if number not in edge:
            del kinds[number]


def _mark_menus(lines: Sequence[str], kinds: dict[int, str], min_lines: int) -> None:
    """Mark runs of very short lines that are menus; empty lines do not end a run."""
    run: dict[int, str] = {}
    for number, line in enumerate((*lines, "。")):
        if not line:
            continue
        bare = line.strip(_EDGES).lower() if len(line) <= 2 * _MENU_CHARS[False] else line
        if _is_entry(bare) or number in kinds:
            run[number] = bare
            continue
        if len(run) >= min_lines and _looks_like_menu([*run.values()]):
            for entry in run:
                kinds.setdefault(entry, "menu")
        run.clear()


def _is_entry(bare: str) -> bool:
    if len(bare) > _MENU_CHARS[False]:
        return False
    return len(bare) <= _MENU_CHARS[bool(_HAN.search(bare))] and not _SENTENCE.search(bare)


@dataclass(frozen=True, slots=True)
class _Forms:
    """What lines of boilerplate may begin with.

    Args:
        patterns: a line's first three characters, or two, or one -> what it has to be.
        beginnings: these, and those of the entries of menus if they are asked for.
    """

    patterns: Mapping[str, str]
    beginnings: frozenset[str]

    def pattern_for(self, bare: str) -> re.Pattern[str] | None:
        """The pattern for a line without marks around it and in lower case."""
        found = self.patterns.get(bare[:3]) or self.patterns.get(bare[:2])
        found = found or self.patterns.get(bare[:1])
        return _compiled(found) if found else None


@lru_cache(maxsize=1024)
def _compiled(pattern: str) -> re.Pattern[str]:
    """Compiled when the first line asks for it: to compile all takes a second."""
    return re.compile(pattern)


@lru_cache(maxsize=64)
def _forms(language: str, kinds: tuple[str, ...]) -> _Forms:
    found: dict[str, dict[str, list[str]]] = {}
    starts = []
    for table in (ZH, EN) if language == "zh" else (EN,):
        for kind in kinds:
            for beginnings, rest in table.get(kind, ()):
                for start in beginnings.split("|"):
                    starts.append(start)
                    form = f"{re.escape(start)}(?:{rest})"
                    found.setdefault(start[:3], {}).setdefault(kind, []).append(form)
    patterns = {}
    for key in found:
        forms: dict[str, list[str]] = {}
        for start in (key, key[:2], key[:1])[: len(key)]:
            for kind, some in found.get(start, {}).items():
                forms.setdefault(kind, []).extend(some)
        patterns[key] = "|".join(f"(?P<{kind}>{'|'.join(some)})" for kind, some in forms.items())
    menus = _MENU_BEGINS if "menu" in kinds else frozenset[str]()
    return _Forms(patterns, frozenset(starts) | menus)
