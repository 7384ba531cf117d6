"""A small run folder: the real runner over stages that write made-up figures with real writers."""

from __future__ import annotations

import json
import math
from collections import Counter
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import numpy as np

from hanhua.chat.ledger import Account as ChatAccount
from hanhua.chat.ledger import ledger_dict
from hanhua.core.config import Machine, Section
from hanhua.core.files import write_json, write_text
from hanhua.core.progress import Silent
from hanhua.core.runner import run
from hanhua.core.stage import Context, Node, Result, Stage
from hanhua.core.walk import Walk
from hanhua.report.summary import summarise
from hanhua.stages import ORDER
from hanhua.text.document import Document
from hanhua.text.ledger import Ledger
from hanhua.text.verdict import Drop

MODELS = ("base", "expand", "pretrain", "finetune", "prefer")
BITS = {
    "base": {"zh": 24.1, "en": 2.95}, "expand": {"zh": 11.2, "en": 2.95},
    "pretrain": {"zh": 2.61, "en": 2.71}, "finetune": {"zh": 2.66, "en": 2.74},
    "prefer": {"zh": 2.66, "en": 2.74},
}  # fmt: skip
DRIFT = {"expand": 0.0, "pretrain": 0.10, "finetune": 0.12, "prefer": 0.12}
RIGHT = {"base": 0.25, "expand": 0.25, "pretrain": 0.29, "finetune": 0.45, "prefer": 0.45}
DOCS, DRAWS, BYTES = 60, 200, 2700
SPREAD = [0.9 + 0.2 * i / (DOCS - 1) for i in range(DOCS)]
"""How the documents differ; their mean is 1."""
ROLES: Mapping[str, Mapping[str, str]] = {
    "vocab": {"base": "base", "corpus": "corpus"},
    "expand": {"base": "base", "vocab": "vocab"},
    "tokens": {"model": "expand", "corpus": "corpus"},
    "pretrain": {"model": "expand", "tokens": "tokens"},
    "finetune": {"model": "pretrain", "chatdata": "chatdata"},
    "prefer": {"model": "finetune"},
    **{f"eval-{m}": {"model": m, "base": "base", "corpus": "corpus"} for m in MODELS},
    "export": {"model": "prefer"},
}


class Nothing(Section):
    """A section without fields."""


def write_run(
    runs: Path, *, stages: tuple[str, ...] = ORDER, sample: str = "从前有一座山。"
) -> Path:
    """Walk the given stages into runs/small and return the run folder."""
    nodes = [_node(name, stages, sample) for name in stages]
    walk = Walk(name="small", nodes=nodes, seed=17, target="zh", source="en", machine=Machine(),
                run_dir=runs / "small")  # fmt: skip
    run(walk, Silent(), summarise=summarise)
    return walk.run_dir


def _node(name: str, stages: tuple[str, ...], sample: str) -> Node:
    def work(context: Context[Nothing]) -> Result:
        return _WRITERS.get(name, _model)(name, context.out, sample)

    inputs = {role: made for role, made in ROLES.get(name, {}).items() if made in stages}
    stage = Stage(name=name, version=1, run=work, title=f"the {name}")
    return Node(stage=stage, config=Nothing(), inputs=inputs)


def _model(name: str, out: Path, sample: str) -> Result:
    write_json(out / "model" / "config.json", {})
    if name not in ("pretrain", "finetune", "prefer"):
        return Result()
    lines = []
    for step in range(1, 401):
        loss = 2.2 + 6.0 * math.exp(-step / 60) + 0.1 * math.sin(step * 1.7)
        lr = 1e-3 * min(1.0, step / 20) * (0.5 + 0.5 * math.cos(math.pi * step / 400))
        pairs = {"margins": {"zh": step / 400, "en": 0.1}, "accuracies": {"zh": 0.5, "en": 0.6}}
        lines.append(json.dumps({
            **(pairs if name == "prefer" else {}), "step": step, "tokens": step * 8192,
            "loss": loss, "lr": lr, "grad_norm": 1.0,
            "targets": 8000, "losses": {"zh": loss + 0.3, "en": loss - 0.4},
        }))  # fmt: skip
    write_text(out / "log.jsonl", "\n".join(lines) + "\n")
    metrics = _held_out_pairs() if name == "prefer" else {}
    return Result(counts={"steps": 400, "tokens": 400 * 8192}, metrics=metrics)


