from __future__ import annotations

import bz2
import csv
import gzip
import io
import json
import lzma
import shutil

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
import zstandard
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from hanhua.core.errors import InputError
from hanhua.text.formats import ReadOptions
from hanhua.text.read import read_records
from hanhua.text.streams import find_encoding

ZH = "我们一起去山上吧！他说：“好的，那就明天早上在河边的市场见面。”\n第二行也有一些字。"
HANT = "我們一起去山上吧！他說：「好的，那就明天早上在河邊的市場見面，這是我們的學校。」"
EN = "We go up the hill, “quoted”, and come back by the river."

PACK = {
    "": lambda data: data,
    ".gz": gzip.compress,
    ".zst": zstandard.ZstdCompressor().compress,
    ".xz": lzma.compress,
    ".bz2": bz2.compress,
}


def jsonl(rows):
    return "".join(json.dumps(row, ensure_ascii=False) + "\n" for row in rows).encode()


@pytest.mark.parametrize("packing", PACK)
def test_every_packing_reads_alike_whatever_the_name(tmp_path, packing):
    data = jsonl({"id": n, "text": ZH} for n in range(300))
    for name in (f"a.jsonl{packing}", "plain_name.jsonl"):
        path = tmp_path / name
        path.write_bytes(PACK[packing](data))
        records = list(read_records(path))
        assert [r.text for r in records] == [ZH] * 300
        assert records[7].id == "7"
        assert records[7].where == f"{name}:8"


def test_several_zstd_frames_are_one_file(tmp_path):
    path = tmp_path / "a.jsonl.zst"
    path.write_bytes(b"".join(PACK[".zst"](jsonl([{"text": f"{n}{ZH}"}])) for n in range(3)))
    assert [r.text[0] for r in read_records(path)] == ["0", "1", "2"]


@pytest.mark.parametrize("packing", [".gz", ".zst", ".xz", ".bz2"])
def test_a_file_that_was_cut_off_is_an_error_with_its_position(tmp_path, packing):
    path = tmp_path / f"a.jsonl{packing}"
    whole = PACK[packing](jsonl({"text": f"{n} {n * n} {ZH}"} for n in range(2000)))
    path.write_bytes(whole[: len(whole) - 20])
    with pytest.raises(InputError, match=r"cut off[\s\S]*a\.jsonl[\s\S]*near byte"):
        list(read_records(path))


@pytest.mark.parametrize(
    ("text", "encoding"),
    [
        (ZH, "utf-8"), (ZH, "utf-8-sig"), (ZH, "utf-16"), (ZH, "utf-16-le"), (ZH, "utf-16-be"),
        (ZH, "utf-32"), (ZH, "gb18030"), (HANT, "gb18030"), (HANT, "big5"), (EN, "cp1252"),
        (EN, "utf-16-le"), ("plain ascii", "ascii"),
    ],
)  # fmt: skip
@pytest.mark.parametrize("kind", ["txt", "lines", "jsonl", "csv"])
def test_encodings_are_found(tmp_path, text, encoding, kind):
    path = tmp_path / f"a.{'txt' if kind == 'lines' else kind}"
    expected = [text] * 3
    if kind == "txt":
        content, expected = text, [text]
    elif kind == "lines":
        content, expected = "\n".join([text] * 3), text.split("\n") * 3
    elif kind == "jsonl":
        content = jsonl([{"text": text}] * 3).decode()
    else:
        content = table([[text]] * 3)
    path.write_bytes(content.encode(encoding))
    options = ReadOptions(txt="line" if kind == "lines" else "file")
    assert [r.text for r in read_records(path, options)] == expected


def table(rows, header=("text",)):
    out = io.StringIO(newline="")
    csv.writer(out, lineterminator="\n").writerows([header, *rows])
    return out.getvalue()


def test_utf8_stays_utf8_with_a_broken_line_and_at_a_cut_sample():
    good = (ZH * 200).encode()
    assert find_encoding(good + b"\xff\xfe\n" + good) == "utf-8"
    assert find_encoding(good[:-2]) == "utf-8"


def test_a_stray_zero_byte_does_not_make_utf16():
    assert find_encoding((ZH * 20 + "\0" + ZH).encode()) == "utf-8"
    assert find_encoding(b"plain \0 text " * 9) == "utf-8"


def test_bytes_that_are_no_text_are_refused(tmp_path):
    path = tmp_path / "photo.txt"
    path.write_bytes(bytes(range(256)) * 40)
    with pytest.raises(InputError, match=r"no text in an encoding[\s\S]*photo\.txt"):
        list(read_records(path))


def test_a_broken_record_costs_that_record(tmp_path):
    path = tmp_path / "a.jsonl"
    lines = [
        json.dumps({"text": ZH}, ensure_ascii=False).encode(), b'{"text": "cut', b"",
        b'{"text": "\xff\xfe"}', b'{"title": "none"}', b'{"text": 7}', b"[1, 2]",
        b'{"text": "\\ud800 kept"}', json.dumps("a string").encode(),
    ]  # fmt: skip
    path.write_bytes(b"\n".join(lines))
    records = list(read_records(path))
    assert [(r.where, r.problem) for r in records] == [
        ("a.jsonl:1", ""), ("a.jsonl:2", "broken_json"), ("a.jsonl:4", "broken_encoding"),
        ("a.jsonl:5", "no_text_field"), ("a.jsonl:6", "text_is_not_a_string"),
        ("a.jsonl:7", "no_text_field"), ("a.jsonl:8", ""), ("a.jsonl:9", ""),
    ]  # fmt: skip
    assert records[3].found == "title"


