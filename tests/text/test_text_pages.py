"""Web pages: files, archives, their encodings, and the text in them."""

from __future__ import annotations

import gzip
import zlib

import pytest
import zstandard
from hypothesis import given, settings
from hypothesis import strategies as st

from hanhua.core.errors import InputError
from hanhua.text.readers.extract import KINDS, extract, extract_record
from hanhua.text.readers.formats import Page, ReadOptions, read_values
from hanhua.text.readers.pages import decode_page, extract_page
from hanhua.text.readers.read import read_records
from hanhua.text.readers.values import Broken

SENTENCES = (
    "我们一起去山上吧，他说明天早上在河边的市场见面。",
    "这条小河从山里流出来，经过我们的村子，一直流到大海。",
    "孩子们在学校里学习写字，也学习种白菜和养鱼的方法。",
    "天气好的时候，老人们坐在树下讲过去的事情。",
)
MAIN = "".join(f"<p>{sentence * 3}</p>\n" for sentence in SENTENCES)
PAGE = f"""<!DOCTYPE html><html><head><meta charset="CHARSET"><title>山上的市场</title>
<script>var hidden = "脚本";</script></head><body>
<nav><ul><li><a href="/">首页</a></li><li><a href="/n">新闻频道</a></li></ul></nav>
<article><h1>山上的市场</h1>{MAIN}<p>请看<a href="http://example.org/map">市场的地图</a>，就在下面。</p>
<table><tr><th>货物</th><th>价钱</th></tr><tr><td>白菜</td><td>三元</td></tr></table></article>
<div class="comments"><h3>评论</h3><p>网友：沙发！楼主写得真好，顶一下。</p></div>
<footer>版权所有 京ICP备00000000号</footer></body></html>"""


def page(charset="utf-8", codec=None):
    return PAGE.replace("CHARSET", charset).encode(codec or charset)


def record(kind, content, uri="http://a.cn/1", content_type="application/http; msgtype=response"):
    head = (f"WARC/1.0\r\nWARC-Type: {kind}\r\nWARC-Target-URI: {uri}\r\nContent-Type: "
            f"{content_type}\r\nContent-Length: {len(content)}\r\n\r\n")  # fmt: skip
    return head.encode() + content + b"\r\n\r\n"


def answer(body, status="200 OK", **headers):
    headers = {"Content_Type": "text/html; charset=utf-8", **headers}
    lines = "".join(f"{k.replace('_', '-')}: {v}\r\n" for k, v in headers.items() if v)
    return f"HTTP/1.1 {status}\r\n{lines}\r\n".encode() + body


def response(body=None, uri="http://a.cn/1", status="200 OK", **headers):
    return record("response", answer(page() if body is None else body, status, **headers), uri)


INFO = record("warcinfo", b"software: x\r\n", content_type="application/warc-fields")
ASKED = record("request", b"GET / HTTP/1.1\r\n\r\n")


def write(path, *records, packed=True):
    path.write_bytes(b"".join(gzip.compress(r) if packed else r for r in records))
    return path


@pytest.mark.parametrize("name", ["a.html", "a.htm", "a.xhtml", "a.html.gz"])
def test_a_file_is_one_page_and_its_text_is_taken_out(tmp_path, name):
    path = tmp_path / name
    path.write_bytes(gzip.compress(page()) if name.endswith("gz") else page())
    [found] = read_records(path)
    assert (found.where, found.kind, found.text) == (f"{name}:1", "html", page().decode())
    done = extract_record(found)
    assert done.kind == "text"
    for sentence in SENTENCES:
        assert sentence in done.text
    assert "市场的地图" in done.text
    assert "白菜" in done.text
    assert "三元" in done.text
    for unseen in ("http", "脚本", "首页", "沙发", "版权", "<"):
        assert unseen not in done.text
    (tmp_path / "empty.html").write_bytes(b"\n")
    assert list(read_records(tmp_path / "empty.html")) == []