def _held_out_pairs() -> dict[str, Any]:
    """Forty pairs, of which a quarter is right before and three quarters after."""
    from hanhua.train.pair_scores import pair_scores

    before = np.array([[-20.0, -18.0 - 4 * (i % 4 == 0)] for i in range(40)])
    after = np.array([[-19.0, -18.0 - 4 * (i % 4 > 0)] for i in range(40)])
    found = pair_scores(before, after, np.full((40, 2), 10), ["zh", "en"] * 20)
    return {"method": "dpo", "held_out_pairs": found}


def _corpus(name: str, out: Path, sample: str) -> Result:
    ledger = Ledger()
    for source, language, kept, dropped in (
        ("zh_wiki", "zh", 820, {"too_short": 31, "duplicate": 9}),
        ("zh_news_with_a_long_name", "zh", 410, {"language": 40}),
        ("en_books", "en", 910, {"too_short": 12}),
    ):
        account = ledger.account(source, language, "CC-BY-4.0")
        account.records = account.read = kept + 10 + sum(dropped.values())
        for number in range(kept + 10):
            document = Document(str(number), "天气很好。" * 20, language, source, "CC-BY-4.0")
            (account.held_out if number < 10 else account.train).add(document.text)
        for reason, times in dropped.items():
            for number in range(times):
                ledger.drop(account, Drop(reason, 1), f"{source}:{number}", "短")
    write_json(out / "ledger.json", ledger.as_dict())
    write_text(out / "dropped.jsonl", "".join(json.dumps(s) + "\n" for s in ledger.samples))
    return Result(counts={"in": 2261})


def _vocab(name: str, out: Path, sample: str) -> Result:
    sources = [{"source": "zh_wiki", "language": "zh", "before": 2.9, "after": 0.81, "chars": 9000}]
    line = {"text": "天气很好", "before": ["<0xE5>", "<0xA4>", "<0xA9>", "气"], "after": ["天气"]}
    write_json(out / "report.json", {"sources": sources, "examples": {"zh": [line]}})
    return Result(metrics={
        "tokens_per_char": {"before": {"zh": 2.93, "en": 0.26}, "after": {"zh": 0.83, "en": 0.26}},
        "bytes_per_token": {"before": {"zh": 1.0, "en": 3.9}, "after": {"zh": 3.5, "en": 3.9}},
        "added": 4096, "english_ids_changed": {"lines": 1000, "changed": 0},
    })  # fmt: skip


def _tokens(name: str, out: Path, sample: str) -> Result:
    shares = {"asked": {"zh": 0.7, "en": 0.3}, "counted": {"zh": 0.7004, "en": 0.2996}}
    counts = {
        "tokens": 8_000_000,
        "tokens_by_language": {"zh": 5_603_000, "en": 2_397_000},
        "documents": {"zh": {"epochs": 1.4}, "en": {"epochs": 0.8}},
    }
    return Result(counts=counts, metrics={"shares": shares})


def _chatdata(name: str, out: Path, sample: str) -> Result:
    account = ChatAccount(
        "alpaca", "CC-BY-NC-4.0", 2, records=2000, kept=1700, held_out=100, chars=9, bytes=9,
        target_bytes=9, dropped=Counter(empty=150, duplicate=50), schemas={"alpaca": None},
        languages=Counter(zh=900, en=800),
    )  # fmt: skip
    write_json(out / "ledger.json", ledger_dict([account]))
    return Result()


def _eval(name: str, out: Path, sample: str) -> Result:
    model = name.removeprefix("eval-")
    scores = {
        "bits_per_byte": {code: _bits(model, code) for code in ("zh", "en")},
        "drift": _drift(model, out) if model in DRIFT else None,
        "drift_method": {"exact": True, "reason": None} if model in DRIFT else None,
        "tasks": [_task(model, "cmmlu", "zh"), _task(model, "mmlu", "en")],
        "answers": _answers(model),
    }
    from hanhua.eval.evaluate import add_verdicts

    scores["verdicts"] = add_verdicts(scores)
    samples = [
        {"language": "zh", "prompt": "中国的首都是哪里？", "text": sample, "template": None},
        {"language": "en", "prompt": "Once upon a time", "text": "there was a small dog."},
    ]
    write_json(out / "scores.json", scores)
    write_text(out / "samples.json", json.dumps(samples))  # in ASCII: holds any string
    return Result(metrics=scores)


