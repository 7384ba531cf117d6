"""The generator: seeded, consistent across languages, and true to its own facts."""

from __future__ import annotations

import random
import re

import pytest

from hanhua.demo import valley_texts
from hanhua.demo.conversations import conversations
from hanhua.demo.documents import documents
from hanhua.demo.lexicon import OTHER_NAMES, TOWNS, VALLEY_NAMES, Name
from hanhua.demo.questions import CHOICES, SUBJECTS, questions, story_question
from hanhua.demo.render import (
    LANGUAGES,
    Count,
    Language,
    capitalised,
    fill,
    joined,
    number_en,
    number_zh,
)
from hanhua.demo.scene import Beat, tell
from hanhua.demo.scenes import SCENES
from hanhua.demo.tellings import PHRASES
from hanhua.demo.valley_texts import FORMS, statement
from hanhua.demo.world import VALUES, Fact, valley

HAN = re.compile(r"[\u4e00-\u9fff]")
LATIN = re.compile(r"[A-Za-z]")


@pytest.mark.parametrize("language", LANGUAGES)
def test_same_seed_same_documents_and_another_seed_others(language: Language) -> None:
    first = list(documents(language, 300, 5))
    assert first == list(documents(language, 300, 5))
    assert first[:100] == list(documents(language, 100, 5)), "document n depends on n alone"
    others = {document.text for document in documents(language, 300, 6)}
    assert len(others & {document.text for document in first}) < 6
    assert len({document.text for document in first}) == len({d.id for d in first}) == 300


