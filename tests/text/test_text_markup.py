"""Markdown to what a reader sees: markup goes, sense stays."""

from __future__ import annotations

import gzip
import json
import re

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from hanhua.text.readers.markup import clean_markdown
from hanhua.text.readers.read import read_records

README = """---
title: 山上的市场
tags: [市场, 山]
---

[![Build](https://img.shields.io/x.svg)](https://ci.example.org) ![](logo.png)

# 山上的市场 {#market}

<!-- 这里是注释，
读者看不见 -->
<p align="center"><img src="a.png" width="300"></p>

我们去[市场](https://example.org/map "地图")买白菜，见[说明][1]和[第二章](chapter-2.md)。
价格是 $5 到 $8，公式 $f[i](x)$ 不变；`[code](x)` 也不变。

- [x] 写完 ![图](img/a.png)
- ![只有图](img/b.png)
- 按 <kbd>Ctrl</kbd> 和 10<sup>6</sup>，<ruby>山<rt>shān</rt></ruby>。

| 货物 | 价钱 |
|------|------|
| [白菜](http://a.b) | 三&nbsp;元<br/>一斤 |

```python
# [不是链接](http://x.y) <!-- 不是注释 -->
a[0][1] = f"![x](y)"
```

    缩进的代码 [1](http://x.y)

[^1]: 脚注里有[链接](http://x.y)。

[1]: https://example.org/one
[2]: <two.html> "二"
"""
README_TEXT = """# 山上的市场

我们去市场买白菜，见说明和第二章。
价格是 $5 到 $8，公式 $f[i](x)$ 不变；`[code](x)` 也不变。

- [x] 写完
- 按 Ctrl 和 10<sup>6</sup>，山（shān）。

| 货物 | 价钱 |
|------|------|
| 白菜 | 三 元 一斤 |

```python
# [不是链接](http://x.y) <!-- 不是注释 -->
a[0][1] = f"![x](y)"
```

    缩进的代码 [1](http://x.y)

[^1]: 脚注里有链接。"""


def test_a_readme_is_read_as_a_reader_does():
    assert clean_markdown(README) == README_TEXT
    assert clean_markdown(README.replace("\n", "\r\n")) == README_TEXT
    assert "不是链接" not in clean_markdown(README, keep_code=False)
    assert "脚注里有链接。" in clean_markdown(README, keep_code=False)


@pytest.mark.parametrize(
    "text",
    [
        "取 a[0][1] 和 dp[i](j) 的值", "[甲方](以下简称甲方)与[乙方](以下简称乙方)",
        "使用 <table> 标签和 List<int> 类型，a < b > c", "if a <b and c> d then",
        "[1]: 王力.汉语史稿[M].北京:中华书局,1980", "参见[1][2]和[12]", "# 标题 #1 {注}",
        "2 * 3 * 4 = 24，下划线 a_b_c", "他说[原文如此]：“好。”", "$5 和 $6 之间 [未完](待续)",
        "---\n\n分隔线下面是正文：不是头信息\n\n---", "`` ` `` 与 ```代码``` 同行", "[ ] 未完成",
        "1. 一\n2. 二\n\n   - 三\n\n> 引用\n> 两行", "表达式 {a: 1} 和 {{b}}", "![未闭合](x",
        "[甲](见下)、[乙](1)", "\\[不是链接\\](http://x.y)",
    ],
)  # fmt: skip
def test_what_only_looks_like_markup_stays(text):
    assert clean_markdown(text) == text


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("+++\ntitle = 'x'\n+++\n正文", "正文"), ("[a\nb](http://x.y)c", "a\nbc"),
        ("[一[二]三](http://x.y/(z))", "一[二]三"), ("[`f()`](#f)是", "`f()`是"),
        ("前<!-- 中 -->后", "前后"), ("## 参考 {/*reference*/}", "## 参考"),
        ("<Note>\n\n注意\n\n</Note>", "注意"), ("::: tip 提示\n正文\n:::", "提示\n正文"),
        ('!!! note "注意"\n\n    这里[是](a.md)正文', "注意\n\n    这里是正文"),
        ("[文][标签]\n\n[标签]: http://x.y", "文"), ("[标签][]\n\n[标签]: http://x.y", "标签"),
        ("[标签]后\n\n[标签]: http://x.y", "标签后"), ("[TOC]\n\n正文", "正文"),
        ("{{< copyable >}}\n正文", "正文"), ('<a id="x"></a>正<b>文</b>', "正文"),
        ("<script>\nvar a;\n</script>正文", "正文"), ("[#]: url: (https://x.y)\n正文", "正文"),
        ("[](http://x.y)正文", "正文"), ("看[这里](http://x.y){:target=_blank}吧", "看这里吧"),
        ("![图][1]正文\n\n[1]: a.png", "正文"), ("甲\n<!--\n```\n乙\n```\n-->\n丙", "甲\n\n丙"),
        ("- [项](a.b)\n\n      ```\n      [a](b.c)\n      ```",
         "- 项\n\n      ```\n      [a](b.c)\n      ```"),
    ],
)  # fmt: skip
def test_what_no_reader_sees_goes(text, expected):
    assert clean_markdown(text) == expected


