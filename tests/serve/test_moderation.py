"""A judge of the operator's own, a real small server: what it flags is neither taken nor said."""

from __future__ import annotations

import asyncio
import contextlib
import itertools
import json
import logging
import socket
import threading
from collections.abc import Callable, Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

import httpx
import pytest

from hanhua.core.errors import ServeError
from hanhua.serve.job import Event
from hanhua.serve.keys import Key
from hanhua.serve.moderation import (
    CONTEXT_CHARS,
    KEY_VARIABLE,
    Judge,
    Moderation,
    read_moderation,
)
from hanhua.serve.policy import Policy
from hanhua.serve.words import BlockWords

from .conftest import running_server, wait_until
from .test_api import ASK, CHAT, EMBED, TEXT, check_error
from .test_choosing import choice, streamed

SECRET = "a-key-that-nobody-sees"


class JudgeServer:
    """``/v1/moderations`` on loopback: flags what its rule says, or misbehaves as it is told."""

    def __init__(self) -> None:
        self.rule: Callable[[str], bool] = lambda text: "坏" in text
        self.fault = ""
        self.asked: list[list[str]] = []
        self.heads: list[dict[str, str]] = []
        self.bodies: list[dict[str, Any]] = []
        self.done = threading.Event()
        judge = self

        class Handler(BaseHTTPRequestHandler):
            def do_POST(self) -> None:
                body = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
                judge.bodies.append(body)
                judge.heads.append(dict(self.headers))
                judge.asked.append(body["input"])
                judge.answer(self, [{"flagged": judge.rule(text)} for text in body["input"]])

            def log_message(self, *_: object) -> None:
                pass

        self.server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.server.daemon_threads = True
        self.url = f"http://127.0.0.1:{self.server.server_port}/v1/moderations"
        threading.Thread(target=self.server.serve_forever, daemon=True).start()

    def answer(self, handler: BaseHTTPRequestHandler, results: list[dict[str, bool]]) -> None:
        data = json.dumps({"id": "m", "model": "m", "results": results}).encode()
        if self.fault == "slow":
            self.done.wait(30)
        if self.fault == "garbage":
            data = b"<html>"
        if self.fault == "shape":
            data = b'{"results": [{"flagged": "no"}]}'
        if self.fault == "few":
            data = b'{"results": []}'
        status = {"500": 500, "redirect": 302}.get(self.fault, 200)
        handler.send_response(status)
        if self.fault == "redirect":
            handler.send_header("Location", self.url)
        handler.send_header("Content-Length", str(len(data)))
        handler.end_headers()
        with contextlib.suppress(OSError):  # the other side has given up
            for byte in data if self.fault == "trickle" else [data]:
                if self.fault == "trickle" and self.done.wait(0.05):
                    return
                handler.wfile.write(byte if isinstance(byte, bytes) else bytes([byte]))

    def close(self) -> None:
        self.done.set()
        self.server.shutdown()
        self.server.server_close()


@pytest.fixture
def judge() -> Iterator[JudgeServer]:
    server = JudgeServer()
    yield server
    server.close()


@pytest.fixture
def judged(served, judge) -> Iterator[httpx.Client]:
    """A client of a server whose judge answers."""
    with asking(served, Moderation(judge.url, key=SECRET, seconds=20.0)) as client:
        yield client


class asking:
    """A server with a judge, and a client of it."""

    def __init__(self, served: Any, moderation: Moderation, **more: Any) -> None:
        self.server = running_server(served, policy=Policy(moderation=moderation, **more))

    def __enter__(self) -> httpx.Client:
        url, _ = self.server.__enter__()
        self.client = httpx.Client(base_url=url, timeout=60)
        return self.client

    def __exit__(self, *error: Any) -> None:
        self.client.close()
        self.server.__exit__(*error)


LINES = {**ASK, "max_tokens": 160, "temperature": 1, "seed": 4, "logit_bias": {"13": 4}}
"""An answer of many lines: 13 is the newline's token."""


