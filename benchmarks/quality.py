"""What the quality rules keep of decent text, what they drop of junk, and how fast.

Decent text: the shared corpora, source by source, laws to verse. Junk: kinds made here from word
lists and from spoilt decent text, and real pages with their mark-up, scripts and menus. Documents
are parted by a hash of their id: thresholds were chosen on one part, the page reports the other.

    python benchmarks/quality.py [--quick] [--part reported] [--docs 2000] [--out PAGE.md]

``--quick`` reads the texts of the built-in demo alone, in seconds. Prints the page, and one line of
JSON last.
"""

from __future__ import annotations

import argparse
import base64
import gzip
import hashlib
import html
import json
import math
import os
import platform
import random
import re
import string
import time
from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from datetime import date
from pathlib import Path
from typing import Any

import numpy

from hanhua.text.languages.language import check_language
from hanhua.text.quality.boilerplate import clean_lines
from hanhua.text.quality.facts import Facts
from hanhua.text.quality.rules import active_rules, check_length, check_quality
from hanhua.text.quality.scorer import Scorer, train_scorer
from hanhua.text.quality.thresholds import default_thresholds
from hanhua.text.rewrite.normalise import normalise
from hanhua.text.scripts import profile

ROOT = Path(__file__).parents[1]
DATA = Path(os.environ.get("HANHUA_DATA", ROOT / ".." / "shared" / "data"))
DEMO = ROOT / "src/hanhua/demo/data"
MIN_CHARS = 20
JUNK_DOCS = 300
PASSES = 7
Texts = dict[str, list[tuple[str, str]]]
"""Name of a set -> its documents, each with its id."""
Maker = Callable[[random.Random, str], str]
"""From a source of chance and a decent text to a document of junk."""


def main() -> None:
    options = _options()
    found: dict[str, Any] = {}
    for language in ("zh", "en"):
        good = good_texts(language, options)
        bad = junk_texts(language, good, options)
        found[language] = {
            "good": {name: judge(texts, language) for name, texts in good.items()},
            "junk": {name: judge(texts, language) for name, texts in bad.items()},
            "lines": {name: lines(texts, language) for name, texts in good.items()},
            "score": score(good, bad),
            "learned": learned(language, good, bad, options),
            "speed": speed([text for texts in good.values() for _, text in texts], language),
        }
    if not options.quick:
        found["pages"] = page_lines()
    page = "\n".join(report(found, options)) + "\n"
    if options.out:
        options.out.write_text(page, encoding="utf-8")
    print(page)
    print(json.dumps(found, ensure_ascii=False))


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--quick", action="store_true", help="seconds, built-in texts only")
    parser.add_argument("--part", choices=("reported", "chosen"), default="reported",
                        help="chosen: those that the thresholds were chosen on")  # fmt: skip
    parser.add_argument("--docs", type=int, default=2_000, help="documents a source at most")
    parser.add_argument("--out", type=Path, help="write the page here")
    return parser.parse_args()


# What is judged


def in_part(identifier: str, part: str) -> bool:
    """Half of all documents, by a hash of their id."""
    return hashlib.sha256(identifier.encode()).digest()[0] % 2 == (part == "reported")


def read(path: Path) -> list[dict[str, Any]]:
    with gzip.open(path, "rt", encoding="utf-8") as file:
        return [json.loads(line) for line in file]


def good_texts(language: str, options: argparse.Namespace) -> Texts:
    """Source -> documents of MIN_CHARS characters at least, in the order of their hashes."""
    if options.quick:
        paths = [DEMO / f"{language}.jsonl.gz"]
    else:
        paths = sorted((DATA / "corpora" / language).glob("*.jsonl.gz"))
        paths.append(DATA / "dirty" / "raw_markdown.jsonl.gz")
    found: Texts = {}
    for path in paths:
        rows = [row for row in read(path) if row.get("lang", language).startswith(language)]
        texts = [(str(row.get("id", n)), normalise(row["text"])) for n, row in enumerate(rows)]
        if len(rows) > 100:
            texts = [pair for pair in texts if in_part(pair[0], options.part)]
        texts = [pair for pair in texts if len(pair[1]) >= MIN_CHARS]
        texts.sort(key=lambda pair: hashlib.sha256(pair[0].encode()).digest())
        most = 400 if options.quick else options.docs
        found[path.name.removesuffix(".jsonl.gz")] = texts[:most]
    return {name: texts for name, texts in found.items() if texts}


