"""A corpus filtered by a learned score: real files, the real stage, the real command."""

from __future__ import annotations

import itertools
import json
import math
import os
import random
import shutil
import subprocess
import sys

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from hanhua.core.artifact import Digests, identity
from hanhua.core.config import Machine
from hanhua.core.errors import InputError
from hanhua.core.progress import Silent
from hanhua.stages.corpus import make_corpus
from hanhua.text.config import CorpusConfig
from hanhua.text.quality.score_tally import BUCKETS, ScoreTally
from hanhua.text.quality.scorer import Scorer
from hanhua.text.shards import read_language

PEOPLE = "小明 老师 孩子 农民 医生 工人 朋友 爷爷".split()
PLACES = "河边 市场 山上 学校 村里 桥头 田间 屋里".split()
DEEDS = (
    "看见了一只白鹭 种下了三棵桃树 读完了那本旧书 修好了漏水的屋顶 唱起了家乡的歌 想起了远方的人"
).split()
GOODS = "面膜 羽绒服 手串 白酒 茶叶 耳机 钱包 运动鞋".split()
PRAISE = "用过的人都说好 质量是最好的 价格是全网最低的 明星也在用 今天下单就送礼品 卖得很快".split()
ENDS = "欢迎您来选购 要买的快来吧 错过了就没有了 找我们就对了 老客户都知道的 马上就要涨价了".split()


def story(n):
    some = random.Random(n).sample
    people, places, deeds = some(PEOPLE, 5), some(PLACES, 5), some(DEEDS, 5)
    return "".join(f"{a}在{b}{c}。" for a, b, c in zip(people, places, deeds, strict=True))


def advert(n):
    """Fluent enough for every rule of the corpus."""
    some = random.Random(n).sample
    goods, praise, ends = some(GOODS, 5), some(PRAISE, 5), some(ENDS, 5)
    return "".join(f"{a}{b}，{c}。" for a, b, c in zip(goods, praise, ends, strict=True))


def tale(n):
    pick = random.Random(n).choice
    who, where = ["Tom", "the teacher", "a child"], ["river", "market", "hill", "school"]
    return " ".join(
        f"When the sun was up, {pick(who)} went to the {pick(where)} and saw {pick(who)}."
        for _ in range(6)
    )


def write(path, texts):
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text("".join(json.dumps({"text": t}) + "\n" for t in texts), encoding="utf-8")
    return str(path)


@pytest.fixture
def raw(tmp_path):
    """A good and a bad source, and other texts of both kinds to learn from."""
    return {
        "stories": write(tmp_path / "raw/stories.jsonl", map(story, range(80))),
        "adverts": write(tmp_path / "raw/adverts.jsonl", map(advert, range(60))),
        "good": write(tmp_path / "learn/good.jsonl", map(story, range(1000, 1100))),
        "bad": write(tmp_path / "learn/bad.jsonl", map(advert, range(1000, 1090))),
    }


def section(raw, score, **settings):
    rows = settings.pop("sources", None) or [
        {"path": raw[name], "language": "zh", "licence": "CC0"} for name in ("stories", "adverts")
    ]
    learn = {"good": [raw["good"]], "bad": [raw["bad"]]}
    if score is not None and "model" not in score:
        score = {**learn, **score}
    return CorpusConfig.model_validate(
        {"sources": rows, "dedup": "exact", "held_out_docs": 4, "score": score, **settings}
    )


def build(out, config, workers=1):
    shutil.rmtree(out, ignore_errors=True)
    report = make_corpus(config, out, Silent(), Machine(workers=workers))
    for row in (report, *report["languages"].values(), *report["sources"].values()):
        assert row["documents_in"] == row["documents_kept"] + sum(row["dropped"].values())
    return report


def everything(out):
    """All files but record.json, which has the time."""
    files = [p for p in sorted(out.rglob("*")) if p.is_file() and p.name != "record.json"]
    return {str(p.relative_to(out)): p.read_bytes() for p in files}


def texts(out, language="zh"):
    return [d.text for s in ("train", "held_out") for d in read_language(out, language, s)]


