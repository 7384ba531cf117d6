"""Stories of the house: things lost, moved, given, broken, cooked."""

from __future__ import annotations

from hanhua.demo.lexicon import (
    ANIMALS,
    COLOURS,
    FOODS,
    FRUITS,
    ITEMS,
    OUTSIDE,
    ROOMS,
    SEASONS,
    SPOTS,
    TIMES,
)  # fmt: skip
from hanhua.demo.scene import Ask, Beat, Deck, Entities, Scene


def _lost(d: Deck) -> Entities:
    return {
        "a": d.person(), "b": d.person(), "x": d.item(), "t": d.word(TIMES), "s": d.word(SEASONS),
        "p": d.word(SPOTS), "q": d.word(SPOTS), "r": d.word(SPOTS),
    }  # fmt: skip


LOST = Scene("lost", _lost, (
    Beat(
        en=("One {s} {t}, {a} could not find {a.his} {x}.", "{a} had lost {a.his} {x}.",
            "{a} was looking for {a.his} {x} all {t}."),
        zh=("{s}的一个{t}，{a}找不到自己的{x}了。", "{a}的{x}不见了。",
            "整个{t}，{a}都在找自己的{x}。"),
    ),
    Beat(
        en=("\"Have you seen my {x}?\" {a.he} asked {b}.", "{a.he} asked {b} for help.",
            "{b} came to help {a.him}."),
        zh=("“你看见我的{x}了吗？”{a.he}问{b}。", "{a.he}请{b}帮忙。", "{b}过来帮{a.him}一起找。"),
    ),
    Beat(
        en=("First they looked {p}, but it was not there.", "It was not {p}.",
            "They looked {p} and found only dust."),
        zh=("他们先看了看{p}，可是不在那里。", "它不在{p}。", "他们在{p}找，只看到一些灰。"),
    ),
    Beat(
        en=("Then they looked {q}, but there was nothing.", "It was not {q} either."),
        zh=("然后他们又在{q}找，什么也没有。", "它也不在{q}。"),
        chance=0.7,
    ),
    Beat(
        en=("At last {b} found the {x} {r}.", "In the end the {x} was {r}.",
            "\"Here it is!\" said {b}. The {x} was {r}."),
        zh=("最后，{b}在{r}找到了{x}。", "原来{x}就在{r}。", "“在这里！”{b}说。{x}在{r}。"),
    ),
    Beat(
        en=("{a} was very happy and thanked {b}.", "\"Thank you, {b}!\" said {a}.",
            "{a} laughed and said thank you."),
        zh=("{a}非常高兴，谢谢{b}。", "“谢谢你，{b}！”{a}说。", "{a}笑了，说了声谢谢。"),
        chance=0.8,
    ),
), (
    Ask("Where was the {x}?", "{x}在哪里？", "The {x} was {r}.", "{x}在{r}。", "r", ("p",), SPOTS),
    Ask("What did {a} lose?", "{a}丢了什么？", "{a} lost {a.his} {x}.", "{a}丢了{x}。", "x", (),
        ITEMS, "{v.a}"),
))  # fmt: skip


def _moved(d: Deck) -> Entities:
    return {
        "a": d.person(), "b": d.person(), "x": d.item(), "p": d.word(ROOMS), "q": d.word(ROOMS),
        "c": d.word(COLOURS),
    }  # fmt: skip


