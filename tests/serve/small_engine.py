"""A small engine program for the tests of the watching: it takes vLLM's command line and answers.

It writes one line a start into ``starts`` beside the model, and misbehaves as its options say.
"""

from __future__ import annotations

import argparse
import json
import os
import signal
import subprocess
import sys
import threading
import time
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("verb", choices=["serve"])
    parser.add_argument("model", type=Path)
    parser.add_argument("--host", required=True)
    parser.add_argument("--port", type=int, required=True)
    parser.add_argument("--served-model-name", required=True)
    parser.add_argument("--dtype", required=True)
    parser.add_argument("--max-model-len", type=int)
    parser.add_argument("--chat-template", type=Path)
    parser.add_argument("--refuse", action="store_true", help="end before it answers")
    parser.add_argument("--deaf", action="store_true", help="never answer, ignore SIGTERM")
    parser.add_argument("--falls", type=int, default=0, help="starts that end after an answer")
    asked = parser.parse_args()
    starts = asked.model / "starts"
    with starts.open("a") as file:
        file.write(" ".join(sys.argv[1:]) + "\n")
    key = os.environ.get("VLLM_API_KEY")
    print(f"the key is {key}", flush=True)
    worker = subprocess.Popen([sys.executable, "-c", "import time; time.sleep(60)"])
    (asked.model / "worker").write_text(str(worker.pid))
    if asked.refuse:
        print("out of memory: 80 GiB wanted", file=sys.stderr)
        sys.exit(3)
    if asked.deaf:
        signal.signal(signal.SIGTERM, signal.SIG_IGN)
        print("loading", flush=True)
        time.sleep(60)
    falls = len(starts.read_text().splitlines()) <= asked.falls

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            health = self.path == "/health"
            open_to_all = health or not key
            known = open_to_all or self.headers.get("Authorization") == f"Bearer {key}"
            body = json.dumps({"data": [{"id": asked.served_model_name}]}).encode()
            self.send_response(200 if known else 401)
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)
            if health and falls:
                threading.Timer(0.05, os._exit, [9]).start()

        def log_message(self, *_: object) -> None:
            pass

    server = ThreadingHTTPServer((asked.host, asked.port), Handler)
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, lambda n, _: threading.Thread(target=stop, args=(n,)).start())

    def stop(number: int) -> None:
        (asked.model / "stopped").write_text(signal.Signals(number).name)
        server.shutdown()

    server.serve_forever()


if __name__ == "__main__":
    main()
