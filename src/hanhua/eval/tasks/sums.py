"""GSM8K: school arithmetic, the answer written out: https://github.com/openai/grade-school-math.

Prompt and both readings of the answer are lm-evaluation-harness's task ``gsm8k`` (paper:
https://arxiv.org/abs/2110.14168): five solved examples drawn from the training split, greedy, up
to 256 tokens. ``exact`` is its "flexible-extract": the last number; "strict-match", the number
behind "####", is given besides.
"""

from __future__ import annotations

from typing import Any

from hanhua.eval.tasks.commonsense import wording
from hanhua.eval.tasks.question import Question
from hanhua.eval.tasks.rowset import RowSet


def _gsm8k(row: Any, name: str) -> Question:
    if "#### " not in row["answer"]:
        raise ValueError("no #### before the answer")
    return Question(name, "", row["question"], (row["answer"],), 0, "en")


GSM8K = RowSet(
    name="gsm8k", language="en", version=2, source="https://github.com/openai/grade-school-math",
    licence="MIT", hub="openai/gsm8k", config="main", parse=_gsm8k, answers="written",
    metric="exact", rule="number", until=("Question:", "</s>", "<|im_end|>"), max_new_tokens=256,
    form='{"question": "…", "answer": "… #### 72"}',
    wordings=wording("gsm8k", "gsm8k", lambda q: f"Question: {q.text}\nAnswer:"),
)  # fmt: skip
