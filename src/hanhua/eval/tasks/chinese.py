"""Chinese reading and inference: C3, OCNLI, EPRSTMT, XCOPA zh, XStoryCloze zh.

C3: https://github.com/nlpdata/c3 (paper: https://arxiv.org/abs/1904.09679)
OCNLI: https://github.com/CLUEbenchmark/OCNLI (paper: https://arxiv.org/abs/2010.05444)
EPRSTMT (FewCLUE): https://github.com/CLUEbenchmark/FewCLUE (paper: https://arxiv.org/abs/2107.07498)
XCOPA: https://github.com/cambridgeltl/xcopa (paper: https://arxiv.org/abs/2005.00333)
XStoryCloze: https://huggingface.co/datasets/juletxara/xstory_cloze (https://arxiv.org/abs/2112.10668)

The last two are asked in lm-evaluation-harness's words. It has no C3, OCNLI or EPRSTMT: those
wordings are this project's, and their names say so.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from typing import Any

from hanhua.eval.tasks.commonsense import wording
from hanhua.eval.tasks.question import Question, Wording, lettered
from hanhua.eval.tasks.rows import Row
from hanhua.eval.tasks.rowset import RowSet

CONNECTORS: Mapping[str, str] = {"cause": "因为", "effect": "所以"}
NLI: Mapping[str, int] = {"entailment": 0, "neutral": 1, "contradiction": 2}
MOODS: Mapping[str, int] = {"Positive": 0, "Negative": 1}


def _own(name: str, body: Callable[[Question], str]) -> dict[str, Wording]:
    return {"hanhua": Wording(f"hanhua {name}", "hanhua", lambda _: "", "", "", "", body)}


def _made(name: str, text: str, choices: list[str], answer: int, **more: Any) -> Question:
    if len(choices) < 2 or not 0 <= answer < len(choices):
        raise ValueError(f"answer {answer} of {len(choices)} options")
    return Question(name, "", text, tuple(choices), answer, "zh", **more)


def _c3(row: Any, name: str) -> Iterator[Question]:
    """All questions of one entry, ``[[lines], [questions], id]``; the hub's rows have one each."""
    if isinstance(row, Mapping):
        row = [row["context"], [row]]
    passage = "\n".join(map(str, row[0]))
    for i, one in enumerate(row[1]):
        choices = list(map(str, one["choice"]))
        answer = choices.index(str(one["answer"]))
        yield _made(f"{name}/{i}", str(one["question"]), choices, answer, passage=passage)


def _c3_body(question: Question) -> str:
    options = lettered(question.choices)
    return f"{question.passage}\n\n问题：{question.text}\n{options}\n答案："


def _ocnli(row: Row, name: str) -> Question | None:
    if row["label"] == "-":
        return None  # the annotators did not agree
    more = {"passage": str(row["sentence1"])}
    answers = ["对", "不一定", "错"]
    return _made(name, str(row["sentence2"]), answers, NLI[row["label"]], **more)


def _eprstmt(row: Row, name: str) -> Question:
    return _made(name, str(row["sentence"]), ["正面", "负面"], MOODS[str(row["label"])])


def _xcopa(row: Row, name: str) -> Question:
    kind = str(row["question"])
    if kind not in CONNECTORS:
        raise ValueError(f"question: {kind}")
    # The harness drops the premise's full stop and goes on with a connector.
    text = f"{str(row['premise']).strip()[:-1]} {CONNECTORS[kind]}"
    choices = [c[:1].lower() + c[1:] for c in (str(row["choice1"]), str(row["choice2"]))]
    return _made(name, text, choices, int(row["label"]), kind=kind)


def _xstorycloze(row: Row, name: str) -> Question:
    text = " ".join(str(row[f"input_sentence_{i}"]) for i in (1, 2, 3, 4))
    endings = [str(row["sentence_quiz1"]), str(row["sentence_quiz2"])]
    return _made(name, text, endings, int(row["answer_right_ending"]) - 1)


def _text(question: Question) -> str:
    return question.text


CHINESE = [
    RowSet(
        name="c3", language="zh", version=1, source="https://github.com/nlpdata/c3",
        licence="non-commercial research only", hub="clue/clue", config="c3", split="validation",
        form='[["…"], [{"question": "…", "choice": ["…"], "answer": "…"}], "id"]', parse=_c3,
        sampler="first", answers="letter", wordings=_own("c3", _c3_body),
    ),
    RowSet(
        name="ocnli", language="zh", version=1, source="https://github.com/CLUEbenchmark/OCNLI",
        licence="CC BY-NC 2.0", hub="", split="validation", parse=_ocnli, sampler="first",
        form='{"sentence1": "…", "sentence2": "…", "label": "neutral"}',
        wordings=_own("ocnli", lambda q: f"前提：{q.passage}\n假设：{q.text}\n这个假设对吗？"),
    ),
    RowSet(
        name="eprstmt", language="zh", version=1,
        source="https://github.com/CLUEbenchmark/FewCLUE", licence="none stated", hub="",
        split="validation", parse=_eprstmt, sampler="first",
        form='{"sentence": "…", "label": "Positive"}',
        wordings=_own("eprstmt", lambda q: f"评论：{q.text}\n这条评论的态度是："),
    ),
    RowSet(
        name="xcopa_zh", language="zh", version=1, source="https://github.com/cambridgeltl/xcopa",
        licence="CC BY 4.0", hub="cambridgeltl/xcopa", config="zh", parse=_xcopa,
        form='{"premise": "…", "choice1": "…", "choice2": "…", "question": "cause", "label": 0}',
        shots_split="validation", wordings=wording("xcopa_zh", "xcopa", _text),
    ),
    RowSet(
        name="xstorycloze_zh", language="zh", version=2,
        source="https://huggingface.co/datasets/juletxara/xstory_cloze", licence="CC BY-SA 4.0",
        hub="juletxara/xstory_cloze", config="zh", split="validation", parse=_xstorycloze,
        form='{"input_sentence_1": "…", …, "sentence_quiz1": "…", "answer_right_ending": 1}',
        wordings=wording("xstorycloze_zh", "xstorycloze", _text),
    ),
]  # fmt: skip