MOVED = Scene("moved", _moved, (
    Beat(
        en=("{a} put {a.his} {x} in {p}.", "{a} left {a.his} {x} in {p}.",
            "There was {x.a} in {p}. It was {a.s}."),
        zh=("{a}把自己的{x}放在{p}里。", "{a}把{x}留在了{p}里。", "{p}里有{x.a}，是{a}的。"),
    ),
    Beat(
        en=("Then {a.he} went out for a walk.", "After that {a.he} went to work.",
            "Then {a.he} fell asleep in the chair."),
        zh=("然后{a.he}出去散步了。", "后来{a.he}去干活了。", "然后{a.he}在椅子上睡着了。"),
    ),
    Beat(
        en=("{b} came in and took the {x} to {q}.", "While {a.he} was away, {b} carried the {x} "
            "to {q}.", "{b} needed the {x}, so {b.he} took it to {q}."),
        zh=("{b}进来，把{x}拿到{q}里去了。", "这时候，{b}把{x}搬到了{q}里。",
            "{b}要用{x}，就把它拿到了{q}里。"),
    ),
    Beat(
        en=("When {a} came back, {a.he} looked in {p}, but the {x} was gone.",
            "Later {a} went to {p} and saw no {x}."),
        zh=("{a}回来以后到{p}里找，可是{x}不见了。", "后来{a}到{p}里一看，{x}没有了。"),
    ),
    Beat(
        en=("\"Your {x} is in {q} now,\" said {b}.", "Now the {x} was in {q}.",
            "{b} told {a.him} that the {x} was in {q}."),
        zh=("“你的{x}现在在{q}里。”{b}说。", "现在{x}在{q}里。", "{b}告诉{a.him}，{x}在{q}里。"),
    ),
), (
    Ask("Where is the {x} now?", "{x}现在在哪里？", "The {x} is in {q} now.", "{x}现在在{q}里。",
        "q",
        ("p",), ROOMS, "in {v}", "在{v}里"),
    Ask("Where did {a} put the {x}?", "{a}把{x}放在了哪里？", "{a} put the {x} in {p}.",
        "{a}把{x}放在了{p}里。", "p", ("q",), ROOMS, "in {v}", "在{v}里"),
))  # fmt: skip


def _gift(d: Deck) -> Entities:
    return {
        "a": d.person(), "b": d.person(), "x": d.item(), "c": d.word(COLOURS), "f": d.food(),
        "p": d.word(OUTSIDE),
    }  # fmt: skip


GIFT = Scene("gift", _gift, (
    Beat(
        en=("It was {b.s} birthday.", "Today was {b.s} birthday, and the sun was shining.",
            "{b} woke up early, because it was {b.his} birthday."),
        zh=("今天是{b}的生日。", "今天是{b}的生日，天气很好。",
            "{b}很早就醒了，因为今天是{b.his}生日。"),
    ),
    Beat(
        en=("{a} went to {p} to find a present.",
            "{a} had thought about a present for a long time."),
        zh=("{a}到{p}去找礼物。", "{a}想了很久送什么礼物。"),
        chance=0.6,
    ),
    Beat(
        en=("{a} gave {b} a {c} {x}.", "{a} came with a {c} {x} for {b.him}.",
            "From {a} {b.he} got a {c} {x}."),
        zh=("{a}送给{b}{x.a}，是{c}的。", "{a}带来了送给{b.him}的{x}，是{c}的。",
            "{a}送给{b.him}一件礼物：一{x.m}{c}的{x}。"),
    ),
    Beat(
        en=("They ate {f.s} and sang a song.", "Then they sat down together and ate {f.s}.",
            "There were {f.s} for everybody."),
        zh=("他们一起吃{f}，还唱了歌。", "然后他们坐在一起吃{f}。", "大家都吃到了{f}。"),
        chance=0.8,
    ),
    Beat(
        en=("\"This is the best present of all,\" said {b}.", "{b} was very happy.",
            "\"Thank you,\" said {b}. \"I like it very much.\""),
        zh=("“这是最好的礼物。”{b}说。", "{b}高兴极了。", "“谢谢你。”{b}说，“我很喜欢。”"),
    ),
), (
    Ask("What did {a} give {b}?", "{a}送给{b}什么？", "{a} gave {b} a {c} {x}.",
        "{a}送给{b}{x.a}。",
        "x", (), ITEMS, "{v.a}"),
    Ask("What colour was the {x}?", "{x}是什么颜色的？", "The {x} was {c}.", "{x}是{c}的。", "c",
        (),
        COLOURS),
    Ask("Whose birthday was it?", "今天是谁的生日？", "It was {b.s} birthday.", "今天是{b}的生日。",
        "b", ("a",)),
))  # fmt: skip