def junk_texts(language: str, good: Texts, options: argparse.Namespace) -> Texts:
    """Kind of junk -> documents; made ones from a seed of the kind, language and part."""
    every = [text for texts in good.values() for _, text in texts[:400]]
    pool = [text for text in every if len(text) >= 300] or ["\n".join(every)]
    found: Texts = {}
    for kind, maker in {**SPOILT, **(MADE_ZH if language == "zh" else MADE_EN)}.items():
        rng = random.Random(f"{kind}/{language}/{options.part}")
        amount = 60 if options.quick else JUNK_DOCS
        texts = [normalise(maker(rng, rng.choice(pool))) for _ in range(amount)]
        found[kind] = [(f"{kind}/{n}", t) for n, t in enumerate(texts) if len(t) >= MIN_CHARS]
    if not options.quick:
        for kind, pages in real_junk(language).items():
            found[kind] = [(i, text) for i, text in pages if in_part(i, options.part)]
    return found


# Junk made from decent text


def _window(rng: random.Random, text: str, low: int = 200, high: int = 3_000) -> str:
    size = rng.randint(low, high)
    start = rng.randint(0, max(len(text) - size, 0))
    return text[start : start + size]


def _in_one_line(rng: random.Random, text: str, low: int, high: int) -> str:
    return " ".join(_window(rng, text, low, high).split())


def _repeated_lines(rng: random.Random, text: str) -> str:
    found = [line for line in text.split("\n") if line.strip()][:40]
    some = rng.sample(found, min(len(found), rng.randint(2, 6)))
    return "\n".join(rng.choices(some, k=len(some) * rng.randint(3, 8)))


def _repeated_passage(rng: random.Random, text: str) -> str:
    """One passage over and over, within one line, as models and templates leave it."""
    passage = _in_one_line(rng, text, 20, 120)
    return _in_one_line(rng, text, 100, 300) + passage * rng.randint(8, 30)


def _wrong_codec(written: str, wrongly_read: str) -> Maker:
    def spoil(rng: random.Random, text: str) -> str:
        return _window(rng, text).encode(written, "ignore").decode(wrongly_read, "ignore")

    return spoil


def _lost_characters(rng: random.Random, text: str) -> str:
    """U+FFFD in place of every tenth character or so."""
    share = rng.uniform(0.03, 0.3)
    return "".join("\ufffd" if rng.random() < share else c for c in _window(rng, text))


def _no_punctuation(rng: random.Random, text: str) -> str:
    """Letters, digits and spaces alone, in one line."""
    return "".join(c for c in _window(rng, text, 600, 3_000) if c.isalnum() or c == " ")


def _base64(rng: random.Random, text: str) -> str:
    data = base64.b64encode(_window(rng, text, 600, 3_000).encode()).decode()
    width = rng.choice((64, 76, len(data)))
    return "\n".join(data[i : i + width] for i in range(0, len(data), width))


def _rows(rng: random.Random, low: int, high: int, row: Callable[[int], str]) -> str:
    return "\n".join(row(n) for n in range(rng.randint(low, high)))


def _hex(rng: random.Random, _: str) -> str:
    return _rows(rng, 12, 80, lambda n: f"{16 * n:08x}  {rng.randbytes(16).hex(' ')}")


def _log(rng: random.Random, _: str) -> str:
    parts = ("worker", "http", "db", "cache", "scheduler")
    return _rows(rng, 12, 80, lambda n: (
        f"2023-0{n % 9 + 1}-{rng.randint(10, 28)} {rng.randint(10, 23)}:{rng.randint(10, 59)}:"
        f"{rng.randint(10, 59)},{rng.randint(100, 999)} [{rng.choice(('INFO', 'WARN', 'ERROR'))}] "
        f"{rng.choice(parts)}-{rng.randint(1, 32)} id={rng.getrandbits(48):x} "
        f"t={rng.randint(1, 9000)}ms ip=10.{rng.randint(0, 255)}.{rng.randint(0, 255)}.{n}"
    ))  # fmt: skip


def _figures(rng: random.Random, _: str) -> str:
    def row(_: int) -> str:
        cells = (rng.uniform(0, 10 ** rng.randint(1, 5)) for _ in range(rng.randint(4, 9)))
        return " ".join(f"{cell:.{rng.randint(0, 3)}f}" for cell in cells)

    return _rows(rng, 10, 60, row)


_SCRIPT = (
    "var {0}={1}||{{}};", "function {0}({1}){{return {1}.{2}({0})}}", "if(!{0}){{{1}={2}[0]}}",
    "{0}.addEventListener('{1}',function({2}){{{0}({2})}});", "{0}=document.getElementById('{1}');",
    "for(var {0}=0;{0}<{1}.length;{0}++){{{2}({0})}}", ".{0}{{margin:0;padding:{1}px;top:{2}}}",
)  # fmt: skip


def _script(rng: random.Random, _: str) -> str:
    """Minified JavaScript, made up."""
    names = ["".join(rng.choices(string.ascii_letters, k=rng.randint(1, 3))) for _ in range(30)]
    return "".join(
        rng.choice(_SCRIPT).format(*rng.choices(names, k=3)) for _ in range(rng.randint(20, 90))
    )


