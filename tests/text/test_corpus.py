from __future__ import annotations

import gzip
import hashlib
import json
import random
import shutil

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from hanhua.core.config import Machine
from hanhua.core.errors import InputError
from hanhua.core.progress import Silent
from hanhua.core.stage import Context
from hanhua.stages.corpus import STAGE
from hanhua.text.config import CorpusConfig
from hanhua.text.readers.intake import source_name
from hanhua.text.shards import read_documents, read_language

ZH_WORDS = (
    "小明 河边 市场 朋友 早上 山上 白菜 学校 老师 孩子 喜欢 红色 一起 我们 的 了 在 是".split()
)
EN_WORDS = "Tom river market friend morning weather hill school teacher the of and to is a".split()


def zh(seed, words=30):
    return "".join(random.Random(seed).choices(ZH_WORDS, k=words)) + "。"


def en(seed, words=40):
    words = random.Random(seed).choices(EN_WORDS, k=words)
    return " ".join(w + "," * (n % 9 == 8) for n, w in enumerate(words)) + "."


def write(path, texts):
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text("".join(json.dumps({"text": t}) + "\n" for t in texts), encoding="utf-8")
    return path


class Said(Silent):
    """Keeps the lines that are said."""

    def __init__(self):
        self.said = []

    def say(self, text):
        self.said.append(text)


def build(folder, sources, progress=None, **settings_):
    out, work = folder / "out", folder / "work"
    for path in (out, work):
        shutil.rmtree(path, ignore_errors=True)
        path.mkdir(parents=True)
    rows = [{"licence": "CC0", **source, "path": str(source["path"])} for source in sources]
    config = CorpusConfig.model_validate({"sources": rows, **settings_})
    context = Context(config=config, inputs={}, out=out, work=work, seed=1, machine=Machine(),
                      progress=progress or Silent())  # fmt: skip
    result = STAGE.run(context)
    return out, json.loads((out / "ledger.json").read_text(encoding="utf-8")), result


def read_samples(out):
    files = sorted((out / "dropped").iterdir())
    return [json.loads(x) for f in files for x in f.read_text(encoding="utf-8").splitlines()]


def everything(out):
    return {str(p.relative_to(out)): p.read_bytes() for p in sorted(out.rglob("*")) if p.is_file()}


def check_accounts(out, ledger):
    for row in ledger["sources"]:
        assert row["in"] == row["kept"] + row["held_out"] + sum(row["dropped"].values())
    totals = ledger["totals"]
    assert totals["in"] == totals["kept"] + totals["held_out"] + sum(totals["dropped"].values())
    for language, splits in totals["languages"].items():
        for split, amount in splits.items():
            documents = list(read_language(out, language, split))
            assert len(documents) == amount["docs"]
            assert sum(len(d.text) for d in documents) == amount["chars"]
            assert sum(len(d.text.encode()) for d in documents) == amount["bytes"]


@pytest.fixture
def raw(tmp_path):
    write(tmp_path / "raw/zh_a.jsonl", [zh(n) for n in range(60)])
    write(tmp_path / "raw/zh_b.jsonl", [zh(n) for n in range(50, 110)])
    write(tmp_path / "raw/en.jsonl", [en(n) for n in range(40)])
    return tmp_path / "raw"


def test_two_languages_are_parted_and_accounted_for(tmp_path, raw):
    sources = [{"path": raw / "zh_*.jsonl", "language": "zh"},
               {"path": raw / "en.jsonl", "language": "en", "licence": "MIT",
                "name": "tales"}]  # fmt: skip
    out, ledger, result = build(tmp_path, sources, held_out_docs=8)
    check_accounts(out, ledger)
    assert ledger["totals"]["dropped"] == {"duplicate": 10}
    names = [(row["source"], row["licence"], row["in"]) for row in ledger["sources"]]
    assert names == [("zh_a", "CC0", 60), ("zh_b", "CC0", 60), ("tales", "MIT", 40)]
    held = list(read_language(out, "zh", "held_out"))
    assert len(held) == 8
    assert {d.source for d in held} == {"zh_a", "zh_b"}
    train = {d.text for d in read_language(out, "zh")}
    assert not train & {d.text for d in held}
    assert len(train) == 102
    assert result.counts == {"in": 160, "kept": 138, "held_out": 12, "dropped": 10}
    assert ledger["contamination"]["status"] == "not checked"
    assert next(read_language(out, "en")).id.startswith("tales/en.jsonl:")
    [sample, *_] = read_samples(out)
    assert sample["reason"] == "duplicate"
    assert sample["where"].startswith(f"{sample['source']}.jsonl:")
    other = {"zh_a": "zh_b", "zh_b": "zh_a"}[sample["source"]]
    assert sample["value"].startswith(f"1.0 of {other}/")
    report = json.loads((out / "report.json").read_text(encoding="utf-8"))
    assert report["documents_in"] == report["documents_kept"] + report["dropped"]["duplicate"]
    assert set(report["sources"]) == {"zh_a", "zh_b", "tales"}


