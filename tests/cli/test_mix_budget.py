"""The answer of a mixture for the budget that its corpus can fill."""

from __future__ import annotations

import math

import pytest

from hanhua.cli.mix_budget import NEAR, PART_HELD, answer_within, fillable
from hanhua.recipe import Recipe

ASKED = 1_000_000


def recipe_of():
    return Recipe.model_validate({
        "name": "made", "base": {"model": "base"},
        "tokens": {"budget_tokens": ASKED, "max_epochs": 2.0, "shares": {"zh": 0.5, "en": 0.5}},
        "corpus": {"sources": [{"path": "zh.jsonl", "language": "zh", "licence": "CC0"}]},
        "pretrain": {},
    })  # fmt: skip


def asked_with(share):
    """An answer whose share of Chinese is a function of the budget; and the budgets asked for."""
    budgets = []

    def ask(recipe):
        budgets.append(recipe.tokens.budget_tokens)
        zh = round(share(recipe.tokens.budget_tokens), 3)
        return {"shares": {"zh": zh, "en": round(1 - zh, 3)}}

    return ask, budgets


RISES = (
    (0.0, lambda _: 0.6),
    (0.1, lambda n: 0.6 + 0.1 * math.log2(n / ASKED)),
    (-0.1, lambda n: 0.5 - 0.1 * math.log2(n / ASKED)),
    ("a step", lambda n: 0.7 if n > 500_000 else 0.2),
)


@pytest.mark.parametrize(("kind", "share"), RISES, ids=[str(kind) for kind, _ in RISES])
def test_the_answer_is_that_of_the_longest_run_which_the_corpus_fills(kind, share):
    held, (ask, budgets) = {"zh": 150_000.0, "en": 1e9}, asked_with(share)
    recipe, answer, notes = answer_within(recipe_of(), held, ask)
    budget = recipe.tokens.budget_tokens
    assert answer == ask(recipe)
    assert fillable(recipe, answer["shares"], held) == budget < ASKED
    longer = round(budget * NEAR**2)
    most = 2 * PART_HELD * held["zh"] / share(longer)
    assert most < longer
    assert f"{budget:,} tokens" in notes[0]
    assert "1,000,000" in notes[0]
    assert len(budgets) < 20
    # asked for what was written, the answer is the same and nothing is to be said
    assert answer_within(recipe, held, ask) == (recipe, answer, [])


def test_a_corpus_that_is_large_enough_or_unknown_changes_nothing():
    for held in ({"zh": 1e9, "en": 1e9}, {}, {"zh": 0.0}):
        ask, budgets = asked_with(lambda _: 0.6)
        assert answer_within(recipe_of(), held, ask) == (recipe_of(), ask(recipe_of()), [])
        assert set(budgets) == {ASKED}


def test_a_corpus_of_nearly_nothing_comes_to_an_end():
    for held in (0.1, 1.0, 3.0):
        ask, _ = asked_with(lambda n: 0.2 + 0.5 * n / ASKED)
        recipe, _, notes = answer_within(recipe_of(), {"zh": held}, ask)
        assert recipe.tokens.budget_tokens < 100
        assert notes
