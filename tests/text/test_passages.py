from __future__ import annotations

import itertools
import json
import random

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from hanhua.core.config import Machine
from hanhua.core.progress import Silent
from hanhua.stages.corpus import make_corpus
from hanhua.text.collect import Part
from hanhua.text.config import CorpusConfig
from hanhua.text.copies.book import Book
from hanhua.text.copies.cut import cut_spans, repeated_spans
from hanhua.text.copies.fingerprints import (
    PassageSize,
    document_fingerprints,
    weights_before,
    winnow,
    winnow_slowly,
)
from hanhua.text.copies.keys import RANK, rank_of, rank_order
from hanhua.text.copies.minhash import canonical_points, compare_table
from hanhua.text.copies.shared import FingerprintFile
from hanhua.text.passages import find_passages
from hanhua.text.pool import run_batches
from hanhua.text.scripts import code_points
from hanhua.text.shards import read_language

SIZE = PassageSize(12)
HAN = "天地玄黄宇宙洪荒日月盈昃辰宿列张寒来暑往秋收冬藏闰余成岁律吕调阳云腾致雨露结为霜金生"
FILES = settings(suppress_health_check=[HealthCheck.function_scoped_fixture], max_examples=30)


def words(seed, chars=40, alphabet=HAN + "abcdefgh"):
    return "".join(random.Random(seed).choices(alphabet, k=chars))


def ranks_of(texts):
    return [rank_of(t, str(t), priority=0, chars=len(canonical_points(t)), changed=0)
            for t in texts]  # fmt: skip


def find(folder, texts, size=SIZE, held=(), per_part=2, budget=1 << 20, run=None):
    """The cutter of a corpus of these texts, in parts of so many."""
    folder.mkdir(parents=True, exist_ok=True)
    file, parts = FingerprintFile(folder / "fingerprints"), []
    for start in range(0, len(texts), per_part):
        some = texts[start : start + per_part]
        path = folder / f"{start}.parquet"
        # Dropped rows stand among the kept ones and are not counted.
        rows = [row for t in some for row in ({"text": "x" * 50, "reason": "short"},
                                              {"text": t, "reason": None})]  # fmt: skip
        schema = pa.schema([("text", pa.string()), ("reason", pa.string())])
        pq.write_table(pa.Table.from_pylist(rows, schema=schema), path)
        parts.append(Part(path, start, len(some)))
        file.append(start, [document_fingerprints(canonical_points(t), size) for t in some])
    file.close()
    return find_passages(
        file, parts, np.frombuffer(b"".join(ranks_of(texts)), RANK), np.ones(len(texts), np.bool_),
        held, size=size, variants=True, folder=folder, budget_bytes=budget,
        run=run or (lambda batches, kernel, name: run_batches(batches, kernel, folder / name, 1)),
    )  # fmt: skip


def windows(points, size):
    """(start, end) of all least passages."""
    before = weights_before(points)
    ends = np.searchsorted(before, before[:-1] + size.weight)
    yield from ((a, b) for a, b in enumerate(ends.tolist()) if b < len(before))


def expected(texts, size):
    """What goes by the definition: all in passages that are in better texts, or further up."""
    points = [canonical_points(text) for text in texts]
    found, known = [set() for _ in texts], set()
    order = rank_order(np.frombuffer(b"".join(ranks_of(texts)), RANK)).tolist()
    for number in order:
        first: dict[tuple, int] = {}
        before, mine = weights_before(points[number]), set()
        for start, end in windows(points[number], size):
            passage = tuple(points[number][start:end].tolist())
            mine.add(passage)
            seen = first.setdefault(passage, start)
            if passage in known or before[start] - before[seen] >= size.weight:
                found[number].update(range(start, end))
        known |= mine
    return found


@given(st.text(st.sampled_from("天地人ab1 。"), max_size=150) | st.text(max_size=80),
       st.integers(4, 30))  # fmt: skip
def test_both_parts_find_the_same_fingerprints(text, chars):
    points, size = canonical_points(text), PassageSize(chars)
    one, other = winnow(points, size), winnow_slowly(points, size)
    assert one[0].tolist() == other[0].tolist()
    assert one[1].tolist() == other[1].tolist()