SPOILT: dict[str, Maker] = {
    "repeated lines": _repeated_lines, "repeated passage": _repeated_passage,
    "lost characters": _lost_characters, "no punctuation": _no_punctuation, "base64": _base64,
    "hex dump": _hex, "log lines": _log, "table of figures": _figures, "minified script": _script,
}  # fmt: skip


# Junk in Chinese

NOUNS = (
    "水管 阀门 不锈钢 橡胶 轴承 电缆 螺丝 法兰 水泵 风机 锅炉 空压机 过滤器 传感器 变压器 电机 "
    "减速机 输送带 托盘 货架 叉车 起重机 打包机 封口机 搅拌机 切割机 焊机 模具 铸件 钢管 角钢 铝材 "
    "铜排 玻璃 瓷砖 地板 门窗 涂料 防水 保温 手机壳 充电器 耳机 键盘 鼠标 显示器 打印机 路由器 "
    "硬盘 内存 连衣裙 羽绒服 运动鞋 皮带 钱包 背包 手表 项链 耳环 面膜"
).split()
CITIES = (
    "上海 北京 广州 深圳 杭州 南京 武汉 成都 重庆 西安 天津 苏州 郑州 长沙 沈阳 青岛 宁波 东莞 "
    "合肥 福州"
).split()
TRADES = (
    "搬家公司 开锁公司 装修公司 家政公司 管道疏通 空调维修 月嫂 驾校 二手车 律师 翻译公司 网站建设 "
    "保洁"
).split()
MENU = (
    "首页 新闻 国内 国际 体育 财经 股票 娱乐 科技 手机 汽车 房产 教育 健康 旅游 视频 图片 论坛 "
    "博客 登录 注册 关于我们 联系我们 网站地图 产品中心 解决方案 公司简介 成功案例 人才招聘 "
    "在线留言 友情链接 帮助中心 会员中心 购物车 收藏本站 设为首页 手机版 客户端 RSS订阅 热门推荐 "
    "最新文章 排行榜 上一页 下一页 尾页 返回顶部 隐私政策 服务条款 广告服务 意见反馈"
).split()
LEVEL_1 = "".join(
    bytes((a, b)).decode("gb2312", "ignore") for a in range(0xB0, 0xD8) for b in range(0xA1, 0xFF)
)
"""The 3,755 commonest simplified characters."""


def _keywords_zh(rng: random.Random, _: str) -> str:
    def keyword() -> str:
        ends = ("", "厂家", "价格", "批发", "图片")
        return rng.choice(("", rng.choice(CITIES))) + rng.choice(NOUNS) + rng.choice(ends)

    mark = rng.choice((" ", "、", ",", "|", "，", "\n", "_"))
    return mark.join(keyword() for _ in range(rng.randint(60, 300)))


def _random_han(rng: random.Random, _: str) -> str:
    return "".join(
        "".join(rng.choices(LEVEL_1, k=rng.randint(4, 16))) + rng.choice("，，。、？\n")
        for _ in range(rng.randint(20, 150))
    )


def _menu_zh(rng: random.Random, _: str) -> str:
    some = rng.sample(MENU, rng.randint(16, 44))
    return rng.choice(("\n", "\n", " | ", " ", " > ")).join(some)


_STUFFED_ZH = (
    "{0}哪家好？|{0}电话多少，|专业{0}，|找{0}就来我们这里，|{0}价格便宜。|{0}收费标准，|正规{0}推荐，|"
    "附近的{0}有哪些？|{0}为您服务，|我们是{0}中的佼佼者，|选择{0}要看口碑。|{0}24小时上门，"
)
_STUFFED_EN = (
    "{0} is the best choice. |Find {0} here. |{0} for sale, |looking for {0}? |"
    "our {0} offers {0}. |get {0} now. "
)


def _stuffed(key: Callable[[random.Random], str], forms: str) -> Maker:
    """One keyword in every clause, as pages for search engines have it."""

    def make(rng: random.Random, _: str) -> str:
        word, frames = key(rng), forms.split("|")
        return "".join(rng.choice(frames).format(word) for _ in range(rng.randint(30, 150)))

    return make


def _spam(words: str, forms: str) -> Maker:
    """Clauses of an advertisement, at times behind a piece of decent text."""
    terms, frames = words.split(), forms.split("|")

    def make(rng: random.Random, text: str) -> str:
        clauses = [
            rng.choice(frames).format(rng.choice(terms), rng.choice(terms))
            for _ in range(rng.randint(12, 60))
        ]
        decoy = _in_one_line(rng, text, 20, 200) if rng.random() < 0.3 else ""
        number = f"微信{rng.randint(10**7, 10**8)}" if rng.random() < 0.5 else ""
        return decoy + "".join(clauses) + number

    return make


