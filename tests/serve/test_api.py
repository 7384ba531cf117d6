from __future__ import annotations

import gzip
import json
import shutil
import socket
import threading
from dataclasses import replace

import httpx
import pytest

from hanhua.chat.template import get_template
from hanhua.serve.served import load_served
from hanhua.vocab.tokenizer import read_tokenizer

from .conftest import CONTEXT_TOKENS, read_events, running_server, wait_until

CHAT = "/v1/chat/completions"
TEXT = "/v1/completions"
EMBED = "/v1/embeddings"
HELLO = [{"role": "user", "content": "你好 Tom"}]
ASK = {"model": "tiny", "messages": HELLO, "max_tokens": 24, "temperature": 0}


def test_a_chat_answer_has_the_shape_of_openai(client):
    answer = client.post(CHAT, json=ASK).json()
    assert answer["object"] == "chat.completion"
    assert answer["model"] == "tiny"
    assert answer["id"].startswith("chatcmpl-")
    [choice] = answer["choices"]
    assert choice["message"]["role"] == "assistant"
    assert choice["finish_reason"] == "length"
    assert answer["usage"]["completion_tokens"] == 24
    assert answer["usage"]["total_tokens"] == 24 + answer["usage"]["prompt_tokens"]


@pytest.mark.parametrize("options", [
    {}, {"temperature": 0.8, "seed": 4, "top_p": 0.9}, {"n": 3, "temperature": 1, "seed": 2},
    {"stop": ["e"]},
])  # fmt: skip
@pytest.mark.parametrize("path", [CHAT, TEXT])
def test_streaming_equals_not_streaming(client, path, options):
    body = {**ASK, **options} if path == CHAT else {"prompt": "Tom", "max_tokens": 24, **options}
    if path == TEXT:
        body.setdefault("temperature", 0)
    whole = client.post(path, json=body).json()
    extra = {"stream": True, "stream_options": {"include_usage": True}}
    response = client.post(path, json={**body, **extra})
    assert response.headers["content-type"].startswith("text/event-stream")
    events = read_events(response.text)
    texts = ["" for _ in whole["choices"]]
    ends = [None for _ in whole["choices"]]
    for event in events:
        for choice in event["choices"]:
            said = choice["delta"].get("content", "") if path == CHAT else choice["text"]
            texts[choice["index"]] += said
            ends[choice["index"]] = choice["finish_reason"] or ends[choice["index"]]
    key = (lambda c: c["message"]["content"]) if path == CHAT else (lambda c: c["text"])
    assert texts == [key(choice) for choice in whole["choices"]]
    assert ends == [choice["finish_reason"] for choice in whole["choices"]]
    assert events[-1]["choices"] == []
    assert events[-1]["usage"] == whole["usage"]
    assert len(events) > 5


def test_n_choices_differ_and_are_counted(client):
    answer = client.post(CHAT, json={**ASK, "n": 3, "temperature": 1.5, "seed": 1}).json()
    texts = [choice["message"]["content"] for choice in answer["choices"]]
    assert len(set(texts)) == 3
    alone = [
        client.post(CHAT, json={**ASK, "temperature": 1.5, "seed": seed}).json()
        for seed in (1, 2, 3)
    ]
    assert [one["choices"][0]["message"]["content"] for one in alone] == texts
    used = [one["usage"] for one in alone]
    assert answer["usage"]["prompt_tokens"] == used[0]["prompt_tokens"]
    assert answer["usage"]["completion_tokens"] == sum(u["completion_tokens"] for u in used)


def test_a_seed_repeats_and_a_temperature_is_honoured(client):
    def answer(**options):
        found = client.post(CHAT, json={**ASK, "temperature": 1.5, **options}).json()
        return found["choices"][0]["message"]["content"]

    assert answer(seed=3) == answer(seed=3) != answer(seed=4)
    assert len({answer() for _ in range(3)}) > 1
    greedy = {answer(temperature=0, seed=seed) for seed in range(3)}
    assert len(greedy) == 1


