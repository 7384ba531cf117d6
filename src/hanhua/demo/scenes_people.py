"""Stories about people: ages, races, families, owners, friends, work, travel."""

from __future__ import annotations

from hanhua.demo.lexicon import (
    COLOURS,
    DAYS,
    ITEMS,
    MOODS,
    OUTSIDE,
    SEASONS,
    TIMES,
    TRADES,
    Word,
)  # fmt: skip
from hanhua.demo.scene import Ask, Beat, Deck, Entities, Scene


def _ages(d: Deck) -> Entities:
    young, gap = d.number(6, 60), d.number(1, 9)
    return {
        "a": d.person(), "b": d.person(), "m": young + gap, "n": young, "k": gap,
        "p": d.word(OUTSIDE),
    }  # fmt: skip


AGES = Scene("ages", _ages, (
    Beat(
        en=("{a} and {b} are friends.", "{a} and {b} live in the same street.",
            "{a} and {b} often meet at {p}."),
        zh=("{a}和{b}是朋友。", "{a}和{b}住在同一条街上。", "{a}和{b}常常在{p}见面。"),
        chance=0.7,
    ),
    Beat(
        en=("{a} is {m} years old, and {b} is {n}.", "{b} is {n} years old. {a} is {m}.",
            "This year {a} is {m} and {b} is {n} years old."),
        zh=("{a}{m}岁，{b}{n}岁。", "{b}今年{n}岁，{a}{m}岁。", "今年{a}{m}岁，{b}{n}岁。"),
    ),
    Beat(
        en=("So {a} is older than {b}.", "{a} is {k} years older than {b}." ,
            "{b} is younger than {a}."),
        zh=("所以{a}比{b}大。", "{a}比{b}大{k}岁。", "{b}比{a}小。"),
    ),
    Beat(
        en=("\"I was born first,\" says {a}.", "{b} does not mind at all.",
            "But they are good friends all the same."),
        zh=("“我比你先出生。”{a}说。", "{b}一点也不在意。", "不过他们还是好朋友。"),
        chance=0.5,
    ),
), (
    Ask("Who is older?", "谁的年纪更大？", "{a} is older.", "{a}的年纪更大。", "a", ("b",)),
    Ask("Who is younger?", "谁的年纪更小？", "{b} is younger.", "{b}的年纪更小。", "b", ("a",)),
    Ask("How old is {b}?", "{b}多少岁？", "{b} is {n} years old.", "{b}{n}岁。", "n", ("m",), (),
        "{v}",
        "{v}岁"),
))  # fmt: skip


def _race(d: Deck) -> Entities:
    return {
        "a": d.person(), "b": d.person(), "c": d.person(), "p": d.word(OUTSIDE),
        "t": d.word(TIMES), "m": d.word(MOODS[4:]),
    }  # fmt: skip


RACE = Scene("race", _race, (
    Beat(
        en=("{a}, {b} and {c} ran a race to {p}.", "In the {t} {b}, {c} and {a} had a race.",
            "\"Who can run to {p} first?\" asked {b}. {a} and {c} ran too."),
        zh=("{a}、{b}和{c}比赛跑到{p}。", "{t}，{b}、{c}和{a}举行了一场跑步比赛。",
            "“谁能先跑到{p}？”{b}问。{a}和{c}也跟着跑了起来。"),
    ),
    Beat(
        en=("{a} was faster than {b}, and {b} was faster than {c}.",
            "{c} was slower than {b}, and {b} was slower than {a}."),
        zh=("{a}比{b}快，{b}比{c}快。", "{c}比{b}慢，{b}比{a}慢。"),
    ),
    Beat(
        en=("So {a} came first and {c} came last.", "{a} won, and {c} was the last.",
            "First came {a}, then {b}, then {c}."),
        zh=("所以{a}得了第一，{c}是最后一名。", "{a}赢了，{c}最后才到。",
            "{a}第一，{b}第二，{c}第三。"),
    ),
    Beat(
        en=("They all drank cold water and rested.", "\"Next time I will win,\" said {c}.",
            "\"Well done!\" said {b} to {a}."),
        zh=("他们都喝了凉水，休息了一会儿。", "“下次我会赢。”{c}说。", "“真棒！”{b}对{a}说。"),
        chance=0.7,
    ),
), (
    Ask("Who came first?", "谁得了第一？", "{a} came first.", "{a}得了第一。", "a", ("b", "c")),
    Ask("Who came last?", "谁是最后一名？", "{c} came last.", "{c}是最后一名。", "c", ("a", "b")),
    Ask("Who came second?", "谁得了第二？", "{b} came second.", "{b}得了第二。", "b", ("a", "c")),
))  # fmt: skip