ADS = {
    "gambling": _spam(
        "百家乐 真人娱乐 时时彩 六合彩 北京赛车 老虎机 棋牌游戏 体育投注 博彩平台 澳门金沙 新葡京 "
        "电子游艺 捕鱼游戏 德州扑克 龙虎斗 轮盘",
        "{0}注册送28元，|{0}开户送彩金，|最新{0}平台，|{0}官网信誉第一，|{0}{1}技巧，|玩{0}就上{1}娱乐城，|"
        "{0}投注稳赚，|首存送100%，|返水高达1.2%，|{0}在线开奖。",
    ),
    "papers": _spam(
        "发票 增值税发票 餐饮发票 住宿发票 建筑发票 毕业证 学位证 驾驶证 身份证 结婚证 房产证 "
        "营业执照 资格证 刻章 公章",
        "代开{0}，|办理{0}，|专业代开{0}{1}，|{0}办理联系电话，|本公司长期代开{0}，|{0}包真可查，|"
        "正规{0}先验后付，|加微信办{0}，|诚信办证{0}，|{0}价格优惠。",
    ),
    "adult": _spam(
        "成人电影 激情视频 同城约炮 裸聊 一夜情 学生妹 黄片 无码 三级片 国产自拍 外围女 上门服务 "
        "成人网站 情色小说",
        "免费{0}在线观看，|{0}{1}高清无码，|最新{0}下载，|{0}视频大全，|点击进入{0}，|{0}全套服务，|"
        "24小时{0}，|加QQ看{0}，|{0}中文字幕，|{0}百度云。",
    ),
    "loans": _spam(
        "无抵押贷款 小额贷款 信用卡套现 花呗套现 信用贷款 网贷 车贷 房贷 黑户贷款 急用钱 资金周转 "
        "信用卡代还",
        "{0}当天放款，|{0}秒到账，|办理{0}找我，|{0}低息{1}，|{0}无需征信，|黑户白户均可{0}，|"
        "{0}加微信，|专业{0}，|{0}额度高，|正规{0}咨询热线，|{0}立即申请。",
    ),
    "shop": _spam(
        "羽绒服 运动鞋 名牌手表 面膜 减肥药 增高鞋 丰胸产品 充电宝 蓝牙耳机 茶叶 白酒 手串 香烟 "
        "保健品 护肤品",
        "{0}厂家直销，|{0}全网最低价，|{0}包邮，|正品{0}，|{0}限时抢购，|{0}免费领取，|诚招{0}代理，|"
        "{0}货到付款，|加微信买{0}，|{0}量大从优，|{0}扫码领取优惠券，|立即购买{0}。",
    ),
}


def _contents_zh(rng: random.Random, text: str) -> str:
    """A table of contents, dotted to the page number."""
    words = re.findall("[\u4e00-\u9fff]{3,10}", text) or ["概述"]
    return _rows(rng, 14, 60, lambda n: (
        f"第{n + 1}章 {rng.choice(words)}{'.' * rng.randint(8, 40)}{n * 7}"
    ))  # fmt: skip


def _directory_zh(rng: random.Random, _: str) -> str:
    """Firms with address and telephone."""
    return _rows(rng, 12, 60, lambda n: (
        f"{rng.choice(CITIES)}市{''.join(rng.choices(LEVEL_1, k=2))}{rng.choice(NOUNS)}有限公司 "
        f"0{rng.randint(10, 99)}-{rng.randint(10**7, 10**8)} 1{rng.randint(3 * 10**9, 9 * 10**9)} "
        f"{rng.choice(CITIES)}市{''.join(rng.choices(LEVEL_1, k=2))}路{rng.randint(1, 999)}号{n}室"
    ))  # fmt: skip


MADE_ZH: dict[str, Maker] = {
    "UTF-8 read as GBK": _wrong_codec("utf-8", "gbk"),
    "GBK read as Latin-1": _wrong_codec("gb18030", "latin-1"),
    "keyword list": _keywords_zh, "random Han": _random_han, "menu": _menu_zh,
    "stuffed for search": _stuffed(lambda r: r.choice(CITIES) + r.choice(TRADES), _STUFFED_ZH),
    **{f"ads: {kind}": maker for kind, maker in ADS.items()},
    "table of contents": _contents_zh, "directory": _directory_zh,
}  # fmt: skip


# Junk in English

