"""What new rows do to text that holds no new piece: how much probability they take.

On such text the expanded model reads what the base reads, so its hidden states are the base's, and
so are the logits of old ids: the same rows, the same products. New rows only widen the sum that
logits are divided by. With m for the probability that they take together,

    p_expanded(old id) = (1 - m) * p_base(old id),

so renormalised over old ids nothing has changed, and KL(base || expanded) = -log(1 - m) nats,
exactly, at every position. `added_mass` measures m.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from hanhua.model.head import head_form
from hanhua.model.init_combine import statistics
from hanhua.model.init_padding import fit_row, impossible_ids, padding_row
from hanhua.model.load import load_model, load_tokenizer
from hanhua.model.tensor_rows import MemoryRows
from hanhua.tokens.encode import text_encoder

MAX_TOKENS = 256
"""Of each text."""
POSITIONS_A_DIMENSION = 8
"""With fewer, a fitted row would only know the text that it was fitted to."""


def fitted_padding(base: Path, texts: Mapping[str, Sequence[str]]) -> Tensor | None:
    """The head row for padding that the base likes least on some text.

    Args:
        base: its model folder.
        texts: by language.

    Returns:
        ``[D]``, see :func:`hanhua.model.init_padding.fit_row`; None where the text is too little
        to fit a row to, or the head has a bias (which serves better).
    """
    model, tokenizer = load_model(base), load_tokenizer(base)
    core, head = text_encoder(tokenizer), model.get_output_embeddings()
    rows = head.weight.detach()[: core.get_vocab_size()].float()
    hidden = [
        states
        for written in texts.values()
        for _, states in _run(model.base_model, core, written, tokenizer.bos_token_id)
    ]
    form = head_form(model)
    hidden_ND = torch.cat(hidden) * form.scale if hidden else torch.zeros(0, rows.shape[1])
    if len(hidden_ND) < POSITIONS_A_DIMENSION * rows.shape[1] or head.bias is not None:
        return None
    capped = replace(form, scale=1.0).apply
    total = torch.cat([capped(part @ rows.T).logsumexp(1) for part in torch.split(hidden_ND, 256)])
    never = impossible_ids(core)
    start = padding_row(MemoryRows(rows), statistics(MemoryRows(rows)), never)
    return fit_row(hidden_ND, total, start, float(rows.norm(dim=1).max()))


def added_mass(
    base: Path, expanded: Path, texts: Sequence[str], old_rows: int, new_rows: int
) -> dict[str, Any]:
    """The probability that new and padding rows take on text without new pieces.

    Args:
        base: model folder of the base.
        expanded: the expanded one.
        texts: those whose ids changed are left out and counted.
        old_rows: rows kept of the base.
        new_rows: rows of new pieces.

    Returns:
        texts, texts_left_out, positions; logits_identical and largest_difference over old ids;
        mean and max over positions of new_mass, padding_mass and kl_nats (base to expanded).
        Without any position only the counts.
    """
    before, after = load_model(base), load_model(expanded)
    old_core, new_core = (text_encoder(load_tokenizer(x)) for x in (base, expanded))
    bos = load_tokenizer(base).bos_token_id
    same = [t for t in texts if _ids(old_core, t, bos) == _ids(new_core, t, bos)]
    masses, differences, identical = [], [], True
    runs = (_run(model, old_core, same, bos) for model in (before, after))
    for (_, one), (_, two) in zip(*runs, strict=True):
        one, known = one[:, :old_rows], two[:, :old_rows]
        identical = identical and torch.equal(one, known)
        differences.append(float((one - known).abs().max()))
        logs = two.double().log_softmax(1)
        new = logs[:, old_rows : old_rows + new_rows].exp().sum(1)
        masses.append(torch.stack([new, logs[:, old_rows + new_rows :].exp().sum(1)], 1))
    found: dict[str, Any] = {"texts": len(same), "texts_left_out": len(texts) - len(same)}
    if not masses:
        return found | {"positions": 0}
    mass = torch.cat(masses)
    found |= {"positions": len(mass), "logits_identical": identical}
    found["largest_difference"] = max(differences)
    kl = -torch.log1p(-mass.sum(1))
    for name, values in (("new_mass", mass[:, 0]), ("padding_mass", mass[:, 1]), ("kl_nats", kl)):
        found[name] = {"mean": _short(values.mean()), "max": _short(values.max())}
    return found


def _short(value: Tensor) -> float:
    return float(f"{float(value):.6g}")


def _ids(core: Any, text: str, bos: int | None) -> list[int]:
    ids: list[int] = core.encode(text, add_special_tokens=False).ids
    return ([] if bos is None else [bos]) + ids[:MAX_TOKENS]


@torch.inference_mode()
def _run(
    model: Any, core: Any, texts: Sequence[str], bos: int | None
) -> Iterator[tuple[list[int], Tensor]]:
    """Ids and float32 outputs ``[S, …]`` of each text: logits, or a bare body's hidden states."""
    context = int(getattr(model.config, "max_position_embeddings", MAX_TOKENS))
    for text in texts:
        if ids := _ids(core, text, bos)[:context]:
            yield ids, model(torch.tensor([ids]), use_cache=False)[0][0].float()
