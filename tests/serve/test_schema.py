"""Answers held to a JSON schema: whatever a model of nonsense says, what is whole fits."""

from __future__ import annotations

import json
import random
from typing import Any

import pytest

pytest.importorskip("llguidance", reason="needs the serve extra: pip install 'hanhua[serve]'")
pytest.importorskip("jsonschema_rs", reason="comes with schemathesis, of the extra dev")

import jsonschema_rs
from hypothesis import given, settings
from hypothesis import strategies as st
from pydantic import BaseModel

from hanhua.serve.engine import Engine, Job
from hanhua.serve.errors import ApiError
from hanhua.serve.grammar import MAX_NESTING, Grammar, NoGrammar
from hanhua.serve.sampling import Sampling
from hanhua.serve.schema import MAX_COUNT, MAX_SUBSCHEMAS, check_schema

from .test_api import ASK, CHAT, check_error
from .test_engine import run_all

NULL = {"type": "null"}
LIST = {"type": "object", "properties": {"v": {"type": "boolean"}, "next": {"anyOf": [
    {"$ref": "#/$defs/List"}, NULL]}}, "required": ["v", "next"],
    "additionalProperties": False}  # fmt: skip


def bounds(low: str, high: str, most: int) -> st.SearchStrategy[dict[str, int]]:
    """Both, one or none of a lower and an upper limit."""
    pairs = st.tuples(st.integers(0, most), st.integers(0, most)).map(sorted)
    return pairs.flatmap(lambda p: st.sampled_from(
        [{}, {low: p[0]}, {high: p[1]}, {low: p[0], high: p[1]}]
    ))  # fmt: skip


def kind(name: str, more: st.SearchStrategy[dict[str, Any]]) -> st.SearchStrategy[dict[str, Any]]:
    return more.map(lambda given: {"type": name, **given})


values = st.none() | st.booleans() | st.integers(-99, 99) | st.text(max_size=4).filter(
    lambda text: text.isprintable())  # fmt: skip
texts = bounds("minLength", "maxLength", 6).map(lambda b: {"maxLength": 8, **b})
leaves = (
    st.sampled_from([NULL, {"type": "boolean"}, {"type": ["string", "null"], "maxLength": 3},
                     {"$ref": "#/$defs/List"}, {"type": "number"},
                     {"title": "任何", "enum": [[], {}]},
                     {"type": "string", "pattern": "^[a-c中]{2,4}$"},
                     {"type": "string", "format": "date"}, {"type": "integer", "multipleOf": 7}])
    | kind("string", texts)
    | kind("integer", bounds("minimum", "maximum", 300))
    | kind("number", bounds("exclusiveMinimum", "maximum", 9).filter(
        lambda b: b.get("exclusiveMinimum", 0) < b.get("maximum", 9)))
    | st.lists(values, min_size=1, max_size=4).map(lambda found: {"enum": found})
    | values.map(lambda value: {"const": value})
)  # fmt: skip


def objects(inner: st.SearchStrategy[dict[str, Any]]) -> st.SearchStrategy[dict[str, Any]]:
    names = st.sampled_from(["a", "名字", 'say "hi"', "c d", "\n", "z"])
    return st.dictionaries(names, inner, max_size=3).flatmap(lambda found: st.builds(
        lambda required, other: {"type": "object", "properties": found, "required": required,
                                 "additionalProperties": other},
        st.lists(st.sampled_from(sorted(found) or ["q"]), unique=True).filter(
            lambda names: set(names) <= found.keys()),
        st.just(False) | st.just(NULL),
    ))  # fmt: skip


schemas = st.recursive(
    leaves,
    lambda inner: objects(inner)
    | st.builds(lambda item, b: {"type": "array", "items": item, "maxItems": 3, **b},
                inner, bounds("minItems", "maxItems", 3))
    | st.lists(inner, min_size=1, max_size=3).map(lambda found: {"anyOf": found}),
    max_leaves=6,
).map(lambda schema: {**schema, "$defs": {"List": LIST}})  # fmt: skip


