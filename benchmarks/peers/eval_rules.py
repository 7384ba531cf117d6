"""Prompts of invented rows, spelled out by rule, and choices against one plain pass an option.

What `benchmarks/agreement.py --quick` holds: that the words around a question are those which were
held against the harness and the repositories, without any of them.
"""

from __future__ import annotations

import json
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import torch
from transformers import LlamaConfig, LlamaForCausalLM

import hanhua
from hanhua.eval import choose
from hanhua.eval.config import TaskConfig
from hanhua.eval.fit import encode
from hanhua.eval.forward import CausalModel
from hanhua.eval.tasks.load import load_tasks
from hanhua.eval.tasks.question import Task
from hanhua.vocab.tokenizer import read_tokenizer

OPTIONS = ("oat", "rye", "hops", "malt")
LISTED = "\nA. oat\nB. rye\nC. hops\nD. malt\n"
ZH = "以下是关于农学的单项选择题，请直接给出正确答案的选项。\n\n"
CEVAL = "以下是中国关于法学{}的单项选择题，请选出其中的正确答案。\n\n"
MMLU = "The following are multiple choice questions (with answers) about {}world religions.\n\n"
SCHOOL = "(A)oat (B)rye (C)hops (D)malt"
PASSAGE = "P. "

EXAMS: dict[tuple[str, str], str] = {
    ("cmmlu", "harness"): f"{ZH}0{LISTED}答案： B\n\n1{LISTED}答案：",
    ("cmmlu", "original"): f"{ZH}题目：0 {LISTED}答案是：B\n\n题目：1 {LISTED}答案是：",
    ("mmlu", "harness"): f"{MMLU.format('')}0{LISTED}Answer: B\n\n1{LISTED}Answer:",
    ("mmlu", "original"): f"{MMLU.format(' ')}0 {LISTED}Answer: B\n\n1 {LISTED}Answer:",
    ("ceval", "harness"): f"{CEVAL.format('')}0{LISTED}答案： B\n\n1{LISTED}答案：",
    ("ceval", "original"): f"{CEVAL.format('考试')}0 {LISTED}答案：B\n\n1 {LISTED}答案：",
}  # fmt: skip
FILES = {
    "cmmlu": ("{split}/agronomy.csv", "test", "id,Q,A,B,C,D,answer\n", "{i},"),
    "mmlu": ("{split}/world_religions_{split}.csv", "test", "", ""),
    "ceval": ("{split}/law_{split}.csv", "val", "id,question,A,B,C,D,answer\n", "{i},"),
}


def check_prompts() -> dict[str, Any]:
    """Prompts that are as they should be, of how many; choices that a plain pass makes too."""
    model = small_model()
    prompts: dict[str, bool] = {}
    same = n = 0
    with tempfile.TemporaryDirectory() as folder:
        for name, task, expected in [*exams(Path(folder)), *schools(Path(folder))]:
            prompts[name] = task.prompt(task.questions[0], task.shots) == expected
            if task.answers != "written":
                answers = choose.ask(model, task)
                n += len(answers)
                same += sum(a.choice == c for a, c in zip(answers, plain(model, task), strict=True))
    wrong = [name for name, right in prompts.items() if not right]
    return {"prompts": len(prompts), "wrong_prompts": wrong, "n": n, "same_choices": same}


def small_model() -> CausalModel:
    torch.manual_seed(1)
    config = LlamaConfig(
        vocab_size=32_000, hidden_size=64, intermediate_size=128, num_hidden_layers=2,
        num_attention_heads=4, max_position_embeddings=1024, initializer_range=0.2,
    )  # fmt: skip
    path = Path(hanhua.__file__).parent / "demo" / "data" / "tokenizer.model"
    return CausalModel(LlamaForCausalLM(config), read_tokenizer(path).fast())


