"""Pairs to rows: two documents a row, only the last answers are targets, what is too long."""

from __future__ import annotations

import numpy as np
import pytest

from hanhua.chat.conversation import Conversation, Turn
from hanhua.chat.encode import encode_conversation, encode_prompt
from hanhua.chat.pairs import Pair
from hanhua.chat.template import get_template
from hanhua.core.errors import InputError
from hanhua.core.progress import Silent
from hanhua.model.load import load_tokenizer
from hanhua.tokens.pairs import PairRows, build_pair_rows, fit_pair

HANHUA = get_template("hanhua")
FOREIGN = (
    "{% for m in messages %}[{{ m['role'] }}] {{ m['content'] }}{{ eos_token }}\n{% endfor %}"
    "{% if add_generation_prompt %}[assistant] {% endif %}"
)


@pytest.fixture(scope="module")
def tokenizer(tiny_llama):
    return load_tokenizer(tiny_llama)


def pair(better="Tom drank some tea.", worse="No.", asked="What did Tom do?", before=()):
    turns = (*before, Turn("user", asked), Turn("assistant", better))
    return Pair(Conversation("p/1", "", turns, "en"), worse)


BEFORE = (Turn("user", "Hello"), Turn("assistant", "Hello, Tom."))


def texts(tokenizer, row):
    """What is learnt of each document."""
    found, start = [], 0
    for length in row.lengths:
        ids, on = (x[start : start + length] for x in (row.tokens, row.targets))
        found.append(tokenizer.decode(ids[on].tolist()))
        start += length
    return found


@pytest.mark.parametrize("before", [(), BEFORE])
def test_the_last_answers_and_their_ends_are_learnt_and_nothing_else(tokenizer, before):
    fate, row = fit_pair(tokenizer, HANHUA, pair(before=before), 100)
    assert fate == "whole"
    told = [text.strip() for text in texts(tokenizer, row)]
    assert told == ["Tom drank some tea.</s>", "No.</s>"]
    start = 0
    both = (pair(before=before).chosen, pair(before=before).worse)
    for length, conversation in zip(row.lengths, both, strict=True):
        ids, _ = encode_conversation(tokenizer, HANHUA, conversation)
        assert row.tokens[start : start + length].tolist() == ids
        start += length


def test_a_template_that_is_not_ours(tokenizer, tiny_llama):
    other = load_tokenizer(tiny_llama)
    other.chat_template = FOREIGN
    fate, row = fit_pair(other, None, pair(before=BEFORE), 200)
    assert fate == "whole"
    assert [text.strip() for text in texts(other, row)] == ["Tom drank some tea.</s>", "No.</s>"]
    messages = pair(before=BEFORE).chosen.messages()
    assert row.tokens[: row.lengths[0]].tolist() == encode_prompt(other, None, messages, False)
    other.chat_template = "{% for m in messages %}{{ m['content'] }}{% endfor %}{{ 'x' if add_generation_prompt }}"  # fmt: skip # noqa: E501
    with pytest.raises(InputError, match="does not write an answer behind its prompt"):
        fit_pair(other, None, pair(), 200)


def test_long_answers_are_cut_and_long_questions_dropped(tokenizer):
    long = "Tom drank some tea at the market. " * 20
    fate, row = fit_pair(tokenizer, HANHUA, pair(better=long), 64)
    assert fate == "answer_cut"
    assert row.lengths[0] == 64 > row.lengths[1]
    assert not texts(tokenizer, row)[0].endswith("</s>")
    assert texts(tokenizer, row)[1].endswith("</s>")
    assert fit_pair(tokenizer, HANHUA, pair(asked=long), 64) == ("prompt_too_long", None)
    assert fit_pair(tokenizer, HANHUA, pair(long + "a", long + "b"), 64) == ("same_when_cut", None)


def test_rows_are_counted_and_a_reference_stands_beside_them(tokenizer, tmp_path):
    long = "Tom drank some tea at the market. " * 20
    pairs = [pair(), pair(better=long), pair(asked=long), pair(before=BEFORE)]
    meta = build_pair_rows(
        tokenizer, 400, pairs, HANHUA, tmp_path / "rows", seq_len_tokens=64, progress=Silent()
    )
    assert meta["pairs"] == {"whole": 2, "answer_cut": 1, "prompt_too_long": 1, "same_when_cut": 0}
    rows = PairRows.open(tmp_path / "rows")
    assert len(rows) == 3
    assert rows.seq_len_tokens == 128
    assert rows.row(0).reference is None
    assert rows.answer_tokens().sum() == rows.meta["counts_by_language"]["en"]["targets"]
    known = np.arange(6.0).reshape(3, 2)
    rows.keep_reference(known)
    again = PairRows.open(tmp_path / "rows").with_reference()
    assert again.row(2).reference == (4.0, 5.0)


def test_when_no_pair_fits_it_says_why(tokenizer, tmp_path):
    with pytest.raises(InputError, match="No pair fits") as error:
        build_pair_rows(
            tokenizer, 400, [pair(asked="Tom " * 90)], HANHUA, tmp_path / "rows",
            seq_len_tokens=16, progress=Silent(),
        )  # fmt: skip
    assert "prompt_too_long: 1" in str(error.value.found)
