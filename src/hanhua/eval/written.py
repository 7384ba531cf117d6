"""Answers that are written out: generated greedily, read by a fixed rule, scored one by one.

Rules and stops of GSM8K and BBH are those of lm-evaluation-harness. Translations are scored by
sacrebleu (https://github.com/mjpost/sacrebleu, an optional package): chrF
(https://aclanthology.org/W15-3049) of each sentence, so that two models compare sentence by
sentence; chrF and BLEU of the whole are given besides, as they are published.
"""

from __future__ import annotations

import importlib
import importlib.util
import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass
from functools import lru_cache
from typing import Any

from hanhua.core.errors import DependencyError
from hanhua.core.progress import Progress, Silent
from hanhua.eval.compare import ratio, tidy
from hanhua.eval.fit import fit, fit_texts
from hanhua.eval.forward import CausalModel
from hanhua.eval.tasks.question import Question, Task
from hanhua.model.generate import BATCH_ROWS, Sampling, TokenBytes, generate

Rule = Callable[[str], str]
_NUMBER = re.compile(r"(-?[$0-9.,]{2,})|(-?[0-9]+)")
_STRICT = re.compile(r"#### (-?[0-9.,]+)")
_BEHIND = re.compile(r"the answer is (.*).")
_LETTER = {
    "letter_en": re.compile(r"answer is .*?([A-G])"), "letter_zh": re.compile(r"答案是.*?([A-G])"),
}  # fmt: skip


@dataclass(frozen=True, slots=True)
class Written:
    """What a model wrote.

    Args:
        id, subject: of the question.
        text: as written, up to where it stopped.
        read: the answer that the rule found in it.
        reference: what was asked for.
        score: from 0 to 1.
        strict: the same by the stricter rule, where the task has one.
        finish: "stop" or "length".
        shots: solved examples that fitted in; cut: whether the question's beginning did not.
    """

    id: str
    subject: str
    text: str
    read: str
    reference: str
    score: float
    strict: float | None
    finish: str
    shots: int
    cut: bool

    @property
    def right(self) -> bool:
        """Whether the answer is the reference."""
        return self.score == 1.0

    def as_item(self) -> dict[str, Any]:
        """One line of the items file."""
        return asdict(self) | {"right": self.right, "score": tidy(self.score)}


def check(task: Task) -> None:
    """Refuse a task whose scores need a package that is not installed.

    Raises:
        DependencyError: for translations without sacrebleu.
    """
    if task.metric == "chrf" and importlib.util.find_spec("sacrebleu") is None:
        raise DependencyError(
            "Translations are scored by a package that is not installed.", where=task.name,
            found="no sacrebleu", fix='pip install "hanhua[translation]"',
        )  # fmt: skip


