"""What ``hanhua mix --domains`` leaves: study, answer, and a recipe that takes the answer."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from hanhua.mix.domain_study import DomainStudy
    from hanhua.recipe import Recipe


def write_domains(
    recipe: Recipe, study: DomainStudy, result: dict[str, Any], runs: Path
) -> dict[str, Any]:
    """Write study, answer and recipe; the answer with their paths and notes.

    Args:
        recipe: the user's, with the budget that was answered for.
        study: what was measured.
        result: the answer as JSON values.
        runs: folder that holds the runs.
    """
    import yaml

    from hanhua.core.files import write_json, write_text
    from hanhua.mix.domain_result import domain_head

    assert recipe.tokens is not None
    folder = runs / f"{recipe.name}-mix"
    files = {"study": "domains.json", "answer": "answer.json", "recipe": "recipe.yaml"}
    result |= {"files": {name: str(folder / file) for name, file in files.items()}}
    zeros = dict.fromkeys(recipe.tokens.shares, 0.0)
    data = recipe.model_dump(mode="json", by_alias=True, exclude_unset=True)
    data["tokens"]["shares"] = zeros | result["shares"]
    study.write(folder / files["study"])
    write_json(folder / files["answer"], result, sort_keys=False)
    text = yaml.safe_dump(data, allow_unicode=True, sort_keys=False)
    write_text(folder / files["recipe"], domain_head(result) + text)
    return result
