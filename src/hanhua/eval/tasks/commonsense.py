"""English common sense: ARC, HellaSwag, BoolQ, PIQA, OpenBookQA, as lm-evaluation-harness asks.

ARC: https://allenai.org/data/arc (paper: https://arxiv.org/abs/1803.05457)
HellaSwag: https://github.com/rowanz/hellaswag (paper: https://arxiv.org/abs/1905.07830)
BoolQ: https://github.com/google-research-datasets/boolean-questions (https://arxiv.org/abs/1905.10044)
PIQA: https://yonatanbisk.com/piqa (paper: https://arxiv.org/abs/1911.11641)
OpenBookQA: https://allenai.org/data/open-book-qa (paper: https://arxiv.org/abs/1809.02789)

Rows are read as on the hub, as in the authors' files, and as in LLM-Adapters' collection
(https://github.com/AGI-Edgerunners/LLM-Adapters), whose instruction holds question and options.
"""

from __future__ import annotations

import re
from typing import Any

from hanhua.eval.tasks.question import Question, Wording
from hanhua.eval.tasks.rows import Row
from hanhua.eval.tasks.rowset import RowSet

HARNESS = "https://github.com/EleutherAI/lm-evaluation-harness/tree/main/lm_eval/tasks/"
ADAPTERS = re.compile(r"^Please choose the correct (?:answer|solution) to the question: ")
OPTION = re.compile(r"\s*(?:Answer|Solution)[1-9]: ")


def wording(
    name: str, folder: str, body: Any, *, gap: str = " ", texts: Any = None, describe: str = ""
) -> dict[str, Wording]:
    """The harness's wording of a set, as the only one."""
    found = Wording(
        f"lm-evaluation-harness {name}", HARNESS + folder, lambda _: describe, "", "", gap,
        body, texts,
    )  # fmt: skip
    return {"harness": found}


def from_adapters(row: Row, name: str) -> Question:
    """A row of LLM-Adapters' form."""
    said, mark, _ = str(row["instruction"]).rpartition("\n\nAnswer format:")
    if not mark or not ADAPTERS.match(said):
        raise ValueError("an instruction of another form")
    text, *choices = OPTION.split(ADAPTERS.sub("", said))
    answer = int(re.sub(r"\D", "", str(row["answer"]))) - 1
    return _made(name, text, choices, answer)


def _made(name: str, text: str, choices: list[str], answer: int, **more: Any) -> Question:
    if len(choices) < 2 or not 0 <= answer < len(choices):
        raise ValueError(f"answer {answer} of {len(choices)} options")
    return Question(name, "", text, tuple(map(str, choices)), answer, "en", **more)


def _arc(row: Row, name: str) -> Question:
    if "instruction" in row:
        return from_adapters(row, name)
    stem = row.get("question_stem", row.get("question"))
    if isinstance(stem, dict):
        return _arc({**row, **stem, "question": stem["stem"]}, name)
    choices = row["choices"]
    if isinstance(choices, list):
        choices = {key: [c[key] for c in choices] for key in ("text", "label")}
    labels = list(choices["label"])
    return _made(name, stem, list(choices["text"]), labels.index(str(row["answerKey"]).lstrip()))


def _piqa(row: Row, name: str) -> Question | None:
    if "instruction" in row:
        return from_adapters(row, name)
    if int(row["label"]) < 0:
        return None
    return _made(name, row["goal"], [row["sol1"], row["sol2"]], int(row["label"]))


def _boolq(row: Row, name: str) -> Question:
    if "passage" not in row:
        raise ValueError("no passage (LLM-Adapters' form leaves it out)")
    answer = row["label"] if "label" in row else row["answer"]
    choices = ["no", "yes"]
    return _made(name, row["question"], choices, int(answer), passage=str(row["passage"]))


def _hellaswag(row: Row, name: str) -> Question | None:
    if row["label"] in ("", None):
        return None  # the test split keeps its answers
    begun = f"{row['activity_label']}: {row['ctx_a']} {str(row['ctx_b']).capitalize()}"
    endings = [_without_brackets(str(e)) for e in row["endings"]]
    return _made(name, _without_brackets(begun), endings, int(row["label"]))


def _without_brackets(text: str) -> str:
    """The harness's cleaning of WikiHow's marks, so that prompts are the same to the letter."""
    text = re.sub(r"\[.*?\]", "", text.strip().replace(" [title]", ". "))
    return text.replace("  ", " ")


def _question_answer(question: Question) -> str:
    return f"Question: {question.text}\nAnswer:"


def _text(question: Question) -> str:
    return question.text


_ARC_FORM = '{"question": "…", "choices": {"text": […], "label": […]}, "answerKey": "A"}'

COMMONSENSE = [
    RowSet(
        name="arc_easy", language="en", version=1, source="https://allenai.org/data/arc",
        licence="CC BY-SA 4.0", hub="allenai/ai2_arc", config="ARC-Easy", form=_ARC_FORM,
        parse=_arc, wordings=wording("arc_easy", "arc", _question_answer),
    ),
    RowSet(
        name="arc_challenge", language="en", version=1, source="https://allenai.org/data/arc",
        licence="CC BY-SA 4.0", hub="allenai/ai2_arc", config="ARC-Challenge", form=_ARC_FORM,
        parse=_arc, wordings=wording("arc_challenge", "arc", _question_answer),
    ),
    RowSet(
        name="hellaswag", language="en", version=2, source="https://github.com/rowanz/hellaswag",
        licence="MIT", hub="Rowan/hellaswag", split="validation", parse=_hellaswag,
        form='{"activity_label": "…", "ctx_a": "…", "ctx_b": "…", "endings": […], "label": 0}',
        wordings=wording("hellaswag", "hellaswag", _text),
    ),
    RowSet(
        name="boolq", language="en", version=2,
        source="https://github.com/google-research-datasets/boolean-questions",
        licence="CC BY-SA 3.0", hub="aps/super_glue", config="boolq", split="validation",
        form='{"passage": "…", "question": "…", "label": 0}', parse=_boolq,
        wordings=wording(
            "boolq", "super_glue/boolq",
            lambda q: f"{q.passage}\nQuestion: {q.text}?\nAnswer:",
        ),
    ),
    RowSet(
        name="piqa", language="en", version=2, source="https://yonatanbisk.com/piqa",
        licence="AFL 3.0", hub="baber/piqa", split="validation", parse=_piqa,
        form='{"goal": "…", "sol1": "…", "sol2": "…", "label": 0}',
        wordings=wording("piqa", "piqa", _question_answer),
    ),
    RowSet(
        name="openbookqa", language="en", version=1, source="https://allenai.org/data/open-book-qa",
        licence="Apache-2.0", hub="allenai/openbookqa", config="main", parse=_arc,
        form='{"question_stem": "…", "choices": {"text": […], "label": […]}, "answerKey": "A"}',
        wordings=wording("openbookqa", "openbookqa", _text),
    ),
]  # fmt: skip
