"""Which tokens keep an answer within JSON, or within a JSON schema: a mask for every step.

llguidance reads the grammar and says which tokens may follow; here it is given the bytes that
each id stands for, so that it needs no tokenizer of a kind that it knows. Any cut of a text into
tokens may come: what the model writes is decided by the model alone, within the grammar.

Shape legend: V vocabulary.
"""

from __future__ import annotations

import json
import re
import threading
from collections import OrderedDict
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from llguidance import LLMatcher, LLParserLimits, LLTokenizer, TokenizerWrapper

from hanhua.model.stream import TokenBytes

MAX_NESTING = 32
"""Depth of an object without a schema: a model that opens brackets for ever comes to an end."""

_SPACES = r"[ \n\r\t]{1,64}"
"""White space in a row; the limit ends a model that writes nothing else."""

_KEPT = 32
"""Compiled grammars that are kept: clients send one schema many times."""


_ECHO = re.compile(r"\n *\d+ \|")
"""How the library's numbered echo of the grammar begins."""

_ROW = 10_000
"""Ways on at one place of an answer; no schema that is let in has more."""


class NoGrammar(Exception):
    """A schema that cannot be made into a grammar; the message says why."""


@dataclass(slots=True)
class Grammar:
    """Where an answer stands in its grammar.

    Args:
        matcher: llguidance's state.
        n_tokens: V, how many ids may be chosen from.
    """

    matcher: LLMatcher
    n_tokens: int

    def fresh(self) -> Grammar:
        """One for another answer, from where this one stands."""
        return Grammar(self.matcher.deep_copy(), self.n_tokens)

    def allowed(self) -> torch.Tensor:
        """Bool ``[V]``: the tokens that may follow; none, or an end, where none can."""
        if self.matcher.is_error():
            return torch.zeros(self.n_tokens, dtype=torch.bool)
        bits = np.frombuffer(self.matcher.compute_bitmask(), dtype=np.uint8)
        mask_V = np.unpackbits(bits, count=self.n_tokens, bitorder="little")
        return torch.from_numpy(mask_V).bool()

    def take(self, token: int) -> bool:
        """Go on by one token; False where it may not stand."""
        return not self.matcher.is_error() and self.matcher.consume_token(token)

    @property
    def whole(self) -> bool:
        """Whether the answer may end here."""
        return not self.matcher.is_error() and self.matcher.is_accepting()

    @property
    def done(self) -> bool:
        """Whether nothing can follow."""
        return self.matcher.is_stopped() and not self.matcher.is_error()


@dataclass(slots=True)
class _Vocabulary:
    """A vocabulary as llguidance wants to be told of it."""

    tokens: list[bytes]
    special_token_ids: list[int]
    eos_token_id: int
    bos_token_id: int | None = None

    def __call__(self, _text: bytes) -> list[int]:
        return []  # asked only where text is forced into a tokenizer's own cut, which is off


class Grammars:
    """The grammars over one vocabulary.

    Args:
        token_bytes: what each id stands for.
        n_tokens: V, how many ids there are.
        stop_ids: ids that end an answer; they may come where it is complete.
        never: ids that are no text.
    """

    def __init__(
        self, token_bytes: TokenBytes, n_tokens: int, stop_ids: frozenset[int],
        never: frozenset[int],
    ) -> None:  # fmt: skip
        self.n_tokens = n_tokens
        ends = [*sorted(id_ for id_ in stop_ids if id_ < n_tokens), n_tokens]  # one that is no id
        tokens, special = [], []
        for token in range(n_tokens + 1):
            silent = token in never or token in stop_ids or token == n_tokens
            data = b"" if silent else token_bytes[token]
            if not data:
                special.append(token)
                data = b"\xff[%d]" % token  # as llguidance marks what is no text
            tokens.append(data)
        self._tokenizer = LLTokenizer(
            TokenizerWrapper(_Vocabulary(tokens, special, ends[0])),
            n_vocab=len(tokens), eos_token=ends, slices=LLTokenizer.json_slices(),
        )  # fmt: skip
        self._lock = threading.Lock()
        self._kept: OrderedDict[str, Grammar] = OrderedDict()

    def json_object(self) -> Grammar:
        """Any JSON object, nested up to a limit."""
        return self.by_schema(_any_object())

    def by_schema(self, schema: Mapping[str, Any]) -> Grammar:
        """What a JSON schema describes, properties in the order in which it names them.

        Args:
            schema: one that :func:`hanhua.serve.schema.check_schema` lets pass.

        Raises:
            NoGrammar: when nothing fits it, or it is too large.
        """
        told = {**schema, "x-guidance": {"whitespace_pattern": _SPACES}}
        text = (
            '%llguidance {"no_forcing": true}\n'
            f"start: SPACES? value\nSPACES: /{_SPACES}/\nvalue: %json {json.dumps(told)}\n"
        )
        with self._lock:
            if text in self._kept:
                self._kept.move_to_end(text)
                return self._kept[text]
        limits = LLParserLimits(verbose_errors=False, max_items_in_row=_ROW)
        matcher = LLMatcher(self._tokenizer, text, log_level=0, limits=limits)
        if matcher.is_error():
            raise NoGrammar(_reason(matcher.get_error()))
        with self._lock:
            found = self._kept[text] = Grammar(matcher, self.n_tokens)
            if len(self._kept) > _KEPT:
                self._kept.popitem(last=False)
        return found


def _any_object() -> dict[str, Any]:
    def value(depth: int) -> dict[str, Any]:
        inner = {"$ref": f"#/$defs/{depth + 1}"}
        nested = [{"type": "array", "items": inner},
                  {"type": "object", "additionalProperties": inner}]  # fmt: skip
        plain = {"type": ["null", "boolean", "number", "string"]}
        return {"anyOf": [plain, *(nested if depth < MAX_NESTING else [])]}

    defs = {str(depth): value(depth) for depth in range(2, MAX_NESTING + 1)}
    return {"type": "object", "additionalProperties": {"$ref": "#/$defs/2"}, "$defs": defs}


def _reason(message: str) -> str:
    """The library's own words without its echo of the grammar."""
    text = message.partition("failed to compile JSON schema: ")[2] or message
    return " ".join(_ECHO.split(text)[0].split())[:300]