def test_completions_take_texts_and_ids(client, served):
    def texts(prompt):
        body = {"prompt": prompt, "temperature": 0, "max_tokens": 8}
        found = client.post(TEXT, json=body).json()
        assert [choice["index"] for choice in found["choices"]] == list(
            range(len(found["choices"]))
        )
        return [choice["text"] for choice in found["choices"]]

    ids = served.encode_text("Tom")
    both = texts(["Tom", "hill"])
    assert texts("Tom") == texts(ids) == [both[0]]
    assert texts([ids, ids]) == [both[0]] * 2
    default = client.post(TEXT, json={"prompt": "Tom", "temperature": 0}).json()
    ends = default["choices"][0]["finish_reason"], default["usage"]["completion_tokens"]
    assert ends == ("length", 16)  # greedy: what is drawn may end sooner


def test_content_parts_and_developer_are_read(client):
    parts = [{"type": "text", "text": "你好 Tom"}]
    plain = client.post(CHAT, json=ASK).json()["choices"]
    assert (
        client.post(CHAT, json={**ASK, "messages": [{"role": "user", "content": parts}]}).json()[
            "choices"
        ]
        == plain
    )
    turns = [{"role": "developer", "content": "brief"}, *HELLO]
    other = [{"role": "system", "content": "brief"}, *HELLO]
    assert (client.post(CHAT, json={**ASK, "messages": turns}).json()["choices"]
            == client.post(CHAT, json={**ASK, "messages": other}).json()["choices"])  # fmt: skip


def test_fields_that_ask_for_nothing_are_accepted(client):
    quiet = {"n": 1, "frequency_penalty": 0, "presence_penalty": 0.0, "logprobs": False,
             "logit_bias": None, "user": "me", "response_format": {"type": "text"}, "tools": None,
             "stop": None, "seed": None, "stream": False, "top_p": 1}  # fmt: skip
    assert client.post(CHAT, json={**ASK, **quiet}).status_code == 200


def chat(**changes):
    return json.dumps({**ASK, **changes})


def say(*turns):
    return chat(messages=list(turns))