def test_bytes_depend_on_content_alone(tmp_path, raw):
    elsewhere = tmp_path / "moved" / "raw"
    shutil.copytree(raw, elsewhere)
    for path in elsewhere.iterdir():
        path.touch()
    settings_ = {"held_out_docs": 8}
    one, _, _ = build(tmp_path / "1", [{"path": raw / "zh_*.jsonl", "language": "zh"}], **settings_)
    two, _, _ = build(tmp_path / "2", [{"path": elsewhere / "zh_*", "language": "zh"}], **settings_)
    assert everything(one) == everything(two)
    assert len(everything(one)) == 5


def test_held_out_text_does_not_depend_on_the_order_of_sources(tmp_path, raw):
    sources = [{"path": raw / f"zh_{x}.jsonl", "language": "zh", "name": "one"} for x in "ab"]
    found = []
    for order in (sources, sources[::-1]):
        out, _, _ = build(tmp_path, order, held_out_docs=8)
        found.append(sorted(d.text for d in read_language(out, "zh", "held_out")))
    assert found[0] == found[1]
    assert len(found[0]) == 8


def test_without_dedup_copies_of_held_out_text_still_go(tmp_path):
    texts = [zh(n) for n in range(40)]
    write(tmp_path / "raw/a.jsonl", texts + [t.replace("。", " !") for t in texts])
    out, ledger, _ = build(tmp_path, [{"path": tmp_path / "raw/a.jsonl", "language": "zh"}],
                           held_out_docs=5, dedup="none")  # fmt: skip
    check_accounts(out, ledger)
    assert ledger["totals"]["dropped"] == {"held_out_copy": 5 - _pairs(out)}
    strip = {d.text.rstrip(" !。") for d in read_language(out, "zh", "held_out")}
    assert not strip & {d.text.rstrip(" !。") for d in read_language(out, "zh")}


def _pairs(out):
    """Held-out documents whose copy is held out too."""
    texts = [d.text.rstrip(" !。") for d in read_language(out, "zh", "held_out")]
    return 2 * (len(texts) - len(set(texts)))


DIRT = [
    b'{"text": "cut', b'{"text": "\xff\xff\xff"}', b'{"other": "x"}', b'{"text": 3}', b"",
    json.dumps({"text": "短"}).encode(), json.dumps({"text": en(1)}).encode(),
    json.dumps({"text": zh(1) + "\ufffd" * 9}).encode(),
    json.dumps({"text": (zh(2) + "\n") * 5}).encode(),
    json.dumps({"text": "★◆！" * 14 + "好人" * 10}).encode(),
]  # fmt: skip


