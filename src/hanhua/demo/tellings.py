"""How a fact of the valley is told, asked and answered, in both languages.

``{s}`` is the person or town the fact is about (or the pronoun, when named before), ``{v}`` what is
said of it. Statements carry no full stop, so that two can be joined into one sentence.
"""

from __future__ import annotations

from dataclasses import dataclass

from hanhua.demo.render import Language
from hanhua.demo.world import Kind


@dataclass(frozen=True, slots=True)
class Phrases:
    """All ways to put one kind of fact in one language."""

    tell: tuple[str, ...]
    """Statements about {s}."""
    own: tuple[str, ...]
    """What {s} says: in the first person for people."""
    ask: tuple[str, ...]
    """Questions that stand alone."""
    ask_you: tuple[str, ...]
    """Questions put to {s} in person."""
    answer: tuple[str, ...]
    """Full answers to ask."""
    choice: str
    """The bare value, as an option of a multiple-choice question."""


_HOME_EN = Phrases(
    tell=(
        "{s} lives in {v}",
        "{s.s} home is in {v}",
        "{s} has a small house in {v}",
        "{s} comes from {v}",
        "{s} was born in {v} and still lives there",
    ),
    own=("I live in {v}", "My home is in {v}", "I come from {v}", "I have a house in {v}"),
    ask=("Where does {s} live?", "In which town does {s} live?", "Where is {s.s} home?"),
    ask_you=("Where do you live?", "Where do you come from?", "Which town are you from?"),
    answer=("{s} lives in {v}.",),
    choice="{v}",
)
_HOME_ZH = Phrases(
    tell=(
        "{s}住在{v}",
        "{s.s}家在{v}",
        "{s}在{v}有一座小房子",
        "{s}是{v}人",
        "{s}生在{v}，现在还住在那里",
    ),
    own=("我住在{v}", "我的家在{v}", "我是{v}人", "我在{v}有一座房子"),
    ask=("{s}住在哪里？", "{s}住在哪个镇？", "{s.s}家在哪里？"),
    ask_you=("你住在哪里？", "你是哪里人？", "你的家在哪个镇？"),
    answer=("{s}住在{v}。",),
    choice="{v}",
)
_TRADE_EN = Phrases(
    tell=(
        "{s} is {v.a}",
        "{s} works as {v.a}",
        "{s} is {v.a} and {v.does} every day",
        "{s} has been {v.a} for many years",
        "{s} {v.does} for a living, for {s.he} is {v.a}",
    ),
    own=("I am {v.a}", "I work as {v.a}", "I have been {v.a} for many years"),
    ask=("What does {s} do for a living?", "What is {s.s} job?", "What work does {s} do?"),
    ask_you=("What do you do for a living?", "What is your job?", "What work do you do?"),
    answer=("{s} is {v.a}.",),
    choice="{v}",
)
_TRADE_ZH = Phrases(
    tell=(
        "{s}是{v.a}",
        "{s.s}工作是{v.does}，{s.he}是{v.a}",
        "{s}是{v}，每天都{v.does}",
        "{s}当{v}已经很多年了",
        "{s}靠{v.does}过日子，是{v.a}",
    ),
    own=("我是{v.a}", "我是{v}，每天都{v.does}", "我当{v}已经很多年了"),
    ask=("{s}是做什么工作的？", "{s.s}工作是什么？", "{s}靠什么过日子？"),
    ask_you=("你是做什么工作的？", "你的工作是什么？", "你每天做什么工作？"),
    answer=("{s}是{v.a}。",),
    choice="{v}",
)
_PET_EN = Phrases(
    tell=(
        "{s} has {v.a}",
        "{s} keeps {v.a} at home",
        "{s.s} pet is {v.a}",
        "{s} has {v.a} that follows {s.him} everywhere",
        "{s} looks after {v.a}",
    ),
    own=("I have {v.a}", "I keep {v.a} at home", "My pet is {v.a}"),
    ask=("What animal does {s} keep?", "What is {s.s} pet?", "Which animal lives with {s}?"),
    ask_you=("Do you have a pet?", "What animal do you keep?", "Which animal lives with you?"),
    answer=("{s} has {v.a}.",),
    choice="{v.a}",
)
_PET_ZH = Phrases(
    tell=(
        "{s}养了{v.a}",
        "{s}家里有{v.a}",
        "{s.s}宠物是{v.a}",
        "{s}有{v.a}，{s.he}走到哪里它就跟到哪里",
        "{s}照顾着{v.a}",
    ),
    own=("我养了{v.a}", "我家里有{v.a}", "我的宠物是{v.a}"),
    ask=("{s}养了什么动物？", "{s.s}宠物是什么？", "{s}家里有什么动物？"),
    ask_you=("你养宠物吗？", "你养了什么动物？", "你家里有什么动物？"),
    answer=("{s}养了{v.a}。",),
    choice="{v.a}",
)
_FRUIT_EN = Phrases(
    tell=(
        "{s} likes {v.s} best",
        "{s.s} favourite fruit is the {v}",
        "{s} loves {v.s} more than any other fruit",
        "{s} eats {v.a} every day, because {v.s} are {s.his} favourite fruit",
    ),
    own=("I like {v.s} best", "My favourite fruit is the {v}", "I love {v.s}"),
    ask=("Which fruit does {s} like best?", "What is {s.s} favourite fruit?",
         "What fruit does {s} love most?"),
    ask_you=("Which fruit do you like best?", "What is your favourite fruit?",
             "What fruit do you love most?"),
    answer=("{s} likes {v.s} best.",),
    choice="{v.s}",
)  # fmt: skip
_FRUIT_ZH = Phrases(
    tell=(
        "{s}最喜欢吃{v}",
        "{s}最爱的水果是{v}",
        "在所有水果里，{s}最喜欢{v}",
        "{s}每天都吃{v.a}，因为{v}是{s.he}最爱的水果",
    ),
    own=("我最喜欢吃{v}", "我最爱的水果是{v}", "我很爱吃{v}"),
    ask=("{s}最喜欢吃什么水果？", "{s}最爱的水果是什么？", "{s}最喜欢哪种水果？"),
    ask_you=("你最喜欢吃什么水果？", "你最爱的水果是什么？", "你最喜欢哪种水果？"),
    answer=("{s}最喜欢吃{v}。",),
    choice="{v}",
)
_DOOR_EN = Phrases(
    tell=(
        "{s.s} front door is {v}",
        "the door of {s.s} house is {v}",
        "{s} painted {s.his} front door {v}",
        "{s} lives behind a {v} door",
    ),
    own=("my front door is {v}", "I painted my front door {v}", "the door of my house is {v}"),
    ask=("What colour is {s.s} front door?", "What colour is the door of {s.s} house?",
         "Which colour did {s} paint {s.his} front door?"),
    ask_you=("What colour is your front door?", "What colour is the door of your house?",
             "Which colour did you paint your front door?"),
    answer=("{s.s} front door is {v}.",),
    choice="{v}",
)  # fmt: skip
_DOOR_ZH = Phrases(
    tell=(
        "{s}家的门是{v}的",
        "{s}家的大门是{v}的",
        "{s}把家门漆成了{v}",
        "{s}家有一扇{v}的门",
    ),
    own=("我家的门是{v}的", "我把家门漆成了{v}", "我家的大门是{v}的"),
    ask=("{s}家的门是什么颜色的？", "{s}家的大门是什么颜色？", "{s}把家门漆成了什么颜色？"),
    ask_you=("你家的门是什么颜色的？", "你家的大门是什么颜色？", "你把家门漆成了什么颜色？"),
    answer=("{s}家的门是{v}的。",),
    choice="{v}",
)
_RIVER_EN = Phrases(
    tell=("{v} runs through {s}", "{s} lies on {v}", "the river in {s} is called {v}",
          "in {s} you can fish in {v}"),
    own=("{v} runs through our town", "our town lies on {v}", "our river is called {v}"),
    ask=("Which river runs through {s}?", "What is the river in {s} called?",
         "On which river does {s} lie?"),
    ask_you=("Which river runs through your town?", "What is your river called?"),
    answer=("{v} runs through {s}.",),
    choice="{v}",
)  # fmt: skip
_RIVER_ZH = Phrases(
    tell=("{v}从{s}流过", "{s}在{v}边上", "{s}的河叫{v}", "在{s}可以到{v}里钓鱼"),
    own=("{v}从我们镇流过", "我们镇在{v}边上", "我们这里的河叫{v}"),
    ask=("哪条河从{s}流过？", "{s}的河叫什么名字？", "{s}在哪条河边上？"),
    ask_you=("哪条河从你们镇流过？", "你们那里的河叫什么？"),
    answer=("{v}从{s}流过。",),
    choice="{v}",
)
_MARKET_EN = Phrases(
    tell=("market day in {s} is {v}", "the market in {s} is held every {v}",
          "every {v} there is a market in {s}", "people go to the market in {s} on {v}"),
    own=("our market day is {v}", "there is a market here every {v}"),
    ask=("On which day is the market in {s}?", "When is market day in {s}?",
         "Which day is market day in {s}?"),
    ask_you=("When is market day in your town?", "On which day is your market?"),
    answer=("Market day in {s} is {v}.",),
    choice="{v}",
)  # fmt: skip
_MARKET_ZH = Phrases(
    tell=("{s}的集市在{v}", "{s}每个{v}有集市", "每到{v}，{s}就有集市", "人们{v}去{s}赶集"),
    own=("我们的集市在{v}", "我们这里每个{v}有集市"),
    ask=("{s}的集市在星期几？", "{s}星期几有集市？", "星期几可以去{s}赶集？"),
    ask_you=("你们镇的集市在星期几？", "你们那里星期几有集市？"),
    answer=("{s}的集市在{v}。",),
    choice="{v}",
)
_PRODUCT_EN = Phrases(
    tell=("{s} is known for its {v}", "the best {v} comes from {s}",
          "people come to {s} to buy {v}", "{s} is famous for its {v}"),
    own=("our town is known for its {v}", "people come here to buy {v}"),
    ask=("What is {s} known for?", "What do people buy in {s}?", "What is {s} famous for?"),
    ask_you=("What is your town known for?", "What do people buy in your town?"),
    answer=("{s} is known for its {v}.",),
    choice="{v}",
)  # fmt: skip
_PRODUCT_ZH = Phrases(
    tell=("{s}的{v}很有名", "最好的{v}出自{s}", "人们到{s}来买{v}", "{s}出产{v}"),
    own=("我们镇的{v}很有名", "人们到这里来买{v}"),
    ask=("{s}的什么东西很有名？", "{s}出产什么？", "人们到{s}买什么？"),
    ask_you=("你们镇的什么东西很有名？", "人们到你们镇买什么？"),
    answer=("{s}的{v}很有名。",),
    choice="{v}",
)
_LANDMARK_EN = Phrases(
    tell=("there is {v.a} in the middle of {s}", "in the square of {s} you can see {v.a}",
          "{s} has {v.a}", "{v.a} stands in the middle of {s}"),
    own=("there is {v.a} in the middle of our town", "our town has {v.a}"),
    ask=("What stands in the middle of {s}?", "What can you see in the square of {s}?",
         "What is there in the middle of {s}?"),
    ask_you=("What stands in the middle of your town?", "What can I see in your town?"),
    answer=("There is {v.a} in the middle of {s}.",),
    choice="{v.a}",
)  # fmt: skip
_LANDMARK_ZH = Phrases(
    tell=("{s}中间有{v.a}", "在{s}的广场上可以看到{v.a}", "{s}有{v.a}", "在{s}的中间有{v.a}"),
    own=("我们镇中间有{v.a}", "我们镇有{v.a}"),
    ask=("{s}中间有什么？", "在{s}的广场上可以看到什么？", "{s}的广场上有什么？"),
    ask_you=("你们镇中间有什么？", "在你们镇可以看到什么？"),
    answer=("{s}中间有{v.a}。",),
    choice="{v.a}",
)

PHRASES: dict[Kind, dict[Language, Phrases]] = {
    "home": {"en": _HOME_EN, "zh": _HOME_ZH},
    "trade": {"en": _TRADE_EN, "zh": _TRADE_ZH},
    "pet": {"en": _PET_EN, "zh": _PET_ZH},
    "fruit": {"en": _FRUIT_EN, "zh": _FRUIT_ZH},
    "door": {"en": _DOOR_EN, "zh": _DOOR_ZH},
    "river": {"en": _RIVER_EN, "zh": _RIVER_ZH},
    "market": {"en": _MARKET_EN, "zh": _MARKET_ZH},
    "product": {"en": _PRODUCT_EN, "zh": _PRODUCT_ZH},
    "landmark": {"en": _LANDMARK_EN, "zh": _LANDMARK_ZH},
}
