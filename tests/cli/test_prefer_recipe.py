"""Recipes with preference tuning: where the stage stands, what it reads, what is refused."""

from __future__ import annotations

import json

import pytest

from hanhua.core.errors import RecipeError
from hanhua.recipe import load_recipe

SECTION = """\
prefer:
  sources: [{path: pairs.jsonl, licence: CC0}]
"""


@pytest.fixture
def with_pairs(project):
    line = json.dumps({"prompt": "Hi", "chosen": "Hello", "rejected": "Go away"})
    (project.folder / "pairs.jsonl").write_text(line + "\n")
    project.edit("eval:\n", SECTION + "eval:\n")
    return project


def nodes(project):
    walk = load_recipe(project.recipe).walk(project.folder / "runs")
    return {node.stage.name: node for node in walk.nodes}


def test_it_stands_behind_finetune_and_is_what_is_exported(with_pairs):
    found = nodes(with_pairs)
    order = list(found)
    assert order.index("finetune") < order.index("prefer") < order.index("eval-base")
    assert order[-2:] == ["eval-prefer", "export"]
    assert found["prefer"].inputs == {"model": "finetune"}
    assert found["eval-prefer"].inputs["model"] == "prefer"
    assert found["export"].inputs["model"] == found["export"].inputs["prefer"] == "prefer"


def test_a_base_is_enough(with_pairs):
    text = with_pairs.recipe.read_text()
    for name in ("vocab", "expand", "tokens", "pretrain", "chatdata", "finetune"):
        head, _, rest = text.partition(f"\n{name}:")
        lines = rest.split("\n")[1:]
        while lines and lines[0].startswith(" "):
            lines.pop(0)
        text = head + "\n" + "\n".join(lines)
    with_pairs.recipe.write_text(text)
    found = nodes(with_pairs)
    assert list(found) == ["base", "corpus", "prefer", "eval-base", "eval-prefer", "export"]
    assert found["prefer"].inputs == {"model": "base"}


def test_watched_it_reads_the_corpus(with_pairs):
    with_pairs.edit(SECTION, SECTION + "  watch: {docs: 4}\n")
    assert nodes(with_pairs)["prefer"].inputs == {"model": "finetune", "corpus": "corpus"}


def test_the_plan_shows_it_and_wrong_keys_are_named(with_pairs):
    done = with_pairs.call("plan", "recipe.yaml", "--json")
    assert done.code == 0, done.err
    row = next(row for row in done.json["stages"] if row["stage"] == "prefer")
    assert row["estimate"]["tokens"] > 0
    assert "steps" not in row["estimate"]
    with_pairs.edit(SECTION, SECTION + "  gama: 1.0\n")
    with pytest.raises(RecipeError, match="Unknown key") as error:
        load_recipe(with_pairs.recipe)
    assert error.value.fix == "did you mean 'gamma'?"
    with_pairs.edit("gama", "gamma")
    with pytest.raises(RecipeError, match="gamma belongs to simpo, and the method is dpo"):
        load_recipe(with_pairs.recipe)
