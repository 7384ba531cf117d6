from __future__ import annotations

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from hanhua.core.errors import ArtifactError, InputError
from hanhua.text import shards
from hanhua.text.document import Document
from hanhua.text.shards import ShardWriter, read_documents, read_language, write_documents

WORDS = st.text(st.characters(codec="utf-8"), max_size=20)
DOCUMENTS = st.lists(st.builds(Document, WORDS, WORDS, WORDS, WORDS, WORDS), max_size=8)


def some(count):
    return [Document(f"s/{n}", f"第{n}篇" * 40, "zh", "s", "CC0") for n in range(count)]


@given(DOCUMENTS)
@settings(
    max_examples=50, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
def test_documents_come_back_and_bytes_depend_on_them_alone(tmp_path, documents):
    one, two = tmp_path / "a.parquet", tmp_path / "elsewhere" / "b.parquet"
    assert write_documents(one, documents) == len(documents)
    write_documents(two, iter(documents))
    assert list(read_documents(one)) == documents
    assert one.read_bytes() == two.read_bytes()


def test_row_groups_bound_the_memory_and_keep_the_order(tmp_path, monkeypatch):
    monkeypatch.setattr(shards, "ROW_GROUP_CHARS", 500)
    write_documents(tmp_path / "a.parquet", some(50))
    assert pq.ParquetFile(tmp_path / "a.parquet").num_row_groups > 5
    assert list(read_documents(tmp_path / "a.parquet")) == some(50)


def test_shards_are_read_in_order_by_language(tmp_path):
    writer = ShardWriter(tmp_path / "train", "zh", shard_chars=1000)
    for document in some(30):
        writer.write(document)
    writer.close()
    write_documents(tmp_path / "train" / "zh-TW-00000.parquet", some(1))
    write_documents(tmp_path / "held_out" / "zh.parquet", some(2))
    assert writer.shards > 2
    assert list(read_language(tmp_path, "zh")) == some(30)
    assert list(read_language(tmp_path, "zh", "held_out")) == some(2)
    assert len(list(read_documents(tmp_path / "train"))) == 31


def test_what_is_not_there_is_named(tmp_path):
    write_documents(tmp_path / "train" / "zh-00000.parquet", some(1))
    with pytest.raises(ArtifactError, match=r"asked for 'en', has zh"):
        list(read_language(tmp_path, "en"))
    with pytest.raises(InputError, match="No Parquet file"):
        list(read_documents(tmp_path / "none"))
    pq.write_table(pa.table({"text": ["x"]}), tmp_path / "other.parquet")
    with pytest.raises(InputError, match="no column id, language"):
        list(read_documents(tmp_path / "other.parquet"))
    (tmp_path / "broken.parquet").write_bytes(b"PAR1 not really")
    with pytest.raises(InputError, match="cannot be read"):
        list(read_documents(tmp_path / "broken.parquet"))
