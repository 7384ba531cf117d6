"""What ``hanhua study knowledge`` is asked, and what of it cannot be carried out."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from hanhua.core.errors import RecipeError, UsageError

if TYPE_CHECKING:
    from hanhua.recipe import Recipe


@dataclass(frozen=True, slots=True)
class Asked:
    """What the command line says.

    Args:
        facts: a file of them; None: invented.
        model: to study in place of the recipe's.
        tokens: learnt in a run, about; None: a thousand a fact.
        share: of them that tell facts.
        seeds: how many dealings of the facts and orders of the rows.
        rate: peak learning rate; None: the recipe's.
    """

    facts: Path | None
    model: str | None
    tokens: int | None
    share: float
    seeds: int
    rate: float | None


def check(recipe: Recipe, asked: Asked) -> None:
    """Refuse what cannot be studied before anything runs.

    Raises:
        RecipeError: when a section, held-out text or a language's rows are missing.
        UsageError: when many processes were started, or a number is out of range.
    """
    from hanhua.core.ranks import started_ranks

    for section in ("corpus", "tokens", "pretrain"):
        if getattr(recipe, section) is None:
            raise RecipeError(
                "This recipe has no rows to put around the facts.", where=section, found="absent",
                fix=f"add the section {section}",
            )  # fmt: skip
    assert recipe.corpus is not None
    assert recipe.tokens is not None
    if not recipe.corpus.held_out_docs:
        raise RecipeError(
            "No text is held out, so what is lost cannot be measured.",
            where="corpus.held_out_docs", found=0, fix="set it to a hundred or more",
        )  # fmt: skip
    there = {key.partition("/")[0] for key, share in recipe.tokens.shares.items() if share > 0}
    for language in (recipe.target, recipe.source):
        if language not in there or recipe.target == recipe.source:
            raise RecipeError(
                "A fact is told in one language and asked in another: the rows need both.",
                where="tokens.shares", found=", ".join(sorted(there)),
                fix=f"give {recipe.target} and {recipe.source} a share, and two different names",
            )  # fmt: skip
    if {recipe.target, recipe.source} != {"zh", "en"} and asked.facts is None:
        raise UsageError(
            "Facts are invented in Chinese and English only.", where="--facts",
            found=f"{recipe.target} and {recipe.source}", fix="name a file of facts",
        )  # fmt: skip
    if not 0 < asked.share < 1:
        raise UsageError("The share lies between 0 and 1.", where="--share", found=asked.share,
                         fix="for example --share 0.5")  # fmt: skip
    if asked.rate is not None and not 0 < asked.rate < float("inf"):
        raise UsageError("A learning rate is above 0.", where="--learning-rate", found=asked.rate,
                         fix="for example --learning-rate 1e-3")  # fmt: skip
    if started_ranks() > 1:
        raise UsageError(
            "The runs of a study are made by one process.", where="torchrun",
            found=started_ranks(), fix="call hanhua study without torchrun",
        )  # fmt: skip