def test_a_flagged_prompt_is_refused_and_only_text_goes_out(judged, judge, served):
    ids = served.encode_text("说坏话")
    turns = [{"role": "user", "content": "坏"}, {"role": "assistant", "content": "b"},
             {"role": "user", "content": "c"}]  # fmt: skip
    for path, body in (
        (CHAT, {**ASK, "messages": turns}), (TEXT, {"prompt": ["好", "很坏"]}),
        (TEXT, {"prompt": ids}), (EMBED, {"input": "坏"}),
    ):  # fmt: skip
        error = check_error(judged.post(path, json=body))
        assert error["code"] == "content_filter"
        assert judged.post(path, json=body).status_code == 400
    assert judge.asked[::2] == [["坏", "b", "c"], ["好", "很坏"], ["说坏话"], ["坏"]]
    judge.asked.clear()
    free = choice(judged, CHAT, ASK)
    assert free["finish_reason"] == "length"
    assert judge.asked == [[ASK["messages"][0]["content"]], [free["message"]["content"]]]
    assert all(body.keys() == {"input"} for body in judge.bodies)
    assert {head["Authorization"] for head in judge.heads} == {f"Bearer {SECRET}"}
    known = {"Host", "Authorization", "Content-Type", "Content-Length", "User-Agent",
             "Accept-Encoding", "Connection"}  # fmt: skip
    assert all(head.keys() <= known for head in judge.heads)


def test_a_flagged_answer_is_not_said(judged, judge, client):
    free = client.post(CHAT, json={**ASK, "n": 3, "temperature": 1.5, "seed": 1}).json()
    texts = [c["message"]["content"] for c in free["choices"]]
    judge.rule = lambda text: text == texts[1]
    found = judged.post(CHAT, json={**ASK, "n": 3, "temperature": 1.5, "seed": 1}).json()
    said = [c["message"]["content"] for c in found["choices"]]
    assert said == [texts[0], "", texts[2]]
    ends = [c["finish_reason"] for c in free["choices"]]
    found_ends = [c["finish_reason"] for c in found["choices"]]
    assert found_ends == [ends[0], "content_filter", ends[2]]
    assert found["usage"] == free["usage"]


def test_a_stream_is_held_back_by_the_sentence(judged, judge, client):
    body = {**LINES, "logprobs": True}
    whole = choice(client, CHAT, body)
    text, logs, end = streamed(judged, CHAT, body)
    assert (text, end) == (whole["message"]["content"], whole["finish_reason"])
    assert [i for part in logs for i in part["content"]] == whole["logprobs"]["content"]
    pieces = [texts[0] for texts in judge.asked[1:]]
    assert len(pieces) >= 3
    assert all(later.startswith(earlier) for earlier, later in itertools.pairwise(pieces))
    judge.rule = lambda said: said == pieces[1]
    text, logs, end = streamed(judged, CHAT, body)
    assert (text, end) == (pieces[0], "content_filter")  # no part of the flagged piece
    data = b"".join(bytes(i["bytes"]) for part in logs for i in part["content"])
    assert data.decode(errors="replace").strip().startswith(text.strip()[:20])
    assert len(data) <= len(text.encode()) + 8


def test_words_and_a_judge_together(served, judge, client):
    free = choice(client, TEXT, {"prompt": "Tom", "temperature": 0, "max_tokens": 30})["text"]
    word = free.split()[2]
    moderation = Moderation(judge.url, seconds=20.0)
    with asking(served, moderation, block=BlockWords([word])) as both:
        cut = choice(both, TEXT, {"prompt": "Tom", "temperature": 0, "max_tokens": 30})
        assert cut["finish_reason"] == "content_filter"
        assert word not in cut["text"]
        assert judge.asked[-1] == [cut["text"]]


def test_who_leaves_before_a_stream_begins_frees_its_slot(served, judge):
    """The client goes while its prompt is judged, so no piece of the answer is ever asked for."""
    begun, gone = threading.Event(), threading.Event()

    def rule(_: str) -> bool:
        begun.set()
        return not gone.wait(20)

    judge.rule = rule
    policy = Policy(keys=(Key("k", "k"),), moderation=Moderation(judge.url, seconds=20.0))
    with running_server(served, policy=policy) as (url, engine):
        host, port = url.removeprefix("http://").split(":")
        body = json.dumps({**ASK, "max_tokens": 3000, "stream": True}).encode()
        head = (f"POST {CHAT} HTTP/1.1\r\nHost: x\r\nContent-Type: application/json\r\n"
                f"Authorization: Bearer k\r\nContent-Length: {len(body)}\r\n\r\n")  # fmt: skip
        with socket.create_connection((host, int(port))) as connection:
            connection.sendall(head.encode() + body)
            assert begun.wait(20)
        httpx.get(url + "/health")  # answered by the loop that has then seen the other one go
        gone.set()
        wait_until(lambda: sum(engine.stats.ended.values()) == 1)
        assert engine.stats.ended == {"cancelled": 1}
        wait_until(lambda: engine.running == 0 and engine.waiting == 0)
        assert engine.stats.completion_tokens < 3000
        metrics = httpx.get(url + "/metrics", headers={"Authorization": "Bearer k"}).text
        assert 'hanhua_key_tokens_total{key="k"} 0' not in metrics
        assert len(judge.asked) == 1  # the prompt was judged, and no answer