USER, BOT = {"role": "user", "content": "a"}, {"role": "assistant", "content": "b"}
BAD = {
    "empty body": (CHAT, "", 400),
    "not JSON": (CHAT, "{", 400),
    "not UTF-8": (CHAT, b'{"messages": "\xff\xfe"}', 400),
    "a list": (CHAT, "[]", 400),
    "a number": (CHAT, "5", 400),
    "null": (CHAT, "null", 400),
    "NaN": (CHAT, '{"messages": [], "temperature": NaN}', 400),
    "Infinity": (CHAT, '{"temperature": Infinity}', 400),
    "deep nesting": (CHAT, "[" * 100_000, 400),
    "deep value": (CHAT, '{"messages": ' + "[" * 500 + "]" * 500 + "}", 400),
    "huge number": (CHAT, '{"max_tokens": ' + "9" * 5000 + "}", 400),
    "lone surrogate": (CHAT, r'{"messages": [{"role": "user", "content": "\ud800"}]}', 400),
    "no messages": (CHAT, "{}", 400),
    "messages null": (CHAT, chat(messages=None), 400),
    "messages empty": (CHAT, chat(messages=[]), 400),
    "messages a text": (CHAT, chat(messages="hi"), 400),
    "message a text": (CHAT, chat(messages=["hi"]), 400),
    "no role": (CHAT, say({"content": "a"}), 400),
    "unknown role": (CHAT, say({"role": "wizard", "content": "a"}), 400),
    "tool role": (CHAT, say({"role": "tool", "content": "a"}), 400),
    "no content": (CHAT, say({"role": "user"}), 400),
    "content null": (CHAT, say({"role": "user", "content": None}), 400),
    "content a number": (CHAT, say({"role": "user", "content": 5}), 400),
    "an image": (
        CHAT,
        say({"role": "user", "content": [{"type": "image_url", "image_url": {}}]}),
        400,
    ),
    "no parts": (CHAT, say({"role": "user", "content": []}), 400),
    "assistant first": (CHAT, say(BOT, USER), 400),
    "user twice": (CHAT, say(USER, USER), 400),
    "system late": (CHAT, say(USER, BOT, {"role": "system", "content": "x"}), 400),
    "unknown model": (CHAT, chat(model="gpt-9"), 404),
    "model a number": (CHAT, chat(model=4), 400),
    "temperature below": (CHAT, chat(temperature=-3), 400),
    "temperature above": (CHAT, chat(temperature=2.1), 400),
    "temperature a text": (CHAT, chat(temperature="hot"), 400),
    "top_p above": (CHAT, chat(top_p=7), 400),
    "top_p zero": (CHAT, chat(top_p=0), 400),
    "max_tokens zero": (CHAT, chat(max_tokens=0), 400),
    "max_tokens below": (CHAT, chat(max_tokens=-1), 400),
    "max_tokens a fraction": (CHAT, chat(max_tokens=1.5), 400),
    "max_tokens true": (CHAT, chat(max_tokens=True), 400),
    "max_tokens beyond the context": (CHAT, chat(max_tokens=CONTEXT_TOKENS), 400),
    "n zero": (CHAT, chat(n=0), 400),
    "n many": (CHAT, chat(n=1000), 400),
    "seed a text": (CHAT, chat(seed="x"), 400),
    "seed too large": (CHAT, chat(seed=2**70), 400),
    "stop empty": (CHAT, chat(stop=""), 400),
    "stop a number": (CHAT, chat(stop=5), 400),
    "stop many": (CHAT, chat(stop=["x"] * 99), 400),
    "stream a text": (CHAT, chat(stream="yes"), 400),
    "stream options": (CHAT, chat(stream=True, stream_options={"wrong": 1}), 400),
    "unknown field": (CHAT, chat(tempreature=1), 400),
    "top_logprobs alone": (CHAT, chat(top_logprobs=2), 400),
    "top_logprobs many": (CHAT, chat(logprobs=True, top_logprobs=21), 400),
    "logprobs a number": (CHAT, chat(logprobs=3), 400),
    "penalty above": (CHAT, chat(frequency_penalty=2.1), 400),
    "penalty a text": (CHAT, chat(presence_penalty="much"), 400),
    "bias of a word": (CHAT, chat(logit_bias={"Tom": 1}), 400),
    "bias of an unknown id": (CHAT, chat(logit_bias={"999999": 1}), 400),
    "bias below zero": (CHAT, chat(logit_bias={"-1": 1}), 400),
    "bias too large": (CHAT, chat(logit_bias={"5": 101}), 400),
    "bias a list": (CHAT, chat(logit_bias=[5]), 400),
    "biases many": (CHAT, chat(logit_bias={str(i): 1 for i in range(2000)}), 400),
    "a schema": (CHAT, chat(response_format={"type": "json_schema", "json_schema": {}}), 400),
    "unknown format": (CHAT, chat(response_format={"type": "xml"}), 400),
    "format a text": (CHAT, chat(response_format="json"), 400),
    "tools": (CHAT, chat(tools=[{"type": "function"}]), 400),
    "prompt too long": (CHAT, say({"role": "user", "content": "Tom " * 5000}), 400),
    "prompt far too long": (CHAT, say({"role": "user", "content": "Tom " * 500_000}), 400),
    "body too large": (CHAT, say({"role": "user", "content": "x" * 5_000_000}), 413),
    "no prompt": (TEXT, "{}", 400),
    "prompt empty list": (TEXT, '{"prompt": []}', 400),
    "prompt of empty ids": (TEXT, '{"prompt": [[]]}', 400),
    "prompt of unknown ids": (TEXT, '{"prompt": [5, 999999]}', 400),
    "prompt of negative ids": (TEXT, '{"prompt": [-1]}', 400),
    "prompt mixed": (TEXT, '{"prompt": ["a", 5]}', 400),
    "prompts many": (TEXT, json.dumps({"prompt": ["a"] * 100}), 400),
    "echo a text": (TEXT, '{"prompt": "a", "echo": "yes"}', 400),
    "logprobs true": (TEXT, '{"prompt": "a", "logprobs": true}', 400),
    "logprobs many": (TEXT, '{"prompt": "a", "logprobs": 21}', 400),
    "json to completions": (
        TEXT,
        '{"prompt": "a", "response_format": {"type": "json_object"}}',
        400,
    ),
    "best_of": (TEXT, '{"prompt": "a", "best_of": 4}', 400),
    "messages to completions": (TEXT, json.dumps({"messages": HELLO}), 400),
    "unknown path": ("/v1/nothing", "{}", 404),
    "no input": (EMBED, "{}", 400),
    "input null": (EMBED, '{"input": null}', 400),
    "input empty": (EMBED, '{"input": []}', 400),
    "input an empty list": (EMBED, '{"input": [[]]}', 400),
    "input mixed": (EMBED, '{"input": ["a", [5]]}', 400),
    "input unknown ids": (EMBED, '{"input": [999999]}', 400),
    "input too long": (EMBED, json.dumps({"input": "Tom " * 5000}), 400),
    "inputs many": (EMBED, json.dumps({"input": ["a"] * 300}), 400),
    "encoding": (EMBED, '{"input": "a", "encoding_format": "hex"}', 400),
    "dimensions": (EMBED, '{"input": "a", "dimensions": 3}', 400),
    "model of embeddings": (EMBED, '{"input": "a", "model": "gpt-9"}', 404),
    "compat off": ("/generate", "{}", 404),
}