WORDS = st.text("山上的市场买白菜和鱼，。abc 123", min_size=1, max_size=12).filter(str.strip)
CODE = st.text(st.characters(codec="utf-8", exclude_characters="`\r"), max_size=60)


@given(st.lists(st.tuples(WORDS, st.sampled_from(["plain", "link", "image", "fence"]), CODE)))
@settings(deadline=None)
def test_words_and_code_stay_and_targets_go(parts):
    blocks, expected = [], []
    for words, kind, code in parts:
        words = words.strip()
        if kind == "fence":
            blocks.append(f"```\n{code}\n```")
        elif kind == "link":
            blocks.append(f"前[{words}](https://x.y/z?a=1)后")
        else:
            blocks.append(f"![图](z.png){words}" if kind == "image" else f"前{words}")
        shown = {"fence": blocks[-1], "link": f"前{words}后", "image": words}
        expected.append(shown.get(kind, blocks[-1]))
    found = clean_markdown("\n\n".join(blocks))
    assert "https" not in found.replace("https", "", sum(e.count("https") for e in expected))
    place = 0
    for part in expected:
        place = found.index(part.strip("\n"), place) + len(part.strip("\n"))


@given(st.text(max_size=200))
@settings(deadline=None)
def test_any_text_can_be_cleaned(text):
    clean_markdown(text)


def test_real_documents_keep_their_code_and_their_characters(shared_data):
    path = shared_data / "dirty/raw_markdown.jsonl.gz"
    texts = [json.loads(x)["text"] for x in gzip.open(path, "rt", encoding="utf-8")]
    fences = 0
    for text in texts:
        found = clean_markdown(text)
        assert clean_markdown(found) == found
        for fence in re.findall(r"^```[^`\n]*\n.*?^```$", text, re.M | re.S):
            fences += 1
            assert fence in found
        assert not re.search(r"^\[[^\]^]+\]: *http|\]\(http", re.sub("(?s)```.*?```", "", found))
        assert len(found) > 0.4 * len(text) or len(text) < 4000
    assert fences > 100


@pytest.mark.parametrize(("name", "kind"), [("a.md", "markdown"), ("a.markdown.gz", "markdown"),
                                            ("a.rst", "rst"), ("a.txt", "text")])  # fmt: skip
def test_files_are_read_raw_with_their_kind(tmp_path, name, kind):
    path = tmp_path / name
    data = "# 题目\n\n[正文](http://x.y)".encode()
    path.write_bytes(gzip.compress(data) if name.endswith("gz") else data)
    [record] = read_records(path)
    assert (record.kind, record.text) == (kind, data.decode())
