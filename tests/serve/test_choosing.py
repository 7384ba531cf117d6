"""What the API says of tokens and how it bends them: logprobs, penalties, bias, JSON, words."""

from __future__ import annotations

import json
from dataclasses import replace

import httpx
import pytest
import torch

from hanhua.serve.engine import Engine, Job, Ticket
from hanhua.serve.policy import Policy
from hanhua.serve.running import Run
from hanhua.serve.sampling import Sampling
from hanhua.serve.words import BlockWords

from .conftest import read_events, running_server
from .test_api import ASK, CHAT, HELLO, TEXT, check_error
from .test_engine import run_all

MANY = {"temperature": 0, "max_tokens": 12, "prompt": "Tom the hill"}
NO_BYTES = {str(token): -100 for token in range(3, 259)}
"""Bars the tokens that are one byte, so that the nonsense is at least made of characters."""


def choice(client, path, body):
    response = client.post(path, json=body)
    assert response.status_code == 200, response.text
    return response.json()["choices"][0]


def streamed(client, path, body):
    """Text, log probabilities and end of a streamed answer."""
    text, logs, end = "", [], None
    for event in read_events(client.post(path, json={**body, "stream": True}).text):
        for part in event["choices"]:
            text += part["text"] if path == TEXT else part["delta"].get("content", "")
            logs += [part["logprobs"]] if part["logprobs"] else []
            end = part["finish_reason"] or end
    return text, logs, end


@pytest.mark.parametrize("options", [{}, {"temperature": 1.2, "seed": 3, "stop": ["e", " h"]}])
def test_chat_logprobs_are_of_the_text_streamed_or_not(client, options):
    body = {**ASK, "logprobs": True, "top_logprobs": 3, **options}
    plain = choice(client, CHAT, {**ASK, **options})
    told = choice(client, CHAT, body)
    assert told["message"] == plain["message"]
    items = told["logprobs"]["content"]
    data = b"".join(bytes(item["bytes"]) for item in items).decode("utf-8", errors="replace")
    assert data.lstrip().startswith(told["message"]["content"])
    assert all(item["logprob"] <= 0 and len(item["top_logprobs"]) == 3 for item in items)
    if not options:  # greedy: the first alternative is the token itself
        assert len(items) == 24
        assert [i["top_logprobs"][0]["token"] for i in items] == [i["token"] for i in items]
    text, logs, end = streamed(client, CHAT, body)
    assert (text, end) == (told["message"]["content"], told["finish_reason"])
    assert [item for part in logs for item in part["content"]] == items
    assert len(logs) > 1


def test_a_stop_string_takes_its_tokens_along(client):
    body = {**MANY, "logprobs": 0, "logit_bias": NO_BYTES}
    tokens = choice(client, TEXT, body)["logprobs"]["tokens"]
    cut = choice(client, TEXT, {**body, "stop": tokens[4] + tokens[5]})
    assert cut["finish_reason"] == "stop"
    assert cut["text"] == "".join(cut["logprobs"]["tokens"]) == "".join(tokens[:4])


def test_completion_logprobs_and_echo_agree_with_the_model(client, served):
    body = {**MANY, "logprobs": 2, "echo": True, "logit_bias": NO_BYTES}
    found = choice(client, TEXT, body)
    logs = found["logprobs"]
    ids = served.encode_text(MANY["prompt"])
    assert found["text"].startswith(MANY["prompt"])
    assert len(logs["tokens"]) == len(ids) + 12
    assert logs["token_logprobs"][0] is logs["top_logprobs"][0] is None
    with torch.inference_mode():
        whole = served.model(torch.tensor([ids])).logits[0].log_softmax(-1)
    expected = [float(whole[i, token]) for i, token in enumerate(ids[1:])]
    assert logs["token_logprobs"][1 : len(ids)] == pytest.approx(expected, abs=1e-4)
    assert logs["text_offset"] == sorted(logs["text_offset"])
    places = list(zip(logs["tokens"], logs["text_offset"], strict=True))[1:]
    first, at = places[0]
    assert found["text"].startswith(first.lstrip(" "), at)  # the text lacks the first space
    assert first.startswith(" ")
    for token, offset in places[1:]:
        assert found["text"].startswith(token, offset)
    text, parts, _ = streamed(client, TEXT, body)
    assert text == found["text"]
    for name, values in logs.items():
        assert [value for part in parts for value in part[name]] == values
    assert choice(client, TEXT, {**body, "logprobs": None})["text"] == text


