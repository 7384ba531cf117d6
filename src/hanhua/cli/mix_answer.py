"""What ``hanhua mix`` leaves: study, answer, page, and a recipe that takes the answer."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from hanhua.cli.mix_study import Found
    from hanhua.recipe import Recipe


def write_answer(
    recipe: Recipe, found: Found, result: dict[str, Any], runs: Path
) -> dict[str, Any]:
    """Write study, answer, page and recipe; the answer with their paths and notes."""
    from hanhua.core.files import write_json, write_text
    from hanhua.report.mixture import draw_mixture

    folder = runs / f"{recipe.name}-mix"
    budget, notes = _affordable(recipe, found, result)
    files = {
        name: str(folder / file) for name, file in (
            ("study", "study.json"), ("answer", "answer.json"), ("page", "mixture.html"),
            ("recipe", "recipe.yaml"),
        )
    }  # fmt: skip
    result |= {"notes": notes, "files": files}
    found.study.write(folder / "study.json")
    write_json(folder / "answer.json", result, sort_keys=False)
    draw_mixture(result, folder, recipe.name)
    write_text(folder / "recipe.yaml", recipe_text(recipe, result, budget))
    return result


def _affordable(recipe: Recipe, found: Found, result: Mapping[str, Any]) -> tuple[int, list[str]]:
    """The budget that the corpus can fill at these shares, and a note where that is less."""
    from hanhua.mix.collect import in_corpus

    assert recipe.tokens is not None
    budget, notes = recipe.tokens.budget_tokens, []
    for language, share in result["shares"].items():
        held = max(in_corpus(made.tokens, found.corpus, language) for made in found.made)
        most = int(0.98 * recipe.tokens.max_epochs * held / share) if share and held else budget
        if most < budget:
            budget = most
            notes.append(
                f"the corpus holds about {held:,.0f} tokens of {language}, too few for this share "
                f"of {recipe.tokens.budget_tokens:,} in {recipe.tokens.max_epochs:g} epochs: the "
                f"recipe written asks for {budget:,} tokens; add {language} text for more"
            )
    return budget, notes


def recipe_text(recipe: Recipe, result: Mapping[str, Any], budget: int) -> str:
    """The user's recipe with the recommended shares, as YAML; its paths are absolute.

    Args:
        recipe: as it was loaded, with what --set changed.
        result: the answer.
        budget: tokens that the corpus can fill.
    """
    import yaml

    data = recipe.model_dump(mode="json", by_alias=True, exclude_unset=True)
    data["tokens"] |= {"shares": dict(result["shares"]), "budget_tokens": budget}
    low, high = result["interval"]
    target = result["target"]
    head = (
        f"# Written by hanhua mix for the wish {result['wish']}: {target} from {low:.2f} to "
        f"{high:.2f} ({result['level']:.0%} interval).\n"
        f"# {'The runs can tell.' if result['sure'] else 'The runs cannot tell:'} "
        f"{result['why']}\n"
    )
    notes = "".join(f"# {note}\n" for note in result["notes"])
    return head + notes + yaml.safe_dump(data, allow_unicode=True, sort_keys=False)