def exams(folder: Path) -> Iterator[tuple[str, Task, str]]:
    for (name, wording), expected in EXAMS.items():
        place, asked, head, number = FILES[name]
        for split, i in (("dev", 0), (asked, 1)):
            path = folder / name / place.format(split=split)
            path.parent.mkdir(parents=True, exist_ok=True)
            row = f"{number.format(i=i)}{i} ,{','.join(OPTIONS)},B\n"
            path.write_text(head + row, encoding="utf-8")
        task = load(name=name, path=str(folder / name), shots=1, wording=wording)
        yield f"{name} {wording}", task, expected


def schools(folder: Path) -> Iterator[tuple[str, Task, str]]:
    row = {"passage": PASSAGE, "question": "1?", "label": ["A", "C"],
           "options": [f"({a}){o}" for a, o in zip("ABCD", OPTIONS, strict=True)]}  # fmt: skip
    solved = [str(row | {"question": "0?", "label": label}) for label in ("B", ["B", "D"])]
    (folder / "few_shot_prompts.csv").write_text(
        ",lsat-ar,jec-qa-ca\nsample 1," + ",".join(f'"{text}"' for text in solved) + "\n", "utf-8"
    )
    for exam in ("lsat-ar", "jec-qa-ca"):
        (folder / f"{exam}.jsonl").write_text(json.dumps(row) + "\n", encoding="utf-8")
    once = {
        "agieval_en": f"P. Q: 1? Answer Choices: {SCHOOL}\nA: Among A through D, the answer is",
        "agieval_zh": f"P. 问题：1? 选项：{SCHOOL}\n答案：从A到D, 我们应选择",
    }
    ask_en, ask_zh = "Choose from the following options:    ", "从以下选项中选择:    "
    behind = {
        "agieval_en": "Here are the answers for the problems in the exam.\n"
        f"Problem 1.   P.  0?\n{ask_en}{SCHOOL}\nThe answer is therefore B\n<END>\n"
        f"Problem 2.   P.  1?\n{ask_en}{SCHOOL}\n",
        "agieval_zh": "以下是考试中各个问题的答案。\n"
        f"问题 1.   P.  0?\n{ask_zh}{SCHOOL}\n答案是 ['B', 'D']\n<END>\n"
        f"问题 2.   P.  1?\n{ask_zh}{SCHOOL}\n",
    }
    for name in once:
        for wording, shots, expected in (
            ("harness", 0, once), ("original", 0, once), ("original", 1, behind),
        ):  # fmt: skip
            task = load(name=name, path=str(folder), shots=shots, wording=wording)
            yield f"{name} {wording} {shots}", task, expected[name]
    yield from steps(folder / "bbh")


def steps(folder: Path) -> Iterator[tuple[str, Task, str]]:
    (folder / "cot-prompts").mkdir(parents=True)
    (folder / "cot-prompts" / "logic.txt").write_text(
        "canary\n-----\nSay if it is so.\n\nQ: not True\nA: Let's think step by step.\n"
        "It is not. So the answer is False.\n", encoding="utf-8",
    )  # fmt: skip
    rows = {"examples": [{"input": "not False", "target": "True"}]}
    (folder / "logic.json").write_text(json.dumps(rows), encoding="utf-8")
    step = "A: Let's think step by step.\n"
    solved = f"{step}It is not. So the answer is False."
    for wording, answered, left in (("harness", "A: False", "A:"), ("original", solved, step)):
        task = load(name="bbh", path=str(folder), shots=1, wording=wording)
        head = "Say if it is so.\n\n"
        yield f"bbh {wording}", task, f"{head}Q: not True\n{answered}\n\nQ: not False\n{left}"


def load(**config: Any) -> Task:
    return load_tasks([TaskConfig.model_validate({"limit": 0, **config})])[0]


def plain(model: CausalModel, task: Task) -> list[int]:
    """The likeliest option of each question, by one pass over the prompt and each option."""
    chosen = []
    for request in encode(model, task, task.questions, task.shots):
        scores = []
        for option in request.options:
            ids = [*request.context, *option]
            with torch.inference_mode():
                logs = model.model(torch.tensor([ids[:-1]])).logits[0].log_softmax(-1)
            n = len(option)
            scores.append(float(sum(logs[-n + i, option[i]] for i in range(n))))
        chosen.append(scores.index(max(scores)))
    return chosen
