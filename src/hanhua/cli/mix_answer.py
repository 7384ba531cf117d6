"""What ``hanhua mix`` leaves: study, answer, page, and a recipe that takes the answer."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from hanhua.cli.mix_study import Found
    from hanhua.recipe import Recipe


def write_answer(
    recipe: Recipe, found: Found, result: dict[str, Any], runs: Path, notes: Sequence[str]
) -> dict[str, Any]:
    """Write study, answer, page and recipe; the answer with their paths and notes."""
    path = runs / f"{recipe.name}-mix" / "study.json"
    found.study.write(path)
    return write_result(recipe, result, runs, notes, files={"study": str(path)})


def held_by_corpus(recipe: Recipe, found: Found) -> dict[str, float]:
    """About how many tokens of each language the corpus of small runs holds."""
    from hanhua.mix.collect import in_corpus

    assert recipe.tokens is not None
    return {
        language: max(in_corpus(made.tokens, found.corpus, language) for made in found.made)
        for language in recipe.tokens.shares
    }


def write_result(
    recipe: Recipe, result: dict[str, Any], runs: Path, notes: Sequence[str],
    files: Mapping[str, str] | None = None,
) -> dict[str, Any]:  # fmt: skip
    """Write answer, page and recipe; the answer with their paths and notes.

    Args:
        recipe: as it was loaded, with the budget that was answered for.
        result: the answer.
        runs: folder that holds the runs.
        notes: for people.
        files: name -> path of what was written before.
    """
    from hanhua.core.files import write_json, write_text
    from hanhua.report.mixture import draw_mixture

    folder = runs / f"{recipe.name}-mix"
    names = {"answer": "answer.json", "page": "mixture.html", "recipe": "recipe.yaml"}
    paths = {name: str(folder / file) for name, file in names.items()}
    result |= {"notes": [*notes, *only_large(recipe)], "files": {**(files or {}), **paths}}
    folder.mkdir(parents=True, exist_ok=True)
    write_json(folder / "answer.json", result, sort_keys=False)
    draw_mixture(result, folder, recipe.name)
    write_text(folder / "recipe.yaml", recipe_text(recipe, result))
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


def recipe_text(recipe: Recipe, result: Mapping[str, Any]) -> str:
    """The user's recipe with the recommended shares, as YAML; its paths are absolute.

    Args:
        recipe: as it was loaded, with what --set changed and the budget that was answered for.
        result: the answer.
    """
    import yaml

    data = recipe.model_dump(mode="json", by_alias=True, exclude_unset=True)
    data["tokens"]["shares"] = dict(result["shares"])
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
