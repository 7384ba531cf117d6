from __future__ import annotations

import subprocess
import sys
from itertools import pairwise

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from hanhua.text.languages import alphabets
from hanhua.text.languages.code_lines import part
from hanhua.text.languages.han import count_han
from hanhua.text.languages.language import Language, check_language, identify, split_by_language
from hanhua.text.scripts import profile

ZH = "小明住在河边的小镇上，他每天早上去市场买鱼和白菜。天气很好，他的朋友说：“我们一起去山上吧！”"
ZHT = (
    "小明住在河邊的小鎮上，他每天早上去市場買魚和白菜。天氣很好，他的朋友說：「我們一起去山上吧！」"
)
JA = "太郎は川のそばの小さな町に住んでいて、毎朝市場へ行って魚と野菜を買います。天気がいい日です。"
KO = "민수는 강가의 작은 마을에 살고 매일 아침 시장에 가서 생선과 채소를 삽니다. 날씨가 좋습니다."
EN = "Tom lives in a small town by the river. Every morning he goes to the market and buys fish."
FR = "Tom habite une petite ville au bord de la rivière. Chaque matin il va au marché pour le pain."
DE = "Tom wohnt in einer kleinen Stadt am Fluss. Jeden Morgen geht er auf den Markt und kauft Brot."
ES = "Tomás vive en un pueblo pequeño junto al río. Cada mañana va al mercado y compra pescado."
RU = "Том живёт в маленьком городе у реки. Каждое утро он ходит на рынок и покупает рыбу и хлеб."
UK = "Том живе в маленькому місті біля річки. Щоранку він ходить на ринок і купує рибу та хліб."
PYTHON = """\
import os

def sizes(folder):
    # how large each file is
    found = {}
    for name in os.listdir(folder):
        path = os.path.join(folder, name)
        found[name] = os.stat(path).st_size
    return found
"""
JAVASCRIPT = """\
const fs = require('fs');
export async function sizes(folder) {
  const found = {};
  for (const name of fs.readdirSync(folder)) {
    found[name] = fs.statSync(`${folder}/${name}`).size;
  }
  return found;
}
"""
HEADER = """\
/* Lengths of things, in bytes. This comment has many plain words and is no code at all. */
#ifndef SIZES_H
#define SIZES_H
struct sizes { int n; long *bytes; };
long total(const struct sizes *found);
#endif
"""
SAMPLES = {"zh": ZH, "ja": JA, "ko": KO, "en": EN, "fr": FR, "de": DE, "es": ES, "ru": RU, "uk": UK}


def name(text, **likely):
    return identify(text, profile(text), **likely)


@pytest.mark.parametrize(("code", "text"), SAMPLES.items())
def test_sentences_are_named(code, text):
    found = name(text)
    assert (found.code, found.sure) == (code, True)
    assert found.share == pytest.approx(1.0, abs=0.05)


@pytest.mark.parametrize(
    ("text", "tag"),
    [
        ("东京大学", "zh-Hans"), ("北京大學", "zh-Hant"), ("北京大学", "zh-Hans"),
        ("東京大学", "ja"), ("日本国憲法", "ja"), ("駅前の天気", "ja"), ("経済産業省", "ja"),
        ("東京大学の研究者", "ja"), ("研究者", "zh"), ("人山人海", "zh"), ("電話", "zh-Hant"),
        ("唔該晒，佢哋喺邊度呀", "zh-Hant"), ("我喜欢吃の味千拉面", "zh-Hans"),
        ("後來皇后說", "zh-Hant"), ("后来皇后说", "zh-Hans"), ("雪國の冬は寒い", "ja"),
        ("한국의 大學 이야기를 들었다", "ko"), ("", "other"), ("12345 !!!", "other"),
        (ZH[:20] + EN, "mixed"), ("ภาษาไทย", "th"), ("ᠮᠣᠩᠭᠣᠯ", "mn"),
    ],
)  # fmt: skip
def test_short_texts_are_named(text, tag):
    assert name(text).tag == tag


def test_an_expected_language_takes_what_speaks_for_none():
    assert name("東京").code == "zh"
    assert name("東京", likely="ja").code == "ja"
    assert name("東京的人", likely="ja").code == "ja"
    assert name("你們在東京", likely="ja").code == "zh"


