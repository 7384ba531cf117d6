"""What ``hanhua mix`` leaves: study, answer, page, and a recipe that takes the answer."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from hanhua.cli.mix_study import Found
    from hanhua.recipe import Recipe


def write_answer(
    recipe: Recipe, found: Found, result: dict[str, Any], runs: Path
) -> dict[str, Any]:
    """Write study, answer, page and recipe; the answer with their paths and notes."""
    from hanhua.mix.collect import in_corpus

    path = runs / f"{recipe.name}-mix" / "study.json"
    found.study.write(path)
    held = {
        language: max(in_corpus(made.tokens, found.corpus, language) for made in found.made)
        for language in result["shares"]
    }
    return write_result(recipe, result, runs, held, files={"study": str(path)})


def write_result(
    recipe: Recipe, result: dict[str, Any], runs: Path, held: Mapping[str, float],
    notes: Sequence[str] = (), files: Mapping[str, str] | None = None,
) -> dict[str, Any]:  # fmt: skip
    """Write answer, page and recipe; the answer with their paths and notes.

    Args:
        recipe: as it was loaded.
        result: the answer.
        runs: folder that holds the runs.
        held: about how many tokens of each language the corpus holds; 0 if not known.
        notes: besides those on the corpus.
        files: name -> path of what was written before.
    """
    from hanhua.core.files import write_json, write_text
    from hanhua.report.mixture import draw_mixture

    folder = runs / f"{recipe.name}-mix"
    budget, more = _affordable(recipe, result, held)
    names = {"answer": "answer.json", "page": "mixture.html", "recipe": "recipe.yaml"}
    paths = {name: str(folder / file) for name, file in names.items()}
    notes = [*notes, *more, *only_large(recipe)]
    result |= {"notes": notes, "files": {**(files or {}), **paths}}
    folder.mkdir(parents=True, exist_ok=True)
    write_json(folder / "answer.json", result, sort_keys=False)
    draw_mixture(result, folder, recipe.name)
    write_text(folder / "recipe.yaml", recipe_text(recipe, result, budget))
    return result


def only_large(recipe: Recipe) -> list[str]:
    """Notes on what the run to come has and no small run had, so that no loss foretold knows it."""
    assert recipe.pretrain is not None
    said = {
        "stop": "may end before it has read its tokens",
        "steer": "moves away from the recommended shares on its way",
    }
    found = [
        f"small runs are made without pretrain.{key}; the run to come has it, and {what}"
        for key, what in said.items() if getattr(recipe.pretrain, key)
    ]  # fmt: skip
    if recipe.pretrain.average and recipe.mix and recipe.mix.schedule == "steady":
        found.append("losses are of the weights that were trained; pretrain.average saves a mean")
    return found


def _affordable(
    recipe: Recipe, result: Mapping[str, Any], corpus: Mapping[str, float]
) -> tuple[int, list[str]]:
    """The budget that the corpus can fill at these shares, and a note where that is less."""
    assert recipe.tokens is not None
    budget, notes = recipe.tokens.budget_tokens, []
    for language, share in result["shares"].items():
        held = corpus.get(language, 0.0)
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