@pytest.mark.parametrize("name", BAD)
def test_bad_requests_are_refused_in_the_shape_of_openai(client, name):
    path, body, status = BAD[name]
    content = body.encode() if isinstance(body, str) else body
    response = client.post(path, content=content, headers={"Content-Type": "application/json"})
    assert response.status_code == status, response.text
    check_error(response)


def check_error(response: httpx.Response) -> dict:
    error = response.json()["error"]
    assert set(error) == {"message", "type", "param", "code"}
    assert error["message"]
    assert "Traceback" not in response.text
    assert "/src/" not in response.text
    return error


def test_the_message_names_the_field(client):
    error = check_error(client.post(CHAT, json={**ASK, "temperature": 9}))
    assert error["param"] == "temperature"
    assert "less than or equal to 2" in error["message"]
    error = check_error(client.post(CHAT, json={**ASK, "max_tokens": CONTEXT_TOKENS}))
    assert error["code"] == "context_length_exceeded"
    assert str(CONTEXT_TOKENS) in error["message"]


@pytest.mark.parametrize(("method", "path", "status"), [
    ("GET", CHAT, 405), ("DELETE", "/v1/models", 405), ("PUT", TEXT, 405), ("GET", "/nothing", 404),
    ("GET", "/v1/models/other", 404), ("GET", "/../../etc/passwd", 404), ("POST", "/", 405),
])  # fmt: skip
def test_wrong_methods_and_paths(client, method, path, status):
    response = client.request(method, path)
    assert response.status_code == status
    check_error(response)


@pytest.mark.parametrize("kind", ["text/plain", "application/x-www-form-urlencoded", ""])
def test_only_json_is_read_so_foreign_pages_cannot_post(client, kind):
    response = client.post(CHAT, content=json.dumps(ASK), headers={"Content-Type": kind})
    assert response.status_code == 415
    check_error(response)


def raw(url: str, data: bytes) -> bytes:
    """Send bytes as they are and read the answer's head."""
    host, port = url.removeprefix("http://").split(":")
    with socket.create_connection((host, int(port)), timeout=20) as connection:
        connection.sendall(data)
        return connection.recv(4096)


@pytest.mark.parametrize("data", [
    b"GARBAGE\r\n\r\n",
    b"POST /v1/chat/completions HTTP/1.1\r\nHost: x\r\nContent-Length: abc\r\n\r\n",
    b"POST /v1/chat/completions HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer \xff\xfe\r\n"
    b"Content-Type: application/json\r\nContent-Length: 2\r\n\r\n{}",
])  # fmt: skip
def test_broken_http_is_no_fault_of_ours(server, data):
    assert b" 400 " in raw(server, data).split(b"\r\n")[0]


