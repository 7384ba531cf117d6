"""Answers in which the assistant claims to be another model: found, renamed or refused.

Sets written by other models teach a model to call itself by their name. Only claims count ("I am
ChatGPT", "作为 OpenAI 训练的语言模型"); talk *about* those models is left alone.
"""

from __future__ import annotations

import re
from dataclasses import dataclass, replace

from hanhua.chat.conversation import Conversation, Turn

# Private-use characters that stand for the model's own name and maker while texts are searched.
_NAME, _MAKER = "\ue0f0", "\ue0f1"

_NAMES = (
    r"Chat[ -]?GPT|GPT[- ]?[2-5](?:\.\d)?(?:-turbo)?|Instruct[ -]?GPT|Vicuna|LLaMA|Llama[ -]?[23]?|"
    r"Chat[ -]?GLM|Qwen|Baichuan|InternLM|Ya[ -]?Yi|Open[ -]?Assistant|"
    r"文心一言|通义千问|讯飞星火|雅意|智谱清言"
)
# Also names of people, animals and signs: only beside a word for what a model is.
_COMMON_NAMES = r"(?:Claude|Bard|Gemini|Alpaca|Koala|MOSS|BELLE)"
_MODEL = r"(?:\bAI\b|\bmodel\b|\bassistant\b|\bchatbot\b|人工智能|模型|助手|助理|机器人)"
_MAKERS = (
    r"(?:Open[ -]?AI|Anthropic|LMSYS|Large Model Systems Organization|Google|DeepMind|Meta|"
    r"Microsoft|Baidu|Alibaba|百度|阿里巴巴|阿里云|科大讯飞|智谱|清华大学|中科闻歌|复旦大学|谷歌|微软)"
)
_BY = rf"(?:{_MAKERS}|\{{\{{author\}}\}})"
# One can work for a maker; to be made by it is a claim.
_MADE = (
    rf"(?:trained|developed|created|built|made|designed|provided) by [^,.!?\n]{{0,40}}?{_MAKERS}|"
    rf"{_BY}[^，。！？\n]{{0,16}}?(?:训练|开发|创建|研发|打造|创造|发明|推出|提供|设计|模型|助手|助理)|"
    rf"{_MAKERS}(?:'s|’s)? [^,.!?\n]{{0,40}}?(?:model|assistant|chatbot)"
)
# Searched first: nearly every text has none of these, and this is a tenth of the patterns' work.
_HINTS = (
    "gpt", "claude", "bard", "gemini", "vicuna", "alpaca", "koala", "llama", "glm", "qwen",
    "baichuan", "internlm", "moss", "belle", "yayi", "ya yi", "ya-yi", "assistant", "文心", "通义",
    "讯飞", "雅意", "智谱", "open ai", "open-ai", "openai", "anthropic", "lmsys", "large model",
    "google", "deepmind", "meta", "microsoft", "baidu", "alibaba", "百度", "阿里", "清华", "闻歌",
    "复旦", "谷歌", "微软", "{{",
)  # fmt: skip
_WHO = (
    rf"(?<![A-Za-z])(?:{_NAMES}|{_COMMON_NAMES}(?=[^。.!?\n]{{0,80}}?{_MODEL})|{_MADE}|"
    r"\{\{(?:name|author)\}\})(?![A-Za-z])"
)
_I = (
    r"(?:\bI(?:'m|’m| am| was)\b|\bmy name is\b|\bcall(?:ed)? me\b|"
    r"\bYou (?:may|can) (?:call|refer to) me\b|\bI go by\b|\bI(?:'m|’m| am)? (?:known as|called)\b|"
    r"(?:您|你)可以(?:叫|称呼?)我|这里是|我是|我叫|我名[叫为]|我的名字|我的中文名|我的英文名|我被称为|我由|本人是|我属于)"
)
_DENIED = r"\bnot\b|不是|喜欢|使用|\busing\b|\btalking\b|\bfan\b|\bworking\b"
# Between "I am" and the name stands at most a description, never the end of a sentence.
_MADE_ME = (
    rf"{_BY}[^.。!?\n]{{0,20}}?(?:(?:created|built|made|trained|developed) me\b|"
    r"(?:制作|训练|开发|创建|研发|打造|创造|设计|发明)了我)|"
    rf"(?:\bmy (?:creator|maker|developer)s?\b|我的(?:开发|创造|制作)者)[^.。!?\n]{{0,60}}?{_BY}"
)
_CLAIM = re.compile(
    rf"{_I}(?:(?!{_DENIED})[^。！？!?\n;；]){{0,60}}?{_WHO}|{_MADE_ME}", re.IGNORECASE
)
_AS = re.compile(
    rf"(?:\bAs an? [^,，。.!?\n]{{0,80}}?|作为[^,，。！？\n]{{0,40}}?){_WHO}"
    rf"[^,，。.!?\n]{{0,40}}(?=([,，]))(?:[,，]\s*{_WHO})?",
    re.IGNORECASE,
)
_YOU_ARE = re.compile(
    rf"(?:\byou are\b|你是|named|名为|叫做?)[^。！？!?\n;；]{{0,60}}?{_WHO}", re.IGNORECASE
)
_SENTENCE = re.compile(r"[^。！？!?\n]*?(?:[。！？!?\n]+|\.(?=\s|$)|$)\s*")
_HAN = re.compile(r"[一-鿿]")