def test_characters_are_counted_against_what_they_rule_out():
    found = count_han("学學学们駅a人")
    assert (found.not_hans, found.not_hant, found.not_ja) == (2, 4, 2)
    assert count_han("简体書體").variant == ""
    assert count_han("简体字和简体书，一个體").variant == "Hans"


@pytest.mark.parametrize("text", [PYTHON, JAVASCRIPT, HEADER, PYTHON * 50])
def test_program_code_is_code(text):
    assert name(text).code == "code"
    assert part(text).code_share > 0.8


@pytest.mark.parametrize(
    ("text", "tag"),
    [
        (f"{ZH}先写一个函数：\n\n{PYTHON}\n{ZH}最后运行它。", "zh-Hans"),
        (f"{EN}\n{EN}\n{EN}\n\n{PYTHON}\n{EN}\n{FR[:20]}", "en"),
        ("调用 os.path.join(a, b) 拼接路径，再用 os.stat(path) 读取大小即可。", "zh-Hans"),
        ("(a) the seller; (b) the buyer; (c) any other person (in writing); and (d) their heirs;",
         "en"),
    ],
)  # fmt: skip
def test_prose_with_code_in_it_keeps_its_language(text, tag):
    assert name(text).tag == tag


def test_comments_say_nothing():
    assert part(HEADER).code_share == 1.0
    assert part("/* open\n" + EN + "\n*/\nint x = f(y);").prose.strip() == ""
    assert part('"""One line of words that say what it does."""\nx = 1').code_share == 1.0


@pytest.mark.parametrize(
    ("text", "declared", "found"),
    [
        (ZH, "zh", None), (ZHT, "zh", None), (ZH, "zh-Hans", None), (ZH, "zh-CN", None),
        (ZHT, "zh-Hant", None), (ZHT, "zh_TW", None), (ZHT, "yue", None),
        (ZHT, "zh-Hans", "zh-Hant"), (ZH, "zh-HK", "zh-Hans"), (JA, "zh", "ja"),
        (ZH, "ja", "zh-Hans"),
        (JA, "ja", None), ("東京都", "ja", None), (EN, "en", None), (EN, "en-GB", None),
        (FR, "en", "fr"), (EN, "fr", "en"), (FR, "fr", None), (RU, "uk", "ru"), (UK, "uk", None),
        (EN, "zh", "en"), (ZH, "en", "zh-Hans"), (PYTHON, "en", None), (PYTHON, "zh", "code"),
        (EN, "xx", None), ("123", "zh", "other"), ("OK", "fr", None), ("Hello", "de", None),
        ("Tom river market friend morning weather hill school teacher", "en", None),
        (ZH[:12] + EN * 3, "zh", "en"),
    ],
)  # fmt: skip
def test_a_document_is_held_to_its_declared_language(text, declared, found):
    drop = check_language(profile(text), declared, 0.3, text=text)
    assert (drop.value if drop else None) == found


def test_too_little_of_the_declared_script_is_mixed():
    text = f"{ZH[:10]}\n{PYTHON}\n{PYTHON}"
    drop = check_language(profile(text), "zh", 0.3, text=text)
    assert (drop.reason, drop.value) == ("language", "code")
    text = f"{ZH}\n{ZH}\n{PYTHON}"
    assert name(text).code == "zh"
    assert check_language(profile(text), "zh", 0.9, text=text).value == "mixed"


def test_close_languages_are_not_refused_as_each_other():
    da = "Tom bor i en lille by ved floden. Hver morgen går han på markedet og køber fisk og brød."
    assert name(da).code in ("da", "no")
    assert check_language(profile(da), "nb", 0.3, text=da) is None
    assert check_language(profile(da), "sv", 0.3, text=da).value in ("da", "no")


def test_long_texts_are_read_in_stretches():
    text = f"{FR} " * 100
    assert sum(map(len, alphabets.slices(text))) == 360
    assert name("1. 2. 3. " * 50 + text).code == "fr"
    assert name(f"{DE} " * 10 + text).code == "fr"
    half = f"{DE} " * 100 + text
    assert name(half).code == "mixed"
    assert check_language(profile(half), "fr", 0.3, text=half) is None


