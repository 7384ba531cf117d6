"""Clients that never end what they send: the server ends it, and others don't notice.

Limits are fractions of a second here; no test says how long anything takes.
"""

from __future__ import annotations

import json
import socket
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import httpx
import pytest

from hanhua.serve.api import PAGE
from hanhua.serve.engine import Engine
from hanhua.serve.models import Models
from hanhua.serve.policy import Policy

from .conftest import serving, wait_until
from .test_api import ASK, CHAT

HEAD = f"POST {CHAT} HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/json\r\n"
GET = b"GET /health HTTP/1.1\r\nHost: localhost\r\n\r\n"
SOCKETS = Path("/proc/net/tcp")
LONG = 60.0
"""A limit that no test waits for."""


@contextmanager
def patience(served, body: float = LONG, **limits: float) -> Iterator[tuple]:
    """The address of a server with these limits, in seconds."""
    policy = Policy(body_seconds=body)
    models = Models([Engine(served)])
    limits = {f"{name}_seconds": limits.get(name, LONG) for name in ("head", "rest", "stall")}
    with serving(models, policy, **limits) as url:
        host, port = url.removeprefix("http://").split(":")
        yield url, (host, int(port))


def dripped(address: tuple, begin: bytes, drop: bytes) -> bytes:
    """What comes back, to the end, while drops are sent after the beginning until they can't be."""
    with socket.create_connection(address, timeout=30) as connection:
        connection.sendall(begin)
        stop = threading.Event()

        def drip() -> None:
            try:
                while not stop.wait(0.02):
                    connection.send(drop)
            except OSError:
                pass

        thread = threading.Thread(target=drip)
        thread.start()
        try:
            return read_all(connection)
        finally:
            stop.set()
            thread.join()


def read_all(connection: socket.socket) -> bytes:
    """Everything up to the end; a socket that stays open raises TimeoutError."""
    came = b""
    try:
        while piece := connection.recv(4096):
            came += piece
    except ConnectionResetError:  # drops that nobody reads make the kernel say so
        pass
    return came


def told(answer: bytes) -> tuple[int, dict]:
    head, _, body = answer.partition(b"\r\n\r\n")
    return int(head.split()[1]), json.loads(body)["error"]


def test_headers_a_byte_at_a_time_are_given_up(served):
    with patience(served, head=0.4) as (url, address):
        status, error = told(dripped(address, f"{HEAD}X-Long: ".encode(), b"a"))
        assert status == 408
        assert "headers did not come within 0.4 s" in error["message"]
        assert httpx.post(url + CHAT, json=ASK, timeout=60).status_code == 200


def test_the_headers_of_a_later_request_have_the_same_time(served):
    with patience(served, head=0.4) as (_, address):
        came = dripped(address, GET + b"GET /health HTTP/1.1\r\nX-Long: ", b"a")
        first, _, second = came.partition(b'{"status":"ok"}')
        assert first.startswith(b"HTTP/1.1 200")
        assert told(second)[0] == 408


def test_a_connection_on_which_nothing_comes_is_closed(served):
    with patience(served, head=0.2) as (_, address):
        with socket.create_connection(address, timeout=30) as connection:
            assert read_all(connection) == b""


@pytest.mark.parametrize("form", ["Content-Length: 100000", "Transfer-Encoding: chunked"])
def test_a_body_that_does_not_end_is_answered_and_its_connection_closed(served, form):
    begin = f"{HEAD}{form}\r\n\r\n".encode()
    drop = b"1\r\n \r\n" if "chunked" in form else b" "
    with patience(served, body=0.3, rest=0.3) as (_, address):
        status, error = told(dripped(address, begin, drop))
    assert status == 408
    assert "body did not come within 0.3 s" in error["message"]


@pytest.mark.parametrize(("line", "status"), [
    ("POST /nowhere", 404), ("GET /health", 200), ("POST /v1/chat/completions", 415),
])  # fmt: skip
def test_a_body_that_nobody_waits_for_holds_no_connection(served, line, status):
    begin = f"{line} HTTP/1.1\r\nHost: localhost\r\nContent-Length: 100000\r\n\r\n".encode()
    with patience(served, rest=0.3) as (_, address):
        assert dripped(address, begin, b" ").startswith(f"HTTP/1.1 {status} ".encode())


