"""One conversation at a time: sound or dropped by reason, cut to size, and of one identity."""

from __future__ import annotations

from dataclasses import replace

from hanhua.chat.config import ChatDataConfig
from hanhua.chat.conversation import Conversation, problem, repair
from hanhua.chat.identity import Identity, claim, fill_blanks, has_blanks, rewrite
from hanhua.text.verdict import Drop

IDENTITY = "identity"
NAME_BLANK = "name_blank"
TOO_LONG = "too_long"
TOO_FEW_TURNS = "too_few_turns"

Changes = tuple[str, ...]
"""What was changed: leading_answer, trailing_question, identity, cut_at_turn, system_added."""


def clean(
    conversation: Conversation, config: ChatDataConfig
) -> tuple[Conversation, Changes] | Drop:
    """Make a conversation fit to learn from, or say why it is not.

    Args:
        conversation: as a reader gave it.
        config: the recipe's section.

    Returns:
        the conversation and what was changed in it, or the reason and what was found.
    """
    conversation, cuts = repair(conversation)
    changes = list(cuts)
    if reason := problem(conversation):
        return Drop(reason, _outline(conversation))
    own = own_identity(conversation, identity_of(config.model_name, config.model_maker))
    if isinstance(own, Drop):
        return own
    if own is not conversation:
        changes.append("identity")
    if config.system.strip() and not own.system:
        own = replace(own, system=config.system.strip())
        changes.append("system_added")
    short = _cut(own, config.max_chars, config.max_turns)
    if short is None:
        return Drop(TOO_LONG, own.chars)
    if len(short.turns) < config.min_turns:
        return Drop(TOO_FEW_TURNS, len(short.turns))
    if short is not own:
        changes.append("cut_at_turn")
    return short, tuple(changes)


def _outline(conversation: Conversation) -> str:
    """The order of speakers and the length of what they say: user 12, assistant 0."""
    return ", ".join(f"{turn.role} {len(turn.text)}" for turn in conversation.turns)[:200]


def identity_of(name: str, maker: str) -> Identity:
    """Who a recipe says that the model is."""
    return Identity(name.strip(), maker.strip())


def own_identity(conversation: Conversation, own: Identity) -> Conversation | Drop:
    """The conversation with the model's own name in place of another's.

    Returns:
        itself where nothing claims to be another model; ``identity`` where a claim cannot be
        rewritten (or there is no name), ``name_blank`` where a blank for the name stays.
    """
    filled = fill_blanks(conversation, own)
    found = claim(filled, own)
    if found is None:
        return Drop(NAME_BLANK, "{{name}} or {{author}}") if has_blanks(filled) else filled
    rewritten = rewrite(filled, own) if own.name else filled
    if claim(rewritten, own) or has_blanks(rewritten) or problem(rewritten):
        return Drop(IDENTITY, found)
    return rewritten


def _cut(conversation: Conversation, max_chars: int, max_turns: int) -> Conversation | None:
    """As many whole exchanges from the beginning as fit; None when not even one does."""
    chars, fitting = len(conversation.system), 0
    for i, turn in enumerate(conversation.turns[:max_turns]):
        chars += len(turn.text)
        if chars > max_chars:
            break
        if turn.role == "assistant":
            fitting = i + 1
    if fitting == len(conversation.turns):
        return conversation
    if not fitting:
        return None
    # The answer that was liked less stood at the end.
    return replace(conversation, turns=conversation.turns[:fitting], rejected="")
