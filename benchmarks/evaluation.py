"""What sharing prefixes saves, and the same numbers as lm-evaluation-harness.

    python benchmarks/evaluation.py                  # one full forward per question, 480 questions
    python benchmarks/evaluation.py --quick          # 40 questions, under a minute
    python benchmarks/evaluation.py --peer PYTHON    # lm-evaluation-harness on the same questions
    python benchmarks/evaluation.py --peer PYTHON --parts formats --each 40      # needs no data

Both ways score the same 5-shot questions with the same model of 15M shape (dim 288, 6 layers,
tied, random weights: cost does not depend on them) on one thread, in CPU seconds of this process,
encoding included. The naive way is what evaluation harnesses do: every prompt from its first
token, logits at every position (one pass for all four letters). With HANHUA_DATA (or
../shared/data) the questions are CMMLU's with LLaMA-2's tokenizer, else arithmetic with the
tokenizer that the package ships.

PYTHON is that of an environment with lm-eval 0.4.13 and torch. It is run twice beside this
project, each in its own process over the same files: for agreement on a small real model
(stories3M, its context set to 4,096), and for cost on a random model (`--shape`), 5-shot CMMLU and
MMLU. The part ``formats`` asks invented rows in the published form of sets that may not be at hand
(HellaSwag, BoolQ, XStoryCloze, TruthfulQA and others), `each` of each set, of stories3M or, without
data, of the random shape.
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
from peers.eval_formats import MADE, made
from peers.eval_held import hold

REPOSITORY = Path(__file__).resolve().parents[1]
SHOTS, CONTEXT, SHAPE = 5, 2048, "dim 288, 6 layers, 6 heads, tied, 32,000 rows"
SHAPES = {
    "15m": (288, 768, 6, 6, 6), "110m": (768, 2048, 12, 12, 12), "1.1b": (2048, 5632, 22, 32, 4),
}  # fmt: skip
"""Width, feed-forward width, layers, heads, heads of keys: llama2.c's two, TinyLlama's."""


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


def build(data: Path | None, shape: str = "15m") -> CausalModel:
    torch.manual_seed(1)
    width, inner, layers, heads, kv_heads = SHAPES[shape]
    config = LlamaConfig(
        vocab_size=32_000, hidden_size=width, intermediate_size=inner, num_hidden_layers=layers,
        num_attention_heads=heads, num_key_value_heads=kv_heads, max_position_embeddings=CONTEXT,
        tie_word_embeddings=shape == "15m", initializer_range=0.06 * (288 / width) ** 0.5,
    )  # fmt: skip
    path = (
        data / "tokenizers" / "llama2" / "tokenizer.model" if data
        else Path(hanhua.__file__).parent / "demo" / "data" / "tokenizer.model"
    )  # fmt: skip
    return CausalModel(LlamaForCausalLM(config), read_tokenizer(path).fast())


def save_shape(data: Path | None, folder: Path, shape: str = "15m") -> None:
    """The random model as a folder."""
    model = build(data, shape)
    model.model.save_pretrained(folder)
    model.tokenizer.save_pretrained(folder)


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
    parser.add_argument(
        "--parts",
        nargs="+",
        default=["agreement", "cost"],
        help="of --peer: agreement, formats, cost",
    )
    parser.add_argument("--shape", choices=SHAPES, default="15m", help="whose cost, for the peer")
    parser.add_argument("--batch", type=int, nargs="+", default=[4, 16], help="of the peer")
    parser.add_argument("--subjects", type=int, help="of each exam, for the peer")
    parser.add_argument("--each", type=int, default=0, help="questions of each, for the peer")
    arguments = parser.parse_args()
    torch.set_num_threads(1)
    data = shared_data()
    if arguments.peer:
        if data is None and set(arguments.parts) != {"formats"}:
            raise SystemExit("but for --parts formats this needs the published sets: HANHUA_DATA")
        few = 2 if arguments.quick else 6
        n_subjects = few if arguments.subjects is None else arguments.subjects
        each = arguments.each or 10
        with tempfile.TemporaryDirectory() as folder:
            if "agreement" in arguments.parts:
                check_agreement(arguments.peer, data, Path(folder), min(n_subjects, 3), each)
            if "formats" in arguments.parts:
                check_formats(arguments.peer, data, Path(folder), arguments.each or 40)
            if "cost" in arguments.parts:
                for batch in arguments.batch:
                    asked = (n_subjects, each, batch, arguments.shape)
                    weigh_cost(arguments.peer, data, Path(folder), *asked)
    else:
        against_naive(data, arguments.quick)


def check_agreement(peer: str, data: Path, work: Path, subjects: int, each: int) -> None:
    """All sets that both have, on a small real model."""
    model = real_model(data, work / "stories")
    parts = agreement_parts(data, work, subjects, each)
    print(json.dumps(compared(peer, model, parts, work)), flush=True)


def check_formats(peer: str, data: Path | None, work: Path, each: int) -> None:
    """Invented rows of every set that both have."""
    if data is None:
        model = work / "shape"
        save_shape(None, model)
    else:
        model = real_model(data, work / "stories")
    parts = [made(name, work / "made", 10 if name == "gsm8k" else each) for name in MADE]
    found = compared(peer, model, parts, work)
    print(json.dumps({**found, "benchmark": "evaluation --parts formats"}), flush=True)


def weigh_cost(
    peer: str, data: Path, work: Path, subjects: int, each: int, batch: int, shape: str
) -> None:
    """5-shot CMMLU and MMLU of a random model of a shape."""
    model = work / shape
    save_shape(data, model, shape)
    parts = [exam(n, data, work / "cost", subjects, each, SHOTS) for n in ("cmmlu", "mmlu")]
    print(json.dumps(compared(peer, model, parts, work, batch)), flush=True)


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
