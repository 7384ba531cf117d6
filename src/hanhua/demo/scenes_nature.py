"""Stories of animals, weather and the seasons."""

from __future__ import annotations

from hanhua.demo.lexicon import (
    ANIMALS,
    COLOURS,
    FRUITS,
    OUTSIDE,
    PETS,
    ROOMS,
    SEASONS,
    TIMES,
    Noun,
    Word,
)  # fmt: skip
from hanhua.demo.render import Count
from hanhua.demo.scene import Ask, Beat, Deck, Entities, Scene


def _runaway(d: Deck) -> Entities:
    return {
        "a": d.person(), "b": d.person(), "x": d.one(PETS), "c": d.word(COLOURS[4:]),
        "p": d.word(OUTSIDE), "q": d.word(OUTSIDE), "f": d.one(FRUITS), "t": d.word(TIMES),
    }  # fmt: skip


RUNAWAY = Scene("runaway", _runaway, (
    Beat(
        en=("{a} had a {c} {x}.", "The {c} {x} of {a} was clever and quick.",
            "Everybody knew {a} and {a.his} {c} {x}."),
        zh=("{a}有一{x.m}{c}的{x}。", "{a}的{x}是{c}的，又聪明又快。",
            "人人都认识{a}和{a.his}那{x.m}{c}的{x}。"),
    ),
    Beat(
        en=("One {t} the {x} ran away.", "One day the gate was open, and the {x} was gone.",
            "But one {t} the {x} did not come home."),
        zh=("一天{t}，{x}跑掉了。", "有一天门开着，{x}不见了。", "可是有一天{t}，{x}没有回家。"),
    ),
    Beat(
        en=("{a} looked at {p}. \"Has anybody seen my {x}?\" {a.he} called.",
            "{a} ran to {p}, but there was no {x}."),
        zh=("{a}到{p}去找。“谁看见我的{x}了？”{a.he}喊道。", "{a}跑到{p}，可是那里没有{x}。"),
    ),
    Beat(
        en=("{b} had seen it at {q}.", "\"It is at {q},\" said {b}.",
            "{b} found it at {q}, where it was eating {f.a}."),
        zh=("{b}在{q}看见过它。", "“它在{q}。”{b}说。", "{b}在{q}找到了它，它正在吃{f.a}。"),
    ),
    Beat(
        en=("{a} took it home and closed the gate.", "{a} was so glad that {a.he} cried.",
            "The {x} came back at once when {a} called."),
        zh=("{a}把它带回家，关好了门。", "{a}高兴得哭了。", "{a}一叫，{x}马上就回来了。"),
    ),
), (
    Ask("Where was the {x}?", "{x}在哪里？", "The {x} was at {q}.", "{x}在{q}。", "q", ("p",),
        OUTSIDE,
        "at {v}", "{v}"),
    Ask("What animal ran away?", "什么动物跑掉了？", "The {x} ran away.", "{x}跑掉了。", "x", (),
        ANIMALS, "{v.a}"),
    Ask("What colour was the {x}?", "{x}是什么颜色的？", "The {x} was {c}.", "{x}是{c}的。", "c",
        (),
        COLOURS),
))  # fmt: skip


def _fable(d: Deck) -> Entities:
    return {"x": d.animal(), "y": d.animal(), "f": d.one(FRUITS), "s": d.word(SEASONS)}


FABLE = Scene("fable", _fable, (
    Beat(
        en=("A little {x} found {f.a} under a tree.",
            "Once {x.a} lived alone under a tree and had one {f}.",
            "Once upon a time there was a hungry {x}. It found {f.a}."),
        zh=("一{x.m}小{x}在树下找到了{f.a}。", "从前有{x.a}独自住在一棵树下，只有{f.a}。",
            "从前有一{x.m}很饿的{x}，它找到了{f.a}。"),
    ),
    Beat(
        en=("\"Give me the {f}!\" said the {y}. \"I am stronger than you.\"",
            "The {y} saw the {f} and wanted it too.", "Then {y.a} came and looked at the {f}."),
        zh=("“把{f}给我！”{y}说，“我比你强。”", "{y}看见了{f}，也想要。",
            "这时来了{y.a}，看着那{f.m}{f}。"),
    ),
    Beat(
        en=("\"Let us share it,\" said the {x}. \"Half for you and half for me.\"",
            "The {x} thought for a moment and cut the {f} in two.",
            "\"There is enough for both of us,\" said the {x}."),
        zh=("“我们分着吃吧。”{x}说，“你一半，我一半。”", "{x}想了想，把{f}分成了两半。",
            "“够我们两个吃。”{x}说。"),
    ),
    Beat(
        en=("From that day on they were friends.", "The {y} was ashamed and said thank you.",
            "In {s} they found many more {f.s}, and they shared them all."),
        zh=("从那天起，它们成了朋友。", "{y}不好意思了，说了声谢谢。",
            "到了{s}，它们又找到很多{f}，都分着吃了。"),
    ),
    Beat(
        en=("Those who share are never alone.", "A friend is better than a whole {f}.",
            "It is good to share."),
        zh=("会分享的人不会孤单。", "朋友比一整{f.m}{f}更好。", "分享是好事。"),
        chance=0.6,
    ),
), (
    Ask("Who wanted to share the {f}?", "谁想分享{f}？", "The {x} wanted to share it.",
        "{x}想分享。",
        "x", ("y",), ANIMALS, "the {v}", "{v}"),
    Ask("What fruit did they share?", "它们分享了什么水果？", "They shared {f.a}.",
        "它们分享了{f.a}。",
        "f", (), FRUITS, "{v.a}"),
))  # fmt: skip