@given(st.integers(0, 10**6), st.integers(4, 40), st.integers(0, 30), st.integers(0, 30))
def test_a_passage_has_a_fingerprint_that_its_place_does_not_change(seed, chars, ahead, after):
    size = PassageSize(chars)
    text = words(seed, 3 * chars)
    end = next(end for start, end in windows(canonical_points(text), size) if not start)
    text = text[:end]
    places = []
    for n, (left, right) in enumerate([(ahead, after), (after, ahead)]):
        around = words(f"{seed}{n}", left), words(f"{seed}{n}!", right)
        hashes, found = winnow(canonical_points(around[0] + text + around[1]), size)
        places.append(set(zip(hashes.tolist(), (found - left).tolist(), strict=True)))
    assert any(0 <= n <= end - size.run_chars for _, n in places[0] & places[1])


BLOCKS = [words(seed, chars) for seed, chars in enumerate([5, 7, 9, 11, 13, 14, 20, 30, 60])]
BLOCKS += ["天" * 40, "天地" * 15, words(9, 30, "abcdef"), words(10, 60, "abcdef")]
DOCUMENT = st.lists(st.sampled_from(BLOCKS) | st.text(st.sampled_from(HAN), max_size=9),
                    min_size=1, max_size=4).map("".join)  # fmt: skip


@given(st.lists(DOCUMENT, min_size=1, max_size=3, unique=True), st.integers(1, 3),
       st.integers(3_000, 100_000))  # fmt: skip
@FILES
def test_what_goes_is_what_the_definition_says(tmp_path_factory, texts, per_part, budget):
    folder = tmp_path_factory.mktemp("find")
    find(folder, texts, per_part=per_part, budget=budget)
    book = Book.open(folder / "book")
    for number, (text, gone) in enumerate(zip(texts, expected(texts, SIZE), strict=True)):
        spans = repeated_spans(canonical_points(text), number, book, SIZE)
        assert {n for start, end in spans for n in range(start, end)} == gone


@given(st.integers(0, 10**6), st.integers(2, 6), st.integers(4, 120), st.booleans(), st.data())
@FILES
def test_a_planted_passage_is_kept_once_and_a_short_one_everywhere(
    tmp_path_factory, seed, count, chars, latin, data
):
    passage = words(seed, chars, "abcdefghijklmnop" if latin else HAN) + "。"
    # What stands beside the passage differs, so that it does not grow by chance.
    texts = [f"{words(f'{seed}{n}', 30 + n)}{'东南西北中外'[n]}。\n{passage}\n"
             f"{'甲乙丙丁戊己'[n]}{words(f'{seed}{n}!', 20)}。" for n in range(count)]  # fmt: skip
    order = data.draw(st.permutations(range(count)))
    cut = find(tmp_path_factory.mktemp("find"), [texts[n] for n in order])
    left = {n: cut.cut(texts[n], place)[0] for place, n in enumerate(order)}
    holders = [n for n in range(count) if passage in left[n]]
    if chars < SIZE.min_chars * (3 if latin else 1):
        assert left == dict(enumerate(texts))
    else:
        assert holders == [count - 1], "the longest is the best"
        assert left[count - 1] == texts[-1]
        for n in range(count - 1):
            assert left[n] == texts[n].replace(f"\n{passage}\n", "\n\n")


def test_what_a_kill_leaves_does_no_harm(tmp_path):
    line = words(1, 30) + "。"
    texts = [f"{words(n)}。\n{line}\n{words(-n, n)}。" for n in range(2, 9)]

    def killed(batches, kernel, name):
        yield from itertools.islice(run_batches(batches, kernel, tmp_path / "a" / name, 1), 1)
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        find(tmp_path / "a", texts, run=killed)
    again, fresh = find(tmp_path / "a", texts), find(tmp_path / "b", texts)
    for number, text in enumerate(texts):
        assert again.cut(text, number) == fresh.cut(text, number)
    books = [{p.name: p.read_bytes() for p in (tmp_path / n / "book").iterdir()} for n in "ab"]
    assert books[0] == books[1]


def test_a_passage_twice_in_one_document_goes_the_second_time(tmp_path):
    line = words(1, 30) + "。"
    text = f"{line}\n{words(2)}。\n{line}\n{words(3)}。"
    cut = find(tmp_path, [text, words(4)])
    assert cut.cut(text, 0) == (f"{line}\n{words(2)}。\n\n{words(3)}。", len(line))


