"""What only ``hanhua study knowledge`` walks through: rows with facts, learning them, asking."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Literal

from pydantic import Field

from hanhua.core.config import FilesField, Section, Share
from hanhua.core.stage import Context, Node, Result, Stage
from hanhua.core.walk import Walk
from hanhua.train.config import TrainConfig

if TYPE_CHECKING:
    from hanhua.mix.knowledge_rows import Dealt

TEMPLATE = "hanhua"
ASK_VERSION = INJECT_VERSION = LEARN_VERSION = 1


class FactsConfig(Section):
    """The facts, and how they are dealt out."""

    file: Annotated[FilesField, Field(description="one fact a line")]
    lesson_share: Annotated[
        Share, Field(description="of the facts that are told in every form and language")
    ] = 0.2


class InjectConfig(FactsConfig):
    """What an arm's rows hold."""

    arm: Literal["text", "instructions", "mixed", "control"]
    draw: Annotated[int, Field(ge=0, description="another dealing, other orders")] = 0
    share: Annotated[Share, Field(description="of the learnt tokens that tell facts")] = 0.5
    rows: Annotated[int, Field(ge=2, description="how many")]
    row_targets: Annotated[int, Field(ge=8, description="tokens learnt from each")]


class AskConfig(FactsConfig):
    """What is asked, and on what bits per byte are measured."""

    docs: Annotated[int, Field(ge=1, description="held-out documents of each language")] = 100
    max_chars_per_doc: Annotated[int, Field(ge=1)] = 1000


def deal(config: InjectConfig, languages: Sequence[str], seed: int) -> Dealt:
    """The facts of a file as an arm's rows tell them."""
    from hanhua.mix.knowledge import lessons_and_asked, told_in
    from hanhua.mix.knowledge_file import load_facts
    from hanhua.mix.knowledge_rows import Dealt

    facts = load_facts(Path(config.file), languages)
    lessons, asked = lessons_and_asked(facts, config.lesson_share, seed)
    return Dealt(lessons, asked, told_in(asked, languages, seed, config.draw), config.share)


def inject(context: Context[InjectConfig]) -> Result:
    """Write an arm's rows."""
    from hanhua.chat.template import get_template
    from hanhua.core.files import read_json
    from hanhua.mix.knowledge_ask import exposures
    from hanhua.mix.knowledge_pieces import Maker
    from hanhua.mix.knowledge_rows import build_rows
    from hanhua.model.load import load_tokenizer
    from hanhua.tokens.rows import PackedRows

    config, folder = context.config, context.inputs["model"].path / "model"
    languages, shape = (context.target, context.source), read_json(folder / "config.json")
    dealt = deal(config, languages, context.seed)
    text = PackedRows.open(context.inputs["tokens"].path / "rows")
    maker = Maker(
        load_tokenizer(folder), get_template(TEMPLATE),
        int(shape.get("max_position_embeddings") or 2048), text, context.seed + config.draw,
    )  # fmt: skip
    meta = build_rows(
        maker, dealt, config.arm, context.out / "rows", languages=languages, n_rows=config.rows,
        row_targets=config.row_targets, vocab_size=int(shape["vocab_size"]),
    )  # fmt: skip
    told = exposures(meta["told"], dealt.asked)
    return Result(
        counts={"rows": meta["n_rows"], "learnt": meta["learnt"], "read": meta["read"]},
        metrics={"told": told, "lessons_told": exposures(meta["told"], dealt.lessons)},
    )


def learn(context: Context[TrainConfig]) -> Result:
    """Train on them: the section's ``batch_tokens`` are tokens learnt in a step."""
    from hanhua.core.files import read_json
    from hanhua.stages import pretrain

    meta = read_json(context.inputs["tokens"].path / "rows" / "meta.json")
    a_step = context.config.batch_tokens // meta["row_targets"] * meta["seq_len_tokens"]
    config = context.config.model_copy(update={"batch_tokens": a_step})
    return pretrain.run(replace(context, config=config))


def ask_facts(context: Context[AskConfig]) -> Result:
    """Ask a model for all facts, and measure held-out text."""
    from dataclasses import asdict

    import torch

    from hanhua.chat.template import get_template
    from hanhua.eval.bits_per_byte import choose, score_texts
    from hanhua.eval.forward import CausalModel
    from hanhua.eval.items import write_lines
    from hanhua.mix.knowledge_ask import ask
    from hanhua.mix.knowledge_file import load_facts
    from hanhua.text.shards import read_language
    from hanhua.train.parallel import device_of

    config, languages = context.config, (context.target, context.source)
    if context.machine.threads:
        torch.set_num_threads(context.machine.threads)
    model = CausalModel.load(context.inputs["model"].path / "model", device_of(context.machine))
    facts = load_facts(Path(config.file), languages)
    answers = ask(model, get_template(TEMPLATE), facts, languages, context.progress)
    write_lines(context.out / "answers.jsonl", (one.as_item() for one in answers))
    for language in languages:
        held_out = list(read_language(context.inputs["corpus"].path, language, "held_out"))
        chosen = choose(held_out, config.docs, config.max_chars_per_doc)
        scores = score_texts(model, chosen, context.progress)
        write_lines(context.out / f"bits-{language}.jsonl", map(asdict, scores))
    return Result(counts={"facts": len(facts), "answers": len(answers)})


INJECT = Stage(name="inject", version=INJECT_VERSION, title="put facts among text", run=inject)
LEARN = Stage(name="learn", version=LEARN_VERSION, title="learn them", run=learn)
ASK = Stage(name="ask", version=ASK_VERSION, title="ask for them", run=ask_facts)


def model_stage(walk: Walk) -> str:
    """The stage whose model is studied: the last that made one."""
    present = [node.stage.name for node in walk.nodes]
    return next(name for name in ("pretrain", "expand", "base") if name in present)


def arm_walk(
    walk: Walk, asked: AskConfig, injected: InjectConfig | None = None,
    training: TrainConfig | None = None,
) -> Walk:  # fmt: skip
    """The walk of one arm of the study, or of the model as it is.

    Args:
        walk: of the recipe, up to its rows and its model.
        asked: section of the asking.
        injected: section of the rows; None: nothing is learnt.
        training: section of the training.
    """
    model, nodes = model_stage(walk), list(walk.nodes)
    if injected is not None and training is not None:
        inputs = {"model": model, "tokens": "tokens"}
        nodes.append(Node(stage=INJECT, config=injected, inputs=inputs))
        inputs = {"model": model, "tokens": INJECT.name}
        nodes.append(Node(stage=LEARN, config=training, inputs=inputs))
        model = LEARN.name
    nodes.append(Node(stage=ASK, config=asked, inputs={"model": model, "corpus": "corpus"}))
    return replace(walk, nodes=nodes)