def _rain(d: Deck) -> Entities:
    umbrella = Noun("umbrella", "雨伞", "把", "umbrellas")
    return {
        "a": d.person(), "b": d.person(), "x": umbrella, "c": d.word(COLOURS), "t": d.word(TIMES),
        "p": d.word(OUTSIDE), "s": d.word(SEASONS[:3]),
    }  # fmt: skip


RAIN = Scene("rain", _rain, (
    Beat(
        en=("Dark clouds came in the {t}.", "The {t} began with sun, but then the sky grew dark.",
            "It was a dark {s} day with many clouds."),
        zh=("{t}，天上来了黑云。", "{t}开始还有太阳，后来天暗了下来。", "那是{s}的一天，云很多。"),
    ),
    Beat(
        en=("{a} was on the way to {p} without an umbrella.",
            "{a} walked to {p} and had no umbrella."),
        zh=("{a}没带雨伞，正走在去{p}的路上。", "{a}往{p}走，没有雨伞。"),
    ),
    Beat(
        en=("It began to rain, so {a.he} got wet.", "Because it rained, {a.his} coat was soon wet.",
            "Then the rain fell, and {a.he} ran."),
        zh=("下起雨来了，所以{a.he}淋湿了。", "因为下雨，{a.his}外套很快就湿了。",
            "接着下雨了，{a.he}跑了起来。"),
    ),
    Beat(
        en=("{b} came with a {c} umbrella. \"Come under it,\" said {b}.",
            "\"I have a {c} umbrella,\" said {b}. \"It is big enough for two.\""),
        zh=("{b}拿着一把{c}的雨伞来了。“到伞下来吧。”{b}说。",
            "“我有一把{c}的雨伞。”{b}说，“够两个人用。”"),
    ),
    Beat(
        en=("They walked on together and stayed dry.",
            "Under the umbrella they talked and laughed.",
            "When they came to {p}, the sun was shining again."),
        zh=("他们一起往前走，没有再淋湿。", "他们在伞下有说有笑。",
            "他们走到{p}的时候，太阳又出来了。"),
    ),
), (
    Ask("Who had an umbrella?", "谁有雨伞？", "{b} had an umbrella.", "{b}有雨伞。", "b", ("a",)),
    Ask("Why did {a} get wet?", "{a}为什么淋湿了？", "{a} got wet because it rained.",
        "因为下雨，所以{a}淋湿了。", "_"),
    Ask("What colour was the umbrella?", "雨伞是什么颜色的？", "The umbrella was {c}.",
        "雨伞是{c}的。",
        "c", (), COLOURS),
))  # fmt: skip


def _rescue(d: Deck) -> Entities:
    return {
        "a": d.person(), "b": d.person(), "x": d.one((PETS[0], PETS[5], ANIMALS[10])),
        "p": d.word(OUTSIDE), "c": d.word(COLOURS[4:]), "t": d.word(TIMES), "f": d.trade(),
    }  # fmt: skip


RESCUE = Scene("rescue", _rescue, (
    Beat(
        en=("A small {c} {x} sat high up in a tree at {p}.",
            "In the {t} {a} heard a noise in the tree at {p}. It was a small {c} {x}."),
        zh=("{p}的一棵大树上，高高地坐着一{x.m}{c}的小{x}。",
            "{t}，{a}听见{p}的树上有声音，原来是一{x.m}{c}的小{x}。"),
    ),
    Beat(
        en=("It was afraid and could not come down.",
            "It wanted to come down, but it did not dare."),
        zh=("它很害怕，下不来。", "它想下来，可是不敢。"),
    ),
    Beat(
        en=("{a} called {b}, who is {f.a}.", "\"{b}, please help!\" called {a}. {b} is {f.a}.",
            "{a} was too small to climb, so {a.he} asked {b}, {f.a}."),
        zh=("{a}叫来了{b}，{b}是{f.a}。", "“{b}，快来帮忙！”{a}叫道。{b}是{f.a}。",
            "{a}太小了，爬不上去，就去找{f}{b}。"),
    ),
    Beat(
        en=("{b} came with a long ladder and climbed up slowly.",
            "{b} put a ladder against the tree and climbed."),
        zh=("{b}拿来长梯子，慢慢地爬了上去。", "{b}把梯子靠在树上，爬了上去。"),
    ),
    Beat(
        en=("Soon the {x} was safe in {a.s} arms.", "Now the {x} lives with {a}.",
            "The {x} was safe, and {a} thanked {b}."),
        zh=("不久，{x}就平安地到了{a}怀里。", "现在{x}和{a}住在一起。", "{x}平安了，{a}谢了{b}。"),
    ),
), (
    Ask("Who climbed up?", "谁爬了上去？", "{b} climbed up.", "{b}爬了上去。", "b", ("a",)),
    Ask("What was in the tree?", "树上有什么？", "There was a small {x} in the tree.",
        "树上有一{x.m}小{x}。", "x", (), ANIMALS[:10], "a small {v}", "一{v.m}小{v}"),
))  # fmt: skip


