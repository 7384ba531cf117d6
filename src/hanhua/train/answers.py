"""Loss on held-out answers while the model is tuned, by language and by domain.

The conversations that chatdata held out are encoded once as the training's are, and measured
before the first step and ten times a run: the mean loss of their answers' tokens in nats, without
noise or dropout. Nothing of the training is changed by it. Where many processes share the model,
all measure the same.
"""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor

from hanhua.chat.conversation import Conversation, read_conversations
from hanhua.chat.template import Template
from hanhua.model.head import head_form
from hanhua.tokens.conversations import fit
from hanhua.tokens.loader import Batch
from hanhua.tokens.rows import Row
from hanhua.train import parallel
from hanhua.train.config import OptimConfig
from hanhua.train.finetune_config import AnswersConfig
from hanhua.train.gate import measures
from hanhua.train.linear_cross_entropy import token_losses
from hanhua.train.objective import Flat, flatten, hidden_states
from hanhua.train.shard import Root

MAX_DOMAINS = 6
DIGITS = 6
Losses = dict[str, dict[str, float]]


@dataclass(frozen=True, slots=True)
class HeldOutAnswers:
    """Encoded conversations, with the language and the domain of each; "" where none is known."""

    rows: tuple[Row, ...]
    languages: tuple[str, ...]
    domains: tuple[str, ...]


def find_answers(
    path: Path, tokenizer: Any, template: Template, seq_len_tokens: int, per_language: int
) -> HeldOutAnswers | None:
    """Conversations to measure with: of each language so many, evenly over the file.

    Args:
        path: ``held_out.parquet`` of a chatdata artifact.
        tokenizer: a fast tokenizer of transformers.
        template: how conversations are written down.
        seq_len_tokens: as in training; what does not fit is cut or left out as there.
        per_language: at most.

    Returns:
        None where none is held out, or none fits.
    """
    if not path.is_file():
        return None
    rows: list[Row] = []
    named: list[tuple[str, str]] = []
    for conversation in _some(read_conversations(path), per_language):
        _, encoded = fit(tokenizer, template, conversation, seq_len_tokens)
        if encoded is not None:
            length = np.array([len(encoded.ids)], np.int32)
            rows.append(Row(encoded.ids, encoded.targets, length, encoded.language))
            named.append((encoded.language, conversation.domain))
    domains = _commonest(domain for _, domain in named)
    return HeldOutAnswers(
        tuple(rows), tuple(language for language, _ in named),
        tuple(domain if domain in domains else "" for _, domain in named),
    ) if rows else None  # fmt: skip


def _some(found: Iterable[Conversation], per_language: int) -> list[Conversation]:
    by_language: dict[str, list[Conversation]] = defaultdict(list)
    for conversation in found:
        by_language[conversation.language].append(conversation)
    chosen = []
    for _, mine in sorted(by_language.items()):
        n = min(per_language, len(mine))
        chosen += [mine[i * len(mine) // n] for i in range(n)]
    return chosen


def _commonest(domains: Iterable[str]) -> set[str]:
    counts = Counter(domain for domain in domains if domain)
    return set(sorted(counts, key=lambda name: (-counts[name], name))[:MAX_DOMAINS])


class AnswerWatch:
    """Measures a model in training now and again.

    Args:
        root: of a causal LM with packed attention enabled.
        config: when.
        held_out: what to measure with.
        micro: most tokens at once.
    """

    def __init__(
        self, root: Root, config: AnswersConfig, held_out: HeldOutAnswers, micro: int
    ) -> None:
        self.root, self.config, self.held_out = root, config, held_out
        self.start: Losses = {}
        languages = sorted(set(held_out.languages))
        parts = Batch(held_out.rows).micro_batches(micro)
        self.parts = [flatten(part, languages) for part in parts]

    def begin(self) -> None:
        """Measure the model before the first step."""
        self.start = self.measure()

    def told(self, step: int, steps: int) -> dict[str, Losses]:
        """What the log's line of a step gets: ``answers``, where it is time, and the start."""
        found = {"answers_start": self.start} if self.start else {}
        self.start = {}
        if measures(self.config, step, steps):
            found["answers"] = self.measure()
        return found

    def measure(self) -> Losses:
        """``languages`` and ``domains``: nats per token of the answers, by name."""
        model: Any = self.root.model
        was_training = model.training
        model.eval()
        with torch.no_grad():
            sums = torch.cat([self.root(_document_sums, part).cpu() for part in self.parts])
        model.train(was_training)
        found = {
            "languages": _means(self.held_out.languages, sums),
            "domains": _means(self.held_out.domains, sums),
        }
        return parallel.share(found)


def _document_sums(model: Any, flat: Flat) -> Tensor:
    """``[documents, 2]`` fp64: the sum of the losses, and the number of targets."""
    hidden, head, form = hidden_states(model, flat), model.get_output_embeddings(), head_form(model)
    losses = token_losses(
        hidden, head.weight, flat.labels, getattr(head, "bias", None),
        logit_scale=form.scale, softcap=form.softcap,
    )  # fmt: skip
    both = torch.stack([losses.double().cpu(), (flat.labels >= 0).double()], 1)
    documents = torch.repeat_interleave(torch.tensor(flat.lengths))
    return both.new_zeros(len(flat.lengths), 2).index_add_(0, documents, both)


def _means(names: Sequence[str], sums: Tensor) -> dict[str, float]:
    """Mean loss per token by name; what has no name counts in none."""
    found: dict[str, Tensor] = {}
    for name, one in zip(names, sums, strict=True):
        if name:
            found[name] = found.get(name, 0) + one
    return {name: round(float(s / n), DIGITS) for name, (s, n) in sorted(found.items()) if n}


def open_answers(
    root: Root, config: OptimConfig, held_out: HeldOutAnswers | None, micro: int
) -> AnswerWatch | None:
    """The watch that a section asks for, where there is something to measure with."""
    section = getattr(config, "answers", None)
    return AnswerWatch(root, section, held_out, micro) if section and held_out else None
