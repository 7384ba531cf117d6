"""Drift: how far a model has moved from the untouched base on the base's own language.

At every position the divergence KL(base || new) = Σ p_base · (log p_base - log p_new) is taken
over the base's ids; their sum over a text, divided by its bytes, is the bits that the new model
wastes on each byte of what the base would say. It is exact, without any sampling of tokens, since
the base's ids mean the same pieces in both models; where they do not, nothing is measured.

p_new is the new model's full softmax: probability that it gives to added pieces is missing from
the base's ids and so counts as loss. How much that is, is told as `added_mass`.

Two kinds of text: held-out documents, and text sampled from the base itself, which is what the
base was trained to know even where its training data are unknown. On the latter the figure is an
unbiased estimate of the divergence of the two models as wholes.

The same pass keeps the divergence at every position, and what the two models find likeliest where
it is largest, so that ``drift_where.py`` can say where the model moved without another pass.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, fields
from typing import Any

from hanhua.core.progress import Progress, Silent
from hanhua.eval.compare import ratio, tidy
from hanhua.eval.drift_pass import Pieces, divergences, peaks
from hanhua.eval.drift_where import where_it_moved
from hanhua.eval.forward import CausalModel
from hanhua.model.generate import Sampling, TokenBytes, decode, generate
from hanhua.text.document import Document

SAMPLE_BATCH_ROWS = 32
KL_DIGITS = 6
"""Decimals kept of a position's nats."""


@dataclass(frozen=True, slots=True)
class Text:
    """One text to measure on, as ids of the base (without the start token)."""

    id: str
    source: str
    ids: tuple[int, ...]
    n_bytes: int
    text: str


@dataclass(frozen=True, slots=True)
class TextDrift:
    """What one text shows.

    Args:
        id, source: of the text.
        nats: KL divergence summed over its positions.
        added: probability given to added pieces, summed over its positions.
        n_bytes, n_tokens: of the text, in UTF-8 and in the base's ids.
        same_ids: whether the new tokenizer would cut the text the same way.
        kl: KL divergence in nats of the next-token distributions at each position.
        pieces: the text's tokens as text, one for each position.
        peaks: of the few positions that moved most, the largest first: ``at`` (its place in
            `pieces`), ``base`` and ``new`` (the likeliest piece by each model) and
            ``base_p``, ``new_p`` (its probability by that model).
    """

    id: str
    source: str
    nats: float
    added: float
    n_bytes: int
    n_tokens: int
    same_ids: bool
    kl: tuple[float, ...] = ()
    pieces: tuple[str, ...] = ()
    peaks: tuple[Mapping[str, Any], ...] = ()


def not_exact(base: CausalModel, new: CausalModel) -> str | None:
    """Why the divergence would not be exact, None where it is."""
    ours, theirs = base.tokenizer.get_vocab(), new.tokenizer.get_vocab()
    moved = [piece for piece, i in ours.items() if theirs.get(piece) != i]
    if moved:
        return f"{len(moved)} of {len(ours)} pieces of the base have another id, e.g. {moved[0]!r}"
    if base.start != new.start:
        return f"the start token is {base.start} in the base and {new.start} here"
    return None


def from_documents(base: CausalModel, documents: Sequence[Document]) -> list[Text]:
    """Held-out documents as the base reads them."""
    ids = base.encode([d.text for d in documents])
    return [
        Text(d.id, d.source, tuple(row), len(d.text.encode("utf-8", "replace")), d.text)
        for d, row in zip(documents, ids, strict=True)
        if row
    ]


def from_base(base: CausalModel, n: int, tokens: int, seed: int) -> list[Text]:
    """Texts that the base itself writes: from the start token, at temperature 1.

    Args:
        base: the untouched base.
        n: how many; one that ends at once is left out.
        tokens: the longest, in tokens.
        seed: of the draws.
    """
    room = min(tokens, base.context_tokens - 1)
    sampling = Sampling(max_new_tokens=room, temperature=1.0, seed=seed)
    prompts = [[base.start]] * n
    made = generate(base.model, base.tokenizer, prompts, sampling, SAMPLE_BATCH_ROWS)
    pieces = TokenBytes(base.tokenizer)
    found = []
    for i, generation in enumerate(made):
        n_bytes = len(pieces.join(generation.ids))
        if n_bytes:
            text = decode(pieces, generation.ids)
            found.append(Text(f"sample-{i:04d}", "sampled", generation.ids, n_bytes, text))
    return found


def measure(
    base: CausalModel, new: CausalModel, texts: Sequence[Text], progress: Progress | None = None
) -> list[TextDrift]:
    """Divergence of `new` from `base` on texts.

    Args:
        base: the untouched base.
        new: a model for which `not_exact` is None.
        texts: in ids of the base.
        progress: shown by tokens.
    """
    sequences = [[base.start, *t.ids] for t in texts]
    total = sum(len(t.ids) for t in texts)
    with (progress or Silent()).bar("drift from the base", total, "tok") as bar:
        found = divergences(base, new, sequences, bar)
    before, after = (m.encode([t.text for t in texts]) for m in (base, new))
    ours, theirs = Pieces(base.tokenizer), Pieces(new.tokenizer)
    return [
        TextDrift(
            t.id, t.source, float(p.nats.sum()), float(p.added.sum()), t.n_bytes, len(t.ids),
            before[i] == after[i], tuple(round(float(x), KL_DIGITS) for x in p.nats),
            tuple(map(ours, t.ids)), tuple(peaks(p, ours, theirs)),
        )
        for i, (t, p) in enumerate(zip(texts, found, strict=True))
    ]  # fmt: skip


def summary(found: Sequence[TextDrift], seed: int, draws: int) -> dict[str, Any]:
    """Bits per byte of divergence, with n and a 95 % interval over texts.

    Returns:
        value, low, high (bits per byte); n_docs, n_bytes, n_tokens; added_mass, the mean
        probability of added pieces at a position; same_ids, the texts that the new tokenizer
        cuts like the base's; and where it moved (see `where_it_moved`).
    """
    n_tokens = sum(t.n_tokens for t in found)
    n_bytes = [t.n_bytes for t in found]
    bits = [t.nats / math.log(2) for t in found]
    return (
        ratio(bits, n_bytes, seed, draws).as_dict()
        | {
            "n_docs": len(found),
            "n_bytes": sum(n_bytes),
            "n_tokens": n_tokens,
            "added_mass": tidy(sum(t.added for t in found) / n_tokens),
            "same_ids": sum(t.same_ids for t in found),
        }
        | where_it_moved(found, seed, draws)
    )


def as_item(found: TextDrift) -> dict[str, Any]:
    """One line of the items file."""
    return {one.name: tidy(getattr(found, one.name)) for one in fields(found)}
