"""The official client, our own OpenAPI document, and nonsense of every kind."""

from __future__ import annotations

import json
from dataclasses import replace

import httpx
import pytest
from hypothesis import HealthCheck, Phase, given, settings
from hypothesis import strategies as st

from .conftest import running_server
from .test_api import ASK, CHAT, EMBED, TEXT, check_error

QUICK = settings(max_examples=25, deadline=None, suppress_health_check=list(HealthCheck))
HELLO = [{"role": "user", "content": "你好 Tom"}]


@pytest.fixture(scope="module")
def small(served):
    """A server whose context is so short that no answer takes long."""
    with running_server(replace(served, context_tokens=48)) as (url, engine):
        yield url
        assert engine.alive


@pytest.fixture(scope="module")
def fuzzed(small):
    with httpx.Client(base_url=small, timeout=60) as client:
        yield client


@pytest.fixture(scope="module")
def official(small):
    openai = pytest.importorskip("openai", reason="needs the dev extra")
    with openai.OpenAI(base_url=f"{small}/v1", api_key="none", max_retries=0) as client:
        yield client


def test_the_official_client_chats(official):
    asked = {"model": "tiny", "messages": HELLO, "temperature": 0, "max_completion_tokens": 12}
    whole = official.chat.completions.create(**asked, logprobs=True, top_logprobs=2)
    assert whole.choices[0].finish_reason == "length"
    assert whole.usage.completion_tokens == 12
    assert len(whole.choices[0].logprobs.content[0].top_logprobs) == 2
    text, chunks = "", 0
    with official.chat.completions.stream(**asked) as stream:
        for event in stream:
            if event.type == "content.delta":
                text, chunks = text + event.delta, chunks + 1
    assert text == whole.choices[0].message.content
    assert chunks > 3
    raw = official.chat.completions.create(
        **asked, stream=True, stream_options={"include_usage": True}, n=2, seed=1, stop=["zzz"],
        frequency_penalty=0.1, presence_penalty=0.1, logit_bias={"40": 1}, user="me",
        response_format={"type": "json_object"},
    )  # fmt: skip
    assert next(chunk.usage.completion_tokens for chunk in raw if chunk.usage) > 2


def test_the_official_client_completes_embeds_and_lists(official):
    done = official.completions.create(model="tiny", prompt="Tom", max_tokens=5, logprobs=1,
                                       echo=True, temperature=0)  # fmt: skip
    assert done.choices[0].text.startswith("Tom")
    assert len(done.choices[0].logprobs.tokens) == len(done.choices[0].logprobs.text_offset)
    # it asks for base64 and decodes it by itself
    packed = official.embeddings.create(model="tiny", input=["Tom", "hill"])
    plain = official.embeddings.create(model="tiny", input="Tom", encoding_format="float")
    assert packed.data[0].embedding == pytest.approx(plain.data[0].embedding)
    assert [model.id for model in official.models.list()] == ["tiny"]
    assert official.models.retrieve("tiny").id == "tiny"


def test_the_official_client_understands_refusals(official):
    import openai

    with pytest.raises(openai.BadRequestError) as bad:
        official.chat.completions.create(model="tiny", messages=HELLO, temperature=9)
    assert bad.value.param == "temperature"
    with pytest.raises(openai.NotFoundError) as absent:
        official.chat.completions.create(model="gpt-9", messages=HELLO)
    assert absent.value.code == "model_not_found"
    with pytest.raises(openai.BadRequestError, match="at '#': 'not' is not"):
        official.chat.completions.create(
            model="tiny", messages=HELLO,
            response_format={"type": "json_schema",
                             "json_schema": {"name": "x", "schema": {"not": {}}}},
        )  # fmt: skip


