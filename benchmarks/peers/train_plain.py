"""What one writes first, in turns: a Hugging Face model, packed rows, a dense mask, cross-entropy.

Runs in hanhua's own environment, so that there is something to compare with when no peer is
installed; see train_turns.py.
"""

from __future__ import annotations

import torch
import torch.nn.functional as F
import transformers
from torch import Tensor
from train_turns import IGNORE, JOB, Turns, documents, keep_first, load_model, set_up

Rows = list[list[list[int]]]


def main() -> None:
    set_up()
    turns = Turns(torch=torch.__version__, transformers=transformers.__version__)
    model = load_model().train()
    optimizer = torch.optim.AdamW(
        model.parameters(), lr=JOB["learning_rate"], betas=(0.9, 0.95), weight_decay=0.1, fused=True
    )
    rows, n = first_fit(documents()), JOB["batch_tokens"] // JOB["row_tokens"]
    turns.begin()
    while True:
        for at in range(0, len(rows) - n + 1, n):
            ids, positions, mask, labels = batch(rows[at : at + n])
            with torch.autocast("cpu", torch.bfloat16, enabled=JOB["precision"] == "bf16"):
                logits = model(
                    ids, attention_mask=mask, position_ids=positions, use_cache=False
                ).logits
                loss = F.cross_entropy(logits.flatten(0, 1).float(), labels.flatten())
            loss.backward()
            torch.nn.utils.clip_grad_norm_(model.parameters(), 1.0)
            optimizer.step()
            optimizer.zero_grad(set_to_none=True)
            keep_first(lambda at=at: [document for row in rows[at : at + n] for document in row])
            turns.step(int((labels != IGNORE).sum()), float(loss.detach()))


def first_fit(found: list[list[int]]) -> Rows:
    """Rows filled in the order of the documents, one open at a time."""
    rows: Rows = [[]]
    room = JOB["row_tokens"]
    for document in found:
        if len(document) > room:
            rows.append([])
            room = JOB["row_tokens"]
        rows[-1].append(document)
        room -= len(document)
    return rows


def batch(rows: Rows) -> tuple[Tensor, Tensor, Tensor, Tensor]:
    """Ids, positions, a mask for each row, and labels, already shifted."""
    width = max(sum(len(document) for document in row) for row in rows)
    shape = (len(rows), width)
    ids, positions = torch.zeros(shape, dtype=torch.long), torch.zeros(shape, dtype=torch.long)
    labels = torch.full(shape, IGNORE)
    mask = torch.eye(width, dtype=torch.bool).repeat(len(rows), 1, 1, 1)
    for i, row in enumerate(rows):
        at = 0
        for document in row:
            n = len(document)
            ids[i, at : at + n] = torch.tensor(document)
            positions[i, at : at + n] = torch.arange(n)
            labels[i, at : at + n - 1] = ids[i, at + 1 : at + n]
            mask[i, 0, at : at + n, at : at + n] = torch.ones(n, n, dtype=torch.bool).tril()
            at += n
    return ids, positions, mask, labels


if __name__ == "__main__":
    main()
