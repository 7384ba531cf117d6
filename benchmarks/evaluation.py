"""What sharing prefixes saves, and the same numbers as lm-evaluation-harness.

    python benchmarks/evaluation.py                  # one full forward per question, 480 questions
    python benchmarks/evaluation.py --quick          # 40 questions, under a minute
    python benchmarks/evaluation.py --peer PYTHON    # also lm-evaluation-harness, same questions

Both ways score the same 5-shot questions with the same model of 15M shape (dim 288, 6 layers,
tied, random weights: cost does not depend on them) on one thread, in CPU seconds of this process,
encoding included. The naive way is what evaluation harnesses do: every prompt from its first
token, logits at every position (one pass for all four letters). With HANHUA_DATA (or
../shared/data) the questions are CMMLU's with LLaMA-2's tokenizer, else arithmetic with the
tokenizer that the package ships.

PYTHON is that of an environment with lm-eval 0.4.13 and torch. It is run twice beside this
project, each in its own process over the same files: for agreement on a small real model
(stories3M, its context set to 4,096), and for cost on the 15M shape, 5-shot CMMLU and MMLU.
"""

from __future__ import annotations

import argparse
import json
import os
import platform
import random
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import torch
import transformers
from transformers import LlamaConfig, LlamaForCausalLM

import hanhua
from hanhua.eval import choose
from hanhua.eval.fit import encode
from hanhua.eval.forward import CausalModel
from hanhua.eval.tasks.exams import EXAMS, read_exam
from hanhua.eval.tasks.question import Question, Task
from hanhua.vocab.tokenizer import read_tokenizer
from peers.eval_cases import ROWS, exam, rows

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
        request = encode(model, task, [question], SHOTS)[0]
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
    parser.add_argument("--peer", help="Python of an environment with lm-evaluation-harness")
    parser.add_argument("--parts", nargs="+", default=["agreement", "cost"], help="of --peer")
    parser.add_argument("--batch", type=int, nargs="+", default=[4, 16], help="of the peer")
    parser.add_argument("--subjects", type=int, help="of each exam, for the peer")
    parser.add_argument("--each", type=int, default=0, help="questions of each, for the peer")
    arguments = parser.parse_args()
    torch.set_num_threads(1)
    data = shared_data()
    if arguments.peer:
        if data is None:
            raise SystemExit("the comparison needs the published sets: set HANHUA_DATA")
        few = 2 if arguments.quick else 6
        n_subjects = few if arguments.subjects is None else arguments.subjects
        each = arguments.each or 10
        with tempfile.TemporaryDirectory() as folder:
            if "agreement" in arguments.parts:
                check_agreement(arguments.peer, data, Path(folder), min(n_subjects, 3), each)
            if "cost" in arguments.parts:
                for batch in arguments.batch:
                    weigh_cost(arguments.peer, data, Path(folder), n_subjects, each, batch)
    else:
        against_naive(data, arguments.quick)


def check_agreement(peer: str, data: Path, work: Path, subjects: int, each: int) -> None:
    """All sets that both have, on a small real model."""
    model = real_model(data, work / "stories")
    parts = agreement_parts(data, work, subjects, each)
    print(json.dumps(compared(peer, model, parts, work)), flush=True)


def weigh_cost(peer: str, data: Path, work: Path, subjects: int, each: int, batch: int) -> None:
    """5-shot CMMLU and MMLU on the 15M shape."""
    model, shape = build(data), work / "shape"
    model.model.save_pretrained(shape)
    model.tokenizer.save_pretrained(shape)
    parts = [exam(n, data, work / "cost", subjects, each, SHOTS) for n in ("cmmlu", "mmlu")]
    print(json.dumps(compared(peer, shape, parts, work, batch)), flush=True)


