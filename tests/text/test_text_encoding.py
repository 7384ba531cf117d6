"""Encodings of files and of single lines in them."""

from __future__ import annotations

import csv
import gzip
import io
import json
from itertools import islice

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from hanhua.core.errors import InputError
from hanhua.text.readers.encoding import find_encoding, rescue, widest
from hanhua.text.readers.formats import Mended, ReadOptions, read_values
from hanhua.text.readers.read import read_records

ZH = (
    "我们一起去山上吧！他说：“好的，那就明天早上在河边的市场见面。”老人们坐在树下，讲过去的事情给孩子们听，"
    "天气好的时候也去山里采茶。这条小河从山里流出来，经过我们的村子，一直流到大海。"
)
HANT = (
    "我們一起去山上吧！他說：「好的，那就明天早上在河邊的市場見面，這是我們的學校。」老人們坐在樹下，講過去的事情"
    "給孩子們聽，天氣好的時候也去山裡採茶，這條小河從山裡流出來。"
)
HK = "佢哋琴日喺香港食咗嘢，啲餸好好味，唔使畀咁多錢㗎，你哋係咪都想去嗰度食呀？"
JA = (
    "私たちは明日の朝、市場へ行って魚と野菜を買います。"
    "天気がとても良いので、友だちと山にも登るつもりです。"
)
KO = (
    "우리는 내일 아침 시장에 가서 생선과 채소를 살 것입니다. "
    "날씨가 아주 좋아서 친구와 산에도 올라갑니다."
)
EN = "We go up the hill, “quoted”, and come back by the river."
FR = "Le café était fermé ; l’été, on s’y retrouvait près de la forêt, à côté du théâtre."


def content(text, kind):
    if kind == "jsonl":
        return (json.dumps({"text": text}, ensure_ascii=False) + "\n") * 3, [text] * 3
    if kind == "csv":
        out = io.StringIO(newline="")
        csv.writer(out, lineterminator="\n").writerows([["text"], *[[text]] * 3])
        return out.getvalue(), [text] * 3
    return ("\n".join([text] * 3), [text] * 3) if kind == "lines" else (text, [text])


@pytest.mark.parametrize(
    ("text", "encoding"),
    [
        (ZH, "utf-8"), (ZH, "utf-8-sig"), (ZH, "utf-16"), (ZH, "utf-16-le"), (ZH, "utf-16-be"),
        (ZH, "utf-32"), (ZH, "gb18030"), (ZH, "gbk"), (HANT, "gb18030"), (HANT, "gbk"),
        (HANT, "big5"), (HANT, "cp950"), (HK, "big5hkscs"), (HANT, "utf-16-le"), (JA, "cp932"),
        (JA, "shift_jis"), (JA, "euc_jp"), (KO, "euc_kr"), (KO, "cp949"), (EN, "cp1252"),
        (FR, "latin-1"), (FR, "cp1252"), (EN, "utf-16-le"), ("plain ascii", "ascii"),
    ],
)  # fmt: skip
@pytest.mark.parametrize("kind", ["txt", "lines", "jsonl", "csv"])
def test_encodings_are_found(tmp_path, text, encoding, kind):
    if encoding == "latin-1":
        text = text.replace("’", "'")
    path = tmp_path / f"a.{'txt' if kind == 'lines' else kind}"
    written, expected = content(text, kind)
    path.write_bytes(written.encode(encoding))
    found = list(read_records(path, ReadOptions(txt="line" if kind == "lines" else "file")))
    assert [r.text for r in found] == expected
    assert not any(r.note for r in found)


PAIRS = [
    (ZH, "gb18030"), (ZH, "gbk"), (HANT, "gb18030"), (HANT, "big5"), (HK, "big5hkscs"),
    (ZH, "utf-16-le"), (ZH, "utf-16-be"), (HANT, "utf-16-be"), (JA, "cp932"), (JA, "euc_jp"),
    (KO, "cp949"), (FR, "cp1252"), (ZH, "utf-8"),
]  # fmt: skip


@given(st.sampled_from(PAIRS), st.integers(0, 200), st.integers(20, 60))
@settings(deadline=None, max_examples=300)
def test_a_sentence_is_enough(pair, start, length):
    text, encoding = pair
    part = text[start % (len(text) - 20) :][:length]
    data = part.encode(encoding)
    if not data.isascii():
        assert data.decode(find_encoding(data)) == part


def test_real_text_of_a_few_words_is_told(shared_data):
    told, wrong = 0, []
    for name, encodings in (
        ("zh_news", ("gbk", "gb18030", "utf-16-le", "utf-16-be")), ("zh_ugc", ("gbk",)),
        ("zht_wiki_drcd", ("big5hkscs", "gb18030", "utf-16-le")),
    ):  # fmt: skip
        with gzip.open(shared_data / f"corpora/zh/{name}.jsonl.gz", "rt", encoding="utf-8") as file:
            texts = [json.loads(line)["text"][40:55] for line in islice(file, 200)]
        for encoding in encodings:
            for text in texts:
                data = text.encode(encoding, "ignore")
                if data.isascii():
                    continue
                told += 1
                try:
                    right = data.decode(find_encoding(data)) == data.decode(encoding)
                except (InputError, UnicodeDecodeError):
                    right = False
                wrong += [] if right else [(encoding, text)]
    assert told > 1200
    assert len(wrong) < 0.02 * told, wrong[:5]


