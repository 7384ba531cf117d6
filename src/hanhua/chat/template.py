"""The one template registry: training, evaluation, export, server and page all take it from here.

A template is five short patterns; from them come both the pieces that we encode and the Jinja
that is saved with the tokenizer, so that the two cannot drift apart (a test holds them together).

The default, ``hanhua``, needs nothing that a base tokenizer does not have:

    <s>S: (system text, if any)</s>Q: 你好</s>A: 你好！</s>Q: …

- Every turn ends with the end token, which text can never produce (see `encode`): whatever a
  user writes, even ``A:``, a turn cannot be forged. Measured price against a line break in its
  place: 0.4 to 0.7 % more bits per byte of answer after 60 steps on a 3M-parameter model, whose
  end token had never been trained before.
- ``Q``/``A`` are read as question and answer in Chinese text as in English, and are one byte
  each: an exchange costs 7 tokens beside its texts with any vocabulary, 9 where the texts' first
  pieces cannot take the space; Alpaca's headings cost 25 in a vocabulary of 4,096. No new token
  has to be learnt, no row added.
- A space stands before each text, inside what is learnt: SentencePiece and byte-level BPE both
  have their word-initial pieces, so an answer starts as a document of the base starts, and no
  token can straddle the border between prompt and answer.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from hanhua.chat.conversation import Conversation
from hanhua.core.errors import InputError, RecipeError

Messages = Sequence[Mapping[str, Any]]
"""``[{"role": "system" | "user" | "assistant", "content": text}, …]``"""

_SLOT = re.compile(r"\{(bos|eos|system|text)\}")


@dataclass(frozen=True, slots=True)
class Span:
    """A piece of a rendered conversation.

    Args:
        text: the piece, never empty.
        target: whether a model is to learn it.
        content: whether it was written by a user, an assistant or a system: special tokens that
            seem to stand in it are only characters.
    """

    text: str
    target: bool
    content: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class Template:
    """How a conversation is written down.

    The patterns know ``{bos}``, ``{eos}``, ``{text}`` (trimmed) and ``{system}``, which stands
    for the pattern `system` in the place where a system text goes, and for nothing without one.
    """

    name: str
    description: str
    start: str = ""
    """once, before the first turn"""
    system: str
    question: str
    opening: str
    """before an answer: what a prompt for generation ends with"""
    answer: str
    """all of it is learnt"""
    closing: str = ""
    """after an answer, not learnt"""
    stop: tuple[str, ...] = ()
    """strings that end an answer, beside the tokenizer's end token"""
    needs: tuple[str, ...] = ()
    """special tokens that the tokenizer must already have"""

    @property
    def jinja(self) -> str:
        """The same as a chat template for transformers, with ``{% generation %}`` marks."""
        system = _jinja(self.system, "system")
        first = "{%- if system and loop.first -%}\n" + system + "{%- endif -%}\n"
        once = "{%- if system -%}\n" + system + "{%- endif -%}\n"
        return _JINJA.format(
            start=_jinja(self.start, "", once),
            question=_jinja(self.question, "message['content'] | trim", first),
            opening=_jinja(self.opening, ""),
            answer=_jinja(self.answer, "message['content'] | trim"),
            closing=_jinja(self.closing, ""),
        )


_JINJA = """\
{{%- if messages and messages[0]['role'] == 'system' -%}}
{{%- set system = messages[0]['content'] | trim -%}}
{{%- set turns = messages[1:] -%}}
{{%- else -%}}
{{%- set system = '' -%}}
{{%- set turns = messages -%}}
{{%- endif -%}}
{start}{{%- for message in turns -%}}
{{%- if message['role'] != ['user', 'assistant'][loop.index0 % 2] -%}}
{{{{- raise_exception('user and assistant must take turns, the user first') -}}}}
{{%- endif -%}}
{{%- if message['role'] == 'user' -%}}
{question}{{%- else -%}}
{opening}{{%- generation -%}}
{answer}{{%- endgeneration -%}}
{closing}{{%- endif -%}}
{{%- endfor -%}}
{{%- if add_generation_prompt -%}}
{opening}{{%- endif -%}}
"""


def _jinja(pattern: str, text: str, system: str = "") -> str:
    """A pattern as Jinja, one tag a line; white space between tags is cut by their dashes."""
    tags = {"bos": "{{- bos_token -}}\n", "eos": "{{- eos_token -}}\n"}
    tags |= {"text": "{{- " + text + " -}}\n", "system": system}
    found = ""
    for slot, literal in _pieces(pattern):
        quoted = literal.replace("\\", "\\\\").replace("'", "\\'").replace("\n", "\\n")
        found += tags[slot] if slot else "{{- '" + quoted + "' -}}\n"
    return found


