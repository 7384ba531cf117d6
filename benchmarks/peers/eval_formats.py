"""Invented rows in the published form of sets that are not at hand, for both evaluators to read.

What rows of such sets have beside plain sentences is in them: WikiHow's marks, empty second
halves, three to five options, numbers for letters, double spaces, capitals, several true answers.
"""

from __future__ import annotations

import random
from collections.abc import Callable
from pathlib import Path
from typing import Any

from peers.eval_cases import STOCK as KNOWN
from peers.eval_cases import write_rows

WHO = ["Tom", "the baker", "her sister", "an old man", "the teacher", "a boy in a red coat"]
DOES = ["cuts the bread", "opens the window", "feeds the ducks", "mends the fence", "reads a map"]
WHERE = ["in the garden", "by the river", "at the market", "near the school", "on the hill"]
THEN = ["It starts to rain.", "He laughs.", "Nobody answers.", "They walk home.", "The dog barks."]
ZH_WHO = ["小明", "老师", "卖鱼的人", "他的妹妹", "那位老人"]
ZH_DOES = ["打开了窗户", "买了一条鱼", "把书放在桌上", "修好了篱笆", "唱了一首歌"]
ZH_THEN = ["外面下雨了。", "大家都笑了。", "没有人回答。", "他们一起回家。", "狗叫了起来。"]
LABELS = (list("ABCD"), list("1234"), list("ABC"), list("ABCDE"))

Draw = random.Random
Made = Callable[[Draw, int], dict[str, Any]]


def _said(draw: Draw) -> str:
    return f"{draw.choice(WHO)} {draw.choice(DOES)} {draw.choice(WHERE)}"


def _zh(draw: Draw) -> str:
    return f"{draw.choice(ZH_WHO)}{draw.choice(ZH_DOES)}"


def _hellaswag(draw: Draw, i: int) -> dict[str, Any]:
    endings = [f"{_said(draw)}{end}" for end in (".", " and waits.", ", then stops.", " again.")]
    first, second = _said(draw), draw.choice(WHO)
    if i % 4 == 1:
        first = f"[header] How to see that {first} [title] Begin slowly. [step] Look around."
        endings = [f"[substeps] {end}  Do it  twice." for end in endings]
    if i % 4 == 2:
        second = ""
    return {"activity_label": draw.choice(DOES).capitalize(), "ctx_a": f"{first}.",
            "ctx_b": second, "endings": endings, "label": str(i % 4)}  # fmt: skip


def _boolq(draw: Draw, i: int) -> dict[str, Any]:
    passage = " ".join(f"{_said(draw).capitalize()}." for _ in range(1 + i % 4))
    return {"passage": f"River (song) -- {passage}" if i % 5 == 0 else passage,
            "question": f"does {_said(draw)}", "label": i % 2}  # fmt: skip


def _xstorycloze(draw: Draw, i: int) -> dict[str, Any]:
    row = {f"input_sentence_{k}": f"{_zh(draw)}。" for k in (1, 2, 3, 4)}
    endings = draw.sample(ZH_THEN, 2)
    return row | {"sentence_quiz1": endings[0], "sentence_quiz2": endings[1],
                  "answer_right_ending": 1 + i % 2}  # fmt: skip