def test_other_protocols_get_an_answer_they_can_read(server, caplog):
    """An old client without keep-alive, and one that asks for a websocket."""
    body = json.dumps({"prompt": "a", "max_tokens": 2, "stream": True}).encode()
    old = (f"POST {TEXT} HTTP/1.0\r\nContent-Type: application/json\r\n"
           f"Content-Length: {len(body)}\r\n\r\n").encode() + body  # fmt: skip
    host, port = server.removeprefix("http://").split(":")
    with socket.create_connection((host, int(port)), timeout=20) as connection:
        connection.sendall(old)
        came = b"".join(iter(lambda: connection.recv(4096), b""))
    assert b"transfer-encoding" not in came.lower()
    assert came.endswith(b"data: [DONE]\n\n")
    upgrade = (b"GET /health HTTP/1.1\r\nHost: x\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n"
               b"Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: AAAA\r\n\r\n")  # fmt: skip
    assert b" 200 " in raw(server, upgrade).split(b"\r\n")[0]
    assert not caplog.records


def test_health_ready_models_and_metrics(client):
    assert client.get("/health").json() == {"status": "ok"}
    assert client.get("/ready").json() == {"status": "ready"}
    [model] = client.get("/v1/models").json()["data"]
    assert model["id"] == "tiny"
    assert model["context_tokens"] == CONTEXT_TOKENS
    assert client.get("/v1/models/tiny").json() == model
    before = client.get("/metrics").text
    client.post(CHAT, json=ASK)
    after = client.get("/metrics").text

    def value(text, name):
        return float(next(line for line in text.splitlines() if line.startswith(name)).split()[-1])

    answered = 'hanhua_http_responses_total{path="/v1/chat/completions",status="200"}'
    grown = {
        "hanhua_completion_tokens_total": 24,
        "hanhua_first_token_seconds_count": 1,
        answered: 1,
    }
    for name, more in grown.items():
        had = value(before, name) if name in before else 0
        assert value(after, name) - had == more
    assert all(line.startswith("#") or len(line.rsplit(" ", 1)) == 2 for line in after.splitlines())


def test_probes_may_ask_by_head(client):
    """As wget --spider does."""
    for path in ("/health", "/ready"):
        answer = client.head(path)
        assert (answer.status_code, answer.content) == (200, b"")


def test_a_packed_body_is_refused_by_name(client):
    headers = {"Content-Type": "application/json", "Content-Encoding": "gzip"}
    refused = client.post(CHAT, content=gzip.compress(json.dumps(ASK).encode()), headers=headers)
    assert refused.status_code == 415
    assert "Content-Encoding" in check_error(refused)["message"]


def test_the_openapi_document_names_the_bodies(client):
    document = client.get("/openapi.json").json()
    body = document["paths"][CHAT]["post"]["requestBody"]["content"]["application/json"]["schema"]
    assert "messages" in body["required"]
    assert "$ref" not in json.dumps(body)


def test_a_base_model_completes_and_refuses_to_chat(base_folder):
    from hanhua.serve.served import load_served

    with running_server(load_served(base_folder, name="tiny")) as (url, _):
        assert httpx.get(f"{url}/v1/models").json()["data"][0]["chats"] is False
        error = check_error(httpx.post(url + CHAT, json=ASK))
        assert error["code"] == "model_has_no_chat_template"
        assert httpx.post(url + TEXT, json={"prompt": "Tom"}).status_code == 200


def test_a_template_whose_marks_are_plain_text_here_is_used_as_transformers_does(
    base_folder, tmp_path
):
    """ChatML over a tokenizer without its tokens: such models are about."""
    folder = tmp_path / "chatml"
    shutil.copytree(base_folder, folder)
    template = get_template("chatml")
    replace(read_tokenizer(base_folder), chat_template=template.jinja).save(folder)
    served = load_served(folder, name="tiny")
    text = served.tokenizer.apply_chat_template(HELLO, tokenize=False, add_generation_prompt=True)
    assert set(template.needs).isdisjoint(served.tokenizer.get_vocab())  # the case
    ids = served.tokenizer(text, add_special_tokens=False)["input_ids"]
    with running_server(served) as (url, _):
        answer = httpx.post(url + CHAT, json=ASK, timeout=60)
        assert answer.status_code == 200
        assert answer.json()["usage"]["prompt_tokens"] == len(ids)
        counted = httpx.post(url + "/tokenize", json={"messages": HELLO}).json()
        assert counted["tokens"] == ids