@given(
    st.lists(st.one_of(st.sampled_from(DIRT), st.integers(0, 30)), max_size=40), st.integers(0, 9)
)
@settings(
    max_examples=25, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
def test_whatever_comes_in_is_accounted_for(tmp_path, lines, held_out):
    rows = [x if isinstance(x, bytes) else json.dumps({"text": zh(x)}).encode() for x in lines]
    path = tmp_path / "raw" / "a.jsonl"
    path.parent.mkdir(exist_ok=True)
    path.write_bytes(b"\n".join([*rows, json.dumps({"text": zh(99)}).encode()]))
    out, ledger, _ = build(tmp_path, [{"path": path, "language": "zh"}], held_out_docs=held_out)
    check_accounts(out, ledger)
    assert ledger["totals"]["in"] == 1 + sum(row != b"" for row in rows)
    distinct = {x for x in lines if isinstance(x, int)}
    assert ledger["totals"]["kept"] + ledger["totals"]["held_out"] == len(distinct) + 1


def test_every_reason_is_sampled_with_its_line(tmp_path):
    path = tmp_path / "raw" / "a.jsonl"
    path.parent.mkdir()
    path.write_bytes(b"\n".join([json.dumps({"text": zh(1)}).encode(), *DIRT * 30]))
    source = {"path": path, "language": "zh", "encoding": "utf-8"}
    out, ledger, _ = build(tmp_path, [source])
    check_accounts(out, ledger)
    samples = read_samples(out)
    assert {s["reason"] for s in samples} == set(ledger["totals"]["dropped"]) == {
        "broken_json", "broken_encoding", "no_text_field", "text_is_not_a_string", "too_short",
        "language", "mojibake", "duplicate_lines", "symbols",
    }  # fmt: skip
    assert all(s["where"].startswith("a.jsonl:") for s in samples)
    assert len(samples) <= 5 * 9


def test_long_documents_are_split_and_counted(tmp_path):
    (tmp_path / "raw").mkdir()
    (tmp_path / "raw/novel.txt").write_text(
        "\n\n".join(zh(n) for n in range(100)), encoding="gb18030"
    )
    source = {"path": tmp_path / "raw", "language": "zh"}
    out, ledger, _ = build(tmp_path, [source], max_chars_per_doc=500, held_out_docs=2)
    check_accounts(out, ledger)
    [row] = ledger["sources"]
    assert (row["source"], row["records"]) == ("raw", 1)
    assert row["in"] >= 12
    documents = [*read_documents(out / "train"), *read_documents(out / "held_out")]
    assert all(len(d.text) <= 500 for d in documents)
    assert len({d.id for d in documents}) == len(documents)


def test_contamination_is_dropped_and_stated(tmp_path, raw):
    question = "在农业生产中被当作极其重要的劳动对象发挥作用，最主要的基本生产资料是"
    write(raw / "zh_c.jsonl", [zh(500) + question + zh(501)])
    exam = tmp_path / "exam.csv"
    exam.write_text(f",Question,A\n0,{question},土地\n1,短,x\n", encoding="utf-8")
    source = {"path": raw / "zh_*.jsonl", "language": "zh"}
    out, ledger, result = build(tmp_path, [source], contamination=[str(exam)])
    check_accounts(out, ledger)
    assert ledger["totals"]["dropped"]["contamination"] == 1
    digest = hashlib.sha256(exam.read_bytes()).hexdigest()
    assert ledger["contamination"] == {
        "status": "checked", "questions": 2, "too_short": 1, "touched": {"exam.csv": [0]},
        "files": {"exam.csv": {"questions": 2, "sha256": digest}},
    }  # fmt: skip
    assert result.metrics["contamination"]["status"] == "checked"


def test_licences_must_be_stated(tmp_path, raw):
    for licence in (None, "unknown", " "):
        source = {"path": raw / "en.jsonl", "language": "en", "licence": licence}
        with pytest.raises(InputError, match=r"no licence[\s\S]*corpus\.sources\[0\]\.licence"):
            build(tmp_path, [source])
    _, ledger, _ = build(tmp_path, [{**source, "licence": None}], allow_unknown_licence=True)
    assert ledger["sources"][0]["licence"] == "unknown"


def test_a_cut_file_stops_or_is_skipped_but_never_passes_unseen(tmp_path, raw):
    whole = gzip.compress(
        "".join(json.dumps({"text": zh(n)}) + "\n" for n in range(200, 900)).encode()
    )
    (raw / "zh_cut.jsonl.gz").write_bytes(whole[:-300])
    sources = [{"path": raw / "zh_*", "language": "zh"}]
    with pytest.raises(InputError, match="cut off"):
        build(tmp_path, sources)
    out, ledger, _ = build(tmp_path, sources, on_error="skip")
    check_accounts(out, ledger)
    cut = ledger["sources"][2]
    assert "cut off" in cut["files"][0]["problem"]
    assert 0 < cut["in"] < 700


def test_nothing_left_is_an_error_with_the_counts(tmp_path, raw):
    (raw / "empty.jsonl").touch()
    with pytest.raises(
        InputError,
        match=r"language 'zh'[\s\S]*40 read; dropped: language 40 \(e\.g\. en\.jsonl:1\)",
    ):
        build(tmp_path, [{"path": raw / "en.jsonl", "language": "zh"}])
    with pytest.raises(InputError, match=r"0 read; dropped: none \(e\.g\. empty\.jsonl\)"):
        build(tmp_path, [{"path": raw / "empty.jsonl", "language": "zh"}])
    with pytest.raises(InputError, match="No such file"):
        build(tmp_path, [{"path": raw / "nowhere*", "language": "zh"}])


def test_a_source_that_gives_little_is_told_though_others_give_enough(tmp_path, raw):
    (raw / "none.jsonl").touch()
    (raw / "nothing").mkdir()
    sources = [{"path": raw / "zh_*.jsonl", "language": "zh"},
               {"path": raw / "en.jsonl", "language": "zh"},
               {"path": raw / "none.jsonl", "language": "zh"}]  # fmt: skip
    lines = Said()
    build(tmp_path, sources, progress=lines)
    assert lines.said == [
        "  en: 0 of 40 documents kept; dropped: language 40",
        "  none: no document was found in it",
    ]
    with pytest.raises(InputError, match="This folder holds no file"):
        build(tmp_path, [{"path": raw / "nothing", "language": "zh"}])


def test_limits_count_records_of_the_whole_source(tmp_path, raw):
    source = {"path": raw / "zh_*.jsonl", "language": "zh", "limit_docs": 70}
    _, ledger, _ = build(tmp_path, [source])
    assert [row["records"] for row in ledger["sources"]] == [60, 10]


@pytest.mark.parametrize(
    ("name", "expected"),
    [
        ("x/zh_web_c4.jsonl.gz", "zh_web_c4"), ("x/part-00003-of-00010.parquet", "x"),
        ("x/wiki-00001.parquet", "wiki"), ("x/news_part12.csv", "news"), ("books/a.txt", "books"),
        ("x/0001.jsonl", "x"),
    ],
)  # fmt: skip
def test_collections_are_named_without_shard_numbers(tmp_path, name, expected):
    assert source_name(tmp_path / name) == expected


@pytest.mark.parametrize(
    "wrong",
    [
        {"sources": []}, {"min_chars": -1}, {"dedup": "fuzzy"}, {"typo": 1},
        {"thresholds": {"fr": {}}}, {"sources": [{"path": "x", "language": "../zh"}]},
        {"sources": [{"path": "x", "language": "zh", "encoding": "utf-99"}]},
    ],
)  # fmt: skip
def test_a_wrong_section_is_refused(wrong):
    with pytest.raises(ValueError, match="validation error"):
        CorpusConfig.model_validate({"sources": [{"path": "x", "language": "zh"}], **wrong})


def test_the_estimate_needs_no_heavy_work(tmp_path, raw):
    config = CorpusConfig.model_validate(
        {"sources": [{"path": str(raw / "zh_a.jsonl"), "language": "zh"}]}
    )
    assert STAGE.estimate(config, {})["disk_bytes"] > 0


def test_real_dirty_and_clean_files_together(tmp_path, shared_data):
    sources = [
        {"path": shared_data / "dirty/tcm_gb18030", "language": "zh", "licence": "public domain"},
        {"path": shared_data / "dirty/malformed_alpaca_09407-12345_zh.json.gz", "language": "zh",
         "text_field": "output"},
        {"path": shared_data / "corpora/zh/zh_encyclopedia.jsonl.gz", "language": "zh"},
        {"path": shared_data / "corpora/en/en_web_c4.jsonl.gz", "language": "en"},
    ]  # fmt: skip
    out, ledger, _ = build(tmp_path, sources, held_out_docs=40)
    check_accounts(out, ledger)
    kept = {row["source"]: row["kept"] for row in ledger["sources"]}
    assert kept["zh_encyclopedia"] > 1400
    assert kept["tcm_gb18030"] > 10
    assert ledger["totals"]["languages"]["zh"]["held_out"]["docs"] == 40


def test_lines_that_many_documents_hold_go_where_asked(tmp_path):
    foot = "本站所有文章版权归原作者，欢迎常来看看。"
    texts = [f"{zh(n)}\n{foot}" for n in range(40)] + [foot * 2, zh(99)]
    path = write(tmp_path / "raw/zh.jsonl", texts)
    source = {"path": path, "language": "zh"}
    kept, _, _ = build(tmp_path / "1", [source])
    assert sum(foot in d.text for d in read_language(kept, "zh")) > 30
    out, ledger, _ = build(tmp_path / "2", [source], max_line_docs=5, held_out_docs=3)
    check_accounts(out, ledger)
    documents = [*read_language(out, "zh"), *read_language(out, "zh", "held_out")]
    assert {d.text for d in documents} == {*map(zh, range(40)), zh(99), foot * 2}
    assert ledger["sources"][0]["changes"]["removed.repeated"] >= 37