def test_a_source_like_the_bad_texts_goes_and_one_like_the_good_ones_stays(tmp_path, raw):
    before = build(tmp_path / "all", section(raw, None))
    assert before["documents_kept"] == 140
    assert "score" not in before
    assert not (tmp_path / "all/scorer.npz").exists()
    out = tmp_path / "out"
    report = build(out, section(raw, {"min_score": 0.5}))
    assert report["sources"]["stories"]["documents_kept"] == 80
    assert report["sources"]["adverts"]["dropped"] == {"low_score": 60}
    record = report["score"]["scorer"]
    assert record["good"] + record["held_out_good"] == 100
    assert record["bad"] + record["held_out_bad"] == 90
    assert record["auc"] > 0.99
    assert record["languages"] == {"zh": [100, 90]}
    [(language, row)] = report["score"]["languages"].items()
    assert (language, row["scored"]) == ("zh", 140)
    half = BUCKETS // 2
    assert (sum(row["histogram"][:half]), sum(row["histogram"][half:])) == (60, 80)
    samples = [json.loads(x) for x in (out / "dropped/low_score.jsonl").read_text().splitlines()]
    assert len(samples) == 5
    assert all(sample["value"] < 0.5 for sample in samples)
    scorer = Scorer.load(out / "scorer.npz")
    assert min(map(scorer.score, texts(out))) >= 0.5
    assert max(scorer.score(advert(n)) for n in range(60)) < 0.5


@pytest.mark.parametrize("score", [{"min_score": 0.5}, {"keep_share": 0.4}])
def test_the_bytes_do_not_depend_on_workers(tmp_path, raw, score):
    found = []
    for workers in (1, 2):
        build(tmp_path / "out", section(raw, score, batch_chars=1000), workers)
        found.append(everything(tmp_path / "out"))
    assert found[0] == found[1]
    assert "scorer.npz" in found[0]
    assert b"low_score" in found[0]["report.json"]
    assert sum(map(len, map(story, range(80)))) > 5000  # several batches


@pytest.mark.parametrize("share", [0.1, 0.5, 0.8, 1.0])
def test_a_share_is_kept_from_the_top_once_copies_are_gone(tmp_path, raw, share):
    copies = write(tmp_path / "raw/copies.jsonl", map(story, range(40)))
    sources = [{"path": path, "language": "zh", "licence": "CC0"}
               for path in (raw["stories"], raw["adverts"], copies)]  # fmt: skip
    report = build(tmp_path / "out", section(raw, {"keep_share": share}, sources=sources))
    stay = math.ceil(round(share * 140, 6))
    assert report["dropped"].get("duplicate", 0) == 40
    assert report["dropped"].get("low_score", 0) == 140 - stay
    scorer = Scorer.load(tmp_path / "out/scorer.npz")
    kept = sorted(texts(tmp_path / "out"))
    ranked = sorted([*map(story, range(80)), *map(advert, range(60))], key=scorer.log_odds)
    assert kept == sorted(ranked[-stay:])
    cut = report["score"]["languages"]["zh"]["cut"]
    assert cut == pytest.approx(scorer.score(ranked[-stay]), abs=1e-6)


