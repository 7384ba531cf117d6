"""The ordered walk: which stages a recipe asks for, and which artifact fills which role.

This is the whole graph in one place. It is fixed: recipes hold values, never wiring.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from hanhua.core.config import Section
from hanhua.core.stage import Node

ORDER = (
    "base", "corpus", "vocab", "expand", "tokens", "pretrain", "chatdata", "finetune",
    "prefer", "eval-base", "eval-expand", "eval-pretrain", "eval-finetune", "eval-prefer",
    "quantise", "export",
)  # fmt: skip
"""Every stage there is, in walk order."""

MODELS = ("base", "expand", "pretrain", "finetune", "prefer")
"""Stages whose artifact is a model."""


def walk(sections: Mapping[str, Section | None]) -> list[Node]:
    """Lay out the stages for the sections that are there.

    Args:
        sections: recipe section by name; None or absent leaves its stages out.

    Returns:
        Nodes in an order in which every input comes before its reader.
    """
    from hanhua.stages import (
        base,
        chatdata,
        corpus,
        evaluate,
        expand,
        export,
        finetune,
        prefer,
        pretrain,
        quantise,
        tokens,
        vocab,
    )

    has = {name for name, section in sections.items() if section is not None}
    nodes: list[Node] = []

    def add(stage: object, section: str, **inputs: str) -> None:
        present = {node.stage.name for node in nodes}
        wired = {role.replace("_", "-"): name for role, name in inputs.items() if name in present}
        nodes.append(Node(stage=stage, config=sections[section], inputs=wired))  # type: ignore[arg-type]

    add(base.stage(*_spoken(sections)), "base")
    if "corpus" in has:
        add(corpus.STAGE, "corpus")
    # training reads held-out text only where it is watched, and else doesn't depend on it
    watched = {
        name: {"corpus": "corpus"} if _is_watched(sections.get(name)) else {}
        for name in ("pretrain", "finetune", "prefer")
    }
    model = "base"
    if "vocab" in has:
        add(vocab.STAGE, "vocab", base="base", corpus="corpus")
        add(expand.STAGE, "expand", base="base", vocab="vocab", corpus="corpus")
        model = "expand"
    if "pretrain" in has:
        add(tokens.STAGE, "tokens", model=model, corpus="corpus")
        add(pretrain.STAGE, "pretrain", model=model, tokens="tokens", **watched["pretrain"])
        model = "pretrain"
    if "finetune" in has:
        add(chatdata.STAGE, "chatdata")
        add(finetune.STAGE, "finetune", model=model, chatdata="chatdata", tokens="tokens",
            **watched["finetune"])  # fmt: skip
        model = "finetune"
    if "prefer" in has:
        add(prefer.STAGE, "prefer", model=model, **watched["prefer"])
        model = "prefer"
    if "eval" in has:
        for name in [n.stage.name for n in nodes if n.stage.name in MODELS]:
            add(evaluate.stage(f"eval-{name}"), "eval", model=name, base="base", corpus="corpus",
                base_eval="eval-base", **_checked(sections, name))  # fmt: skip
    if "quantise" in has:
        measured: Any = sections["eval"]
        add(quantise.stage(measured), "quantise", model=model, corpus="corpus", tokens="tokens",
            measured=f"eval-{model}")  # fmt: skip
    if "export" in has:
        evals = {f"eval_{name}": f"eval-{name}" for name in MODELS}
        if getattr(sections.get("pretrain"), "steer", None):  # the shares that were read
            evals["pretrain"] = "pretrain"
        add(export.STAGE, "export", model=model, base="base", corpus="corpus", vocab="vocab",
            tokens="tokens", chatdata="chatdata", prefer="prefer", **evals)  # fmt: skip
    return _gated(nodes) if getattr(sections.get("eval"), "gates", None) else nodes


def _spoken(sections: Mapping[str, Section | None]) -> tuple[tuple[str, ...], bool]:
    """The chat templates that stages name, and whether one needs the base's own."""
    chatdata, prefer = sections.get("chatdata"), sections.get("prefer")
    named = [getattr(section, "template", None) for section in (chatdata, prefer)]
    own = prefer is not None and named[1] is None and chatdata is None
    return tuple(name for name in named if name), own


def _gated(nodes: list[Node]) -> list[Node]:
    """Each model measured as soon as it is there, so that a broken limit saves what is behind."""
    found = [node for node in nodes if not node.stage.name.startswith("eval-")]
    for node in nodes:
        if node.stage.name.startswith("eval-"):
            names = [other.stage.name for other in found]
            after = max(names.index(name) for name in node.inputs.values())
            found.insert(after + 1, node)
    return found


def _checked(sections: Mapping[str, Section | None], model: str) -> dict[str, str]:
    """What else a model was trained on that was held against evaluation questions."""
    taught = {"finetune": ("chatdata",), "prefer": ("chatdata", "prefer")}.get(model, ())
    return {name: name for name in taught if getattr(sections.get(name), "contamination", None)}


def _is_watched(section: Section | None) -> bool:
    return any(getattr(section, key, None) is not None for key in ("watch", "stop", "steer"))
