"""Stories with numbers: buying, giving, getting, sharing, saving, comparing."""

from __future__ import annotations

from hanhua.demo.lexicon import DAYS, FOODS, FRUITS, ITEMS, OUTSIDE, TIMES, Noun
from hanhua.demo.render import Count
from hanhua.demo.scene import Ask, Beat, Deck, Entities, Scene

COIN = Noun("coin", "硬币", "枚", "coins")
_THINGS = (*FRUITS, *(item for item in ITEMS if item.en in {"ball", "book", "bell", "pencil"}))


def _buy(d: Deck) -> Entities:
    many, price = d.number(2, 6), d.number(2, 5)
    food = d.food()
    return {
        "a": d.person(), "b": d.person(), "x": food, "n": Count(many, food),
        "p": Count(price, COIN), "m": Count(many * price, COIN), "day": d.word(DAYS),
        "t": d.word(TIMES),
    }  # fmt: skip


BUY = Scene("buy", _buy, (
    Beat(
        en=("On {day} {a} went to the market.", "{a} went shopping in the {t}.",
            "It was {day}, and {a} had a basket and some coins."),
        zh=("{day}，{a}去了集市。", "{t}，{a}去买东西。",
            "那天是{day}，{a}带着篮子和一些硬币出了门。"),
    ),
    Beat(
        en=("{b} was selling {x.s}.", "At the first table stood {b} with many {x.s}.",
            "\"Fresh {x.s}!\" called {b}."),
        zh=("{b}在卖{x}。", "第一张桌子后面站着{b}，桌上有很多{x}。", "“新鲜的{x}！”{b}叫着。"),
    ),
    Beat(
        en=("One {x} cost {p}.", "\"Each {x} costs {p},\" said {b}.",
            "The price was {p} for {x.a}."),
        zh=("{x.a}要{p}。", "“{x.a}{p}。”{b}说。", "{x}的价钱是{x.a}{p}。"),
    ),
    Beat(
        en=("{a} bought {n}.", "\"Please give me {n},\" said {a}.", "{a} took {n}."),
        zh=("{a}买了{n}。", "“请给我{n}。”{a}说。", "{a}要了{n}。"),
    ),
    Beat(
        en=("{n.d} times {p.d} is {m.d}, so {a.he} paid {m}.", "{a.he} paid {m}.",
            "\"That makes {m},\" said {b}."),
        zh=("{n.d}乘{p.d}等于{m.d}，所以{a.he}付了{m}。", "{a.he}付了{m}。", "“一共{m}。”{b}说。"),
    ),
    Beat(
        en=("Then {a.he} went home.", "{a} was glad, because the {x.s} were good.",
            "\"Come again!\" said {b}."),
        zh=("然后{a.he}回家了。", "{a}很高兴，因为{x}很好。", "“欢迎再来！”{b}说。"),
        chance=0.6,
    ),
), (
    Ask("How many coins did {a} pay?", "{a}付了多少枚硬币？", "{a} paid {m}.", "{a}付了{m}。", "m"),
    Ask("What did {a} buy?", "{a}买了什么？", "{a} bought {x.s}.", "{a}买了{x}。", "x", (), FOODS,
        "{v.s}"),
    Ask("Who sold the {x.s}?", "{x}是谁卖的？", "{b} sold the {x.s}.", "{x}是{b}卖的。", "b",
        ("a",)),
))  # fmt: skip


def _give(d: Deck) -> Entities:
    has = d.number(4, 12)
    gives = d.number(1, has - 2)
    thing = d.one(_THINGS)
    return {
        "a": d.person(), "b": d.person(), "x": thing, "n": Count(has, thing),
        "k": Count(gives, thing), "r": Count(has - gives, thing), "p": d.word(OUTSIDE),
    }  # fmt: skip


