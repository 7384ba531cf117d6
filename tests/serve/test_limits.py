"""What a key may use, and what is counted under its name."""

from __future__ import annotations

import httpx
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from hanhua.serve.errors import ApiError
from hanhua.serve.keys import Account, Key
from hanhua.serve.policy import Policy
from hanhua.serve.words import BlockWords

from .conftest import running_server, wait_until
from .test_api import ASK, CHAT, EMBED, TEXT, check_error


class Clock:
    """Time that passes when told to."""

    def __init__(self) -> None:
        self.now = 0.0

    def __call__(self) -> float:
        return self.now


def admitted(account: Account) -> int | None:
    """None when let in, else after how many seconds to come back."""
    try:
        account.admit()
    except ApiError as error:
        return int(error.headers["Retry-After"])
    return None


@given(st.lists(st.floats(0, 20), max_size=60), st.integers(1, 30))
@settings(max_examples=40, deadline=None)
def test_requests_keep_the_rate(waits, limit):
    """Over any minutes no more than one burst and the rate; who waits as told is let in."""
    clock = Clock()
    account = Account(Key("k", "k", requests_per_minute=limit), clock)
    for wait in waits:
        clock.now += wait
        seconds = admitted(account)
        if seconds is not None:
            clock.now += seconds
            assert admitted(account) is None
        assert account.requests <= limit + clock.now * limit / 60 + 1e-6


def test_tokens_are_paid_back():
    clock = Clock()
    account = Account(Key("k", "k", tokens_per_minute=600), clock)
    assert admitted(account) is None
    account.charge(1200)  # ten a second: a minute's debt
    seconds = admitted(account)
    assert seconds == 61
    assert account.refused == 1
    clock.now += seconds
    assert admitted(account) is None
    assert account.tokens == 1200
    free = Account(Key("k", "k"), clock)
    free.charge(10**9)
    assert admitted(free) is None


def test_limits_by_key_and_metrics_by_name(served):
    keys = (Key("secret-a", "班级", requests_per_minute=2), Key("secret-b", "b", 0, 50))
    with running_server(served, policy=Policy(keys=keys)) as (url, _):

        def ask(key):
            headers = {"Authorization": f"Bearer {key}"}
            return httpx.post(url + CHAT, json=ASK, headers=headers, timeout=60)

        used = [ask("secret-a"), ask("secret-a")]
        assert [r.status_code for r in used] == [200, 200]
        refused = ask("secret-a")
        assert refused.status_code == 429
        assert 1 <= int(refused.headers["retry-after"]) <= 60
        assert check_error(refused)["code"] == "rate_limit_exceeded"
        first = ask("secret-b")
        assert first.json()["usage"]["total_tokens"] < 100
        second = ask("secret-b") if first.json()["usage"]["total_tokens"] < 50 else None
        assert second is None or second.status_code == 200
        assert ask("secret-b").status_code == 429
        headers = {"Authorization": "Bearer secret-a"}
        assert httpx.get(url + "/v1/models", headers=headers).status_code == 200
        text = httpx.get(url + "/metrics", headers=headers).text
    tokens = sum(r.json()["usage"]["total_tokens"] for r in used)
    assert 'hanhua_key_requests_total{key="班级"} 2' in text
    assert 'hanhua_key_refused_total{key="班级"} 1' in text
    assert f'hanhua_key_tokens_total{{key="班级"}} {tokens}' in text
    assert "secret" not in text


@pytest.mark.parametrize("stream", [True, False])
def test_a_stream_is_charged_too(served, stream):
    key = Key("k", "k", tokens_per_minute=10)
    with running_server(served, policy=Policy(keys=(key,))) as (url, _):
        headers = {"Authorization": "Bearer k"}
        body = {**ASK, "stream": stream}
        assert httpx.post(url + CHAT, json=body, headers=headers, timeout=60).status_code == 200
        assert httpx.post(url + CHAT, json=body, headers=headers).status_code == 429


