"""Facts read, dealt out, put into rows of equal learnt tokens, and asked for."""

from __future__ import annotations

import json

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from hanhua.chat.template import get_template
from hanhua.core.errors import InputError, MixtureError
from hanhua.core.progress import Silent
from hanhua.demo.knowledge import PEOPLE_WORLD, invented_facts, usable, world_facts
from hanhua.demo.world import PERSON_KINDS
from hanhua.eval.forward import CausalModel
from hanhua.mix.knowledge import ARMS, CONTROL, lessons_and_asked, objects_by_kind, told_in
from hanhua.mix.knowledge_ask import KNOWN, NEW, ask, exposures
from hanhua.mix.knowledge_file import as_line, load_facts
from hanhua.mix.knowledge_pieces import Maker
from hanhua.mix.knowledge_rows import Dealt, build_rows
from hanhua.model.load import load_tokenizer
from hanhua.tokens.encode import encode_documents
from hanhua.tokens.rows import PackedRows, Row, RowsWriter

LANGUAGES = ("zh", "en")
FACTS = invented_facts(4, seed=3)
GOOD = json.loads(as_line(FACTS[0]))


def test_facts_of_the_world_come_back_from_their_file(tmp_path):
    facts = world_facts(17)
    path = tmp_path / "facts.jsonl"
    path.write_text("".join(map(as_line, facts)), encoding="utf-8")
    assert load_facts(path, LANGUAGES) == facts
    assert len(facts) == 5 * PEOPLE_WORLD
    for fact in facts:
        for said in fact.said.values():
            assert len(said.text) > 1
            assert said.text[-1] not in said.answer  # it is never trained on


def test_a_statement_is_used_only_if_another_object_changes_nothing_else():
    used = {(kind, name): usable(kind, name) for kind in PERSON_KINDS for name in ("en", "zh")}
    assert all(len(found) > 1 for found in used.values())
    assert not any("{v.does}" in one for one in used["trade", "en"] + used["trade", "zh"])


WRONG = [
    ("[1]", "not a JSON object"),
    ("{", "not JSON"),
    ({**GOOD, "id": ""}, "id is not a text"),
    ({**GOOD, "knd": "x"}, "did you mean 'kind'"),
    ({key: GOOD[key] for key in ("id", "kind", "zh")}, "not said in this language"),
    ({**GOOD, "zh": {**GOOD["zh"], "text": []}}, "text is not a list"),
    ({**GOOD, "zh": {**GOOD["zh"], "object": "月亮"}}, "object does not stand"),
    ({**GOOD, "zh": {**GOOD["zh"], "texts": ["a"]}}, "did you mean 'text'"),
    (GOOD, "Two facts have one id"),
]


@pytest.mark.parametrize(("line", "part"), WRONG, ids=lambda v: str(v)[:20])
def test_a_mistake_in_a_file_is_told_with_its_line(tmp_path, line, part):
    path = tmp_path / "facts.jsonl"
    second = line if isinstance(line, str) else json.dumps(line, ensure_ascii=False)
    path.write_text(f"{as_line(FACTS[0])}{second}\n", encoding="utf-8")
    with pytest.raises(InputError, match=part) as error:
        load_facts(path, LANGUAGES)
    assert error.value.where.startswith(f"{path}:2")
    assert error.value.fix


def test_facts_of_which_too_little_could_be_asked_are_refused(tmp_path):
    path = tmp_path / "facts.jsonl"
    with pytest.raises(InputError, match="cannot be read"):
        load_facts(path, LANGUAGES)
    path.write_text("".join(map(as_line, FACTS[:9])), encoding="utf-8")
    with pytest.raises(InputError, match="So few facts"):
        load_facts(path, LANGUAGES)
    alone = [{**json.loads(as_line(fact)), "kind": f"k{i // 9}"}
             for i, fact in enumerate(FACTS[:10])]  # fmt: skip
    path.write_text("".join(json.dumps(one) + "\n" for one in alone), encoding="utf-8")
    with pytest.raises(InputError, match="one object in"):
        load_facts(path, LANGUAGES)


@settings(max_examples=40)
@given(st.integers(1, 12), st.integers(0, 50), st.integers(0, 3), st.floats(0.05, 0.6))
def test_facts_are_dealt_out_evenly(people, seed, draw, share):
    facts = invented_facts(people, seed)
    lessons, asked = lessons_and_asked(facts, share, seed)
    assert sorted(f.id for f in (*lessons, *asked)) == sorted(f.id for f in facts)
    assert abs(len(lessons) - share * len(facts)) < 1
    told = told_in(asked, LANGUAGES, seed, draw)
    counts = [list(told.values()).count(name) for name in LANGUAGES]
    assert abs(counts[0] - counts[1]) <= 1
    by_object = {}
    for fact in asked:
        by_object.setdefault((fact.kind, fact.said["zh"].object), []).append(told[fact.id])
    assert all(abs(o.count("zh") - o.count("en")) <= 1 for o in by_object.values())


@pytest.fixture(scope="module")
def maker(tmp_path_factory, tiny_llama, sentences):
    """Pieces in the tiny model's tokens, with sentences around them."""
    tokenizer = load_tokenizer(tiny_llama)
    writer = RowsWriter(tmp_path_factory.mktemp("around"), 128, 400, sorted(LANGUAGES))
    for language in LANGUAGES:
        for ids in encode_documents(tokenizer, sentences[language][:40]):
            writer.add(Row(ids[:128], None, np.array([len(ids[:128])]), language))
    writer.close()
    return Maker(tokenizer, get_template("hanhua"), 128, PackedRows.open(writer.path), 5)