def test_echo_gives_each_prompt_its_own_text(client):
    body = {**MANY, "prompt": ["Tom", "hill"], "n": 2, "echo": True, "logprobs": 0, "seed": 1}
    found = client.post(TEXT, json=body).json()["choices"]
    assert [c["text"][:3] for c in found] == ["Tom", "Tom", "hil", "hil"]
    alone = choice(client, TEXT, {**body, "prompt": "hill", "n": 1})
    assert found[2]["logprobs"]["tokens"] == alone["logprobs"]["tokens"]
    together, apart = (c["logprobs"]["token_logprobs"][1:] for c in (found[2], alone))
    assert together == pytest.approx(apart, abs=1e-4)


def test_bias_forbids_and_forces(client, served):
    free = choice(client, TEXT, {**MANY, "logprobs": 0})
    other = choice(client, TEXT, {**MANY, "logit_bias": {"40": 100}, "max_tokens": 3})
    assert other["text"] == served.text_of([40] * 3)
    first = choice(client, TEXT, {**MANY, "max_tokens": 1, "logprobs": 1})
    ids = [i for i in range(served.n_tokens) if served.token_bytes[i].decode(errors="replace")
           == free["logprobs"]["tokens"][0]]  # fmt: skip
    barred = {str(i): -100 for i in ids}
    again = choice(client, TEXT, {**MANY, "max_tokens": 1, "logprobs": 1, "logit_bias": barred})
    assert again["text"] != first["text"]
    assert again["logprobs"]["top_logprobs"] == first["logprobs"]["top_logprobs"]


def test_penalties_follow_the_definition():
    logits = torch.tensor([1.0, 2.0, 3.0])
    penalised = Sampling(frequency_penalty=0.5, presence_penalty=0.25, bias=((0, 4.0),))
    penalised.shape(logits, {2: 3, 1: 1})
    assert logits.tolist() == pytest.approx([5.0, 2 - 0.5 - 0.25, 3 - 1.5 - 0.25])


def test_a_penalty_breaks_repetition(client):
    flat = {**MANY, "max_tokens": 20, "logprobs": 0, "logit_bias": {"40": 6, "41": 5, "42": 4}}
    repeated = choice(client, TEXT, flat)["logprobs"]["tokens"]
    varied = choice(client, TEXT, {**flat, "frequency_penalty": 2})["logprobs"]["tokens"]
    assert len(set(varied)) > len(set(repeated))


def tokens_of(served, text: bytes) -> list[int]:
    return [i for i in range(served.n_tokens) if served.token_bytes[i] == text]


def test_json_mode_always_parses_unless_cut(client, served):
    """A model that says nonsense, drawn at high temperature: what is whole is an object."""
    quick = {str(t): 9 for mark in (b'"', b"}", b":") for t in tokens_of(served, mark)}
    body = {**ASK, "response_format": {"type": "json_object"}, "temperature": 1, "n": 6, "seed": 1,
            "max_tokens": 100, "logit_bias": quick}  # fmt: skip
    found = client.post(CHAT, json=body).json()["choices"]
    whole = [c["message"]["content"] for c in found if c["finish_reason"] == "stop"]
    assert {c["finish_reason"] for c in found} <= {"stop", "length"}
    assert all(isinstance(json.loads(text), dict) for text in whole)
    assert len(whole) >= 3
    assert any(json.loads(text) for text in whole)
    text, _, end = streamed(client, CHAT, {**body, "n": 1})
    assert (text, end) == (found[0]["message"]["content"], found[0]["finish_reason"])
    cut = choice(client, CHAT, {**body, "n": 1, "max_tokens": 2})
    assert cut["finish_reason"] == "length"


def test_a_vocabulary_that_cannot_write_json_fails_alone(served):
    """Without a token that begins an object, its own request fails and no other."""
    braces = [i for i in range(served.n_tokens) if b"{" in served.token_bytes[i]]
    engine = Engine(replace(served, stop_ids=served.stop_ids | set(braces)))
    try:
        held = engine.served.grammars.json_object()
        asked = [Job(prompt=(5, 6), max_tokens=99, grammar=g, sampling=Sampling(temperature=t))
                 for g, t in ((held, 0), (held, 1), (None, 0))]  # fmt: skip
        ends = [sink.events[-1].end for sink in run_all(engine, asked)]
    finally:
        engine.close()
    assert braces
    assert ends[:2] == ["error", "error"]
    assert ends[2] in ("length", "stop")


