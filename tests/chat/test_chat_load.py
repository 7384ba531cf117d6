from __future__ import annotations

import gzip
import json
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
import zstandard

from hanhua.chat.load import load_records
from hanhua.core.errors import InputError
from hanhua.text.verdict import Drop

RECORDS = [{"instruction": "你好", "input": "", "output": "你好！"},
           {"instruction": "1+1", "input": "", "output": "2\n二"}]  # fmt: skip


def values(path: Path) -> list[Any]:
    return [record.value for record in load_records(path)]


def lines(records: list[Any]) -> str:
    return "".join(json.dumps(r, ensure_ascii=False) + "\n" for r in records)


def test_every_container_gives_the_same_records(tmp_path: Path) -> None:
    array = json.dumps(RECORDS, ensure_ascii=False, indent=2)
    (tmp_path / "a.json").write_text(array, "utf-8")
    (tmp_path / "b.jsonl").write_text(lines(RECORDS), "utf-8")
    (tmp_path / "c.json").write_text(lines(RECORDS), "utf-8")
    (tmp_path / "d.json.gz").write_bytes(gzip.compress(array.encode()))
    (tmp_path / "e.jsonl.zst").write_bytes(zstandard.compress(lines(RECORDS).encode()))
    (tmp_path / "f.json").write_text(json.dumps({"version": 1, "data": RECORDS}), "utf-8")
    (tmp_path / "g.json").write_bytes(b"\xef\xbb\xbf" + array.encode())
    (tmp_path / "h.csv").write_text(
        'instruction,input,output\n你好,,你好！\n1+1,,"2\n二"\n', "utf-8"
    )
    pq.write_table(pa.Table.from_pylist(RECORDS), tmp_path / "i.parquet")
    (tmp_path / "j.jsonl").write_bytes(lines(RECORDS * 20).encode("gb18030"))
    for path in sorted(tmp_path.iterdir()):
        assert values(path)[:2] == RECORDS, path.name


def test_conversations_line_by_line_in_a_json_file_stay_whole(tmp_path: Path) -> None:
    turns = [{"from": "human", "value": "a"}, {"from": "gpt", "value": "b"}]
    talks = [{"conversations": turns}, {"conversations": turns * 2}]
    chats = [{"messages": [{"role": "user", "content": "a"}]}] * 2
    for name, records in (("a.json", talks), ("b.json", chats), ("c.json", talks[:1])):
        (tmp_path / name).write_text(lines(records))
        assert values(tmp_path / name) == records


def test_a_damaged_record_costs_itself_and_tells_its_line(tmp_path: Path) -> None:
    path = tmp_path / "a.json"
    path.write_text('[\n{"instruction": "a", "output": "b"},\n{"instruction": "a" "output"},\n'
                    '{"instruction": "c", "output": "d"},\n]\n')  # fmt: skip
    found = list(load_records(path))
    assert [r.where for r in found] == ["a.json:2", "a.json:3", "a.json:4"]
    broken = found[1].value
    assert isinstance(broken, Drop)
    assert broken.reason == "broken_json"
    assert [r.value["instruction"] for r in found if not isinstance(r.value, Drop)] == ["a", "c"]


def test_a_record_that_is_no_object_is_counted(tmp_path: Path) -> None:
    (tmp_path / "a.jsonl").write_text('{"a": 1}\n["b"]\n')
    assert values(tmp_path / "a.jsonl") == [{"a": 1}, Drop("not_an_object", "['b']")]


@pytest.mark.parametrize(
    ("name", "data", "line"),
    [("a.json", "\n\n{instruction: 'no JSON'}", 3), ("a.jsonl", "# no JSON\n", 1)],
)
def test_a_wholly_broken_file_is_an_error_with_its_line(
    tmp_path: Path, name: str, data: str, line: int
) -> None:
    (tmp_path / name).write_text(data)
    with pytest.raises(InputError, match=f"no record that can be read[\\s\\S]*{name}:{line}"):
        values(tmp_path / name)


def test_other_files_are_refused(tmp_path: Path) -> None:
    (tmp_path / "a.txt").write_text("text")
    with pytest.raises(InputError, match="this kind of file"):
        values(tmp_path / "a.txt")


def test_a_file_with_a_trailing_comma_is_read_whole(shared_data: Path) -> None:
    found = values(shared_data / "dirty" / "malformed_alpaca_09407-12345_zh.json.gz")
    assert len(found) == 2801
    assert not [r for r in found if isinstance(r, Drop)]
