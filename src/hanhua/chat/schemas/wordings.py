"""The wordings of plain language tasks, in Chinese and English: a few ways to ask each.

The idea is COIG-PC's and pCLUE's: a labelled set becomes instruction data once each record is put
into words. Several wordings a task, so that a model learns the task and not a phrase. ``{name}``
stands for a slot that ``slots.py`` fills; a wording whose slots a record cannot fill is not used
for it.
"""

from __future__ import annotations

from collections.abc import Mapping

Wordings = Mapping[str, tuple[str, ...]]
"""Language -> questions with slots."""

CLASSIFICATION: Wordings = {
    "zh": (
        "下面这段文本属于哪一类？\n\n{text}\n\n可选类别：{options}",
        "请给下面的文本选一个类别，只能从“{options}”里选。\n\n{text}",
        "{text}\n\n上文的类别是什么？从以下类别中选择：{options}。",
        "请判断下面这段文本的类别。\n\n{text}",
        "{text}\n\n上文应归入哪个类别？",
    ),
    "en": (
        "Which category does this text belong to?\n\n{text}\n\nCategories: {options}",
        "Classify the text below. Choose one of: {options}.\n\n{text}",
        "{text}\n\nWhat is the category of the text above? Options: {options}",
        "Name the category of the following text.\n\n{text}",
        "{text}\n\nWhat category is this?",
    ),
}
INFERENCE: Wordings = {
    "zh": (
        "句子一：{first}\n句子二：{second}\n这两个句子是什么关系？可选：{options}",
        "请判断两个句子之间的关系，从“{options}”中选择。\n\n1. {first}\n2. {second}",
        "句子一：{first}\n句子二：{second}\n请说出这两个句子之间的关系。",
        "“{first}”和“{second}”之间是什么关系？",
    ),
    "en": (
        "Sentence 1: {first}\nSentence 2: {second}\nHow are they related? Options: {options}",
        "Choose how the two sentences are related: {options}.\n\n1. {first}\n2. {second}",
        "Sentence 1: {first}\nSentence 2: {second}\nName the relation between the two sentences.",
        "What is the relation between “{first}” and “{second}”?",
    ),
}
READING: Wordings = {
    "zh": (
        "阅读下面的文章，回答问题。\n\n{passage}\n\n问题：{question}",
        "{passage}\n\n根据上文回答：{question}",
        "请从文中找出答案。\n问题：{question}\n文章：{passage}",
    ),
    "en": (
        "Read the passage and answer the question.\n\n{passage}\n\nQuestion: {question}",
        "{passage}\n\nAnswer from the text above: {question}",
        "Find the answer in the text.\nQuestion: {question}\nText: {passage}",
    ),
}
CHOICE: Wordings = {
    "zh": (
        "{passage}\n\n{question}\n{options}\n请选出正确的一项。",
        "根据下文回答单项选择题。\n\n{passage}\n\n{question}\n{options}",
        "{question}\n{options}\n请选出正确的一项。",
        "单项选择题：{question}\n{options}",
        "请回答下面的选择题。\n\n{question}\n\n{options}",
    ),
    "en": (
        "{passage}\n\n{question}\n{options}\nChoose the right answer.",
        "Answer the multiple-choice question from the text.\n\n{passage}\n\n{question}\n{options}",
        "{question}\n{options}\nChoose the right answer.",
        "A multiple-choice question: {question}\n{options}",
        "Answer this question with one of the options.\n\n{question}\n\n{options}",
    ),
}
CLOZE: Wordings = {
    "zh": (
        "请从“{options}”中选一个填入空格处。\n\n{text}",
        "{text}\n\n空格处应填哪一个？候选：{options}",
        "请填写下文的空格处。\n\n{text}",
        "{text}\n\n空格处应填什么？",
    ),
    "en": (
        "Fill the blank with one of: {options}.\n\n{text}",
        "{text}\n\nWhich of these fits the blank? {options}",
        "Fill the blank in the text below.\n\n{text}",
        "{text}\n\nWhat fits the blank?",
    ),
}
TRANSLATION: Wordings = {
    "zh": (
        "把下面的{from}翻译成{to}。\n\n{text}",
        "请将以下文本译为{to}：\n{text}",
        "{text}\n\n这段{from}用{to}怎么说？",
    ),
    "en": (
        "Translate the following {from} text into {to}.\n\n{text}",
        "Write this in {to}:\n{text}",
        "{text}\n\nHow is this said in {to}?",
    ),
}
SUMMARY: Wordings = {
    "zh": (
        "请概括下面这段文字。\n\n{text}",
        "{text}\n\n请为上文写一个摘要。",
        "用简短的话总结下文的主要内容：\n{text}",
    ),
    "en": (
        "Summarise the following text.\n\n{text}",
        "{text}\n\nWrite a summary of the text above.",
        "Give the main points of this text in a few words:\n{text}",
    ),
}