@dataclass(frozen=True, slots=True)
class Identity:
    """Who the model is to be; both may be empty.

    In texts that are searched the two stand as one character each, so that a model called
    Llama-zh, or made by Google, is not taken for another.
    """

    name: str = ""
    maker: str = ""

    def hide(self, text: str) -> str:
        """Put the two characters for name and maker."""
        text = text.replace(self.name, _NAME) if self.name else text
        return text.replace(self.maker, _MAKER) if self.maker else text

    def show(self, text: str) -> str:
        """Put name and maker for the two characters."""
        return text.replace(_NAME, self.name).replace(_MAKER, self.maker)


def claim(conversation: Conversation, own: Identity = Identity()) -> str | None:
    """The first words in which the assistant claims, or is told, to be another model."""
    if _hinted(conversation.system) and (found := _YOU_ARE.search(own.hide(conversation.system))):
        return own.show(found[0])
    for turn in conversation.turns:
        if turn.role == "assistant" and _hinted(turn.text):
            text = own.hide(turn.text)
            found = _CLAIM.search(text) or _AS.search(text)
            if found:
                return own.show(found[0])
    return None


def _hinted(text: str) -> bool:
    lowered = text.lower()
    for hint in _HINTS:  # twice as fast as any()
        if hint in lowered:
            return True
    return False


def fill_blanks(conversation: Conversation, own: Identity) -> Conversation:
    """Write the model's name into ``{{name}}``, its maker into ``{{author}}``, where known."""

    def filled(text: str) -> str:
        text = text.replace("{{name}}", own.name) if own.name else text
        return text.replace("{{author}}", own.maker) if own.maker else text

    if not has_blanks(conversation):
        return conversation
    turns = tuple(Turn(turn.role, filled(turn.text)) for turn in conversation.turns)
    return replace(conversation, system=filled(conversation.system), turns=turns)


def has_blanks(conversation: Conversation) -> bool:
    """Whether ``{{name}}`` or ``{{author}}`` is there."""
    texts = (conversation.system, *(turn.text for turn in conversation.turns))
    return any("{{" in text and ("{{name}}" in text or "{{author}}" in text) for text in texts)


def rewrite(conversation: Conversation, own: Identity) -> Conversation:
    """Let the assistant be ``own.name``: a sentence becomes "I am name" from its claim on.

    Said once an answer; further sentences that claim something go. A clause like "As a model
    trained by OpenAI, …" becomes "As name, …", so that the rest stays.
    """
    turns = tuple(
        Turn(turn.role, own.show(_rewrite(own.hide(turn.text))))
        if turn.role == "assistant"
        else turn
        for turn in conversation.turns
    )
    system = own.hide(conversation.system)
    if _YOU_ARE.search(system):
        system = f"你是{_NAME}。" if _HAN.search(system) else f"You are {_NAME}."
    return replace(conversation, system=own.show(system), turns=turns)


def _rewrite(text: str) -> str:
    text = _AS.sub(_as, text)
    parts: list[str] = []
    said = False
    for match in _SENTENCE.finditer(text):
        sentence = match[0]
        if found := _CLAIM.search(sentence):
            end = "\n" if sentence.endswith("\n") else " "
            statement = f"我是{_NAME}。" if _HAN.search(sentence) else f"I am {_NAME}.{end}"
            sentence = "" if said else sentence[: found.start()] + statement
            said = True
        parts.append(sentence)
    return "".join(parts).strip() if said else text


def _as(match: re.Match[str]) -> str:
    """The clause with the new name; a model's name that follows the comma goes, "I" comes."""
    chinese = bool(_HAN.search(match[0]))
    clause = f"作为{_NAME}" if chinese else f"As {_NAME}"
    if match.end() <= match.start(1):
        return clause
    return f"{clause}，我" if chinese else f"{clause}, I"
