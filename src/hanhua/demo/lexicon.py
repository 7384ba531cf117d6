"""The words of the little worlds, each in English and Chinese.

One entry serves both languages, so whatever is told of a thing in one can be told, asked or
translated in the other. A Chinese noun carries its measure word, an English one its plural.
"""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Name:
    """A person's name and the pronoun that goes with it."""

    en: str
    zh: str
    female: bool


@dataclass(frozen=True, slots=True)
class Noun:
    """A thing that can be counted."""

    en: str
    zh: str
    measure: str
    plural: str


@dataclass(frozen=True, slots=True)
class Word:
    """A word that needs nothing but its other half: places, days, colours, moods."""

    en: str
    zh: str


@dataclass(frozen=True, slots=True)
class Trade:
    """What people do: the noun, the place, and the work in three English forms."""

    en: str
    zh: str
    place_en: str
    place_zh: str
    does_en: str
    doing_en: str
    did_en: str
    does_zh: str


def _names(text: str, female: bool) -> tuple[Name, ...]:
    pairs = (entry.split("/") for entry in text.split())
    return tuple(Name(en, zh, female) for en, zh in pairs)


def _nouns(text: str) -> tuple[Noun, ...]:
    """Read "apple/苹果/个" or "cherry/樱桃/颗/cherries" entries, divided by commas."""
    found = []
    for entry in text.split(","):
        en, zh, measure, *plural = entry.strip().split("/")
        found.append(Noun(en, zh, measure, plural[0] if plural else en + "s"))
    return tuple(found)


def _words(text: str) -> tuple[Word, ...]:
    pairs = (entry.strip().split("/") for entry in text.split(","))
    return tuple(Word(en, zh) for en, zh in pairs)


def _trades(text: str) -> tuple[Trade, ...]:
    return tuple(Trade(*(part.strip() for part in line.split("/"))) for line in text.split("\n"))


VALLEY_NAMES = (
    *_names("Anna/安娜 Lucy/露西 Emma/艾玛 Clara/克拉拉 Helen/海伦 Alice/爱丽丝", female=True),
    *_names("Tom/汤姆 Peter/彼得 Henry/亨利 David/大卫 Oscar/奥斯卡 Simon/西蒙", female=False),
)
"""The twelve people of the valley: what is told of them holds everywhere."""

OTHER_NAMES = (
    *_names("Grace/格蕾丝 Linda/琳达 Julia/朱莉娅 Eva/伊娃 Lily/莉莉 Amy/艾米 Betty/贝蒂 "
            "Xiaohong/小红", female=True),
    *_names("Jack/杰克 Leo/利奥 Frank/弗兰克 Daniel/丹尼尔 Robert/罗伯特 Bob/鲍勃 Sam/山姆 "
            "Xiaoming/小明", female=False),
)  # fmt: skip
"""People who live for one story only."""