def test_held_out_documents_are_better_than_longer_ones(tmp_path):
    line = words(1, 30) + "。"
    texts = [f"{words(2, 90)}。\n{line}", f"{words(3, 20)}。\n{line}"]
    held = find(tmp_path / "held", texts, held=[1])
    assert held.cut(texts[1], 1) == (texts[1], 0)
    assert line not in held.cut(texts[0], 0)[0]
    free = find(tmp_path / "free", texts)
    assert line not in free.cut(texts[1], 1)[0]


@pytest.mark.parametrize(
    ("text", "passage", "left"),
    [
        ("甲乙丙。他说：“天地玄黄宇宙洪荒日月盈昃。辰宿列张。”丁戊己。",
         "天地玄黄宇宙洪荒日月盈昃。辰宿列张", "甲乙丙。他说：\n\n丁戊己。"),
        ("甲乙丙。“天地玄黄宇宙洪荒日月盈昃。辰宿列张。”丁戊己。",
         "天地玄黄宇宙洪荒日月盈昃。辰宿列张", "甲乙丙。\n\n丁戊己。"),
        ("甲乙丙尾。天地玄黄宇宙洪荒日月盈昃。同丁戊己。",
         "尾。天地玄黄宇宙洪荒日月盈昃。同", "甲乙丙尾。\n\n同丁戊己。"),
        ("甲乙丙天地玄黄宇宙洪荒日月盈昃丁戊己。",
         "天地玄黄宇宙洪荒日月盈昃", "甲乙丙\n\n丁戊己。"),
        ("- One two.\n- A line of the passage, 3.5 long, in all its length.\n- Three.",
         "A line of the passage, 3.5 long, in all its length", "- One two.\n\n- Three."),
        ("He left. \"It was a long and windy way to go home.\" She did not.",
         "It was a long and windy way to go home", "He left.\n\nShe did not."),
        ("天地玄黄宇宙洪荒日月盈昃。", "天地玄黄宇宙洪荒日月盈昃", ""),
    ],
)  # fmt: skip
def test_cuts_are_made_between_sentences_where_these_are_near(text, passage, left):
    points = canonical_points(text)
    places = np.nonzero(compare_table().take(code_points(text)))[0]
    start = int(np.searchsorted(places, text.index(passage)))
    span = (start, start + len(canonical_points(passage)))
    assert cut_spans(text, [span], places, weights_before(points), SIZE) == left


WORDS = "小明 河边 市场 朋友 早上 山上 白菜 学校 老师 孩子 喜欢 红色 一起 我们 的 了 在 是".split()


def zh(seed, sentences=5):
    chance = random.Random(seed)
    return "".join("".join(chance.choices(WORDS, k=12)) + "。" for _ in range(sentences))


def make(folder, files, workers=1, held_out_docs=0, **more):
    """(report, text -> id of the training documents, held-out texts) of lists of texts."""
    folder.mkdir(parents=True)
    for name, texts in files.items():
        rows = [json.dumps({"text": t, "id": f"{n}"}) + "\n" for n, t in enumerate(texts)]
        (folder / f"{name}.jsonl").write_text("".join(rows), encoding="utf-8")
    sources = [{"path": str(folder / f"{name}.jsonl"), "language": "zh", "licence": "CC0"}
               for name in files]  # fmt: skip
    config = CorpusConfig.model_validate(
        {"sources": sources, "held_out_docs": held_out_docs, "batch_chars": 2_000, **more}
    )
    report = make_corpus(config, folder / "out", Silent(), Machine(workers=workers))
    train = [d.text for d in read_language(folder / "out", "zh")]
    return report, train, [d.text for d in read_language(folder / "out", "zh", "held_out")]


PASSAGE = zh("passage", 6)


def planted(chance, seed, every=3):
    texts = [zh(f"{seed}{n}") for n in range(24)]
    return [f"{t}\n{PASSAGE}\n{zh(f'{seed}{n}!')}" if n % every == 0 else t
            for n, t in enumerate(texts)]  # fmt: skip


def test_a_corpus_is_the_same_whatever_the_order_and_the_workers(tmp_path):
    files = {"a": planted(1, "a"), "b": planted(2, "b")}
    some = {"min_repeated_passage_chars": 50, "near_similarity": 0.9}
    report, train, _ = make(tmp_path / "1", files, **some)
    assert sum(PASSAGE in text for text in train) == 1
    assert len(train) == 48
    assert report["changes"]["removed.passage_chars"] == 15 * len(PASSAGE)
    turned = {name: texts[::-1] for name, texts in reversed(files.items())}
    for n, (other, workers) in enumerate([(files, 2), (turned, 1)]):
        again, texts, _ = make(tmp_path / f"again{n}", other, workers, **some)
        assert sorted(texts) == sorted(train)
        assert again["changes"] == report["changes"]


