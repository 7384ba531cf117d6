"""Building rows: little memory, any number of workers, taken up after a kill."""

from __future__ import annotations

import json
import os
import tracemalloc
from contextlib import contextmanager
from functools import partial

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from hanhua.core.errors import InputError, MixtureError, ModelError, ResourceError
from hanhua.core.progress import Silent
from hanhua.text.shards import SCHEMA
from hanhua.tokens import encode, gather, row_plan
from hanhua.tokens.build import build_rows
from hanhua.tokens.choose import Job, encode_group
from hanhua.tokens.config import TokensConfig
from hanhua.tokens.crew import Crew
from hanhua.tokens.encode import DocumentEncoder
from hanhua.tokens.permutation import Permutation
from hanhua.tokens.rows import PackedRows
from hanhua.tokens.source import read_groups


def write_shard(path, texts, group_documents=50):
    columns = [[f"x/{i}" for i in range(len(texts))], texts]
    columns += [[word] * len(texts) for word in ("en", "made", "CC0")]
    table = pa.table([pa.array(column, pa.string()) for column in columns], schema=SCHEMA)
    path.parent.mkdir(parents=True, exist_ok=True)
    pq.write_table(table, path, row_group_size=group_documents)


def make_corpus(folder, sentences, n, words=4):
    """Numbered documents, so that each can be found again, in two shards."""
    lines = sentences["en"]
    texts = [f"{i} " + " ".join(lines[(i + k) % 300] for k in range(words)) for i in range(n)]
    write_shard(folder / "train" / "en-00000.parquet", texts[: n // 2])
    write_shard(folder / "train" / "en-00001.parquet", texts[n // 2 :])
    return folder


def build(tokenizer, corpus, out, budget, *, progress=None, vocab_size=400, **values):
    section = TokensConfig(
        seq_len_tokens=64, budget_tokens=budget, shares={"en": 1.0}, max_epochs=4.0, tolerance=0.05
    )
    meta = build_rows(
        tokenizer, vocab_size, corpus, section, out, seed=5, progress=progress or Silent(), **values
    )
    return meta, PackedRows.open(out)


def content(path):
    return {file.name: file.read_bytes() for file in path.iterdir()}


class Interrupting(Silent):
    """A person at the keyboard: stops after so many groups, and notes what was there before."""

    def __init__(self, after=10**9):
        self.left, self.done = after, {}

    @contextmanager
    def bar(self, title, total, unit, *, done=0):
        self.done[title] = done
        yield self

    def advance(self, amount=1, **notes):
        self.left -= 1
        if self.left < 0:
            raise KeyboardInterrupt


def numbers_in(tokenizer, rows):
    """The documents that begin in the rows, by the number that they begin with."""
    found = []
    for i in range(len(rows)):
        row = rows.row(i)
        for start in np.concatenate([[0], np.cumsum(row.lengths)[:-1]]):
            if row.tokens[start] == tokenizer.bos_token_id:
                found.append(int(tokenizer.decode(row.tokens[start + 1 : start + 9]).split()[0]))
    return found


def test_only_as_much_is_encoded_as_is_needed_and_from_everywhere(tokenizer, sentences, tmp_path):
    corpus = make_corpus(tmp_path / "corpus", sentences, 4000)
    _, rows = build(tokenizer, corpus, tmp_path / "rows", 100_000, work=tmp_path / "work")
    lines = (tmp_path / "work" / "en" / "done.jsonl").read_text().splitlines()
    encoded = sum(json.loads(line)["documents"] for line in lines)
    numbers = numbers_in(tokenizer, rows)
    assert len(numbers) == len(set(numbers))
    assert len(numbers) <= encoded < 1.5 * len(numbers)  # of 4,000
    assert len(numbers) > 500
    assert len({line.split(":")[1].split("/")[0] for line in lines}) == 2  # passes
    counts = np.bincount(np.array(numbers) * 8 // 4000, minlength=8)
    assert counts.max() < 1.4 * counts.min()  # no part of the corpus is preferred
    # which they are is the seeded order of the whole corpus, not of how it is cut into passes
    first = np.flatnonzero(
        Permutation.seeded(4000, 5, "documents", "en").all() < 0.9 * len(numbers)
    )
    assert set(first.tolist()) <= set(numbers)


def test_memory_does_not_grow_with_texts_and_tokens(tokenizer, sentences, tmp_path, monkeypatch):
    monkeypatch.setattr(gather, "BLOCK_TOKENS", 1 << 12)
    monkeypatch.setattr(row_plan, "WINDOW", 1 << 8)
    monkeypatch.setattr(encode, "PARTS_FROM_CHARS", 0)
    peaks = {}
    for n in (300, 1500):
        corpus = make_corpus(tmp_path / f"{n}", sentences, n, words=8)
        tracemalloc.start()
        meta, _ = build(tokenizer, corpus, tmp_path / f"rows-{n}", 250 * n)
        peaks[n] = tracemalloc.get_traced_memory()[1]
        tracemalloc.stop()
        assert meta["n_rows"] > 64  # more than a block
    grown = peaks[1500] - peaks[300]
    # tables take tens of bytes a document, and a file's buffers more or less; the text and the
    # ids of such a document (500 letters, 280 tokens) would take 1,600
    assert grown < 1200 * 300, peaks


def test_workers_change_nothing(tokenizer, sentences, tmp_path):
    corpus = make_corpus(tmp_path, sentences, 400)
    groups = read_groups(sorted((corpus / "train").iterdir()))
    order = Permutation.seeded(400, 5, "documents", "en")
    jobs = [Job(group, order, 0, 300) for group in groups]
    crew = Crew(partial(encode_group, DocumentEncoder.of(tokenizer), 400), 2)
    try:
        here, there = list(crew.run(jobs, here=True)), list(crew.run(jobs))
    finally:
        crew.close()
    assert len(here) == 8
    for one, other in zip(here, there, strict=True):
        assert [column.tolist() for column in one] == [column.tolist() for column in other]
    places = np.concatenate([encoded.places for encoded in here])
    assert sorted(places.tolist()) == list(range(300))


def test_a_killed_worker_is_said():
    crew = Crew(os._exit, 2)
    try:
        with pytest.raises(ResourceError, match=r"was killed[\s\S]*machine.workers"):
            list(crew.run([1, 2, 3]))
    finally:
        crew.close()


def test_a_killed_build_goes_on(tokenizer, sentences, tmp_path):
    corpus = make_corpus(tmp_path / "corpus", sentences, 1000)
    build(tokenizer, corpus, tmp_path / "whole", 80_000)
    for place in (3, 12, 22):
        work = tmp_path / f"work-{place}"
        with pytest.raises(KeyboardInterrupt):
            build(tokenizer, corpus, tmp_path / "out", 80_000, work=work,
                  progress=Interrupting(place))  # fmt: skip
        done = len((work / "en" / "done.jsonl").read_text().splitlines())
        with (work / "en" / "ids.bin").open("ab") as file:
            file.write(b"\1" * 1001)  # of a group that was being written
        with (work / "en" / "done.jsonl").open("a") as file:
            file.write('{"key": "0-')
        watching = Interrupting()
        build(tokenizer, corpus, tmp_path / f"again-{place}", 80_000, work=work, progress=watching)
        assert content(tmp_path / f"again-{place}") == content(tmp_path / "whole")
        assert watching.done["encoding"] > 0
        after = (work / "en" / "done.jsonl").read_text().splitlines()
        assert len({json.loads(line)["key"] for line in after}) == len(after) > done > 0


def test_what_the_disk_lost_is_made_again(tokenizer, sentences, tmp_path):
    corpus = make_corpus(tmp_path / "corpus", sentences, 300)
    build(tokenizer, corpus, tmp_path / "whole", 40_000, work=tmp_path / "work")
    path = tmp_path / "work" / "en" / "lengths.bin"
    os.truncate(path, path.stat().st_size // 2)
    build(tokenizer, corpus, tmp_path / "again", 40_000, work=tmp_path / "work")
    assert content(tmp_path / "again") == content(tmp_path / "whole")


def test_nothing_is_left_beside_the_rows(tokenizer, sentences, tmp_path):
    corpus = make_corpus(tmp_path / "corpus", sentences, 100)
    build(tokenizer, corpus, tmp_path / "out" / "rows", 5_000)
    with pytest.raises(MixtureError, match="not enough en text"):
        build(tokenizer, corpus, tmp_path / "out" / "no", 5_000_000)
    assert [path.name for path in (tmp_path / "out").iterdir()] == ["rows"]


def test_bad_shards_and_models_are_said(tokenizer, sentences, tmp_path):
    corpus = make_corpus(tmp_path / "corpus", sentences, 100)
    with pytest.raises(ModelError, match="no embedding for"):
        build(tokenizer, corpus, tmp_path / "rows", 5_000, vocab_size=300)
    shard = corpus / "train" / "en-00000.parquet"
    whole = shard.read_bytes()
    shard.write_bytes(whole[:-20])
    with pytest.raises(InputError, match="cannot be read"):
        build(tokenizer, corpus, tmp_path / "rows", 5_000)
    pq.write_table(pa.table({"words": ["a"]}), shard)
    with pytest.raises(InputError, match="no column text"):
        build(tokenizer, corpus, tmp_path / "rows", 5_000)