TOWNS = _words(
    "Stonebridge/石桥镇, Greenhill/青山镇, Oakfield/橡树镇, Redrock/红岩镇, Whitelake/白湖镇, "
    "Sandport/沙港镇, Pinewood/松林镇, Millbrook/磨坊镇"
)
RIVERS = _words(
    "the Black River/黑河, the Clear River/清河, the Willow River/柳河, the Deer River/鹿河, "
    "the Moon River/月河, the Snow River/雪河, the Stone River/石河, the Long River/长河"
)
DAYS = _words(
    "Monday/星期一, Tuesday/星期二, Wednesday/星期三, Thursday/星期四, Friday/星期五, "
    "Saturday/星期六, Sunday/星期日"
)
PRODUCTS = _words(
    "honey/蜂蜜, cheese/奶酪, paper/纸, glass/玻璃, salt/盐, tea/茶叶, wool/羊毛, soap/肥皂"
)
LANDMARKS = _nouns(
    "clock tower/钟楼/座, windmill/风车/座, lighthouse/灯塔/座, library/图书馆/座/libraries, "
    "fountain/喷泉/座, stone lion/石狮子/只, theatre/剧院/座, round well/圆井/口"
)
COLOURS = _words(
    "red/红色, blue/蓝色, green/绿色, yellow/黄色, white/白色, black/黑色, brown/棕色, grey/灰色"
)
PETS = _nouns(
    "cat/猫/只, dog/狗/只, horse/马/匹, goat/山羊/只, rabbit/兔子/只, parrot/鹦鹉/只, "
    "turtle/乌龟/只, duck/鸭子/只"
)
ANIMALS = (*PETS, *_nouns(
    "cow/奶牛/头, sheep/绵羊/只/sheep, hen/母鸡/只, pig/猪/头, donkey/驴/头, fox/狐狸/只/foxes, "
    "frog/青蛙/只, mouse/老鼠/只/mice"
))  # fmt: skip
FRUITS = _nouns(
    "apple/苹果/个, pear/梨/个, plum/李子/个, peach/桃子/个/peaches, lemon/柠檬/个, "
    "orange/橙子/个, cherry/樱桃/颗/cherries, melon/甜瓜/个"
)
FOODS = (*FRUITS, *_nouns(
    "egg/鸡蛋/个, potato/土豆/个/potatoes, carrot/胡萝卜/根, onion/洋葱/个, "
    "tomato/番茄/个/tomatoes, cake/蛋糕/块, fish/鱼/条/fish, cookie/饼干/块"
))  # fmt: skip
ITEMS = _nouns(
    "key/钥匙/把, hat/帽子/顶, book/书/本, cup/杯子/个, ball/球/个, lamp/台灯/盏, bag/书包/个, "
    "spoon/勺子/把, umbrella/雨伞/把, coat/外套/件, scarf/围巾/条/scarves, bell/铃铛/个, "
    "kite/风筝/只, drum/鼓/面, map/地图/张, pencil/铅笔/支, basket/篮子/个, box/盒子/个/boxes"
)
ROOMS = _words(
    "the kitchen/厨房, the garden/花园, the barn/谷仓, the attic/阁楼, the bedroom/卧室, "
    "the cellar/地窖, the yard/院子, the living room/客厅"
)
SPOTS = _words(
    "under the bed/床底下, on the table/桌子上, behind the door/门后面, in the drawer/抽屉里, "
    "by the window/窗边, on the shelf/架子上, under the stairs/楼梯下面, near the stove/炉子旁边"
)
OUTSIDE = _words(
    "the market/集市, the school/学校, the park/公园, the harbour/码头, the bridge/桥边, "
    "the lake/湖边, the station/车站, the old mill/老磨坊"
)
SEASONS = _words("spring/春天, summer/夏天, autumn/秋天, winter/冬天")
TIMES = _words("morning/早上, afternoon/下午, evening/晚上")
MOODS = _words("happy/高兴, sad/难过, tired/累, hungry/饿, angry/生气, proud/得意")
TRADES = _trades(
    """baker/面包师/bakery/面包房/bakes bread/baking bread/baked bread/烤面包
farmer/农夫/farm/农场/grows wheat/growing wheat/grew wheat/种麦子
teacher/老师/school/学校/teaches children/teaching children/taught children/教孩子们读书
doctor/医生/clinic/诊所/helps sick people/helping sick people/helped sick people/给人看病
fisher/渔夫/boat/渔船上/catches fish/catching fish/caught fish/打鱼
tailor/裁缝/workshop/裁缝铺/makes clothes/making clothes/made clothes/做衣服
carpenter/木匠/workshop/木工房/makes tables/making tables/made tables/做桌子
smith/铁匠/forge/铁匠铺/makes iron tools/making iron tools/made iron tools/打铁
gardener/园丁/garden/花园/plants flowers/planting flowers/planted flowers/种花
cook/厨师/kitchen/厨房/cooks soup/cooking soup/cooked soup/煮汤
painter/画家/studio/画室/paints pictures/painting pictures/painted pictures/画画
potter/陶工/workshop/陶坊/makes clay pots/making clay pots/made clay pots/做陶罐"""
)
OPPOSITES = tuple(
    zip(
        _words("big/大, hot/热, new/新, long/长, tall/高, fast/快, heavy/重, full/满, happy/高兴, "
               "clean/干净, near/近, dry/干, strong/强, early/早, rich/富, hard/硬, thick/厚, "
               "bright/亮"),
        _words("small/小, cold/冷, old/旧, short/短, low/矮, slow/慢, light/轻, empty/空, "
               "sad/难过, dirty/脏, "
               "far/远, wet/湿, weak/弱, late/晚, poor/穷, soft/软, thin/薄, dark/暗"),
        strict=True,
    )
)  # fmt: skip

KINDS: tuple[tuple[Noun, tuple[Noun, ...]], ...] = (
    (Noun("animal", "动物", "种", "animals"), ANIMALS),
    (Noun("fruit", "水果", "种", "fruits"), FRUITS),
)