def _hens(d: Deck) -> Entities:
    each, days = d.number(1, 4), d.number(2, 4)
    egg = Noun("egg", "鸡蛋", "个", "eggs")
    hen = Noun("hen", "母鸡", "只", "hens")
    return {
        "a": d.person(), "n": Count(d.number(2, 9), hen), "e": Count(each, egg), "b": d.person(),
        "m": Count(each * days, egg), "days": days, "t": d.word(TIMES), "r": d.word(ROOMS[:5]),
    }  # fmt: skip


HENS = Scene("hens", _hens, (
    Beat(
        en=("{a} keeps {n} behind the house.", "Behind {a.s} house live {n}.", "{a} has {n}."),
        zh=("{a}在房子后面养了{n}。", "{a}的房子后面有{n}。", "{a}有{n}。"),
    ),
    Beat(
        en=("They lay {e} every day.", "Every morning {a} finds {e}.",
            "{a} takes {e} from them each day."),
        zh=("它们每天下{e}。", "每天早上{a}都能捡到{e}。", "{a}每天从那里拿到{e}。"),
    ),
    Beat(
        en=("In {days} days that makes {m}.", "So after {days} days {a.he} has {m}."),
        zh=("{days}天一共是{m}。", "这样，{days}天以后{a.he}就有{m}。"),
    ),
    Beat(
        en=("{a} gives some of them to {b}.", "{b} likes to buy them.",
            "One night a fox came, but the door "
            "was closed."),
        zh=("{a}把一些鸡蛋送给{b}。", "{b}喜欢来买鸡蛋。", "一天夜里来了一只狐狸，可是门关着。"),
        chance=0.7,
    ),
), (
    Ask("How many hens does {a} have?", "{a}有多少只母鸡？", "{a} has {n}.", "{a}有{n}。", "n"),
    Ask("How many eggs are there after {days} days?", "{days}天以后有多少个鸡蛋？",
        "There are {m}.",
        "有{m}。", "m", ("e",)),
))  # fmt: skip


_DOES = {
    "spring": (("the first flowers open", "第一批花开了"), ("the days grow warm", "天气变暖了"),
               ("the birds come back", "小鸟飞回来了")),
    "summer": (("the sun is hot", "太阳很热"), ("the children swim in the river",
    "孩子们在河里游泳"),
               ("the days are long", "白天很长")),
    "autumn": (("the leaves turn yellow", "树叶变黄了"), ("the apples are ripe", "苹果熟了"),
               ("the wind blows hard", "风很大")),
    "winter": (("snow lies on the roofs", "屋顶上有雪"), ("the river is frozen", "河水结冰了"),
               ("the nights are long", "夜晚很长")),
}  # fmt: skip


def _season(d: Deck) -> Entities:
    season = d.word(SEASONS)
    first, second, third = d.rng.sample([Word(*pair) for pair in _DOES[season.en]], 3)
    return {
        "s": season, "x": first, "y": second, "z": third, "a": d.person(), "b": d.person(),
        "p": d.word(OUTSIDE), "n": d.animal(),
    }  # fmt: skip


SEASON = Scene("season", _season, (
    Beat(
        en=("It is {s}.", "Now it is {s} in the country.", "{s} has come."),
        zh=("现在是{s}。", "现在乡下是{s}。", "{s}来了。"),
    ),
    Beat(
        en=("In {s} {x}, and {y}.", "{x}. {y}."),
        zh=("{s}，{x}，{y}。", "{x}，{y}。"),
    ),
    Beat(
        en=("{a} likes {s}, because {z}.", "\"I like {s},\" says {a}. \"{z}.\""),
        zh=("{a}喜欢{s}，因为{z}。", "“我喜欢{s}。”{a}说，“{z}。”"),
        chance=0.8,
    ),
    Beat(
        en=("{b} often walks to {p} with {b.his} {n}.", "{a} and {b} meet at {p} every day.",
            "At {p} {b} sees {n.a}."),
        zh=("{b}常常带着{b.his}{n}走到{p}。", "{a}和{b}每天在{p}见面。", "{b}在{p}看见{n.a}。"),
        chance=0.8,
    ),
), (
    Ask("What season is it?", "现在是什么季节？", "It is {s}.", "现在是{s}。", "s", (), SEASONS),
))  # fmt: skip

SCENES = (RUNAWAY, FABLE, RAIN, RESCUE, HENS, SEASON)
