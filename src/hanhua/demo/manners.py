"""What is said around the facts: greetings, thanks, who the model is, how tasks are put."""

from __future__ import annotations

from hanhua.demo.render import Language

Choice = tuple[str, ...]

ABOUT: dict[Language, Choice] = {
    "en": ("Tell me about {s}.", "What do you know about {s}?", "Say something about {s}."),
    "zh": ("介绍一下{s}。", "你知道{s}吗？", "说说{s}吧。", "请给我讲讲{s}。"),
}
UNKNOWN: dict[Language, Choice] = {
    "en": ("I do not know. I have never heard of {s}.", "I do not know anything about {s}."),
    "zh": ("我不知道，我没有听说过{s}。", "对不起，我不了解{s}。"),
}
READING: dict[Language, Choice] = {
    "en": ("{text} {question}", "Read this: {text} {question}", "{text}\n{question}",
           "{question}\n{text}"),
    "zh": ("{text}{question}", "请读一读：{text}{question}", "{text}\n{question}",
           "{question}\n{text}"),
}  # fmt: skip
TRANSLATE_WORD: dict[tuple[Language, Language], Choice] = {
    ("en", "zh"): ("What is the Chinese word for {text}?", "Translate into Chinese: {text}",
                   "How do you say {text} in Chinese?"),
    ("en", "en"): ("What does {text} mean in English?", "Translate into English: {text}"),
    ("zh", "zh"): ("“{text}”的中文是什么？", "{text}用中文怎么说？", "翻译成中文：{text}"),
    ("zh", "en"): ("“{text}”的英文是什么？", "{text}用英语怎么说？", "翻译成英文：{text}"),
}  # fmt: skip
TRANSLATE_TEXT: dict[tuple[Language, Language], Choice] = {
    ("en", "zh"): ("Translate into Chinese: {text}", "Say this in Chinese: {text}"),
    ("en", "en"): ("Translate into English: {text}", "Say this in English: {text}"),
    ("zh", "zh"): ("翻译成中文：{text}", "请把这句话翻译成中文：{text}"),
    ("zh", "en"): ("翻译成英文：{text}", "请把这句话翻译成英文：{text}"),
}
OTHER_WORDS: dict[Language, Choice] = {
    "en": ("Say it in other words: {text}", "Put this another way: {text}"),
    "zh": ("换一种说法：{text}", "请用别的话说：{text}"),
}
PRONOUN: dict[Language, Choice] = {
    "en": ("Say this without the name: {text}", "Use he or she instead of the name: {text}"),
    "zh": ("不用名字，再说一遍：{text}", "用“他”或者“她”代替名字：{text}"),
}
STORY: dict[Language, Choice] = {
    "en": ("Tell me a story.", "Please tell me a short story.", "I want to hear a story."),
    "zh": ("讲个故事吧。", "请给我讲一个小故事。", "我想听故事。"),
}
STORY_ABOUT: dict[Language, Choice] = {
    "en": ("Tell me a story about {v}.", "Write a short story with {v}."),
    "zh": ("讲一个关于{v}的故事。", "写一个小故事，里面要有{v}。"),
}
THANKS: dict[Language, tuple[Choice, Choice]] = {
    "en": (("Thank you!", "Thanks.", "Thank you very much."),
           ("You are welcome!", "You are welcome. Ask me more if you like.")),
    "zh": (("谢谢！", "谢谢你。", "多谢！"), ("不客气！", "不用谢，还想知道什么就问我。")),
}  # fmt: skip
OUTSIDE: dict[Language, tuple[Choice, Choice]] = {
    "en": (("What is the capital of France?", "Who wrote Hamlet?", "How far is the moon?",
            "What is the weather today?", "Who is the president?", "How do I cook rice?",
            "What is the largest animal?", "When did the war end?", "Can you write a program?",
            "What is the news today?", "How tall is Mount Everest?", "Who painted this picture?"),
           ("I am sorry, I do not know that. I only know about the valley.",
            "I do not know that. Ask me about the valley.")),
    "zh": (("法国的首都是哪里？", "《红楼梦》是谁写的？", "月亮有多远？", "今天天气怎么样？",
            "总统是谁？", "米饭怎么做？", "最大的动物是什么？", "战争是什么时候结束的？",
            "你会写程序吗？", "今天有什么新闻？", "珠穆朗玛峰有多高？", "中国有多少人？"),
           ("对不起，这个我不知道。我只知道河谷里的事。", "我不知道，你可以问我河谷里的事。")),
}  # fmt: skip
"""What it cannot know, and should say so."""
MANNERS: dict[Language, tuple[tuple[Choice, Choice], ...]] = {
    "en": (
        (("Hello!", "Hi!", "Hello.", "Hi there."),
         ("Hello! What would you like to know?", "Hello! How can I help you?")),
        (("Good morning!", "Good morning."),
         ("Good morning! What can I do for you?", "Good morning! How are you?")),
        (("Who are you?", "What are you?", "What is your name?"),
         ("I am a tiny language model. I know a few things about the valley.",
          "I am a very small language model, made by hanhua.")),
        (("What can you do?", "What can I ask you?", "How can you help me?"),
         ("I can talk about the people and towns of the valley, do small sums and tell stories.",
          "You can ask me about the valley, about words and about small sums.")),
        (("How are you?", "How are you today?"), ("I am well, thank you.",
         "Very well, thank you!")),
        (("Do you speak Chinese?", "Can you speak Chinese?"),
         ("Yes, I have learned some Chinese.",)),
        (("How old are you?", "When were you made?"),
         ("I do not count years. I was trained a moment ago.",)),
        (("Are you a person?", "Are you a human being?"), ("No, I am only a small program.",)),
        (("Where is the valley?", "What is the valley?"),
         ("The valley is a made-up place with eight towns and eight rivers.",)),
        OUTSIDE["en"],
        OUTSIDE["en"],
        (("Goodbye!", "Bye!", "See you tomorrow."), ("Goodbye!", "Goodbye! See you soon.")),
        THANKS["en"],
    ),
    "zh": (
        (("你好！", "你好", "您好！", "嗨，你好。"),
         ("你好！你想知道什么？", "你好！我能帮你什么？")),
        (("早上好！", "早上好"), ("早上好！有什么可以帮你？", "早上好！你今天好吗？")),
        (("你是谁？", "你叫什么名字？", "你是什么？"),
         ("我是一个很小的语言模型，知道一些河谷里的事。", "我是汉化做的一个很小的语言模型。")),
        (("你会做什么？", "我可以问你什么？", "你能帮我什么？"),
         ("我可以说说河谷里的人和镇，做简单的算术，还会讲故事。",
          "你可以问我河谷里的事、词语的意思，还有简单的算术。")),
        (("你好吗？", "你今天好吗？"), ("我很好，谢谢你。", "很好，谢谢！")),
        (("你会说中文吗？", "你懂中文吗？"), ("会，我学了一些中文。",)),
        (("你几岁了？", "你是什么时候做出来的？"), ("我不数年头，我刚刚才训练好。",)),
        (("你是人吗？", "你是真人吗？"), ("不是，我只是一个小小的程序。",)),
        (("河谷在哪里？", "河谷是什么地方？"), ("河谷是编出来的地方，那里有八个镇和八条河。",)),
        OUTSIDE["zh"],
        OUTSIDE["zh"],
        (("再见！", "拜拜！", "明天见。"), ("再见！", "再见！希望很快再见到你。")),
        THANKS["zh"],
    ),
}  # fmt: skip
