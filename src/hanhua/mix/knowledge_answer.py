"""The answer of ``hanhua study knowledge`` as one JSON object."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from hanhua.eval.bits_per_byte import TextScore
from hanhua.eval.compare import proportion
from hanhua.mix.knowledge import ARMS, BASE, CONTROL, INSTRUCTIONS, MIXED, TEXT
from hanhua.mix.knowledge_ask import AS_QUESTION, AS_TEXT, KNOWN, NEW, Answer
from hanhua.mix.knowledge_intervals import gap, interval, known
from hanhua.mix.laws import Floats
from hanhua.mix.plain import plain

TOLD, OTHER = "told", "other"
"""Asked in the language in which the fact was injected, and in the other one."""
VIEWS = (
    (AS_TEXT, TOLD, KNOWN), (AS_QUESTION, TOLD, KNOWN), (AS_TEXT, TOLD, NEW),
    (AS_QUESTION, TOLD, NEW), (AS_TEXT, OTHER, KNOWN), (AS_QUESTION, OTHER, KNOWN),
)  # fmt: skip
PAIRS = ((INSTRUCTIONS, TEXT), (MIXED, TEXT), (MIXED, INSTRUCTIONS))


@dataclass(frozen=True, slots=True)
class Run:
    """One model, asked.

    Args:
        arm: which; ``base`` for the model before any of it.
        draw: which dealing of the facts.
        answers: what it made of all facts.
        bits: language -> held-out documents, the same for all.
        told: asked fact -> the language of its injection.
        counts: of its rows (rows, learnt, read), its steps and seconds; empty for the base.
        exposures: how often a fact was told: mean, least, most.
    """

    arm: str
    draw: int
    answers: Sequence[Answer]
    bits: Mapping[str, Sequence[TextScore]]
    told: Mapping[str, str]
    counts: Mapping[str, float]
    exposures: Mapping[str, float]


def check_equal(runs: Sequence[Run]) -> None:
    """Hold the arms to equal learnt tokens and steps.

    Raises:
        ArtifactError: when they are not.
    """
    from hanhua.core.errors import ArtifactError

    for key in ("learnt", "steps"):
        found = {run.counts[key] for run in runs if run.arm != BASE}
        if len(found) > 1:
            raise ArtifactError(
                "The arms did not learn from equally many tokens in equally many steps.",
                where=key, found=sorted(found),
                fix="delete the inject and learn folders of the study and run the command again",
            )  # fmt: skip


def as_result(
    runs: Sequence[Run], target: str, source: str, kinds: Mapping[str, str], notes: Sequence[str]
) -> dict[str, Any]:
    """All that was measured and what it says, as JSON values.

    Args:
        runs: every arm in every draw, and the base once a draw.
        target: a language of the facts.
        source: the other.
        kinds: fact -> its kind, of all facts, those told everywhere too.
        notes: what a reader must know.
    """
    table = _Table(runs, (target, source), kinds)
    arms = (BASE, *ARMS)
    cells = [table.cell(arm, view, told) for told in (None, target, source)
             for view in VIEWS if table.has(view) for arm in arms]  # fmt: skip
    counts = next(run.counts for run in runs if run.arm == TEXT)
    found = {
        "target": target, "source": source, "seeds": table.draws, "facts": len(table.asked),
        "lessons": len(kinds) - len(table.asked), "kinds": len(set(kinds.values())),
        "chance": table.chance,
        "learnt_tokens": counts["learnt"], "steps": counts["steps"],
        "arms": {arm: table.took(arm) for arm in ARMS},
        "recall": cells,
        "pairs": [table.pair(a, b, view) for view in VIEWS if table.has(view) for a, b in PAIRS],
        "lost": [table.lost(arm, name) for name in (target, source) for arm in ARMS],
        "notes": list(notes),
    }  # fmt: skip
    as_json: dict[str, Any] = plain(found)
    return as_json


class _Table:
    """Answers by arm, draw and way of asking, as arrays."""

    def __init__(
        self, runs: Sequence[Run], languages: tuple[str, str], kinds: Mapping[str, str]
    ) -> None:
        self.kinds = kinds
        self.runs = {(run.arm, run.draw): run for run in runs}
        self.draws = 1 + max(run.draw for run in runs)
        self.languages = languages
        self.asked = sorted(runs[0].told)
        self.of: dict[tuple[str, int], dict[tuple[str, str, str, str], Answer]] = {
            key: {(a.id, a.language, a.form, a.wording): a for a in run.answers}
            for key, run in self.runs.items()
        }
        sizes = [a.options for a in runs[0].answers if a.id in runs[0].told]
        self.chance = float(np.mean([1 / size for size in sizes]))

    def has(self, view: tuple[str, str, str]) -> bool:
        """Whether all facts were asked in this way."""
        form, _, wording = view
        there = {(a.id, a.language) for a in self.runs[BASE, 0].answers
                 if (a.form, a.wording) == (form, wording)}  # fmt: skip
        return there >= {(fact, name) for fact in self.asked for name in self.languages}

    def answers(self, arm: str, draw: int, view: tuple[str, str, str]) -> list[Answer]:
        """Of each asked fact, in their order."""
        form, where, wording = view
        told = self.runs[arm, draw].told
        of = self.of[arm, draw]
        return [of[fact, self._language(told[fact], where), form, wording] for fact in self.asked]

    def _language(self, told: str, where: str) -> str:
        one, other = self.languages
        return told if where == TOLD else other if told == one else one

    def right(self, arm: str, view: tuple[str, str, str]) -> Floats:
        """``[draws, facts]`` 1 where the fact's object was the likeliest."""
        return np.array([[float(a.right) for a in self.answers(arm, draw, view)]
                         for draw in range(self.draws)])  # fmt: skip

    def known(self, arm: str, view: tuple[str, str, str]) -> Floats:
        """``[draws, facts]`` the same, less what the answer would get of the kind's other facts."""
        return np.array([
            known(self.answers(arm, draw, view),
                  [(self.kinds[fact], self.runs[arm, draw].told[fact]) for fact in self.asked])
            for draw in range(self.draws)
        ])  # fmt: skip

    def cell(self, arm: str, view: tuple[str, str, str], told: str | None) -> dict[str, Any]:
        """Recall of an arm in one way, and what it has over the control."""
        right = self.right(arm, view)
        keep = [[told is None or self.runs[arm, draw].told[fact] == told for fact in self.asked]
                for draw in range(self.draws)]  # fmt: skip
        each = [a.exact for draw in range(self.draws) for a in self.answers(arm, draw, view)]
        exact = [one for one, kept in zip(each, np.ravel(keep), strict=True) if kept]
        where = {"arm": arm, "form": view[0], "language": view[1], "wording": view[2]}
        values, n = right[np.array(keep)], len(self.asked) if told is None else sum(keep[0])
        share = proportion(round(float(values.mean()) * n), n)
        found = {
            **where, "told_in": told, "n": n, "accuracy": float(values.mean()),
            "low": min(share.low, float(values.mean())),
            "high": max(share.high, float(values.mean())),
            "exact": None if None in exact else float(np.mean([bool(one) for one in exact])),
        }  # fmt: skip
        over = self.known(arm, view) - self.known(CONTROL, view)
        return found | {"over_control": None if arm == CONTROL else gap(over, np.array(keep))}

    def pair(self, a: str, b: str, view: tuple[str, str, str]) -> dict[str, Any]:
        """One arm over another on the same facts."""
        over = self.known(a, view) - self.known(b, view)
        where = {"form": view[0], "language": view[1], "wording": view[2]}
        return {"arm": a, "over": b, **where, **gap(over)}

    def lost(self, arm: str, language: str) -> dict[str, Any]:
        """Held-out bits per byte of an arm, less the base's and less the control's."""
        bits = {name: np.array([
            [one.nats / np.log(2) for one in self.runs[name, draw].bits[language]]
            for draw in range(self.draws)
        ]) for name in (arm, BASE, CONTROL)}  # fmt: skip
        n_bytes = np.array([float(one.n_bytes) for one in self.runs[BASE, 0].bits[language]])
        own, base = (float(bits[name].mean(0).sum() / n_bytes.sum()) for name in (arm, BASE))
        over = {name: interval(bits[arm] - bits[name], n_bytes).as_dict() | {"n": len(n_bytes)}
                for name in (BASE, CONTROL)}  # fmt: skip
        return {"arm": arm, "language": language, "bits_per_byte": own, "base": base,
                "over_base": over[BASE],
                "over_control": None if arm == CONTROL else over[CONTROL]}  # fmt: skip

    def took(self, arm: str) -> dict[str, Any]:
        """How often it told a fact, and what a run took; means over the draws."""
        runs = [self.runs[arm, draw] for draw in range(self.draws)]
        of = {key: float(np.mean([run.counts[key] for run in runs])) for key in ("read", "seconds")}
        told = {key: float(np.mean([run.exposures[key] for run in runs]))
                for key in ("mean", "least", "most")}  # fmt: skip
        return {"told": told, "read_tokens": of["read"], "seconds": of["seconds"]}
