from __future__ import annotations

import codecs
import gzip
import json

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from hanhua.text.rewrite.mend import MENDINGS, mend

ZH = (
    "小明住在河边的小镇上，他每天早上去市场买鱼和白菜。\n"
    "天气很好，他的朋友说：“我们一起去山上吧！”（价格：￥１００……——《书》）\n"
    "因为不忙，所以大家都来了；还有 3 个人没有来？"
)
ZHT = "小明住在河邊的小鎮上，他每天早上去市場買魚和白菜。\n他的朋友說：「我們一起去山上吧！」"
SENTENCES = st.lists(
    st.sampled_from([*ZH.split("\n"), "他们说这是我的书。", "Python 3.11 很好用，我在用。", "OK"]),
    min_size=1,
).map("\n".join)


def as_browsers(raw: bytes) -> str:
    """Windows-1252, with the five bytes that it leaves out as control characters."""
    return "".join(
        bytes([byte]).decode("cp1252", "ignore") or chr(byte) for byte in raw
    )  # fmt: skip


def as_windows(text: str) -> str:
    """UTF-8 read as GBK the way that Windows does it, with 0x80 for the euro sign."""

    def euro(error: UnicodeError) -> tuple[str, int]:
        assert isinstance(error, UnicodeDecodeError)
        assert error.object[error.start] == 0x80, "this text loses bytes"
        return "€", error.start + 1

    codecs.register_error("euro", euro)
    return text.encode().decode("gb18030", "euro")


@given(st.one_of(st.text(st.characters()), st.text(st.characters(codec="cp1252")), SENTENCES))
@settings(max_examples=300, deadline=None)
def test_any_text_goes_through_and_what_is_not_mended_is_not_changed(text):
    mended, kind = mend(text)
    assert set(kind.split("+")) <= {*MENDINGS, ""}
    if not kind:
        assert mended == text


@given(SENTENCES)
@settings(deadline=None)
def test_utf8_read_as_latin1_comes_back_to_the_character(text):
    for damaged in (text.encode().decode("latin-1"), as_browsers(text.encode())):
        expected = "utf8_as_latin1" if damaged != text else ""
        assert mend(damaged) == (text, expected)


@given(SENTENCES)
@settings(deadline=None)
def test_gbk_read_as_latin1_comes_back_to_the_character(text):
    for damaged in (text.encode("gbk").decode("latin-1"), as_browsers(text.encode("gbk"))):
        expected = "gbk_as_latin1" if damaged != text else ""
        assert mend(damaged) == (text, expected)


@pytest.mark.parametrize(
    ("damaged", "text", "kind"),
    [
        ("鎴戜滑", "我们", "utf8_as_gbk"),
        ("ÎÒÃÇ", "我们", "gbk_as_latin1"),
        ("扂蠅腔汜魂", "我们的生活", "gbk_as_big5"),
        (as_windows("我们一个人的书和他"), "我们一个人的书和他", "utf8_as_gbk"),
        (
            "他们都是好人。\n" + as_windows("天气很好，他们都来了"),
            "他们都是好人。\n天气很好，他们都来了",
            "utf8_as_gbk",
        ),
        (ZHT.encode("big5").decode("latin-1"), ZHT, "big5_as_latin1"),
        (as_browsers(ZHT.encode("big5")), ZHT, "big5_as_latin1"),
        ("cafÃ© naÃ¯ve â€œyesâ€\x9d", "café naïve “yes”", "utf8_as_latin1"),
        (
            "“题目”，\næˆ‘ä»¬çš„ä¹¦\n：￥100……",
            "“题目”，\n我们的书\n：￥100……",
            "utf8_as_latin1",
        ),
        ("作者：æˆ‘ä»¬ï¼Œä»–ä»¬。《书》", "作者：我们，他们。《书》", "utf8_as_latin1"),
        (
            "他们都是好人。\n" + ZH.split("\n")[0].encode("gbk").decode("latin-1"),
            "他们都是好人。\n" + ZH.split("\n")[0],
            "gbk_as_latin1",
        ),
    ],
)
def test_what_is_mended(damaged, text, kind):
    assert mend(damaged) == (text, kind)
    assert mend(text) == (text, "")


@pytest.mark.parametrize(
    "text",
    [
        ZH,
        ZHT,
        "，。：；？！（）“”‘’……——￥《》「」·～①㎡⑥",
        "锟斤拷锟斤拷烫烫烫屯屯屯",
        "我们\ufffd\ufffd",
        "例如“鎴戜滑”就是把 UTF-8 当成 GBK 读出来的。",
        "乱码的例子：\nÎÒÃÇ\n以上是用错编码的结果，原文是两个字。",
        "It’s café… “é…” São Ça été créée, naïve; ÀÉÈÙ Å² CAFÉ® PERÚ»",
        "Größe: 20°±2°, 4288×…, ××××公司, «été», ½·¾",
        "涓涓细流，横浜，吴倩莲，锛子",
        "日本語の文章です。カタカナ、ひらがな。",
        "Ïðèâåò, ìèð",
        "浣犲ソ锛屼笘鐣\ufffd",
    ],
)
def test_sound_text_and_text_beyond_repair_stay(text):
    assert mend(text) == (text, "")


def test_half_a_repair_is_none():
    """Every other line has lost a byte: mending the rest would hide that from the quality rules."""
    lines = [line.encode().decode("gb18030", "replace") for line in ZH.split("\n")]
    assert any("\ufffd" in line for line in lines)
    text = "\n".join(lines)
    assert mend(text) == (text, "")


@pytest.mark.parametrize(
    "name", ["zh/zh_classical", "zh/zht_wiki_drcd", "zh/zh_lctt", "en/en_books"]
)
def test_real_pages_stay_and_their_damaged_copies_come_back(shared_data, name):
    with gzip.open(shared_data / "corpora" / f"{name}.jsonl.gz", "rt", encoding="utf-8") as file:
        texts = [json.loads(line)["text"] for _, line in zip(range(60), file, strict=False)]
    for text in texts:
        assert mend(text) == (text, "")
        if not name.startswith("zh/"):
            continue  # ftfy leaves single damaged letters (Å“conomy): too little to go by
        damaged = as_browsers(text[:2_000].encode())
        assert mend(damaged) == (text[:2_000], "utf8_as_latin1")