@pytest.fixture(scope="module")
def dealt():
    lessons, asked = lessons_and_asked(FACTS, 0.2, 5)
    return Dealt(lessons, asked, told_in(asked, LANGUAGES, 5, 0), 0.5)


@pytest.fixture(scope="module")
def arms(tmp_path_factory, maker, dealt):
    """The rows of each arm."""
    found = {}
    for arm in ARMS:
        out = tmp_path_factory.mktemp(arm)
        meta = build_rows(maker, dealt, arm, out, languages=LANGUAGES, n_rows=24, row_targets=256,
                          vocab_size=400)  # fmt: skip
        found[arm] = meta, PackedRows.open(out)
    return found


def test_all_arms_learn_exactly_as_many_tokens_in_as_many_rows(arms):
    for meta, rows in arms.values():
        counts = meta["counts_by_language"]
        assert meta["learnt"] == 24 * 256
        assert {name: counts[name]["targets"] for name in LANGUAGES} == dict.fromkeys(
            LANGUAGES, 12 * 256
        )
        assert len(rows) == 24
        for i in range(24):  # to within three pieces: facts, lessons and text are due apart
            row = rows.row(i)
            assert abs(int(row.targets.sum()) - 256) < 3 * 64
            starts = np.cumsum(row.lengths) - row.lengths
            assert not row.targets[starts].any()
    read = {arm: meta["read"] for arm, (meta, _) in arms.items()}
    assert read["instructions"] > read["mixed"] > read["text"]


def test_arms_tell_the_facts_about_equally_often_and_the_control_none(arms, dealt):
    told = {arm: exposures(meta["told"], dealt.asked) for arm, (meta, _) in arms.items()}
    assert told[CONTROL] == {"mean": 0, "least": 0, "most": 0}
    means = [told[arm]["mean"] for arm in ARMS if arm != CONTROL]
    assert max(means) < 1.2 * min(means)
    for arm, (meta, _) in arms.items():
        lessons = [meta["told"][fact.id] for fact in dealt.lessons]
        assert min(lessons) > 1
        if arm != CONTROL:
            assert told[arm]["most"] - told[arm]["least"] < 0.5 * told[arm]["mean"] + 2


def test_a_fact_is_told_in_its_language_and_form_only(arms, maker, dealt):
    decode = maker.tokenizer.decode
    for arm, (_, rows) in arms.items():
        seen = {"statement": 0, "exchange": 0}
        for i in range(len(rows)):
            row = rows.row(i)
            for ids in np.split(row.tokens, np.cumsum(row.lengths)[:-1]):
                text = decode(ids.tolist(), skip_special_tokens=True)
                for fact in dealt.asked:
                    words = fact.said[row.language].text
                    if not any(one in text for one in words):
                        continue
                    assert dealt.told[fact.id] == row.language
                    assert words[-1] not in text
                    seen["exchange" if text.startswith("Q:") else "statement"] += 1
        there = {name for name, count in seen.items() if count}
        assert there == {"text": {"statement"}, "instructions": {"exchange"}, CONTROL: set(),
                         "mixed": {"statement", "exchange"}}[arm]  # fmt: skip
        if arm == "mixed":
            assert 0.6 < seen["statement"] / seen["exchange"] < 1.6


def test_rows_without_a_language_cannot_stand_around_facts(maker):
    with pytest.raises(MixtureError, match="hold no ja"):
        next(maker.around("ja", 64, "around"))


def test_a_fact_longer_than_the_context_is_refused(maker):
    with pytest.raises(InputError, match="longer than the model's context"):
        maker.statement("long", "Tom lives here. " * 80)


def test_a_model_is_asked_for_every_fact_in_every_way(tiny_llama):
    model = CausalModel.load(tiny_llama)
    template = get_template("hanhua")
    answers = ask(model, template, FACTS, LANGUAGES, Silent())
    assert len(answers) == len({(a.id, a.language, a.form, a.wording) for a in answers})
    assert len(answers) == len(FACTS) * 2 * 2 * 2
    objects = {name: objects_by_kind(FACTS, name) for name in LANGUAGES}
    for one in answers:
        fact = next(fact for fact in FACTS if fact.id == one.id)
        assert one.object == fact.said[one.language].object
        assert one.choice in objects[one.language][fact.kind]
        assert one.options == len(objects[one.language][fact.kind])
        assert (one.exact is None) == (one.wording == NEW)
    # the choice is that of whole texts, each by itself
    ways = [a for a in answers if (a.form, a.wording) == ("text", KNOWN)][::7]
    assert ways
    for one in ways:
        said = next(fact for fact in FACTS if fact.id == one.id).said[one.language]
        kind = objects[one.language][one.id.rpartition("-")[2]]
        before, _, behind = said.text[0].rpartition(said.object)
        costs = {}
        for thing in kind:
            ids = model.tensor([[model.start, *model.encode([before + thing + behind])[0]]])
            with torch.no_grad():
                nats = model.nats(model.hidden(ids)[0, :-1], ids[0, 1:])
            costs[thing] = float(nats.sum())
        assert costs[one.choice] == pytest.approx(min(costs.values()), abs=1e-3)