def test_json_penalties_and_logprobs_batched_equal_alone(served):
    todo = [
        Job(
            prompt=tuple(served.encode_text(text)), max_tokens=30, chances=2,
            grammar=None if i % 2 else served.grammars.json_object(),
            sampling=Sampling(temperature=0.8 * (i % 3), seed=i, frequency_penalty=i / 4,
                              presence_penalty=0.5, bias=((40 + i, 3.0),)),
        )
        for i, text in enumerate(["Tom", "the river is", "hill", "你好", "market red"])
    ]  # fmt: skip
    engine = Engine(served, max_running=3, max_waiting=20, prefill_tokens=16)
    try:
        together = run_all(engine, todo)
        alone = [run_all(engine, [job])[0] for job in todo]
    finally:
        engine.close()
    assert [s.text for s in together] == [s.text for s in alone]
    ends = [[c.data for e in s.events for c in e.chances] for s in together]
    assert ends == [[c.data for e in s.events for c in e.chances] for s in alone]
    assert all(len(chances) > 5 for chances in ends)
    assert together[0].text.lstrip().startswith("{")


def test_blocked_words_end_an_answer_and_refuse_a_prompt(client, served):
    free = choice(client, TEXT, MANY)["text"]
    word = free[5:12].strip()
    policy = Policy(block=BlockWords([word, "坏话"]))
    with running_server(served, policy=policy) as (url, _), httpx.Client(base_url=url) as guarded:
        body = {**MANY, "logprobs": 0}
        cut = choice(guarded, TEXT, body)
        assert cut["finish_reason"] == "content_filter"
        assert free.startswith(cut["text"])
        assert word not in cut["text"]
        text, logs, end = streamed(guarded, TEXT, body)
        assert (text, end) == (cut["text"], "content_filter")
        shown = "".join(token for part in logs for token in part["tokens"])
        assert shown == "".join(cut["logprobs"]["tokens"])
        assert word not in shown
        ids = served.encode_text("他说坏话")
        for path, refused in (
            (TEXT, {"prompt": "他说坏话"}), (TEXT, {"prompt": ids}),
            (CHAT, {"messages": [{"role": "system", "content": "坏话"}, *HELLO]}),
            ("/v1/embeddings", {"input": "坏话"}),
        ):  # fmt: skip
            response = guarded.post(path, json=refused)
            assert response.status_code == 400
            assert check_error(response)["code"] == "content_filter"


def test_log_probabilities_do_not_tell_a_blocked_word_after_broken_bytes(served):
    """A byte that is no text is shown as three; the word behind it stays unsaid all the same."""
    [broken], word = tokens_of(served, b"\xff")[:1], served.encode_text("Tom runs")[1:]
    job = Job(prompt=(5, 6), max_tokens=99, chances=0, block=BlockWords(["Tom runs"]))
    run, logits_V = Run(Ticket(job, print), served), torch.zeros(served.n_tokens)
    events = []
    for token in (broken, broken, broken, *word):
        run.note(logits_V, token)
        events.append(run.accept(token))
    end = run.finish("length") if run.end is None else None
    found = [event for event in (*events, end) if event]
    assert found[-1].end == "content_filter"
    said = b"".join(chance.data for event in found for chance in event.chances)
    assert said.strip() == b"\xff\xff\xff"
    assert "".join(event.text for event in found).strip() == "\ufffd" * 3


def test_time_is_limited(served):
    policy = Policy(max_seconds=0.4)
    with running_server(served, policy=policy, max_running=1) as (url, engine):
        long = {**ASK, "max_tokens": 4000}
        answer = httpx.post(url + CHAT, json=long, timeout=60).json()
        assert answer["choices"][0]["finish_reason"] == "length"
        assert 0 < answer["usage"]["completion_tokens"] < 4000
        assert engine.stats.ended["timeout"] == 1
        slow = httpx.post(url + "/v1/embeddings", json={"input": ["Tom " * 900] * 256}, timeout=60)
        assert slow.status_code == 503
        assert check_error(slow)["code"] == "timeout"
    late = Job(prompt=(5, 6), max_tokens=5, max_seconds=1e-9)
    engine = Engine(served)
    try:
        [sink] = run_all(engine, [replace(late)])
    finally:
        engine.close()
    assert [(e.end, e.tokens) for e in sink.events] == [("timeout", 0)]
