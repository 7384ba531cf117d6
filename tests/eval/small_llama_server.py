"""A small program with llama-server's command line, for the tests of starting and stopping it.

It tells log-probabilities that depend on the prompt alone. Beside the model it writes its process
id (``pid``) and a line for each question (``asked``); as the file ``mood`` says, it waits for ever
at a question, or falls over.
"""

from __future__ import annotations

import argparse
import hashlib
import json
import os
import time
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("--model", type=Path, required=True)
    parser.add_argument("--alias", required=True)
    parser.add_argument("--host", required=True)
    parser.add_argument("--port", type=int, required=True)
    parser.add_argument("--ctx-size", type=int, required=True)
    parser.add_argument("--parallel", type=int, required=True)
    parser.add_argument("--jinja", action="store_true")
    asked = parser.parse_args()
    beside, key = asked.model.parent, os.environ["LLAMA_API_KEY"]
    (beside / "pid").write_text(str(os.getpid()))
    mood = (beside / "mood").read_text() if (beside / "mood").exists() else ""
    if mood == "refuse":
        raise SystemExit("error: failed to load the model")

    class Handler(BaseHTTPRequestHandler):
        def log_message(self, *_: object) -> None:
            """Keep quiet."""

        def answer(self, value: object, status: int = 200) -> None:
            body = json.dumps(value).encode()
            self.send_response(status)
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        def do_GET(self) -> None:
            self.answer({"status": "ok"})

        def do_POST(self) -> None:
            body = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
            if self.headers.get("Authorization") != f"Bearer {key}":
                self.answer({"error": "no key"}, 401)
                return
            with (beside / "asked").open("a") as file:
                file.write(self.path + "\n")
            n = len((beside / "asked").read_text().splitlines())
            if mood == "fall" and n > 4:
                os._exit(9)
            while mood == "wait" and n > 4:
                time.sleep(0.05)
            if "messages" in body:
                said = f"You said {body['messages'][0]['content']}"
                self.answer({"choices": [{"message": {"content": said}, "finish_reason": "stop"}]})
                return
            seeds = hashlib.sha256(body["prompt"].encode()).digest()
            told = {f" {letter}": -1 - seeds[i] / 64 for i, letter in enumerate("ABCD")}
            self.answer({"choices": [{"text": "", "logprobs": {"top_logprobs": [told]}}]})

    ThreadingHTTPServer((asked.host, asked.port), Handler).serve_forever()


if __name__ == "__main__":
    main()
