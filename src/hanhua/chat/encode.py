"""Spans to token ids with an exact loss mask, and prompts by the same path.

The ids are those of the whole text in one call (what ``apply_chat_template`` gives), because a
tokenizer may treat the start of a text differently from its middle. Which tokens are learnt is
read from the character offsets of that one call, never from tokenising pieces apart.

Special tokens: in what the template wrote they are special tokens; in what people wrote they
are characters. A special token's string inside content is cut after its first character and the
parts are encoded apart, so its id cannot come out (some tokenizers show the cut as a space when
decoded). Content without such strings, which is nearly all, is not touched at all.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from functools import lru_cache
from typing import Any

from hanhua.chat.conversation import Conversation
from hanhua.chat.template import (
    Messages,
    Span,
    Template,
    get_template,
    prompt,
    render,
    template_by_jinja,
)
from hanhua.core.errors import InputError, ModelError

_CUT = "\ufdd0"  # a Unicode noncharacter: never in text that is meant for interchange


def encode_conversation(
    tokenizer: Any, template: Template, conversation: Conversation
) -> tuple[list[int], list[bool]]:
    """Render and encode one conversation.

    Args:
        tokenizer: a fast tokenizer of transformers.
        template: one of the registry.
        conversation: a sound one.

    Returns:
        token ids and, for each, whether it is learnt: answers and their end, nothing else.

    Raises:
        ModelError: when the tokenizer lacks a token that the template needs.
    """
    check_template(tokenizer, template)
    found = render(template, conversation, tokenizer.bos_token, tokenizer.eos_token)
    return encode_spans(tokenizer, found)


def encode_spans(tokenizer: Any, spans: Sequence[Span]) -> tuple[list[int], list[bool]]:
    """Encode spans as one text.

    A token is learnt when its first character stands in a target span. A special token that
    comes out of content all the same (a tokenizer whose normalizer makes one) is left out.

    Args:
        tokenizer: a fast tokenizer of transformers (offsets are needed).
        spans: of one conversation, in order.

    Returns:
        token ids and, for each, whether it is learnt; equally long.
    """
    text = "".join(span.text for span in spans)
    target, content = _char_marks(spans)
    cuts = _forged(tokenizer, text, content)
    ids: list[int] = []
    targets: list[bool] = []
    special = _special_ids(tokenizer, len(tokenizer))
    for token, start in _encode_cut(tokenizer, text, cuts):
        start = min(start, len(text) - 1)
        if token in special and content[start]:
            continue
        ids.append(token)
        targets.append(bool(target[start]))
    return ids, targets


def encode_prompt(
    tokenizer: Any,
    template: str | None,
    messages: Messages,
    add_generation_prompt: bool = True,
) -> list[int]:
    """The ids that a model is to continue; a server and an evaluation both take them from here.

    Args:
        tokenizer: a fast tokenizer of transformers.
        template: a name in the registry; None for the tokenizer's own chat template.
        messages: a conversation whose last message is the user's.
        add_generation_prompt: end with what opens an answer.

    Raises:
        ModelError: when the tokenizer has no chat template and none is named, lacks a token that
            the named one needs, or has no end token.
        InputError: when roles do not take turns.
    """
    own = template_of(tokenizer) if template is None else get_template(template)
    # Others write a template of the registry as plain text, where the tokenizer has no such tokens.
    if own is None or (template is None and _lacking(tokenizer, own)):
        return _encode_foreign(tokenizer, messages, add_generation_prompt)
    check_template(tokenizer, own)
    bos, eos = tokenizer.bos_token, tokenizer.eos_token
    return encode_spans(tokenizer, prompt(own, messages, bos, eos, add_generation_prompt))[0]


def template_of(tokenizer: Any) -> Template | None:
    """The template of the registry that a tokenizer carries, None for a foreign one.

    Raises:
        ModelError: when it carries none at all.
    """
    if not tokenizer.chat_template:
        raise ModelError(
            "This model has no chat template, so it cannot be talked to.",
            where=tokenizer.name_or_path,
            fix="finetune it; as it is it continues text, at /v1/completions of `hanhua serve`",
        )
    return template_by_jinja(str(tokenizer.chat_template))


def check_template(tokenizer: Any, template: Template) -> None:
    """Make sure that a tokenizer can write a template.

    Raises:
        ModelError: naming the tokens it lacks.
    """
    if not getattr(tokenizer, "is_fast", False):
        raise ModelError("A fast tokenizer is needed.", found=type(tokenizer).__name__)
    missing = _lacking(tokenizer, template)
    if tokenizer.eos_token is None:
        missing.append("an end token")
    if template.needs_bos and tokenizer.bos_token is None:
        missing.append("a begin token")
    if missing:
        raise ModelError(
            f"The tokenizer lacks tokens of the chat template {template.name}.",
            where=tokenizer.name_or_path, found=", ".join(missing),
            fix="use the template hanhua, which needs only an end token",
        )  # fmt: skip


def _lacking(tokenizer: Any, template: Template) -> list[str]:
    """The special tokens of a template that a tokenizer does not have as such."""
    known = _special_strings(tokenizer, len(tokenizer))
    return [token for token in template.needs if token not in known]


def _char_marks(spans: Sequence[Span]) -> tuple[bytearray, bytearray]:
    """For each character: is it learnt, is it content."""
    target, content = bytearray(), bytearray()
    for span in spans:
        target += bytes([span.target]) * len(span.text)
        content += bytes([span.content]) * len(span.text)
    return target, content


@lru_cache(maxsize=16)
def _special_strings(tokenizer: Any, _size: int) -> frozenset[str]:
    added = tokenizer.added_tokens_decoder.values()
    return frozenset(str(t) for t in added if t.special) | frozenset(tokenizer.all_special_tokens)


@lru_cache(maxsize=16)
def _special_ids(tokenizer: Any, size: int) -> frozenset[int]:
    return frozenset(tokenizer.convert_tokens_to_ids(list(_special_strings(tokenizer, size))))


@lru_cache(maxsize=16)
def _special_pattern(tokenizer: Any, size: int) -> re.Pattern[str]:
    strings = sorted(_special_strings(tokenizer, size), key=lambda s: (-len(s), s))
    return re.compile("|".join(map(re.escape, strings)) or r"(?!)")


def _forged(tokenizer: Any, text: str, content: bytearray) -> list[int]:
    """Where to cut so that no special string that touches content stays whole, ascending."""
    pattern = _special_pattern(tokenizer, len(tokenizer))
    cuts: list[int] = []
    position = 0
    while match := pattern.search(text, position):
        if any(content[match.start() : match.end()]):
            # The rest may hold another special string that starts inside this one.
            position = match.start() + 1
            cuts.append(position)
        else:
            position = match.end()
    return cuts


def _encode_cut(tokenizer: Any, text: str, cuts: Sequence[int]) -> list[tuple[int, int]]:
    """(id, first character) of each token of a text, encoded apart at the cuts."""
    found: list[tuple[int, int]] = []
    # A later part follows the end token, as if it stood in the middle of a text.
    anchor = tokenizer.eos_token or ""
    for start, end in zip([0, *cuts], [*cuts, len(text)], strict=True):
        lead = anchor if start else ""
        coded = tokenizer(
            lead + text[start:end],
            add_special_tokens=False,
            return_offsets_mapping=True,
            return_attention_mask=False,
            verbose=False,
        )
        tokens = zip(coded["input_ids"], coded["offset_mapping"], strict=True)
        if lead:
            next(tokens)
        found += [(token, start + max(0, low - len(lead))) for token, (low, _) in tokens]
    return found


def _encode_foreign(tokenizer: Any, messages: Messages, add_generation_prompt: bool) -> list[int]:
    """A prompt by a chat template that is not ours: cuts are marked before it is rendered."""
    pattern = _special_pattern(tokenizer, len(tokenizer))
    marked = [{**m, "content": _mark(pattern, m["content"])} for m in messages]
    try:
        text = tokenizer.apply_chat_template(
            marked, tokenize=False, add_generation_prompt=add_generation_prompt
        )
    except Exception as error:  # a template raises what it likes
        raise InputError(
            "The model's own chat template refuses these messages.",
            where=tokenizer.name_or_path, found=error,
            fix="send messages in the order that the model's template expects",
        ) from error  # fmt: skip
    cuts: list[int] = []
    parts = str(text).split(_CUT)
    for part in parts[:-1]:
        cuts.append(len(part) + (cuts[-1] if cuts else 0))
    return [token for token, _ in _encode_cut(tokenizer, "".join(parts), cuts)]


def _mark(pattern: re.Pattern[str], text: str) -> str:
    """Put the cut mark into every special string of a text."""
    text = text.replace(_CUT, "")
    position = 0
    while match := pattern.search(text, position):
        position = match.start() + 1
        text = text[:position] + _CUT + text[position:]
        position += 1
    return text
