"""Which tokens an engine learns from, beside hanhua's: conversation by conversation."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from hanhua.chat.conversation import Conversation
from hanhua.chat.encode import encode_conversation
from hanhua.chat.template import get_template

IGNORE = -100


def compare(
    path: Path, tokenizer: Any, template: str, conversations: Sequence[Conversation]
) -> dict[str, Any]:
    """Hold an engine's labels against the answers and their ends.

    Args:
        path: a line for each conversation: ids and labels.
        tokenizer: with which both encoded.
        template: the name of the template.
        conversations: in the same order.

    Returns:
        Conversations by what was found: ``same``; ``other tokens`` (the ids of the text differ);
        ``learns no answer token`` and ``learns more`` (the same ids, another mask).
    """
    lines = path.read_text(encoding="utf-8").splitlines()
    if len(lines) != len(conversations):
        return {"conversations": len(conversations), "told": len(lines)}
    found: Counter[str] = Counter()
    for line, conversation in zip(lines, conversations, strict=True):
        ids, labels = json.loads(line)
        found[_difference(ids, labels, tokenizer, template, conversation)] += 1
    return {"conversations": len(conversations), **dict(found)}


def _difference(
    ids: list[int], labels: list[int], tokenizer: Any, template: str, conversation: Conversation
) -> str:
    ours, mask = encode_conversation(tokenizer, get_template(template), conversation)
    learnt = [label != IGNORE for label in labels]
    if ids == ours:
        if learnt == mask:
            return "same"
        more = any(theirs and not own for theirs, own in zip(learnt, mask, strict=True))
        return "learns more" if more else "learns less"
    theirs = [i for i, is_learnt in zip(ids, learnt, strict=True) if is_learnt]
    own = [i for i, is_learnt in zip(ours, mask, strict=True) if is_learnt]
    if theirs == own:
        return "other tokens in what is asked"
    specials = set(tokenizer.all_special_ids)
    forged = sum(i in specials for i in ids) != sum(i in specials for i in ours)
    return "text as special tokens" if forged else "other tokens in what is learnt"