GIVE = Scene("give", _give, (
    Beat(
        en=("{a} had {n}.", "In {a.s} bag there were {n}.", "{a} counted the {x.s}: {n.n}."),
        zh=("{a}有{n}。", "{a}的包里有{n}。", "{a}数了数{x}，一共{n.n}。"),
    ),
    Beat(
        en=("{a.he} met {b} at {p}.", "Then {b} came along.", "{b} had no {x.s} at all."),
        zh=("{a.he}在{p}遇见了{b}。", "这时{b}走了过来。", "{b}一{x.m}{x}也没有。"),
    ),
    Beat(
        en=("{a} gave {b} {k}.", "\"Here, take some,\" said {a}, and gave {b.him} {k}.",
            "{b} got {k} from {a}."),
        zh=("{a}给了{b}{k}。", "“给你一些吧。”{a}说着，给了{b.him}{k}。",
            "{b}从{a}那里得到了{k}。"),
    ),
    Beat(
        en=("{n.d} minus {k.d} is {r.d}. Now {a} had {r}.", "After that {a} had {r} left.",
            "So {a} still had {r}."),
        zh=("{n.d}减{k.d}等于{r.d}，现在{a}有{r}。", "这样，{a}还剩{r}。", "所以{a}还有{r}。"),
    ),
    Beat(
        en=("Both were happy.", "\"You are a good friend,\" said {b}.", "They ate and talked."),
        zh=("两个人都很高兴。", "“你真是好朋友。”{b}说。", "他们高兴地说着话。"),
        chance=0.5,
    ),
), (
    Ask("How many {x.s} does {a} have left?", "{a}还剩多少{x}？", "{a} has {r} left.",
        "{a}还剩{r}。",
        "r", ("k",)),
    Ask("How many {x.s} did {b} get?", "{b}得到了多少{x}？", "{b} got {k}.", "{b}得到了{k}。", "k",
        ("r",)),
))  # fmt: skip


def _more(d: Deck) -> Entities:
    first, second = d.number(1, 9), d.number(1, 9)
    thing = d.one(_THINGS)
    return {
        "a": d.person(), "b": d.person(), "x": thing, "n": Count(first, thing),
        "k": Count(second, thing), "r": Count(first + second, thing), "t": d.word(TIMES),
    }  # fmt: skip


MORE = Scene("more", _more, (
    Beat(
        en=("In the {t} {a} had {n}.", "{a} already had {n}.", "On the table there {n.are} {n} of "
            "{a.s}."),
        zh=("{t}，{a}有{n}。", "{a}已经有{n}了。", "桌子上有{a}的{n}。"),
    ),
    Beat(
        en=("Then {b} brought {k} more.", "{b} came and gave {a.him} {k}.",
            "Later {a.he} found {k} more, and {b} helped to carry everything."),
        zh=("后来{b}又拿来{k}。", "{b}来了，又给了{a.him}{k}。",
            "后来{a.he}又找到{k}，{b}帮着一起拿。"),
    ),
    Beat(
        en=("{n.d} plus {k.d} is {r.d}, so now there were {r}.", "Together that made {r}.",
            "Now {a} had {r}."),
        zh=("{n.d}加{k.d}等于{r.d}，所以现在有{r}。", "加起来一共是{r}。", "现在{a}有{r}了。"),
    ),
    Beat(
        en=("\"That is enough,\" said {a}.", "{a} put them all into a box.",
            "{a} counted them again to be sure."),
        zh=("“够多了。”{a}说。", "{a}把它们都放进了盒子里。", "{a}又数了一遍。"),
        chance=0.6,
    ),
), (
    Ask("How many {x.s} does {a} have now?", "{a}现在有多少{x}？", "{a} has {r}.", "{a}有{r}。",
        "r",
        ("n", "k")),
))  # fmt: skip


def _share(d: Deck) -> Entities:
    each, thing = d.number(2, 6), d.food()
    return {
        "a": d.person(), "b": d.person(), "x": thing, "n": Count(each * 2, thing),
        "e": Count(each, thing), "t": d.word(TIMES),
    }  # fmt: skip


SHARE = Scene("share", _share, (
    Beat(
        en=("{a} and {b} found {n} in the kitchen.", "There were {n} for {a} and {b}.",
            "In the {t} {a} and {b} got {n}."),
        zh=("{a}和{b}在厨房里找到了{n}。", "{a}和{b}有{n}。", "{t}，{a}和{b}得到了{n}。"),
    ),
    Beat(
        en=("\"I want more than you!\" said {b}.", "\"How can we share them?\" asked {b}.",
            "Both of them were hungry."),
        zh=("“我要比你多！”{b}说。", "“我们怎么分呢？”{b}问。", "两个人都饿了。"),
    ),
    Beat(
        en=("But {a} divided them fairly: {e.n} for each.",
            "They shared, and each of them got {e}.",
            "{n.d} divided by 2 is {e.d}, so each got {e}."),
        zh=("但是{a}分得很公平，每人{e.n}。", "他们平分，每人得到{e}。",
            "{n.d}除以2等于{e.d}，所以每人{e}。"),
    ),
    Beat(
        en=("Nobody was angry any more.", "\"That is fair,\" said {b}.", "Then they ate in peace."),
        zh=("谁也不生气了。", "“这样很公平。”{b}说。", "然后他们安静地吃了起来。"),
    ),
), (
    Ask("How many {x.s} did each of them get?", "每人得到了多少{x}？", "Each of them got {e}.",
        "每人得到了{e}。", "e", ("n",)),
))  # fmt: skip