@pytest.mark.parametrize("encoding", ["utf-8", "gb18030", "big5", "cp932"])
@pytest.mark.parametrize("kind", ["txt", "lines", "jsonl", "csv"])
def test_the_first_letter_past_ascii_may_come_late(tmp_path, encoding, kind):
    text = {"big5": HANT, "cp932": JA}.get(encoding, ZH)
    early = "Only plain English for a long while, line after line of it." * 40
    path = tmp_path / f"a.{'txt' if kind == 'lines' else kind}"
    lines = [early] * 800 + [text] * 3
    if kind == "jsonl":
        written = "".join(json.dumps({"text": t}, ensure_ascii=False) + "\n" for t in lines)
    else:
        written = "".join(f"{t}\n" for t in (["text"] if kind == "csv" else []) + lines)
    if kind == "csv":
        written = written.replace(",", "_").replace(text.replace(",", "_"), text)
    path.write_bytes(written.encode(encoding))
    assert len(early) * 800 > 1 << 20
    found = list(read_records(path, ReadOptions(txt="line" if kind == "lines" else "file")))
    assert found[-1].text.rstrip("\n").endswith(text)
    assert not any(r.note or r.problem for r in found)


def test_a_stray_quotation_mark_does_not_decide_for_the_file(tmp_path):
    path = tmp_path / "a.jsonl"
    stray = '{"text": "it\x92s early"}\n'.encode("latin-1") + b'{"text": "plain"}\n' * 40_000
    rest = "".join(json.dumps({"text": ZH}, ensure_ascii=False) + "\n" for _ in range(3)).encode()
    path.write_bytes(stray + rest)
    found = list(read_records(path))
    assert [r.text for r in found[-3:]] == [ZH] * 3
    assert (found[0].text, found[0].note) == ("it’s early", "re_encoded")
    assert len(found) == 40_004


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
    for text, encoding in (
        ("Мы пойдём завтра утром на рынок у реки, чтобы купить рыбу.", "koi8-r"),
        ("Мы пойдём завтра утром на рынок у реки, чтобы купить рыбу.", "cp1251"),
        ("พรุ่งนี้เช้าเราจะไปตลาดริมแม่น้ำเพื่อซื้อปลาและผัก", "cp874"),
    ):
        with pytest.raises(InputError, match="no text in an encoding we know"):
            find_encoding(text.encode(encoding))


def test_a_line_in_another_encoding_is_saved_and_told(tmp_path):
    path = tmp_path / "a.jsonl"
    line = json.dumps({"text": ZH}, ensure_ascii=False)
    encodings = ["utf-8", "gb18030", "utf-8", "utf-8"]
    broken = line.encode()[:40] + b"\xff" + line.encode()[40:]
    path.write_bytes(b"\n".join([*(line.encode(e) for e in encodings), broken]) + b"\n")
    found = list(read_records(path))
    assert [r.text for r in found] == [ZH] * 4 + [None]
    assert [r.note for r in found] == ["", "re_encoded", "", "", ""]
    assert found[4].problem == "broken_encoding"
    assert r"\xff" in found[4].found
    values = [value for _, value in read_values(path, ReadOptions(mend=True))]
    assert [type(v) for v in values[:2]] == [dict, Mended]
    assert [type(v).__name__ for _, v in read_values(path)][:2] == ["dict", "Broken"]


def test_utf8_lines_in_a_chinese_file_are_saved_too(tmp_path):
    path = tmp_path / "a.txt"
    path.write_bytes(b"\n".join(ZH.encode(e) for e in ("gbk", "gbk", "utf-8", "gbk")))
    found = list(read_records(path, ReadOptions(txt="line")))
    assert [(r.text, r.note) for r in found] == [
        (ZH, ""), (ZH, ""), (ZH, "re_encoded"), (ZH, ""),
    ]  # fmt: skip
    [whole] = read_records(path)
    assert whole.text.count(ZH) >= 3


def test_mostly_ascii_with_damage_costs_its_lines(tmp_path):
    path = tmp_path / "a.jsonl"
    damaged = b'{"text": "\xff\xff\xff"}\n'
    path.write_bytes(damaged * 3 + b'{"text": "plain"}\n')
    problems = ["broken_encoding"] * 3 + [""]
    assert [r.problem for r in read_records(path)] == problems
    path.write_bytes(damaged * 9)
    assert [r.problem for r in read_records(path)] == ["broken_encoding"] * 9
    path.write_bytes(damaged * 10)
    with pytest.raises(InputError, match=r"No record[\s\S]*decoded[\s\S]*10 records"):
        list(read_records(path))


@given(st.text(min_size=1, max_size=80), st.binary(min_size=1, max_size=4), st.integers(0, 80))
@settings(deadline=None)
def test_rescue_gives_whole_text_or_none(text, noise, place):
    data = text.encode("utf-8", "replace")
    saved = rescue(data[:place] + noise + data[place:], "utf-8")
    assert saved is None or "\ufffd" not in saved or "\ufffd" in text


def test_names_of_encodings_are_widened():
    assert widest("GB2312") == widest("gbk") == "gb18030"
    assert widest("Big5") == "big5hkscs"
    assert widest("ISO-8859-1") == "cp1252"
    for wrong in ("utf-99", "base64"):
        with pytest.raises(LookupError):
            widest(wrong)


def test_a_declared_encoding_is_taken_and_its_mark_goes(tmp_path):
    path = tmp_path / "a.txt"
    for encoding in ("gb2312", "utf-16-le", "utf-8"):
        mark = "" if encoding == "gb2312" else "\ufeff"
        path.write_bytes((mark + ZH).encode(encoding))
        assert [r.text for r in read_records(path, ReadOptions(encoding=encoding))] == [ZH]