def test_keys(served):
    with running_server(served, keys=("one", "钥匙")) as (url, _):

        def status(path, key=None):
            headers = {} if key is None else {"Authorization": key.encode()}
            return httpx.get(url + path, headers=headers).status_code

        assert status("/v1/models", "Bearer one") == 200
        assert status("/v1/models", "bearer 钥匙") == 200
        for wrong in (None, "", "Bearer", "Bearer two", "one", "Basic one", "Bearer one two"):
            assert status("/v1/models", wrong) == 401
        assert status("/metrics") == 401
        assert status("/metrics", "Bearer one") == 200
        assert status("/health") == status("/ready") == status("/") == 200
        refused = httpx.post(url + CHAT, json=ASK)
        assert refused.status_code == 401
        assert refused.headers["www-authenticate"] == "Bearer"
        assert check_error(refused)["code"] == "invalid_api_key"


def test_a_full_line_is_429_with_retry_after(served):
    with running_server(served, max_running=1, max_waiting=1) as (url, engine):
        long = {**ASK, "max_tokens": 3000, "stream": True}
        with (httpx.stream("POST", url + CHAT, json=long, timeout=60) as first,
              httpx.stream("POST", url + CHAT, json=long, timeout=60) as second):  # fmt: skip
            assert first.status_code == second.status_code == 200
            wait_until(lambda: engine.running == 1 and engine.waiting == 1)
            refused = httpx.post(url + CHAT, json=ASK)
        assert refused.status_code == 429
        assert int(refused.headers["retry-after"]) >= 1
        assert check_error(refused)["code"] == "rate_limit_exceeded"
        wait_until(lambda: engine.running == 0 and engine.waiting == 0)
        assert httpx.post(url + CHAT, json=ASK, timeout=60).status_code == 200


@pytest.mark.parametrize("stream", [True, False])
def test_a_client_that_leaves_frees_its_slot(served, stream):
    with running_server(served) as (url, engine):
        host, port = url.removeprefix("http://").split(":")
        body = json.dumps({**ASK, "max_tokens": 3500, "stream": stream, "n": 2}).encode()
        head = (f"POST {CHAT} HTTP/1.1\r\nHost: x\r\nContent-Type: application/json\r\n"
                f"Content-Length: {len(body)}\r\n\r\n").encode()  # fmt: skip
        with socket.create_connection((host, int(port))) as connection:
            connection.sendall(head + body)
            wait_until(lambda: engine.running == 2 and engine.stats.completion_tokens > 4)
        wait_until(lambda: engine.running == 0)
        assert engine.stats.ended == {"cancelled": 2}
        assert engine.stats.completion_tokens < 7000


def test_a_bad_request_does_not_delay_a_good_one(server):
    """While nonsense is refused, an answer under way stays the same."""
    expected = httpx.post(server + CHAT, json={**ASK, "max_tokens": 60}, timeout=60).json()
    found: list[dict] = []

    def good():
        found.append(httpx.post(server + CHAT, json={**ASK, "max_tokens": 60}, timeout=60).json())

    threads = [threading.Thread(target=good) for _ in range(4)]
    for thread in threads:
        thread.start()
    while any(thread.is_alive() for thread in threads):
        assert httpx.post(server + CHAT, json={**ASK, "n": -1}).status_code == 400
    assert [answer["choices"] for answer in found] == [expected["choices"]] * 4


def test_stopping_the_server_ends_streams_cleanly(served):
    with running_server(served) as (url, engine):
        with httpx.stream("POST", url + CHAT, json={**ASK, "max_tokens": 3500, "stream": True},
                          timeout=60) as answer:  # fmt: skip
            lines = answer.iter_lines()
            next(lines)
            threading.Thread(target=engine.close).start()
            rest = [line for line in lines if line]
        assert rest[-1] == "data: [DONE]"
        assert json.loads(rest[-2][6:])["error"]["type"] == "server_error"
        assert httpx.get(url + "/ready").status_code == 503
        assert httpx.post(url + CHAT, json=ASK).status_code == 503


def test_the_page_and_its_headers(client):
    page = client.get("/")
    assert page.headers["content-type"].startswith("text/html")
    policy = page.headers["content-security-policy"]
    assert "default-src 'none'" in policy
    assert "http" not in policy
