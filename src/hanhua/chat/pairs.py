"""A pair: one question, the answer that is preferred, and the other.

The files are read by :mod:`hanhua.chat.schemas.preference`; here stands what makes a pair sound.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

from hanhua.chat.clean import own_identity
from hanhua.chat.conversation import Conversation, problem
from hanhua.chat.identity import Identity
from hanhua.chat.schemas.fields import WRONG_FIELDS, Fields
from hanhua.chat.schemas.preference import answered
from hanhua.text.verdict import Drop

IDENTICAL_ANSWERS = "identical_answers"
PROMPTS_DIFFER = "prompts_differ"
NO_PROMPT = "no_prompt"
TOO_LONG = "too_long"


@dataclass(frozen=True, slots=True)
class Pair:
    """A conversation that ends with the better answer, and the worse one.

    Args:
        chosen: with the answer that is preferred.
        rejected: the other answer to the same question.
    """

    chosen: Conversation
    rejected: str

    @property
    def worse(self) -> Conversation:
        """The conversation with the worse answer."""
        last = replace(self.chosen.turns[-1], text=self.rejected)
        return replace(self.chosen, turns=(*self.chosen.turns[:-1], last))


def read_pair(record: Fields, max_chars: int) -> Pair | Drop:
    """One record to a sound pair.

    Args:
        record: as a file gave it.
        max_chars: of the question with one of its answers.

    Returns:
        The pair, or why there is none: ``wrong_fields``, ``no_prompt``, ``prompts_differ``,
        ``identical_answers``, ``too_long``, or what makes a conversation unsound (see
        :func:`hanhua.chat.conversation.problem`).
    """
    if "chosen" not in record or "rejected" not in record:
        return Drop(WRONG_FIELDS, ", ".join(map(str, record))[:200])
    both = [answered(record, name) for name in ("chosen", "rejected")]
    for found in both:
        if isinstance(found, Drop):
            return found
        if len(found.turns) < 2:
            return Drop(NO_PROMPT, "")
        if reason := problem(found):
            return Drop(reason, f"{len(found.turns)} turns")
        if found.chars > max_chars:
            return Drop(TOO_LONG, found.chars)
    better, worse = (found for found in both if not isinstance(found, Drop))
    return make_pair(better, worse)


def own_pair(pair: Pair, own: Identity) -> Pair | Drop:
    """The pair with the model's own name in both answers, where they claim another.

    Returns:
        ``identity`` or ``name_blank`` as for conversations; ``identical_answers`` where the name
        was all that the answers differed in.
    """
    both = [own_identity(conversation, own) for conversation in (pair.chosen, pair.worse)]
    for found in both:
        if isinstance(found, Drop):
            return found
    better, worse = (found for found in both if not isinstance(found, Drop))
    return make_pair(better, worse)


def make_pair(better: Conversation, worse: Conversation) -> Pair | Drop:
    """Two sound conversations as a pair: ``prompts_differ`` or ``identical_answers`` if none."""
    if (better.system, better.turns[:-1]) != (worse.system, worse.turns[:-1]):
        return Drop(PROMPTS_DIFFER, f"{len(better.turns)} and {len(worse.turns)} turns")
    if better.turns[-1].text.strip() == worse.turns[-1].text.strip():
        return Drop(IDENTICAL_ANSWERS, "")
    return Pair(better, worse.turns[-1].text)