@given(
    st.lists(st.tuples(st.sampled_from(["zh", "en"]), st.none() | st.integers(-9, 9),
                       st.booleans(), st.booleans()), max_size=40),
    st.integers(1, 100), st.lists(st.integers(0, 40), max_size=3),
)  # fmt: skip
def test_shares_hold_for_any_scores_however_they_are_cut_into_parts(rows, percent, places):
    def tally(bounds):
        found = ScoreTally()
        for start, end in itertools.pairwise(bounds):
            part = rows[start:end]
            odds = [math.nan if r[1] is None else r[1] / 3 for r in part]
            found.take([r[0] for r in part], np.array(odds, np.float32),
                       np.array([r[2] for r in part], bool))  # fmt: skip
        low = found.cut(np.array([r[3] for r in rows if r[2]], bool), percent / 100)
        return found.as_dict(), low.tolist()

    whole = tally([0, len(rows)])
    assert whole == tally([0, *sorted(min(p, len(rows)) for p in places), len(rows)])
    kept = [(*r, low) for r, low in zip([r for r in rows if r[2]], whole[1], strict=True)]
    for code in ("zh", "en"):
        scored = [r[1] for r in rows if r[0] == code and r[1] is not None]
        assert whole[0].get(code, {"scored": 0})["scored"] == len(scored)
        ranked = [r for r in kept if r[0] == code and r[1] is not None and r[3]]
        stay, go = ([r[1] for r in ranked if r[4] == low] for low in (False, True))
        assert len(stay) * 100 >= percent * len(ranked)
        if go:
            assert max(go) < min(stay)
            assert sum(x > min(stay) for x in stay) * 100 < percent * len(ranked)
    assert not any(r[4] for r in kept if r[1] is None or not r[3])


def test_a_scorer_of_an_earlier_corpus_gives_the_same_one(tmp_path, raw):
    build(tmp_path / "one", section(raw, {"min_score": 0.5}))
    score = {"model": str(tmp_path / "one/scorer.npz"), "min_score": 0.5}
    report = build(tmp_path / "two", section(raw, score))
    assert report["dropped"] == {"low_score": 60}
    assert everything(tmp_path / "one") == everything(tmp_path / "two")


def test_a_score_of_chinese_says_nothing_of_english(tmp_path, raw):
    mixed = write(tmp_path / "raw/tales.jsonl", map(tale, range(50)))
    sources = [{"path": path, "licence": "CC0"} for path in (raw["adverts"], raw["stories"], mixed)]
    write(tmp_path / "learn/bad.jsonl", [*map(advert, range(1000, 1090)), *map(tale, range(99))])
    for score in ({"min_score": 0.5}, {"keep_share": 80 / 140}, {"min_score": 0.5, "languages":
                                                                ["zh"]}):  # fmt: skip
        report = build(tmp_path / "out", section(raw, score, sources=sources, held_out_docs=0))
        assert report["dropped"] == {"low_score": 60}
        assert report["languages"]["en"]["documents_kept"] == 50
        assert list(report["score"]["languages"]) == ["zh"]
        assert report["score"]["scorer"]["languages"]["en"] == [0, 99]
    score["languages"] = ["en"]
    report = build(tmp_path / "out", section(raw, score, sources=sources, held_out_docs=0))
    assert report["languages"]["en"]["dropped"] == {"low_score": 50}
    assert report["languages"]["zh"]["documents_kept"] == 140


def test_without_a_threshold_scores_are_only_reported(tmp_path, raw):
    report = build(tmp_path / "out", section(raw, {}))
    assert report["dropped"] == {}
    assert sum(report["score"]["languages"]["zh"]["histogram"]) == 140


def test_texts_to_learn_from_are_normalised_as_documents_are(tmp_path, raw):
    one = build(tmp_path / "1", section(raw, {}))["score"]["scorer"]
    wide = [text.replace("，", "，\u200b").replace("一", "一\x00") for text in
            map(advert, range(1000, 1090))]  # fmt: skip
    write(tmp_path / "learn/bad.jsonl", wide)
    two = build(tmp_path / "2", section(raw, {}))["score"]["scorer"]
    assert one == two
    write(tmp_path / "learn/bad.jsonl", map(advert, range(2000, 2090)))
    assert build(tmp_path / "3", section(raw, {}))["score"]["scorer"] != one


def test_the_texts_are_part_of_the_identity(tmp_path, raw):
    config = section(raw, {"min_score": 0.5})
    before = identity(config, Digests(), "corpus")
    assert before == identity(config, Digests(), "corpus")
    write(tmp_path / "learn/bad.jsonl", map(advert, range(50)))
    assert identity(config, Digests(), "corpus") != before


