"""Domains of a corpus: kept in its files, measurable alone, and nothing changes without them."""

from __future__ import annotations

import json
import random

import pytest
from pydantic import ValidationError

from hanhua.core.artifact import Digests, identity
from hanhua.core.config import Machine
from hanhua.core.errors import ArtifactError, InputError
from hanhua.core.progress import Silent
from hanhua.core.stage import Context
from hanhua.stages.corpus import STAGE
from hanhua.text.config import CorpusConfig
from hanhua.text.shards import keys_in, language_files, read_language, share_files

SETTINGS = {"held_out_docs": 10, "min_chars": 5, "dedup": "exact"}
WORDS = {
    "zh": "小明 河边 市场 朋友 早上 山上 白菜 学校 老师 孩子 喜欢 红色 一起 我们 的 了 在".split(),
    "en": "Tom river market friend morning weather hill school teacher the of and to is".split(),
}


def text(language, seed):
    join = "" if language == "zh" else " "
    return join.join(random.Random(seed).choices(WORDS[language], k=30)) + "."


def write(path, language, numbers):
    path.parent.mkdir(parents=True, exist_ok=True)
    rows = [json.dumps({"text": text(language, n)}) for n in numbers]
    path.write_text("\n".join(rows), encoding="utf-8")
    return str(path)


def build(folder, sources):
    for name in ("out", "work"):
        (folder / name).mkdir(parents=True)
    rows = [{"licence": "CC0", **source} for source in sources]
    config = CorpusConfig.model_validate({"sources": rows, **SETTINGS})
    STAGE.run(Context(config=config, inputs={}, out=folder / "out", work=folder / "work", seed=1,
                      machine=Machine(workers=1), progress=Silent()))  # fmt: skip
    return folder / "out"


def everything(out):
    return {str(p.relative_to(out)): p.read_bytes() for p in sorted(out.rglob("*")) if p.is_file()}


def sources(folder):
    return [
        {"path": write(folder / "raw/a/data.jsonl", "zh", range(60)), "language": "zh",
         "name": "papers", "domain": "news"},
        {"path": write(folder / "raw/b/data.jsonl", "zh", range(100, 150)), "language": "zh",
         "name": "novels", "domain": "news-0"},
        {"path": write(folder / "raw/zh.jsonl", "zh", range(200, 240)), "language": "zh"},
        {"path": write(folder / "raw/en.jsonl", "en", range(300, 360)), "language": "en"},
    ]  # fmt: skip


def without_domains(rows):
    return [{key: value for key, value in row.items() if key != "domain"} for row in rows]


@pytest.fixture
def built(tmp_path):
    return build(tmp_path / "with", sources(tmp_path))


def test_each_document_is_in_its_domain_and_in_its_language(built):
    out = built
    assert keys_in(out) == ["en", "zh", "zh/news", "zh/news-0"]
    for split in ("train", "held_out"):
        of = {key: [d.id for d in read_language(out, key, split)] for key in ("zh", "en")}
        news = {d.source for d in read_language(out, "zh/news", split)}
        novels = {d.source for d in read_language(out, "zh/news-0", split)}
        assert (news, novels) == ({"papers"}, {"novels"})
        parts = [d.id for key in ("zh/news", "zh/news-0") for d in read_language(out, key, split)]
        assert set(parts) < set(of["zh"])
        assert len(parts) == len(set(parts))
    report = json.loads((out / "report.json").read_text(encoding="utf-8"))
    assert report["domains"].keys() == {"en", "zh", "zh/news", "zh/news-0"}
    kept = {key: row["documents_kept"] for key, row in report["domains"].items()}
    assert (
        kept["zh"] + kept["zh/news"] + kept["zh/news-0"]
        == (report["languages"]["zh"]["documents_kept"])
    )


def test_a_language_beside_its_domains_is_what_they_leave(built):
    out = built
    keys = ["zh/news", "zh", "en"]
    files = {key: share_files(out, key, keys) for key in keys}
    assert not set(files["zh"]) & set(files["zh/news"])
    assert set(files["zh"]) | set(files["zh/news"]) == set(language_files(out, "zh"))
    assert len(files["zh"]) == 2  # those without a domain, and news-0
    assert share_files(out, "zh", ["zh", "en"]) == language_files(out, "zh")


def test_held_out_text_of_a_language_is_the_same_with_domains_and_without(built, tmp_path):
    out = built
    plain = build(tmp_path / "plain", without_domains(sources(tmp_path)))
    with_, without = everything(out), everything(plain)
    for name in ("held_out/zh.parquet", "held_out/en.parquet", "train/en-00000.parquet"):
        assert with_[name] == without[name]
    assert with_["ledger.json"] == without["ledger.json"]
    assert not any("/zh/" in name for name in without)
    assert "domains" not in json.loads(without["report.json"])
    documents = {d.id: d for d in read_language(out, "zh")}
    assert {d.id: d for d in read_language(plain, "zh")} == documents


def test_without_a_domain_a_section_is_what_it_was(tmp_path):
    rows = [{**row, "licence": "CC0"} for row in sources(tmp_path)]
    found = {
        name: identity(CorpusConfig.model_validate({"sources": some}), Digests(), "corpus")
        for name, some in (("with", rows), ("without", without_domains(rows)))
    }
    assert found["with"] != found["without"]
    assert all("domain" not in row for row in found["without"]["sources"])


def test_sources_of_one_name_must_agree(tmp_path):
    rows = [{k: v for k, v in row.items() if k != "name"} for row in sources(tmp_path)]
    with pytest.raises(InputError, match="one name are of different domains") as error:
        build(tmp_path, rows)
    assert "corpus.sources[1].domain" in str(error.value)
    assert "'data': news in corpus.sources[0], here news-0" in str(error.value)


def test_a_domain_that_is_not_there_is_told_with_those_that_are(built):
    out = built
    with pytest.raises(ArtifactError, match="zh/news-0") as error:
        list(read_language(out, "zh/poems"))
    assert "`language: zh` and `domain: poems`" in str(error.value)


@pytest.mark.parametrize("domain", ["", "News", "a/b", "新闻", "a b"])
def test_a_domain_is_a_plain_word(domain):
    row = {"path": "x", "language": "zh", "licence": "CC0", "domain": domain}
    with pytest.raises(ValidationError, match="domain"):
        CorpusConfig.model_validate({"sources": [row]})
