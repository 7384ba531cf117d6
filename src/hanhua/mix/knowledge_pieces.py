"""The pieces of the rows of ``hanhua study knowledge``: facts told, and text around them."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from functools import cache, cached_property
from typing import Any

import numpy as np
import numpy.typing as npt

from hanhua.chat.conversation import Conversation, Turn
from hanhua.chat.encode import encode_conversation
from hanhua.chat.template import Template
from hanhua.core.errors import InputError, MixtureError
from hanhua.mix.knowledge import INSTRUCTIONS, MIXED, Fact, trained
from hanhua.tokens.encode import DocumentEncoder
from hanhua.tokens.permutation import rng
from hanhua.tokens.rows import PackedRows


@dataclass(frozen=True, slots=True)
class Piece:
    """A document of its own.

    Args:
        ids: ``[n]``.
        targets: ``[n]`` whether a token is learnt; never the first, before which nothing stands.
        fact: id of the fact that it tells, empty for other text.
    """

    ids: npt.NDArray[np.uint32]
    targets: npt.NDArray[np.bool_]
    fact: str

    @property
    def learnt(self) -> int:
        """Tokens that are learnt."""
        return int(self.targets.sum())


@dataclass(frozen=True)
class Maker:
    """Makes the pieces.

    Args:
        tokenizer: the model's.
        template: of questions and answers.
        context: the most tokens that the model takes.
        text: rows to take other text from.
        seed: of all draws.
    """

    tokenizer: Any
    template: Template
    context: int
    text: PackedRows
    seed: int

    @cached_property
    def _encoder(self) -> DocumentEncoder:
        return DocumentEncoder.of(self.tokenizer)

    @cached_property
    def statement(self) -> Callable[[str, str], Piece]:
        """(id of the fact, statement) -> a document."""

        @cache
        def make(fact: str, text: str) -> Piece:
            ids, _ = self._encoder.encode([text])
            return self._piece(ids, np.ones(len(ids), np.bool_), fact)

        return make

    @cached_property
    def exchange(self) -> Callable[[str, str, str, str], Piece]:
        """(id of the fact, language, question, answer) -> a conversation."""

        @cache
        def make(fact: str, language: str, question: str, answer: str) -> Piece:
            turns = Turn("user", question), Turn("assistant", answer)
            said = Conversation(fact, "", turns, language)
            ids, mask = encode_conversation(self.tokenizer, self.template, said)
            last = len(mask) - mask[::-1].index(True)  # what closes the turn behind it teaches none
            return self._piece(np.array(ids[:last], np.uint32), np.array(mask[:last]), fact)

        return make

    def _piece(
        self, ids: npt.NDArray[np.uint32], targets: npt.NDArray[np.bool_], fact: str
    ) -> Piece:
        if len(ids) > self.context:
            raise InputError(
                "This fact is longer than the model's context.", where=fact,
                found=f"{len(ids)} tokens, the model takes {self.context}", fix="say it shorter",
            )  # fmt: skip
        targets = targets.copy()
        targets[0] = False
        return Piece(ids, targets, fact)

    def tell(self, facts: Sequence[Fact], language: str, form: str, name: str) -> Iterator[Piece]:
        """The facts again and again, each pass in another order and wording.

        Args:
            facts: at least one.
            language: to tell them in.
            form: ``text``, ``instructions``, or ``mixed``: each fact in one and then the other.
            name: of the draws.
        """
        draw, passed = rng(self.seed, "tell", name, language), 0
        while True:
            for i in draw.permutation(len(facts)).tolist():
                said = facts[i].said[language]
                asks = form == INSTRUCTIONS or (form == MIXED and (passed + i) % 2)
                pick = [_one(trained(words), draw) for words in (said.text, said.question)]
                if asks:
                    answer = _one(said.answer, draw)
                    yield self.exchange(facts[i].id, language, pick[1], answer)
                else:
                    yield self.statement(facts[i].id, pick[0])
            passed += 1

    def around(self, language: str, most_tokens: int, name: str) -> Iterator[Piece]:
        """Text of the rows in their order from some row on, cut to so many tokens.

        Raises:
            MixtureError: when the rows hold no text of this language.
        """
        number = self.text.languages.index(language) if language in self.text.languages else -1
        own = np.flatnonzero(np.asarray(self.text.row_languages) == number)
        if not len(own):
            raise MixtureError(
                f"The rows hold no {language} to put around the facts.", where="tokens.shares",
                found=", ".join(self.text.languages), fix=f"give {language} a share",
            )  # fmt: skip
        at = int(rng(self.seed, name, language).integers(len(own)))
        while True:
            row = self.text.row(int(own[at % len(own)]))
            for document in np.split(row.tokens, np.cumsum(row.lengths)[:-1]):
                for start in range(0, len(document), most_tokens):
                    ids = np.asarray(document[start : start + most_tokens], np.uint32)
                    if len(ids) > 1:
                        yield self._piece(ids, np.ones(len(ids), np.bool_), "")
            at += 1


def _one(words: Sequence[str], draw: Any) -> str:
    return words[int(draw.integers(len(words)))]