def _pieces(pattern: str) -> Iterator[tuple[str, str]]:
    """The slots and literals of a pattern in order: (slot, "") or ("", literal)."""
    for i, piece in enumerate(_SLOT.split(pattern)):
        if piece:
            yield (piece, "") if i % 2 else ("", piece)


TEMPLATES: Mapping[str, Template] = {
    template.name: template
    for template in (
        Template(
            name="hanhua",
            description="the default: works with any tokenizer, adds no token",
            start="{bos}{system}",
            system="S: {text}{eos}",
            question="Q: {text}{eos}",
            opening="A:",
            answer=" {text}{eos}",
        ),
        Template(
            name="llama-2",
            description="Llama-2-chat as Meta writes it; also LinkSoul, Chinese-Alpaca-2",
            system="<<SYS>>\n{text}\n<</SYS>>\n\n",
            question="{bos}[INST] {system}{text} [/INST]",
            opening="",
            answer=" {text} {eos}",
        ),
        Template(
            name="llama-3",
            description="Llama-3-Instruct, for tokenizers with its header tokens",
            start="{bos}{system}",
            system="<|start_header_id|>system<|end_header_id|>\n\n{text}<|eot_id|>",
            question="<|start_header_id|>user<|end_header_id|>\n\n{text}<|eot_id|>",
            opening="<|start_header_id|>assistant<|end_header_id|>\n\n",
            answer="{text}<|eot_id|>",
            stop=("<|eot_id|>",),
            needs=("<|start_header_id|>", "<|end_header_id|>", "<|eot_id|>"),
        ),
        Template(
            name="chatml",
            description="Qwen and others, for tokenizers with <|im_start|> and <|im_end|>",
            start="{system}",
            system="<|im_start|>system\n{text}<|im_end|>\n",
            question="<|im_start|>user\n{text}<|im_end|>\n",
            opening="<|im_start|>assistant\n",
            answer="{text}<|im_end|>",
            closing="\n",
            stop=("<|im_end|>",),
            needs=("<|im_start|>", "<|im_end|>"),
        ),
    )
}
DEFAULT = "hanhua"


def get_template(name: str) -> Template:
    """A template by name.

    Raises:
        RecipeError: when there is none of that name.
    """
    if name not in TEMPLATES:
        raise RecipeError(
            "There is no such chat template.", found=name, fix=f"use one of {', '.join(TEMPLATES)}"
        )
    return TEMPLATES[name]


def render(
    template: Template, conversation: Conversation, bos: str | None, eos: str | None
) -> list[Span]:
    """A conversation as spans; their texts in a row are what the template's Jinja gives.

    Args:
        template: one of the registry.
        conversation: a sound one (see `conversation.problem`).
        bos: the tokenizer's begin token, None where it has none.
        eos: the tokenizer's end token.
    """
    return spans(template, conversation.messages(), bos, eos)


def prompt(
    template: Template,
    messages: Messages,
    bos: str | None,
    eos: str | None,
    add_generation_prompt: bool = True,
) -> list[Span]:
    """Messages as spans, ready for an answer.

    Raises:
        InputError: when roles do not take turns.
    """
    return spans(template, messages, bos, eos, add_generation_prompt)


def spans(
    template: Template,
    messages: Messages,
    bos: str | None,
    eos: str | None,
    add_generation_prompt: bool = False,
) -> list[Span]:
    """What `render` and `prompt` share."""
    system, turns = _split(messages)
    slots = {"bos": bos or "", "eos": eos or ""}
    head = list(_fill(template.system, slots, system)) if system else []
    found = [*_fill(template.start, slots, "", head)]
    for i, message in enumerate(turns):
        text = message["content"].strip()
        if i % 2 == 0:
            found += _fill(template.question, slots, text, head if i == 0 else [])
        else:
            found += _fill(template.opening, slots)
            found += _fill(template.answer, slots, text, target=True)
            found += _fill(template.closing, slots)
    if add_generation_prompt:
        found += _fill(template.opening, slots)
    return found


def _split(messages: Messages) -> tuple[str, Messages]:
    """The system text, trimmed, and the turns, checked."""
    head = bool(messages) and messages[0]["role"] == "system"
    turns = messages[1:] if head else messages
    for i, message in enumerate(turns):
        if message["role"] != ("user", "assistant")[i % 2]:
            raise InputError(
                "User and assistant must take turns, the user first.",
                where=f"message {i + head + 1}",
                found=message["role"],
                fix="send an optional system message, then user and assistant in turn",
            )
    return (str(messages[0]["content"]).strip() if head else ""), turns


def _fill(
    pattern: str,
    slots: Mapping[str, str],
    text: str = "",
    system: Sequence[Span] = (),
    target: bool = False,
) -> Iterator[Span]:
    for slot, literal in _pieces(pattern):
        if slot == "system":
            yield from system
        elif slot == "text":
            if text:
                yield Span(text, target, content=True)
        elif value := slots[slot] if slot else literal:
            yield Span(value, target)
