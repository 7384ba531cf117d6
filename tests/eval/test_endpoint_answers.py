"""Answers of servers as they come: other forms, errors behind a 200, nothing at all."""

from __future__ import annotations

import json
import socket
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pytest

from hanhua.core.errors import ModelError, UsageError
from hanhua.eval.config import EvalConfig
from hanhua.eval.endpoint import Endpoint, Refused
from hanhua.eval.evaluate import Evaluation
from hanhua.eval.evaluate_endpoint import evaluate_endpoint
from hanhua.eval.target import split_userinfo


@pytest.fixture(scope="module")
def server() -> Iterator[tuple[str, list[Any], list[str]]]:
    """An address, the answers that it is to give in turn, and the logins that came."""
    answers: list[Any] = []
    logins: list[str] = []

    class Handler(BaseHTTPRequestHandler):
        def log_message(self, *_: Any) -> None:
            """Keep quiet."""

        def do_GET(self) -> None:
            self.rfile.read(int(self.headers["Content-Length"] or 0))
            logins.append(self.headers["Authorization"] or "")
            self.send_response(200)
            self.end_headers()
            self.wfile.write(json.dumps(answers.pop(0)).encode())

        do_POST = do_GET

    with ThreadingHTTPServer(("127.0.0.1", 0), Handler) as found:
        thread = threading.Thread(target=found.serve_forever, args=(0.01,), daemon=True)
        thread.start()
        yield f"http://127.0.0.1:{found.server_port}", answers, logins
        found.shutdown()
        thread.join()


def test_log_probabilities_in_both_forms(server: tuple[str, list[Any], list[str]]) -> None:
    url, answers, _ = server
    old = {"top_logprobs": [{" A": -0.5, " B": -1.5}]}
    chat = {"content": [{"token": " A", "top_logprobs": [
        {"token": " A", "logprob": -0.5}, {"token": " B", "logprob": -1.5},
        {"token": " B", "logprob": -9.0}]}]}  # fmt: skip
    answers += [{"choices": [{"logprobs": form}]} for form in (old, chat, None, {"content": []})]
    found = [Endpoint(url, "m").next_tokens("1") for _ in range(4)]
    assert found == [{" A": -0.5, " B": -1.5}] * 2 + [{}] * 2


@pytest.mark.parametrize("answer", [
    {"error": {"message": "busy"}}, {}, {"choices": []}, {"choices": [{}]}, {"choices": None},
    {"choices": [{"message": None}]}, {"choices": ["x"]},
])  # fmt: skip
def test_an_odd_answer_is_a_refusal(
    server: tuple[str, list[Any], list[str]], answer: dict[str, Any]
) -> None:
    url, answers, _ = server
    answers.append(answer)
    with pytest.raises(Refused):
        Endpoint(url, "m").answer("Hello", 4)


def test_one_odd_answer_costs_one_sample(
    server: tuple[str, list[Any], list[str]], tmp_path: Path
) -> None:
    url, answers, _ = server
    answers += [{"error": "busy"}, *({"choices": [{"message": {"content": c}}]} for c in (None, "x"))]  # fmt: skip # noqa: E501
    config = EvalConfig.model_validate({"prompts": {"en": ["one", "two", "three"]}})
    evaluate_endpoint(Endpoint(url, "m"), Evaluation(config=config, documents={}), tmp_path)
    rows = json.loads((tmp_path / "samples.json").read_text())
    assert [row["text"] for row in rows] == ["", "", "x"]
    assert ["error" in row for row in rows] == [True, False, False]


def test_a_list_of_no_models_and_an_address_of_none(
    server: tuple[str, list[Any], list[str]],
) -> None:
    url, answers, _ = server
    answers += [{"data": None}, {"data": ["x"]}]
    for _ in range(2):
        with pytest.raises(UsageError, match="which of the server's models"):
            Endpoint.find(url)
    with pytest.raises(ModelError, match="No model answers"):
        Endpoint.find("http://127.0.0.1:80a")


def test_a_port_that_speaks_no_http_is_named() -> None:
    with socket.create_server(("127.0.0.1", 0)) as listening:

        def greet() -> None:
            with listening.accept()[0] as there:
                there.sendall(b"SSH-2.0-x\r\n")
                there.recv(4096)

        thread = threading.Thread(target=greet)
        thread.start()
        with pytest.raises(ModelError, match="No model answers"):
            Endpoint.find(f"http://127.0.0.1:{listening.getsockname()[1]}")
        thread.join()


def test_a_login_in_the_address_is_sent_and_kept_apart(
    server: tuple[str, list[Any], list[str]],
) -> None:
    url, answers, logins = server
    answers.append({"data": [{"id": "m"}]})
    found = Endpoint.find(url.replace("://", "://tom:a%40b@"))
    assert (found.url, found.login) == (f"{url}/v1", "tom:a@b")
    assert logins[-1] == "Basic dG9tOmFAYg=="
    assert "a@b" not in repr(found)
    assert split_userinfo("http://host/a@b") == ("http://host/a@b", "")
