"""JSON's grammar: whatever it accepts parses, and whatever parses it accepts."""

from __future__ import annotations

import json
import random

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from hanhua.serve.jsontext import MAX_DEPTH, MAX_DIGITS, State, advance, feed

values = st.recursive(
    st.none() | st.booleans() | st.integers(-(10**30), 10**30) | st.text()
    | st.floats(allow_nan=False, allow_infinity=False),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(), inner, max_size=3),
    max_leaves=8,
)  # fmt: skip


@given(st.dictionaries(st.text(), values, max_size=4), st.booleans(), st.sampled_from([None, 2]))
@settings(max_examples=40, deadline=None)
def test_every_object_is_accepted_and_done_only_at_its_end(value, ascii_, indent):
    text = json.dumps(value, ensure_ascii=ascii_, indent=indent)
    data = text.encode("utf-8", errors="surrogatepass")
    if b"\xed\xa0" in data or any(0xD800 <= ord(c) < 0xE000 for c in text):
        return
    state = feed(State(), data)
    assert state is not None
    assert state.done
    before = feed(State(), data[:-1])
    assert before is not None
    assert not before.done


@given(st.integers(0, 2**32), st.integers(1, 80))
@settings(max_examples=12, deadline=None)
def test_a_random_walk_that_is_done_parses(seed, steps):
    """Take any byte that is allowed; close what is open at the end: Python's parser agrees."""
    draw = random.Random(seed)
    state, data = State(), b""
    for step in range(steps + 150):
        if state.done:
            break
        allowed = [b for b in range(256) if advance(state, b) is not None]
        assert allowed, (state, data)
        closing = [b for b in allowed if b in b'"}],:0' or b in state.rest[:1]]
        byte = draw.choice(closing if step > steps and closing else allowed)
        state, data = advance(state, byte), data + bytes([byte])
    if state.done:
        assert isinstance(json.loads(data.decode("utf-8", errors="replace")), dict)


def test_random_walks_do_end():
    done = 0
    for seed in range(20):
        draw, state = random.Random(seed), State()
        for _ in range(400):
            allowed = [b for b in range(256) if advance(state, b) is not None]
            closing = [b for b in allowed if b in b'"}]:0']
            state = advance(state, draw.choice(closing or allowed))
            if state.done:
                done += 1
                break
    assert done > 10


@pytest.mark.parametrize("text", [
    "[", "1", '"a"', "{1", "{,", '{"a"}', '{"a":}', '{"a":1,}', '{"a":01}', '{"a":1.}', '{"a":.5}',
    '{"a":+1}', '{"a":1e}', '{"a":[1,]}', '{"a":[}', '{"a":tru}', '{"a":"\n"}', '{"a":"\\x"}',
    '{"a":"\\u12g"}', "{}}", "{} x", '{"a":{]}', "\ufeff{}", '{"a":NaN}', "{'a'", '{"a":8#1}',
])  # fmt: skip
def test_what_is_no_object_is_refused(text):
    assert feed(State(), text.encode()) is None


@pytest.mark.parametrize("data", [b'{"\xff', b'{"\xc0\x80', b'{"\xe6a', b'{"\xf5', b'{"\x80'])
def test_bytes_that_are_no_text_are_refused(data):
    assert feed(State(), data) is None


def test_what_loops_comes_to_an_end():
    assert feed(State(), b'{"a":' + b"[" * (MAX_DEPTH - 1)) is not None
    assert feed(State(), b'{"a":' + b"[" * MAX_DEPTH) is None
    assert feed(State(), b'{"a":' + b"1" * MAX_DIGITS) is not None
    assert feed(State(), b'{"a":' + b"1" * (MAX_DIGITS + 1)) is None
    assert feed(State(), b"{" + b" " * 65) is None
