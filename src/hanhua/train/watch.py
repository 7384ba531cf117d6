"""Held-out bits per byte of the model in training, with nothing of the training changed.

The documents, the cut into windows and the sum are those of the evaluation; the arithmetic is
that of the training, so in bf16 the figures differ from the evaluation's in the third digit.
Afterwards mode and attention are what they were: a run that is watched computes the same bits as
one that isn't. Where many processes share the model, all measure the same, and the first counts.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch

from hanhua.core.errors import RecipeError
from hanhua.eval.bits_per_byte import choose, sequence_nats
from hanhua.eval.forward import CausalModel
from hanhua.model.supported import plain_attention
from hanhua.text.document import Document
from hanhua.text.shards import language_files, read_language
from hanhua.train import parallel
from hanhua.train.attention import NAME
from hanhua.train.config import OptimConfig, StopConfig, WatchConfig
from hanhua.train.shard import Root

DIGITS = 6
"""Decimals kept of bits per byte, in log and checkpoint alike."""


@dataclass(frozen=True, slots=True)
class HeldOut:
    """What can be measured: a tokenizer and held-out documents by language."""

    tokenizer: Any
    documents: Mapping[str, Sequence[Document]]


def find_held_out(folder: Path | None, languages: Iterable[str], tokenizer: Any) -> HeldOut | None:
    """A corpus's held-out documents of some languages; None without a corpus."""
    if folder is None:
        return None
    documents = {
        language: list(read_language(folder, language, "held_out"))
        for language in sorted(set(languages))
        if language_files(folder, language, "held_out")
    }
    return HeldOut(tokenizer, documents)


class Watch:
    """Measures a model now and again.

    Args:
        root: of a causal LM with packed attention enabled.
        config: how much of the held-out text.
        held_out: the text; encoded once.

    Raises:
        RecipeError: when there is no held-out text to watch.
    """

    def __init__(self, root: Root, config: WatchConfig, held_out: HeldOut | None) -> None:
        documents = dict(held_out.documents) if held_out else {}
        self.root = root
        self.texts = {
            language: choose(documents[language], config.docs, config.max_chars_per_doc)
            for language in sorted(documents)
        }
        self.texts = {language: found for language, found in self.texts.items() if found}
        if held_out is None or not self.texts:
            raise RecipeError(
                "There is no held-out text to watch.", where="watch", found="none in the corpus",
                fix="set corpus.held_out_docs, or take watch and stop out of the section",
            )  # fmt: skip
        with _at_rest(root.model), torch.no_grad():
            self.measured: CausalModel = root(CausalModel, held_out.tokenizer)
        self.ids = {
            language: [[self.measured.start, *row] for row in self.measured.encode(
                [document.text for document in found])]
            for language, found in self.texts.items()
        }  # fmt: skip

    def measure(self) -> dict[str, float]:
        """Bits per byte by language."""
        with _at_rest(self.root.model), torch.no_grad():
            found = self.root(lambda model: self._measure())
        return parallel.share(found)

    def _measure(self) -> dict[str, float]:
        found = {}
        for language, ids in self.ids.items():
            n_bytes = sum(len(d.text.encode("utf-8", "replace")) for d in self.texts[language])
            bits = sum(sequence_nats(self.measured, ids)) / math.log(2)
            found[language] = round(bits / n_bytes, DIGITS)
        return found


def open_watch(root: Root, config: OptimConfig, held_out: HeldOut | None) -> Watch | None:
    """The watch that a section asks for, if it does.

    Raises:
        RecipeError: when there is no held-out text, or none of the language that may stop it.
    """
    section = watch_section(config)
    if section is None:
        return None
    watch = Watch(root, section, held_out)
    check_language(config.stop, watch.texts)
    return watch


def watch_section(config: OptimConfig) -> WatchConfig | None:
    """The section as meant: a gate needs measurements, and so does steering."""
    asked = config.stop or getattr(config, "steer", None)
    return config.watch or (WatchConfig() if asked else None)


def check_language(stop: StopConfig | None, texts: Mapping[str, Any]) -> None:
    """Refuse a gate on a language that is not measured.

    Raises:
        RecipeError: naming those that are.
    """
    if stop is not None and stop.language not in texts:
        raise RecipeError(
            "The language that may stop the training has no held-out text.", where="stop.language",
            found=f"{stop.language}; there is {', '.join(texts)}",
            fix="name one of those, or add sources of that language to the corpus",
        )  # fmt: skip


@contextmanager
def _at_rest(model: Any) -> Iterator[None]:
    """The model as it is evaluated: no dropout, plain attention; then as it was."""
    was_training = model.training
    model.eval()
    model.set_attn_implementation(plain_attention(model))
    try:
        yield
    finally:
        model.set_attn_implementation(NAME)
        model.train(was_training)