@pytest.mark.parametrize(
    ("said", "codec"),
    [
        ("gb2312", "gb18030"), ("gbk", "gb18030"), ("x-gbk", "gb18030"), ("big5", "big5hkscs"),
        ("utf-8", "utf-8"), ("utf-8", "gb18030"), ("iso-8859-1", "gb18030"),
        ("nonsense", "gb18030"), ("gb2312", "utf-8"), ("utf-16", "utf-16"),
        ("utf-8", "utf-8-sig"), ("euc-kr", "gb18030"),
    ],
)  # fmt: skip
def test_the_encoding_is_found_whatever_the_page_says(said, codec):
    text = PAGE.replace("CHARSET", said)
    if codec == "big5hkscs":
        text = "<html><meta charset=big5><p>我們一起去山上吧，他說明天早上在河邊見面。</p></html>"
    assert decode_page(text.encode(codec)) == text
    assert decode_page(text.encode(codec), f"text/html; charset={said}") == text
    assert decode_page(text.encode(codec), "text/html; charset=ISO-8859-1") == text


def test_latin_pages_and_bytes_that_are_none():
    western = "<html><p>Le café est fermé l’été, dit-elle.</p></html>"
    assert decode_page(western.encode("cp1252")) == western
    assert decode_page(western.encode("cp1252"), "text/html; charset=ISO-8859-1") == western
    assert isinstance(decode_page(bytes(range(128, 256)) * 20), Broken)


@pytest.mark.parametrize("packed", [True, False])
def test_only_html_that_was_found_is_read(tmp_path, packed):
    records = [
        INFO, ASKED, response(uri="http://a.cn/1"), response(status="404 Not Found"),
        response(b"%PDF-1.4", Content_Type="application/pdf"), response(uri="http://a.cn/2"),
        record("metadata", b"x: y", content_type="application/warc-fields"),
        response(b"{}", Content_Type="application/json"), response(uri="<http://a.cn/3>",
        Content_Type="application/xhtml+xml"), response(uri="http://a.cn/4", Content_Type=""),
        record("response", b"20200101\na.cn 1.2.3.4", "dns:a.cn", "text/dns"),
    ]  # fmt: skip
    path = write(tmp_path / ("a.warc.gz" if packed else "a.warc"), *records, packed=packed)
    told = []
    found = list(read_records(path, tell=told.append))
    assert [(r.where, r.url) for r in found] == [
        (f"{path.name}:3", "http://a.cn/1"), (f"{path.name}:6", "http://a.cn/2"),
        (f"{path.name}:9", "http://a.cn/3"), (f"{path.name}:10", "http://a.cn/4"),
    ]  # fmt: skip
    assert {r.kind for r in found} == {"html"}
    assert all(r.text == page().decode() for r in found)
    assert told == sorted(told)
    assert told[-1] == path.stat().st_size
    assert all(isinstance(value, Page) for _, value in read_values(path))


def chunked(body, size=700):
    parts = [body[n : n + size] for n in range(0, len(body), size)]
    return b"".join(b"%x;ext=1\r\n%s\r\n" % (len(p), p) for p in parts) + b"0\r\n\r\n"


@pytest.mark.parametrize(
    ("body", "headers"),
    [
        (chunked(page()), {"Transfer_Encoding": "chunked"}),
        (page(), {"Transfer_Encoding": "chunked"}),
        (gzip.compress(page()), {"Content_Encoding": "gzip"}),
        (page(), {"Content_Encoding": "gzip"}),
        (page(), {"Content_Encoding": "br"}),
        (zlib.compress(page()), {"Content_Encoding": "deflate"}),
        (zlib.compress(page())[2:-4], {"Content_Encoding": "deflate"}),
        (zstandard.ZstdCompressor().compress(page()), {"Content_Encoding": "zstd"}),
        (chunked(gzip.compress(page())), {"Transfer_Encoding": "chunked",
                                          "Content_Encoding": "gzip"}),
        (page("gb2312", "gb18030"), {"Content_Type": "text/html"}),
    ],
)  # fmt: skip
def test_bodies_come_without_what_packed_them(tmp_path, body, headers):
    [found] = read_records(write(tmp_path / "a.warc.gz", response(body, **headers)))
    assert found.text.replace("gb2312", "utf-8") == page().decode()


def test_damaged_bodies_cost_themselves(tmp_path):
    path = write(
        tmp_path / "a.warc.gz", response(b"\x1f\x8b\x08 damaged", Content_Encoding="gzip"),
        response(b"\x21\x00\x04 packed", Content_Encoding="br"),
        response(bytes(range(128, 256)) * 9), record("response", b"not http at all"), response(),
    )  # fmt: skip
    problems = ["damaged_record", "unknown_packing", "broken_encoding", "damaged_record", ""]
    assert [r.problem for r in read_records(path)] == problems


