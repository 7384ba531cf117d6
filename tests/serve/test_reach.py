"""Host names and web pages that a server answers, and those that it does not."""

from __future__ import annotations

import http.server
import os
import re
import socket
import subprocess
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import httpx
import openai
import pytest

from hanhua.core.errors import UsageError
from hanhua.serve.keys import Key
from hanhua.serve.policy import Policy
from hanhua.serve.reach import Reach, make_reach

from . import chromium as browser_of
from .conftest import read_until, running_server
from .test_api import ASK, CHAT, TEXT, check_error

ELSEWHERE = "https://evil.test"
CALLS = [("GET", "/"), ("GET", "/v1/models"), ("GET", "/metrics"), ("GET", "/openapi.json"),
         ("POST", CHAT), ("POST", TEXT), ("POST", "/tokenize"), ("POST", "/nowhere")]  # fmt: skip


@contextmanager
def reached(served, reach: Reach, key: str | None = None) -> Iterator[httpx.Client]:
    """A client of a server with these rules."""
    keys = (Key(key, "k"),) if key else ()
    with running_server(served, policy=Policy(reach=reach, keys=keys)) as (url, _):
        with httpx.Client(base_url=url, timeout=60) as client:
            yield client


@pytest.fixture(scope="module")
def alone(served) -> Iterator[httpx.Client]:
    """As on loopback without a key."""
    with reached(served, make_reach()) as client:
        yield client


@pytest.mark.parametrize("host", ["evil.test", "evil.test:8000", "localhost.evil.test",
                                  "127.0.0.1.evil.test:80", "evil.test@localhost", "[::2]:1",
                                  "203.0.113.7", "", "localhost:x"])  # fmt: skip
def test_a_name_made_to_point_here_gets_nothing(alone, host):
    for method, path in CALLS:
        answer = alone.request(method, path, headers={"Host": host}, json=ASK)
        assert answer.status_code == 403
        error = check_error(answer)
        assert error["code"] == "host_not_allowed"
        assert "--allowed-host" in error["message"]


@pytest.mark.parametrize("host", ["localhost", "LocalHost:1234", "127.0.0.1", "127.0.0.1:9",
                                  "[::1]", "[::1]:8000", "localhost."])  # fmt: skip
def test_names_of_this_machine_are_answered(alone, host):
    assert alone.get("/v1/models", headers={"Host": host}).status_code == 200
    assert alone.post(CHAT, headers={"Host": host}, json=ASK).status_code == 200


def test_probes_are_answered_by_any_name(alone):
    for path in ("/health", "/ready"):
        assert alone.get(path, headers={"Host": "10.1.2.3:8000"}).status_code == 200


def test_http_1_0_without_a_host_is_answered(alone):
    """No browser sends that."""
    with socket.create_connection((alone.base_url.host, alone.base_url.port), 20) as connection:
        connection.sendall(b"GET /v1/models HTTP/1.0\r\n\r\n")
        assert b" 200 " in connection.recv(4096).split(b"\r\n")[0]


@pytest.mark.parametrize("headers", [
    {"Origin": ELSEWHERE}, {"Origin": "null"}, {"Origin": "http://localhost:1"},
    {"Origin": "http://127.0.0.1"}, {"Sec-Fetch-Site": "cross-site"},
    {"Sec-Fetch-Site": "same-site", "Origin": "http://localhost:3000"},
])  # fmt: skip
def test_pages_of_elsewhere_may_not_use_the_model(alone, headers):
    for method, path in CALLS:
        answer = alone.request(method, path, headers=headers, json=ASK)
        if method == "GET":  # a page cannot read it
            assert answer.status_code == 200
            assert "access-control-allow-origin" not in answer.headers
        else:
            assert answer.status_code == 403
            error = check_error(answer)
            assert error["code"] == "origin_not_allowed"
            assert "--allowed-origin" in error["message"]
    asks = {"Access-Control-Request-Method": "POST", **headers}
    assert alone.options(CHAT, headers=asks).status_code == 403


