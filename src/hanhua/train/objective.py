"""What is minimised: the next token's cross-entropy, on the tokens that are targets.

Pretraining predicts every token of a document but its first; chat training only the assistant's.
Both are the same function of a batch, because the mask travels with the rows.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from torch import Tensor

from hanhua.core.errors import TrainingError
from hanhua.model.head import head_form
from hanhua.tokens.loader import Batch
from hanhua.tokens.rows import PackedRows
from hanhua.train.balance import Balance
from hanhua.train.chunks import shortfall
from hanhua.train.linear_cross_entropy import IGNORE, linear_cross_entropy
from hanhua.train.memory import onto
from hanhua.train.varlen import Documents

Noise = Callable[["Flat", int, torch.device], Tensor]
"""Of a batch and the width of an embedding: ``[1, T, width]``, drawn on a device."""


@dataclass(frozen=True, slots=True)
class Flat:
    """A batch laid end to end, without padding.

    Args:
        ids: ``[1, T]``.
        positions: ``[1, T]``, from 0 in each document.
        labels: ``[T]``, the token to come, ``IGNORE`` where it isn't a target.
        languages: ``[T]`` language of each token, as an index into the rows' list.
        lengths: of the documents.
        n_targets: labels that are not ``IGNORE``.
    """

    ids: Tensor
    positions: Tensor
    labels: Tensor
    languages: Tensor
    lengths: list[int]
    n_targets: int

    @property
    def n_real(self) -> int:
        """Its tokens; none where it stands for nothing and is only computed with the others."""
        return self.ids.shape[1] if self.n_targets else 0


def flatten(batch: Batch, languages: list[str]) -> Flat:
    """Lay rows end to end. The last token of a document has no token to come, so no label."""
    ids = np.concatenate([row.tokens for row in batch.rows]).astype(np.int64)
    lengths = np.concatenate([row.lengths for row in batch.rows]).astype(np.int64)
    ends = np.cumsum(lengths)
    positions = np.arange(len(ids)) - np.repeat(ends - lengths, lengths)
    labels = np.append(ids[1:], IGNORE)
    targets = [
        np.ones(len(row.tokens), np.bool_) if row.targets is None else row.targets
        for row in batch.rows
    ]
    labels[:-1][~np.concatenate(targets)[1:]] = IGNORE
    labels[ends - 1] = IGNORE
    language = [np.full(len(r.tokens), languages.index(r.language)) for r in batch.rows]
    return Flat(
        ids=torch.from_numpy(ids)[None],
        positions=torch.from_numpy(positions)[None],
        labels=torch.from_numpy(labels),
        languages=torch.from_numpy(np.concatenate(language)),
        lengths=lengths.tolist(),
        n_targets=int((labels != IGNORE).sum()),
    )


def check_head(model: Any) -> None:
    """Refuse models that do something to their logits that we don't do.

    A model without weights can't be tried out yet, and passes.

    Raises:
        ModelError: see :func:`hanhua.model.head.head_form`.
    """
    if not any(parameter.is_meta for parameter in model.parameters()):
        head_form(model)


def check_rows(model: Any, rows: PackedRows) -> None:
    """Refuse rows that the model has no place or no embedding for.

    Raises:
        TrainingError: when a row is longer than the context or its ids are not the model's.
    """
    context = getattr(model.config, "max_position_embeddings", None)
    longest = rows.meta.get("longest_document", rows.seq_len_tokens)
    if context is not None and longest > context:
        raise TrainingError(
            "The rows are longer than the model's context.", where="seq_len_tokens",
            found=f"{longest}, the model has {context}",
            fix=f"set seq_len_tokens to at most {context}",
        )  # fmt: skip
    vocab = model.get_input_embeddings().weight.shape[0]
    if int(rows.meta["vocab_size"]) > vocab:
        raise TrainingError(
            "These rows were made with another vocabulary.", where=rows.path,
            found=f"{rows.meta['vocab_size']} ids, the model has {vocab} embeddings",
            fix="pack the corpus with the tokenizer of this model",
        )  # fmt: skip


def _documents_of(model: Any) -> Documents:
    """The one object by which a model is told where documents lie."""
    found: Documents | None = getattr(model, "_hanhua_documents", None)
    if found is None:
        found = model._hanhua_documents = Documents()
    return found


def filled(flat: Flat) -> Flat:
    """A batch with a last document of nothing, up to a usual number of tokens.

    Batches are never quite alike, and on a CPU a product of a new shape has to be prepared, and its
    memory fits no gap that an earlier one has left.
    """
    fill = shortfall(flat.ids.shape[1])
    if not fill:
        return flat
    nothing = torch.zeros(fill, dtype=torch.int64)
    return Flat(
        torch.cat([flat.ids, nothing[None]], 1),
        torch.cat([flat.positions, torch.arange(fill)[None]], 1),
        torch.cat([flat.labels, nothing + IGNORE]), torch.cat([flat.languages, nothing]),
        [*flat.lengths, fill], flat.n_targets,
    )  # fmt: skip


def hidden_states(model: Any, flat: Flat, noise: Noise | None = None) -> Tensor:
    """What stands before the head, ``[T, D]``, of a model with packed attention enabled.

    Args:
        model: a causal LM.
        flat: the batch.
        noise: gives what is added to the embeddings ``[1, T, d]``; None: nothing.
    """
    return run_body(model, flat, noise, None)[0]


def run_body(
    model: Any, flat: Flat, noise: Noise | None, balance: Balance | None
) -> tuple[Tensor, Tensor | None]:
    """What stands before the head, and what experts' balance adds to the loss.

    Args:
        model: see :func:`hidden_states`.
        flat: likewise.
        noise: likewise.
        balance: of the step; None: it adds nothing.
    """
    embeddings, tokens, real = model.get_input_embeddings(), flat.ids.shape[1], flat.n_real
    device = embeddings.weight.device
    flat = filled(flat) if device.type == "cpu" else flat
    given: dict[str, Tensor] = {"input_ids": onto(flat.ids, device)}
    if noise is not None:
        embedded = embeddings(given["input_ids"])
        added = noise(flat, embedded.shape[-1], device)
        given = {"inputs_embeds": embedded + added.to(embedded.dtype)}
    routed = {} if balance is None else {"output_router_logits": True}
    out = model.base_model(
        **given,
        **routed,
        position_ids=onto(flat.positions, device),
        document_lengths=_documents_of(model).set(flat.lengths),
        use_cache=False,
    )
    hidden: Tensor = out.last_hidden_state.squeeze(0)
    loss = None if balance is None else balance.loss(out.router_logits, real)
    return (hidden[:tokens] if len(hidden) > tokens else hidden), loss


def next_token_loss(
    model: Any, flat: Flat, scale: float, noise: Noise | None = None,
    balance: Balance | None = None,
) -> tuple[Tensor, Tensor]:  # fmt: skip
    """The loss of a flat batch.

    Args:
        model: a causal LM with packed attention enabled.
        flat: the batch.
        scale: 1 / targets of the whole optimiser step, so that cutting the step into
            micro-batches doesn't change its gradient.
        noise: see :func:`hidden_states`.
        balance: what keeps experts at work; None: nothing.

    Returns:
        The scaled sum of the losses, with a gradient, and every token's loss ``[T]``. The first
        has the balance's part in it.
    """
    hidden, added = run_body(model, flat, noise, balance)
    head, form = model.get_output_embeddings(), head_form(model)
    loss, losses = linear_cross_entropy(
        hidden, head.weight, flat.labels, getattr(head, "bias", None), scale=scale,
        logit_scale=form.scale, softcap=form.softcap,
    )  # fmt: skip
    return loss if added is None else loss + added, losses
