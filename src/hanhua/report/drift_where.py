"""Where a model moved: drift by position and source, the pieces and the texts that moved most.

A text is shown token by token with its divergence as heat; what the colour says is also in each
token's title, and in words for the places that moved most, so that nothing hangs on colour alone.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import Any

from hanhua.report.chart import Series, curves
from hanhua.report.html import Html, Words, count, join, number, percent, table, tag
from hanhua.report.page import beside, more, note
from hanhua.report.run import Run, dig, listing, mapping, model, real
from hanhua.report.scores import ranged

PLACES = {
    "held_out": Words("held-out text", "留出文本"),
    "sampled": Words("text sampled from the base", "原模型自己采样的文本"),
}
SHADES = 5
AROUND = 60
"""Tokens of a text that are shown on each side of its highest place."""

MOST_TEXTS = 3
COLOURS = ("c6", "c4", "c3", "c5", "c1", "c2")
Row = Mapping[str, Any]


def where(run: Run, names: Sequence[str], places: Sequence[str]) -> list[Html]:
    """What the evaluation recorded of where the models moved; nothing of an older run."""
    scores = {name: mapping(dig(run.json(f"eval-{name}", "scores.json"), "drift"))
              for name in names}  # fmt: skip
    drawn = [part for place in places if (part := _positions(scores, place))]
    body = [beside(*drawn), _windows()] if drawn else []
    last = names[-1]
    for place in places:
        found = mapping(scores[last].get(place))
        inside = [_pieces(found), _sources(scores, names, place), *_texts(run, last, place, found)]
        inside = [part for part in inside if part]
        if inside:
            who, what = model(last), PLACES[place]
            body.append(more(
                f"Where the {str(who.en).lower()} model moved most: {what.en}",
                f"{who.zh}在哪里变化最大：{what.zh}", *inside,
            ))  # fmt: skip
    return body


def _windows() -> Html:
    return note(
        "The first token is predicted from the start token alone. A text longer than the context "
        "is read in windows, each of which begins with an eighth of the one before it.",
        "第一个词元仅由起始词元预测。超过上下文长度的文本分窗读取，每窗以前一窗的八分之一开头。",
    )


def _positions(scores: Mapping[str, Row], place: str) -> Html:
    """Bits per token along the text, a line a model."""
    lines = []
    for at, (name, found) in enumerate(scores.items()):
        points = [
            (middle, value)
            for row in map(mapping, listing(dig(found, place, "by_position")))
            if (value := real(row.get("value"))) is not None
            and (middle := _middle(row)) is not None
        ]
        if len(points) > 1:
            lines.append(Series(model(name), points, COLOURS[at % len(COLOURS)]))
    if not lines:
        return Html("")
    title = Words(f"KL by position, bits per token: {PLACES[place].en}",
                  f"各位置的 KL，比特/词元：{PLACES[place].zh}")  # fmt: skip
    axis = Words("position in the text →", "文本中的位置 →")
    rows = [
        (_span(row), count(row.get("n")),
         *(ranged(_bin(found, place, row)) for found in scores.values()))
        for row in map(mapping, listing(dig(list(scores.values())[-1], place, "by_position")))
    ]  # fmt: skip
    head = (Words("Positions", "位置"), Words("n tokens", "n 词元"), *map(model, scores))
    drawn = curves(lines, f"drift by position, {place}", axis=axis, doubling=True)
    return join((tag("h3", title), drawn, more("As a table", "以表格显示", table(head, rows))))


def _middle(row: Row) -> float | None:
    first, last = real(row.get("first")), real(row.get("last"))
    return math.sqrt(first * last) if first and last else None


def _span(row: Row) -> str:
    first, last = count(row.get("first")), count(row.get("last"))
    return first if first == last else f"{first}–{last}"


def _bin(found: Row, place: str, like: Row) -> Row:
    rows = map(mapping, listing(dig(found, place, "by_position")))
    return next((row for row in rows if row.get("first") == like.get("first")), {})


def _sources(scores: Mapping[str, Row], names: Sequence[str], place: str) -> Html:
    """Bits per byte of each source, a column a model."""
    found = mapping(dig(scores[names[-1]], place, "by_source"))
    if len(found) < 2:
        return Html("")
    rows = [
        (name, count(dig(found, name, "n_docs")),
         *(ranged(mapping(dig(scores[who], place, "by_source", name)), 4) for who in names))
        for name in found
    ]  # fmt: skip
    head = (Words("Source: KL, bits per byte", "来源：KL，比特/字节"), Words("n texts", "n 文本"),
            *map(model, names))  # fmt: skip
    return table(head, rows)


def _pieces(found: Row) -> Html:
    rows = [
        (tag("code", _shown(str(row.get("piece")))), percent(row.get("share")), ranged(row, 2),
         count(row.get("n")), count(row.get("texts")))
        for row in map(mapping, listing(found.get("by_piece")))
    ]  # fmt: skip
    if not rows:
        return Html("")
    head = (
        Words("Where this piece stands", "该词元所在处"), Words("Share of all KL", "占总 KL"),
        Words("KL, bits each time", "每次的 KL，比特"), Words("n times", "n 次"),
        Words("n texts", "n 文本"),
    )  # fmt: skip
    said = note(
        "The divergence of both models' next-token distributions at the places where the text goes "
        "on with this piece. ␣ is a space. Intervals are over texts; with few texts they are wide.",
        "在文本接下来是该词元的位置上，两个模型下一词元分布的散度。␣ 为空格。"
        "区间按文本计算；文本少则区间宽。",
    )
    return join((table(head, rows), said))


def _texts(run: Run, name: str, place: str, found: Row) -> list[Html]:
    """The texts that moved most, with their tokens as heat."""
    wanted = [mapping(row) for row in listing(found.get("by_text"))][:MOST_TEXTS]
    ids = {str(row.get("id")) for row in wanted}
    items = {
        str(row.get("id")): row
        for row in run.lines(f"eval-{name}", f"items/drift-{place}.jsonl")
        if ids and str(row.get("id")) in ids
    }
    drawn = [_text(run, items[str(row.get("id"))], row) for row in wanted
             if listing(items.get(str(row.get("id")), {}).get("kl"))]  # fmt: skip
    if not drawn:
        return []
    return [tag("h3", Words("The texts that moved most", "变化最大的文本")), *drawn, _scale()]


def _text(run: Run, item: Row, row: Row) -> Html:
    kl = [(real(x) or 0.0) / math.log(2) for x in listing(item.get("kl"))]
    pieces = [str(piece) for piece in listing(item.get("pieces"))]
    top = max(range(len(kl)), key=kl.__getitem__)
    start, stop = max(0, top - AROUND), min(len(kl), top + AROUND + 1)
    tokens = [
        tag("span", piece.replace("\n", "↵"), class_=f"h{_shade(bits)}", title=f"{bits:.2f}")
        for piece, bits in zip(pieces[start:stop], kl[start:stop], strict=False)
    ]
    before, after = ("… " if start else ""), (" …" if stop < len(kl) else "")
    value = number(row.get("value"), 4)
    label = tag(
        "p", tag("code", str(item.get("id"))),
        Words(f" {value} bits per byte, {count(item.get('n_tokens'))} tokens",
              f" {value} 比特/字节，{count(item.get('n_tokens'))} 个词元"),
        class_="note",
    )  # fmt: skip
    said = tag("p", before, *tokens, after, class_="heat", lang=run.source)
    return tag("div", label, said, _peaks(run, item, pieces, kl), class_="moved")


def _peaks(run: Run, item: Row, pieces: Sequence[str], kl: Sequence[float]) -> Html:
    """In words: what both models would say where the text moved most."""
    lines = []
    for peak in map(mapping, listing(item.get("peaks"))):
        at = int(real(peak.get("at")) or 0)
        if at >= len(kl):
            continue
        before = "".join(pieces[max(0, at - 6) : at]).replace("\n", "↵")
        base, new = (_says(peak, side) for side in ("base", "new"))
        lines.append(tag("li", Words(
            join(("after ", tag("q", "…", before), ": base ", *base, ", now ", *new,
                  f"; {kl[at]:.2f} bits")),
            join(("在", tag("q", "…", before), "之后：原模型 ", *base, "，现在 ", *new,
                  f"；{kl[at]:.2f} 比特")),
        )))  # fmt: skip
    return tag("ul", *lines, class_="peaks") if lines else Html("")


def _says(peak: Row, side: str) -> tuple[Html, str]:
    sure = percent(peak.get(f"{side}_p"), 0)
    return tag("code", _shown(str(peak.get(side)))), f" ({sure})"


def _shown(piece: str) -> str:
    return piece.replace(" ", "␣").replace("\n", "↵").replace("\t", "⇥")


def _shade(bits: float) -> int:
    """0 to `SHADES`: doubling from 0.06 bits to 1 bit and more."""
    return sum(bits >= limit for limit in (0.0625, 0.125, 0.25, 0.5, 1.0))


def _scale() -> Html:
    limits = ("< 0.06", "0.06", "0.13", "0.25", "0.5", "≥ 1")
    keys = [tag("span", shown, class_=f"h{i}") for i, shown in enumerate(limits)]
    words = Words("KL at each token, bits: ", "每个词元处的 KL，比特：")
    return tag("p", words, join(keys, " "), class_="note heat-key")