def test_its_own_page_and_programs_are_no_strangers(alone):
    own = f"http://127.0.0.1:{alone.base_url.port}"
    for headers in ({}, {"Origin": own}, {"Origin": own, "Sec-Fetch-Site": "same-origin"},
                    {"Origin": "chrome-extension://abc", "Sec-Fetch-Site": "none"},
                    # behind a proxy that passes another Host on
                    {"Origin": "https://chat.example.org", "Sec-Fetch-Site": "same-origin"},
                    {"Origin": "http://localhost", "Host": "localhost:80"}):  # fmt: skip
        assert alone.post(CHAT, headers=headers, json=ASK).status_code == 200, headers
    client = openai.OpenAI(base_url=own + "/v1", api_key="none", max_retries=0)
    assert client.chat.completions.create(**ASK).choices


def test_the_official_client_reads_the_refusal(alone):
    client = openai.OpenAI(base_url=f"http://127.0.0.1:{alone.base_url.port}/v1", api_key="none",
                           default_headers={"Host": "evil.test"}, max_retries=0)  # fmt: skip
    with pytest.raises(openai.PermissionDeniedError, match="--allowed-host"):
        client.models.list()


def test_a_named_host_and_a_named_origin_are_let_in(served):
    reach = make_reach(["chat.example.org", "汉化.test", "192.168.1.5"], [ELSEWHERE + ":443"])
    punycode = "汉化.test".encode("idna").decode()  # as browsers send it
    with reached(served, reach) as client:
        for host in ("chat.example.org", "Chat.Example.org:443", punycode, "192.168.1.5:1",
                     "localhost"):  # fmt: skip
            assert client.get("/v1/models", headers={"Host": host}).status_code == 200, host
        assert client.get("/v1/models", headers={"Host": "example.org"}).status_code == 403
        asks = {"Origin": ELSEWHERE, "Access-Control-Request-Method": "POST",
                "Access-Control-Request-Headers": "authorization,x-stainless-os"}  # fmt: skip
        first = client.options(CHAT, headers=asks)
        assert first.status_code == 200
        assert first.headers["access-control-allow-origin"] == ELSEWHERE
        assert "x-stainless-os" in first.headers["access-control-allow-headers"]
        page = {"Origin": ELSEWHERE, "Sec-Fetch-Site": "cross-site"}
        answer = client.post(CHAT, headers=page, json=ASK)
        assert answer.status_code == 200
        assert answer.headers["access-control-allow-origin"] == ELSEWHERE
        bad = client.post(CHAT, headers=page, json={})
        assert bad.headers["access-control-allow-origin"] == ELSEWHERE, "refusals can be read too"
        other = {**page, "Origin": "https://other.test"}
        assert client.post(CHAT, headers=other, json=ASK).status_code == 403
        assert client.options(CHAT, headers={**asks, **other}).status_code == 400


def test_a_key_makes_names_and_pages_free_and_browsers_ask_without_it(served):
    reach = make_reach(origins=[ELSEWHERE], keyed=True)
    with reached(served, reach, key="secret") as client:
        headers = {"Host": "any.test", "Origin": "https://other.test"}
        assert client.post(CHAT, headers=headers, json=ASK).status_code == 401
        asks = {"Origin": ELSEWHERE, "Access-Control-Request-Method": "POST"}
        assert client.options(CHAT, headers=asks).status_code == 200
        headers["Authorization"] = "Bearer secret"
        assert client.post(CHAT, headers=headers, json=ASK).status_code == 200


def test_what_is_let_in_by_where_the_server_listens():
    for host in ("192.168.1.5", "evil.test"):
        assert host not in (make_reach(loopback=True).hosts or {host})
    assert make_reach(loopback=False, host="0.0.0.0").hosts is None
    assert make_reach(keyed=True).hosts is None
    assert make_reach(["*"]).hosts is None
    named = make_reach(["a.test"], loopback=False, keyed=True, host="::").hosts
    assert named is not None
    assert {"a.test", "localhost", "[::]"} <= named
    assert "mybox" in (make_reach(host="MyBox").hosts or ())
    assert "[::5]" in (make_reach(["::5"]).hosts or ())
    assert not make_reach(loopback=False).pages


@pytest.mark.parametrize("name", ["http://a.test", "a.test:80", "a.test/x", "", "a b", "[::1]:80",
                                  "user@a.test", "a" * 70])  # fmt: skip
