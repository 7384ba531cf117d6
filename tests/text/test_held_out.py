from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from hanhua.text.contamination.held_out import Guard, Queue, allocate, choose
from hanhua.text.copies.exact import content_key
from hanhua.text.copies.minhash import canonical_points as canonical
from hanhua.text.document import Document

TEXT = "今天下午三点，在图书馆二楼的阅览室里，几位老师讨论了明年春天的教学安排和学生的实习计划。"


def queue(documents, chars_each=100, room=200, salt=0):
    made = Queue(room)
    for n in range(documents):
        made.add(content_key(canonical(f"{salt} {n}")), n, chars_each)
    return made


SIZES = st.dictionaries(
    st.sampled_from("abcde"), st.tuples(st.integers(1, 400), st.integers(1, 5000)), min_size=1
)


@given(st.integers(0, 60), SIZES)
def test_every_source_gives_within_its_means(wanted, sizes):
    queues = {name: queue(*size) for name, size in sizes.items()}
    given_ = allocate(wanted, queues)
    room = sum(q.documents // 10 for q in queues.values())
    total = sum(q.documents for q in queues.values())
    if room:
        assert sum(given_.values()) == min(wanted, room)
        assert all(given_[name] <= queues[name].documents // 10 for name in queues)
        able = [name for name in queues if queues[name].documents >= 10]
        if wanted >= len(able):
            assert all(given_[name] >= 1 for name in able)
    else:
        assert sum(given_.values()) == (1 if wanted and total > 1 else 0)


def test_shares_follow_the_characters():
    given_ = allocate(100, {"books": queue(2000, 9000), "notes": queue(2000, 1000)})
    assert given_ == {"books": 90, "notes": 10}


def test_the_choice_does_not_depend_on_the_order_of_reading():
    keys = [content_key(canonical(f"text {n}")) for n in range(300)]
    forth, back = Queue(20), Queue(20)
    for n in range(300):
        forth.add(keys[n], n, 50)
        back.add(keys[299 - n], n, 50)
    first = choose(20, {"s": forth})
    assert len(first) == 20
    assert {299 - n for n in choose(20, {"s": back})} == first
    assert first == set(sorted(range(300), key=lambda n: keys[n])[:20])


def test_the_guard_stops_copies_quotations_and_edits():
    guard = Guard(
        [Document("s/1", TEXT, "zh", "s", "x"), Document("s/2", "很短的", "zh", "s", "x")]
    )
    for leak in (TEXT, " ".join(TEXT), "前文。" + TEXT + "后文。" * 9, TEXT.replace("春天", "夏天"),
                 TEXT[: len(TEXT) * 2 // 3], "很短，的"):  # fmt: skip
        drop = guard.check(leak)
        assert drop, leak
        assert drop.reason == "held_out_copy"
    assert "s/1" in guard.check(TEXT).value
    assert (
        guard.check("今天下午三点，我们去河边钓鱼，晚上在镇上的小饭馆里吃了一顿很好的饭。") is None
    )
    assert guard.check("很短的话") is None
