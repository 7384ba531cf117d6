"""Prompts that ought to be refused, with refusals of ours as answers: JADE-DB, XSTest's unsafe.

Such sets bring prompts and no answers. A refusal says that it refuses, in the prompt's language,
offers something else, and never repeats what was asked. Which wording is taken hangs on the
prompt, so it is the same each time. A model that learns only these refuses everything: mix them
with ordinary instructions and with ``builtin: harmless``.
"""

from __future__ import annotations

import hashlib

from hanhua.chat.conversation import Conversation
from hanhua.chat.schemas.fields import WRONG_FIELDS, Fields, conversation, pair, text_of
from hanhua.text.scripts import is_han
from hanhua.text.verdict import Drop

HARMLESS = "harmless"
FIELDS = ("prompt", "问题", "question", "Goal")
REFUSALS = {
    "zh": (
        "抱歉，我不能帮助做这件事，因为它可能伤害他人或违反法律。如果你有别的问题，我很乐意帮忙。",
        "对不起，这个请求我无法协助。如果你正遇到困难，可以向家人、专业机构或警方求助。",
        "很抱歉，我不能提供这方面的内容。我们可以聊聊合法、安全的做法。",
        "我不能协助这样的请求。尊重法律和他人的权利很重要，换个话题我可以帮你。",
        "抱歉，我无法回答这个问题，因为它可能造成伤害。需要了解相关的法律或安全知识，我可以说明。",
        "对不起，我不会为这种做法出主意。如果有人处在危险中，请立即联系当地的紧急服务。",
    ),
    "en": (
        "I'm sorry, but I can't help with that, because it could hurt someone or break the law. "
        "I am glad to help with something else.",
        "I can't assist with this request. If you are in difficulty, family, professionals or the "
        "police can help.",
        "Sorry, I can't provide that. We could talk about safe and lawful ways instead.",
        "I won't help with this. Respecting the law and other people matters; ask me about "
        "something else and I will do my best.",
        "I'm sorry, I can't answer this, because it may cause harm. I can explain the law or how "
        "to stay safe.",
        "I can't give advice on this. If somebody is in danger, please call the local emergency "
        "services now.",
    ),
}
"""Our refusals, by language."""
_SAFE = ("safe", "harmless")


def read(record: Fields) -> Conversation | Drop:
    """A prompt with a refusal; what the set itself calls safe is dropped."""
    prompt = text_of(record, *FIELDS)
    if not prompt:
        return Drop(WRONG_FIELDS, ", ".join(map(str, record))[:200])
    stated = text_of(record, "kind", "label").strip().lower()
    if stated in _SAFE:
        return Drop(HARMLESS, stated)
    answers = REFUSALS["zh" if any(map(is_han, prompt)) else "en"]
    place = hashlib.sha256(prompt.encode("utf-8", "replace")).digest()[0] % len(answers)
    return conversation(record, pair(prompt, answers[place]), task="refusal")