@pytest.mark.parametrize("negative", [False, True])
def test_our_document_holds(small, fuzzed, negative):
    """Requests drawn from /openapi.json, valid and not: the answers are the documented ones."""
    schemathesis = pytest.importorskip("schemathesis", reason="needs the dev extra")
    from schemathesis import GenerationMode
    from schemathesis.checks import CHECKS

    document = fuzzed.get("/openapi.json").json()
    schema = schemathesis.openapi.from_dict(document)
    mode = GenerationMode.NEGATIVE if negative else GenerationMode.POSITIVE
    seen = set()
    wanted = [CHECKS.get_one(name) for name in (
        "not_a_server_error", "status_code_conformance", "content_type_conformance",
        "response_schema_conformance",
    )]  # fmt: skip
    for found in schema.get_all_operations():
        operation = found.ok()

        @settings(QUICK, max_examples=2, phases=[Phase.generate], database=None)
        @given(operation.as_strategy(generation_mode=mode))
        def ask(case):
            response = case.call(base_url=small, timeout=60)
            seen.add((case.method, response.status_code))
            case.validate_response(response, checks=wanted)

        if not negative or operation.body:
            ask()
    assert ("POST", 400) in seen
    assert negative or ("GET", 200) in seen


anything = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(max_size=8)
    | st.floats(allow_nan=False, allow_infinity=False),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=8), inner,
                                                                max_size=3), max_leaves=6,
)  # fmt: skip
FIELDS = ["messages", "prompt", "input", "max_tokens", "temperature", "top_p", "n", "seed", "stop",
          "stream", "logprobs", "top_logprobs", "logit_bias", "response_format", "echo", "tools",
          "frequency_penalty", "model", "stream_options", "encoding_format", "extra"]  # fmt: skip


@given(path=st.sampled_from([CHAT, TEXT, EMBED]), name=st.sampled_from(FIELDS), value=anything)
@settings(QUICK, max_examples=50)
def test_any_json_in_any_field(fuzzed, path, name, value):
    base = {CHAT: ASK, TEXT: {"prompt": "Tom", "max_tokens": 4}, EMBED: {"input": "Tom"}}[path]
    response = fuzzed.post(path, json={**base, name: value})
    assert response.status_code in (200, 400, 404), response.text
    if response.status_code != 200:
        check_error(response)


@given(data=st.binary(max_size=60) | st.text(max_size=40).map(str.encode)
       | st.integers(0, 60).map(lambda cut: json.dumps(ASK).encode()[:cut]))  # fmt: skip
@settings(QUICK, max_examples=25)
def test_any_bytes_as_a_body(fuzzed, data):
    headers = {"Content-Type": "application/json"}
    response = fuzzed.post(CHAT, content=data, headers=headers)
    assert response.status_code == 400
    check_error(response)


@given(name=st.sampled_from(["Authorization", "Accept", "Content-Type", "Content-Encoding",
                             "Cookie", "Origin", "X-Forwarded-For", "Accept-Charset", "Range",
                             "Expect", "Content-Length", "Transfer-Encoding"]),
       value=st.binary(max_size=40).map(lambda b: bytes(c for c in b if c >= 32 and c != 127)))  # fmt: skip # noqa: E501
@settings(QUICK, max_examples=25)
def test_any_header(small, name, value):
    host, port = small.removeprefix("http://").split(":")
    body = json.dumps({**ASK, "max_tokens": 2}).encode()
    lines = {b"Host": host.encode(), b"Content-Type": b"application/json", b"Connection": b"close",
             b"Content-Length": str(len(body)).encode(), name.encode(): value}  # fmt: skip
    head = b"POST /v1/chat/completions HTTP/1.1\r\n"
    head += b"".join(key + b": " + text + b"\r\n" for key, text in lines.items())
    answer = send(host, int(port), head + b"\r\n" + body)
    assert answer.split(b" ", 2)[1] in (b"200", b"400", b"415", b"417", b"501"), answer[:200]
    assert b"Traceback" not in answer


def send(host: str, port: int, data: bytes) -> bytes:
    """What a server says to bytes sent as they are; a half sent body is ended by us."""
    import socket

    with socket.create_connection((host, port), timeout=20) as connection:
        connection.sendall(data)
        connection.shutdown(socket.SHUT_WR)
        answer = b""
        while part := connection.recv(65536):
            answer += part
    return answer or b"HTTP/1.1 400 closed"
