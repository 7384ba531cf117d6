"""Tables, nested fields, and what is wrong with them."""

from __future__ import annotations

import csv
import io
import json

import pyarrow as pa
import pyarrow.ipc
import pyarrow.parquet as pq
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from hanhua.core.errors import InputError
from hanhua.text.readers.formats import ReadOptions, read_values
from hanhua.text.readers.read import read_records

ZH = "我们一起去山上吧！"
EN = "We go up the hill."


def table(rows, **how):
    out = io.StringIO(newline="")
    csv.writer(out, lineterminator="\n", **how).writerows(rows)
    return out.getvalue()


def read(path, content, options=None):
    path.write_bytes(content if isinstance(content, bytes) else content.encode())
    return [(r.where.partition(":")[2], r.text, r.problem) for r in read_records(path, options)]


def test_a_row_with_another_number_of_fields_is_broken(tmp_path):
    content = f"id,text\n1,{ZH}\n2,一,二\n3\n4,{EN},,\n\n5,{EN}\n"
    assert read(tmp_path / "a.csv", content) == [
        ("2", ZH, ""), ("3", None, "wrong_number_of_fields"), ("4", None, "wrong_number_of_fields"),
        ("5", EN, ""), ("7", EN, ""),
    ]  # fmt: skip
    [_, broken, *_] = read_records(tmp_path / "a.csv")
    assert broken.found == "3 fields, the header has 2: 2,一,二"


def test_a_quotation_mark_that_is_not_closed_costs_its_line(tmp_path):
    rows = [f"{n},{ZH}" for n in range(6)]
    rows[2] = f'2,"{ZH}'
    assert [t[1:] for t in read(tmp_path / "a.csv", "id,text\n" + "\n".join(rows) + "\n")] == [
        (ZH, ""), (ZH, ""), (None, "broken_row"), (ZH, ""), (ZH, ""), (ZH, ""),
    ]  # fmt: skip
    rows[4] = f'4,"{ZH}"'
    rows[5] = f'5,"{ZH}\n第二行"'
    found = read(tmp_path / "a.csv", "id,text\n" + "\n".join(rows) + "\n")
    assert found[2:] == [
        ("4", None, "broken_row"), ("5", ZH, ""), ("6", ZH, ""), ("7", f"{ZH}\n第二行", ""),
    ]  # fmt: skip


def test_quotation_marks_inside_are_kept_as_they_are(tmp_path):
    content = f'id,text\n1,"他说"好"吗"\n2,他说"好"吗\n3,"他说""好""吗"\n4,{ZH}\r{ZH}\n'
    found = read(tmp_path / "a.csv", content)
    assert [t[1:] for t in found] == [
        ('他说好"吗"', ""), ('他说"好"吗', ""), ('他说"好"吗', ""), (f"{ZH} {ZH}", ""),
    ]  # fmt: skip


def test_a_header_that_cannot_be_read_is_said(tmp_path):
    with pytest.raises(InputError, match=r"first row[\s\S]*a\.csv:1[\s\S]*te\"xt"):
        read(tmp_path / "a.csv", 'id,"te"xt"\n1,2\n3,4\n')


def test_zeros_marks_and_other_separators(tmp_path):
    path = tmp_path / "a.csv"
    assert read(path, f"\ufeffid,text\n1,{ZH}\0\n") == [("2", ZH, "")]
    assert read(path, f"\ufeff\ufefftext,id\n{ZH},1\n") == [("2", ZH, "")]
    assert read(path, f"id;text\n1;{ZH}，a,b\n") == [("2", f"{ZH}，a,b", "")]
    assert read(path, f"id\ttext\r\n1\t{ZH}\r\n") == [("2", ZH, "")]
    assert read(tmp_path / "a.tsv", f"id\ttext\n1\t{ZH}, b\n") == [("2", f"{ZH}, b", "")]
    assert read(path, f"text\r{ZH}\r{EN}\r") == [("2", ZH, ""), ("3", EN, "")]
    assert read(path, "text\n") == []
    assert read(path, f'text\n"a ""{ZH}"""\n') == [("2", f'a "{ZH}"', "")]


CELLS = st.text(st.characters(codec="utf-8", exclude_characters="\r\0\ufeff"), max_size=30)


