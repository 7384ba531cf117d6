"""What became of conversations and pairs in training rows of limited length."""

from __future__ import annotations

from collections.abc import Mapping

from hanhua.report.html import Html, Words, count
from hanhua.report.page import note
from hanhua.report.run import Run, dig, mapping, real

FATES: Mapping[str, Words] = {
    "whole": Words("whole", "完整"),
    "turns_cut": Words("without their last turns", "去掉了末尾的轮次"),
    "answer_cut": Words("with an answer cut off", "回答被截断"),
    "too_long": Words("dropped, the question leaves no room", "被丢弃：问题太长，放不下回答"),
    "prompt_too_long": Words(
        "dropped, the question leaves no room", "被丢弃：问题太长，放不下回答"
    ),
    "same_when_cut": Words("dropped, equal where they are cut", "被丢弃：截断后两个答案相同"),
}
"""What became of a conversation or pair in rows of limited length."""

NAMES = {"conversations": ("conversations", "段", "对话"), "pairs": ("pairs", "对", "偏好数据")}
"""English; in Chinese the measure word and the name."""


def fitted(run: Run, stage: str, kind: str) -> list[Html]:
    """How many conversations or pairs the training rows had room for, where not for all.

    Args:
        run: the run.
        stage: finetune or prefer.
        kind: conversations or pairs.
    """
    fates = mapping(dig(run.stage(stage), "counts", kind))
    read = sum(int(real(n) or 0) for n in fates.values())
    if read == (real(fates.get("whole")) or 0):
        return []
    en, zh, what = NAMES[kind]
    told = [
        Words(f"{count(fates[fate])} {said.en}", f"{count(fates[fate])} {zh}{said.zh}")
        for fate, said in FATES.items()
        if real(fates.get(fate))
    ]
    return [note(
        f"Of {count(read)} {en} for training: {', '.join(str(one.en) for one in told)} "
        f"({stage}.seq_len_tokens).",
        f"训练用的 {count(read)} {zh}{what}中：{'，'.join(str(one.zh) for one in told)}"
        f"（{stage}.seq_len_tokens）。",
    )]  # fmt: skip