WORDS_EN = (
    "garden hose pump valve steel pipe bearing cable screw flange blower boiler filter sensor "
    "motor pallet rack forklift crane mixer cutter mold casting copper glass tile floor window "
    "paint phone case charger headset keyboard mouse monitor printer router memory dress jacket "
    "shoes belt wallet backpack watch necklace earring mask cheap best price online buy sale "
    "discount"
).split()
MENU_EN = (
    "Home|About Us|Contact|Products|Services|News|Blog|Login|Register|My Account|Cart|Checkout|"
    "Search|Help|FAQ|Careers|Press|Privacy Policy|Terms of Service|Sitemap|Facebook|Twitter|"
    "Instagram|YouTube|Subscribe|Newsletter|World|Politics|Business|Sports|Technology|Science|"
    "Health|Travel|Style|Video|Photos|Forum|Store|Downloads|Events|Gallery|Support|Next|Previous|"
    "Share"
).split("|")
LOREM = (
    "dolor sit amet consectetur adipiscing elit sed do eiusmod tempor incididunt ut labore et "
    "dolore magna aliqua ut enim ad minim veniam quis nostrud exercitation ullamco laboris nisi"
).split()


def _keywords_en(rng: random.Random, _: str) -> str:
    mark = rng.choice((", ", " ", " | ", "; ", "\n"))
    pairs = (" ".join(rng.choices(WORDS_EN, k=2)) for _ in range(rng.randint(50, 250)))
    return mark.join(pairs)


def _menu_en(rng: random.Random, _: str) -> str:
    return rng.choice(("\n", "\n", " | ", " » ")).join(rng.sample(MENU_EN, rng.randint(14, 40)))


def _lorem(rng: random.Random, _: str) -> str:
    return " ".join(
        f"Lorem ipsum {' '.join(rng.choices(LOREM, k=rng.randint(12, 40)))}."
        for _ in range(rng.randint(4, 12))
    )


def _spelt_out(rng: random.Random, text: str) -> str:
    return " ".join(c for c in _window(rng, text) if not c.isspace())


def _directory_en(rng: random.Random, _: str) -> str:
    return _rows(rng, 12, 60, lambda n: (
        f"{' '.join(rng.choices(WORDS_EN, k=2)).title()} Ltd, {n} {rng.choice(WORDS_EN).title()}, "
        f"({rng.randint(200, 999)}) {rng.randint(200, 999)}-{rng.randint(1000, 9999)}"
    ))  # fmt: skip


def _key_en(rng: random.Random) -> str:
    ends = ("online", "store", "reviews")
    return f"{rng.choice(('cheap', 'best', 'buy'))} {rng.choice(WORDS_EN)} {rng.choice(ends)}"


MADE_EN: dict[str, Maker] = {
    "UTF-8 read as UTF-16": _wrong_codec("utf-8", "utf-16-be"), "keyword list": _keywords_en,
    "menu": _menu_en, "stuffed for search": _stuffed(_key_en, _STUFFED_EN), "lorem ipsum": _lorem,
    "spelt out": _spelt_out, "directory": _directory_en,
}  # fmt: skip


# Real pages

_SCRIPTS = re.compile(r"<(script|style)\b[^>]*>(.*?)</\1>", re.DOTALL | re.IGNORECASE)
_TAGS = re.compile(r"<[^>]*>")


def real_junk(language: str) -> Texts:
    """Windows of raw pages, their scripts, and the menus around their text."""
    found: Texts = {"page: mark-up": [], "page: scripts": [], "page: menus": []}
    for name in ("html_trafilatura", "html_readability"):
        for row in read(DATA / "dirty" / f"{name}.jsonl.gz"):
            if language == "zh" and row.get("lang") != "zh":
                continue
            page = row["html"]
            windows = [page[i : i + 4_000] for i in range(0, min(len(page), 40_000), 4_000)]
            scripts = [code for _, code in _SCRIPTS.findall(page) if len(code) > 300][:10]
            for kind, texts in zip(found, (windows, scripts, menus(page)), strict=True):
                found[kind] += [
                    (f"{row['id']}/{kind}/{n}", normalise(text[:20_000]))
                    for n, text in enumerate(texts)
                ]
    return {kind: [(i, t) for i, t in texts if len(t) >= 200] for kind, texts in found.items()}


def page_text(page: str) -> list[str]:
    """The lines of a page without its tags, as a poor extractor has them."""
    text = html.unescape(_TAGS.sub("\n", _SCRIPTS.sub("\n", page)))
    return [line for line in normalise(text).split("\n") if line.strip()]


def menus(page: str) -> list[str]:
    """Runs of at least 12 lines under 30 characters of a page without its tags."""
    runs: list[list[str]] = [[]]
    for line in page_text(page):
        if len(line) < 30 and not line.endswith((".", "。", "!", "?")):
            runs[-1].append(line)
        elif runs[-1]:
            runs.append([])
    return ["\n".join(run) for run in runs if len(run) >= 12]