def _compare(d: Deck) -> Entities:
    few = d.number(2, 7)
    thing = d.one(_THINGS)
    return {
        "a": d.person(), "b": d.person(), "x": thing, "m": Count(few + d.number(1, 6), thing),
        "n": Count(few, thing),
    }  # fmt: skip


COMPARE = Scene("compare", _compare, (
    Beat(
        en=("{a} and {b} like {x.s}.", "{a} and {b} both collect {x.s}."),
        zh=("{a}和{b}都喜欢{x}。", "{a}和{b}都在收集{x}。"),
        chance=0.7,
    ),
    Beat(
        en=("{a} has {m}, and {b} has {n}.", "{b} has {n}, but {a} has {m}.",
            "There are {m} in {a.s} box and {n} in {b.s}."),
        zh=("{a}有{m}，{b}有{n}。", "{b}有{n}，可是{a}有{m}。",
            "{a}的盒子里有{m}，{b}的盒子里有{n}。"),
    ),
    Beat(
        en=("{m.d} is more than {n.d}, so {a} has more {x.s}.", "So {a} has more than {b}.",
            "{b} has fewer {x.s} than {a}."),
        zh=("{m.d}比{n.d}多，所以{a}的{x}更多。", "所以{a}比{b}多。", "{b}的{x}比{a}少。"),
    ),
    Beat(
        en=("\"One day I will have more than you,\" said {b}.", "But both are content."),
        zh=("“有一天我会比你多。”{b}说。", "不过两个人都很满意。"),
        chance=0.5,
    ),
), (
    Ask("Who has more {x.s}?", "谁的{x}更多？", "{a} has more {x.s}.", "{a}的{x}更多。", "a",
        ("b",)),
    Ask("Who has fewer {x.s}?", "谁的{x}更少？", "{b} has fewer {x.s}.", "{b}的{x}更少。", "b",
        ("a",)),
))  # fmt: skip


def _save(d: Deck) -> Entities:
    each, days = d.number(1, 5), d.number(2, 5)
    item = d.item()
    return {
        "a": d.person(), "x": item, "e": Count(each, COIN), "n": Count(each * days, COIN),
        "days": days, "p": d.word(OUTSIDE), "b": d.person(),
    }  # fmt: skip


SAVE = Scene("save", _save, (
    Beat(
        en=("{a} wanted to buy {x.a}.", "{a} saw {x.a} in a shop and wanted to have it.",
            "\"I want {x.a},\" said {a}."),
        zh=("{a}想买{x.a}。", "{a}在店里看见{x.a}，很想要。", "“我想要{x.a}。”{a}说。"),
    ),
    Beat(
        en=("Every day {a.he} put {e} into a box.", "{b} gave {a.him} {e} a day for {a.his} work."),
        zh=("{a.he}每天往盒子里放{e}。", "{a.he}每天帮{b}干活，得到{e}。"),
    ),
    Beat(
        en=("After {days} days {a.he} had {n}.", "In {days} days that made {n}."),
        zh=("{days}天以后，{a.he}有了{n}。", "过了{days}天，一共有{n}。"),
    ),
    Beat(
        en=("The {x} cost just as much, so {a.he} bought it.", "That was enough for the {x}.",
            "So {a} could buy the {x} at last."),
        zh=("{x}正好要这么多钱，{a.he}就买了下来。", "买{x}正好够了。", "{a}终于买到了{x}。"),
    ),
), (
    Ask("How many coins did {a} have in the end?", "{a}最后有多少枚硬币？", "{a} had {n}.",
        "{a}有{n}。", "n", ("e",)),
    Ask("What did {a} want to buy?", "{a}想买什么？", "{a} wanted to buy {x.a}.", "{a}想买{x.a}。",
        "x", (), ITEMS, "{v.a}"),
))  # fmt: skip

SCENES = (BUY, GIVE, MORE, SHARE, COMPARE, SAVE)
