"""How CMMLU, MMLU and C-Eval are asked: by lm-evaluation-harness, and in their repositories.

The harness strips the question and puts a space before the letter. The repositories do neither
alike: MMLU's has two spaces before the subject, CMMLU's labels the question and asks "答案是：",
C-Eval's names the exam in the first line; both Chinese ones put the letter right behind the cue.
Of these two C-Eval's code asks for the letter's token as its tokenizer gives it by itself, which is
that behind a space for LLaMA's.
"""

from __future__ import annotations

from hanhua.eval.tasks.question import Question, Wording, lettered
from hanhua.eval.tasks.subjects import CEVAL_SUBJECTS, CMMLU_SUBJECTS

HARNESS = "https://github.com/EleutherAI/lm-evaluation-harness/tree/main/lm_eval/tasks/"


_CMMLU_LINE = "以下是关于{}的单项选择题，请直接给出正确答案的选项。\n\n"
_CEVAL_LINE = "以下是中国关于{}的单项选择题，请选出其中的正确答案。\n\n"
_CEVAL_OWN_LINE = "以下是中国关于{}考试的单项选择题，请选出其中的正确答案。\n\n"


def _cmmlu(subject: str) -> str:
    return _CMMLU_LINE.format(CMMLU_SUBJECTS.get(subject, subject))


def _ceval(subject: str) -> str:
    return _CEVAL_LINE.format(CEVAL_SUBJECTS.get(subject, subject))


def _ceval_own(subject: str) -> str:
    return _CEVAL_OWN_LINE.format(CEVAL_SUBJECTS.get(subject, subject))


def _mmlu(subject: str) -> str:
    name = subject.replace("_", " ")
    return f"The following are multiple choice questions (with answers) about {name}.\n\n"


def _mmlu_own(subject: str) -> str:
    name = subject.replace("_", " ")
    return f"The following are multiple choice questions (with answers) about  {name}.\n\n"


def _as_written(question: Question, label: str, cue: str) -> str:
    return f"{label}{question.text}\n{lettered(question.choices)}\n{cue}"


CMMLU_WORDINGS = {
    "harness": Wording(
        "lm-evaluation-harness cmmlu", HARNESS + "cmmlu", _cmmlu, "", "答案：", " "
    ),
    "original": Wording(
        "CMMLU's own", "https://github.com/haonan-li/CMMLU/blob/master/src/mp_utils.py", _cmmlu,
        "", "答案是：", "", lambda q: _as_written(q, "题目：", "答案是："),
    ),
}  # fmt: skip
MMLU_WORDINGS = {
    "harness": Wording(
        "lm-evaluation-harness mmlu", HARNESS + "mmlu", _mmlu, "", "Answer:", " "
    ),
    "original": Wording(
        "MMLU's own", "https://github.com/hendrycks/test/blob/master/evaluate.py", _mmlu_own,
        "", "Answer:", " ", lambda q: _as_written(q, "", "Answer:"),
    ),
}  # fmt: skip
CEVAL_WORDINGS = {
    "harness": Wording(
        "lm-evaluation-harness ceval-valid", HARNESS + "ceval", _ceval, "", "答案：", " "
    ),
    "original": Wording(
        "C-Eval's own", "https://github.com/hkust-nlp/ceval/tree/main/code/evaluator_series",
        _ceval_own, "", "答案：", "", lambda q: _as_written(q, "", "答案："), alone=True,
        revision=1,
    ),
}  # fmt: skip
