"""What ``hanhua study knowledge`` says: a table of recall and a few plain sentences."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from hanhua.mix.knowledge import ARMS, BASE, CONTROL

COLUMNS = (
    ("text", "told", "trained", "text"), ("question", "told", "trained", "question"),
    ("text", "told", "new", "text, new wording"),
    ("question", "told", "new", "question, new wording"),
    ("text", "other", "trained", "text, other language"),
    ("question", "other", "trained", "question, other language"),
)  # fmt: skip
"""Form, language, wording, and what a reader sees."""

Result = Mapping[str, Any]


def find(rows: Sequence[Result], **wanted: object) -> Result | None:
    """The row with these values, if there is one."""
    return next((row for row in rows if all(row[k] == v for k, v in wanted.items())), None)


def columns(result: Result) -> list[tuple[str, str, str, str]]:
    """The ways of asking that were asked."""
    there = {(c["form"], c["language"], c["wording"]) for c in result["recall"]}
    return [column for column in COLUMNS if column[:3] in there]


def sign(gap: Result) -> int:
    """1 for more, -1 for less, 0 where the interval holds no difference."""
    return int(gap["low"] > 0) - int(gap["high"] < 0)


def text(result: Result) -> str:
    """The answer in plain lines."""
    n, draws = result["facts"], result["seeds"]
    lines = [
        f"knowledge: {n} facts, n={draws} {'draw' if draws == 1 else 'draws'}, "
        f"{result['learnt_tokens']:,.0f} learnt tokens and {result['steps']:,.0f} steps a run; "
        f"chance {result['chance']:.0%}",
        *("  " + line for line in recall_table(result)),
        *("  " + line for line in verdicts(result)),
        *(f"  note: {note}" for note in result["notes"]),
    ]
    return "\n".join(lines)


def recall_table(result: Result) -> list[str]:
    """Recall by arm and way of asking, as Markdown."""
    asked = columns(result)
    lines = ["| facts told as | told, times | " + " | ".join(c[3] for c in asked) + " |"]
    lines.append("|" + "---|" * (len(asked) + 2))
    for arm in (BASE, *ARMS):
        told = "–" if arm in (BASE, CONTROL) else f"{result['arms'][arm]['told']['mean']:.0f}"
        cells = [find(result["recall"], arm=arm, form=form, language=where, wording=wording,
                      told_in=None) for form, where, wording, _ in asked]  # fmt: skip
        lines.append(f"| {arm} | {told} | " + " | ".join(map(_cell, cells)) + " |")
    return lines


def _cell(cell: Result | None) -> str:
    if cell is None:
        return "–"
    exact = "" if cell["exact"] is None else f", writes {cell['exact']:.0%}"
    return f"{cell['accuracy']:.0%} [{cell['low']:.0%}, {cell['high']:.0%}]{exact}"


def verdicts(result: Result) -> list[str]:
    """Recall, transfer, which form is better, and what was lost: a sentence each."""
    return [
        *(_ahead(result, column) for column in columns(result)),
        *(_better(result, column) for column in columns(result) if column[2] == "trained"),
        *(_lost(result, name) for name in (result["target"], result["source"])),
    ]


def _ahead(result: Result, column: tuple[str, str, str, str]) -> str:
    """Which arms know more than the control, asked in one way."""
    form, where, wording, name = column
    said = []
    for arm in ARMS:
        if arm == CONTROL:
            continue
        cell = find(result["recall"], arm=arm, form=form, language=where, wording=wording,
                    told_in=None)  # fmt: skip
        assert cell is not None
        said.append(f"{arm} {_verdict(cell['over_control'], 'recalled', 'below the control')}")
    return f"{name}: {'; '.join(said)} (points over the control)"


def _better(result: Result, column: tuple[str, str, str, str]) -> str:
    name = column[3]
    pairs = [p for p in result["pairs"] if (p["form"], p["language"], p["wording"]) == column[:3]]
    said = [f"{p['arm']} over {p['over']} {_verdict(p, 'more', 'less')}" for p in pairs]
    return f"{name}, form against form: {'; '.join(said)}"


def _verdict(gap: Result, more: str, less: str) -> str:
    word = {1: more, -1: less, 0: "CANNOT TELL"}[sign(gap)]
    points = (100 * gap[key] for key in ("value", "low", "high"))
    return "{} {:+.0f} [{:+.0f}, {:+.0f}]".format(word, *points)


def _lost(result: Result, language: str) -> str:
    """What held-out text costs more than before, and than in the control."""
    said = []
    for row in result["lost"]:
        if row["language"] != language:
            continue
        own = row["over_base"]
        word = {1: "lost", -1: "gained", 0: "CANNOT TELL"}[sign(own)]
        found = f"{row['arm']} {word} {own['value']:+.3f} [{own['low']:+.3f}, {own['high']:+.3f}]"
        if row["over_control"] is not None:
            found += {1: ", more than the control", -1: ", less than the control",
                      0: ", no telling from the control"}[sign(row["over_control"])]  # fmt: skip
        said.append(found)
    base = next(row["base"] for row in result["lost"] if row["language"] == language)
    return f"{language}, bits per byte over {base:.3f} before: {'; '.join(said)}"
