from __future__ import annotations

import json

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from hanhua.core.errors import InputError
from hanhua.text.contamination.overlap import OverlapIndex, gram_hashes
from hanhua.text.contamination.questions import read_questions
from hanhua.text.copies.minhash import canonical_points as canonical
from hanhua.text.readers.read import read_records

QUESTION = "在农业生产中被当作极其重要的劳动对象发挥作用，最主要的不可替代的基本生产资料是"
CLEAN = "小明住在河边的小镇上，他每天早上去市场买鱼和白菜。天气很好，他的朋友说一起去山上吧。"
ENGLISH = "Which of these branches of the trigeminal nerve contain somatic motor processes?"


def find(items, text):
    return OverlapIndex(items).find(canonical(text))


@pytest.mark.parametrize(
    "leak",
    [
        CLEAN + QUESTION + CLEAN,
        CLEAN + QUESTION.replace("，", " , ") + "？A.土地 B.资金",
        CLEAN + "\n".join(QUESTION),
        CLEAN + QUESTION[: len(QUESTION) * 2 // 3],
    ],
)
def test_a_leaked_question_is_found(leak):
    overlap = find([CLEAN[::-1], QUESTION], leak)
    assert overlap
    assert overlap.item == 1
    assert overlap.share >= 0.5


def test_clean_text_is_not_hit():
    assert find([QUESTION, ENGLISH], CLEAN * 3) is None
    assert (
        find([ENGLISH], "The trigeminal nerve has three branches, and one of these is motor.")
        is None
    )
    assert find([ENGLISH], f"quiz: {ENGLISH.upper()} ...").share == 1.0


PASSAGE = (
    "The seeds of totalitarian regimes are nurtured by misery and want. They spread and grow in "
    "the evil soil of poverty and strife. They reach their full growth when the hope of a people "
    "for a better life has died. We must keep that hope alive."
)
ASKED = "The passage above can best be seen as providing a rationale for which policy?"


@pytest.mark.parametrize(
    ("text", "held"),
    [
        (f"He said: {PASSAGE} The free peoples of the world look to us for support.", False),
        (f"{PASSAGE}\n{ASKED}", True),
        (f"Quiz. {PASSAGE} {ASKED.replace('rationale', 'reason')} A. aid", True),
        (f"{ASKED} {PASSAGE}", True),
        (f"{PASSAGE} {'And so he went on for a long time. ' * 60} {ASKED}", False),
    ],
)
def test_of_a_long_question_what_is_asked_must_be_there(text, held):
    question = f"This question refers to the following information. {PASSAGE} {ASKED}"
    assert bool(OverlapIndex([question], questions=True).find(canonical(text))) is held
    # Held-out text is guarded with another rule: whoever has half of it has seen it.
    assert OverlapIndex([question]).find(canonical(text))


def test_a_passage_of_a_thinned_question_is_not_the_question():
    passage = " ".join(f"word{n} and then another{n * 7}" for n in range(40))
    assert 512 + 32 < len(canonical(passage)) < 900
    index = OverlapIndex([f"{passage} {ASKED}"], questions=True)
    assert index.find(canonical(passage)) is None
    assert index.find(canonical(f"{passage} {ASKED}")).share == 1.0


@pytest.mark.parametrize(
    ("question", "clean"),
    [
        ("What is the purpose of the Diagnostic and Statistical Manual of Mental Disorders?",
         "The Diagnostic and Statistical Manual of Mental Disorders is used by clinicians."),
        ("Which of the following is not an example of vice?",
         "Which of the following is not an example of a public policy outcome?"),
        ("下列不属于操作系统的是", "画图软件不属于操作系统的是事实"),
    ],
)  # fmt: skip
def test_a_name_or_a_phrase_is_not_a_short_question(question, clean):
    index = OverlapIndex([question], questions=True)
    assert find([question], clean)
    assert index.find(canonical(clean)) is None
    assert index.find(canonical(f"{CLEAN} {question} {CLEAN}")).share == 1.0


def test_items_too_short_to_check_are_counted():
    index = OverlapIndex(["短", "", QUESTION])
    assert (index.items, index.too_short) == (3, 2)
    assert OverlapIndex([]).find(canonical(CLEAN)) is None


@given(
    st.text(st.sampled_from("天地人水火"), max_size=60),
    st.text(st.sampled_from("天地人水火"), min_size=8, max_size=20),
)
@settings(max_examples=200, deadline=None)
def test_the_share_is_what_sets_of_strings_give(text, item):
    grams = {item[i : i + 8] for i in range(len(item) - 7)}
    share = sum(gram in text for gram in grams) / len(grams)
    overlap = OverlapIndex([item], share=1e-9).find(canonical(text))
    assert (overlap.share if overlap else 0.0) == pytest.approx(share, abs=1e-4)


def test_gram_hashes_depend_on_the_gram_alone():
    left, right = (
        gram_hashes(canonical(t), 8) for t in ("甲乙丙丁戊己庚辛壬", "癸甲乙丙丁戊己庚辛")
    )
    assert left[0] == right[1]
    assert len(np.unique(np.concatenate([left, right]))) == 3
    assert len(gram_hashes(canonical("七个字不够长啊"), 8)) == 0


def test_questions_of_the_published_formats(tmp_path):
    def write(name, text):
        path = tmp_path / name
        path.write_text(text, encoding="utf-8")
        return read_questions(path)

    assert write("a.csv", f",Question,A,B\n0,{QUESTION},土地,资金\n") == [QUESTION]
    assert write("b.csv", f"{ENGLISH},one,two\nHow many bones are there?,1,2\n") == [
        ENGLISH, "How many bones are there? A 1 B 2"]  # fmt: skip
    nested = {"example": [{"question": QUESTION, "answer": "B"}]}
    assert write("c.json", json.dumps(nested)) == [QUESTION]
    assert write("d.jsonl", json.dumps({"query": "短题", "A": "选项一很长的文字"})) == [
        "短题 A 选项一很长的文字"
    ]
    listed = {"id": "9", "subject": "x", "question": "短题", "choices": ["很长的选项", "另一项"]}
    assert write("g.jsonl", json.dumps(listed)) == ["短题 A 很长的选项 B 另一项"]
    assert write("h.csv", "短题,很长的选项,另一项,B\n短问,甲,乙,A\n") == [
        "短题 A 很长的选项 B 另一项", "短问 A 甲 B 乙"]  # fmt: skip
    assert write("i.txt", "⼦⽓相生的道理是什么呢") == ["子气相生的道理是什么呢"]
    assert write("e.txt", f"{QUESTION}\n\n{ENGLISH}\n") == [QUESTION, ENGLISH]
    with pytest.raises(InputError, match="no questions"):
        write("f.jsonl", '{"answer": "x"}')


def test_real_questions_are_found_in_real_text_and_clean_text_is_left(shared_data):
    files = sorted((shared_data / "benchmarks/cmmlu/test").glob("*.csv"))[:12]
    questions = [q for path in files for q in read_questions(path)]
    assert len(questions) > 1000
    index = OverlapIndex(questions)
    corpus = shared_data / "corpora/zh/zh_encyclopedia.jsonl.gz"
    texts = [r.text for r in read_records(corpus) if r.text][:400]
    hit = sum(index.find(canonical(text)) is not None for text in texts)
    assert hit <= 0.01 * len(texts)
    planted = [
        f"{text[:300]}\n{q}\n{text[300:]}" for text, q in zip(texts, questions, strict=False)
    ]
    found = sum(index.find(canonical(text)) is not None for text in planted)
    checkable = sum(len(canonical(q)) >= 8 for q in questions[: len(planted)])
    assert found >= 0.99 * checkable > 300