@pytest.mark.parametrize(
    ("score", "says"),
    [
        ({}, "comes from `good` and `bad` files, or from a `model`"),
        ({"min_score": 0.5}, "comes from `good` and `bad` files, or from a `model`"),
        ({"good": ["x"]}, "`good` without `bad`"), ({"bad": ["x"]}, "`bad` without `good`"),
        ({"model": "x", "good": ["x"], "bad": ["x"]}, "in place of"),
        ({"model": "x", "min_score": 0.1, "keep_share": 0.5}, "exclude each other"),
        ({"model": "x", "keep_share": 0.0}, "greater than 0"),
        ({"model": "x", "languages": ["fr"]}, "a language no source has: fr"),
    ],
)  # fmt: skip
def test_a_section_that_does_not_hold_is_refused(score, says):
    with pytest.raises(ValueError, match=says):
        CorpusConfig.model_validate({"sources": [{"path": "x", "language": "zh"}], "score": score})


def test_what_cannot_be_learnt_is_an_error(tmp_path, raw):
    write(tmp_path / "learn/bad.jsonl", map(advert, range(9)))
    with pytest.raises(InputError, match=r"Too few bad texts[\s\S]*corpus\.score\.bad[\s\S]*9 dif"):
        build(tmp_path / "out", section(raw, {}))
    write(tmp_path / "learn/bad.jsonl", map(story, range(5000, 5100)))
    with pytest.raises(InputError, match=r"no better than chance[\s\S]*AUC"):
        build(tmp_path / "out", section(raw, {}))
    write(tmp_path / "learn/bad.jsonl", map(tale, range(99)))
    sources = [{"path": raw["stories"], "licence": "CC0"}]
    with pytest.raises(InputError, match=r"In no language[\s\S]*en 0 good 99 bad"):
        build(tmp_path / "out", section(raw, {}, sources=sources))
    write(tmp_path / "learn/bad.jsonl", map(advert, range(90)))
    with pytest.raises(InputError, match=r"'zh' is left[\s\S]*low_score 140"):
        build(tmp_path / "out", section(raw, {"min_score": 1.0}))


def command(folder, *options):
    done = subprocess.run(
        [sys.executable, "-m", "hanhua", "corpus", "raw", "--out", "out", "--language", "zh",
         "--licence", "CC0", "--quiet", *options],
        cwd=folder, capture_output=True, text=True, timeout=280, check=False,
        env={**os.environ, "NO_COLOR": "1", "COLUMNS": "200"},
    )  # fmt: skip
    return done.returncode, done.stdout, done.stderr


LEARN = ("--good", "learn/good.jsonl", "--bad", "learn/bad.jsonl")


def test_the_command_filters(tmp_path, raw):
    code, out, err = command(tmp_path, *LEARN, "--min-score", "0.5", "--set", "dedup=exact")
    assert code == 0, err
    assert "140 documents in, 80 kept" in out
    assert "60 low_score" in out
    assert "140 zh, by tenths: " in out
    assert (tmp_path / "out/scorer.npz").exists()
    shutil.rmtree(tmp_path / "out")
    code, out, err = command(tmp_path, *LEARN, "--set", "score.keep_share=0.25", "--json", "--set",
                             "dedup=exact")  # fmt: skip
    assert code == 0, err
    assert json.loads(out.splitlines()[-1])["documents_kept"] == 35


@pytest.mark.parametrize(
    ("options", "says"),
    [
        (("--min-score", "0"), ["`good` and `bad` files, or from a `model`", "corpus.score"]),
        (LEARN[:2], ["`good` without `bad`", "corpus.score"]),
        ((*LEARN[:2], "--bad", "nowhere.jsonl"), ["No such file", "corpus.score.bad[0]"]),
        ((*LEARN, "--min-score", "2"), ["--min-score", "less than or equal to 1"]),
        (("--set", "score.model=learn/good.jsonl"), ["no quality scorer", "good.jsonl"]),
        (("--set", "score.model=learn"), ["The scorer is one file", "2 files"]),
    ],
)  # fmt: skip
def test_the_command_says_what_is_wrong(tmp_path, raw, options, says):
    code, _, err = command(tmp_path, *options)
    assert code not in (0, 1)
    assert "Traceback" not in err
    for words in says:
        assert words in err