def ask(model: CausalModel, task: Task, progress: Progress | None = None) -> list[Written]:
    """Let the model write an answer to every question of a task.

    Args:
        model: the model to ask.
        task: with answers "written".
        progress: shown by questions.

    Returns:
        in the order of the questions.
    """
    new_tokens = min(task.max_new_tokens, model.context_tokens // 2)
    room = model.context_tokens - new_tokens
    fitted = fit(model, task, lambda _: room)
    sampling = Sampling(max_new_tokens=new_tokens, stop=task.until, past_start=True)
    strips = TokenBytes(model.tokenizer).strips_space
    order = sorted(range(len(fitted)), key=lambda i: -len(fitted[i][0].context))
    found: dict[int, Written] = {}
    with (progress or Silent()).bar(task.name, len(fitted), "questions") as bar:
        for start in range(0, len(order), BATCH_ROWS):
            places = order[start : start + BATCH_ROWS]
            prompts = [fitted[i][0].context for i in places]
            made = generate(model.model, model.tokenizer, prompts, sampling)
            short = [False] * len(places)
            if then := task.wording.then:
                asked = [task.questions[i] for i in places]
                texts = [then(question, task.prompt(question, 0), one.text)
                         for question, one in zip(asked, made, strict=True)]  # fmt: skip
                again = fit_texts(model, texts, room)
                short = [cut for _, cut in again]
                made = generate(model.model, model.tokenizer, [ids for ids, _ in again], sampling)
            for i, one, less in zip(places, made, short, strict=True):
                _, shots, cut = fitted[i]
                alone = one.text.removeprefix(" ") if strips else one.text
                more = (one.finish, shots, cut or less, alone)
                found[i] = judge(task, task.questions[i], one.text, *more)
            bar.advance(len(places))
    return [found[i] for i in range(len(fitted))]


def judge(
    task: Task, question: Question, text: str, finish: str = "stop", shots: int = 0,
    cut: bool = False, alone: str | None = None,
) -> Written:  # fmt: skip
    """Read and score one written answer.

    `text` is as it goes on behind the prompt, `alone` as the tokenizer decodes it without: a first
    space may be missing. The rest is as in `Written`.
    """
    own = task.wording.reference
    reference = own(question) if own else question.choices[question.answer]
    read = RULES[question.kind if question.kind in RULES else task.rule](text)
    if task.metric == "chrf":
        score, strict = _chrf().sentence_score(read, [reference]).score / 100, None
    else:
        wanted = plain_number(reference) if task.rule == "number" else reference.strip()
        score = float(read == wanted)
        strict = None
        if task.rule == "number":
            strict = float(strict_number(text) == wanted)
        elif task.rule == "whole":  # white space counted, as the harness does
            strict = float((text if alone is None else alone) == reference)
    return Written(
        question.id, question.subject, text, read, reference, score, strict, finish, shots, cut
    )


def plain_number(text: str) -> str:
    """A number as the harness compares it.

    Without "$", ",", a last full stop, what stands before "#### ", and case.
    """
    text = re.sub(r"[,$]", "", text)
    return re.sub(r"\.$", "", re.sub(r"(?s).*#### ", "", text)).lower()


def last_number(text: str) -> str:
    """The harness's "flexible-extract"."""
    found = _NUMBER.findall(text)
    return plain_number(next(part for part in found[-1] if part)) if found else "[invalid]"


def strict_number(text: str) -> str:
    """The harness's "strict-match"."""
    found = _STRICT.search(text)
    return plain_number(found[1]) if found else "[invalid]"


def behind(text: str) -> str:
    """What stands behind "the answer is", without the last character."""
    found = _BEHIND.search(text)
    return found[1].strip() if found else "[invalid]"


def first_letter(text: str) -> str:
    """The first capital letter from A to F, as AGIEval reads it."""
    found = re.search("[A-F]", text)
    return found[0] if found else "[invalid]"


def letters(text: str) -> str:
    """All capital letters from A to F, each once: AGIEval's of exams with sets of letters."""
    return "".join(sorted(set(re.findall("[A-F]", text)))) or "[invalid]"


def _stated(rule: str) -> Rule:
    """The letter behind "the answer is", else the first: AGIEval's behind solved examples."""

    def read(text: str) -> str:
        found = _LETTER[rule].search(text)
        return found[1] if found else first_letter(text)

    return read


RULES: Mapping[str, Rule] = {
    "number": last_number, "whole": str.strip, "line": str.strip, "behind": behind,
    "first_letter": first_letter, "letters": letters, **{rule: _stated(rule) for rule in _LETTER},
}  # fmt: skip


@lru_cache(maxsize=1)
def _chrf() -> Any:
    return importlib.import_module("sacrebleu").CHRF()


def summary(task: Task, answers: Sequence[Written], seed: int, draws: int) -> dict[str, Any]:
    """The score's mean with interval, and what is published besides.

    Args:
        task: what was asked.
        answers: of the model.
        seed: of the bootstrap.
        draws: of the bootstrap.
    """
    mean = ratio([a.score for a in answers], [1.0] * len(answers), seed, draws)
    found = {"accuracy": tidy(mean.value), "low": tidy(mean.low), "high": tidy(mean.high)}
    if task.metric == "chrf":
        return found | {"metric": "chrF of a sentence, mean, / 100"} | _corpus(task, answers)
    found["metric"] = f"exact match ({task.rule})"
    if task.rule in ("number", "whole"):
        found["accuracy_strict"] = tidy(sum(a.strict or 0 for a in answers) / len(answers))
    return found


def _corpus(task: Task, answers: Sequence[Written]) -> dict[str, Any]:
    """BLEU and chrF of all sentences together, 0 to 100, with sacrebleu's signatures."""
    sacrebleu: Any = importlib.import_module("sacrebleu")
    texts, references = [a.read for a in answers], [[a.reference for a in answers]]
    bleu, chrf = sacrebleu.BLEU(tokenize="zh" if task.language == "zh" else "13a"), _chrf()
    found: dict[str, Any] = {}
    for name, metric in (("bleu", bleu), ("chrf", chrf)):
        found[name] = tidy(float(metric.corpus_score(texts, references).score))
        found[f"{name}_signature"] = str(metric.get_signature())
    return found