def _family(d: Deck) -> Entities:
    from hanhua.demo.lexicon import OTHER_NAMES

    women = [name for name in OTHER_NAMES if name.female]
    men = [name for name in OTHER_NAMES if not name.female]
    return {
        "m": d.one(women), "f": d.one(men), "s": d.one(men), "k": d.one(women), "t": d.trade(),
        "p": d.word(OUTSIDE), "day": d.word(DAYS), "x": d.food(),
    }  # fmt: skip


FAMILY = Scene("family", _family, (
    Beat(
        en=("{m} and {f} have two children, {s} and {k}.",
            "{s} and {k} are brother and sister. Their parents are {m} and {f}.",
            "{m} is the mother of {s} and {k}, and {f} is their father."),
        zh=("{m}和{f}有两个孩子，哥哥叫{s}，妹妹叫{k}。", "{s}和{k}是兄妹，爸爸妈妈是{f}和{m}。",
            "{m}是{s}和妹妹{k}的妈妈，{f}是他们的爸爸。"),
    ),
    Beat(
        en=("{f} is {t.a} and {t.does}.", "The father is {t.a}.", "{m} is {t.a}."),
        zh=("{f}是{t}，每天{t.does}。", "爸爸是{t.a}。", "{m}是{t.a}。"),
        chance=0.5,
    ),
    Beat(
        en=("On {day} the whole family goes to {p}.", "Every {day} they eat {x.s} together."),
        zh=("{day}，全家一起去{p}。", "每个{day}，他们都一起吃{x}。"),
    ),
    Beat(
        en=("{s} likes to run, and {k} likes to sing.",
            "{k} plants flowers with {m}, and {s} helps "
            "{f}.", "{s} carries the bag, and {k} opens the door."),
        zh=("{s}喜欢跑步，{k}喜欢唱歌。", "{k}帮{m}种花，{s}帮{f}干活。", "{s}拿包，{k}开门。"),
        chance=0.8,
    ),
), (
    Ask("Who is {s.s} mother?", "{s}的妈妈是谁？", "{m} is {s.s} mother.", "{s}的妈妈是{m}。", "m",
        ("f", "k")),
    Ask("Who is {k.s} father?", "{k}的爸爸是谁？", "{f} is {k.s} father.", "{k}的爸爸是{f}。", "f",
        ("m", "s")),
    Ask("Who is {k.s} brother?", "{k}的哥哥是谁？", "{s} is {k.s} brother.", "{k}的哥哥是{s}。",
        "s",
        ("m", "f")),
))  # fmt: skip


def _owners(d: Deck) -> Entities:
    return {
        "a": d.person(), "b": d.person(), "x": d.item(), "y": d.item(), "c": d.word(COLOURS),
        "e": d.word(COLOURS), "p": d.word(OUTSIDE),
    }  # fmt: skip


OWNERS = Scene("owners", _owners, (
    Beat(
        en=("There is a {c} {x} and a {e} {y} on the table.",
            "Two things lie at {p}: a {c} {x} and a {e} {y}."),
        zh=("桌子上有一{x.m}{c}的{x}和一{y.m}{e}的{y}。",
            "{p}有两样东西：一{x.m}{c}的{x}和一{y.m}{e}的{y}。"),
    ),
    Beat(
        en=("The {x} belongs to {a}, and the {y} belongs to {b}.",
            "The {x} is {a.s}. The {y} is {b.s}.",
            "{a} owns the {x}, and {b} owns the {y}."),
        zh=("{x}是{a}的，{y}是{b}的。", "那{x.m}{x}是{a}的，那{y.m}{y}是{b}的。",
            "{x}的主人是{a}，{y}的主人是{b}。"),
    ),
    Beat(
        en=("\"May I use your {x}?\" asked {b}. \"Of course,\" said {a}.",
            "{b} needs the {x} today, and {a} lends it gladly.",
            "{a} never takes the {y} without asking."),
        zh=("“我可以用你的{x}吗？”{b}问。“当然可以。”{a}说。",
            "{b}今天要用{x}，{a}很乐意借给{b.him}。",
            "{a}从来不会不问一声就拿走{y}。"),
        chance=0.7,
    ),
), (
    Ask("Whose {x} is it?", "{x}是谁的？", "The {x} is {a.s}.", "{x}是{a}的。", "a", ("b",)),
    Ask("Whose {y} is it?", "{y}是谁的？", "The {y} is {b.s}.", "{y}是{b}的。", "b", ("a",)),
    Ask("What colour is the {x}?", "{x}是什么颜色的？", "The {x} is {c}.", "{x}是{c}的。", "c",
        ("e",),
        COLOURS),
))  # fmt: skip


def _work(d: Deck) -> Entities:
    return {
        "a": d.person(), "b": d.person(), "t": d.trade(), "m": d.word(MOODS[:1] + MOODS[5:]),
        "x": d.item(), "s": d.word(SEASONS), "h": d.word(TIMES),
    }  # fmt: skip