def ends_of(client: httpx.Client) -> dict[str, int]:
    """Answers by how they ended, of /metrics."""
    lines = [line for line in client.get("/metrics").text.splitlines()
             if line.startswith("hanhua_answers_total{")]  # fmt: skip
    return {line.split('"')[1]: int(line.rsplit(" ", 1)[1]) for line in lines}


def test_metrics_tell_flagged_answers_from_cancelled_ones(served, judge):
    question = ASK["messages"][0]["content"]
    with asking(served, Moderation(judge.url, seconds=20.0)) as client:
        choice(client, CHAT, ASK)
        assert ends_of(client) == {"length": 1}
        judge.rule = lambda said: said != question
        assert choice(client, CHAT, ASK)["finish_reason"] == "content_filter"
        assert streamed(client, CHAT, LINES)[2] == "content_filter"
        assert ends_of(client) == {"length": 1, "content_filter": 2}

        def fails(said: str) -> bool:
            judge.fault = "" if said == question else "500"
            return False

        judge.rule = fails
        assert client.post(CHAT, json=ASK).status_code == 503
        assert ends_of(client) == {"length": 1, "content_filter": 2, "unjudged": 1}


def test_nothing_goes_out_that_the_judge_did_not_see(judge):
    """A stop string as long as a book may hold back more than is asked about with each piece."""
    text = "x" * (CONTEXT_CHARS + 500)
    judged = asyncio.run(Judge(Moderation(judge.url), in_pieces=True).judged(Event(text, 9)))
    assert judge.asked == [[judged.text]] == [[text]]


def counted(client: httpx.Client) -> dict[str, float]:
    """What /metrics says of judge and word list, by series."""
    lines = client.get("/metrics").text.splitlines()
    found = [line.rsplit(" ", 1) for line in lines
             if line.startswith(("hanhua_moderat", "hanhua_blocked_prompts"))]  # fmt: skip
    return {name.removeprefix("hanhua_"): float(value) for name, value in found}


def texts_of(found: dict[str, float]) -> dict[str, int]:
    """Texts by prompt or answer and what came of them, zeros left out."""
    shown = {}
    for name, value in found.items():
        if name.startswith("moderated_texts_total{") and value:
            of, result = name.split('"')[1::2]
            shown[f"{of} {result}"] = int(value)
    return shown


def test_metrics_count_what_was_judged(judged, judge):
    before = counted(judged)
    assert len(before) == 8
    assert not any(before.values())
    turns = [{"role": "user", "content": "坏"}, {"role": "assistant", "content": "b"},
             {"role": "user", "content": "c"}]  # fmt: skip
    assert judged.post(CHAT, json={**ASK, "messages": turns}).status_code == 400
    assert texts_of(counted(judged)) == {"prompt flagged": 1, "prompt passed": 2}
    assert judged.post(TEXT, json={"prompt": [" ", "好"], "max_tokens": 4}).status_code == 200
    asked = sum(map(len, judge.asked))
    assert sum(texts_of(counted(judged)).values()) == asked  # blank ones are not judged
    judge.rule = lambda said: said != ASK["messages"][0]["content"]
    assert choice(judged, CHAT, ASK)["finish_reason"] == "content_filter"
    judge.rule = lambda said: False
    assert streamed(judged, CHAT, LINES)[2] == "length"
    found = counted(judged)
    shown = texts_of(found)
    assert sum(shown.values()) == sum(map(len, judge.asked))
    assert shown["answer flagged"] == 1
    assert shown["answer passed"] >= 4  # a stream counts by the piece
    assert found["moderation_seconds_count"] == len(judge.asked)
    assert found["moderation_seconds_sum"] > 0


