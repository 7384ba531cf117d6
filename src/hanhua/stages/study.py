"""What only ``hanhua study`` walks through: a model of which all weights are drawn anew.

``arm_walk`` puts it into a recipe's walk. Everything else in it, and so every artifact that has
the same inputs, is the recipe's own.
"""

from __future__ import annotations

from dataclasses import replace
from typing import Annotated

from pydantic import Field

from hanhua.core.config import Section
from hanhua.core.stage import Context, Node, Result, Stage
from hanhua.core.walk import Walk
from hanhua.tokens.config import TokensConfig


class AnewConfig(Section):
    """Which random weights."""

    draw: Annotated[int, Field(ge=0, description="added to the recipe's seed")] = 0


def draw_weights(context: Context[AnewConfig]) -> Result:
    """The input's config and tokenizer with random weights."""
    from hanhua.model.anew import draw_anew

    seed = context.seed + context.config.draw
    found = draw_anew(context.inputs["model"].path / "model", context.out / "model", seed)
    return Result(counts={"params": found["parameters"]}, metrics=found)


ANEW = Stage(name="anew", version=1, title="draw all weights anew", run=draw_weights)


def arm_walk(walk: Walk, *, scratch: bool, draw: int = 0) -> Walk:
    """The walk of one arm of the study.

    Args:
        walk: of the recipe, up to ``pretrain`` or further.
        scratch: whether training starts from random weights, not from the expanded base.
        draw: which order of the rows, and which random weights; 0: those of the recipe's seed.
    """
    nodes: list[Node] = []
    for node in walk.nodes:
        if node.stage.name == "tokens":
            assert isinstance(node.config, TokensConfig)
            order = node.config.order + draw
            node = replace(node, config=node.config.model_copy(update={"order": order}))
        elif node.stage.name == "pretrain" and scratch:
            before = {"model": node.inputs["model"]}
            nodes.append(Node(stage=ANEW, config=AnewConfig(draw=draw), inputs=before))
            node = replace(node, inputs={**node.inputs, "model": ANEW.name})
        nodes.append(node)
    return replace(walk, nodes=nodes)