def test_a_damaged_json_array_costs_one_record(tmp_path):
    rows = [json.dumps({"text": f"{n}{ZH}"}, ensure_ascii=False, indent=2) for n in range(9)]
    rows[4] = rows[4].replace('"text"', "text")
    path = tmp_path / "a.json"
    path.write_text("[\n" + ",\n".join(rows) + ",\n]\n", encoding="utf-8")
    records = list(read_records(path))
    assert [r.text[0] for r in records if r.text] == list("01235678")
    assert [(r.where, r.problem) for r in records if not r.text] == [("a.json:14", "broken_json")]


def test_a_json_array_without_its_end_is_an_error(tmp_path):
    path = tmp_path / "a.json"
    path.write_text('[\n{"text": "one"},\n{"text": "two"},\n', encoding="utf-8")
    records = read_records(path)
    assert [next(records).text, next(records).text] == ["one", "two"], "what is there is read"
    with pytest.raises(InputError, match=r"a\.json:4[\s\S]*close the array"):
        next(records)


def test_json_objects_one_after_the_other_and_inside_one(tmp_path):
    path = tmp_path / "a.json"
    path.write_text('{"text": "one"}\n{"text": "two"}', encoding="utf-8")
    assert [r.text for r in read_records(path)] == ["one", "two"]
    path.write_text('{"version": 1, "data": [{"text": "one"}, {"text": "two"}]}', encoding="utf-8")
    assert [r.text for r in read_records(path)] == ["one", "two"]


def test_the_real_unfinished_translation_reads_to_its_end(shared_data):
    path = shared_data / "dirty/malformed_alpaca_09407-12345_zh.json.gz"
    with pytest.raises(json.JSONDecodeError):
        json.loads(gzip.decompress(path.read_bytes()))
    records = list(read_records(path, ReadOptions(text_field="output")))
    assert sum(r.text is not None for r in records) > 2000
    assert sum(r.text is None for r in records) < 5


def test_real_gb18030_books_read_as_chinese(shared_data):
    books = sorted((shared_data / "dirty/tcm_gb18030").glob("*.txt"))
    assert books
    for path in books:
        with pytest.raises(UnicodeDecodeError):
            path.read_bytes().decode("utf-8")
        [record] = read_records(path)
        assert "<篇名>" in record.text
        assert record.text.count("\ufffd") < len(record.text) / 1000


@pytest.mark.parametrize(
    ("name", "content", "expected"),
    [
        (
            "a.csv",
            table([["x", "多行\n文字, 有逗号"]], ("id", "正文")),
            [("x", "多行\n文字, 有逗号")],
        ),
        ("a.tsv", "label\treview\n1\t很好吃\n0\t\n", [(None, "很好吃"), (None, "")]),
        ("a.md", "# 题目\n\n正文", [(None, "# 题目\n\n正文")]),
        ("a.txt", "  \n\n", []),
        ("a.jsonl", "", []),
        ("a.csv", "", []),
        ("a.json", "[]", []),
    ],
)
def test_other_formats(tmp_path, name, content, expected):
    path = tmp_path / name
    path.write_text(content, encoding="utf-8")
    assert [(r.id, r.text) for r in read_records(path)] == expected


def test_parquet_and_a_broken_parquet(tmp_path):
    path = tmp_path / "a.parquet"
    pq.write_table(pa.table({"content": [ZH, None, EN], "n": [1, 2, 3]}), path)
    records = list(read_records(path))
    assert [(r.text, r.problem) for r in records] == [(ZH, ""), (None, "no_text_field"), (EN, "")]
    path.write_bytes(path.read_bytes()[:-9])
    with pytest.raises(InputError, match="Parquet file cannot be read"):
        list(read_records(path))


def test_errors_say_what_to_do(tmp_path):
    with pytest.raises(InputError, match="cannot be opened"):
        list(read_records(tmp_path / "none.txt"))
    (tmp_path / "a.docx").write_bytes(b"PK")
    with pytest.raises(InputError, match=r"no reader[\s\S]*\.docx[\s\S]*jsonl"):
        list(read_records(tmp_path / "a.docx"))
    (tmp_path / "a.jsonl").write_text('{"words": "x"}\n' * 3, encoding="utf-8")
    with pytest.raises(InputError, match=r"a\.jsonl:1[\s\S]*fields: words[\s\S]*text_field"):
        list(read_records(tmp_path / "a.jsonl"))
    assert [r.text for r in read_records(tmp_path / "a.jsonl", ReadOptions("words"))] == ["x"] * 3


@given(st.lists(st.text(st.characters(codec="utf-8")), max_size=8))
@settings(
    max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
def test_what_is_written_is_read_again(tmp_path, texts):
    folder = tmp_path / "roundtrip"
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir()
    (folder / "a.jsonl").write_bytes(jsonl({"text": t} for t in texts))
    (folder / "a.json").write_text(json.dumps([{"text": t} for t in texts]), encoding="utf-8")
    pq.write_table(pa.table({"text": pa.array(texts, pa.string())}), folder / "a.parquet")
    for path in folder.iterdir():
        assert [r.text for r in read_records(path)] == texts
