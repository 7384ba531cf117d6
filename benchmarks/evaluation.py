"""What sharing prefixes saves: multiple choice by hanhua against one full forward per question.

    python benchmarks/evaluation.py            # 12 subjects x 40 questions
    python benchmarks/evaluation.py --quick    # 4 x 10, under a minute

Both ways score the same 5-shot questions with the same model of 15M shape (dim 288, 6 layers,
tied, random weights: cost does not depend on them) on one thread, in CPU seconds of this process,
encoding included. The naive way is what evaluation harnesses do: every prompt from its first
token, logits at every position (one pass for all four letters). With HANHUA_DATA (or
../shared/data) the questions are CMMLU's with LLaMA-2's tokenizer, else arithmetic with the
tokenizer that the package ships.
"""

from __future__ import annotations

import argparse
import json
import os
import platform
import random
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import torch
import transformers
from transformers import LlamaConfig, LlamaForCausalLM

import hanhua
from hanhua.eval import choose
from hanhua.eval.forward import CausalModel
from hanhua.eval.tasks.exams import EXAMS, read_exam
from hanhua.eval.tasks.question import Question, Task
from hanhua.vocab.tokenizer import read_tokenizer

REPOSITORY = Path(__file__).resolve().parents[1]
SHOTS, CONTEXT, SHAPE = 5, 2048, "dim 288, 6 layers, 6 heads, tied, 32,000 rows"


def shared_data() -> Path | None:
    path = Path(os.environ.get("HANHUA_DATA") or REPOSITORY.parent / "shared" / "data")
    return path if (path / "benchmarks" / "cmmlu").is_dir() else None


def questions(data: Path | None, subjects: int, each: int) -> tuple[Task, str]:
    if data is None:
        return sums(subjects, each), "arithmetic"
    folder = data / "benchmarks" / "cmmlu"
    names = EXAMS["cmmlu"].subjects(folder)[:subjects]
    task = read_exam(EXAMS["cmmlu"], folder, names, SHOTS, "letter")
    chosen = tuple(
        q for name in names for q in [q for q in task.questions if q.subject == name][:each]
    )
    return Task(**{f: getattr(task, f) for f in task.__slots__} | {"questions": chosen}), "cmmlu"


def sums(subjects: int, each: int) -> Task:
    def one(subject: str, i: int) -> Question:
        a, b, c = (draw.randint(10, 99) for _ in range(3))
        text = (
            f"A shop sells {a} apples, then {b} pears and {c} plums. How many fruits did it sell?"
        )
        choices = [str(a + b + c + k) for k in (0, 1, 10, -1)]
        draw.shuffle(choices)
        return Question(
            f"{subject}/{i}", subject, text, tuple(choices), choices.index(str(a + b + c)), "en"
        )

    draw = random.Random(1)
    names = [f"sums_{i}" for i in range(subjects)]
    return Task(
        name="sums", version=1, language="en", source="generated", licence="own",
        wording=EXAMS["mmlu"].wording, answers="letter", shots=SHOTS,
        questions=tuple(one(name, i) for name in names for i in range(each)),
        examples={name: tuple(one(name, 1000 + i) for i in range(SHOTS)) for name in names},
    )  # fmt: skip


def build(data: Path | None) -> CausalModel:
    torch.manual_seed(1)
    config = LlamaConfig(
        vocab_size=32_000, hidden_size=288, intermediate_size=768, num_hidden_layers=6,
        num_attention_heads=6, num_key_value_heads=6, max_position_embeddings=CONTEXT,
        tie_word_embeddings=True, initializer_range=0.06,
    )  # fmt: skip
    path = (
        data / "tokenizers" / "llama2" / "tokenizer.model" if data
        else Path(hanhua.__file__).parent / "demo" / "data" / "tokenizer.model"
    )  # fmt: skip
    return CausalModel(LlamaForCausalLM(config), read_tokenizer(path).fast())


def naive(model: CausalModel, task: Task) -> list[list[float]]:
    """One pass a question over its whole prompt, logits everywhere."""
    found = []
    for question in task.questions:
        request = choose._requests(model, task, [question], SHOTS)[0]
        assert all(len(option) == 1 for option in request.options)
        with torch.inference_mode():
            logits = model.model(torch.tensor([request.context]), use_cache=False).logits
        logs = logits[0].float().log_softmax(-1)[-1]
        found.append([float(logs[option[0]]) for option in request.options])
    return found


def clocked(work: Callable[[], Any]) -> tuple[Any, float]:
    start = time.process_time()
    result = work()
    return result, time.process_time() - start


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--quick", action="store_true", help="few questions")
    quick = parser.parse_args().quick
    torch.set_num_threads(1)
    data = shared_data()
    model = build(data)
    task, name = questions(data, *((4, 10) if quick else (12, 40)))
    choose.ask(model, Task(**{f: getattr(task, f) for f in task.__slots__} | {"questions": task.questions[:2]}))  # fmt: skip # noqa: E501
    answers, ours_s = clocked(lambda: choose.ask(model, task))
    scores, naive_s = clocked(lambda: naive(model, task))
    n = len(answers)
    same = sum(a.choice == s.index(max(s)) for a, s in zip(answers, scores, strict=True))
    worst = max(abs(x - y) for a, s in zip(answers, scores, strict=True) for x, y in zip(a.logprobs, s, strict=True))  # fmt: skip # noqa: E501
    result = {
        "benchmark": "evaluation", "questions": name, "n": n, "shots": SHOTS, "shape": SHAPE,
        "shared_prefix_cpu_s_per_question": round(ours_s / n, 4),
        "naive_cpu_s_per_question": round(naive_s / n, 4),
        "ratio": round(naive_s / ours_s, 2), "same_choices": same, "max_logprob_difference": worst,
        "cut": sum(a.cut or a.shots < SHOTS for a in answers),
        "torch": torch.__version__, "transformers": transformers.__version__,
        "python": platform.python_version(), "threads": 1,
    }  # fmt: skip
    print(
        f"{n} questions ({name}, {SHOTS}-shot): {ours_s / n:.4f} CPU-s each with shared prefixes,"
    )
    print(
        f"{naive_s / n:.4f} the naive way: {naive_s / ours_s:.1f} times; {same} of {n} choices same"
    )
    print(json.dumps(result))


if __name__ == "__main__":
    main()