def test_without_the_model_little_words_decide():
    """In a process of its own, where py3langid cannot be imported."""
    script = f"""
import sys
sys.modules["py3langid"] = None
from hanhua.text.languages.language import check_language, identify
from hanhua.text.scripts import profile
for text in {[EN, FR, DE, ES, RU, UK, ZH, "Hello"]!r}:
    found = identify(text, profile(text))
    print(found.code, found.sure)
"""
    done = subprocess.run(
        [sys.executable, "-c", script], capture_output=True, text=True, check=True
    )
    rows = done.stdout.split("\n")[:-1]
    assert [row.split()[0] for row in rows] == ["en", "fr", "de", "es", "ru", "uk", "zh", "en"]
    assert rows[0] == "en True"
    assert rows[-1] == "en False"


def test_a_bilingual_page_is_parted():
    text = f"一、开始\n\n{ZH}\n\n{EN}\n\n2. Results\n\n{EN}\n\n{ZHT}\n\n{FR}\n"
    pieces = split_by_language(text, profile(text), ["zh", "en"])
    assert [language.code for language, _ in pieces] == ["zh", "en", "zh", "fr"]
    assert [language.tag for language, _ in pieces][::2] == ["zh-Hans", "zh-Hant"]
    assert pieces[0][1] == f"一、开始\n\n{ZH}\n\n"
    assert pieces[1][1] == f"{EN}\n\n2. Results\n\n{EN}\n\n"
    assert "".join(piece for _, piece in pieces) == text


def test_lines_count_where_no_line_is_blank():
    text = "\n".join([ZH, EN, ZH, EN])
    pieces = split_by_language(text, profile(text), ["zh", "en"])
    assert [piece for _, piece in pieces] == [ZH + "\n", EN + "\n", ZH + "\n", EN]
    text = f"{ZH}\n{EN}\n\n{ZH}\n{EN}"
    assert len(split_by_language(text, profile(text), ["zh", "en"])) == 4


def test_code_stays_with_its_page_unless_it_is_asked_for():
    text = f"{ZH}\n\n{PYTHON.replace(chr(10) * 2, chr(10))}\n\n{ZH}"
    assert len(split_by_language(text, profile(text), ["zh"])) == 1
    codes = [x.code for x, _ in split_by_language(text, profile(text), ["zh", "code"])]
    assert codes == ["zh", "code", "zh"]


def test_what_says_nothing_goes_with_its_neighbours():
    text = "1.\n\nOK\n\n" + ZH + "\n\n2.\n\nHello\n"
    [(language, piece)] = split_by_language(text, profile(text), ["zh", "en"])
    assert (language.tag, piece) == ("zh-Hans", text)
    assert split_by_language("", profile(""), ["zh"]) == []
    assert split_by_language("1\n\n2", profile("1\n\n2"), []) == [
        (Language("other", share=0.0), "1\n\n2")
    ]


PARTS = st.lists(
    st.sampled_from([ZH, ZHT, JA, KO, EN, FR, PYTHON, "1.", "OK", "图1", "\n", "\n\n", "\r\n"]),
    max_size=12,
)  # fmt: skip


@settings(max_examples=60)
@given(PARTS, st.sampled_from([("zh", "en"), ("ja",), ()]))
def test_pieces_make_up_the_text(parts, languages):
    text = "".join(parts)
    pieces = split_by_language(text, profile(text), languages)
    assert "".join(piece for _, piece in pieces) == text
    codes = [language.code for language, _ in pieces]
    assert all(a != b for a, b in pairwise(codes))


@settings(max_examples=200)
@given(st.text(max_size=60), st.sampled_from(["zh", "zh-Hant", "ja", "en", "sr", "mn"]))
def test_any_text_has_a_name(text, declared):
    found = name(text)
    assert 0.0 <= found.share <= 1.0 + 1e-9
    assert found.variant in ("", "Hans", "Hant")
    assert found.code == "zh" or not found.variant
    drop = check_language(profile(text), declared, 0.0, text=text)
    assert drop is None or drop.value not in ("mixed", "code", declared)


@given(st.sampled_from([ZH, ZHT, JA, KO]), st.integers(12, 44))
def test_the_beginning_of_a_sentence_is_enough(text, chars):
    expected = name(text)
    found = name(text[:chars])
    assert (found.code, found.variant) == (expected.code, expected.variant)
