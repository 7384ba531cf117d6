from __future__ import annotations

import math
from pathlib import Path

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from hanhua.core.errors import ModelError
from hanhua.eval import bits_per_byte as bits
from hanhua.eval.forward import CausalModel
from hanhua.model.load import load_model, load_tokenizer
from hanhua.text.document import Document


def naive(model: CausalModel, ids: list[int]) -> list[float]:
    """Nats of each token by one whole forward pass a token, all logits made."""
    context, overlap = model.context_tokens, int(model.context_tokens * bits.OVERLAP)
    found = []
    for target in range(1, len(ids)):
        start = 0
        while target > start + context:
            start += context - overlap
        with torch.inference_mode():
            logits = model.model(torch.tensor([ids[start:target]])).logits[0, -1].double()
        found.append(float(logits.logsumexp(0) - logits[ids[target]]))
    return found


def document(i: int, text: str, source: str = "s") -> Document:
    return Document(f"d{i}", text, "en", source, "CC0")


@given(
    st.lists(st.integers(0, 400), min_size=1, max_size=8), st.integers(2, 90), st.integers(20, 900)
)
def test_every_token_is_scored_once(lengths: list[int], context: int, tokens: int) -> None:
    cut = bits.windows(lengths, context)
    scored = sorted((w.sequence, t) for w in cut for t in range(w.first, w.end + 1))
    assert scored == [(i, t) for i, n in enumerate(lengths) for t in range(1, n)]
    for window in cut:
        assert 1 <= window.end - window.start <= context
        given_before = window.first - window.start
        assert window.start == 0 or given_before >= int(context * bits.OVERLAP)
    batched = bits.batches(cut, tokens)
    assert sorted(map(str, cut)) == sorted(str(w) for batch in batched for w in batch)
    for batch in batched:
        width = max(w.end - w.start for w in batch)
        assert len(batch) == 1 or len(batch) * width <= tokens


def test_windows_cover_the_long_case() -> None:
    cut = bits.windows([1000], 128)
    assert len(cut) > 5
    assert cut[1].start == 128 - 16


def test_equals_the_naive_way(base: CausalModel, sentences: dict[str, list[str]]) -> None:
    texts = [" ".join(sentences["en"][:n]) for n in (1, 2, 3, 14)] + sentences["zh"][:3]
    ids = [[base.start, *row] for row in base.encode(texts)]
    found = bits.sequence_nats(base, ids)
    for row, value in zip(ids, found, strict=True):
        assert value == pytest.approx(sum(naive(base, row)), abs=1e-3, rel=1e-6)
    assert max(map(len, ids)) > 2 * base.context_tokens  # the strided case occurred
    assert min(map(len, ids)) < base.context_tokens


def test_probabilities_of_all_continuations_sum_to_one(base: CausalModel) -> None:
    context = [base.start, *base.encode(["Tom likes"])[0]]
    found = bits.sequence_nats(base, [[*context, i] for i in range(base.n_rows)])
    before = bits.sequence_nats(base, [context])[0]
    assert math.fsum(math.exp(before - value) for value in found) == pytest.approx(1, abs=1e-4)


def test_score_is_bits_over_utf8_bytes(base: CausalModel) -> None:
    scores = bits.score_texts(base, [document(0, "Tom likes fish."), document(1, "小明。")])
    assert [s.n_bytes for s in scores] == [15, 9]
    assert scores[1].n_tokens >= 9  # bytes, one token each
    found = bits.summary(scores, seed=1, draws=200)
    assert found["value"] == pytest.approx(sum(s.nats for s in scores) / math.log(2) / 24)
    assert found["low"] <= found["value"] <= found["high"]
    assert (found["n_docs"], found["n_bytes"]) == (2, 24)


def test_sources_add_up_and_base_is_paired(base: CausalModel, new: CausalModel) -> None:
    documents = [
        document(i, f"Tom likes {n} red fish.", f"s{i % 2}") for i, n in enumerate(range(9))
    ]
    before, after = (bits.score_texts(m, documents) for m in (base, new))
    found = bits.summary(after, seed=1, draws=500, base=before)
    assert sum(s["n_docs"] for s in found["by_source"].values()) == found["n_docs"] == 9
    assert sum(s["n_bytes"] for s in found["by_source"].values()) == found["n_bytes"]
    change = found["difference"]
    assert change["value"] == pytest.approx(found["value"] - bits.summary(before, 1, 500)["value"])
    assert change["n"] == 9
    same = bits.summary(before, seed=1, draws=500, base=before)["difference"]
    assert (same["value"], same["low"], same["high"], same["p"]) == (0, 0, 0, 1)


def test_special_strings_in_text_are_text(base: CausalModel) -> None:
    ids = base.encode(["<s></s>"])[0]
    assert len(ids) > 4
    assert not {1, 2} & set(ids)


def test_choice_is_nested_and_cut() -> None:
    documents = [document(i, "x" * 50) for i in range(40)]
    few, many = (bits.choose(documents, n, 10) for n in (7, 20))
    assert len(few) == 7
    assert {d.id for d in few} < {d.id for d in many}
    assert {len(d.text) for d in many} == {10}
    assert bits.choose([document(0, "")], 5, 10) == []


def test_a_tokenizer_beyond_the_rows_is_refused(tiny_llama: Path) -> None:
    tokenizer = load_tokenizer(tiny_llama)
    tokenizer.add_tokens(["一", "二"])
    with pytest.raises(ModelError, match="more entries than the model has rows") as error:
        CausalModel(load_model(tiny_llama), tokenizer)
    assert "rows" in str(error.value.found)


def test_an_unknown_head_is_refused(tiny_llama: Path) -> None:
    model = load_model(tiny_llama)
    forward = type(model).forward

    class Scaled(type(model)):  # type: ignore[misc]
        def forward(self, *args: object, **kwargs: object) -> object:
            output = forward(self, *args, **kwargs)
            output.logits = output.logits * 0.5
            return output

    model.__class__ = Scaled
    with pytest.raises(ModelError, match="does not know"):
        CausalModel(model, load_tokenizer(tiny_llama))


def test_stories_model_has_its_known_figures(shared_data: Path) -> None:
    """About 2.95 on English corpora and 24 on Chinese ones: the untouched 3M LLaMA."""
    import gzip
    import json

    model = CausalModel.load(shared_data / "models" / "stories3M-hf")
    found = {}
    for language, files in {
        "en": ("en_textbooks", "en_webdocs"),
        "zh": ("zh_news", "zh_recipes"),
    }.items():
        texts = []
        for name in files:
            with gzip.open(shared_data / "corpora" / language / f"{name}.jsonl.gz", "rt") as file:
                texts += [json.loads(next(file))["text"] for _ in range(2)]
        scores = bits.score_texts(model, [document(i, t[:1000]) for i, t in enumerate(texts)])
        found[language] = bits.summary(scores, 1, 200)["value"]
    assert found["en"] == pytest.approx(2.95, abs=0.7)
    assert found["zh"] == pytest.approx(24.5, abs=2)