def test_a_host_that_is_no_name_is_refused(name):
    with pytest.raises(UsageError, match="no host name"):
        make_reach([name])


@pytest.mark.parametrize("name", ["a.test", "https://a.test/", "https://", "https://a.test/x", "",
                                  "https://[", "https://a.test?x"])  # fmt: skip
def test_an_origin_that_is_none_is_refused(name):
    with pytest.raises(UsageError, match="no origin"):
        make_reach(origins=[name])


def test_the_command_guards_itself_and_takes_the_options(chat_folder: Path) -> None:
    """Without a key on loopback, and by the name that it was told to listen on."""
    code = "from hanhua.cli import main; main()"
    options = ["--port", "0", "--host", "localhost"]
    options += ["--allowed-host", "chat.test", "--allowed-origin", ELSEWHERE]
    command = [sys.executable, "-c", code, "serve", str(chat_folder), *options]
    env = {**os.environ, "OMP_NUM_THREADS": "1"}
    with subprocess.Popen(command, stderr=subprocess.PIPE, text=True, env=env) as process:
        try:
            found = re.search(r"http://localhost:(\d+)", read_until(process, "API: "))
            assert found
            with httpx.Client(base_url=found[0], timeout=60) as client:
                hosts = ("localhost:1", "chat.test", "evil.test")
                codes = [client.get("/", headers={"Host": h}).status_code for h in hosts]
                assert codes == [200, 200, 403]
                origins = (ELSEWHERE, "https://other.test")
                asked = [client.post(TEXT, headers={"Origin": o}, json={"prompt": "a"})
                         for o in origins]  # fmt: skip
                assert [answer.status_code for answer in asked] == [200, 403]
        finally:
            process.terminate()
            process.wait(30)


@contextmanager
def page_elsewhere() -> Iterator[str]:
    """A web server of somebody else: its address."""

    class Empty(http.server.BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            self.send_response(200)
            self.send_header("Content-Type", "text/html")
            self.end_headers()
            self.wfile.write(b"<title>elsewhere</title>")

        def log_message(self, *_: object) -> None: ...

    with http.server.HTTPServer(("127.0.0.1", 0), Empty) as other:
        thread = threading.Thread(target=other.serve_forever)
        thread.start()
        try:
            yield f"http://127.0.0.1:{other.server_port}"
        finally:
            other.shutdown()
            thread.join()


@pytest.mark.slow
@pytest.mark.skipif(not browser_of.find_chromium(), reason="needs chromium")
def test_a_real_browser_is_held_off_and_let_in(alone, served, monkeypatch):
    """A name that was made to point here, a page elsewhere, and a page elsewhere that is named."""
    port = alone.base_url.port
    rules = ("--host-resolver-rules=MAP evil.test 127.0.0.1",)
    monkeypatch.setattr(browser_of, "FLAGS", (*browser_of.FLAGS, *rules))
    ask = """fetch('%s/v1/completions', {method: 'POST', body: '{"prompt": "a", "max_tokens": 2}',
             headers: {'Content-Type': '%s'}, mode: '%s'})
             .then(async a => a.status + await a.text(), e => 'failed')"""
    json_ = "application/json"
    with browser_of.chromium() as page, page_elsewhere() as elsewhere:
        page.open(f"http://evil.test:{port}/")
        assert "host_not_allowed" in page.js("document.body.innerText")
        assert page.js(ask % ("", json_, "cors")).startswith("403")
        page.open(f"http://localhost:{port}/")
        assert page.js(ask % ("", json_, "cors")).startswith("200")
        page.open(elsewhere)
        here = f"http://localhost:{port}"
        assert page.js(ask % (here, json_, "cors")) == "failed"
        assert page.js(ask % (here, "text/plain", "no-cors")) == "0"  # sent, and nothing told
        assert 'path="/v1/completions",status="415"' not in alone.get("/metrics").text
        with reached(served, make_reach(origins=[elsewhere])) as named:
            there = f"http://localhost:{named.base_url.port}"
            assert page.js(ask % (there, json_, "cors")).startswith("200")
