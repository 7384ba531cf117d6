"""The budget that a corpus can fill, and the answer for it: a recommended share may ask too much.

A law's share is that of a run of some length. Where the corpus has too little text for it, the run
is shorter, and a shorter run may want another share, which the corpus can fill further or less far.
So the law is asked again, for the longest run whose own answer the corpus can fill.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from hanhua.recipe import Recipe

PART_HELD = 0.98
"""Of the tokens reckoned, to be on the safe side."""
NEAR = 1.02
"""Times a budget that is known to be filled: up to it no longer one is looked for."""


def fillable(recipe: Recipe, shares: Mapping[str, float], held: Mapping[str, float]) -> int:
    """The tokens, at most the recipe's, that the corpus fills at these shares.

    Args:
        recipe: says how often a text may be read.
        shares: of each language or domain.
        held: about how many tokens of each the corpus holds; 0: not known.
    """
    assert recipe.tokens is not None
    reads = PART_HELD * recipe.tokens.max_epochs
    each = [
        int(reads * held[key] / share) for key, share in shares.items() if share and held.get(key)
    ]
    return min([recipe.tokens.budget_tokens, *each])


def with_budget(recipe: Recipe, tokens: int) -> Recipe:
    """The recipe with another ``tokens.budget_tokens``."""
    assert recipe.tokens is not None
    changed = recipe.tokens.model_copy(update={"budget_tokens": tokens})
    return recipe.model_copy(update={"tokens": changed})


def answer_within(
    recipe: Recipe, held: Mapping[str, float], ask: Callable[[Recipe], dict[str, Any]]
) -> tuple[Recipe, dict[str, Any], list[str]]:
    """The answer for the run that will be made.

    Args:
        recipe: with the budget that was asked for.
        held: see :func:`fillable`.
        ask: the answer for a recipe's budget; its ``shares`` count.

    Returns:
        The recipe with the budget that its answer's shares can fill, the answer, and a note where
        that is less than was asked for.
    """
    wanted = found = ask(recipe)
    fits, budget, too_long = recipe, fillable(recipe, found["shares"], held), 0
    while fits.tokens and budget < fits.tokens.budget_tokens:  # shorter, until one is filled
        too_long, fits = fits.tokens.budget_tokens, with_budget(recipe, budget)
        found = ask(fits)
        budget = fillable(fits, found["shares"], held)
    if not too_long:
        return recipe, found, []
    while budget and too_long > NEAR * budget + 1:
        if fillable(recipe, found["shares"], held) == budget:  # its shares fill no more
            break
        tried = with_budget(recipe, round((too_long * budget) ** 0.5))
        answer = ask(tried)
        assert tried.tokens is not None
        if fillable(tried, answer["shares"], held) < tried.tokens.budget_tokens:
            too_long = tried.tokens.budget_tokens
        else:
            fits, found, budget = tried, answer, tried.tokens.budget_tokens
    return fits, found, [_note(recipe, wanted["shares"], held, budget)]


def _note(
    recipe: Recipe, shares: Mapping[str, float], held: Mapping[str, float], budget: int
) -> str:
    """What was asked for and is too much, and what is answered instead."""
    assert recipe.tokens is not None
    most = fillable(recipe, shares, held)
    key = next(key for key in shares if fillable(recipe, {key: shares[key]}, held) == most)
    return (
        f"the corpus holds about {held[key]:,.0f} tokens of {key}, too few for a share of "
        f"{shares[key]:.3g} in {recipe.tokens.budget_tokens:,} and {recipe.tokens.max_epochs:g} "
        f"epochs: the recipe written asks for {budget:,} tokens, and the answer is for that run; "
        f"add {key} text for more"
    )
