from __future__ import annotations

import math

import numpy as np
import pytest
import torch

from hanhua.eval import drift
from hanhua.eval.drift_pass import Pieces
from hanhua.eval.forward import CausalModel
from hanhua.text.document import Document

TEXTS = ["Tom lives by the river.", "Tom likes fish. " * 30, "the weather"]


def documents() -> list[Document]:
    return [Document(f"d{i}", text, "en", "s", "CC0") for i, text in enumerate(TEXTS)]


def naive(base: CausalModel, new: CausalModel, ids: list[int]) -> tuple[float, float]:
    """KL and added probability, position by position in float64; the text fits the context."""
    row = torch.tensor([ids[:-1]])
    with torch.inference_mode():
        p = base.model(row).logits[0].double()[:, : base.n_ids].softmax(-1)
        q = new.model(row).logits[0].double().softmax(-1)
    kl = (p * (p.log() - q[:, : base.n_ids].log())).sum()
    return float(kl), float(q[:, base.n_ids : new.n_ids].sum())


def test_equals_the_naive_way(base: CausalModel, new: CausalModel) -> None:
    assert drift.not_exact(base, new) is None
    texts = drift.from_documents(base, documents())
    found = drift.measure(base, new, texts)
    for text, one in zip(texts, found, strict=True):
        ids = [base.start, *text.ids]
        if len(ids) <= base.context_tokens:
            kl, added = naive(base, new, ids)
            assert one.nats == pytest.approx(kl, rel=1e-4, abs=1e-5)
            assert one.added == pytest.approx(added, rel=1e-4)
        assert one.n_bytes == len(text.text.encode())
    assert any(len(t.ids) >= base.context_tokens for t in texts)  # the strided case occurred
    summary = drift.summary(found, seed=1, draws=300)
    bits = sum(t.nats for t in found) / math.log(2)
    assert summary["value"] == pytest.approx(bits / summary["n_bytes"])
    assert 0 < summary["low"] <= summary["value"] <= summary["high"]
    assert 0 < summary["added_mass"] < 1
    assert summary["same_ids"] == len(TEXTS)


def test_the_base_has_not_moved_from_itself(base: CausalModel) -> None:
    found = drift.measure(base, base, drift.from_documents(base, documents()))
    assert {t.nats for t in found} == {0.0}
    assert {t.added for t in found} == {0.0}


def test_text_of_the_base_is_seeded_and_fits(base: CausalModel) -> None:
    texts = drift.from_base(base, 12, 20, seed=3)
    assert texts == drift.from_base(base, 12, 20, seed=3)
    assert texts != drift.from_base(base, 12, 20, seed=4)
    assert 6 <= len(texts) <= 12
    for text in texts:
        assert 0 < len(text.ids) <= 20
        assert text.n_bytes > 0


def test_sampled_divergence_is_the_log_ratio_in_the_mean(
    base: CausalModel, new: CausalModel
) -> None:
    """KL along the base's own samples estimates E[log p - log q] of whole texts."""
    from hanhua.eval.bits_per_byte import sequence_nats

    texts = drift.from_base(base, 300, 12, seed=9)
    exact = np.array([t.nats for t in drift.measure(base, new, texts)])
    ids = [[base.start, *t.ids] for t in texts]
    ratios = np.array(sequence_nats(new, ids)) - np.array(sequence_nats(base, ids))
    error = float((ratios - exact).std() / math.sqrt(len(texts)))
    assert abs(float((ratios - exact).mean())) < 4 * error
    assert exact.std() < ratios.std()  # why it is summed over the vocabulary


def test_moved_ids_are_refused(base: CausalModel, new: CausalModel) -> None:
    reason = drift.not_exact(new, base)  # the "new" model lacks the added pieces
    assert reason is not None
    assert "have another id" in reason


def test_parts_add_up_to_the_whole(base: CausalModel, new: CausalModel) -> None:
    texts = drift.from_documents(base, documents())
    found = drift.measure(base, new, texts)
    for text, one in zip(texts, found, strict=True):
        assert len(one.kl) == len(one.pieces) == len(text.ids) == one.n_tokens
        assert sum(one.kl) == pytest.approx(one.nats, abs=1e-6 * one.n_tokens)
        assert "".join(one.pieces).strip() == text.text.strip()
        heights = [one.kl[peak["at"]] for peak in one.peaks]
        assert heights == sorted(one.kl, reverse=True)[: len(heights)] != []
    summary = drift.summary(found, seed=1, draws=300)
    nats = sum(sum(t.kl) for t in found) / math.log(2)
    positions = summary["by_position"]
    assert sum(row["n"] for row in positions) == summary["n_tokens"]
    assert sum(row["n"] * row["value"] for row in positions) == pytest.approx(nats, rel=1e-6)
    assert [row["first"] for row in positions] == [2**k for k in range(len(positions))]
    sources = summary["by_source"].values()
    whole = sum(one["value"] * one["n_bytes"] for one in sources)
    assert whole == pytest.approx(summary["value"] * summary["n_bytes"])
    pieces = summary["by_piece"]
    assert [row["share"] for row in pieces] == sorted((r["share"] for r in pieces), reverse=True)
    for row in pieces:
        assert row["n"] == sum(t.pieces.count(row["piece"]) for t in found)
        assert row["texts"] == sum(row["piece"] in t.pieces for t in found)
    assert sum(row["share"] for row in pieces) <= 1 + 1e-9
    for row in pieces + positions:
        assert (row["low"] is None) == (row["high"] is None) == (row["texts"] == 1)
    with_interval = [row for row in pieces + positions if row["texts"] > 1]
    assert any(row["low"] < row["value"] < row["high"] for row in with_interval)


def test_each_position_is_the_naive_one(base: CausalModel, new: CausalModel) -> None:
    text = drift.from_documents(base, documents())[0]
    (one,) = drift.measure(base, new, [text])
    row = torch.tensor([[base.start, *text.ids[:-1]]])
    with torch.inference_mode():
        p = base.model(row).logits[0].double()[:, : base.n_ids].softmax(-1)
        q = new.model(row).logits[0].double().softmax(-1)
    kl = (p * (p.log() - q[:, : base.n_ids].log())).sum(-1)
    assert one.kl == pytest.approx([float(x) for x in kl], abs=2e-6)
    for peak in one.peaks:
        assert peak["base_p"] == pytest.approx(float(p[peak["at"]].max()), abs=1e-4)
        assert peak["new_p"] == pytest.approx(float(q[peak["at"], : new.n_ids].max()), abs=1e-4)
        likeliest = int(p[peak["at"]].argmax())
        assert peak["base"] == Pieces(base.tokenizer)(likeliest)


def test_items_of_an_older_version_have_no_positions() -> None:
    old = [drift.TextDrift("a", "s", 1.0, 0.0, 10, 4, True)]
    summary = drift.summary(old, seed=1, draws=300)
    assert summary["by_position"] == summary["by_piece"] == summary["by_text"] == []
    assert summary["by_source"]["s"]["n_docs"] == 1
