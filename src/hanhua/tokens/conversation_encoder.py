"""Many conversations to ids and masks at once: what `chat.encode` gives, in a fraction of the time.

There the tokenizer is asked for one conversation after another and every token is looked at. Here
batches go to its core, or, once there is much text and where the ids are known to be the same, to
the encoder that remembers parts; the mask comes from arrays. Where somebody wrote a special token
into a text, which is rare, `chat.encode` is asked.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Sequence
from itertools import chain
from typing import Any

import numpy as np
import numpy.typing as npt

from hanhua.chat.conversation import Conversation
from hanhua.chat.encode import check_template, encode_spans
from hanhua.chat.template import Template, render
from hanhua.tokens.conversation_parts import ByParts, Texts
from hanhua.tokens.encode import PARTS_FROM_CHARS, text_encoder

Ints = npt.NDArray[Any]
Coded = tuple[npt.NDArray[np.uint32], npt.NDArray[np.bool_]]
"""``[n]`` ids of a conversation and ``[n]`` whether each is learnt."""


class ConversationEncoder:
    """Encodes conversations by one template.

    Args:
        tokenizer: a fast tokenizer of transformers; it is not changed.
        template: one of the registry.

    Attributes:
        is_special: ``[n_ids]`` whether an id is a special token's.

    Raises:
        ModelError: when the tokenizer lacks a token that the template needs.
    """

    def __init__(self, tokenizer: Any, template: Template) -> None:
        check_template(tokenizer, template)
        self.tokenizer, self.template = tokenizer, template
        self.core = text_encoder(tokenizer)
        self.core.encode_special_tokens = bool(getattr(tokenizer, "split_special_tokens", False))
        added = self.core.get_added_tokens_decoder().items()
        self.special = {token.content: i for i, token in added if token.special}
        self.special |= {str(t): tokenizer.convert_tokens_to_ids(str(t))
                         for t in tokenizer.all_special_tokens}  # fmt: skip
        self._pattern = _any_of(self.special)
        self.is_special = np.zeros(max(self.core.get_vocab().values()) + 1, np.bool_)
        self.is_special[list(self.special.values())] = True
        self._chars = 0
        self._parts: ByParts | None = None

    def encode(self, conversations: Sequence[Conversation]) -> Iterator[Coded]:
        """Ids and masks, in order; the same as of :func:`hanhua.chat.encode.encode_conversation`.

        Args:
            conversations: sound ones, in all a few hundred thousand characters.
        """
        bos, eos = self.tokenizer.bos_token, self.tokenizer.eos_token
        found = [render(self.template, one, bos, eos) for one in conversations]
        texts = Texts.of(found)
        matches = [list(self._pattern.finditer(text)) for text in texts.texts]
        forged = [any(texts.content_in(i, *match.span()) for match in some)
                  for i, some in enumerate(matches)]  # fmt: skip
        plain = [i for i, is_forged in enumerate(forged) if not is_forged]
        coded = dict(zip(plain, self._encode(texts, plain, matches), strict=True))
        for i, spans in enumerate(found):
            yield coded[i] if i in coded else _arrays(*encode_spans(self.tokenizer, spans))

    def _encode(
        self, texts: Texts, plain: Sequence[int], matches: Sequence[list[re.Match[str]]]
    ) -> Iterator[Coded]:
        """Those in which no special token stands but the template's."""
        before, self._chars = self._chars, self._chars + sum(len(texts.texts[i]) for i in plain)
        if before <= PARTS_FROM_CHARS < self._chars:
            self._parts = ByParts.of(self.core, self.special)
        found = self._parts.encode(texts, plain, matches) if self._parts and plain else None
        if found is None:
            found = self._by_core(texts, plain)
        ids, starts, lengths = found
        # A special token that comes out of content (a normalizer may make one) is left out.
        left_out = self.is_special[ids] & texts.content[starts]
        ends = np.cumsum(lengths)
        targets = texts.target[starts]
        for low, high in zip((ends - lengths).tolist(), ends.tolist(), strict=True):
            kept = ~left_out[low:high]
            some = ids[low:high], targets[low:high]
            yield some if kept.all() else (some[0][kept], some[1][kept])

    def _by_core(self, texts: Texts, plain: Sequence[int]) -> tuple[Ints, Ints, Ints]:
        """Ids, each one's first character among those of all texts, and tokens of each text."""
        codes = self.core.encode_batch([texts.texts[i] for i in plain], add_special_tokens=False)
        lengths = np.array([len(code.ids) for code in codes], np.int64)
        n = int(lengths.sum())
        ids = np.fromiter(chain.from_iterable(code.ids for code in codes), np.uint32, n)
        offsets = chain.from_iterable(code.offsets for code in codes)
        starts = np.fromiter((low for low, _ in offsets), np.int64, n)
        last = np.array([len(texts.texts[i]) - 1 for i in plain], np.int64)
        starts = np.minimum(starts, np.repeat(last, lengths))
        return ids, starts + np.repeat(texts.begins[list(plain)], lengths), lengths


def _any_of(strings: Iterable[str]) -> re.Pattern[str]:
    """Any of some strings, the longest first; a first character of all is searched much faster."""
    longest = sorted(strings, key=lambda s: (-len(s), s))
    if len({s[0] for s in longest}) != 1:
        return re.compile("|".join(map(re.escape, longest)) or r"(?!)")
    tails = "|".join(re.escape(s[1:]) for s in longest)
    return re.compile(f"{re.escape(longest[0][0])}(?:{tails})")


def _arrays(ids: list[int], targets: list[bool]) -> Coded:
    return np.array(ids, np.uint32), np.array(targets, np.bool_)
