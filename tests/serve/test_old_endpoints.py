"""The endpoints of older projects, asked as their own example clients ask."""

from __future__ import annotations

import json
from dataclasses import replace

import httpx
import pytest

from hanhua.serve.keys import Key
from hanhua.serve.policy import Policy

from .conftest import running_server
from .test_api import CHAT, TEXT, check_error


@pytest.fixture(scope="module")
def old(served):
    """Its context is short, for most of these clients cannot say how long an answer may be."""
    short, policy = replace(served, context_tokens=128), Policy(compat=True)
    with running_server(short, policy=policy) as (url, _):
        with httpx.Client(base_url=url, timeout=60) as client:
            yield client


def answer_of(client, turns, **options):
    roles = ("user", "assistant")
    messages = [{"role": roles[i % 2], "content": text} for i, text in enumerate(turns)]
    found = client.post(CHAT, json={"messages": messages, "temperature": 0, **options}).json()
    return found["choices"][0]["message"]["content"]


def test_chatglm_and_linksoul(old):
    body = {"prompt": "Tom", "history": [], "max_length": 40, "top_p": 0.7, "temperature": 0}
    found = old.post("/", json=body).json()
    assert set(found) == {"response", "history", "status", "time"}
    assert found["status"] == 200
    assert found["history"] == [["Tom", found["response"]]]
    again = old.post("/", json={**body, "prompt": "hill", "history": found["history"],
                                "max_length": 95}).json()  # fmt: skip
    assert again["history"][:1] == found["history"]
    whole = answer_of(old, ["Tom", found["response"], "hill"], max_tokens=40)
    assert whole.startswith(again["response"])
    assert len(again["response"]) < len(whole)
    assert old.post("/", json={"prompt": "Tom", "max_length": 20, "temperature": 0.5,
                               "top_p": 0}).status_code == 200  # fmt: skip
    assert old.get("/").headers["content-type"].startswith("text/html")


def test_flagalpha(old):
    body = {"system_prompt": "", "history": [{"role": "Human", "content": "Tom"}], "n": 1,
            "best_of": 1, "presence_penalty": 1.2, "frequency_penalty": 0.2, "temperature": 0.0,
            "top_p": 0.95, "top_k": 50, "use_beam_search": False, "stop": [], "ignore_eos": False,
            "logprobs": None, "max_new_tokens": 20}  # fmt: skip
    found = old.post("/generate", json=body).json()
    assert set(found) == {"response", "status", "time"}
    penalties = {"presence_penalty": 1.2, "frequency_penalty": 0.2, "max_tokens": 20}
    assert found["response"] == answer_of(old, ["Tom"], **penalties)
    turns = [*body["history"], {"role": "Assitant", "content": "yes"},
             {"role": "Human", "content": "hill"}]  # fmt: skip
    long = old.post("/generate", json={**body, "history": turns, "max_new_tokens": 99999})
    assert long.json()["response"].startswith(
        answer_of(old, ["Tom", "yes", "hill"], **penalties)[:10]
    )


def test_flagalpha_over_vllm(old):
    body = {"prompt": "Tom", "stream": False, "n": 2, "temperature": 0, "max_tokens": 12}
    found = old.post("/generate", json=body).json()
    plain = old.post(TEXT, json={"prompt": "Tom", "max_tokens": 12, "temperature": 0}).json()
    assert found == {"text": ["Tom" + plain["choices"][0]["text"]] * 2}
    pieces = old.post("/generate", json={**body, "stream": True}).content.split(b"\0")
    assert pieces[-1] == b""
    texts = [json.loads(piece)["text"] for piece in pieces[:-1]]
    assert texts[-1] == found["text"]
    assert len(texts) > 3


def test_linly(old):
    for question, count in (("Tom", 1), (["Tom", "hill"], 2)):
        found = old.post("/chat", json={"question": question}).json()
        assert found["status"] == "success"
        assert len(found["answer"]) == count
        assert found["answer"][0].startswith("Tom")
        assert len(found["answer"][0]) > 3


@pytest.mark.parametrize(("path", "body"), [
    ("/", "{}"), ("/", '{"prompt": 5}'), ("/", '{"prompt": "a", "history": [["a"]]}'),
    ("/", '{"prompt": "a", "history": "x"}'), ("/", '{"prompt": "a", "max_length": 3}'), ("/", "["),
    ("/generate", "{}"), ("/generate", '{"history": []}'), ("/generate", '{"history": [5]}'),
    ("/generate", '{"history": [{"role": "Assistant", "content": "a"}]}'),
    ("/generate", '{"prompt": ""}'[:-2] + '", "temperature": 99}'), ("/chat", "{}"),
    ("/chat", '{"question": []}'), ("/chat", '{"question": [5]}'), ("/chat", "null"),
])  # fmt: skip
def test_what_is_not_valid_is_refused(old, path, body):
    response = old.post(path, content=body, headers={"Content-Type": "application/json"})
    assert response.status_code == 400, response.text
    check_error(response)


def test_they_need_the_key_and_the_page_does_not(served):
    policy = Policy(compat=True, keys=(Key("secret", "old"),))
    with running_server(served, policy=policy) as (url, _):
        for path, body in (("/", {"prompt": "Tom", "max_length": 20}),
                           ("/generate", {"prompt": "Tom"}), ("/chat", {})):  # fmt: skip
            assert httpx.post(url + path, json=body).status_code == 401
        assert httpx.get(url + "/").status_code == 200
        headers = {"Authorization": "Bearer secret"}
        assert httpx.post(url + "/generate", json={"prompt": "Tom"}, headers=headers).is_success