@pytest.mark.parametrize("packed", [True, False])
def test_an_archive_that_was_cut_off_gives_its_sound_records_first(tmp_path, packed):
    path = write(tmp_path / "a.warc.gz", INFO, *[response()] * 5, packed=packed)
    path.write_bytes(path.read_bytes()[:-200])
    records = read_records(path)
    assert [next(records).where for _ in range(4)] == [f"a.warc.gz:{n}" for n in (2, 3, 4, 5)]
    with pytest.raises(InputError, match=r"cut off[\s\S]*a\.warc\.gz[\s\S]*near byte"):
        next(records)


@pytest.mark.parametrize(
    ("packed", "begin"), [(True, 0), (True, 30), (True, None), (False, 0), (False, None)]
)
def test_damage_costs_its_record(tmp_path, packed, begin):
    records = [response(page() + b"<!-- %d -->" % n, f"http://a.cn/{n}") for n in range(6)]
    if begin is None:
        records[2] = records[2].replace(b"Content-Length: ", b"Content-Length: 1x")
    parts = [gzip.compress(r) if packed else r for r in records]
    if begin is not None:
        parts[2] = parts[2][:begin] + b"\xaa\x07\x81\xff" * 9 + parts[2][begin + 36 :]
    path = tmp_path / "a.warc.gz"
    path.write_bytes(b"".join(parts))
    found = list(read_records(path))
    assert [r.url for r in found if r.text] == [f"http://a.cn/{n}" for n in (0, 1, 3, 4, 5)]
    assert [r.problem for r in found if not r.text] == ["damaged_record"]


def test_an_archive_packed_as_one_reads_too(tmp_path):
    path = write(tmp_path / "a.warc.gz", b"".join([INFO, response(), response()]))
    assert [r.where for r in read_records(path)] == ["a.warc.gz:2", "a.warc.gz:3"]
    path = tmp_path / "empty.warc"
    path.touch()
    assert list(read_records(path)) == []


def test_texts_of_wet_files_need_no_extraction(tmp_path):
    text = "我们一起去山上吧。\n第二行。"
    wet = record("conversion", text.encode(), "http://a.cn/1", "text/plain")
    [found] = read_records(write(tmp_path / "a.warc.wet.gz", INFO, wet))
    assert (found.text, found.kind, found.url) == (text, "text", "http://a.cn/1")
    assert extract_record(found) == found


def test_pages_without_text_and_pages_that_are_too_large():
    nothing = "<html><body><img src='a.png'><script>var a = 1;</script></body></html>"
    assert extract_page(nothing) == ("", "no_main_text")
    assert extract_page("") == ("", "no_main_text")
    assert extract_page("<p>字</p>" * 1_000_000) == ("", "page_too_large")
    declared = '<?xml version="1.0" encoding="gb2312"?>\n' + PAGE
    assert SENTENCES[0] in extract_page(declared)[0]


@given(st.binary(max_size=300) | st.text(max_size=300).map(str.encode))
@settings(max_examples=50, deadline=None)
def test_no_page_is_a_reason_to_stop(data):
    text = decode_page(b"<html><body><p>" + data)
    if isinstance(text, str):
        text, problem = extract_page(text)
        assert bool(text) != bool(problem)


def test_strings_of_other_files_can_be_pages_or_marked_up(tmp_path, shared_data):
    path = shared_data / "dirty/html_trafilatura.jsonl.gz"
    options = ReadOptions(text_field="html", kind="html")
    records = [r for r, _ in zip(read_records(path, options), range(8), strict=False)]
    done = [extract_record(r) for r in records]
    assert sum(len(r.text or "") > 500 for r in done) >= 6
    assert not any("<script" in (r.text or "") for r in done)
    assert all(r.kind == "text" for r in done)


def test_kinds_go_to_their_extractors():
    assert KINDS == ("text", "html", "markdown", "rst")
    assert extract("text", "[a](http://b)") == ("[a](http://b)", "")
    assert extract("markdown", "[a](http://b)") == ("a", "")
    assert extract("rst", "`a <http://b>`__") == ("a", "")
    with pytest.raises(KeyError):
        extract("docx", "x")
