"""The top of the page: what was gained, what was lost, in words and in a few large figures."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from hanhua.report.drift_where import PLACES
from hanhua.report.html import Html, Words, count, interval, join, number, percent, tag
from hanhua.report.page import paragraph
from hanhua.report.run import Run, dig, language, listing, mapping, model, models, real
from hanhua.report.verdict import Verdict, badge, judge, judge_choice


@dataclass(frozen=True, slots=True)
class Change:
    """Bits per byte of the base and of the last model of the walk, in one language.

    Args:
        code: the language.
        name: the last model.
        before: the base's score.
        after: the last model's score.
    """

    code: str
    name: str
    before: Mapping[str, Any]
    after: Mapping[str, Any]

    @property
    def relative(self) -> float | None:
        """The change as a share of the base's value; negative is better."""
        old, new = real(self.before.get("value")), real(self.after.get("value"))
        return new / old - 1 if old and new is not None else None

    @property
    def judged(self) -> Verdict | None:
        """From the paired difference; without one, from whether the two intervals overlap.

        The latter is stricter: intervals that just touch can hide a difference that is there.
        """
        paired = mapping(self.after.get("difference"))
        if not paired:
            old, new = (
                [real(s.get(k)) for k in ("low", "high")] for s in (self.before, self.after)
            )
            if None in old or None in new:
                return None
            paired = {"low": (new[0] or 0) - (old[1] or 0), "high": (new[1] or 0) - (old[0] or 0)}
        return judge(paired, higher_is_better=False)


def change(summary: Mapping[str, Any], code: str) -> Change | None:
    """The change in one language, where base and a later model were measured."""
    found = mapping(summary.get("bits_per_byte"))
    later = [name for name in models(found) if name != "base" and dig(found, name, code)]
    if not later or not dig(found, "base", code):
        return None
    return Change(code, later[-1], mapping(found["base"][code]), mapping(found[later[-1]][code]))


@dataclass(frozen=True, slots=True)
class Exam:
    """A multiple-choice set that base and last model were both asked.

    Args:
        name: of the set.
        judged: the verdict.
        told: accuracy of base → last model, in words.
        n, chance: questions and the accuracy of guessing, in words.
    """

    name: str
    judged: Verdict | None
    told: str
    n: str
    chance: str


def exams(summary: Mapping[str, Any]) -> list[Exam]:
    """The sets of the last model that was compared with the base."""
    found = mapping(summary.get("tasks"))
    names = models(found)
    result = []
    for task in map(mapping, listing(found.get(names[-1]))) if names else ():
        paired = mapping(task.get("difference"))
        new, moved = real(task.get("accuracy")), real(paired.get("value"))
        if new is not None and moved is not None:
            told = f"{percent(new - moved)} → {percent(new)}"
            n, chance = count(task.get("n")), percent(task.get("chance"))
            result.append(Exam(str(task.get("task")), judge_choice(task), told, n, chance))
    return result


def verdict(run: Run) -> list[Html]:
    """What was gained and what was lost, a sentence each."""
    changes = _changes(run)
    sentences = [
        *map(_sentence, changes),
        *_unmeasured(run, changes),
        *map(_exam_sentence, exams(run.summary)),
    ]
    if not sentences:
        return [paragraph("Nothing has been compared yet.", "尚无对比结果。", "verdict absent")]
    return [tag("div", tag("ul", *sentences), class_="verdict")]


def _changes(run: Run) -> list[Change]:
    return [found for code in run.pair if (found := change(run.summary, code))]


def figures(run: Run) -> list[Html]:
    """The few large figures."""
    found = [_bits_figure(one) for one in _changes(run)]
    found += [f for f in (_drift_figure(run), _tokens_figure(run), _shares_figure(run)) if f]
    return [tag("div", *found, class_="figures")] if found else []


def _sentence(found: Change) -> Html:
    en, zh = language(found.code)
    old, new = number(found.before.get("value")), number(found.after.get("value"))
    moved = percent(found.relative, signed=True)
    who_en, who_zh = model(found.name)
    said = Words(
        f"{en}: {old} → {new} bits per byte on held-out text ({moved}), "
        f"base → {str(who_en).lower()} model.",
        f"{zh}：留出文本上 {old} → {new} 比特/字节（{moved}），原模型 → {who_zh}。",
    )
    return tag("li", badge(found.judged), said)