def _xcopa(draw: Draw, i: int) -> dict[str, Any]:
    first, second = draw.sample(ZH_THEN, 2)
    if i % 7 == 3:
        second = "Tom 来了。"
    return {"premise": f"{_zh(draw)}。", "choice1": first, "choice2": second,
            "question": ("cause", "effect")[i % 2], "label": (i // 2) % 2}  # fmt: skip


def _mc1(draw: Draw, i: int) -> dict[str, Any]:
    options = list(dict.fromkeys(f"{_said(draw).capitalize()}." for _ in range(2 + i % 5)))
    while len(options) < 2:
        options.append(draw.choice(THEN))
    targets = {"choices": options, "labels": [1] + [0] * (len(options) - 1)}
    return {"question": f"What happens when {_said(draw)}?", "mc1_targets": targets}


def _mc2(draw: Draw, i: int) -> dict[str, Any]:
    row = _mc1(draw, i)
    choices = [*row.pop("mc1_targets")["choices"], f"It is {_said(draw)} again."]
    n_true = 1 + i % (len(choices) - 1)
    labels = [1] * n_true + [0] * (len(choices) - n_true)
    return row | {"mc2_targets": {"choices": choices, "labels": labels}}


def _arc(draw: Draw, i: int) -> dict[str, Any]:
    labels = LABELS[i % len(LABELS)]
    texts = draw.sample([f"{does} {where}" for does in DOES for where in WHERE], len(labels))
    return {"question": f"Which of these is what {draw.choice(WHO)} does first?",
            "choices": {"text": texts, "label": labels},
            "answerKey": labels[i % len(labels)]}  # fmt: skip


def _openbookqa(draw: Draw, i: int) -> dict[str, Any]:
    row = _arc(draw, 4 * i)
    return row | {"question_stem": f"{draw.choice(WHO).capitalize()} can be seen"}


def _piqa(draw: Draw, i: int) -> dict[str, Any]:
    return {"goal": f"How to watch while {_said(draw)}?", "sol1": f"Stand {draw.choice(WHERE)}.",
            "sol2": f"Ask {draw.choice(WHO)}, who {draw.choice(DOES)}, to wait", "label": i % 2}  # fmt: skip # noqa: E501


def _gsm8k(draw: Draw, i: int) -> dict[str, Any]:
    a, b = draw.randint(2, 999), draw.randint(2, 9_999)
    return {"question": f"{draw.choice(WHO)} has {a} apples and gets {b:,} more. How many now?",
            "answer": f"{a} and {b} are <<{a}+{b}={a + b}>>{a + b:,}.\n#### {a + b:,}"}  # fmt: skip


MADE: dict[str, tuple[Made, str]] = {
    "hellaswag": (_hellaswag, "validation"), "boolq": (_boolq, "validation"),
    "xstorycloze_zh": (_xstorycloze, "eval"), "xcopa_zh": (_xcopa, "test"),
    "truthfulqa_mc1": (_mc1, "validation"), "truthfulqa_mc2": (_mc2, "validation"),
    "arc_easy": (_arc, "test"), "arc_challenge": (_arc, "test"),
    "openbookqa": (_openbookqa, "test"), "piqa": (_piqa, "validation"), "gsm8k": (_gsm8k, "test"),
}  # fmt: skip
"""name -> how a row is made, and the split that is asked, as the harness calls it"""
STOCK = {**KNOWN, "boolq": "boolq/default", "xstorycloze_zh": "xstorycloze/default_zh"}
SHOTS = {"hellaswag": 2, "boolq": 1, "xstorycloze_zh": 2, "arc_easy": 3, "openbookqa": 2,
         "piqa": 1, "gsm8k": 2}  # fmt: skip
"""Solved examples; of the others none."""


def made(name: str, work: Path, n: int) -> dict[str, Any]:
    """A job's part: n invented questions of a set, and as many rows to draw examples from."""
    row, split = MADE[name]
    draw = random.Random(name)
    asked, pool = ([row(draw, i) for i in range(n)] for _ in range(2))
    shown = "validation" if split == "test" and name == "xcopa_zh" else "train"
    files = {
        split: write_rows(work / name / f"{split}.jsonl", asked),
        shown: write_rows(work / name / f"{shown}.jsonl", pool),
    }  # fmt: skip
    shots = SHOTS.get(name, 0)
    own = {"name": name, "path": str(work / name), "shots": shots, "limit": 0}
    task = {"name": f"{name}__all", "stock": STOCK.get(name, name), "files": files, "shots": shots}
    return {"tasks": [task], "ours": [own]}
