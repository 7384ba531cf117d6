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
from hanhua.text.readers.formats import ReadOptions
from hanhua.text.readers.read import read_records

ZH = "我们一起去山上吧！他说：“好的，那就明天早上在河边的市场见面。”\n第二行也有一些字。"
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


def table(rows, header=("text",)):
    out = io.StringIO(newline="")
    csv.writer(out, lineterminator="\n").writerows([header, *rows])
    return out.getvalue()


def test_a_broken_record_costs_that_record(tmp_path):
    path = tmp_path / "a.jsonl"
    lines = [
        json.dumps({"text": ZH}, ensure_ascii=False).encode(), b'{"text": "cut', b"",
        b'{"text": "\xff\xfe"}', b'{"title": "none"}', b'{"text": 7}', b"[1, 2]",
        b'{"text": "\\ud800 kept"}', json.dumps("a string").encode(), b"null",
        b'{"text": "tab\there, zero\x00"}', b'{"text": "a", "n": NaN},', b"\0\0", b"[" * 100_000,
    ]  # fmt: skip
    path.write_bytes(b"\n".join(lines))
    records = list(read_records(path))
    assert [(r.where, r.problem) for r in records] == [
        ("a.jsonl:1", ""), ("a.jsonl:2", "broken_json"), ("a.jsonl:4", "broken_encoding"),
        ("a.jsonl:5", "no_text_field"), ("a.jsonl:6", "text_is_not_a_string"),
        ("a.jsonl:7", "no_text_field"), ("a.jsonl:8", ""), ("a.jsonl:9", ""),
        ("a.jsonl:10", "no_text_field"), ("a.jsonl:11", ""), ("a.jsonl:12", ""),
        ("a.jsonl:14", "broken_json"),
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


def test_a_file_called_json_may_be_lines(tmp_path):
    path = tmp_path / "a.json"
    path.write_bytes(jsonl({"id": n, "turns": [{"text": "x"}], "text": f"{n}"} for n in range(9)))
    assert [(r.where, r.text) for r in read_records(path)][8] == ("a.json:9", "8")
    path.write_bytes(path.read_bytes().replace(b'{"id": 3', b'{"id: 3'))
    assert [r.where for r in read_records(path) if r.problem] == ["a.json:4"]


@pytest.mark.parametrize("indent", [None, 1, 4])
@pytest.mark.parametrize("damage", [False, True])
def test_a_large_array_is_read_piece_by_piece(tmp_path, indent, damage):
    rows = [{"text": f"{n} {ZH * 40}", "more": [{"n": 1}, {"n": 2}]} for n in range(300)]
    rows[7]["text"] += ZH * 9000
    text = json.dumps(rows, ensure_ascii=False, indent=indent)
    if damage:
        text = text.replace('"150 ', "150 ")
    path = tmp_path / "a.json"
    path.write_text(text, encoding="gb18030")
    told = []
    found = list(read_records(path, tell=told.append))
    kept = [row["text"] for n, row in enumerate(rows) if n != 150 or not damage]
    if indent is not None:
        assert [r.text for r in found if r.text] == kept
        assert sum(r.problem == "broken_json" for r in found) == damage
    else:  # all on one line: what stands inside the damaged record may be told for records
        assert [r.text for r in found if r.text] == kept
        assert sum(r.problem != "" for r in found) >= damage
    assert len(told) > 3
    assert told == sorted(told)


def test_one_very_long_line_is_one_record(tmp_path):
    text = ZH * 40_000
    for name, content in (
        ("a.jsonl", jsonl([{"text": text}])), ("a.json", jsonl([[{"text": text}]])[:-1]),
        ("a.csv", table([[text]]).encode()), ("a.txt", text.replace("\n", "").encode()),
    ):  # fmt: skip
        (tmp_path / name).write_bytes(content)
        [record] = read_records(tmp_path / name)
        assert record.text == (text if name != "a.txt" else text.replace("\n", ""))


@pytest.mark.parametrize("packing", [".gz", ".zst", ".xz", ".bz2"])
def test_what_stands_behind_the_packed_data_is_told(tmp_path, packing):
    path = tmp_path / f"a.jsonl{packing}"
    whole = PACK[packing](jsonl([{"text": ZH}]))
    path.write_bytes(whole + b"\0\0\0" + whole + b"\0" * 99)
    assert [r.text for r in read_records(path)] == [ZH, ZH], "padding is none"
    path.write_bytes(whole + b"garbage behind it")
    records = list(read_records(path))
    assert [(r.where, r.problem) for r in records] == [
        (f"{path.name}:1", ""), (f"{path.name}:end", "trailing_garbage"),
    ]  # fmt: skip
    assert f"from byte {len(whole)} on" in records[1].found
    path.write_bytes(whole + b"garbage" + whole)
    with pytest.raises(InputError, match=rf"damaged[\s\S]*no packed data at byte {len(whole)}"):
        list(read_records(path))


def test_zstd_with_frames_to_skip_and_a_long_window(tmp_path):
    path = tmp_path / "a.jsonl.zst"
    skipped = b"\x50\x2a\x4d\x18" + (300_000).to_bytes(4, "little") + b"x" * 300_000
    long = zstandard.ZstdCompressionParameters(window_log=28, enable_ldm=True)
    packed = zstandard.ZstdCompressor(compression_params=long).compress(jsonl([{"text": ZH}] * 9))
    path.write_bytes(skipped + packed + skipped + packed)
    assert [r.text for r in read_records(path)] == [ZH] * 18


def test_lines_of_an_old_macintosh(tmp_path):
    (tmp_path / "a.txt").write_bytes(b"one\rtwo\r")
    assert [r.text for r in read_records(tmp_path / "a.txt", ReadOptions(txt="line"))] == [
        "one", "two",
    ]  # fmt: skip


def test_progress_is_told_in_bytes_of_the_file(tmp_path):
    for packing, pack in PACK.items():
        path = tmp_path / f"a.jsonl{packing}"
        path.write_bytes(pack(jsonl({"text": f"{n} {ZH}"} for n in range(3000))))
        told = []
        list(read_records(path, tell=told.append))
        assert told == sorted(told)
        assert told[-1] == path.stat().st_size


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