def test_the_account_adds_up(tmp_path):
    texts = [*planted(1, "a"), PASSAGE + "又多。", PASSAGE + "Z", f"甲乙丙丁。{PASSAGE}"]
    some = {"near_similarity": 1.0, "min_chars": 30}
    whole, train, _ = make(tmp_path / "whole", {"a": texts}, **some)
    report, left, _ = make(tmp_path / "cut", {"a": texts}, **some, min_repeated_passage_chars=50)
    assert whole["dropped"] == {}
    assert report["dropped"] == {"repeated_passage": 3}
    assert report["documents_in"] == report["documents_kept"] + 3 == len(train)
    assert report["characters"] == sum(map(len, left))
    lost = whole["characters"] - report["characters"]
    crumbs = len("又多。") + len("Z") + len("甲乙丙丁。")
    assert lost == report["changes"]["removed.passage_chars"] + crumbs


def test_where_nothing_is_repeated_nothing_changes(tmp_path):
    texts = [zh(f"single{n}") for n in range(30)]
    for name, more in (("without", {}), ("with", {"min_repeated_passage_chars": 60})):
        make(tmp_path / name, {"a": texts}, held_out_docs=3, **more)
    one, other = (
        {p.name: p.read_bytes() for p in sorted((tmp_path / n / "out").rglob("*.parquet"))}
        for n in ("without", "with")
    )
    assert one == other


def test_a_passage_of_a_held_out_document_is_in_no_training_document(tmp_path):
    texts = planted(1, "a", every=1)
    _, train, held = make(tmp_path / "x", {"a": texts}, held_out_docs=2, near_similarity=0.95,
                          min_repeated_passage_chars=50)  # fmt: skip
    assert len(held) == 2
    assert [PASSAGE in text for text in held].count(True) == 1
    assert not any(PASSAGE in text for text in train)
    assert len(train) == 22


def test_lines_and_passages_go_together(tmp_path):
    foot = "本站所有文章版权归原作者，欢迎常来看看。"
    texts = [f"{text}\n{foot}" for text in planted(1, "a")]
    report, train, _ = make(tmp_path / "x", {"a": texts}, max_line_docs=10, near_similarity=0.95,
                            min_repeated_passage_chars=50)  # fmt: skip
    assert not any(foot in text for text in train)
    assert sum(PASSAGE in text for text in train) == 1
    assert report["changes"]["removed.repeated"] == 24


def test_real_files_lose_no_passage(tmp_path, shared_data):
    source = {"path": str(shared_data / "corpora/zh/zh_laws.jsonl.gz"), "language": "zh",
              "licence": "public domain", "limit_docs": 60}  # fmt: skip
    plain = {"sources": [source], "held_out_docs": 0, "batch_chars": 100_000}
    for name, more in (("whole", {}), ("cut", {"min_repeated_passage_chars": 50})):
        config = CorpusConfig.model_validate({**plain, **more})
        report = make_corpus(config, tmp_path / name, Silent(), Machine(workers=1))
    assert report["changes"]["removed.passage_chars"] > 1_000
    size = PassageSize(50)
    whole, left = (
        [canonical_points(d.text) for d in read_language(tmp_path / name, "zh")]
        for name in ("whole", "cut")
    )
    grams = [
        {points[n : n + 12].tobytes() for points in texts for n in range(len(points) - 11)}
        for texts in (whole, left)
    ]
    # What is gone everywhere stood across a cut; nothing else may be lost.
    assert len(grams[0] - grams[1]) < 0.01 * len(grams[0])
    held, twice = set(), 0
    for points in left:
        mine = {points[start:end].tobytes() for start, end in windows(points, size)}
        twice += len(mine & held)
        held |= mine
    assert twice == 0


def test_short_passages_are_refused():
    with pytest.raises(ValueError, match="greater than or equal to 50"):
        CorpusConfig.model_validate(
            {"sources": [{"path": "x", "language": "zh"}], "min_repeated_passage_chars": 20}
        )