def page_lines() -> dict[str, int]:
    """Lines of real English pages that clean_lines removes, inside and outside of the gold text."""
    limits, found = default_thresholds("en"), Counter[str]()
    for row in read(DATA / "dirty/html_readability.jsonl.gz"):
        gold = {line.strip() for line in page_text(row["expected_html"])}
        page = page_text(row["html"])
        cleaned, _ = clean_lines("\n".join(page), "en", limits)
        gone = Counter(page) - Counter(cleaned.split("\n"))
        for line, count in Counter(page).items():
            where = "text" if line.strip() in gold else "around"
            found[where] += count
            found[f"{where} removed"] += gone.get(line, 0)
    return dict(found)


# Judging


def judge(texts: Sequence[tuple[str, str]], language: str) -> dict[str, Any]:
    """How many are kept, and why the others go, in the order of the corpus stage."""
    limits, reasons, examples = default_thresholds(language), Counter[str](), {}
    for identifier, text in texts:
        text, _ = clean_lines(text, language, limits)
        facts = profile(text)
        drop = check_length(facts, MIN_CHARS)
        drop = drop or check_language(facts, language, limits.min_language_share or 0.0)
        drop = drop or check_quality(text, facts, language, limits)
        if drop:
            reasons[drop.reason] += 1
            examples.setdefault(drop.reason, identifier)
    kept = len(texts) - reasons.total()
    found = {"n": len(texts), "kept": kept, "interval": wilson(kept, len(texts))}
    return {**found, "reasons": dict(reasons.most_common()), "examples": examples}


def wilson(hits: int, n: int) -> tuple[float, float]:
    """The 95 % interval of a share (Wilson 1927)."""
    if not n:
        return 0.0, 1.0
    z, p = 1.959964, hits / n
    middle, spread = p + z * z / (2 * n), z * math.sqrt(p * (1 - p) / n + z * z / (4 * n * n))
    low, high = (middle - spread) / (1 + z * z / n), (middle + spread) / (1 + z * z / n)
    return round(max(low, 0), 4), round(min(high, 1), 4)


def lines(texts: Sequence[tuple[str, str]], language: str) -> dict[str, Any]:
    """Which lines clean_lines takes out of decent text, with some of them."""
    limits, counts, samples, every = default_thresholds(language), Counter[str](), set(), 0
    for _, text in texts:
        cleaned, removed = clean_lines(text, language, limits)
        every += sum(map(bool, text.split("\n")))
        counts.update(removed)
        if removed:
            samples |= set(text.split("\n")) - set(cleaned.split("\n"))
    some = random.Random(language).sample(sorted(samples), min(len(samples), 12))
    return {"lines": every, "removed": dict(counts), "samples": some}


def score(good: Texts, bad: Texts) -> dict[str, Any]:
    """A scorer of these texts: held-out figures, speed of scoring."""
    nice = [text for texts in good.values() for _, text in texts[:300]]
    nasty = [text for texts in bad.values() for _, text in texts]
    start = time.process_time()
    scorer = train_scorer(nice, nasty, 1)
    seconds = time.process_time() - start
    sample = sized(nice)
    record = scorer.record
    return {
        "good": record.good, "bad": record.bad, "AUC": record.auc, "stderr": record.auc_stderr,
        "accuracy": record.accuracy, "held out": record.held_out_good + record.held_out_bad,
        "training CPU-s": round(seconds, 1),
        "scoring MB/CPU-s": rate(sample, scorer.score, megabytes(sample)),
    }  # fmt: skip


# The learned score


LEARNT_DOCS = 150
MIN_SCORE = 0.5
NOISY = "zh_ugc"
"""Reviews and microblog posts: real text that the rules keep and a recipe may not want."""


def learned(language: str, good: Texts, bad: Texts, options: argparse.Namespace) -> dict[str, Any]:
    """What a score of MIN_SCORE keeps: of kinds of text it has learnt, and of kinds it has not.

    It learns from the other part of the documents, LEARNT_DOCS of each set; for "unseen" once for
    each set, without that set. Asked are all documents, those too that the rules would drop.
    """
    part = {"reported": "chosen", "chosen": "reported"}[options.part]
    other = argparse.Namespace(**{**vars(options), "part": part, "docs": LEARNT_DOCS})
    nice = good_texts(language, other)
    nasty = junk_texts(language, nice, other)
    learnt = {text for side in (nice, nasty) for texts in side.values() for _, text in texts}
    limits = default_thresholds(language)
    asked = {
        name: [clean_lines(text, language, limits)[0]
               for _, text in texts[:LEARNT_DOCS] if text not in learnt]
        for name, texts in {**good, **bad}.items()
    }  # fmt: skip
    everything = trained(nice, nasty)
    rows = {}
    for name, texts in asked.items():
        sides = [{n: t for n, t in side.items() if n != name} for side in (nice, nasty)]
        unseen = None if options.quick else kept_by(trained(*sides), texts)
        rows[name] = {
            "junk": name in bad, "n": len(texts),
            "seen": kept_by(everything, texts), "unseen": unseen,
        }  # fmt: skip
    auc = separation(everything, asked, set(good), set(bad))
    found: dict[str, Any] = {"sets": rows, "AUC": auc}
    if NOISY in nice:
        only = trained({n: t for n, t in nice.items() if n != NOISY}, {NOISY: nice[NOISY]})
        found["noisy"] = {
            "AUC": separation(only, asked, set(good) - {NOISY}, {NOISY}),
            "kept": {name: kept_by(only, asked[name]) for name in good},
            "n": {name: len(asked[name]) for name in good},
        }  # fmt: skip
    return found