def _unmeasured(run: Run, changes: list[Change]) -> list[Html]:
    """Say it where a gain stands without the other language: nothing is known of the loss."""
    missing = [code for code in run.pair if code not in {found.code for found in changes}]
    if not changes:
        return []
    return [
        tag("li", tag("span", Words("not measured", "未测"), class_="tag even"),
            Words(f"{language(c).en}: no held-out text, so nothing is known of gain or loss.",
                  f"{language(c).zh}：没有留出文本，得失未知。"))
        for c in missing
    ]  # fmt: skip


def _exam_sentence(found: Exam) -> Html:
    said = Words(
        f"{found.name}: {found.told} right (n = {found.n}, chance {found.chance}).",
        f"{found.name}：答对 {found.told}（n = {found.n}，随机 {found.chance}）。",
    )
    return tag("li", badge(found.judged), said)


def _figure(name: Words, big: Html, *under: object) -> Html:
    lines = [tag("div", line, class_="under") for line in under if line]
    top = (tag("div", name, class_="name"), tag("div", big, class_="big"))
    return tag("div", *top, *lines, class_="figure")


def _move(old: str, new: str) -> Html:
    return join((tag("span", f"{old} → ", class_="was"), new))


def _bits_figure(found: Change) -> Html:
    en, zh = language(found.code)
    before, after = found.before, found.after
    ranges = (
        f"{interval(before.get('low'), before.get('high'), 2)} → "
        f"{interval(after.get('low'), after.get('high'), 2)}"
    )
    n = after.get("n_docs")
    return _figure(
        Words(f"{en}: bits per byte", f"{zh}：比特/字节"),
        _move(number(before.get("value"), 2), number(after.get("value"), 2)),
        ranges if interval(before.get("low"), before.get("high")) else "",
        Words(f"n = {n} documents, lower is better", f"n = {n} 篇文档，越低越好") if n else "",
    )


def _drift_figure(run: Run) -> Html | None:
    found = mapping(run.summary.get("drift"))
    names = [name for name in models(found) if name != "base" and mapping(found[name])]
    if not names:
        return None
    scores = mapping(found[names[-1]])
    places = [place for place in PLACES if mapping(scores.get(place))]
    if not places:
        return None
    first = mapping(scores[places[0]])
    en, zh = language(run.source)
    lines = [
        Words(f"{PLACES[p].en}: {number(dig(scores, p, 'value'))}",
              f"{PLACES[p].zh}：{number(dig(scores, p, 'value'))}")
        for p in places
    ]  # fmt: skip
    return _figure(
        Words(f"{en} drift: KL, bits per byte", f"{zh}漂移：KL，比特/字节"),
        join((number(first.get("value")),)),
        interval(first.get("low"), first.get("high")),
        *lines,
    )


def _tokens_figure(run: Run) -> Html | None:
    code = run.target
    found = mapping(run.summary.get("tokens_per_char"))
    old, new = real(dig(found, "before", code)), real(dig(found, "after", code))
    if old is None:
        return None
    en, zh = language(code)
    saved = percent(new / old - 1, 0, signed=True) if new is not None and old else ""
    return _figure(
        Words(f"Tokens per character of {en} text", f"{zh}文本每字符词元数"),
        _move(number(old, 2), number(new, 2)) if new is not None else join((number(old, 2),)),
        Words(f"{saved} on held-out text", f"留出文本上 {saved}") if saved else "",
    )


def _shares_figure(run: Run) -> Html | None:
    shares = mapping(run.summary.get("shares"))

    def shown(kind: str) -> str:
        return " : ".join(number(100 * (real(dig(shares, kind, c)) or 0), 1) for c in run.pair)

    if not mapping(shares.get("counted")) or len(run.pair) < 2:
        return None
    codes = " : ".join(run.pair)
    return _figure(
        Words(f"{codes} share of tokens, counted", f"{codes} 词元占比（实际）"),
        join((shown("counted"),)),
        Words(f"asked for {shown('asked')}", f"要求 {shown('asked')}"),
    )
