"""Files to collections: what counts as one source when pieces are learnt."""

from __future__ import annotations

from pathlib import Path

from hanhua.vocab.texts import MOST_COLLECTIONS, Texts


def collections(*paths: str) -> dict[str, str]:
    return Texts(tuple(map(Path, paths)), "zh").collections()


def test_shards_are_one_collection():
    found = collections(
        "/a/wiki-00001-of-00020.parquet", "/a/wiki-00002-of-00020.parquet", "/a/news_1.jsonl.gz",
        "/a/news_12.jsonl.gz", "/a/part-0001.txt", "/a/law.jsonl", "/b/law.jsonl",
    )  # fmt: skip
    assert found == {
        "a/wiki-00001-of-00020.parquet": "wiki.parquet",
        "a/wiki-00002-of-00020.parquet": "wiki.parquet", "a/news_1.jsonl.gz": "news.jsonl.gz",
        "a/news_12.jsonl.gz": "news.jsonl.gz", "a/part-0001.txt": ".txt",
        "a/law.jsonl": "law.jsonl", "b/law.jsonl": "law.jsonl",
    }  # fmt: skip


def test_numbered_files_alone_are_one_collection():
    assert set(collections("/a/1.txt", "/a/2.txt", "/a/30.txt").values()) <= {"1.txt", ".txt"}
    assert len(set(collections("/a/1.txt", "/a/2.txt").values())) == 1


def test_a_heap_of_files_is_dealt():
    letters = [f"{a}{b}" for a in "abcdefghijklmnop" for b in "qrstuvwxyz"]
    one_folder = collections(*(f"/a/{name}.txt" for name in letters))
    assert 32 < len(set(one_folder.values())) <= MOST_COLLECTIONS
    folders = collections(*(f"/{name[0]}/{name}.txt" for name in letters))
    assert set(folders.values()) == {f"/{a}" for a in "abcdefghijklmnop"}