@given(st.lists(st.tuples(CELLS, CELLS.filter(str.strip)), max_size=8))
@settings(deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_tables_that_are_well_written_are_read_whole(tmp_path, rows):
    path = tmp_path / "a.csv"
    path.write_text(table([("label", "text"), *rows]), encoding="utf-8", newline="")
    assert [r.text for r in read_records(path)] == [text for _, text in rows]
    path.write_text(table([("label", "text"), *rows], quoting=csv.QUOTE_ALL), "utf-8", newline="")
    assert [r.text for r in read_records(path)] == [text for _, text in rows]


@given(st.binary(max_size=200))
@settings(deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_any_bytes_as_a_table_end(tmp_path, data):
    path = tmp_path / "a.csv"
    path.write_bytes(b"id,text\n" + data)
    try:
        found = list(read_records(path, ReadOptions(encoding="utf-8")))
    except InputError:  # no row has a text
        found = []
    assert len(found) <= data.count(b"\n") + data.count(b"\r") + 1


def test_fields_inside_fields_and_lists(tmp_path):
    rows = [
        {"meta": {"body": ZH}}, {"meta.body": EN}, {"meta": {"body": [ZH, EN]}}, {"meta": None},
        {"meta": [{"body": ZH}, {"x": 1}, {"body": EN}]}, {"meta": {"body": [1, 2]}},
    ]  # fmt: skip
    content = "".join(json.dumps(row, ensure_ascii=False) + "\n" for row in rows)
    found = read(tmp_path / "a.jsonl", content, ReadOptions("meta.body"))
    assert [t[1:] for t in found] == [
        (ZH, ""), (EN, ""), (f"{ZH}\n{EN}", ""), (None, "no_text_field"), (f"{ZH}\n{EN}", ""),
        (None, "text_is_not_a_string"),
    ]  # fmt: skip
    mnbvc = {"文件名": "a", "段落": [{"行号": 1, "内容": ZH}, {"行号": 2, "内容": EN}]}
    [(_, text, _)] = read(tmp_path / "b.jsonl", json.dumps(mnbvc, ensure_ascii=False))
    assert text == f"{ZH}\n{EN}"
    [record] = read_records(tmp_path / "b.jsonl")
    assert record.url == ""


def test_records_say_where_they_were_published(tmp_path):
    path = tmp_path / "a.jsonl"
    path.write_text('{"text": "x", "url": "http://a.cn/1"}\n{"text": "y", "url": 3}\n', "utf-8")
    assert [r.url for r in read_records(path)] == ["http://a.cn/1", ""]


COLUMNS = {
    "string": pa.array([ZH, None, EN]), "large": pa.array([ZH, None, EN], pa.large_string()),
    "dictionary": pa.array([ZH, None, EN]).dictionary_encode(),
    "binary": pa.array([ZH.encode(), None, EN.encode()]),
    "list": pa.array([[ZH], None, [EN]]),
}  # fmt: skip


@pytest.mark.parametrize("kind", COLUMNS)
@pytest.mark.parametrize("suffix", ["parquet", "arrow"])
def test_columns_of_every_kind_of_text(tmp_path, kind, suffix):
    path = tmp_path / f"a.{suffix}"
    columns = pa.table({"n": [1, 2, 3], "content": COLUMNS[kind], "id": ["x", "y", "z"]})
    if suffix == "parquet":
        pq.write_table(columns, path, row_group_size=2)
    else:
        with pa.ipc.new_file(path, columns.schema) as writer:
            writer.write_table(columns)
    found = list(read_records(path))
    assert [(r.text, r.id, r.problem) for r in found] == [
        (ZH, "x", ""), (None, "y", "no_text_field"), (EN, "z", ""),
    ]  # fmt: skip
    assert [r.where for r in found] == [f"a.{suffix}:{n}" for n in (1, 2, 3)]


def test_structures_in_parquet_and_only_needed_columns(tmp_path):
    path = tmp_path / "a.parquet"
    parts = [{"内容": ZH, "行": 1}, {"内容": EN, "行": 2}]
    pq.write_table(pa.table({"meta": [{"body": ZH, "n": 1}], "段落": [parts], "big": ["x"]}), path)
    assert [r.text for r in read_records(path)] == [f"{ZH}\n{EN}"]
    assert [r.text for r in read_records(path, ReadOptions("meta.body"))] == [ZH]
    options = ReadOptions(columns=frozenset(["meta.body"]))
    assert [list(value) for _, value in read_values(path, options)] == [["meta"]]
    assert [list(value) for _, value in read_values(path)] == [["meta", "段落", "big"]]


def test_damage_in_parquet_costs_its_row_group(tmp_path):
    path = tmp_path / "a.parquet"
    texts = [f"{n}{ZH}" for n in range(30)]
    pq.write_table(pa.table({"text": texts}), path, row_group_size=10, compression="zstd",
                   use_dictionary=False)  # fmt: skip
    place = pq.ParquetFile(path).metadata.row_group(1).column(0).data_page_offset
    data = bytearray(path.read_bytes())
    data[place + 40 : place + 60] = b"\xff" * 20
    path.write_bytes(data)
    found = list(read_records(path))
    assert [r.text for r in found if r.text] == texts[:10] + texts[20:]
    assert [r.problem for r in found if not r.text] == ["broken_row_group"] * 10
    assert found[-1].where == "a.parquet:30"


def test_text_that_is_none_costs_its_row(tmp_path):
    path = tmp_path / "a.parquet"
    wrong = pa.Array.from_buffers(pa.string(), 3, pa.array([b"a", b"\xff\xfe", b"c"]).buffers())
    pq.write_table(pa.table({"text": wrong}), path)
    assert [(r.text, r.problem) for r in read_records(path)] == [
        ("a", ""), (None, "broken_encoding"), ("c", ""),
    ]  # fmt: skip
    pq.write_table(pa.table({"text": pa.array([b"a", b"\xff\xfe"])}), path)
    assert [r.problem for r in read_records(path)] == ["", "text_is_not_a_string"]


def test_files_that_are_no_whole_tables(tmp_path):
    path = tmp_path / "a.parquet"
    pq.write_table(pa.table({"text": [ZH]}), path)
    path.write_bytes(path.read_bytes()[:-9])
    with pytest.raises(InputError, match="Parquet file cannot be read"):
        list(read_records(path))
    for name in ("none.parquet", "none.arrow"):
        with pytest.raises(InputError, match="cannot be opened"):
            list(read_records(tmp_path / name))
    pq.write_table(pa.table({"text": pa.array([], pa.string())}), path)
    assert list(read_records(path)) == []