def _quantise(name: str, out: Path, sample: str) -> Result:
    """One method, a hundredth worse in both languages than the model that it is of."""
    bits = {code: {"value": 1.01 * value, "n_docs": DOCS} for code, value in BITS["prefer"].items()}
    source = {"method": "source", "bytes": 2**24, "bits_per_byte": BITS["prefer"]}
    change = {"zh": {"value": 0.0266, "low": 0.02, "high": 0.03}}
    row = {"method": "int4", "bytes": 2**22, "change": change, "broken": ["Chinese: too much"],
           "bits_per_byte": {code: part["value"] for code, part in bits.items()}}  # fmt: skip
    write_json(out / "quantise.json", {"rows": [source, row]})
    write_json(out / "int4" / "proof" / "scores.json", {"bits_per_byte": bits})
    said = {"language": "zh", "prompt": "中国的首都是哪里？", "text": "四比特"}
    write_json(out / "int4" / "proof" / "samples.json", [said])
    return Result()


def _answers(model: str) -> dict[str, Any]:
    """Twenty answers, the same of every model."""
    from hanhua.eval.answers import summaries

    rows = [{"id": str(i), "language": "zh", "same_language": i > 3, "purity": 0.9}
            for i in range(20)]  # fmt: skip
    before = None if model == "base" else rows
    return {"metrics": summaries("fidelity", rows, before, 17, DRAWS), "sets": {}}


def _bits(model: str, code: str) -> dict[str, Any]:
    from hanhua.eval.bits_per_byte import TextScore, summary

    def scored(name: str) -> list[TextScore]:
        nats = BITS[name][code] * BYTES * math.log(2)
        return [TextScore(str(i), "wiki", nats * f, BYTES, 900) for i, f in enumerate(SPREAD)]

    return summary(scored(model), 17, DRAWS, None if model == "base" else scored("base"))


def _drift(model: str, out: Path) -> dict[str, Any]:
    from hanhua.eval.drift import TextDrift, as_item, summary
    from hanhua.eval.items import write_lines

    def moved(factor: float) -> list[TextDrift]:
        nats = DRIFT[model] * factor * BYTES * math.log(2)
        return [
            TextDrift(
                f"t{i}", f"wiki{i % 2}", nats * f, 9.0, BYTES, 20, True,
                tuple(nats * f * k / 190 for k in range(20)),
                tuple(f" word{k % 7}" for k in range(20)),
                ({"at": 19, "base": " <b>", "new": "河", "base_p": 0.8, "new_p": 0.5},),
            )
            for i, f in enumerate(SPREAD)
        ]  # fmt: skip

    found = {"held_out": moved(1), "sampled": moved(1.4)}
    for place, texts in found.items():
        write_lines(out / "items" / f"drift-{place}.jsonl", map(as_item, texts))
    return {place: summary(texts, 17, DRAWS) for place, texts in found.items()}


def _task(model: str, name: str, code: str) -> dict[str, Any]:
    from hanhua.eval.choose import Answer, summary
    from hanhua.eval.tasks.question import Question, Task, Wording

    choices = ("甲", "乙", "丙", "丁")
    questions = tuple(
        Question(str(i), f"subject {i % 3}", "?", choices, 0, code) for i in range(200)
    )
    wording = Wording("plain", "here", lambda subject: "", "", "A:", " ")
    task = Task(name=name, version=1, language=code, source="made up", licence="own", shots=0,
                wording=wording, answers="letter", questions=questions)  # fmt: skip

    def answered(who: str) -> list[Answer]:
        return [
            Answer(q.id, q.subject, 0, int(i % 100 >= 100 * RIGHT[who]), 0, (0.0,) * 4, 0, False)
            for i, q in enumerate(questions)
        ]

    before = {a.id: a.right for a in answered("base")}
    return summary(task, answered(model), 17, DRAWS, None if model == "base" else before)


_WRITERS: Mapping[str, Callable[[str, Path, str], Result]] = {
    "quantise": _quantise,
    "corpus": _corpus, "vocab": _vocab, "tokens": _tokens, "chatdata": _chatdata,
    **{f"eval-{m}": _eval for m in MODELS},
}  # fmt: skip