@pytest.mark.parametrize("language", LANGUAGES)
def test_conversations_are_seeded_and_alternate(language: Language) -> None:
    talks = list(conversations(language, 300, 5))
    assert talks == list(conversations(language, 300, 5))
    assert all(text.strip() for talk in talks for pair in talk.exchanges for text in pair)
    roles = [message["role"] for message in talks[0].as_dict()["messages"]]  # type: ignore[attr-defined]
    assert roles == ["user", "assistant"] * (len(roles) // 2)
    assert len({talk.task for talk in talks}) >= 12, "every kind of task occurs"
    assert any(len(talk.exchanges) > 1 for talk in talks)


def test_documents_are_in_their_language() -> None:
    for document in documents("en", 800, 5):
        assert not HAN.search(document.text), document.text
        assert not re.search(r"[{}_]|\ba [aeio]|  ", document.text), document.text
    latin = [d for d in documents("zh", 800, 5) if LATIN.search(d.text)]
    assert {document.source for document in latin} == {"parallel"}


def test_chinese_uses_chinese_punctuation() -> None:
    for document in documents("zh", 800, 5):
        if document.source != "parallel":
            assert not re.search(r"[,.?!:;\"']", document.text), document.text


def test_facts_are_balanced_and_each_kind_has_one_value() -> None:
    facts = valley().facts
    assert len({fact.id for fact in facts}) == len(facts) == 12 * 5 + 8 * 4
    assert all(fact.value in VALUES[fact.kind] for fact in facts)
    told = [fact.told for fact in facts]
    assert told.count("both") == 46
    assert told.count("en") == told.count("zh") == 23
    assert 0.3 < sum(fact.asked for fact in facts) / len(facts) < 0.7


def _says(fact: Fact, text: str, language: Language) -> bool:
    """Whether a text holds one of the statements of a fact (with the name, not a pronoun)."""
    templates = PHRASES[fact.kind][language].tell
    entities = {"s": fact.about, "v": fact.value}
    return any(fill(template, entities, language) in text for template in templates)


@pytest.mark.parametrize("language", LANGUAGES)
def test_documents_tell_what_is_told_in_their_language_and_nothing_else(language: Language) -> None:
    text = "\n".join(d.text for d in documents(language, 6000, 5) if d.source != "parallel")
    hidden = [fact for fact in valley().facts if not fact.told_in(language)]
    known = [fact for fact in valley().facts if fact.told_in(language)]
    assert not [fact.id for fact in hidden if _says(fact, text, language)]
    assert not [fact.id for fact in known if not _says(fact, text, language)]
    assert len(hidden) == 23


def test_a_fact_is_never_contradicted() -> None:
    """No statement gives a person or town of the valley another value of the same kind."""
    text = {
        language: "\n".join(d.text for d in documents(language, 4000, 7)) for language in LANGUAGES
    }
    checked = 0
    for fact in valley().facts:
        for value in VALUES[fact.kind]:
            wrong = Fact(fact.about, fact.kind, value, "both", False)
            if value != fact.value:
                assert not any(_says(wrong, text[language], language) for language in LANGUAGES)
                checked += 1
    assert checked > 550


def test_parallel_documents_tell_only_what_both_languages_may() -> None:
    text = "\n".join(d.text for d in documents("zh", 6000, 5) if d.source == "parallel")
    one_sided = [fact for fact in valley().facts if fact.told != "both"]
    assert not [f.id for f in one_sided for x in LANGUAGES if _says(f, text, x)]
    assert sum(_says(f, text, x) for f in valley().facts for x in LANGUAGES) == 46 * 2


@pytest.mark.parametrize("language", LANGUAGES)
def test_conversations_ask_only_what_is_told_and_asked(language: Language) -> None:
    text = "\n".join(q + "\n" + a for t in conversations(language, 3000, 5) for q, a in t.exchanges)
    for fact in valley().facts:
        asks = PHRASES[fact.kind][language].ask
        entities = {"s": fact.about, "v": fact.value}
        asked = any(fill(ask, entities, language) in text for ask in asks)
        assert asked == (fact.asked and fact.told_in(language)), fact.id


def test_questions_agree_in_both_languages() -> None:
    english, chinese = (list(questions(language, 5, 96, 32)) for language in LANGUAGES)
    assert len(english) == len(chinese) == 92 + 96 + 32
    for one, other in zip(english, chinese, strict=True):
        assert (one.id, one.subject, one.answer) == (other.id, other.subject, other.answer)
        assert len(set(one.choices)) == len(set(other.choices)) == CHOICES, one
        assert not HAN.search(one.question + "".join(one.choices))
        assert not LATIN.search(other.question + "".join(other.choices))
    assert {item.subject for item in english} == {*SUBJECTS.values(), "reading", "sums"}
    places = [item.answer for item in english]
    assert min(places.count(place) for place in range(CHOICES)) > len(places) / CHOICES * 0.7


def test_the_right_option_follows_from_the_facts() -> None:
    facts = {f"fact-{fact.id}": fact for fact in valley().facts}
    for language in LANGUAGES:
        for item in questions(language, 5, 96, 32):
            right = item.choices[item.answer]
            if item.subject == "sums":
                left, sign, second = re.findall(r"\d+|plus|minus|加|减", item.question)
                value = {"plus": "+", "加": "+", "minus": "-", "减": "-"}.get(sign, "*")
                assert eval(f"{left}{value}{second}") == int(right)
            elif item.subject == "reading":
                core = right.split()[-1] if language == "en" else right.removesuffix("岁")[-1]
                assert core.lower() in item.question.lower(), item
            else:
                fact = facts[item.id]
                assert str(getattr(fact.value, language)).lower() in right.lower() or (
                    right == getattr(fact.value, "plural", None)
                ), item


@pytest.mark.parametrize("scene", SCENES, ids=lambda scene: scene.name)
def test_every_story_answers_its_questions(scene) -> None:  # type: ignore[no-untyped-def]
    """Whatever wording is drawn, the right answer stands in the story, in both languages."""
    for number in range(60):
        for language in LANGUAGES:
            rng = random.Random(number)
            story = tell(scene, rng)
            text = joined(story.sentences(language, rng), language).lower()
            for ask in scene.asks:
                if ask.key == "_":
                    continue
                question, options, _ = story_question(story, ask, language, rng)
                right = story.entities[ask.key]
                shown = fill("{v.n}" if isinstance(right, Count) else "{v}", {"v": right}, language)
                assert shown.lower() in text, (question, shown, text)
                assert len(set(options)) == CHOICES


def test_stories_know_nobody_of_the_valley() -> None:
    """Else a story could contradict a fact."""
    names = {name.en for name in VALLEY_NAMES} | {town.en for town in TOWNS}
    for scene in SCENES:
        for number in range(20):
            entities = tell(scene, random.Random(number)).entities.values()
            assert not names & {entity.en for entity in entities if isinstance(entity, Name)}
    assert not names & {name.en for name in OTHER_NAMES}


def test_names_are_whole_in_both_languages() -> None:
    """No Chinese name is part of another, so that a name in a text is that name."""
    names = [name.zh for name in (*VALLEY_NAMES, *OTHER_NAMES)]
    assert len(set(names)) == 28
    assert not [(a, b) for a in names for b in names if a != b and a in b]


def test_numbers_and_capitals() -> None:
    assert [number_en(n) for n in (0, 12, 20, 21, 99)] == [
        "zero", "twelve", "twenty", "twenty-one", "ninety-nine"
    ]  # fmt: skip
    assert [number_zh(n) for n in (0, 2, 10, 12, 20, 99)] == [
        "零", "二", "十", "十二", "二十", "九十九"
    ]  # fmt: skip
    assert capitalised('she ran. "where?" asked Tom. "here."') == (
        'She ran. "Where?" asked Tom. "Here."'
    )


def test_every_form_of_valley_text_occurs() -> None:
    for form in FORMS:
        texts = [form(random.Random(n), ("en", "zh")) for n in range(40)]
        assert any(texts), form.__name__
    clause = statement(valley().facts[0], "en", random.Random(1), pronoun=True)
    assert clause[0].isupper()


def test_wordings_pair_up() -> None:
    """Same number of wordings in both languages: the same draw gives a sentence's translation."""
    beats = [beat for scene in SCENES for beat in scene.beats]
    for value in vars(valley_texts).values():
        groups = value.values() if isinstance(value, dict) else [value]
        for group in groups:
            beats += [
                b for b in (group if isinstance(group, tuple) else (group,)) if isinstance(b, Beat)
            ]
    assert len(beats) > 120
    assert not [beat for beat in beats if len(beat.en) != len(beat.zh)]
    for kind in PHRASES.values():
        for field in ("tell", "own", "ask", "ask_you", "answer"):
            assert len(getattr(kind["en"], field)) == len(getattr(kind["zh"], field))