def test_a_request_that_comes_in_time_may_take_as_long_as_it_likes(served):
    """All limits are shorter than the answer: they count what the client sends, not what it gets"""
    ask = {**ASK, "max_tokens": 1500, "logit_bias": {"1": -100, "2": -100}}
    with patience(served, head=0.1, body=0.1, rest=0.1) as (url, _):
        with httpx.Client(base_url=url, timeout=120) as client:
            for body in (ask, {**ask, "stream": True}):
                answer = client.post(CHAT, json=body)
                assert answer.status_code == 200
                assert answer.elapsed.total_seconds() > 0.1  # the case: longer than any limit
    assert "[DONE]" in answer.text


def test_pipelined_requests_are_answered_in_order(served):
    with patience(served, head=0.3, rest=0.3) as (_, address):
        body = json.dumps({**ASK, "max_tokens": 3}).encode()
        chat = f"{HEAD}Content-Length: {len(body)}\r\n\r\n".encode() + body
        models = GET.replace(b"/health", b"/v1/models")
        with socket.create_connection(address, timeout=30) as connection:
            connection.sendall(
                GET + chat + models + GET.replace(b"\r\n\r\n", b"\r\nConnection: close\r\n\r\n")
            )
            came = read_all(connection)
    assert came.count(b"HTTP/1.1 200 OK") == 4
    marks = [b'{"status":"ok"}', b'"chat.completion"', b'"object":"list"']
    places = [came.index(mark) for mark in marks]
    assert places == sorted(places)
    assert came.endswith(b'{"status":"ok"}')


def test_nonsense_after_an_early_answer_leaves_no_traceback(served, caplog):
    begin = "POST /nowhere HTTP/1.1\r\nHost: localhost\r\nTransfer-Encoding: chunked\r\n\r\n"
    with patience(served) as (_, address):
        with socket.create_connection(address, timeout=30) as connection:
            connection.sendall(begin.encode())
            came = connection.recv(4096)
            connection.sendall(b"no chunk\r\n")
            came += read_all(connection)
    assert came.startswith(b"HTTP/1.1 404 ")
    assert not [record for record in caplog.records if record.exc_info]


@pytest.mark.skipif(not SOCKETS.exists(), reason="needs Linux to look at the server's end")
def test_a_client_that_takes_nothing_is_cut_off(served):
    """It asks for a file of the page many times and reads nothing until the server has gone."""
    ask = b"GET /app.js HTTP/1.1\r\nHost: localhost\r\n\r\n"
    size = (PAGE / "app.js").stat().st_size
    times = 20_000_000 // size
    with patience(served, stall=0.3) as (_, address):
        with socket.socket() as connection:
            connection.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
            connection.settimeout(30)
            connection.connect(address)
            ports = address[1], connection.getsockname()[1]
            wait_until(lambda: is_open(*ports))
            connection.sendall(ask * times)
            wait_until(lambda: not is_open(*ports))
            came = read_all(connection)
    assert 0 < len(came) < times * size  # the case: amid what was sent


def is_open(port: int, client: int) -> bool:
    """Whether the server holds its end of a connection between two ports."""
    lines = [line.split() for line in SOCKETS.read_text().splitlines()[1:]]
    ends = {(int(x[1][-4:], 16), int(x[2][-4:], 16)): x[3] for x in lines}
    return ends.get((port, client)) == "01"  # established


def test_two_lengths_of_one_body_are_refused_and_nothing_behind_them_is_read(served):
    head = f"{HEAD}Content-Length: 5\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n"
    with patience(served) as (_, address):
        with socket.create_connection(address, timeout=30) as connection:
            connection.sendall(head.encode() + GET)
            status, error = told(read_all(connection))
    assert status == 400
    assert "not both" in error["message"]
