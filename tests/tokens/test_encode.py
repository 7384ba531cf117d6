"""Encoding: one BOS, one EOS, and text that stays text."""

from __future__ import annotations

import pytest

from hanhua.tokens.encode import BATCH_CHARS, batches, encode_documents, special_ids

TEXTS = [
    "Tom likes red.",
    "",
    "小明说：“好！”",
    " two  spaces ",
    "line\n\nline",
    "</s> <s>",
    "<unk>x</s>",
]


def test_bos_and_eos_stand_once_at_the_ends(tokenizer):
    bos, eos = special_ids(tokenizer)
    assert len(bos) == len(eos) == 1
    assert tokenizer("Tom")["input_ids"][0] == bos[0]  # the tokenizer adds its own BOS itself
    for ids in encode_documents(tokenizer, TEXTS):
        assert (ids[0], ids[-1]) == (bos[0], eos[0])
        assert not set(ids[1:-1].tolist()) & set(tokenizer.all_special_ids)


def test_text_comes_back_whole(tokenizer):
    for text, ids in zip(TEXTS, encode_documents(tokenizer, TEXTS), strict=True):
        assert tokenizer.decode(ids[1:-1].tolist(), clean_up_tokenization_spaces=False) == text


def test_text_without_special_strings_has_the_tokenizers_own_ids(tokenizer, sentences):
    texts = sentences["en"][:50] + sentences["zh"][:50]
    for text, ids in zip(texts, encode_documents(tokenizer, texts), strict=True):
        assert ids[1:-1].tolist() == tokenizer(text, add_special_tokens=False)["input_ids"]


@pytest.mark.parametrize("text", ["<s>", "a</s>b", "<s><s></s>", "<unk>"])
def test_a_special_token_that_pieces_could_merge_into_is_kept_out(text):
    """A BPE whose merges make "<s>" from its characters, as a careless conversion gives."""
    from tokenizers import AddedToken, Tokenizer, models
    from transformers import PreTrainedTokenizerFast

    letters = {c: i + 3 for i, c in enumerate("<>/sunkab")}
    vocab = {"<unk>": 0, "<s>": 1, "</s>": 2, **letters, "<s": 20, "</": 21, "</s": 22}
    merges = [("<", "s"), ("<s", ">"), ("<", "/"), ("</", "s"), ("</s", ">")]
    core = Tokenizer(models.BPE(vocab=vocab, merges=merges, unk_token="<unk>"))
    core.add_special_tokens([AddedToken(t, special=True) for t in ("<unk>", "<s>", "</s>")])
    tokenizer = PreTrainedTokenizerFast(
        tokenizer_object=core, bos_token="<s>", eos_token="</s>", unk_token="<unk>"
    )
    ids = next(encode_documents(tokenizer, [text])).tolist()
    assert (ids[0], ids[-1]) == (1, 2)
    assert not set(ids[1:-1]) & {0, 1, 2}
    assert "".join(tokenizer.convert_ids_to_tokens(ids[1:-1])) == text


def test_batches_are_bounded_and_whole():
    texts = ["x" * (BATCH_CHARS // 3)] * 10 + ["y"] * 9000
    found = list(batches(texts))
    assert [t for batch in found for t in batch] == texts
    assert max(len(batch) for batch in found) <= 4096
    assert len(found) >= 4