def agreement_parts(data: Path, work: Path, subjects: int, each: int) -> list[dict[str, Any]]:
    """Exams by five examples, and every set of rows that there is, its examples drawn."""
    names = ("cmmlu", "mmlu", "ceval") if subjects else ()
    exams = [exam(name, data, work, subjects, each, SHOTS) for name in names]
    shots = {"arc_easy": 3, "openbookqa": 2, "gsm8k": 2}
    written = max(4, each // 4)  # 256 tokens each: the slowest by far
    return exams + [
        rows(name, data, work, written if name == "gsm8k" else 2 * each, shots.get(name, 0))
        for name in ROWS
    ]


def real_model(data: Path, folder: Path) -> Path:
    """stories3M with room for five examples; positions beyond 512 are untrained for both."""
    source = data / "models" / "stories3M-hf"
    model = LlamaForCausalLM.from_pretrained(source, dtype=torch.float32)
    model.config.max_position_embeddings = 2 * CONTEXT  # Chinese is bytes to its tokenizer
    model.save_pretrained(folder)
    read_tokenizer(source / "tokenizer.model").fast().save_pretrained(folder)
    return folder


def compared(
    peer: str, model: Path, parts: list[dict[str, Any]], work: Path, batch: int = 4
) -> dict[str, Any]:
    """Run both on one job, and hold item against item."""
    job = {
        "model": str(model), "batch": batch, "tasks": [t for p in parts for t in p["tasks"]],
        "ours": [o for p in parts for o in p["ours"]],
    }  # fmt: skip
    (work / "job.json").write_text(json.dumps(job), encoding="utf-8")
    found = {}
    for name, python in (("hanhua", sys.executable), ("harness", peer)):
        out = work / f"{name}.json"
        script = REPOSITORY / "benchmarks" / "peers" / f"eval_{name}.py"
        command = [python, str(script), str(work / "job.json"), str(out)]
        done = subprocess.run(command, env={**os.environ, "OMP_NUM_THREADS": "1"},
                              capture_output=True, text=True, check=False)  # fmt: skip
        if done.returncode:
            raise SystemExit(f"{name} failed:\n{done.stderr[-3000:]}")
        found[name] = json.loads(out.read_text(encoding="utf-8"))
    ours, theirs = found["hanhua"], found["harness"]
    tasks = hold(ours["items"], theirs["items"])
    n = sum(row["n"] for row in tasks.values())
    return {
        "benchmark": "evaluation --peer", "model": model.name, "batch": batch, "n": n,
        "lm_eval": theirs["version"], "tasks": tasks,
        "cpu_s_per_question": [round(f["cpu_s"] / n, 4) for f in (ours, theirs)],
        "ratio": round(theirs["cpu_s"] / ours["cpu_s"], 2),
        "start_up_cpu_s": [round(f["start_s"], 1) for f in (ours, theirs)],
        "peak_mb": [round(f["peak_mb"]) for f in (ours, theirs)],
    }  # fmt: skip


def hold(ours: dict[str, Any], theirs: dict[str, Any]) -> dict[str, dict[str, Any]]:
    """Per task: n, same choices, same scores, largest difference of a log-probability."""
    samples: dict[tuple[str, str, int], list[dict[str, Any]]] = {}
    for name, items in theirs.items():
        task, _, subject = name.partition("__")
        for item in items:
            samples.setdefault((task, subject, item["doc_id"]), []).append(item)
    found = {}
    for task, items in ours.items():
        whole = any(key[:2] == (task, "all") for key in samples)
        most = max(item["shots"] for item in items)
        fitting = [item for item in items if item["shots"] == most and not item["cut"]]
        pairs = []
        for item in fitting:
            subject, number = item["id"].split("/")
            pairs.append((item, samples[task, "all" if whole else subject, int(number)]))
        found[task] = held(pairs) | {"did_not_fit": len(items) - len(fitting)}
    return found


def held(pairs: list[tuple[dict[str, Any], list[dict[str, Any]]]]) -> dict[str, Any]:
    """One task's items, ours and theirs (several where it is read by several rules)."""
    n = len(pairs)
    if "logprobs" not in pairs[0][0]:
        by_rule = [
            (a, {b["filter"].partition("-")[0]: b["exact_match"] for b in bs}) for a, bs in pairs
        ]
        return {
            "n": n, "same": sum(a["score"] == b["flexible"] for a, b in by_rule),
            "same_strict": sum(a["strict"] == b["strict"] for a, b in by_rule),
            "accuracy": [sum(a["score"] for a, _ in by_rule) / n,
                         sum(b["flexible"] for _, b in by_rule) / n],
            "same_text": sum(text(bs[0]["text"]).startswith(a["text"].strip()) for a, bs in pairs),
        }  # fmt: skip
    ones = [(a, bs[0]) for a, bs in pairs]
    return {
        "n": n, "same": sum(a["choice"] == likeliest(b["logprobs"]) for a, b in ones),
        "accuracy": [sum(a["right"] for a, _ in ones) / n, sum(b["acc"] for _, b in ones) / n],
        "acc_norm": [
            sum(a["likeliest_by_char"] == a["answer"] for a, _ in ones) / n,
            sum(b["acc_norm"] for _, b in ones) / n if "acc_norm" in ones[0][1] else None,
        ],
        "worst": max(
            abs(x - y) for a, b in ones for x, y in zip(a["logprobs"], b["logprobs"], strict=True)
        ),
    }  # fmt: skip


def text(written: str) -> str:
    return written.strip()


def likeliest(values: list[float]) -> int:
    return values.index(max(values))


def against_naive(data: Path | None, quick: bool) -> None:
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
