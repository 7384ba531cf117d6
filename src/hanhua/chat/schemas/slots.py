"""What each plain language task asks for, out of the names that published sets give to fields."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from hashlib import blake2b
from typing import Any

from hanhua.chat.schemas.fields import Fields, listed, text_of

Slots = dict[str, str]
Labels = Mapping[str, str] | None
"""Label as it stands in the file -> what it is called."""

_PASSAGE = ("context", "passage", "article", "paragraph", "document")
_QUESTION = ("question", "query")
_OPTIONS = ("options", "choices", "choice", "candidates", "answer_choices", "labels")
_LABEL = ("label_desc", "label_text", "label", "gold")
_LETTERS = "ABCDEFGH"
_BLANK = re.compile(r"#idiom\w*#|_{2,}|\[MASK\]|（\s*）")
_EMPTY = "____"
_LAST_BEFORE_HAN = 0x2E7F
_LANGUAGES = {
    "zh": {"zh": "中文", "en": "英文"},
    "en": {"zh": "Chinese", "en": "English"},
}


def classification_slots(record: Fields, labels: Labels) -> Slots | None:
    """A text and its class."""
    text = text_of(record, "sentence", "text", "content", "review")
    answer = _label(record, labels)
    if not text or answer is None:
        return None
    return {"text": text, "answer": answer, "options": _offered(record, labels)}


def inference_slots(record: Fields, labels: Labels) -> Slots | None:
    """Two sentences and how they are related."""
    first = text_of(record, "sentence1", "premise", "text1")
    second = text_of(record, "sentence2", "hypothesis", "text2")
    answer = _label(record, labels)
    if not first or not second or answer is None:
        return None
    return {"first": first, "second": second, "answer": answer,
            "options": _offered(record, labels)}  # fmt: skip


def reading_slots(record: Fields, labels: Labels) -> Slots | None:
    """A passage, a question and the answer; of several answers the first."""
    passage, question = text_of(record, *_PASSAGE), text_of(record, *_QUESTION)
    if not passage or not question or not {"answer", "answers", "answer_text"} & set(record):
        return None
    answer = text_of(record, "answer", "answer_text") or _first(record.get("answers"))
    answer = answer or _first(record.get("answer"))
    return {"passage": passage, "question": question, "answer": answer}


def choice_slots(record: Fields, labels: Labels) -> Slots | None:
    """A question with options; the answer is a letter, a number from 0, or the option itself.

    AGIEval writes ``(A)`` into the options and several letters into ``label`` where several are
    right; the answer then has a line for each.
    """
    question, options = text_of(record, *_QUESTION), _unlettered(_options(record))
    if not question or len(options) < 2 or not {"answer", "label"} & set(record):
        return None
    given = record.get("answer")
    given = record.get("label") if given is None else given
    places = [_place(one, options) for one in (given if isinstance(given, list) else [given])]
    right = [f"{_LETTERS[i]}. {options[i]}" for i in places if i is not None]
    return {
        "passage": text_of(record, *_PASSAGE),
        "question": question,
        "options": "\n".join(f"{_LETTERS[i]}. {text}" for i, text in enumerate(options)),
        "answer": "\n".join(right) if len(right) == len(places) else "",
    }


def cloze_slots(record: Fields, labels: Labels) -> Slots | None:
    """A text with one gap and what fills it."""
    text = text_of(record, "content", "text", "sentence", "question")
    if len(_BLANK.findall(text)) != 1 or "answer" not in record:
        return None
    options = _options(record)
    place = _place(record["answer"], options) if options else None
    answer = options[place] if place is not None else text_of(record, "answer")
    gap = _BLANK.sub(_EMPTY, text)
    return {"text": gap, "options": _offered(record, None), "answer": answer}


def translation_slots(record: Fields, labels: Labels) -> Slots | None:
    """A text in both languages; which way it goes is told by a hash of the two."""
    pair = record.get("translation") if isinstance(record.get("translation"), Mapping) else record
    texts = {name: text_of(pair, name) for name in ("zh", "en")} if pair else {}
    if not all(texts.values()) or not texts:
        return None
    key = blake2b(f"{texts['zh']}\0{texts['en']}".encode("utf-8", "replace"), digest_size=1)
    start, end = ("zh", "en") if key.digest()[0] % 2 else ("en", "zh")
    names = _LANGUAGES[start]
    return {"text": texts[start], "answer": texts[end], "from": names[start], "to": names[end],
            "language": start}  # fmt: skip


def summary_slots(record: Fields, labels: Labels) -> Slots | None:
    """A text and its summary."""
    text = text_of(record, "article", "document", "content", "text", "dialogue")
    answer = text_of(record, "summary", "highlights", "abstract")
    return {"text": text, "answer": answer} if text and answer else None


def _label(record: Fields, labels: Labels) -> str | None:
    """What the label is called; None where there is none. A number says nothing without names."""
    if labels is not None:
        found = next((str(record[n]) for n in _LABEL if str(record.get(n)) in labels), None)
        return labels[found] if found is not None else ("" if _has_label(record) else None)
    texts = [record[name] for name in _LABEL if isinstance(record.get(name), str)]
    named = [text for text in texts if text.strip() and not text.strip().lstrip("-").isdecimal()]
    return named[0] if named else None


def _has_label(record: Fields) -> bool:
    return any(name in record for name in _LABEL)


def _offered(record: Fields, labels: Labels) -> str:
    names = list(dict.fromkeys(labels.values())) if labels else _options(record)
    chinese = any(ord(character) > _LAST_BEFORE_HAN for name in names for character in name)
    return ("、" if chinese else ", ").join(names)


def _options(record: Fields) -> list[str]:
    """The options of a list, of LETTER: text, or of the columns A, B, C and D."""
    for name in _OPTIONS:
        found = listed(record.get(name))
        if isinstance(found, Mapping):
            found = listed(found.get("text", list(found.values())))
        if isinstance(found, (list, tuple)) and all(isinstance(item, str) for item in found):
            return [str(item) for item in found][: len(_LETTERS)]
    lettered = [text_of(record, letter, letter.lower()) for letter in _LETTERS]
    return lettered[: lettered.index("")] if "" in lettered else lettered


def _unlettered(options: list[str]) -> list[str]:
    """Options without the ``(A)`` and so on that all of them begin with."""
    marks = [f"({letter})" for letter in _LETTERS]
    if all(option.startswith(mark) for option, mark in zip(options, marks, strict=False)):
        return [option[3:].strip() for option in options]
    return options


def _place(answer: Any, options: Sequence[str]) -> int | None:
    """Where the right option stands."""
    if isinstance(answer, str):
        text = answer.strip()
        if text in options:
            return options.index(text)
        if len(text) == 1 and text.upper() in _LETTERS:
            answer = _LETTERS.index(text.upper())
        elif text.isdecimal():
            answer = int(text)
    if isinstance(answer, int) and not isinstance(answer, bool) and 0 <= answer < len(options):
        return answer
    return None


def _first(answers: Any) -> str:
    """The first answer of a list, of SQuAD's {text: [...]}, or of a list of such."""
    answers = listed(answers)
    if isinstance(answers, Mapping):
        answers = answers.get("text", "")
    if isinstance(answers, (list, tuple)):
        return _first(answers[0]) if answers else ""
    return answers if isinstance(answers, str) else ""