def trained(good: Texts, bad: Texts) -> Scorer:
    sides = ([text for texts in side.values() for _, text in texts[:LEARNT_DOCS]]
             for side in (good, bad))  # fmt: skip
    return train_scorer(*sides, 1)


def kept_by(scorer: Scorer, texts: Sequence[str]) -> int:
    return sum(scorer.score(text) >= MIN_SCORE for text in texts)


def separation(
    scorer: Scorer, asked: Mapping[str, Sequence[str]], good: set[str], bad: set[str]
) -> float:
    """The chance that a document of the good sets scores above one of the bad ones."""
    high, low = (
        numpy.array([scorer.log_odds(t) for n in sorted(names) for t in asked.get(n, ())])
        for names in (good, bad)
    )
    low.sort()
    below = numpy.searchsorted(low, high) + numpy.searchsorted(low, high, side="right")
    return round(float(below.sum()) / max(2 * len(high) * len(low), 1), 4)


# Speed


def sized(texts: Sequence[str], most: int = 4_000_000) -> list[str]:
    """Texts of 2 to 20 kB in UTF-8; where there are none, texts joined to that size."""
    found = [text for text in texts if 2_000 <= len(text.encode()) <= 20_000]
    if not found:
        joined = "\n\n".join(texts)
        found = [joined[i : i + 3_000] for i in range(0, len(joined), 3_000)]
    size, chosen = 0, []
    for text in random.Random(0).sample(found, len(found)):
        size += len(text.encode())
        chosen.append(text)
        if size > most:
            break
    return chosen


def megabytes(texts: Sequence[str]) -> float:
    return sum(len(text.encode()) for text in texts) / 1e6


def rate(sample: Sequence[Any], work: Callable[[Any], object], size: float) -> float:
    """MB a CPU-second, from each document's cheapest pass: the machine may be busy."""
    best = [math.inf] * len(sample)
    for _ in range(PASSES):
        for number, item in enumerate(sample):
            start = time.process_time_ns()
            work(item)
            best[number] = min(best[number], time.process_time_ns() - start)
    return round(size / max(sum(best) / 1e9, 1e-9), 1)


def loop_microseconds() -> float:
    """CPU time of a fixed loop of plain Python, the median: shows how busy the machine is."""
    found = []
    for _ in range(300):
        start = time.process_time_ns()
        sum(range(50_000))
        found.append(time.process_time_ns() - start)
    return round(sorted(found)[150] / 1e3)


def speed(texts: Sequence[str], language: str) -> dict[str, Any]:
    """MB of UTF-8 a CPU-second: all rules together, and each alone on facts of its own."""
    sample, limits = sized(texts), default_thresholds(language)
    pairs = [(text, profile(text)) for text in sample]
    size = megabytes(sample)
    found: dict[str, Any] = {"megabytes": round(size, 1), "docs": len(sample), "rules": {}}
    found["loop"] = loop_microseconds()
    found["all"] = rate(pairs, lambda pair: check_quality(*pair, language, limits), size)
    for low, high in ((2, 5), (5, 10), (10, 20)):
        some = [pair for pair in pairs if 1e3 * low <= len(pair[0].encode()) <= 1e3 * high]
        if not some:
            continue
        amount = megabytes([text for text, _ in some])
        found[f"{low} to {high} kB"] = rate(
            some, lambda pair: check_quality(*pair, language, limits), amount
        )
    found["profile"] = rate(sample, profile, size)
    found["lines"] = rate(sample, lambda text: clean_lines(text, language, limits), size)
    for rule, limit in active_rules(limits, language):
        check = rule.check
        found["rules"][rule.reason] = rate(
            pairs, lambda p, check=check, limit=limit: check(Facts(*p, language), limit), size
        )
    return found


# The page


