from __future__ import annotations

import random

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from hanhua.text.copies.exact import content_key
from hanhua.text.copies.keys import KEY_BYTES, DocumentKeys, KeyFiles, rank_of
from hanhua.text.copies.minhash import canonical_points, sign
from hanhua.text.copies.near import find_copies

WORDS = (
    "小明 河边 市场 朋友 早上 山上 白菜 学校 老师 孩子 喜欢 红色 一起 我们 看见 昨天 下雨 回家"
).split()


def story(seed, words=80):
    return "".join(random.Random(seed).choices(WORDS, k=words)) + "。"


def edited(text, share, seed=1):
    rng = random.Random(seed)
    return "".join("丁" if rng.random() < share else c for c in text)


def keys_of(text, origin, priority=0):
    points = canonical_points(text)
    changed = int(np.count_nonzero(points != canonical_points(text, False)))
    rank = rank_of(text, origin, priority=priority, chars=len(points), changed=changed)
    return DocumentKeys(content_key(points), rank, sign(text)).as_bytes()


def decide(folder, documents, **options):
    """documents: (origin, text) or (origin, text, priority); origins of those that stay."""
    with KeyFiles(folder) as keys:
        for document in documents:
            keys.append([keys_of(document[1], document[0], *document[2:])])
    found = find_copies(keys, **options)
    return {d[0] for d, alive in zip(documents, found.alive, strict=True) if alive}, found


def test_a_row_has_the_size_that_the_schema_says():
    assert len(keys_of(story(1), "a")) == KEY_BYTES


def test_copies_go_and_others_stay(tmp_path):
    text = story(1)
    documents = [
        ("plain", text), ("same", text), ("spaced", " ".join(text)), ("other", story(2)),
        ("edited", edited(text, 0.01)), ("longer", text + "后来大家都回家了。"),
        ("far", edited(text, 0.2)),
    ]  # fmt: skip
    stay, found = decide(tmp_path / "k", documents)
    assert stay == {"longer", "other", "far"}
    assert set(found.exact) == {1, 2} or len(found.exact) == 2
    assert all(documents[kept][0] == "longer" for kept, _ in found.near.values())
    assert all(share >= 0.75 for _, share in found.near.values())
    stay, _ = decide(tmp_path / "e", documents, min_agreement=None)
    assert len(stay & {"plain", "same", "spaced"}) == 1
    assert len(stay) == 5
    stay, _ = decide(tmp_path / "n", documents, exact=False, min_agreement=None)
    assert len(stay) == 7


def test_who_is_kept(tmp_path):
    simplified, traditional = (
        "台湾的图书馆里有很多学生在读书" * 2,
        "臺灣的圖書館裡有很多學生在讀書" * 2,
    )
    stay, _ = decide(tmp_path / "a", [("t", traditional), ("s", simplified)])
    assert stay == {"s"}
    stay, _ = decide(tmp_path / "b", [("t", traditional, 5), ("s", simplified)])
    assert stay == {"t"}
    long, short = story(3) + "完了", story(3)
    assert decide(tmp_path / "c", [("short", short), ("long", long)])[0] == {"long"}
    assert decide(tmp_path / "d", [("short", short, 1), ("long", long)])[0] == {"short"}


def test_a_chain_of_small_changes_takes_nothing_that_is_unlike_what_is_left(tmp_path):
    texts, text = [], story(4, 120)
    for step in range(12):
        texts.append((f"{step:02d}", text))
        text = edited(text, 0.05, seed=step)
    stay, found = decide(tmp_path / "k", texts)
    assert 2 <= len(stay) < 12
    for gone, (kept, share) in found.near.items():
        assert found.alive[kept]
        assert not found.alive[gone]
        real = np.mean(sign(texts[gone][1]).least == sign(texts[kept][1]).least)
        assert real == pytest.approx(share, abs=0.01)
    for number in found.exact.values():
        assert found.alive[number] or number in found.near


@given(st.randoms(use_true_random=False), st.integers(1, 400))
@settings(
    max_examples=25, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
def test_what_stays_depends_neither_on_order_nor_on_memory(tmp_path, rng, budget_bytes):
    documents = []
    for n in range(rng.randrange(1, 30)):
        text = edited(story(rng.randrange(6), 60), rng.choice([0, 0.01, 0.04, 0.1]), rng.random())
        documents.append((f"d{n}", rng.choice([text, " ".join(text)]), rng.randrange(2)))
    first, _ = decide(tmp_path / "one", documents)
    rng.shuffle(documents)
    second, _ = decide(tmp_path / "two", documents, budget_bytes=budget_bytes)
    assert first == second


def test_short_texts_are_compared_exactly_only(tmp_path):
    documents = [("a", "很好吃"), ("b", "很 好 吃！"), ("c", "很好吃吗"), ("d", "")]
    assert decide(tmp_path / "k", documents)[0] - {"a", "b"} == {"c", "d"}
    with KeyFiles(tmp_path / "none") as keys:
        pass
    assert len(find_copies(keys).alive) == 0
