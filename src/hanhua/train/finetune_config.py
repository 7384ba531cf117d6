"""The ``finetune`` section."""

from __future__ import annotations

from typing import Annotated

from pydantic import Field

from hanhua.core.config import Added, Section
from hanhua.train.config import OptimConfig


class AnswersConfig(Section):
    """Loss on held-out answers while it is tuned, by language and domain."""

    every_steps: Annotated[
        int | None, Field(ge=1, description="left out: ten times a run; also at start and end")
    ] = None
    conversations: Annotated[
        int, Field(ge=1, description="of each language, of those that chatdata held out")
    ] = 50


class FinetuneConfig(OptimConfig):
    """Instruction tuning: the same loop, with a loss on the assistant's tokens only."""

    learning_rate: Annotated[float, Field(gt=0, description="peak learning rate")] = 3e-4
    batch_tokens: Annotated[int, Field(gt=0, description="tokens in an optimiser step")] = 4096
    weight_decay: Annotated[
        float, Field(ge=0, description="for matrices only; never norms, biases or embeddings")
    ] = 0.0
    seq_len_tokens: Annotated[
        int, Field(ge=16, description="longest conversation; a longer one loses its last turns")
    ] = 512
    rehearsal_share: Annotated[
        float,
        Field(ge=0, lt=1, description="part of the predicted tokens that is pretraining text (the "
              "tokens stage's rows), so that the languages are not unlearnt; 0: none"),
    ] = 0.25  # fmt: skip
    neftune_alpha: Annotated[
        float,
        Added(),
        Field(ge=0, description="noise on the embeddings of conversations while training: uniform, "
              "times this over the root of tokens times width (NEFTune, which tries 5 to 15); 0: "
              "none"),
    ] = 0.0  # fmt: skip
    answers: Annotated[
        AnswersConfig | None,
        Field(description="held-out answers measured on the way, by language and domain; null: "
              "not at all"),
    ] = AnswersConfig()  # fmt: skip