def _broken(d: Deck) -> Entities:
    return {"a": d.person(), "b": d.person(), "x": d.item(), "r": d.word(ROOMS), "n": d.animal()}


BROKEN = Scene("broken", _broken, (
    Beat(
        en=("{a} was playing in {r}.", "{a} was alone in {r}.", "{a} ran through {r} too fast."),
        zh=("{a}在{r}里玩。", "{a}一个人在{r}里。", "{a}在{r}里跑得太快了。"),
    ),
    Beat(
        en=("Suddenly the {x} fell down and broke.", "By mistake {a.he} broke {b.s} {x}.",
            "There was a loud noise. {b.s} {x} was broken."),
        zh=("突然，{x}掉下来，坏了。", "{a.he}不小心弄坏了{b}的{x}。",
            "只听一声响，{b}的{x}坏了。"),
    ),
    Beat(
        en=("\"I can say it was the {n},\" {a.he} thought.",
            "{a.he} was afraid and wanted to hide.",
            "At first {a.he} did not want to tell anybody."),
        zh=("“我可以说是{n}弄的。”{a.he}想。", "{a.he}很害怕，想躲起来。",
            "一开始{a.he}不想告诉别人。"),
    ),
    Beat(
        en=("But then {a.he} went to {b} and told the truth.",
            "But {a.he} did not lie. {a.he} told {b} everything.",
            "Then {a.he} said, \"{b}, I broke it. I am sorry.\""),
        zh=("可是后来{a.he}走到{b}面前，说了真话。", "但是{a.he}没有说谎，把一切都告诉了{b}。",
            "后来{a.he}说：“{b}，是我弄坏的，对不起。”"),
    ),
    Beat(
        en=("{b} was not angry. They mended it together.",
            "\"Thank you for telling me,\" said {b}.",
            "{b} smiled. \"A broken {x} can be mended,\" {b.he} said."),
        zh=("{b}没有生气，他们一起把它修好了。", "“谢谢你告诉我。”{b}说。",
            "{b}笑了，说：“{x}坏了可以修。”"),
    ),
), (
    Ask("Who broke the {x}?", "谁弄坏了{x}？", "{a} broke the {x}.", "{a}弄坏了{x}。", "a", ("b",)),
    Ask("Where was {a}?", "{a}在哪里？", "{a} was in {r}.", "{a}在{r}里。", "r", (),
        ROOMS, "in {v}",
        "在{v}里"),
))  # fmt: skip


def _soup(d: Deck) -> Entities:
    return {
        "a": d.person(), "b": d.person(), "f": d.one(FOODS[9:13]), "g": d.one(FOODS[9:13]),
        "h": d.one(FRUITS), "t": d.word(TIMES),
    }  # fmt: skip