READING = {
    "/tokenize": {"prompt": "Tom runs over the hill."},
    EMBED: {"input": ["Tom runs over the hill."]},
}
"""What makes no answer, and yet is work."""


@pytest.mark.parametrize("path", READING)
def test_reading_counts_as_answering_does(served, path):
    """Requests and tokens of what generates nothing meet the key's limits too."""
    keys = (Key("k", "requests", 2), Key("t", "tokens", 0, 5))
    with running_server(served, policy=Policy(keys=keys)) as (url, _):

        def ask(key):
            headers = {"Authorization": f"Bearer {key}"}
            return httpx.post(url + path, json=READING[path], headers=headers, timeout=60)

        assert [ask("k").status_code for _ in range(3)] == [200, 200, 429]
        first = ask("t").json()
        tokens = first["count"] if path == "/tokenize" else first["usage"]["total_tokens"]
        assert tokens > 5
        refused = ask("t")
        assert refused.status_code == 429
        assert "tokens a minute" in check_error(refused)["message"]
        assert ask("x").status_code == 401
        headers = {"Authorization": "Bearer t"}
        text = httpx.get(url + "/metrics", headers=headers).text
    assert f'hanhua_key_tokens_total{{key="requests"}} {2 * tokens}' in text
    assert f'hanhua_key_tokens_total{{key="tokens"}} {tokens}' in text
    assert 'hanhua_key_refused_total{key="requests"} 1' in text


@pytest.mark.parametrize("path", [EMBED, TEXT])
def test_who_leaves_before_the_end_has_used_the_tokens(served, path):
    if path == EMBED:
        body, tokens = {"input": [[7] * 4000] * 40}, 160_000  # ten seconds of work
    else:
        body = {"prompt": [[7] * 4000] * 16, "echo": True, "logprobs": 1, "max_tokens": 1}
        tokens = 64_000
    with running_server(served, policy=Policy(keys=(Key("k", "k"),))) as (url, _):
        headers = {"Authorization": "Bearer k"}
        with pytest.raises(httpx.ReadTimeout):
            httpx.post(url + path, json=body, headers=headers, timeout=0.7)

        def used():
            text = httpx.get(url + "/metrics", headers=headers).text
            return next(line for line in text.splitlines() if line.startswith("hanhua_key_tokens"))

        wait_until(lambda: not used().endswith(" 0"))
        assert used() == f'hanhua_key_tokens_total{{key="k"}} {tokens}'


@pytest.mark.parametrize("echo", [False, True])
def test_more_answers_than_there_is_room_for_are_refused_for_good(served, echo):
    """Not as 429: who is told to come back would be told so for ever."""
    body = {"prompt": ["a"] * 3, "n": 2, "max_tokens": 1, "echo": echo, "logprobs": 1}
    with running_server(served, max_running=2, max_waiting=3) as (url, engine):
        refused = httpx.post(url + TEXT, json=body)
        assert refused.status_code == 400
        assert "6 answers" in check_error(refused)["message"]
        assert check_error(refused)["param"] == "n"
        assert engine.stats.steps == 0
        fits = httpx.post(url + TEXT, json={**body, "prompt": ["a", "b"]}, timeout=60)
        assert len(fits.json()["choices"]) == 4


def test_ids_that_cannot_fit_are_refused_before_they_are_read(served):
    """A million ids would be turned into text for the word list first, for seconds."""
    block = BlockWords(["坏话"])
    ids = served.encode_text("坏话") * served.context_tokens
    with running_server(served, policy=Policy(block=block)) as (url, _):
        for path, body in ((TEXT, {"prompt": ids}), (EMBED, {"input": [[7], ids]})):
            refused = httpx.post(url + path, json=body, timeout=60)
            assert refused.status_code == 400
            error = check_error(refused)
            assert error["code"] == "context_length_exceeded"
            assert error["param"] in body