WORK = Scene("work", _work, (
    Beat(
        en=("{a} wanted to become {t.a}.", "\"One day I will be {t.a},\" said {a}.",
            "{a} dreamed of being {t.a}."),
        zh=("{a}想当{t.a}。", "“有一天我要当{t}。”{a}说。", "{a}的愿望是当{t.a}。"),
    ),
    Beat(
        en=("So {a.he} went to {b}, an old {t}.", "{b}, {t.a} for many years, took {a.him} in.",
            "{b} had been {t.a} all {b.his} life and needed help."),
        zh=("于是{a.he}去找老{t}{b}。", "当了多年{t}的{b}收下了{a.him}。",
            "{b}当了一辈子{t}，正需要人帮忙。"),
    ),
    Beat(
        en=("All {s} {a.he} learned and made many mistakes.",
            "At first it was hard, and {a} was tired "
            "every {h}.", "{a.he} worked from early to late."),
        zh=("整个{s}{a.he}都在学，也出了很多错。", "一开始很难，{a}每天{h}都很累。",
            "{a.he}从早忙到晚。"),
    ),
    Beat(
        en=("Slowly {a.he} got better at {t.doing}.",
            "\"Look with your eyes, then use your hands,\" "
            "said {b}.", "{b} showed {a.him} everything about {t.doing}."),
        zh=("慢慢地，{a.he}越来越会{t.doing}了。", "“先用眼睛看，再动手做。”{b}说。",
            "{b}教{a.him}怎么{t.doing}。"),
    ),
    Beat(
        en=("Now {a} is {t.a} too.", "After two years {a} was {t.a} {a.self}.",
            "\"Now you are a real {t},\" said {b}."),
        zh=("现在{a}也是{t}了。", "两年以后，{a}自己也成了{t}。", "“现在你是真正的{t}了。”{b}说。"),
    ),
), (
    Ask("What did {a} want to become?", "{a}想当什么？", "{a} wanted to become {t.a}.",
        "{a}想当{t.a}。",
        "t", (), TRADES),
    Ask("Who taught {a}?", "谁教{a}？", "{b} taught {a}.", "{b}教{a}。", "b", ("a",)),
))  # fmt: skip

_WAYS = (
    Word("on foot", "走路"), Word("by boat", "坐船"), Word("by train", "坐火车"),
    Word("by bus", "坐公共汽车"), Word("by bicycle", "骑自行车"),
)  # fmt: skip


def _trip(d: Deck) -> Entities:
    return {
        "a": d.person(), "b": d.person(), "p": d.word(OUTSIDE), "w": d.word(_WAYS),
        "day": d.word(DAYS), "x": d.item(), "f": d.food(), "m": d.word(MOODS[2:4]),
    }  # fmt: skip


TRIP = Scene("trip", _trip, (
    Beat(
        en=("On {day} {a} and {b} made a trip to {p}.", "{a} and {b} wanted to see {p}.",
            "\"Let us go to {p} on {day},\" said {a} to {b}."),
        zh=("{day}，{a}和{b}去{p}玩。", "{a}和{b}想去{p}看看。",
            "“{day}我们去{p}吧。”{a}对{b}说。"),
    ),
    Beat(
        en=("They went {w}.", "They travelled {w}, because it was not far.",
            "It was nice to go {w}."),
        zh=("他们{w}去。", "路不远，他们就{w}去了。", "他们觉得{w}去很有意思。"),
    ),
    Beat(
        en=("{a} took {x.a}, and {b} took some {f.s}.", "{b} carried the {f.s} and {a} the {x}."),
        zh=("{a}带了{x.a}，{b}带了一些{f}。", "{b}拿着{f}，{a}拿着{x}。"),
    ),
    Beat(
        en=("After an hour they were {m}.", "On the way they sang.",
            "The sky was blue and the road was "
            "quiet."),
        zh=("一个小时以后，他们{m}了。", "他们一路唱着歌。", "天很蓝，路上很安静。"),
        chance=0.7,
    ),
    Beat(
        en=("In the evening they were home again.", "They came back before dark.",
            "\"That was a good day,\" said {b}."),
        zh=("晚上他们又回到了家。", "天黑以前，他们回来了。", "“今天真是好日子。”{b}说。"),
    ),
), (
    Ask("How did they go?", "他们是怎么去的？", "They went {w}.", "他们{w}去。", "w", (), _WAYS),
    Ask("What did {a} take?", "{a}带了什么？", "{a} took {x.a}.", "{a}带了{x.a}。", "x", (), ITEMS,
        "{v.a}"),
    Ask("Where did they go?", "他们去了哪里？", "They went to {p}.", "他们去了{p}。", "p", (),
        OUTSIDE),
))  # fmt: skip

SCENES = (AGES, RACE, FAMILY, OWNERS, WORK, TRIP)