def once(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    """An object whose names stand in it once."""
    assert len({name for name, _ in pairs}) == len(pairs)
    return dict(pairs)


def fits(schema: dict[str, Any], text: str) -> bool:
    value = json.loads(text, object_pairs_hook=once)
    if "properties" in schema:
        named = [name for name in value if name in schema["properties"]]
        assert named == [name for name in schema["properties"] if name in value]
    return bool(jsonschema_rs.validator_for(schema).is_valid(value))


def walk(grammar: Grammar, served: Any, seed: int, most: int = 300) -> str | None:
    """A text of tokens drawn from those that may come, ends preferred; None: it did not end."""
    draw, here, ids = random.Random(seed), grammar.fresh(), []
    ends = [t for mark in (b'"', b"}", b"]", b",", b"0") for t in range(served.n_tokens)
            if served.token_bytes[t] == mark]  # fmt: skip
    for _ in range(most):
        may = here.allowed().nonzero().flatten().tolist()
        assert may, served.text_of(ids)
        stops = [token for token in may if token in served.stop_ids]
        assert bool(stops) <= here.whole
        if here.done or (stops and draw.random() < 0.5):
            break
        may = [token for token in may if token not in stops]
        short = [token for token in may if token in ends] if draw.random() < 0.4 else []
        token = draw.choice(short or may)
        assert here.take(token)
        ids.append(token)
    else:
        return None
    return served.token_bytes.join(ids).decode("utf-8")


@given(schemas, st.integers(0, 2**32))
@settings(max_examples=60, deadline=None)
def test_whatever_is_drawn_fits(served, schema, seed):
    check_schema(schema)
    grammar = served.grammars.by_schema(schema)
    text = walk(grammar, served, seed)
    if text is not None:
        assert fits(schema, text), text
        assert byte_by_byte(grammar, served, text)


def byte_by_byte(grammar: Grammar, served: Any, text: str) -> bool:
    """Whether a text may be written in tokens of one byte each."""
    byte = {served.token_bytes[t]: t for t in range(served.n_tokens - 1, 2, -1)}
    here = grammar.fresh()
    return all(here.take(byte[bytes([b])]) for b in text.encode()) and here.whole


def test_most_of_what_is_drawn_ends(served):
    """What the property test passes over is the smaller part."""
    grammar = served.grammars.by_schema(LIST | {"$defs": {"List": LIST}})
    ended = [walk(grammar, served, seed) for seed in range(20)]
    assert sum(text is not None for text in ended) > 14


def test_a_model_of_nonsense_fits_too(served):
    """Through the engine, several schemas in one batch, each answer drawn at temperature 1."""
    schema = {"type": "object", "properties": {
        "name": {"type": "string", "minLength": 2, "maxLength": 5},
        "age": {"type": "integer", "minimum": 3, "maximum": 40},
        "tags": {"type": "array", "items": {"enum": ["甲", "b"]}, "maxItems": 3},
        "next": {"anyOf": [NULL, {"$ref": "#"}]}},
        "required": ["name", "age", "tags", "next"], "additionalProperties": False}  # fmt: skip
    other = {"type": "array", "items": {"type": "boolean"}, "minItems": 2, "maxItems": 2}
    engine = Engine(served, max_running=4, max_waiting=20)
    try:
        asked = [(schema, seed) for seed in range(8)] + [(other, seed) for seed in range(4)]
        sinks = run_all(engine, [
            Job(prompt=(5, 6), max_tokens=200, grammar=served.grammars.by_schema(s),
                sampling=Sampling(temperature=1.0, seed=seed))
            for s, seed in asked
        ])  # fmt: skip
    finally:
        engine.close()
    whole = [(s, sink.text) for (s, _), sink in zip(asked, sinks, strict=True)
             if sink.events[-1].end == "stop"]  # fmt: skip
    assert {sink.events[-1].end for sink in sinks} <= {"stop", "length"}
    assert len(whole) > 8
    assert all(fits(s, text) for s, text in whole)


@pytest.mark.parametrize(("schema", "yes", "no"), [
    ({"type": "object"}, ['{}', ' \n{"a":[1,{"b":null}]}', '{ "a" : 1 }'], ["[]", "1", "{} "]),
    ({"type": "object", "properties": {"a": NULL, "b": NULL}, "required": ["b"]},
     ['{"a":null,"b":null}', '{"b":null,"c":1}'], ["{}", '{"b":null,"a":null}', '{"a":null}']),
    ({"type": "string", "maxLength": 2}, ['"中𠮷"', '""', '"\\n"'], ['"abc"', '"\\ud800"', '"\n"']),
    ({"enum": [1, "a", None, [1], {"a": 2}]}, ["1", '"a"', "null", "[1]", '{"a":2}'], ["2", "[]"]),
    ({"type": ["string", "null"], "enum": ["a", None]}, ['"a"', "null"], ["1"]),
    ({"type": "number", "minimum": 0, "exclusiveMaximum": 5}, ["0", "4.99"], ["5", "-1"]),
    ({"type": "string", "format": "date"}, ['"2024-02-29"'], ['"2024-13-01"', '"x"']),
    ({"$ref": "#/$defs/a", "$defs": {"a": {"type": "integer"}}}, ["-12", "7"], ["1.5", '"1"']),
    ({}, ["null", '{"a":[]}', "1e5"], ["nul", "{]"]),
])  # fmt: skip
def test_what_fits_and_what_does_not(served, schema, yes, no):
    check_schema(schema)
    grammar = served.grammars.by_schema(schema)
    assert [byte_by_byte(grammar, served, text) for text in yes] == [True] * len(yes)
    assert [byte_by_byte(grammar, served, text) for text in no] == [False] * len(no)


def test_an_object_without_a_schema_is_nested_to_a_limit(served):
    grammar = served.grammars.json_object()
    deep = '{"a":' + "[" * (MAX_NESTING - 2) + "1" + "]" * (MAX_NESTING - 2) + "}"
    assert byte_by_byte(grammar, served, deep)
    assert not byte_by_byte(grammar, served, deep.replace("1", "[1]"))
    assert not byte_by_byte(grammar, served, "[1]")


REFUSED = {
    "unknown": ({"properties": {"a": {"uniqueItems": True}}}, "#/properties/a", "'uniqueItems'"),
    "oneOf": ({"oneOf": [NULL]}, "#", "'oneOf'"),
    "allOf": ({"items": {"allOf": [NULL]}}, "#/items", "'allOf'"),
    "our own word": ({"x-guidance": {"lenient": True}}, "#", "'x-guidance'"),
    "type": ({"anyOf": [NULL, {"type": "text"}]}, "#/anyOf/1", "'type' must be"),
    "type none": ({"type": []}, "#", "'type' must be"),
    "type number": ({"type": 3}, "#", "'type' must be"),
    "inner text": ({"properties": {"a/b": "string"}}, "#/properties/a~1b", "must be an object"),
    "properties": ({"properties": [1]}, "#", "'properties' must be"),
    "count": ({"minLength": -1}, "#", "'minLength' must be"),
    "count large": ({"maxItems": MAX_COUNT + 1}, "#", "'maxItems' must be"),
    "count true": ({"maxItems": True}, "#", "'maxItems' must be"),
    "number large": ({"minimum": 10**400}, "#", "'minimum' must be"),
    "format": ({"format": "color"}, "#", "'format' must be"),
    "ref far": ({"$ref": "http://x/y"}, "#", "'$ref' must be"),
    "ref lost": ({"$ref": "#/$defs/no"}, "#", "is not there"),
    "ref beside": ({"$ref": "#", "type": "null"}, "#", "'type' beside"),
    "defs inside": ({"items": {"$defs": {}}}, "#/items", "root only"),
    "recursion": ({"$ref": "#"}, "#", "never ends"),
    "recursion by two": (
        {"type": "object", "properties": {"a": {"$ref": "#/$defs/b"}}, "required": ["a"],
         "$defs": {"b": {"type": "array", "items": {"$ref": "#"}, "minItems": 1}}}, "#", "never"),
    "nothing fits": ({"type": "string", "minLength": 3, "maxLength": 2}, "#", "minLength"),
    "required lost": ({"required": ["a"], "additionalProperties": False}, "#", "'a' is required"),
    "pattern": ({"type": "string", "pattern": "(?=a)b"}, "#", "look"),
    "pattern open": ({"type": "string", "pattern": "["}, "#", "regex"),
    "many": ({"anyOf": [NULL] * MAX_SUBSCHEMAS}, "#", "more than"),
    "large": ({"enum": ["x" * 200_000]}, "#", "bytes"),
}  # fmt: skip


@pytest.mark.parametrize("name", REFUSED)
def test_what_cannot_be_carried_out_is_refused_by_name_and_place(client, name):
    schema, place, what = REFUSED[name]
    error = check_error(client.post(CHAT, json=asked(schema)))
    assert error["param"] == "response_format"
    assert f"the schema at '{place}':" in error["message"]
    assert what in error["message"]
    assert len(error["message"]) < 600


def asked(schema: Any, **more: Any) -> dict[str, Any]:
    held = {"name": "it", "schema": schema, **more}
    return {**ASK, "response_format": {"type": "json_schema", "json_schema": held}}


@pytest.mark.parametrize("form", [
    {"type": "json_schema"}, {"type": "json_object", "json_schema": {"name": "a", "schema": {}}},
    {"type": "json_schema", "json_schema": {"name": "a b", "schema": {}}},
    {"type": "json_schema", "json_schema": {"name": "a"}},
    {"type": "json_schema", "json_schema": {"name": "a", "schema": []}},
])  # fmt: skip
def test_a_form_that_is_not_whole_is_refused(client, form):
    error = check_error(client.post(CHAT, json={**ASK, "response_format": form}))
    assert error["param"] == "response_format"


any_json = st.recursive(
    values, lambda i: st.lists(i, max_size=3) | st.dictionaries(st.text(max_size=3), i, max_size=3)
)
keyword = st.sampled_from(["type", "properties", "items", "anyOf", "$ref", "enum", "required",
                           "minLength", "maximum", "pattern", "$defs",
                           "additionalProperties"])  # fmt: skip


@given(st.dictionaries(keyword, any_json, max_size=4))
@settings(max_examples=60, deadline=None)
def test_no_schema_is_our_mistake(served, schema):
    """Anything at all is refused in words or compiled, never an exception of another kind."""
    from hanhua.serve.ask import answer_grammar
    from hanhua.serve.protocol import ChatRequest

    try:
        assert answer_grammar(served, ChatRequest.model_validate(asked(schema))) is not None
    except ApiError as error:
        refusal = error
    else:
        return
    assert refusal.status == 400


BRANCH = {"type": "object", "properties": {n: {"$ref": "#/$defs/b"} for n in "xy"}}
HEAVY = {
    "properties": {"type": "object", "properties": {
        f"p{i}": {"type": "string", "maxLength": 50} for i in range(MAX_SUBSCHEMAS - 2)},
        "additionalProperties": False},
    "counts": {"type": "array", "items": {"type": "string", "minLength": MAX_COUNT},
               "minItems": MAX_COUNT},
    "enum": {"enum": [f"value {i}" for i in range(5000)]},
    "branches": {"$ref": "#/$defs/a0", "$defs": {"b": NULL, **{
        f"a{i}": {"anyOf": [{"$ref": f"#/$defs/{n}{i + 1}"} for n in "aa"]} for i in range(300)
    }, "a300": BRANCH}},
    "pattern": {"type": "string", "pattern": "^(((((a{0,30}){0,30}){0,30}){0,30}){0,30}){0,30}$"},
    "pattern open": {"type": "string", "pattern": "(x+x+)+y[ab]*a[ab]{300}$"},
}  # fmt: skip


@pytest.mark.parametrize("name", HEAVY)
def test_a_heavy_schema_is_made_or_refused_and_harms_nobody(served, name):
    try:
        check_schema(HEAVY[name])
        grammar = served.grammars.by_schema(HEAVY[name])
    except (NoGrammar, ApiError):
        return
    here = grammar.fresh()
    for _ in range(20):
        may = here.allowed().nonzero().flatten().tolist()
        if here.done:
            break
        assert may
        assert here.take(may[-1])


def test_a_refusal_says_what_is_wrong_and_not_how_it_is_done(served):
    with pytest.raises(NoGrammar) as caught:
        served.grammars.by_schema({"type": "integer", "multipleOf": 9007199254740881})
    assert "too many digits" in str(caught.value)
    assert "start:" not in str(caught.value)


class Step(BaseModel):
    """A part of an answer."""

    explanation: str
    number: int | None


class Reasoning(BaseModel):
    """What the official client asks for."""

    steps: list[Step]
    final: bool


def test_the_official_client_parses(server):
    openai = pytest.importorskip("openai", reason="the official client is in the extra dev")
    official = openai.OpenAI(base_url=f"{server}/v1", api_key="none", max_retries=0)
    messages, found = ASK["messages"], 0
    asked = {"model": "tiny", "messages": messages, "response_format": Reasoning,
             "logit_bias": {str(3 + ord(mark)): 6 for mark in '"}]'}}  # fmt: skip
    for seed in range(4):
        try:
            done = official.chat.completions.parse(**asked, max_tokens=160, seed=seed)
        except openai.LengthFinishReasonError:
            continue
        assert isinstance(done.choices[0].message.parsed, Reasoning)
        found += 1
    assert found
    with official.chat.completions.stream(**asked, max_tokens=60, seed=0) as stream:
        assert "".join(e.delta for e in stream if e.type == "content.delta").strip()[0] == "{"
    with pytest.raises(openai.LengthFinishReasonError):
        official.chat.completions.parse(**asked, max_tokens=3)