def test_metrics_count_what_was_not_judged(served, judge):
    judge.fault = "500"
    with asking(served, Moderation(judge.url, open_=True), block=BlockWords(["坏话"])) as client:
        assert client.post(TEXT, json={"prompt": ["a", "b"], "max_tokens": 2}).status_code == 200
        found = counted(client)
        answers = texts_of(found).pop("answer unjudged")
        assert texts_of(found)["prompt unjudged"] == 2
        assert answers == len(judge.asked) - 1 > 0
        assert found["moderation_seconds_count"] == 0
        assert client.post(TEXT, json={"prompt": "说坏话"}).status_code == 400
        assert client.post(EMBED, json={"input": ["好", "坏话"]}).status_code == 400
        after = counted(client)
        assert after.pop("blocked_prompts_total") == 2
        assert after == {n: v for n, v in found.items() if n != "blocked_prompts_total"}


def test_metrics_say_nothing_of_what_is_not_there(client):
    assert counted(client) == {}


FAULTS = ["slow", "trickle", "garbage", "shape", "few", "500", "redirect"]


def test_who_cannot_be_asked_is_refused_or_let_pass(served, judge, caplog):
    caplog.set_level(logging.WARNING)
    closed = Moderation(judge.url, key=SECRET, seconds=0.4)
    open_ = Moderation(judge.url, key=SECRET, seconds=0.4, open_=True)
    with asking(served, closed) as strict, asking(served, open_) as kind:
        for fault in [*FAULTS, "gone"]:
            judge.fault, before = fault, len(judge.asked)
            if fault == "gone":
                judge.close()
            refused = strict.post(CHAT, json=ASK)
            error = refused.json()["error"]
            assert (refused.status_code, error["code"]) == (503, "moderation_unavailable"), fault
            assert refused.headers["Retry-After"]
            assert "127.0.0.1" not in json.dumps(error)
            assert choice(kind, CHAT, {**ASK, "max_tokens": 3})["finish_reason"] == "length"
            assert fault == "gone" or len(judge.asked) >= before + 3, fault
    assert len(caplog.records) >= 3 * len(FAULTS)
    assert SECRET not in caplog.text


def test_a_judge_that_goes_away_ends_a_stream_with_an_error(judged, judge):
    def rule(text: str) -> bool:
        judge.fault = "" if text == ASK["messages"][0]["content"] else "500"
        return False

    judge.rule = rule
    response = judged.post(CHAT, json={**ASK, "stream": True})
    last = [line for line in response.text.split("\n\n") if line][-2]
    assert json.loads(last.removeprefix("data: "))["error"]["code"] == "moderation_unavailable"


def test_addresses_and_keys(tmp_path, monkeypatch):
    monkeypatch.delenv(KEY_VARIABLE, raising=False)
    assert read_moderation(None, None) is None
    for url in ("example.org", "ftp://a/b", "https://me:pass@a/v1/moderations", "http://"):
        with pytest.raises(ServeError, match="does not read") as caught:
            read_moderation(url, None)
        assert "pass@" not in str(caught.value.found)
    with pytest.raises(ServeError, match="nobody"):
        read_moderation(None, None, open_=True)
    path = tmp_path / "key"
    for content in ("", "two words", "密"):
        path.write_text(content, encoding="utf-8")
        with pytest.raises(ServeError, match="key"):
            read_moderation("https://a/v1/moderations", path)
    with pytest.raises(ServeError, match="cannot be read"):
        read_moderation("https://a/v1/moderations", tmp_path / "none")
    path.write_text(f"{SECRET}\n", encoding="utf-8")
    found = read_moderation("http://a/v1/moderations", path)
    assert found._key == SECRET
    assert "unencrypted" in found.notice
    assert SECRET not in found.notice + repr(found)
    monkeypatch.setenv(KEY_VARIABLE, "other")
    assert read_moderation("https://a/v1/moderations", None)._key == "other"
    near = read_moderation("http://127.0.0.1:9/v1/moderations", None, open_=True)
    assert "passes" in near.notice
    assert "unencrypted" not in near.notice