SOUP = Scene("soup", _soup, (
    Beat(
        en=("{a} was hungry and wanted to cook soup.", "In the {t} {a} made soup.",
            "\"Today I will cook for us,\" said {a}."),
        zh=("{a}饿了，想煮汤。", "{t}，{a}煮了汤。", "“今天我来做饭。”{a}说。"),
    ),
    Beat(
        en=("First {a.he} washed the {f.s}.", "{a.he} took some {f.s} and washed them."),
        zh=("{a.he}先把{f}洗干净。", "{a.he}拿了一些{f}，洗了洗。"),
    ),
    Beat(
        en=("Then {a.he} cut the {g.s} and put them into the pot.",
            "After that {a.he} added some {g.s}."),
        zh=("然后{a.he}切好{g}，放进锅里。", "接着{a.he}又加了一些{g}。"),
    ),
    Beat(
        en=("{a.he} added salt and water and waited.", "The soup cooked slowly on the stove.",
            "Soon the whole house smelled good."),
        zh=("{a.he}加了盐和水，等了一会儿。", "汤在炉子上慢慢地煮。", "不久，整座房子都香了。"),
    ),
    Beat(
        en=("{b} came home and ate two bowls.", "{b} tasted it. \"Very good!\" {b.he} said.",
            "Then {a.he} called {b}, and they ate together."),
        zh=("{b}回到家，吃了两碗。", "{b}尝了尝，说：“真好吃！”", "然后{a.he}叫来{b}，一起吃饭。"),
    ),
    Beat(
        en=("After the soup they each ate {h.a}.", "In the end there was {h.a} for {b}."),
        zh=("喝完汤，他们每人吃了{h.a}。", "最后{b}还吃了{h.a}。"),
        chance=0.5,
    ),
), (
    Ask("What did {a} cook?", "{a}做了什么？", "{a} cooked soup.", "{a}煮了汤。", "_", ()),
    Ask("What did {a} wash?", "{a}洗了什么？", "{a} washed the {f.s}.", "{a}洗了{f}。", "f", (),
        FOODS[:9], "{v.s}"),
))  # fmt: skip


def _letter(d: Deck) -> Entities:
    return {
        "a": d.person(), "b": d.person(), "c": d.word(COLOURS[4:]), "p": d.word(OUTSIDE),
        "n": d.animal(), "s": d.word(SEASONS), "t": d.word(TIMES),
    }  # fmt: skip


LETTER = Scene("letter", _letter, (
    Beat(
        en=("{a} got a letter from {b}.", "In the {t} a letter came for {a}. It was from {b}.",
            "{b} wrote a letter to {a}."),
        zh=("{a}收到了{b}的一封信。", "{t}来了一封给{a}的信，是{b}写的。", "{b}给{a}写了一封信。"),
    ),
    Beat(
        en=("\"Dear {a},\" it said, \"it is {s} here and I am well.\"",
            "{b} wrote that it was {s} and that all was well."),
        zh=("信里说：“亲爱的{a}，这里是{s}，我很好。”", "{b}在信里说，那里是{s}，一切都好。"),
    ),
    Beat(
        en=("\"I have a new {n}. It is {c},\" {b.he} wrote.",
            "{b} also wrote about {b.his} new {n}, which was {c}.",
            "The letter went on, \"My new {n} is {c} and very clever.\""),
        zh=("{b.he}写道：“我有了一{n.m}新的{n}，是{c}的。”", "{b}还写到{b.his}新{n}，它是{c}的。",
            "信里还说：“我的新{n}是{c}的，很聪明。”"),
    ),
    Beat(
        en=("\"Let us meet at {p} soon,\" was the last line.", "{b} wanted to meet {a} at {p}.",
            "At the end {b} wrote, \"Please come to {p} next week.\""),
        zh=("最后一行是：“我们不久就在{p}见面吧。”", "{b}想和{a}在{p}见面。",
            "最后{b}写道：“请你下星期到{p}来。”"),
    ),
    Beat(
        en=("{a} read the letter twice and wrote back at once.", "{a} smiled and took a pencil.",
            "{a} was glad, for {b} was an old friend."),
        zh=("{a}把信读了两遍，马上写了回信。", "{a}笑着拿起铅笔。", "{a}很开心，因为{b}是老朋友。"),
    ),
), (
    Ask("Who wrote the letter?", "信是谁写的？", "{b} wrote the letter.", "信是{b}写的。", "b",
        ("a",)),
    Ask("What new animal does {b} have?", "{b}有了什么新动物？", "{b} has a new {n}.",
        "{b}有了{n.a}。", "n", (), ANIMALS, "{v.a}"),
))  # fmt: skip

SCENES = (LOST, MOVED, GIFT, BROKEN, SOUP, LETTER)
