"""Conversations as rows: the mask is the assistant's, to the token."""

from __future__ import annotations

import shutil
from collections import Counter
from contextlib import contextmanager

import numpy as np
import pytest

from hanhua.chat.conversation import Conversation, Turn, write_conversations
from hanhua.chat.template import get_template
from hanhua.core.errors import InputError
from hanhua.core.progress import Silent
from hanhua.tokens.conversations import build_chat_rows, fit
from hanhua.tokens.rows import PackedRows

TEMPLATE = get_template("hanhua")


def conversation(i, *texts, language="en"):
    turns = tuple(Turn(("user", "assistant")[k % 2], text) for k, text in enumerate(texts))
    return Conversation(id=f"c/{i}", system="", turns=turns, language=language)


def test_targets_are_the_answers_and_their_end(tokenizer, tmp_path):
    talks = [
        conversation(0, "Tom?", "Tom likes red.", "hill", "river"),
        conversation(1, "小明", "天气很好", language="zh"),
        conversation(2, "no language", "yes", language=""),
    ]
    write_conversations(tmp_path / "train.parquet", talks)
    meta = build_chat_rows(
        tokenizer, 400, tmp_path / "train.parquet", TEMPLATE, tmp_path / "rows",
        seq_len_tokens=128, seed=1, progress=Silent(),
    )  # fmt: skip
    rows = PackedRows.open(tmp_path / "rows")
    assert meta["conversations"] == {"whole": 3, "turns_cut": 0, "answer_cut": 0, "too_long": 0}
    assert rows.languages == ["en", "und", "zh"]
    learnt = {}
    for i in range(len(rows)):
        row = rows.row(i)
        learnt[row.language] = tokenizer.decode(row.tokens[row.targets].tolist())
    assert learnt == {
        "en": "Tom likes red.</s> river</s>", "zh": "天气很好</s>", "und": "yes</s>",
    }  # fmt: skip
    counts = meta["counts_by_language"]
    n = sum(len(tokenizer(t, add_special_tokens=False)["input_ids"]) for t in ("天气很好",))
    assert counts["zh"]["targets"] == n + 1  # the answer and its end


def test_what_is_too_long_loses_its_last_turns_first(tokenizer):
    long = conversation(0, "Tom?", "red", "hill?", "river " * 30)
    fate, encoded = fit(tokenizer, TEMPLATE, long, 40)
    assert fate == "turns_cut"
    assert tokenizer.decode(encoded.ids[encoded.targets].tolist()) == "red</s>"
    fate, encoded = fit(tokenizer, TEMPLATE, conversation(1, "Tom?", "river " * 60), 64)
    assert fate == "answer_cut"
    assert len(encoded.ids) == 64
    assert encoded.ids[-1] != tokenizer.eos_token_id
    fate, encoded = fit(tokenizer, TEMPLATE, conversation(2, "river " * 60, "Tom"), 64)
    assert (fate, encoded) == ("too_long", None)


def test_nothing_that_fits_is_an_error(tokenizer, tmp_path):
    write_conversations(tmp_path / "t.parquet", [conversation(0, "river " * 60, "Tom")])
    with pytest.raises(InputError, match="No conversation fits") as error:
        build_chat_rows(
            tokenizer, 400, tmp_path / "t.parquet", TEMPLATE, tmp_path / "rows",
            seq_len_tokens=16, seed=1, progress=Silent(),
        )  # fmt: skip
    assert "finetune.seq_len_tokens" in error.value.message


def test_what_a_kill_leaves_is_gone_after_the_next_go(tokenizer, tmp_path):
    """What lies there amid the work is what a kill at that moment leaves."""

    class Copied(Silent):
        @contextmanager
        def bar(self, *args, **kwargs):
            with super().bar(*args, **kwargs) as bar:
                yield bar
            shutil.copytree(tmp_path / "work", tmp_path / "left", dirs_exist_ok=True)

    talks = [conversation(i, "Tom?", "red") for i in range(4)]
    write_conversations(tmp_path / "train.parquet", talks)

    def build(progress):
        build_chat_rows(
            tokenizer, 400, tmp_path / "train.parquet", TEMPLATE, tmp_path / "work" / "rows",
            seq_len_tokens=48, seed=1, progress=progress,
        )  # fmt: skip
        return sorted(path.name for path in (tmp_path / "work").iterdir())

    assert build(Copied()) == ["rows"]
    left = [path.name for path in (tmp_path / "left").iterdir()]
    assert len(left) == 2, "the work was under way"
    shutil.rmtree(tmp_path / "work")
    (tmp_path / "left").rename(tmp_path / "work")
    assert build(Silent()) == ["rows"]


def test_a_file_gives_what_each_conversation_by_itself_gives(tokenizer, tmp_path):
    texts = ["Tom?", "red", "hill and river?", "river " * 9, "</s> Tom", "Tom likes </s>"]
    talks = [conversation(i, *(texts * 3)[i % 5 : i % 5 + n])
             for i, n in enumerate((2, 4, 6, 8, 10, 2, 6))]  # fmt: skip
    talks.append(conversation(8, "Tom?", "river " * 60))
    talks.append(conversation(9, "river " * 60, "Tom"))
    write_conversations(tmp_path / "train.parquet", talks)
    meta = build_chat_rows(
        tokenizer, 400, tmp_path / "train.parquet", TEMPLATE, tmp_path / "rows",
        seq_len_tokens=48, seed=1, progress=Silent(),
    )  # fmt: skip
    alone = [fit(tokenizer, TEMPLATE, talk, 48) for talk in talks]
    fates = Counter(fate for fate, _ in alone)
    assert meta["conversations"] == dict(fates)
    assert all(fates[fate] for fate in ("whole", "turns_cut", "answer_cut", "too_long"))
    rows, found = PackedRows.open(tmp_path / "rows"), []
    for row in map(rows.row, range(len(rows))):
        ends = np.cumsum(row.lengths)[:-1]
        parts = zip(np.split(row.tokens, ends), np.split(row.targets, ends), strict=True)
        found += [(ids.tolist(), mask.tolist()) for ids, mask in parts]
    assert sorted(found) == sorted(
        (one.ids.tolist(), one.targets.tolist()) for _, one in alone if one is not None
    )