def report(found: Mapping[str, Any], options: argparse.Namespace) -> Iterator[str]:
    yield f"# Quality rules: what they keep and what they drop, {date.today().isoformat()}\n"
    arguments = "--quick" if options.quick else f"--part {options.part} --docs {options.docs}"
    yield f"Command: `python benchmarks/quality.py {arguments}`, n = 1 run. Machine: {machine()}.\n"
    for language in ("zh", "en"):
        for title, key in (("Decent text", "good"), ("Junk", "junk")):
            yield f"## {title}, {language}\n"
            yield "| set | n | kept | 95 % | dropped by |\n|-|-|-|-|-|"
            yield from map(_judged, *zip(*found[language][key].items(), strict=True))
            yield ""
        yield f"## Lines removed from decent text, {language}\n"
        yield "| set | lines | removed | kinds | some of them |\n|-|-|-|-|-|"
        yield from map(_lines, *zip(*found[language]["lines"].items(), strict=True))
        yield from _fast(found[language], language)
        yield from _learned(found[language]["learned"], language)
    if "pages" in found:
        yield from _pages(found["pages"])


def _judged(name: str, row: Mapping[str, Any]) -> str:
    why = ", ".join(f"{reason} {count}" for reason, count in row["reasons"].items())
    (low, high), share = row["interval"], row["kept"] / row["n"] if row["n"] else 0.0
    return f"| {name} | {row['n']:,} | {share:.1%} | {low:.1%} to {high:.1%} | {why} |"


def _lines(name: str, row: Mapping[str, Any]) -> str:
    kinds = ", ".join(f"{kind} {count}" for kind, count in sorted(row["removed"].items()))
    some = " · ".join(line.strip().replace("|", "\\|")[:40] for line in row["samples"][:4])
    return f"| {name} | {row['lines']:,} | {sum(row['removed'].values()):,} | {kinds} | {some} |"


def _fast(found: Mapping[str, Any], language: str) -> Iterator[str]:
    fast = found["speed"]
    yield f"\n## Speed and learned score, {language}\n"
    yield (
        f"{fast['docs']:,} documents of 2 to 20 kB, {fast['megabytes']} MB of UTF-8, one process, "
        f"each document's cheapest of {PASSES} passes. All rules together: **{fast['all']} MB per "
        f"CPU-second** ({', '.join(f'{fast[k]} at {k}' for k in fast if k.endswith('kB'))}); "
        f"counting characters first (profile) {fast['profile']}, removing lines {fast['lines']}. "
        f"(`sum(range(50_000))` took {fast['loop']} microseconds of CPU time just before, in the "
        "median.) A rule alone, with the facts that it needs:\n"
    )
    yield ", ".join(f"{name} {rate}" for name, rate in fast["rules"].items()) + ".\n"
    yield "A scorer of the sets above: " + ", ".join(
        f"{name} {value}" for name, value in found["score"].items()
    ) + ".\n"  # fmt: skip


def _learned(found: Mapping[str, Any], language: str) -> Iterator[str]:
    yield f"\n## What a learned score of {MIN_SCORE} keeps, {language}\n"
    yield (
        f"Of all documents, at most {LEARNT_DOCS} a set; learnt from the other "
        f"part. Unseen: the set itself was left out. AUC, all sets learnt: {found['AUC']}.\n"
    )
    yield "| set | n | kept, set learnt | kept, set unseen |\n|-|-|-|-|"
    for junk in (False, True):
        pairs = found["sets"].items()
        rows = {name: row for name, row in pairs if row["junk"] == junk and row["n"]}
        keys = ("n", "seen", "unseen")
        columns = {key: [row[key] for row in rows.values()] for key in keys}
        total = {key: None if None in found else sum(found) for key, found in columns.items()}
        for name, row in {**rows, f"**all {'junk' if junk else 'decent'}**": total}.items():
            yield f"| {name} | {row['n']} | {_share(row, 'seen')} | {_share(row, 'unseen')} |"
    if "noisy" in found:
        noisy = found["noisy"]
        rates = (
            f"{name} {noisy['kept'][name] / max(n, 1):.1%}" for name, n in noisy["n"].items() if n
        )
        yield f"\nWith {NOISY} alone as the bad side: AUC {noisy['AUC']}; kept {', '.join(rates)}."
    yield ""


def _share(row: Mapping[str, Any], key: str) -> str:
    return "–" if row[key] is None else f"{row[key] / max(row['n'], 1):.1%}"


def _pages(found: Mapping[str, int]) -> Iterator[str]:
    yield "## Lines of real pages\n"
    for where, title in (("around", "around the text (menus, footers)"), ("text", "of the text")):
        gone, every = found.get(f"{where} removed", 0), found[where]
        low, high = wilson(gone, every)
        share = f"{gone / every:.1%} ({low:.1%} to {high:.1%})"
        yield f"- {title}: {gone:,} of {every:,} removed, {share}"


def machine() -> str:
    rows = Path("/proc/cpuinfo").read_text(encoding="utf-8").splitlines()
    name = next((row.split(":")[1].strip() for row in rows if row.startswith("model name")), "?")
    versions = f"python {platform.python_version()}, numpy {numpy.__version__}"
    return f"{name}, {os.cpu_count()} cores; {versions}"


if __name__ == "__main__":
    main()
